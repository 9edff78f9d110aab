//! Flink's type syntax.

use super::dialect::FlinkDialect;
use sqlparser::ast::DataType;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use weir_types::{SqlField, SqlType};

/// Digits of a DECIMAL at most.
const MAX_DECIMAL: u64 = 38;
/// Digits of a second at most.
const MAX_FRACTION: u64 = 9;

/// A type with `[NOT NULL]`; the field has no name.
pub(crate) fn parse_type(parser: &mut Parser) -> Result<SqlField, ParserError> {
    let mut types = TypeParser { parser, half_closed: false };
    let field = types.field("")?;
    match types.half_closed {
        true => types.parser.expected_ref("the end of the type", types.parser.get_current_token()),
        false => Ok(field),
    }
}

/// The type that a cast of the statement parser names (`CAST(x AS type)`); `None` for a type of sqlparser's own.
pub(crate) fn cast_type(data_type: &DataType) -> Option<SqlField> {
    let DataType::Custom(name, _) = data_type else { return None };
    let [part] = &name.0[..] else { return None };
    let mut parser = Parser::new(&FlinkDialect).try_with_sql(&part.as_ident()?.value).ok()?;
    parse_type(&mut parser).ok()
}

struct TypeParser<'p, 'a> {
    parser: &'p mut Parser<'a>,
    /// one half of a `>>` has been used to close a type
    half_closed: bool,
}

impl TypeParser<'_, '_> {
    fn field(&mut self, name: &str) -> Result<SqlField, ParserError> {
        let sql_type = self.plain()?;
        let mut field = self.nullable(name, sql_type)?;
        // Collections of the standard: `INT ARRAY`, `INT MULTISET`.
        loop {
            if self.half_closed {
                return Ok(field);
            }
            let element = |field: SqlField| Box::new(SqlField { name: "item".into(), ..field });
            let sql_type = if self.word("ARRAY") {
                SqlType::Array(element(field))
            } else if self.word("MULTISET") {
                SqlType::Multiset(element(field))
            } else {
                return Ok(field);
            };
            field = self.nullable(name, sql_type)?;
        }
    }

    fn nullable(&mut self, name: &str, sql_type: SqlType) -> Result<SqlField, ParserError> {
        let not_null = !self.half_closed && self.word("NOT");
        if not_null {
            self.expect_word("NULL")?;
        } else if !self.half_closed {
            self.word("NULL");
        }
        Ok(SqlField::new(name, sql_type, !not_null))
    }

    fn plain(&mut self) -> Result<SqlType, ParserError> {
        let token = self.parser.next_token();
        let Token::Word(word) = &token.token else { return self.parser.expected("a type", token) };
        if word.quote_style.is_some() {
            return self.unknown(&token);
        }
        Ok(match word.value.to_uppercase().as_str() {
            "BOOLEAN" => SqlType::Boolean,
            "TINYINT" => SqlType::TinyInt,
            "SMALLINT" => SqlType::SmallInt,
            "INT" | "INTEGER" => SqlType::Int,
            "BIGINT" => SqlType::BigInt,
            "FLOAT" => SqlType::Float,
            "DOUBLE" => {
                self.word("PRECISION");
                SqlType::Double
            }
            "DECIMAL" | "DEC" | "NUMERIC" => self.decimal()?,
            "CHAR" | "CHARACTER" => match self.word("VARYING") {
                true => SqlType::Varchar(self.length(SqlType::MAX_LENGTH)?),
                false => SqlType::Char(self.length(1)?),
            },
            "VARCHAR" => SqlType::Varchar(self.length(SqlType::MAX_LENGTH)?),
            "STRING" => SqlType::STRING,
            "BINARY" => SqlType::Binary(self.length(1)?),
            "VARBINARY" => SqlType::Varbinary(self.length(SqlType::MAX_LENGTH)?),
            "BYTES" => SqlType::BYTES,
            "DATE" => SqlType::Date,
            "TIME" => self.time()?,
            "TIMESTAMP" => self.timestamp(&token)?,
            "TIMESTAMP_LTZ" => SqlType::TimestampLtz(self.fraction(6)?),
            "INTERVAL" => self.interval()?,
            "ARRAY" => {
                self.open()?;
                let element = self.field("item")?;
                self.close()?;
                SqlType::Array(Box::new(element))
            }
            "MULTISET" => {
                self.open()?;
                let element = self.field("item")?;
                self.close()?;
                SqlType::Multiset(Box::new(element))
            }
            "MAP" => {
                self.open()?;
                let key = self.field("key")?;
                self.parser.expect_token(&Token::Comma)?;
                let value = self.field("value")?;
                self.close()?;
                SqlType::Map(Box::new(key), Box::new(value))
            }
            "ROW" => self.row()?,
            "NULL" => SqlType::Null,
            _ => return self.unknown(&token),
        })
    }

    fn unknown<T>(&self, token: &TokenWithSpan) -> Result<T, ParserError> {
        let known = [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL",
            "CHAR",
            "VARCHAR",
            "STRING",
            "BINARY",
            "VARBINARY",
            "BYTES",
            "DATE",
            "TIME",
            "TIMESTAMP",
            "TIMESTAMP_LTZ",
            "INTERVAL",
            "ARRAY",
            "MULTISET",
            "MAP",
            "ROW",
        ];
        let name = token.token.to_string();
        let nearest = weir_types::did_you_mean(&name, known);
        fail(token, format!("unknown type '{name}'{nearest}"))
    }

