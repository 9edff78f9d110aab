//! Which type operands meet in, and what casts need no asking. After Flink's `LogicalTypeMerging`, `LogicalTypeCasts`
//! and Calcite's least restrictive type.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_common::arrow::array::types::IntervalMonthDayNano;
use weir_types::{SqlField, SqlType};

/// Digits of a DECIMAL at most.
pub(super) const MAX_PRECISION: u8 = 38;

/// Digits that an integer type needs as a DECIMAL.
pub(super) fn as_decimal(sql_type: &SqlType) -> Option<(u8, i8)> {
    match sql_type {
        SqlType::TinyInt => Some((3, 0)),
        SqlType::SmallInt => Some((5, 0)),
        SqlType::Int => Some((10, 0)),
        SqlType::BigInt => Some((19, 0)),
        SqlType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

fn integer_rank(sql_type: &SqlType) -> Option<u8> {
    match sql_type {
        SqlType::TinyInt => Some(0),
        SqlType::SmallInt => Some(1),
        SqlType::Int => Some(2),
        SqlType::BigInt => Some(3),
        _ => None,
    }
}

/// The type in which values of all `types` fit: that of CASE, COALESCE, IN, VALUES, UNION and collections. A bare NULL
/// fits everywhere. `None` if there is no such type.
pub fn common_type<'a>(types: impl IntoIterator<Item = &'a SqlType>) -> Option<SqlType> {
    types.into_iter().try_fold(SqlType::Null, |common, next| common_of_two(&common, next))
}

fn common_of_two(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    if left == right || *right == SqlType::Null {
        return Some(left.clone());
    }
    if *left == SqlType::Null {
        return Some(right.clone());
    }
    if left.is_numeric() && right.is_numeric() {
        return common_number(left, right);
    }
    match (left, right) {
        (SqlType::Char(a) | SqlType::Varchar(a), SqlType::Char(b) | SqlType::Varchar(b)) => {
            Some(SqlType::Varchar(*a.max(b)))
        }
        (SqlType::Binary(a) | SqlType::Varbinary(a), SqlType::Binary(b) | SqlType::Varbinary(b)) => {
            Some(SqlType::Varbinary(*a.max(b)))
        }
        (SqlType::Time(a), SqlType::Time(b)) => Some(SqlType::Time(*a.max(b))),
        (SqlType::Timestamp(a), SqlType::Timestamp(b)) => Some(SqlType::Timestamp(*a.max(b))),
        (SqlType::Timestamp(a), SqlType::TimestampLtz(b))
        | (SqlType::TimestampLtz(a), SqlType::Timestamp(b))
        | (SqlType::TimestampLtz(a), SqlType::TimestampLtz(b)) => Some(SqlType::TimestampLtz(*a.max(b))),
        (SqlType::Array(a), SqlType::Array(b)) => Some(SqlType::Array(common_field(a, b)?)),
        (SqlType::Multiset(a), SqlType::Multiset(b)) => Some(SqlType::Multiset(common_field(a, b)?)),
        (SqlType::Map(k1, v1), SqlType::Map(k2, v2)) => {
            Some(SqlType::Map(common_field(k1, k2)?, common_field(v1, v2)?))
        }
        (SqlType::Row(a), SqlType::Row(b)) if a.len() == b.len() => {
            let fields = a.iter().zip(b).map(|(a, b)| common_field(a, b).map(|field| *field));
            Some(SqlType::Row(fields.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn common_field(left: &SqlField, right: &SqlField) -> Option<Box<SqlField>> {
    let sql_type = common_of_two(&left.sql_type, &right.sql_type)?;
    Some(Box::new(SqlField::new(left.name.clone(), sql_type, left.nullable || right.nullable)))
}

/// The type of two numbers' sum, but for DECIMAL: the wider integer, DOUBLE or FLOAT as soon as one is approximate,
/// DECIMAL where an integer meets one.
pub(super) fn common_number(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    if let (Some(a), Some(b)) = (integer_rank(left), integer_rank(right)) {
        return Some(if a >= b { left.clone() } else { right.clone() });
    }
    let approximate = |sql_type: &SqlType| matches!(sql_type, SqlType::Float | SqlType::Double);
    let decimal = |sql_type: &SqlType| matches!(sql_type, SqlType::Decimal { .. });
    // Of FLOAT and DOUBLE the first one wins, as in Calcite.
    if approximate(left) && approximate(right) {
        return Some(left.clone());
    }
    if approximate(left) || approximate(right) {
        let double = *left == SqlType::Double || *right == SqlType::Double;
        let mixed = decimal(left) || decimal(right);
        return Some(if double || mixed { SqlType::Double } else { SqlType::Float });
    }
    let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
    // Where there are not digits enough, those before the point are kept.
    let whole = (p1 as i16 - i16::from(s1)).max(p2 as i16 - i16::from(s2));
    let scale = i16::from(s1.max(s2)).min(i16::from(MAX_PRECISION) - whole);
    Some(SqlType::Decimal { precision: (whole + scale) as u8, scale: scale as i8 })
}

/// The type in which two operands are compared; `None` if they cannot be. Text meets a date or a time in the
/// other's type. Decimals that need more than 38 digits together meet in DECIMAL(76).
pub(super) fn comparison_type(left: &SqlType, right: &SqlType) -> Option<DataType> {
    match (as_decimal(left), as_decimal(right)) {
        (Some((p1, s1)), Some((p2, s2))) if !(left.is_integer() && right.is_integer()) => {
            let scale = s1.max(s2);
            let whole = (p1 as i16 - i16::from(s1)).max(p2 as i16 - i16::from(s2));
            let precision = (whole + i16::from(scale)) as u8;
            return Some(match precision <= MAX_PRECISION {
                true => DataType::Decimal128(precision, scale),
                false => DataType::Decimal256(precision.min(76), scale),
            });
        }
        _ => {}
    }
    let common = match (left, right) {
        (text, other) | (other, text) if text.is_string() && takes_text(other) => other.clone(),
        _ => common_of_two(left, right)?,
    };
    Some(common.data_type())
}

/// Types that compare with text by reading it.
fn takes_text(sql_type: &SqlType) -> bool {
    use SqlType::{Date, Time, Timestamp, TimestampLtz};
    matches!(sql_type, Date | Time(_) | Timestamp(_) | TimestampLtz(_))
}

/// True if Flink casts `from` to `to` where nobody asks for it: arguments of functions, columns of a sink.
pub fn is_implicitly_castable(from: &SqlType, to: &SqlType) -> bool {
    use SqlType as T;
    match (from, to) {
        (T::Null, _) => true,
        (a, b) if a == b => true,
        (a, T::Decimal { .. } | T::Double) if a.is_numeric() => true,
        (a, T::Float) => a.is_integer() || matches!(a, T::Decimal { .. }),
        (a, b) if a.is_integer() && b.is_integer() => integer_rank(a) <= integer_rank(b),
        (T::Char(_), T::Char(_)) | (T::Binary(_), T::Binary(_)) => true,
        (a, T::Varchar(_)) => a.is_string(),
        (T::Binary(_) | T::Varbinary(_), T::Varbinary(_)) => true,
        (T::Time(_) | T::Timestamp(_), T::Time(_)) => true,
        (T::Timestamp(_), T::Date) => true,
        (T::Timestamp(_) | T::TimestampLtz(_), T::Timestamp(_) | T::TimestampLtz(_)) => true,
        (T::Array(a), T::Array(b)) | (T::Multiset(a), T::Multiset(b)) => field_castable(a, b),
        (T::Map(k1, v1), T::Map(k2, v2)) => field_castable(k1, k2) && field_castable(v1, v2),
        (T::Row(a), T::Row(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| field_castable(a, b)),
        _ => false,
    }
}

fn field_castable(from: &SqlField, to: &SqlField) -> bool {
    (to.nullable || !from.nullable) && is_implicitly_castable(&from.sql_type, &to.sql_type)
}

/// A literal as the SQL planner makes it, as Flink types it; `None` if that is the same. Integers that fit are INT, a
/// decimal has at least one digit before its point, an interval is of months or of milliseconds.
pub(super) fn literal_value(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Int64(Some(number)) => i32::try_from(*number).ok().map(|n| ScalarValue::Int32(Some(n))),
        ScalarValue::UInt64(Some(number)) => {
            Some(ScalarValue::Decimal128(Some(i128::from(*number)), digits(u128::from(*number)), 0))
        }
        ScalarValue::Decimal128(Some(number), precision, scale)
            if *scale > 0 && *precision == *scale as u8 && *precision < MAX_PRECISION =>
        {
            Some(ScalarValue::Decimal128(Some(*number), precision + 1, *scale))
        }
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds })) => {
            match (*days, *nanoseconds) {
                (0, 0) if *months != 0 => Some(ScalarValue::IntervalYearMonth(Some(*months))),
                _ => {
                    let millis = i64::from(*days) * 86_400_000 + nanoseconds / 1_000_000;
                    Some(ScalarValue::DurationMillisecond(Some(millis)))
                }
            }
        }
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => Some(ScalarValue::Utf8(text.clone())),
        _ => None,
    }
}

fn digits(number: u128) -> u8 {
    number.checked_ilog10().map_or(1, |power| power as u8 + 1)
}
