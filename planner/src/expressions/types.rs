//! Types as sqlparser knows them.

use crate::parser::cast_type;
use datafusion_common::{Result, not_impl_err};
use sqlparser::ast::{CharLengthUnits, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};
use weir_types::SqlType;

fn length(length: &Option<CharacterLength>, default: u32) -> u32 {
    match length {
        None => default,
        Some(CharacterLength::Max) => SqlType::MAX_LENGTH,
        Some(CharacterLength::IntegerLength { length, unit: None | Some(CharLengthUnits::Characters) }) => {
            u32::try_from(*length).unwrap_or(SqlType::MAX_LENGTH)
        }
        Some(CharacterLength::IntegerLength { length, .. }) => {
            u32::try_from(*length).unwrap_or(SqlType::MAX_LENGTH)
        }
    }
}

fn decimal(info: &ExactNumberInfo) -> SqlType {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    SqlType::Decimal { precision: precision.min(38) as u8, scale: scale.clamp(0, 38) as i8 }
}

/// The SQL type of a parsed type: Flink's own syntax as the statement parser hands it on, or sqlparser's types.
/// Errors: types that Flink does not have.
pub fn sql_type_of(data_type: &DataType) -> Result<SqlType> {
    if let Some(field) = cast_type(data_type) {
        return Ok(field.sql_type);
    }
    let digits =
        |precision: &Option<u64>, default: u8| precision.map_or(default, |digits| digits.min(9) as u8);
    Ok(match data_type {
        DataType::Boolean | DataType::Bool => SqlType::Boolean,
        DataType::TinyInt(_) => SqlType::TinyInt,
        DataType::SmallInt(_) => SqlType::SmallInt,
        DataType::Int(_) | DataType::Integer(_) => SqlType::Int,
        DataType::BigInt(_) => SqlType::BigInt,
        DataType::Float(_) | DataType::Real => SqlType::Float,
        DataType::Double(_) | DataType::DoublePrecision => SqlType::Double,
        DataType::Decimal(info) | DataType::Dec(info) | DataType::Numeric(info) => decimal(info),
        DataType::Char(n) | DataType::Character(n) => SqlType::Char(length(n, 1)),
        DataType::Varchar(n) | DataType::CharVarying(n) | DataType::CharacterVarying(n) => {
            SqlType::Varchar(length(n, SqlType::MAX_LENGTH))
        }
        DataType::String(_) | DataType::Text => SqlType::STRING,
        DataType::Bytes(_) | DataType::Bytea => SqlType::BYTES,
        DataType::Date => SqlType::Date,
        DataType::Time(precision, _) => SqlType::Time(digits(precision, 0)),
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            SqlType::Timestamp(digits(precision, 6))
        }
        other => return not_impl_err!("type '{other}' is not supported"),
    })
}
