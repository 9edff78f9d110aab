//! SQL types and their Arrow representation.
//!
//! | SQL | Arrow |
//! | --- | --- |
//! | BOOLEAN | Boolean |
//! | TINYINT, SMALLINT, INT, BIGINT | Int8, Int16, Int32, Int64 |
//! | FLOAT, DOUBLE | Float32, Float64 |
//! | DECIMAL(p, s) | Decimal128(p, s) |
//! | CHAR(n), VARCHAR(n), STRING | Utf8 |
//! | BINARY(n), VARBINARY(n), BYTES | Binary |
//! | DATE | Date32 |
//! | TIME(p) | Time32(Millisecond) |
//! | TIMESTAMP(p) | Timestamp(second, milli-, micro-, nanosecond for p = 0, 1-3, 4-6, 7-9) |
//! | TIMESTAMP_LTZ(p) | the same with time zone `UTC` |
//! | INTERVAL year-month, day-time | Interval(YearMonth), Duration(Millisecond) |
//! | ARRAY, MAP, ROW | List, Map, Struct |
//! | MULTISET\<t\> | Map of t to Int32 |
//!
//! Where Arrow says less than SQL (CHAR against VARCHAR, TIMESTAMP(1), MULTISET), the field's metadata carries the SQL
//! type under [`TYPE_KEY`]; a time attribute is marked under [`TIME_ATTRIBUTE_KEY`].

mod parse;

pub use parse::TypeTextError;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
#[allow(clippy::disallowed_types, reason = "the type of Arrow metadata")]
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Key of a field's metadata: the SQL type, where the Arrow type alone does not tell it.
pub const TYPE_KEY: &str = "weir.type";
/// Key of a field's metadata: `rowtime` or `proctime`.
pub const TIME_ATTRIBUTE_KEY: &str = "weir.time";
/// Key of a field's metadata: the SQL expression that the column holds, where only the planner has a name for it.
pub const EXPRESSION_KEY: &str = "weir.expression";

/// What a person calls a column: its name, or the expression that it holds where the name is the planner's own. State
/// is named by it, so it is persisted.
pub fn column_text(field: &Field) -> &str {
    field.metadata().get(EXPRESSION_KEY).map_or(field.name(), String::as_str)
}

/// `field` as the column of an expression; `None` for one whose name says all.
pub fn mark_expression(expression: Option<&str>, field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    match expression {
        Some(expression) => metadata.insert(EXPRESSION_KEY.into(), expression.into()),
        None => metadata.remove(EXPRESSION_KEY),
    };
    field.clone().with_metadata(metadata)
}

/// A column that carries the time of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeAttribute {
    /// Event time: a watermark is declared for it.
    RowTime,
    /// Processing time.
    ProcTime,
}

impl TimeAttribute {
    /// The attribute that `field` is marked with.
    pub fn of(field: &Field) -> Option<TimeAttribute> {
        match field.metadata().get(TIME_ATTRIBUTE_KEY)?.as_str() {
            "rowtime" => Some(TimeAttribute::RowTime),
            "proctime" => Some(TimeAttribute::ProcTime),
            _ => None,
        }
    }

    /// `field` marked as this attribute, or unmarked with `None`.
    pub fn mark(attribute: Option<TimeAttribute>, field: &Field) -> Field {
        let mut metadata = field.metadata().clone();
        match attribute {
            Some(TimeAttribute::RowTime) => metadata.insert(TIME_ATTRIBUTE_KEY.into(), "rowtime".into()),
            Some(TimeAttribute::ProcTime) => metadata.insert(TIME_ATTRIBUTE_KEY.into(), "proctime".into()),
            None => metadata.remove(TIME_ATTRIBUTE_KEY),
        };
        field.clone().with_metadata(metadata)
    }
}

