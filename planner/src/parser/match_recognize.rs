//! MATCH_RECOGNIZE, as far as sqlparser does not read it.
//!
//! Before a statement is parsed, its tokens are changed where sqlparser lacks a form:
//!
//! | text | becomes |
//! | --- | --- |
//! | `PATTERN (..) WITHIN INTERVAL '5' SECOND DEFINE ..` | `PATTERN (..) DEFINE $WITHIN AS INTERVAL '5' SECOND, ..` |
//! | `AFTER MATCH SKIP TO a` | `AFTER MATCH SKIP TO LAST a` |
//! | `FINAL LAST(a.x)` | `LAST(a.x)` |
//! | `(SELECT ..) MATCH_RECOGNIZE` | `$DERIVED0 MATCH_RECOGNIZE`, and the query takes the place of the name in the syntax tree |

use super::ast::{Insert, StatementKind, ViewChange};
use super::dialect::FlinkDialect;
use super::error::convert;
use super::script::{is_blank, is_word};
use crate::PlanError;
use crate::walk::walk_mut;
use sqlparser::ast::{Query, TableFactor, VisitorMut};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};
use std::ops::ControlFlow;

/// The variable among those of DEFINE that stands for the interval of WITHIN.
pub(crate) const WITHIN: &str = "$WITHIN";
const DERIVED: &str = "$DERIVED";

/// Queries in front of MATCH_RECOGNIZE, by the number in their names.
#[derive(Debug, Default)]
pub(super) struct DerivedTables(Vec<Option<TableFactor>>);

/// The tokens as sqlparser reads them.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Result<(Vec<TokenWithSpan>, DerivedTables), PlanError> {
    let mut derived = DerivedTables::default();
    if !tokens.iter().any(|token| is_word(token, "MATCH_RECOGNIZE")) {
        return Ok((tokens.to_vec(), derived));
    }
    let mut rewritten: Vec<TokenWithSpan> = vec![];
    let mut place = 0;
    while place < tokens.len() {
        if is_word(&tokens[place], "MATCH_RECOGNIZE")
            && let Some(open) =
                next_solid(tokens, place + 1).filter(|open| tokens[*open].token == Token::LParen)
            && let Some(close) = closing(tokens, open)
        {
            derived.take_query(&mut rewritten)?;
            rewritten.push(tokens[place].clone());
            rewritten.extend(clauses(&tokens[open..=close])?);
            place = close + 1;
        } else {
            rewritten.push(tokens[place].clone());
            place += 1;
        }
    }
    Ok((rewritten, derived))
}

/// The first token at `from` or behind it that is not blank.
fn next_solid(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    (from..tokens.len()).find(|place| !is_blank(&tokens[*place]))
}

/// The parenthesis that closes the one at `open`.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(place);
        }
    }
    None
}

fn word(value: &str, quote_style: Option<char>, span: Span) -> TokenWithSpan {
    TokenWithSpan { token: Token::make_word(value, quote_style), span }
}

/// The parenthesis behind MATCH_RECOGNIZE and what stands in it.
fn clauses(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, PlanError> {
    let solid: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !is_blank(token)).collect();
    let is = |place: usize, text: &str| solid.get(place).is_some_and(|token| is_word(token, text));
    let mut rewritten = vec![];
    let mut place = 0;
    while place < solid.len() {
        let token = solid[place];
        place += 1;
        // A measure is that of the whole match anyway.
        if is_word(token, "FINAL") && (is(place, "FIRST") || is(place, "LAST")) {
            continue;
        }
        rewritten.push(token.clone());
        if is_word(token, "TO")
            && place >= 2
            && is(place - 2, "SKIP")
            && !["NEXT", "FIRST", "LAST"].iter().any(|text| is(place, text))
        {
            rewritten.push(word("LAST", None, token.span));
        }
        let is_pattern =
            is_word(token, "PATTERN") && solid.get(place).is_some_and(|next| next.token == Token::LParen);
        if !is_pattern {
            continue;
        }
        let rest: Vec<TokenWithSpan> = solid[place..].iter().map(|token| (*token).clone()).collect();
        let Some(end) = closing(&rest, 0) else { continue };
        rewritten.extend_from_slice(&rest[..=end]);
        rewritten.extend(behind_pattern(&rest[end + 1..])?);
        return Ok(rewritten);
    }
    Ok(rewritten)
}

