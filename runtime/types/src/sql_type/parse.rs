//! SQL types from the text that they are displayed as.

use super::{SqlField, SqlType};
use std::str::FromStr;

/// A text that no type is displayed as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no SQL type: {what} at byte {offset}")]
pub struct TypeTextError {
    text: String,
    offset: usize,
    what: &'static str,
}

impl FromStr for SqlType {
    type Err = TypeTextError;

    /// The inverse of `Display`: what is persisted is that text.
    fn from_str(text: &str) -> Result<SqlType, TypeTextError> {
        let mut cursor = Cursor { text, offset: 0 };
        let sql_type = cursor.sql_type()?;
        if cursor.rest().is_empty() { Ok(sql_type) } else { Err(cursor.error("something behind it")) }
    }
}

/// Types inside of types are not deeper than this.
const DEPTH: usize = 64;

struct Cursor<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn error(&self, what: &'static str) -> TypeTextError {
        TypeTextError { text: self.text.to_string(), offset: self.offset, what }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.offset += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str, what: &'static str) -> Result<(), TypeTextError> {
        if self.take(token) { Ok(()) } else { Err(self.error(what)) }
    }

    fn number<T: FromStr>(&mut self) -> Result<T, TypeTextError> {
        let end = self.rest().find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest().len());
        let number = self.rest()[..end].parse().map_err(|_| self.error("no number"))?;
        self.offset += end;
        Ok(number)
    }

    /// `(n)`
    fn parameter<T: FromStr>(&mut self) -> Result<T, TypeTextError> {
        self.expect("(", "no parameter")?;
        let number = self.number()?;
        self.expect(")", "no closing parenthesis")?;
        Ok(number)
    }

    fn sql_type(&mut self) -> Result<SqlType, TypeTextError> {
        self.sql_type_at(0)
    }

    fn sql_type_at(&mut self, depth: usize) -> Result<SqlType, TypeTextError> {
        if depth > DEPTH {
            return Err(self.error("too many types inside of types"));
        }
        let plain = [
            ("INTERVAL YEAR TO MONTH", SqlType::IntervalYearMonth),
            ("INTERVAL DAY TO SECOND(3)", SqlType::IntervalDayTime),
            ("NULL", SqlType::Null),
            ("BOOLEAN", SqlType::Boolean),
            ("TINYINT", SqlType::TinyInt),
            ("SMALLINT", SqlType::SmallInt),
            ("BIGINT", SqlType::BigInt),
            ("INT", SqlType::Int),
            ("FLOAT", SqlType::Float),
            ("DOUBLE", SqlType::Double),
            ("STRING", SqlType::STRING),
            ("BYTES", SqlType::BYTES),
            ("DATE", SqlType::Date),
        ];
        if let Some((_, sql_type)) = plain.into_iter().find(|(name, _)| self.take(name)) {
            return Ok(sql_type);
        }
        if self.take("DECIMAL(") {
            let precision = self.number()?;
            self.expect(", ", "no scale")?;
            let scale = self.number()?;
            self.expect(")", "no closing parenthesis")?;
            return Ok(SqlType::Decimal { precision, scale });
        }
        if self.take("ARRAY<") {
            let element = self.element("item", depth)?;
            self.expect(">", "no closing bracket")?;
            return Ok(SqlType::Array(Box::new(element)));
        }
        if self.take("MAP<") {
            let key = self.element("key", depth)?;
            self.expect(", ", "no type of the values")?;
            let value = self.element("value", depth)?;
            self.expect(">", "no closing bracket")?;
            return Ok(SqlType::Map(Box::new(key), Box::new(value)));
        }
        if self.take("MULTISET<") {
            let element = self.element("key", depth)?;
            self.expect(">", "no closing bracket")?;
            return Ok(SqlType::Multiset(Box::new(element)));
        }
        if self.take("ROW<") {
            return self.row(depth);
        }
        self.with_parameter()
    }

    fn with_parameter(&mut self) -> Result<SqlType, TypeTextError> {
        if self.take("VARCHAR") {
            return Ok(SqlType::Varchar(self.parameter()?));
        }
        if self.take("CHAR") {
            return Ok(SqlType::Char(self.parameter()?));
        }
        if self.take("VARBINARY") {
            return Ok(SqlType::Varbinary(self.parameter()?));
        }
        if self.take("BINARY") {
            return Ok(SqlType::Binary(self.parameter()?));
        }
        if self.take("TIMESTAMP_LTZ") {
            return Ok(SqlType::TimestampLtz(self.parameter()?));
        }
        if self.take("TIMESTAMP") {
            return Ok(SqlType::Timestamp(self.parameter()?));
        }
        if self.take("TIME") {
            return Ok(SqlType::Time(self.parameter()?));
        }
        Err(self.error("an unknown type"))
    }

    /// A type with its nullability.
    fn element(&mut self, name: &str, depth: usize) -> Result<SqlField, TypeTextError> {
        let sql_type = self.sql_type_at(depth + 1)?;
        let nullable = !self.take(" NOT NULL");
        Ok(SqlField::new(name, sql_type, nullable))
    }

    /// The fields of a ROW: a backtick ends a name if a blank follows that begins a type.
    fn row(&mut self, depth: usize) -> Result<SqlType, TypeTextError> {
        let mut fields = Vec::new();
        if self.take(">") {
            return Ok(SqlType::Row(fields));
        }
        loop {
            self.expect("`", "no name of a field")?;
            let end = self.rest().find("` ").ok_or_else(|| self.error("no end of a field's name"))?;
            let name = &self.rest()[..end];
            self.offset += end + 2;
            fields.push(self.element(name, depth)?);
            if self.take(">") {
                return Ok(SqlType::Row(fields));
            }
            self.expect(", ", "no further field")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_displayed() {
        let field = |name: &str, sql_type, nullable| SqlField::new(name, sql_type, nullable);
        let row = SqlType::Row(vec![
            field("a b", SqlType::Timestamp(2), false),
            field("c", SqlType::Array(Box::new(field("item", SqlType::Char(2), true))), true),
        ]);
        let types = [
            SqlType::Null,
            SqlType::Boolean,
            SqlType::TinyInt,
            SqlType::SmallInt,
            SqlType::Int,
            SqlType::BigInt,
            SqlType::Float,
            SqlType::Double,
            SqlType::Decimal { precision: 38, scale: 6 },
            SqlType::Char(3),
            SqlType::Varchar(10),
            SqlType::STRING,
            SqlType::Binary(4),
            SqlType::Varbinary(5),
            SqlType::BYTES,
            SqlType::Date,
            SqlType::Time(0),
            SqlType::Timestamp(9),
            SqlType::TimestampLtz(3),
            SqlType::IntervalYearMonth,
            SqlType::IntervalDayTime,
            SqlType::Multiset(Box::new(field("key", SqlType::STRING, false))),
            SqlType::Map(
                Box::new(field("key", SqlType::Int, false)),
                Box::new(field("value", row.clone(), true)),
            ),
            SqlType::Row(vec![]),
            row,
        ];
        for sql_type in types {
            assert_eq!(sql_type.to_string().parse(), Ok(sql_type));
        }
    }

    #[test]
    fn other_texts_say_where_they_go_wrong() {
        let error = |text: &str| text.parse::<SqlType>().expect_err("no type").to_string();
        assert_eq!(error("BIGNUM"), "`BIGNUM` is no SQL type: an unknown type at byte 0");
        assert_eq!(error("ARRAY<INT"), "`ARRAY<INT` is no SQL type: no closing bracket at byte 9");
        assert_eq!(error("CHAR(x)"), "`CHAR(x)` is no SQL type: no number at byte 5");
        assert_eq!(error("INT2"), "`INT2` is no SQL type: something behind it at byte 3");
        let deep = "ARRAY<".repeat(100_000);
        assert!(error(&deep).contains("too many types inside of types"));
    }
}