    /// `<a INT, b STRING>` or `(a INT, b STRING)`
    fn row(&mut self) -> Result<SqlType, ParserError> {
        let round = self.parser.consume_token(&Token::LParen);
        if !round && self.parser.consume_token(&Token::Neq) {
            return Ok(SqlType::Row(vec![]));
        }
        if !round {
            self.open()?;
        }
        let mut fields: Vec<SqlField> = vec![];
        loop {
            let name = self.parser.parse_identifier()?;
            if fields.iter().any(|field| field.name == name.value) {
                let message = format!("duplicate field '{}' in a ROW type{}", name.value, name.span.start);
                return Err(ParserError::ParserError(message));
            }
            let field = self.field(&name.value)?;
            fields.push(field);
            if !self.half_closed && matches!(self.parser.peek_token_ref().token, Token::SingleQuotedString(_))
            {
                self.parser.advance_token();
            }
            if self.half_closed || !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        match round {
            true => self.parser.expect_token(&Token::RParen).map(|_| ())?,
            false => self.close()?,
        }
        Ok(SqlType::Row(fields))
    }

    fn decimal(&mut self) -> Result<SqlType, ParserError> {
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(SqlType::Decimal { precision: 10, scale: 0 });
        }
        let precision = self.number("the precision of a DECIMAL", 1, MAX_DECIMAL)?;
        let scale = match self.parser.consume_token(&Token::Comma) {
            true => self.number("the scale of a DECIMAL", 0, precision)?,
            false => 0,
        };
        self.parser.expect_token(&Token::RParen)?;
        Ok(SqlType::Decimal { precision: precision as u8, scale: scale as i8 })
    }

    fn time(&mut self) -> Result<SqlType, ParserError> {
        // As in Flink, a precision may be written and makes no difference.
        self.fraction(0)?;
        if self.word("WITHOUT") {
            self.expect_word("TIME")?;
            self.expect_word("ZONE")?;
        }
        Ok(SqlType::Time(0))
    }

    fn timestamp(&mut self, token: &TokenWithSpan) -> Result<SqlType, ParserError> {
        let precision = self.fraction(6)?;
        if self.word("WITHOUT") {
            self.expect_word("TIME")?;
            self.expect_word("ZONE")?;
        } else if self.word("WITH") {
            if !self.word("LOCAL") {
                let message = "not supported yet: TIMESTAMP WITH TIME ZONE, use TIMESTAMP_LTZ";
                return fail(token, message.to_string());
            }
            self.expect_word("TIME")?;
            self.expect_word("ZONE")?;
            return Ok(SqlType::TimestampLtz(precision));
        }
        Ok(SqlType::Timestamp(precision))
    }

    /// `INTERVAL YEAR TO MONTH`, `INTERVAL DAY TO SECOND(3)`, and their parts by themselves.
    fn interval(&mut self) -> Result<SqlType, ParserError> {
        let mut sql_type = None;
        for _ in 0..2 {
            let token = self.parser.next_token();
            sql_type = Some(match token.token.to_string().to_uppercase().as_str() {
                "YEAR" | "QUARTER" | "MONTH" => SqlType::IntervalYearMonth,
                "WEEK" | "DAY" | "HOUR" | "MINUTE" | "SECOND" => SqlType::IntervalDayTime,
                _ => return self.parser.expected("a unit of time", token),
            });
            self.fraction(3)?;
            if !self.word("TO") {
                break;
            }
        }
        sql_type.map_or_else(|| self.parser.expected_ref("a unit of time", self.parser.peek_token_ref()), Ok)
    }

    fn length(&mut self, default: u32) -> Result<u32, ParserError> {
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(default);
        }
        let length = self.number("a length", 1, u64::from(SqlType::MAX_LENGTH))?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(length as u32)
    }

    /// Digits of the second's fraction.
    fn fraction(&mut self, default: u8) -> Result<u8, ParserError> {
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(default);
        }
        let digits = self.number("the precision of a time", 0, MAX_FRACTION)?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(digits as u8)
    }

    fn number(&mut self, what: &str, min: u64, max: u64) -> Result<u64, ParserError> {
        let token = self.parser.next_token();
        let Token::Number(digits, _) = &token.token else { return self.parser.expected(what, token) };
        match digits.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => fail(&token, format!("{what} is between {min} and {max}, not {digits}")),
        }
    }

    fn open(&mut self) -> Result<(), ParserError> {
        self.parser.expect_token(&Token::Lt).map(|_| ())
    }

    /// `>`, or one half of a `>>`.
    fn close(&mut self) -> Result<(), ParserError> {
        if std::mem::take(&mut self.half_closed) {
            return Ok(());
        }
        if self.parser.consume_token(&Token::ShiftRight) {
            self.half_closed = true;
            return Ok(());
        }
        self.parser.expect_token(&Token::Gt).map(|_| ())
    }

    fn word(&mut self, expected: &str) -> bool {
        let found = matches!(&self.parser.peek_token_ref().token,
            Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected));
        if found {
            self.parser.advance_token();
        }
        found
    }

    fn expect_word(&mut self, expected: &str) -> Result<(), ParserError> {
        match self.word(expected) {
            true => Ok(()),
            false => self.parser.expected_ref(expected, self.parser.peek_token_ref()),
        }
    }
}

fn fail<T>(token: &TokenWithSpan, message: String) -> Result<T, ParserError> {
    Err(ParserError::ParserError(format!("{message}{}", token.span.start)))
}