/// `[WITHIN ..] [SUBSET ..] DEFINE ..`
fn behind_pattern(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, PlanError> {
    let find = |text: &str| tokens.iter().position(|token| is_word(token, text));
    let Some(define) = find("DEFINE") else { return Ok(tokens.to_vec()) };
    if let Some(subset) = find("SUBSET").filter(|subset| *subset < define) {
        return Err(PlanError::not_supported("SUBSET").at(tokens[subset].span));
    }
    match tokens.first() {
        Some(within) if is_word(within, "WITHIN") => {
            let mut rewritten = vec![tokens[define].clone(), word(WITHIN, Some('`'), within.span)];
            rewritten.push(word("AS", None, within.span));
            rewritten.extend_from_slice(&tokens[1..define]);
            rewritten.push(TokenWithSpan { token: Token::Comma, span: within.span });
            rewritten.extend_from_slice(&tokens[define + 1..]);
            Ok(rewritten)
        }
        _ => Ok(tokens.to_vec()),
    }
}

impl DerivedTables {
    /// Puts a name in the place of the query in parentheses at the end of `tokens`, if there is one.
    fn take_query(&mut self, tokens: &mut Vec<TokenWithSpan>) -> Result<(), PlanError> {
        let Some(close) = tokens.iter().rposition(|token| !is_blank(token)) else { return Ok(()) };
        if tokens[close].token != Token::RParen {
            return Ok(());
        }
        let mut depth = 0;
        let open = tokens[..=close].iter().rposition(|token| {
            match token.token {
                Token::RParen => depth += 1,
                Token::LParen => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let Some(open) = open else { return Ok(()) };
        // A word in front makes it the arguments of a function, unless it is one that a table follows.
        let before = tokens[..open].iter().rev().find(|token| !is_blank(token));
        let stands_alone = before.is_none_or(|token| match &token.token {
            Token::Word(_) => ["FROM", "JOIN"].iter().any(|text| is_word(token, text)),
            _ => true,
        });
        if !stands_alone {
            return Ok(());
        }
        let query = tokens.split_off(open);
        let span = query[0].span;
        let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(query.clone());
        let table = parser.parse_table_factor().map_err(|error| convert(error, &query))?;
        tokens.push(word(&format!("{DERIVED}{}", self.0.len()), Some('`'), span));
        self.0.push(Some(table));
        Ok(())
    }

    /// Puts the queries in the places of their names.
    pub(super) fn apply(mut self, statement: &mut StatementKind) {
        if !self.0.is_empty() {
            self.visit(statement);
        }
    }

    fn visit(&mut self, statement: &mut StatementKind) {
        match statement {
            StatementKind::Query(query) | StatementKind::DescribeQuery(query) => self.visit_query(query),
            StatementKind::CreateView(view) => self.visit_query(&mut view.query),
            StatementKind::AlterView(view) => {
                if let ViewChange::As { query, .. } = &mut view.change {
                    self.visit_query(query);
                }
            }
            StatementKind::CreateTable(table) => {
                if let Some(query) = &mut table.query {
                    self.visit_query(query);
                }
            }
            StatementKind::Insert(insert) => self.visit_insert(insert),
            StatementKind::StatementSet(inserts) => {
                inserts.iter_mut().for_each(|insert| self.visit_insert(insert));
            }
            StatementKind::Explain(explain) => self.visit(&mut explain.statement),
            _ => {}
        }
    }

    fn visit_insert(&mut self, insert: &mut Insert) {
        self.visit_query(&mut insert.query);
    }

    fn visit_query(&mut self, query: &mut Query) {
        // The visitor never breaks.
        let _ = walk_mut(query, self);
    }
}

impl VisitorMut for DerivedTables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && let Some(ident) = name.0.first().and_then(|part| part.as_ident())
            && let Some(number) = ident.value.strip_prefix(DERIVED)
            && let Ok(number) = number.parse::<usize>()
            && let Some(table) = self.0.get_mut(number).and_then(Option::take)
        {
            *factor = table;
        }
        ControlFlow::Continue(())
    }
}
