//! SQL hints: `t /*+ OPTIONS('k' = 'v') */`, `SELECT /*+ STATE_TTL('t' = '1 d') */` and
//! `SELECT /*+ LOOKUP('table' = 't', ..) */`.
//!
//! To sqlparser a hint is a comment. It is read here, and written into the name of the table that it follows, with the
//! plain name as alias: [`Session::resolve`](crate::catalog::Session::resolve) takes the options from the name. A hint
//! that nobody takes is an error, so that none is ever ignored.

use super::ast::{AlterView, Insert, Property, StatementKind, Text, ViewChange};
use super::build::table_alias;
use super::dialect::FlinkDialect;
use super::lookup_hint::LookupHint;
use super::script::{hint_text, is_blank, is_word};
use super::state_ttl::StateTtl;
use crate::PlanError;
use crate::walk::walk_mut;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query, Select, TableFactor, VisitorMut};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const START: &str = " /*+ OPTIONS(";
const END: &str = ") */";

/// The options of a hint and the place of the hint.
#[derive(Clone, Debug)]
struct Hint {
    options: Vec<Property>,
    span: Span,
}

/// The hints of one statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// of tables, by where the name before them starts
    options: BTreeMap<Location, Hint>,
    /// how long states live, by where the SELECT before them starts
    ttls: BTreeMap<Location, Vec<StateTtl>>,
    /// of lookup joins, by where the SELECT before them starts: table, hint, place
    lookups: BTreeMap<Location, Vec<(String, LookupHint, Span)>>,
}

/// The plain name and the options of a name that carries a hint.
pub(crate) fn split_name(name: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (plain, rest) = name.split_once(START)?;
    let tokens = Tokenizer::new(&FlinkDialect, rest.strip_suffix(END)?).tokenize().ok()?;
    let strings: Vec<String> = tokens
        .into_iter()
        .filter_map(|token| match token {
            Token::SingleQuotedString(text) => Some(text),
            _ => None,
        })
        .collect();
    let pairs = strings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    Some((plain, pairs))
}

fn hinted_name(name: &str, options: &[Property]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let pairs: Vec<String> = options
        .iter()
        .map(|option| format!("{}={}", quoted(&option.key.value), quoted(&option.value.value)))
        .collect();
    format!("{name}{START}{}{END}", pairs.join(", "))
}

impl Hints {
    /// Reads the hints among `tokens`.
    pub fn read(tokens: &[TokenWithSpan]) -> Result<Hints, PlanError> {
        let mut hints = Hints::default();
        let mut before: Option<&TokenWithSpan> = None;
        for token in tokens {
            if let Some(text) = hint_text(token) {
                let Some(word) = before else { return Err(misplaced(token.span)) };
                let of_select = is_word(word, "SELECT");
                for (name, options) in read_hint(text, token.span)? {
                    match (of_select, is_word(&name, "OPTIONS")) {
                        (true, false) if is_word(&name, "STATE_TTL") => {
                            hints.ttls.entry(word.span.start).or_default().extend(StateTtl::read(options)?);
                        }
                        (true, false) => {
                            let (table, hint) = LookupHint::read(&options, name.span)?;
                            hints.lookups.entry(word.span.start).or_default().push((table, hint, name.span));
                        }
                        (false, true) => {
                            let span = token.span;
                            let hint = hints.options.entry(word.span.start);
                            hint.or_insert(Hint { options: vec![], span }).options.extend(options);
                        }
                        (false, false) => {
                            let message = format!(
                                "hint {} goes right after SELECT",
                                name.token.to_string().to_uppercase()
                            );
                            return Err(PlanError::invalid(message).at(name.span));
                        }
                        (true, true) => return Err(misplaced(token.span)),
                    }
                }
            } else if !is_blank(token) {
                before = Some(token);
            }
        }
        Ok(hints)
    }

    /// Gives each hint to its table.
    pub fn apply(mut self, statement: &mut StatementKind) -> Result<(), PlanError> {
        if !self.options.is_empty() || !self.ttls.is_empty() || !self.lookups.is_empty() {
            self.visit(statement);
        }
        if let Some(ttl) = self.ttls.into_values().flatten().next() {
            return Err(ttl.unknown());
        }
        if let Some((table, _, span)) = self.lookups.into_values().flatten().next() {
            let message = format!(
                "hint LOOKUP is for a table '{table}' that is joined FOR SYSTEM_TIME AS OF: there is none"
            );
            return Err(PlanError::invalid(message).at(span));
        }
        match self.options.into_values().next() {
            Some(hint) => Err(misplaced(hint.span)),
            None => Ok(()),
        }
    }

