//! Records of `json`: an object is a row, an array of objects several.

use super::cursor::{Cursor, Kind, Parsed, Trouble, TroubleKind};
use super::index::index;
use super::options::JsonOptions;
use super::shape::ObjectShape;
use super::value::{Rules, decode_object};
use crate::columns::{Column, Columns};
use crate::error::{RecordError, excerpt};
use crate::framing::Lines;
use crate::stream::{Outcome, RecordDecoder, StreamDecoder};
use crate::{Decoder, DecoderSpec, FormatError};
use arrow::datatypes::DataType;
use weir_types::ChangelogBatch;

pub(crate) fn decoder(options: &JsonOptions, spec: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    let records = JsonRecords { rows: ObjectRows::new(options, spec)?, quotes: Vec::new() };
    Ok(Box::new(StreamDecoder::new(records, Lines, spec, options.ignore_parse_errors, 0)))
}

/// Objects into the columns of a projection.
pub(crate) struct ObjectRows {
    pub(crate) columns: Columns,
    shape: ObjectShape,
    rules: Rules,
}

impl ObjectRows {
    pub(crate) fn new(options: &JsonOptions, spec: &DecoderSpec) -> Result<ObjectRows, FormatError> {
        let columns = Columns::new(&spec.columns, &spec.projection)?;
        let shape = ObjectShape::of(&columns.columns);
        let exact_numbers =
            spec.projection.iter().any(|place| has_decimal(spec.columns.field(*place).data_type()));
        let rules = Rules {
            ignore_errors: options.ignore_parse_errors,
            fail_on_missing: options.fail_on_missing_field,
            standard: options.timestamp_standard,
            exact_numbers,
        };
        Ok(ObjectRows { columns, shape, rules })
    }

    /// Reads one object, at its `{`, as the next row.
    #[inline]
    pub(super) fn object(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let row = self.columns.rows;
        decode_object(cursor, &mut self.columns.columns, &mut self.shape, row, &self.rules)?;
        self.columns.rows += 1;
        Ok(())
    }

    /// Says what is wrong. Columns still hold what was read before the trouble.
    pub(super) fn explain(&self, record: &[u8], trouble: Trouble) -> RecordError {
        let row = self.columns.rows;
        explain(record, trouble, &self.columns.columns, row)
    }
}

fn has_decimal(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal128(..) => true,
        DataType::List(element) => has_decimal(element.data_type()),
        DataType::Map(entries, _) => has_decimal(entries.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_decimal(field.data_type())),
        _ => false,
    }
}

struct JsonRecords {
    rows: ObjectRows,
    quotes: Vec<u64>,
}

impl JsonRecords {
    fn read(&mut self, record: &[u8]) -> Result<(), RecordError> {
        let mut cursor = cursor(record, &mut self.quotes)?;
        rows_of(&mut self.rows, &mut cursor).map_err(|trouble| self.rows.explain(record, trouble))
    }
}

#[inline]
fn rows_of(rows: &mut ObjectRows, cursor: &mut Cursor<'_>) -> Parsed<()> {
    match cursor.kind() {
        Ok(Kind::Object) => rows.object(cursor)?,
        Ok(Kind::Array) => {
            let mut elements = cursor.elements();
            while elements.next_element(cursor)? {
                if cursor.kind()? != Kind::Object {
                    return cursor.syntax("an object");
                }
                rows.object(cursor)?;
            }
        }
        _ => return cursor.syntax("an object"),
    }
    at_end(cursor)
}

/// Refuses anything but space after the value: it would be lost without a word.
pub(super) fn at_end(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.skip_space();
    if cursor.at == cursor.bytes.len() { Ok(()) } else { cursor.syntax("the end of the record") }
}

/// A cursor over a record that is valid UTF-8.
#[inline]
pub(super) fn cursor<'a>(record: &'a [u8], quotes: &'a mut Vec<u64>) -> Result<Cursor<'a>, RecordError> {
    let shape = index(record, quotes);
    if !shape.ascii
        && let Err(error) = std::str::from_utf8(record)
    {
        let at = error.valid_up_to();
        return Err(RecordError::new(format!("byte {at} of it is not valid UTF-8")));
    }
    Ok(Cursor::new(record, shape.plain.then_some(quotes.as_slice())))
}

