//! Text and bytes under CAST.

use super::super::arguments::Inputs;
use super::CastStep;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryBuilder, BooleanBuilder,
    PrimitiveBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::parse::{self, ParsedDecimal};
use weir_types::text::{LocalDateTime, TimeZone, cast_to_string};

/// The text of values, cut to VARCHAR(n), padded to CHAR(n).
pub(super) fn to_text(array: &ArrayRef, from: &SqlType, to: &SqlType, zone: TimeZone) -> Result<ArrayRef> {
    let field = from.to_field("value", true).with_data_type(array.data_type().clone());
    let texts = cast_to_string(array, &field, zone)?;
    match *to {
        SqlType::Varchar(SqlType::MAX_LENGTH) => Ok(Arc::new(texts)),
        SqlType::Varchar(length) => Ok(fitted(&texts, length as usize, false)),
        SqlType::Char(length) => Ok(fitted(&texts, length as usize, true)),
        ref other => internal_err!("text of type {other}"),
    }
}

/// Texts cut to `length` characters, and padded with spaces to as many.
fn fitted(texts: &StringArray, length: usize, pad: bool) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let mut padded = String::new();
    for text in texts {
        let Some(text) = text else {
            builder.append_null();
            continue;
        };
        let end = text.char_indices().nth(length).map_or(text.len(), |(end, _)| end);
        let cut = &text[..end];
        let missing = if pad { length - cut.chars().count() } else { 0 };
        if missing == 0 {
            builder.append_value(cut);
        } else {
            padded.clear();
            padded.push_str(cut);
            padded.extend(std::iter::repeat_n(' ', missing));
            builder.append_value(&padded);
        }
    }
    Arc::new(builder.finish())
}

/// Bytes of text or of other bytes, cut to VARBINARY(n), padded with zeros to BINARY(n).
pub(super) fn to_bytes(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let bytes: BinaryArray = match from.is_string() {
        true => array.as_string::<i32>().clone().into(),
        false => array.as_binary::<i32>().clone(),
    };
    let (length, pad) = match *to {
        SqlType::Varbinary(SqlType::MAX_LENGTH) => return Ok(Arc::new(bytes)),
        SqlType::Varbinary(length) => (length as usize, false),
        SqlType::Binary(length) => (length as usize, true),
        ref other => return internal_err!("bytes of type {other}"),
    };
    let mut builder = BinaryBuilder::with_capacity(bytes.len(), bytes.value_data().len());
    let mut padded = vec![];
    for value in &bytes {
        let Some(value) = value else {
            builder.append_null();
            continue;
        };
        if value.len() >= length || !pad {
            builder.append_value(&value[..length.min(value.len())]);
        } else {
            padded.clear();
            padded.extend_from_slice(value);
            padded.resize(length, 0);
            builder.append_value(&padded);
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The time of day that a literal has, to the millisecond: a CAST would cut it to the type's precision.
pub(super) fn time_literal(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let mut times = PrimitiveBuilder::<Time32MillisecondType>::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        match texts.get(row).map(|text| (text, parse::cast_time(text))) {
            Some((_, Some(millis))) => times.append_value(millis),
            Some((text, None)) => return exec_err!("'{text}' is not a TIME literal"),
            None => times.append_null(),
        }
    }
    Ok(Arc::new(times.finish()))
}

impl CastStep {
    /// Values that texts stand for.
    pub(super) fn parse(&self, array: &ArrayRef, to: &SqlType) -> Result<ArrayRef> {
        let texts = array.as_string::<i32>();
        match to {
            SqlType::Boolean => self.parse_booleans(texts),
            SqlType::TinyInt => self.parse_integers::<Int8Type>(texts, to),
            SqlType::SmallInt => self.parse_integers::<Int16Type>(texts, to),
            SqlType::Int => self.parse_integers::<Int32Type>(texts, to),
            SqlType::BigInt => self.parse_integers::<Int64Type>(texts, to),
            SqlType::Float => self.parse_with::<Float32Type>(texts, to, parse::java_float),
            SqlType::Double => self.parse_with::<Float64Type>(texts, to, parse::java_double),
            SqlType::Decimal { precision, scale } => self.parse_with::<Decimal128Type>(texts, to, |text| {
                match parse::decimal(text.trim().as_bytes(), *precision, *scale) {
                    ParsedDecimal::Value(value) => Some(value),
                    ParsedDecimal::Overflow | ParsedDecimal::Malformed => None,
                }
            }),
            SqlType::Date => self.parse_with::<Date32Type>(texts, to, parse::cast_date),
            SqlType::Time(precision) => self.parse_with::<Time32MillisecondType>(texts, to, |text| {
                parse::cast_time(text).map(|millis| super::times::cut_time(millis, *precision))
            }),
            SqlType::Timestamp(precision) => self.parse_timestamps(texts, to, *precision, None),
            SqlType::TimestampLtz(precision) => self.parse_timestamps(texts, to, *precision, Some(self.zone)),
            other => internal_err!("cast of text to {other}"),
        }
    }

    fn malformed<V>(&self, text: &str, to: &SqlType) -> Result<Option<V>> {
        match self.lenient {
            true => Ok(None),
            false => {
                exec_err!("cannot cast '{text}' to {to}{}: use TRY_CAST to get NULL instead", to.range_note())
            }
        }
    }

    fn parse_booleans(&self, texts: &StringArray) -> Result<ArrayRef> {
        let mut builder = BooleanBuilder::with_capacity(texts.len());
        for text in texts {
            let Some(text) = text else {
                builder.append_null();
                continue;
            };
            // Blanks around the word are not allowed here.
            match parse::cast_boolean(text).filter(|_| text.trim().len() == text.len()) {
                Some(value) => builder.append_value(value),
                None => builder.append_option(self.malformed(text, &SqlType::Boolean)?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    fn parse_integers<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(
        &self,
        texts: &StringArray,
        to: &SqlType,
    ) -> Result<ArrayRef> {
        self.parse_with::<T>(texts, to, |text| {
            parse::cast_integer(text).and_then(|value| T::Native::try_from(value).ok())
        })
    }

    fn parse_timestamps(
        &self,
        texts: &StringArray,
        to: &SqlType,
        precision: u8,
        zone: Option<TimeZone>,
    ) -> Result<ArrayRef> {
        let DataType::Timestamp(unit, _) = to.data_type() else { return internal_err!("{to}") };
        let read = |text: &str| {
            let time = parse::cast_timestamp(text).map(|time| time.truncated(precision));
            time.map(|time| zone.map_or(time, |zone| zone.to_utc(time)))
                .and_then(|time: LocalDateTime| time.to_units(unit))
        };
        match unit {
            TimeUnit::Second => self.parse_with::<TimestampSecondType>(texts, to, read),
            TimeUnit::Millisecond => self.parse_with::<TimestampMillisecondType>(texts, to, read),
            TimeUnit::Microsecond => self.parse_with::<TimestampMicrosecondType>(texts, to, read),
            TimeUnit::Nanosecond => self.parse_with::<TimestampNanosecondType>(texts, to, read),
        }
    }

    fn parse_with<T: ArrowPrimitiveType>(
        &self,
        texts: &StringArray,
        to: &SqlType,
        read: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(texts.len()).with_data_type(to.data_type());
        for text in texts {
            let Some(text) = text else {
                builder.append_null();
                continue;
            };
            match read(text) {
                Some(value) => builder.append_value(value),
                None => builder.append_option(self.malformed(text, to)?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}
