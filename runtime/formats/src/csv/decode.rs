//! Records of `csv`.

use super::fields::{Field, Fields};
use super::options::CsvOptions;
use super::value::{self, Pushed};
use crate::columns::{Column, Columns};
use crate::error::{RecordError, excerpt};
use crate::framing::{Lines, QuotedLines};
use crate::stream::{Outcome, RecordDecoder, StreamDecoder};
use crate::{Decoder, DecoderSpec, FormatError};
use arrow::datatypes::DataType;
use weir_types::ChangelogBatch;

pub(crate) fn decoder(options: &CsvOptions, spec: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    let columns = Columns::new(&spec.columns, &spec.projection)?;
    let mut places = vec![Vec::new(); spec.columns.fields().len()];
    for (column, place) in spec.projection.iter().enumerate() {
        places[*place].push(column);
    }
    let records = CsvRecords { columns, places, options: options.clone(), scratch: Vec::new() };
    let header = u64::from(options.ignore_first_line);
    let ignore = options.ignore_parse_errors;
    Ok(match options.quote {
        None if options.escape.is_none() => {
            Box::new(StreamDecoder::new(records, Lines, spec, ignore, header))
        }
        quote => {
            let framing = QuotedLines::new(
                options.field_delimiter,
                quote,
                options.escape,
                options.allow_comments,
                options.trim_spaces,
            );
            Box::new(StreamDecoder::new(records, framing, spec, ignore, header))
        }
    })
}

struct CsvRecords {
    columns: Columns,
    /// the columns of the projection that each field of a record goes to
    places: Vec<Vec<usize>>,
    options: CsvOptions,
    /// of a field that is not in the record as it is
    scratch: Vec<u8>,
}

impl CsvRecords {
    fn read(&mut self, record: &str) -> Result<(), RecordError> {
        let mut fields = Fields::new(record.as_bytes(), &self.options);
        let arity = self.places.len();
        let mut count = 0;
        while count < arity {
            let places = &self.places[count];
            let Some(field) = fields.next(&mut self.scratch, !places.is_empty())? else { break };
            count += 1;
            for place in places {
                push(field, &mut self.columns.columns[*place], &self.options)?;
            }
        }
        if count < arity {
            self.fill_up(count)?;
        } else {
            check_rest(&mut fields, &mut self.scratch, arity, &self.options)?;
        }
        self.columns.rows += 1;
        Ok(())
    }

    /// NULL for the fields that a record lacks, where the options allow that.
    fn fill_up(&mut self, count: usize) -> Result<(), RecordError> {
        let arity = self.places.len();
        if !self.options.ignore_parse_errors || self.options.fail_on_missing_columns {
            return Err(RecordError::new(format!("it has {count} fields, expected {arity}")));
        }
        for column in self.places[count..].iter().flatten() {
            push_null(&mut self.columns.columns[*column])?;
        }
        Ok(())
    }
}

/// What follows the last column's field: nothing, or what the options allow.
fn check_rest(
    fields: &mut Fields<'_>,
    scratch: &mut Vec<u8>,
    arity: usize,
    options: &CsvOptions,
) -> Result<(), RecordError> {
    if options.ignore_trailing_unmappable {
        return Ok(());
    }
    let mut extra = 0;
    let mut blank = true;
    while let Some(field) = fields.next(scratch, true)? {
        extra += 1;
        blank &= field.text.trim_ascii().is_empty();
    }
    if extra == 0 || (extra == 1 && blank && options.allow_trailing_comma) {
        return Ok(());
    }
    Err(RecordError::new(format!("it has {} fields, expected {arity}", arity + extra)))
}

fn push_null(column: &mut Column) -> Result<(), RecordError> {
    column.push_null().map_err(|_| {
        RecordError::new(format!(
            "column '{}' is NOT NULL, but its field is NULL or missing",
            column.field.name()
        ))
    })
}

/// Appends the value of a field; after an error the column may have a part of it.
#[inline]
fn push(field: Field<'_>, column: &mut Column, options: &CsvOptions) -> Result<(), RecordError> {
    let text = field.text;
    if options.null_literal.as_ref().is_some_and(|literal| literal.as_bytes() == text)
        || (options.empty_string_as_null && text.is_empty())
    {
        return push_null(column);
    }
    let row = column.len();
    match value::push(text, column, options) {
        Some(Pushed::Value) => Ok(()),
        Some(Pushed::Null) => push_null(column),
        None if options.ignore_parse_errors => {
            column.truncate(row);
            push_null(column)
        }
        None => Err(mismatch(text, column)),
    }
}

#[cold]
fn mismatch(text: &[u8], column: &Column) -> RecordError {
    let advice = match (text, column.field.data_type()) {
        (b"", data_type) if *data_type != DataType::Utf8 => {
            "; set 'csv.null-literal' = '' to read it as NULL"
        }
        _ => "",
    };
    RecordError::new(format!(
        "column '{}' is {}{}, found {}{advice}",
        column.field.name(),
        column.sql_type,
        column.sql_type.range_note(),
        excerpt(text)
    ))
}

impl RecordDecoder for CsvRecords {
    fn format(&self) -> &'static str {
        "csv"
    }

    fn decode(&mut self, record: &[u8]) -> Result<Outcome, RecordError> {
        let mut record = record;
        if self.options.allow_comments {
            // With comments, Jackson also drops empty lines and the spaces that a line begins with.
            while let [b' ', rest @ ..] = record {
                record = rest;
            }
            if matches!(record.first(), None | Some(b'#')) {
                return Ok(Outcome::Nothing);
            }
        }
        let text = match std::str::from_utf8(record) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                return Err(RecordError::new(format!("byte {at} of it is not valid UTF-8")));
            }
        };
        let result = self.read(text);
        if result.is_err() {
            self.columns.roll_back();
        }
        result.map(|()| Outcome::Rows)
    }

    fn rows(&self) -> usize {
        self.columns.rows
    }

    fn take(&mut self) -> Result<ChangelogBatch, FormatError> {
        Ok(ChangelogBatch::insert_only(self.columns.take()?))
    }
}
