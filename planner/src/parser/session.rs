//! SET, RESET, SHOW, DESCRIBE and USE.

use super::ast::*;
use super::build::{all_columns, select_from};
use super::statement::StatementParser;
use crate::PlanError;
use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::{Span, Token};

impl StatementParser<'_> {
    /// `SET`, `SET 'k' = 'v'`, and as older files have it `SET k.l-m = v`.
    pub(super) fn set(&mut self) -> Result<StatementKind, PlanError> {
        self.expect_word("SET")?;
        if self.parser.peek_token_ref().token == Token::EOF {
            return Ok(StatementKind::Set(vec![]));
        }
        let key = match self.parser.peek_token_ref().token {
            Token::SingleQuotedString(_) => self.string()?,
            _ => self.raw_until(Some(&Token::Eq))?,
        };
        self.expect(&Token::Eq)?;
        let value = match self.parser.peek_token_ref().token {
            Token::SingleQuotedString(_) => self.string()?,
            _ => self.raw_until(None)?,
        };
        Ok(StatementKind::Set(vec![Property { key, value }]))
    }

    pub(super) fn reset(&mut self) -> Result<StatementKind, PlanError> {
        self.expect_word("RESET")?;
        Ok(StatementKind::Reset(match self.parser.peek_token_ref().token {
            Token::EOF => None,
            Token::SingleQuotedString(_) => Some(self.string()?),
            _ => Some(self.raw_until(None)?),
        }))
    }

    /// The text as it stands up to `stop`, or to the end.
    fn raw_until(&mut self, stop: Option<&Token>) -> Result<Text, PlanError> {
        let first = self.parser.peek_token();
        let mut last: Option<Span> = None;
        loop {
            let token = self.parser.peek_token();
            if token.token == Token::EOF || Some(&token.token) == stop {
                break;
            }
            self.parser.advance_token();
            last = Some(token.span);
        }
        let Some(last) = last else { return Err(self.unexpected("'key' = 'value'")) };
        let span = Span::new(first.span.start, last.end);
        Ok(Text { value: self.script.text(first.span, last).to_string(), span })
    }

    pub(super) fn show(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("SHOW")?;
        if self.word("JOBS") {
            return Ok(StatementKind::Client(ClientCommand::ShowJobs));
        }
        let show = match () {
            () if self.words(&["CREATE", "TABLE"]) => Show::CreateTable(self.name()?),
            () if self.words(&["CREATE", "VIEW"]) => Show::CreateView(self.name()?),
            () if self.words(&["CREATE", "CATALOG"]) => Show::CreateCatalog(self.ident()?),
            () if self.words(&["CURRENT", "CATALOG"]) => Show::CurrentCatalog,
            () if self.words(&["CURRENT", "DATABASE"]) => Show::CurrentDatabase,
            () if self.word("TABLES") => {
                Show::Tables { database: self.database()?, pattern: self.pattern()? }
            }
            () if self.word("VIEWS") => Show::Views { database: self.database()?, pattern: self.pattern()? },
            () if self.word("FUNCTIONS") => {
                Show::Functions { database: self.database()?, pattern: self.pattern()? }
            }
            () if self.word("CATALOGS") => Show::Catalogs { pattern: self.pattern()? },
            () if self.word("DATABASES") => {
                let within = self.word("FROM") || self.word("IN");
                let catalog = if within { Some(self.ident()?) } else { None };
                Show::Databases { catalog, pattern: self.pattern()? }
            }
            () if self.word("COLUMNS") => {
                if !self.word("FROM") {
                    self.expect_word("IN")?;
                }
                Show::Columns { table: self.name()?, pattern: self.pattern()? }
            }
            () => return Err(self.unknown_show(start)),
        };
        Ok(StatementKind::Show(show))
    }

    fn unknown_show(&self, start: Span) -> PlanError {
        let word = self.parser.peek_token_ref().token.to_string().to_uppercase();
        let known = [
            "CHECKPOINTS",
            "CREATE",
            "FULL",
            "JARS",
            "MATERIALIZED",
            "MODELS",
            "MODULES",
            "PARTITIONS",
            "PROCEDURES",
            "USER",
        ];
        match known.contains(&word.as_str()) {
            true => PlanError::not_supported(self.rest_from(start)).at(start),
            false => self.unexpected(
                "TABLES, VIEWS, FUNCTIONS, JOBS, CATALOGS, DATABASES, COLUMNS, CREATE TABLE, CREATE VIEW or CURRENT",
            ),
        }
    }

    /// `[FROM|IN [catalog.]database]`
    fn database(&mut self) -> Result<Option<ObjectName>, PlanError> {
        match self.word("FROM") || self.word("IN") {
            true => self.name().map(Some),
            false => Ok(None),
        }
    }

    fn pattern(&mut self) -> Result<Option<Pattern>, PlanError> {
        let negated = self.word("NOT");
        let ignore_case = self.peek_word("ILIKE");
        if !self.word("LIKE") && !self.word("ILIKE") {
            return if negated { Err(self.unexpected("LIKE")) } else { Ok(None) };
        }
        Ok(Some(Pattern { negated, like: self.string()?.value, ignore_case }))
    }

    /// `DESCRIBE [EXTENDED] t`
    pub(super) fn describe(&mut self) -> Result<StatementKind, PlanError> {
        self.parser.advance_token();
        let next = self.parser.peek_nth_token_ref(1);
        if self.peek_word("CATALOG") && !matches!(next.token, Token::EOF | Token::Period) {
            self.parser.advance_token();
            let next = self.parser.peek_nth_token_ref(1);
            let extended = self.peek_word("EXTENDED") && next.token != Token::EOF;
            if extended {
                self.parser.advance_token();
            }
            return Ok(StatementKind::Show(Show::Catalog { name: self.ident()?, extended }));
        }
        if self.peek_query() {
            return Ok(StatementKind::DescribeQuery(self.query()?));
        }
        if self.peek_word("CHECKPOINT") && self.parser.peek_nth_token_ref(1).token == Token::LParen {
            let relation = self.parser.parse_table_factor().map_err(|error| self.convert(error))?;
            return Ok(StatementKind::DescribeQuery(Box::new(select_from(relation, all_columns(), None))));
        }
        for word in ["DATABASE", "FUNCTION", "JOB", "MODEL"] {
            let next = self.parser.peek_nth_token_ref(1);
            if self.peek_word(word) && !matches!(next.token, Token::EOF | Token::Period) {
                let span = self.parser.peek_token().span;
                return Err(PlanError::not_supported(format!("DESCRIBE {word}")).at(span));
            }
        }
        if self.peek_word("EXTENDED") && self.parser.peek_nth_token_ref(1).token != Token::EOF {
            self.parser.advance_token();
        }
        Ok(StatementKind::Describe(self.name()?))
    }

    pub(super) fn use_statement(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("USE")?;
        if self.peek_word("MODULES") && self.parser.peek_nth_token_ref(1).token != Token::EOF {
            return Err(PlanError::not_supported("USE MODULES").at(start));
        }
        if self.peek_word("CATALOG") && self.parser.peek_nth_token_ref(1).token != Token::EOF {
            self.parser.advance_token();
            return Ok(StatementKind::Use(UseStatement::Catalog(self.ident()?)));
        }
        Ok(StatementKind::Use(UseStatement::Database(self.name()?)))
    }
}