    fn visit(&mut self, statement: &mut StatementKind) {
        match statement {
            StatementKind::Query(query) | StatementKind::DescribeQuery(query) => self.visit_query(query),
            StatementKind::CreateView(view) => self.visit_query(&mut view.query),
            StatementKind::AlterView(AlterView { change: ViewChange::As { query, .. }, .. }) => {
                self.visit_query(query)
            }
            StatementKind::CreateTable(table) => {
                if let Some(query) = &mut table.query {
                    self.visit_query(query);
                }
            }
            StatementKind::Insert(insert) => self.visit_insert(insert),
            StatementKind::StatementSet(inserts) => {
                inserts.iter_mut().for_each(|insert| self.visit_insert(insert))
            }
            StatementKind::Explain(explain) => self.visit(&mut explain.statement),
            _ => {}
        }
    }

    fn visit_insert(&mut self, insert: &mut Insert) {
        self.take(&mut insert.table);
        self.visit_query(&mut insert.query);
    }

    fn visit_query(&mut self, query: &mut Query) {
        // The visitor never breaks.
        let _ = walk_mut(query, self);
    }

    /// Moves the hint after `name` into it; returns the plain last part.
    fn take(&mut self, name: &mut ObjectName) -> Option<Ident> {
        let Some(ObjectNamePart::Identifier(ident)) = name.0.last_mut() else { return None };
        let hint = self.options.remove(&ident.span.start)?;
        let plain = ident.clone();
        ident.value = hinted_name(&ident.value, &hint.options);
        ident.quote_style = Some('`');
        Some(plain)
    }
}

impl VisitorMut for Hints {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let place = select.select_token.0.span.start;
        if let Some(lookups) = self.lookups.get_mut(&place) {
            lookups.retain(|(table, hint, _)| !hint.write_into(table, select));
        }
        if let Some(ttls) = self.ttls.get_mut(&place) {
            ttls.retain(|ttl| !ttl.write_into(select));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, .. } = factor else { return ControlFlow::Continue(()) };
        if let Some(plain) = self.take(name)
            && alias.is_none()
        {
            *alias = Some(table_alias(plain));
        }
        ControlFlow::Continue(())
    }
}

fn misplaced(span: Span) -> PlanError {
    PlanError::invalid("a hint is not allowed here: OPTIONS goes right after the name of a table").at(span)
}

/// `OPTIONS('k' = 'v', ..) [, OPTIONS(..)]`: names and options.
fn read_hint(text: &str, span: Span) -> Result<Vec<(TokenWithSpan, Vec<Property>)>, PlanError> {
    let failed = |what: &str, span| Err(PlanError::syntax(what.to_string()).at(span));
    let tokens = match Tokenizer::new(&FlinkDialect, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(_) => return failed("this hint cannot be read", span),
    };
    let mut tokens =
        tokens.into_iter().filter(|token| !is_blank(token)).map(|token| moved(token, span)).peekable();
    let mut hints = vec![];
    while let Some(name) = tokens.next() {
        if !matches!(name.token, Token::Word(_)) {
            return failed("expected the name of a hint", name.span);
        }
        if !["OPTIONS", "STATE_TTL", "LOOKUP"].iter().any(|known| is_word(&name, known)) {
            return Err(PlanError::not_supported(format!("hint {}", name.token)).at(name.span));
        }
        if tokens.next().is_none_or(|token| token.token != Token::LParen) {
            return failed("expected `(` after the name of the hint", name.span);
        }
        let mut options = vec![];
        loop {
            let parts = (tokens.next(), tokens.next(), tokens.next());
            let (Some(key), Some(equals), Some(value)) = parts else {
                return failed("expected 'key' = 'value' in the hint", name.span);
            };
            if equals.token != Token::Eq {
                return failed("expected 'key' = 'value' in the hint", equals.span);
            }
            options.push(Property { key: string(key)?, value: string(value)? });
            match tokens.next() {
                Some(token) if token.token == Token::Comma => {}
                Some(token) if token.token == Token::RParen => break,
                token => {
                    return failed("expected `,` or `)` in the hint", token.map_or(span, |token| token.span));
                }
            }
        }
        if tokens.peek().is_some_and(|token| token.token == Token::Comma) {
            tokens.next();
        }
        hints.push((name, options));
    }
    Ok(hints)
}

fn string(token: TokenWithSpan) -> Result<Text, PlanError> {
    match token.token {
        Token::SingleQuotedString(value) => Ok(Text { value, span: token.span }),
        _ => Err(PlanError::syntax("expected a string in single quotes").at(token.span)),
    }
}

/// A token of a hint's text with its place in the script: the text starts three characters after the comment does.
fn moved(token: TokenWithSpan, hint: Span) -> TokenWithSpan {
    let place = |location: Location| match location.line {
        1 => Location::new(hint.start.line, hint.start.column + location.column + 2),
        line => Location::new(hint.start.line + line - 1, location.column),
    };
    TokenWithSpan { span: Span::new(place(token.span.start), place(token.span.end)), token: token.token }
}