/// The type of a SQL value, without its nullability.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// The type of a bare NULL.
    Null,
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Char(u32),
    /// STRING is `Varchar(SqlType::MAX_LENGTH)`
    Varchar(u32),
    Binary(u32),
    /// BYTES is `Varbinary(SqlType::MAX_LENGTH)`
    Varbinary(u32),
    Date,
    /// precision 0 to 9; values are kept in milliseconds, as Flink does
    Time(u8),
    Timestamp(u8),
    TimestampLtz(u8),
    IntervalYearMonth,
    IntervalDayTime,
    Array(Box<SqlField>),
    /// key, value
    Map(Box<SqlField>, Box<SqlField>),
    Multiset(Box<SqlField>),
    Row(Vec<SqlField>),
}

/// A type with a name and nullability: a member of a ROW, an element of an ARRAY (its name is `item`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SqlField {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
}

impl SqlField {
    pub fn new(name: impl Into<String>, sql_type: SqlType, nullable: bool) -> Self {
        SqlField { name: name.into(), sql_type, nullable }
    }

    fn to_arrow(&self) -> FieldRef {
        Arc::new(self.sql_type.to_field(&self.name, self.nullable))
    }

    fn of_arrow(field: &Field) -> Option<SqlField> {
        Some(SqlField::new(field.name(), SqlType::of_field(field)?, field.is_nullable()))
    }
}

