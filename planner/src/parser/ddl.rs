//! CREATE, DROP and ALTER.

use super::ast::*;
use super::statement::StatementParser;
use super::types::parse_type;
use crate::PlanError;
use sqlparser::ast::Ident;
use sqlparser::tokenizer::{Span, Token};
use weir_types::SqlField;

/// What stands between the parentheses of CREATE TABLE.
#[derive(Default)]
struct TableElements {
    columns: Vec<ColumnDefinition>,
    /// where ALTER TABLE puts each of them
    places: Vec<ColumnPlace>,
    /// names without a type
    order: Vec<Ident>,
    watermark: Option<WatermarkDefinition>,
    primary_key: Option<PrimaryKey>,
}

impl StatementParser<'_> {
    pub(super) fn create(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("CREATE")?;
        let or_replace = self.words(&["OR", "REPLACE"]);
        let temporary = self.word("TEMPORARY");
        let system = temporary && self.word("SYSTEM");
        if self.peek_word("TABLE") && !or_replace {
            self.parser.advance_token();
            return self.create_table(temporary).map(|table| StatementKind::CreateTable(Box::new(table)));
        }
        if self.word("VIEW") {
            return self.create_view(temporary, or_replace).map(StatementKind::CreateView);
        }
        if !or_replace && !temporary && (self.peek_word("CATALOG") || self.peek_word("DATABASE")) {
            return self.create_database().map(StatementKind::Database);
        }
        let kind = self.parser.peek_token_ref().token.to_string().to_uppercase();
        let known =
            ["TABLE", "FUNCTION", "DATABASE", "CATALOG", "MODEL", "MATERIALIZED", "SAVEPOINT", "CONNECTION"];
        match system || known.contains(&kind.as_str()) {
            true if or_replace => {
                Err(PlanError::not_supported(format!("CREATE OR REPLACE {kind}")).at(start))
            }
            true => Err(PlanError::not_supported(format!("CREATE {kind}")).at(start)),
            false => Err(self.unexpected("TABLE or VIEW")),
        }
    }

    pub(super) fn if_not_exists(&mut self) -> Result<bool, PlanError> {
        match self.word("IF") {
            true => {
                self.expect_word("NOT")?;
                self.expect_word("EXISTS")?;
                Ok(true)
            }
            false => Ok(false),
        }
    }

    pub(super) fn if_exists(&mut self) -> Result<bool, PlanError> {
        match self.word("IF") {
            true => self.expect_word("EXISTS").map(|_| true),
            false => Ok(false),
        }
    }

    pub(super) fn comment(&mut self) -> Result<Option<String>, PlanError> {
        match self.word("COMMENT") {
            true => Ok(Some(self.string()?.value)),
            false => Ok(None),
        }
    }

    fn create_table(&mut self, temporary: bool) -> Result<CreateTable, PlanError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        let elements = match self.parser.peek_token_ref().token {
            Token::LParen => self.table_elements()?,
            _ => TableElements::default(),
        };
        let comment = self.comment()?;
        if self.peek_word("DISTRIBUTED") {
            let span = self.parser.peek_token().span;
            return Err(PlanError::not_supported("DISTRIBUTED BY").at(span));
        }
        let partition_keys = match self.words(&["PARTITIONED", "BY"]) {
            true => self.idents()?,
            false => vec![],
        };
        let options = match self.word("WITH") {
            true => self.properties()?,
            false => vec![],
        };
        let like = match self.word("LIKE") {
            true => Some(self.table_like()?),
            false => None,
        };
        let query = match self.word("AS") {
            true if like.is_some() => return Err(self.unexpected("either LIKE or AS")),
            true => Some(self.query()?),
            false => None,
        };
        if let Some(name) = elements.order.first().filter(|_| query.is_none() || !elements.columns.is_empty())
        {
            let message = format!(
                "column '{}' has no type: names alone are for CREATE TABLE .. AS, all of the query's columns",
                name.value
            );
            return Err(PlanError::syntax(message).at(name.span));
        }
        Ok(CreateTable {
            name,
            temporary,
            if_not_exists,
            columns: elements.columns,
            order: elements.order,
            watermark: elements.watermark,
            primary_key: elements.primary_key,
            comment,
            partition_keys,
            options,
            like,
            query,
        })
    }

    fn table_elements(&mut self) -> Result<TableElements, PlanError> {
        let mut elements = TableElements::default();
        self.expect(&Token::LParen)?;
        if self.parser.peek_token_ref().token == Token::RParen {
            return Err(self.unexpected("a column"));
        }
        loop {
            self.table_element(&mut elements)?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        match self.parser.consume_token(&Token::RParen) {
            true => Ok(elements),
            false => Err(self.unexpected("`,` or `)`")),
        }
    }

    fn table_element(&mut self, elements: &mut TableElements) -> Result<(), PlanError> {
        let start = self.parser.peek_token().span;
        if self.words(&["WATERMARK", "FOR"]) {
            let column = self.ident()?;
            if self.parser.peek_token_ref().token == Token::Period {
                return Err(PlanError::not_supported("a watermark for a field of a ROW").at(column.span));
            }
            self.expect_word("AS")?;
            let watermark = WatermarkDefinition { column, expr: self.expr()? };
            return match elements.watermark.replace(watermark) {
                Some(_) => Err(PlanError::invalid("a table has one watermark at most").at(start)),
                None => Ok(()),
            };
        }
        if self.word("CONSTRAINT") {
            self.ident()?;
            if !self.peek_word("PRIMARY") && !self.peek_word("UNIQUE") {
                return Err(self.unexpected("PRIMARY KEY"));
            }
        }
        if self.peek_word("UNIQUE") && self.parser.peek_nth_token_ref(1).token == Token::LParen {
            return Err(PlanError::not_supported("UNIQUE constraints").at(start));
        }
        if self.words(&["PRIMARY", "KEY"]) {
            let columns = self.idents()?;
            self.not_enforced(start)?;
            return set_primary_key(elements, PrimaryKey { columns, span: start });
        }
        self.column(elements)
    }

    fn not_enforced(&mut self, key: Span) -> Result<(), PlanError> {
        if self.words(&["NOT", "ENFORCED"]) {
            return Ok(());
        }
        let message = "PRIMARY KEY must be followed by NOT ENFORCED: keys are declared, and not checked";
        Err(PlanError::invalid(message).at(key))
    }

    fn column(&mut self, elements: &mut TableElements) -> Result<(), PlanError> {
        let name = self.ident()?;
        if matches!(self.parser.peek_token_ref().token, Token::Comma | Token::RParen) {
            elements.order.push(name);
            return Ok(());
        }
        let kind = match self.word("AS") {
            true => ColumnDefinitionKind::Computed { expr: Box::new(self.expr()?) },
            false => self.typed_column(&name, elements)?,
        };
        let comment = self.comment()?;
        elements.columns.push(ColumnDefinition { name, kind, comment });
        Ok(())
    }

    fn typed_column(
        &mut self,
        name: &Ident,
        elements: &mut TableElements,
    ) -> Result<ColumnDefinitionKind, PlanError> {
        let field = parse_type(&mut self.parser).map_err(|error| self.convert(error))?;
        let field = SqlField { name: name.value.clone(), ..field };
        if self.word("METADATA") {
            let key = match self.word("FROM") {
                true => Some(self.string()?),
                false => None,
            };
            return Ok(ColumnDefinitionKind::Metadata { field, key, is_virtual: self.word("VIRTUAL") });
        }
        if self.word("CONSTRAINT") {
            self.ident()?;
        }
        let start = self.parser.peek_token().span;
        if self.words(&["PRIMARY", "KEY"]) {
            self.not_enforced(start)?;
            set_primary_key(elements, PrimaryKey { columns: vec![name.clone()], span: start })?;
        }
        if self.peek_word("DEFAULT") || self.peek_word("UNIQUE") {
            let token = self.parser.peek_token();
            return Err(PlanError::not_supported(format!("{} of a column", token.token)).at(token.span));
        }
        Ok(ColumnDefinitionKind::Physical { field })
    }

    /// `t [(INCLUDING|EXCLUDING|OVERWRITING feature ..)]`
    fn table_like(&mut self) -> Result<TableLike, PlanError> {
        let table = self.name()?;
        let mut options: Vec<(LikeMode, LikeFeature, Span)> = vec![];
        if self.parser.consume_token(&Token::LParen) {
            while !self.parser.consume_token(&Token::RParen) {
                let span = self.parser.peek_token().span;
                let mode = match () {
                    () if self.word("INCLUDING") => LikeMode::Including,
                    () if self.word("EXCLUDING") => LikeMode::Excluding,
                    () if self.word("OVERWRITING") => LikeMode::Overwriting,
                    () => return Err(self.unexpected("INCLUDING, EXCLUDING, OVERWRITING or `)`")),
                };
                let features = [
                    ("ALL", LikeFeature::All),
                    ("CONSTRAINTS", LikeFeature::Constraints),
                    ("DISTRIBUTION", LikeFeature::Distribution),
                    ("GENERATED", LikeFeature::Generated),
                    ("METADATA", LikeFeature::Metadata),
                    ("OPTIONS", LikeFeature::Options),
                    ("PARTITIONS", LikeFeature::Partitions),
                    ("WATERMARKS", LikeFeature::Watermarks),
                ];
                let feature = features.into_iter().find(|(word, _)| self.word(word));
                let Some((_, feature)) = feature else {
                    return Err(self.unexpected(
                        "ALL, CONSTRAINTS, GENERATED, METADATA, OPTIONS, PARTITIONS or WATERMARKS",
                    ));
                };
                options.push((mode, feature, span));
            }
        }
        Ok(TableLike { table, options })
    }

    fn create_view(&mut self, temporary: bool, or_replace: bool) -> Result<CreateView, PlanError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        let columns = match self.parser.peek_token_ref().token {
            Token::LParen => self.idents()?,
            _ => vec![],
        };
        let comment = self.comment()?;
        self.expect_word("AS")?;
        let (query, query_text) = self.query_with_text()?;
        Ok(CreateView { name, temporary, or_replace, if_not_exists, columns, comment, query, query_text })
    }

    pub(super) fn drop_statement(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("DROP")?;
        let temporary = self.word("TEMPORARY");
        if !temporary && (self.peek_word("CATALOG") || self.peek_word("DATABASE")) {
            return self.drop_database().map(StatementKind::Database);
        }
        let kind = match () {
            () if self.word("TABLE") => ObjectKind::Table,
            () if self.word("VIEW") => ObjectKind::View,
            () => {
                let kind = self.parser.peek_token_ref().token.to_string().to_uppercase();
                let known =
                    ["FUNCTION", "DATABASE", "CATALOG", "MODEL", "MATERIALIZED", "SYSTEM", "CHECKPOINT"];
                return match known.contains(&kind.as_str()) {
                    true => Err(PlanError::not_supported(format!("DROP {kind}")).at(start)),
                    false => Err(self.unexpected("TABLE, VIEW, DATABASE or CATALOG")),
                };
            }
        };
        let if_exists = self.if_exists()?;
        let name = self.name()?;
        Ok(StatementKind::Drop(DropStatement { kind, name, temporary, if_exists }))
    }

    pub(super) fn alter(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("ALTER")?;
        if self.word("VIEW") {
            let name = self.name()?;
            let change = match self.words(&["RENAME", "TO"]) {
                true => ViewChange::Rename(self.name()?),
                false => {
                    self.expect_word("AS")?;
                    let (query, query_text) = self.query_with_text()?;
                    ViewChange::As { query, query_text }
                }
            };
            return Ok(StatementKind::AlterView(AlterView { name, change }));
        }
        if self.word("DATABASE") {
            return self.alter_database().map(StatementKind::Database);
        }
        if !self.word("TABLE") {
            let kind = self.parser.peek_token_ref().token.to_string().to_uppercase();
            return match ["FUNCTION", "CATALOG", "MODEL", "MATERIALIZED"].contains(&kind.as_str()) {
                true => Err(PlanError::not_supported(format!("ALTER {kind}")).at(start)),
                false => Err(self.unexpected("TABLE or VIEW")),
            };
        }
        let if_exists = self.if_exists()?;
        let name = self.name()?;
        let change = self.table_change()?;
        Ok(StatementKind::AlterTable(Box::new(AlterTable { name, if_exists, change })))
    }

    fn table_change(&mut self) -> Result<TableChange, PlanError> {
        let token = self.parser.peek_token();
        if self.word("SET") {
            return Ok(TableChange::Set(self.properties()?));
        }
        if self.word("RESET") {
            self.expect(&Token::LParen)?;
            let mut keys = vec![self.string()?];
            while self.parser.consume_token(&Token::Comma) {
                keys.push(self.string()?);
            }
            self.expect(&Token::RParen)?;
            return Ok(TableChange::Reset(keys));
        }
        if self.words(&["RENAME", "TO"]) {
            return Ok(TableChange::Rename(self.name()?));
        }
        if self.word("RENAME") {
            let from = self.ident()?;
            self.expect_word("TO")?;
            return Ok(TableChange::RenameColumn { from, to: self.ident()? });
        }
        match () {
            () if self.word("ADD") => Ok(TableChange::Add(self.altered(token.span)?)),
            () if self.word("MODIFY") => Ok(TableChange::Modify(self.altered(token.span)?)),
            () if self.word("DROP") => self.dropped(token.span),
            () => Err(self.unexpected("SET, RESET, RENAME, ADD, MODIFY or DROP")),
        }
    }

    /// `element` or `(element, ..)` behind ADD or MODIFY, each a column with its place, a key or a watermark.
    fn altered(&mut self, start: Span) -> Result<AlteredElements, PlanError> {
        for word in ["PARTITION", "DISTRIBUTION", "IF"] {
            if self.peek_word(word) {
                return Err(
                    PlanError::not_supported(format!("ALTER TABLE .. ADD or MODIFY {word}")).at(start)
                );
            }
        }
        let mut elements = TableElements::default();
        let several = self.parser.consume_token(&Token::LParen);
        loop {
            self.table_element(&mut elements)?;
            if let Some(name) = elements.order.first() {
                let message = format!("column '{}' has no type", name.value);
                return Err(PlanError::syntax(message).at(name.span));
            }
            if elements.places.len() < elements.columns.len() {
                let place = match () {
                    () if self.word("FIRST") => ColumnPlace::First,
                    () if self.word("AFTER") => ColumnPlace::After(self.ident()?),
                    () => ColumnPlace::AsItIs,
                };
                elements.places.push(place);
            }
            if !several || !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if several {
            self.expect(&Token::RParen)?;
        }
        Ok(AlteredElements {
            columns: elements.columns.into_iter().zip(elements.places).collect(),
            watermark: elements.watermark,
            primary_key: elements.primary_key,
            span: start,
        })
    }

    /// Behind DROP of ALTER TABLE.
    fn dropped(&mut self, start: Span) -> Result<TableChange, PlanError> {
        if self.words(&["PRIMARY", "KEY"]) {
            return Ok(TableChange::DropPrimaryKey(start));
        }
        if self.word("WATERMARK") {
            return Ok(TableChange::DropWatermark(start));
        }
        for word in ["PARTITION", "DISTRIBUTION", "CONSTRAINT", "IF"] {
            if self.peek_word(word) {
                let instead = if word == "CONSTRAINT" { ", write DROP PRIMARY KEY" } else { "" };
                let what = format!("ALTER TABLE .. DROP {word}{instead}");
                return Err(PlanError::not_supported(what).at(start));
            }
        }
        match self.parser.peek_token_ref().token {
            Token::LParen => Ok(TableChange::DropColumns(self.idents()?)),
            _ => Ok(TableChange::DropColumns(vec![self.ident()?])),
        }
    }
}

fn set_primary_key(elements: &mut TableElements, key: PrimaryKey) -> Result<(), PlanError> {
    let span = key.span;
    match elements.primary_key.replace(key) {
        Some(_) => Err(PlanError::invalid("a table has one PRIMARY KEY at most").at(span)),
        None => Ok(()),
    }
}
