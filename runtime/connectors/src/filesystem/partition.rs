//! Partitions: values as names of directories, `dt=2024-01-01/region=eu`, as Hive and Flink write them.

use super::table::FilesystemTable;
use crate::ConnectorError;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringArray, Time32MillisecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::row::{Row, RowConverter, SortField};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use weir_types::text::parse::{self, ParsedDecimal};
use weir_types::text::{TextStyle, ValueText};
use weir_types::{ChangelogBatch, RowKinds, SqlType, TableColumn};

/// Types whose values can name a directory.
pub(super) fn is_supported(sql_type: &SqlType) -> bool {
    match sql_type {
        SqlType::Boolean
        | SqlType::Date
        | SqlType::Time(_)
        | SqlType::Timestamp(_)
        | SqlType::TimestampLtz(_) => true,
        other => other.is_string() || other.is_numeric(),
    }
}

/// Characters that Hive writes as `%XX`.
fn is_escaped(character: char) -> bool {
    character.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(character)
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match is_escaped(character) {
            // Writing to a String cannot fail.
            true => drop(write!(escaped, "%{:02X}", u32::from(character))),
            false => escaped.push(character),
        }
    }
    escaped
}

pub(super) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code =
            digits.filter(|_| bytes[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The value of a partition key that a directory names, as an array of one row.
pub(super) fn parse_value(
    table: &FilesystemTable,
    key: &TableColumn,
    text: &str,
) -> Result<ArrayRef, ConnectorError> {
    if text == table.default_partition {
        return Ok(new_null_array(&key.sql_type.data_type(), 1));
    }
    value_of(&key.sql_type, text).ok_or_else(|| {
        ConnectorError::Record(format!(
            "table {}: a directory is called '{}={text}', but column {} is {}",
            table.name, key.name, key.name, key.sql_type
        ))
    })
}

fn value_of(sql_type: &SqlType, text: &str) -> Option<ArrayRef> {
    let integer = || parse::java_integer(text.as_bytes());
    Some(match sql_type {
        SqlType::Boolean => Arc::new(BooleanArray::from(vec![parse::cast_boolean(text)?])),
        SqlType::TinyInt => Arc::new(Int8Array::from(vec![i8::try_from(integer()?).ok()?])),
        SqlType::SmallInt => Arc::new(Int16Array::from(vec![i16::try_from(integer()?).ok()?])),
        SqlType::Int => Arc::new(Int32Array::from(vec![i32::try_from(integer()?).ok()?])),
        SqlType::BigInt => Arc::new(Int64Array::from(vec![integer()?])),
        SqlType::Float => Arc::new(Float32Array::from(vec![parse::java_float(text)?])),
        SqlType::Double => Arc::new(Float64Array::from(vec![parse::java_double(text)?])),
        SqlType::Decimal { precision, scale } => match parse::decimal(text.as_bytes(), *precision, *scale) {
            ParsedDecimal::Value(value) => Arc::new(
                Decimal128Array::from(vec![value]).with_precision_and_scale(*precision, *scale).ok()?,
            ),
            _ => return None,
        },
        SqlType::Char(_) | SqlType::Varchar(_) => Arc::new(StringArray::from(vec![text])),
        SqlType::Date => Arc::new(Date32Array::from(vec![parse::iso_date(text.as_bytes())?])),
        SqlType::Time(_) => Arc::new(Time32MillisecondArray::from(vec![parse::iso_time(text.as_bytes())?])),
        SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) => {
            let ltz = matches!(sql_type, SqlType::TimestampLtz(_));
            let time = parse::iso_timestamp(text.as_bytes(), ltz).or_else(|| parse::cast_timestamp(text))?;
            let DataType::Timestamp(unit, _) = sql_type.data_type() else { return None };
            let value = vec![time.truncated(*precision).to_units(unit)?];
            let zone = ltz.then_some(SqlType::LTZ_ZONE);
            match unit {
                TimeUnit::Second => Arc::new(TimestampSecondArray::from(value).with_timezone_opt(zone)),
                TimeUnit::Millisecond => {
                    Arc::new(TimestampMillisecondArray::from(value).with_timezone_opt(zone))
                }
                TimeUnit::Microsecond => {
                    Arc::new(TimestampMicrosecondArray::from(value).with_timezone_opt(zone))
                }
                TimeUnit::Nanosecond => {
                    Arc::new(TimestampNanosecondArray::from(value).with_timezone_opt(zone))
                }
            }
        }
        _ => return None,
    })
}

/// How rows are dealt out to partitions.
pub(super) struct Partitioner {
    /// names of the keys, and their places in the batches that are written
    keys: Vec<(String, usize)>,
    /// the other columns' places
    in_files: Vec<usize>,
    default_partition: String,
    converter: Option<RowConverter>,
}

impl Partitioner {
    /// `columns` are those that are written, in order.
    pub fn new(table: &FilesystemTable, columns: &[&TableColumn]) -> Result<Self, ConnectorError> {
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let keys = table.partition_keys.iter().filter_map(|key| Some((key.name.clone(), place(&key.name)?)));
        let keys: Vec<_> = keys.collect();
        let fields =
            table.partition_keys.iter().map(|key| SortField::new(key.sql_type.data_type())).collect();
        let converter =
            RowConverter::new(fields).map_err(|error| ConnectorError::Internal(error.to_string()))?;
        Ok(Partitioner {
            in_files: (0..columns.len()).filter(|index| !keys.iter().any(|(_, key)| key == index)).collect(),
            converter: (!keys.is_empty()).then_some(converter),
            keys,
            default_partition: table.default_partition.clone(),
        })
    }

    /// The rows of each partition, in their order, without the partition keys; with the partition's directory,
    /// which is empty for a table without partitions.
    pub fn split(&mut self, batch: &ChangelogBatch) -> Result<Vec<(String, ChangelogBatch)>, ConnectorError> {
        let internal = |error: arrow::error::ArrowError| ConnectorError::Internal(error.to_string());
        let Some(converter) = &mut self.converter else { return Ok(vec![(String::new(), batch.clone())]) };
        let columns: Vec<ArrayRef> =
            self.keys.iter().map(|(_, column)| Arc::clone(batch.rows().column(*column))).collect();
        let rows = converter.convert_columns(&columns).map_err(internal)?;
        let mut partitions: BTreeMap<Row<'_>, usize> = BTreeMap::new();
        let mut members: Vec<Vec<u32>> = Vec::new();
        let mut last: Option<(Row<'_>, usize)> = None;
        for (index, row) in rows.iter().enumerate() {
            // Neighbours are often alike.
            let partition = match last {
                Some((before, partition)) if before == row => partition,
                _ => *partitions.entry(row).or_insert(members.len()),
            };
            if partition == members.len() {
                members.push(Vec::new());
            }
            last = Some((row, partition));
            members[partition].push(index as u32);
        }
        let in_files = batch.rows().project(&self.in_files).map_err(internal)?;
        let mut split = Vec::with_capacity(members.len());
        for indices in members {
            let directory = self.directory(&columns, batch, indices[0] as usize)?;
            let kinds: Option<RowKinds> =
                batch.kinds().map(|kinds| indices.iter().map(|row| kinds.get(*row as usize)).collect());
            let rows = take_record_batch(&in_files, &UInt32Array::from(indices)).map_err(internal)?;
            split.push((directory, ChangelogBatch::new(rows, kinds)));
        }
        Ok(split)
    }

    /// `dt=2024-01-01/region=eu` of one row.
    fn directory(
        &self,
        columns: &[ArrayRef],
        batch: &ChangelogBatch,
        row: usize,
    ) -> Result<String, ConnectorError> {
        let schema = batch.schema();
        let mut directory = String::new();
        for ((name, place), column) in self.keys.iter().zip(columns) {
            let mut text = Vec::new();
            if column.is_valid(row) {
                let one = column.slice(row, 1);
                let value = ValueText::new(&one, schema.field(*place), TextStyle::Java);
                value.map_err(|error| ConnectorError::Internal(error.to_string()))?.append(0, &mut text);
            }
            let text = String::from_utf8_lossy(&text);
            let value = if text.is_empty() { &self.default_partition } else { text.as_ref() };
            let slash = if directory.is_empty() { "" } else { "/" };
            // Writing to a String cannot fail.
            let _ = write!(directory, "{slash}{}={}", escape(name), escape(value));
        }
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_survive() {
        for text in ["2024-01-01", "a b", "a/b=c:d%e", "100%", "ümläut", "%zz", ""] {
            assert_eq!(unescape(&escape(text)), text);
        }
        assert_eq!(escape("a/b:c"), "a%2Fb%3Ac");
        assert_eq!(unescape("100%"), "100%");
    }

    #[test]
    fn values_are_read_back_as_they_were_written() {
        let decimal = SqlType::Decimal { precision: 5, scale: 2 };
        for (sql_type, text) in [
            (SqlType::Boolean, "true"),
            (SqlType::TinyInt, "-7"),
            (SqlType::BigInt, "9000000000"),
            (SqlType::Double, "1.5"),
            (decimal, "1.50"),
            (SqlType::STRING, "eu west"),
            (SqlType::Date, "2024-01-01"),
            (SqlType::Time(0), "03:04:05"),
            (SqlType::Timestamp(3), "2024-01-01T00:00"),
            (SqlType::Timestamp(3), "2024-01-01T00:00:00.500"),
            (SqlType::TimestampLtz(3), "2024-01-01T00:00:00Z"),
        ] {
            let value = value_of(&sql_type, text).unwrap_or_else(|| panic!("{sql_type} {text}"));
            let field = sql_type.to_field("k", true);
            assert_eq!(value.data_type(), field.data_type());
            let mut written = Vec::new();
            ValueText::new(&value, &field, TextStyle::Java).unwrap().append(0, &mut written);
            assert_eq!(String::from_utf8_lossy(&written), text);
        }
        for (sql_type, text) in [(SqlType::TinyInt, "200"), (SqlType::Int, "x"), (SqlType::Date, "yesterday")]
        {
            assert!(value_of(&sql_type, text).is_none(), "{sql_type} {text}");
        }
    }
}