fn time_unit(precision: u8) -> TimeUnit {
    match precision {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

fn unit_precision(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

impl SqlType {
    /// The length of STRING and BYTES.
    pub const MAX_LENGTH: u32 = i32::MAX as u32;
    pub const STRING: SqlType = SqlType::Varchar(Self::MAX_LENGTH);
    pub const BYTES: SqlType = SqlType::Varbinary(Self::MAX_LENGTH);
    /// The time zone of TIMESTAMP_LTZ in Arrow.
    pub const LTZ_ZONE: &'static str = "UTC";

    pub fn data_type(&self) -> DataType {
        match self {
            SqlType::Null => DataType::Null,
            SqlType::Boolean => DataType::Boolean,
            SqlType::TinyInt => DataType::Int8,
            SqlType::SmallInt => DataType::Int16,
            SqlType::Int => DataType::Int32,
            SqlType::BigInt => DataType::Int64,
            SqlType::Float => DataType::Float32,
            SqlType::Double => DataType::Float64,
            SqlType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            SqlType::Char(_) | SqlType::Varchar(_) => DataType::Utf8,
            SqlType::Binary(_) | SqlType::Varbinary(_) => DataType::Binary,
            SqlType::Date => DataType::Date32,
            SqlType::Time(_) => DataType::Time32(TimeUnit::Millisecond),
            SqlType::Timestamp(precision) => DataType::Timestamp(time_unit(*precision), None),
            SqlType::TimestampLtz(precision) => {
                DataType::Timestamp(time_unit(*precision), Some(Self::LTZ_ZONE.into()))
            }
            SqlType::IntervalYearMonth => DataType::Interval(IntervalUnit::YearMonth),
            SqlType::IntervalDayTime => DataType::Duration(TimeUnit::Millisecond),
            SqlType::Array(element) => DataType::List(element.to_arrow()),
            SqlType::Map(key, value) => map_type(key.to_arrow(), value.to_arrow()),
            SqlType::Multiset(element) => {
                map_type(element.to_arrow(), Arc::new(Field::new("value", DataType::Int32, false)))
            }
            SqlType::Row(fields) => {
                DataType::Struct(fields.iter().map(SqlField::to_arrow).collect::<Fields>())
            }
        }
    }

    /// An Arrow field of this type; metadata tells the SQL type where the Arrow type does not.
    #[allow(clippy::disallowed_types, reason = "the type of Arrow metadata")]
    pub fn to_field(&self, name: &str, nullable: bool) -> Field {
        let data_type = self.data_type();
        let field = Field::new(name, data_type, nullable);
        if SqlType::of_data_type(field.data_type()).as_ref() == Some(self) {
            return field;
        }
        field.with_metadata(HashMap::from([(TYPE_KEY.to_string(), self.to_string())]))
    }

    /// The SQL type of an Arrow field; `None` for Arrow types that SQL does not have here.
    pub fn of_field(field: &Field) -> Option<SqlType> {
        let plain = SqlType::of_data_type(field.data_type())?;
        let Some(text) = field.metadata().get(TYPE_KEY) else { return Some(plain) };
        let parameter = || text.split(['(', ')']).nth(1).and_then(|digits| u32::from_str(digits).ok());
        let precision = || parameter().and_then(|digits| u8::try_from(digits).ok());
        // Metadata may survive a cast that it no longer describes: it counts only where it agrees with the Arrow type.
        let marked = match (text.split('(').next().unwrap_or(""), plain.clone()) {
            ("CHAR", SqlType::Varchar(_)) => parameter().map(SqlType::Char),
            ("VARCHAR", SqlType::Varchar(_)) => parameter().map(SqlType::Varchar),
            ("BINARY", SqlType::Varbinary(_)) => parameter().map(SqlType::Binary),
            ("VARBINARY", SqlType::Varbinary(_)) => parameter().map(SqlType::Varbinary),
            ("TIME", SqlType::Time(_)) => precision().map(SqlType::Time),
            ("TIMESTAMP", SqlType::Timestamp(_)) => precision().map(SqlType::Timestamp),
            ("TIMESTAMP_LTZ", SqlType::TimestampLtz(_)) => precision().map(SqlType::TimestampLtz),
            (_, SqlType::Map(key, _)) if text.starts_with("MULTISET<") => Some(SqlType::Multiset(key)),
            _ => None,
        };
        match marked {
            Some(marked) if marked.data_type() == *field.data_type() => Some(marked),
            _ => Some(plain),
        }
    }

    /// The SQL type of an Arrow type by itself.
    pub fn of_data_type(data_type: &DataType) -> Option<SqlType> {
        Some(match data_type {
            DataType::Null => SqlType::Null,
            DataType::Boolean => SqlType::Boolean,
            DataType::Int8 => SqlType::TinyInt,
            DataType::Int16 => SqlType::SmallInt,
            DataType::Int32 => SqlType::Int,
            DataType::Int64 => SqlType::BigInt,
            DataType::Float32 => SqlType::Float,
            DataType::Float64 => SqlType::Double,
            DataType::Decimal128(precision, scale) => {
                SqlType::Decimal { precision: *precision, scale: *scale }
            }
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => SqlType::STRING,
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => SqlType::BYTES,
            DataType::Date32 => SqlType::Date,
            DataType::Time32(_) | DataType::Time64(_) => SqlType::Time(0),
            DataType::Timestamp(unit, None) => SqlType::Timestamp(unit_precision(*unit)),
            DataType::Timestamp(unit, Some(_)) => SqlType::TimestampLtz(unit_precision(*unit)),
            DataType::Interval(IntervalUnit::YearMonth) => SqlType::IntervalYearMonth,
            DataType::Interval(_) | DataType::Duration(_) => SqlType::IntervalDayTime,
            DataType::List(element) => SqlType::Array(Box::new(SqlField::of_arrow(element)?)),
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else { return None };
                let [key, value] = &fields[..] else { return None };
                SqlType::Map(Box::new(SqlField::of_arrow(key)?), Box::new(SqlField::of_arrow(value)?))
            }
            DataType::Struct(fields) => {
                SqlType::Row(fields.iter().map(|field| SqlField::of_arrow(field)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// What a type holds, where that is less than its name says, for messages: ` (1677-09-21 to 2262-04-11)` for times of
    /// seven digits and more, which are kept as nanoseconds; otherwise nothing.
    pub fn range_note(&self) -> &'static str {
        match self {
            SqlType::Timestamp(7..) | SqlType::TimestampLtz(7..) => " (1677-09-21 to 2262-04-11)",
            _ => "",
        }
    }

    pub fn is_string(&self) -> bool {
        matches!(self, SqlType::Char(_) | SqlType::Varchar(_))
    }

    pub fn is_integer(&self) -> bool {
        matches!(self, SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt)
    }

    pub fn is_numeric(&self) -> bool {
        self.is_integer() || matches!(self, SqlType::Float | SqlType::Double | SqlType::Decimal { .. })
    }
}

fn map_type(key: FieldRef, value: FieldRef) -> DataType {
    // Arrow's maps have no NULL keys, whatever SQL declares.
    let key = Arc::new(key.as_ref().clone().with_name("key").with_nullable(false));
    let value = Arc::new(value.as_ref().clone().with_name("value"));
    DataType::Map(
        Arc::new(Field::new("entries", DataType::Struct(Fields::from(vec![key, value])), false)),
        false,
    )
}

impl fmt::Display for SqlField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sql_type, if self.nullable { "" } else { " NOT NULL" })
    }
}

impl fmt::Display for SqlType {
    /// As Flink's `DESCRIBE` prints types: `DECIMAL(10, 2)`, `TIMESTAMP(3)`, `ARRAY<INT NOT NULL>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Null => f.write_str("NULL"),
            SqlType::Boolean => f.write_str("BOOLEAN"),
            SqlType::TinyInt => f.write_str("TINYINT"),
            SqlType::SmallInt => f.write_str("SMALLINT"),
            SqlType::Int => f.write_str("INT"),
            SqlType::BigInt => f.write_str("BIGINT"),
            SqlType::Float => f.write_str("FLOAT"),
            SqlType::Double => f.write_str("DOUBLE"),
            SqlType::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            SqlType::Char(length) => write!(f, "CHAR({length})"),
            SqlType::Varchar(SqlType::MAX_LENGTH) => f.write_str("STRING"),
            SqlType::Varchar(length) => write!(f, "VARCHAR({length})"),
            SqlType::Binary(length) => write!(f, "BINARY({length})"),
            SqlType::Varbinary(SqlType::MAX_LENGTH) => f.write_str("BYTES"),
            SqlType::Varbinary(length) => write!(f, "VARBINARY({length})"),
            SqlType::Date => f.write_str("DATE"),
            SqlType::Time(precision) => write!(f, "TIME({precision})"),
            SqlType::Timestamp(precision) => write!(f, "TIMESTAMP({precision})"),
            SqlType::TimestampLtz(precision) => write!(f, "TIMESTAMP_LTZ({precision})"),
            SqlType::IntervalYearMonth => f.write_str("INTERVAL YEAR TO MONTH"),
            SqlType::IntervalDayTime => f.write_str("INTERVAL DAY TO SECOND(3)"),
            SqlType::Array(element) => write!(f, "ARRAY<{element}>"),
            SqlType::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            SqlType::Multiset(element) => write!(f, "MULTISET<{element}>"),
            SqlType::Row(fields) => {
                f.write_str("ROW<")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(f, "{}`{}` {field}", if index == 0 { "" } else { ", " }, field.name)?;
                }
                f.write_str(">")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_a_trip_through_arrow() {
        let item = |sql_type| Box::new(SqlField::new("item", sql_type, true));
        let types = [
            SqlType::Boolean,
            SqlType::TinyInt,
            SqlType::Decimal { precision: 38, scale: 6 },
            SqlType::Char(3),
            SqlType::Varchar(10),
            SqlType::STRING,
            SqlType::BYTES,
            SqlType::Time(3),
            SqlType::Timestamp(1),
            SqlType::Timestamp(3),
            SqlType::TimestampLtz(0),
            SqlType::TimestampLtz(5),
            SqlType::Array(item(SqlType::Char(2))),
            SqlType::Multiset(Box::new(SqlField::new("key", SqlType::Int, false))),
            SqlType::Row(vec![SqlField::new("a", SqlType::Timestamp(2), false)]),
        ];
        for sql_type in types {
            let field = sql_type.to_field("c", true);
            assert_eq!(SqlType::of_field(&field), Some(sql_type));
        }
    }

    /// A cast that keeps metadata must not make an INT a CHAR(3).
    #[test]
    fn stale_metadata_is_ignored() {
        let field = SqlType::Char(3).to_field("c", true).with_data_type(DataType::Int32);
        assert_eq!(SqlType::of_field(&field), Some(SqlType::Int));
        let field =
            SqlType::Timestamp(1).to_field("c", true).with_data_type(SqlType::Timestamp(6).data_type());
        assert_eq!(SqlType::of_field(&field), Some(SqlType::Timestamp(6)));
    }
}