impl RecordDecoder for JsonRecords {
    fn format(&self) -> &'static str {
        "json"
    }

    #[inline]
    fn decode(&mut self, record: &[u8]) -> Result<Outcome, RecordError> {
        if record.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let before = self.rows.columns.rows;
        if let Err(error) = self.read(record) {
            self.rows.columns.rows = before;
            self.rows.columns.roll_back();
            return Err(error);
        }
        Ok(Outcome::Rows)
    }

    fn rows(&self) -> usize {
        self.rows.columns.rows
    }

    fn take(&mut self) -> Result<ChangelogBatch, FormatError> {
        Ok(ChangelogBatch::insert_only(self.rows.columns.take()?))
    }
}

/// What is wrong, where in the record, and what was found there.
#[cold]
fn explain(record: &[u8], trouble: Trouble, columns: &[Column], row: usize) -> RecordError {
    let at = trouble.at.min(record.len());
    let found =
        if at == record.len() { "the end of the record".to_string() } else { excerpt(value_at(record, at)) };
    if let TroubleKind::Syntax(expected) = trouble.kind {
        return RecordError::new(format!("at byte {at} of it, found {found} where {expected} is expected"));
    }
    let path = path_of(record, at);
    let column = path.iter().find_map(|key| columns.iter().find(|column| column.field.name() == key));
    let is_member = path.last() != column.map(|column| column.field.name());
    RecordError::new(match (trouble.kind, column) {
        (TroubleKind::Value, Some(column)) if !is_member => {
            let note = column.sql_type.range_note();
            format!("column '{}' is {}{note}, found {found}", column.field.name(), column.sql_type)
        }
        (TroubleKind::Null, Some(column)) if !is_member => {
            format!("column '{}' is NOT NULL, found {found}", column.field.name())
        }
        (TroubleKind::Null | TroubleKind::Missing, None) => {
            match columns.iter().find(|column| column.len() == row) {
                Some(column) => format!("column '{}' is missing", column.field.name()),
                None => format!("at byte {at} of it, a member that must have a value is missing"),
            }
        }
        (TroubleKind::Value | TroubleKind::Syntax(_), _) => {
            format!("'{}' cannot hold {found}, which is not of the declared type", path.join("."))
        }
        (TroubleKind::Null | TroubleKind::Missing, Some(_)) => {
            format!("'{}' is null, or lacks a member, where a value is declared", path.join("."))
        }
    })
}

/// The value that begins at `at`, or what is left of the record.
fn value_at(record: &[u8], at: usize) -> &[u8] {
    let mut cursor = Cursor::new(record, None);
    cursor.at = at;
    match cursor.skip_value() {
        Ok(()) => &record[at..cursor.at],
        Err(_) => &record[at..],
    }
}

/// The names of the members, outermost first, that hold the byte `at`. For messages: what it cannot read, it leaves
/// out.
fn path_of(record: &[u8], at: usize) -> Vec<String> {
    let mut cursor = Cursor::new(record, None);
    let mut path = Vec::new();
    cursor.skip_space();
    while cursor.at < at && descend(&mut cursor, at, &mut path).is_ok_and(|inside| inside) {}
    path
}

/// Goes on to the member or element that holds the byte `at`; false if none does.
fn descend(cursor: &mut Cursor<'_>, at: usize, path: &mut Vec<String>) -> Parsed<bool> {
    let holds = |cursor: &mut Cursor<'_>| -> Parsed<bool> {
        cursor.skip_space();
        let begin = *cursor;
        let ended = cursor.skip_value();
        if at >= begin.at && (ended.is_err() || at < cursor.at) {
            *cursor = begin;
            return Ok(true);
        }
        ended.map(|()| false)
    };
    match cursor.kind()? {
        Kind::Object => {
            let mut members = cursor.members();
            while members.next_member(cursor)? {
                let raw = cursor.string()?;
                let key = String::from_utf8_lossy(&cursor.unescape(raw)?).into_owned();
                cursor.expect(b':', "':'")?;
                if holds(cursor)? {
                    path.push(key);
                    return Ok(true);
                }
            }
        }
        Kind::Array => {
            let mut elements = cursor.elements();
            while elements.next_element(cursor)? {
                if holds(cursor)? {
                    return Ok(true);
                }
            }
        }
        _ => {}
    }
    Ok(false)
}
