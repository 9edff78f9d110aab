//! Reading changes: objects that hold rows in their members, as CDC formats have them.

use super::cursor::{Cursor, Kind, Parsed};
use super::decode::{ObjectRows, at_end, cursor};
use super::options::JsonOptions;
use crate::error::{RecordError, excerpt};
use crate::framing::Lines;
use crate::stream::{Outcome, RecordDecoder, StreamDecoder};
use crate::{Decoder, DecoderSpec, FormatError};
use weir_types::{ChangelogBatch, RowKind};

/// A decoder of Debezium's `{"before": .., "after": .., "op": ..}`; with `schema_include` these are in `payload`.
pub(crate) fn debezium_decoder(
    options: &JsonOptions,
    schema_include: bool,
    spec: &DecoderSpec,
) -> Result<Box<dyn Decoder>, FormatError> {
    let records = DebeziumRecords {
        rows: ObjectRows::new(options, spec)?,
        kinds: Vec::new(),
        schema_include,
        quotes: Vec::new(),
    };
    Ok(Box::new(StreamDecoder::new(records, Lines, spec, options.ignore_parse_errors, 0)))
}

struct DebeziumRecords {
    rows: ObjectRows,
    /// one a row
    kinds: Vec<RowKind>,
    schema_include: bool,
    quotes: Vec<u64>,
}

/// Where the parts of a change are.
#[derive(Clone, Copy, Default)]
struct Change<'a> {
    /// places of objects; `None`: missing or null
    before: Option<usize>,
    after: Option<usize>,
    op: Option<&'a [u8]>,
}

impl DebeziumRecords {
    fn read(&mut self, record: &[u8]) -> Result<(), RecordError> {
        let mut cursor = cursor(record, &mut self.quotes)?;
        let change =
            locate(&mut cursor, self.schema_include).map_err(|trouble| self.rows.explain(record, trouble))?;
        let Some(change) = change else {
            return Err(RecordError::new(
                "it has no member 'payload', which 'schema-include' = 'true' asks for",
            ));
        };
        let (first, second) = match change.op {
            Some(b"c" | b"r") => ((RowKind::Insert, change.after, "after"), None),
            Some(b"u") => (
                (RowKind::UpdateBefore, change.before, "before"),
                Some((RowKind::UpdateAfter, change.after, "after")),
            ),
            Some(b"d") => ((RowKind::Delete, change.before, "before"), None),
            Some(op) => {
                let found = excerpt(op);
                return Err(RecordError::new(format!(
                    "member 'op' is {found}, expected 'c', 'r', 'u' or 'd'"
                )));
            }
            None => return Err(RecordError::new("it has no member 'op' with a text")),
        };
        for (kind, place, name) in [Some(first), second].into_iter().flatten() {
            let Some(place) = place else {
                let advice = if name == "before" {
                    "; a Postgres table must have REPLICA IDENTITY FULL for updates and deletes to be read"
                } else {
                    ""
                };
                return Err(RecordError::new(format!("member '{name}' is missing or null{advice}")));
            };
            cursor.at = place;
            self.rows.object(&mut cursor).map_err(|trouble| self.rows.explain(record, trouble))?;
            self.kinds.push(kind);
        }
        Ok(())
    }
}

/// Finds the parts of a change; `None` without a payload where one is due.
fn locate<'a>(cursor: &mut Cursor<'a>, schema_include: bool) -> Parsed<Option<Change<'a>>> {
    let mut found = None;
    if schema_include {
        for_each_member(cursor, |cursor, key| {
            if key == b"payload" && cursor.kind()? == Kind::Object {
                found = Some(locate_parts(cursor)?);
                return Ok(());
            }
            cursor.skip_value()
        })?;
    } else {
        found = Some(locate_parts(cursor)?);
    }
    at_end(cursor)?;
    Ok(found)
}

fn locate_parts<'a>(cursor: &mut Cursor<'a>) -> Parsed<Change<'a>> {
    let mut change = Change::default();
    for_each_member(cursor, |cursor, key| {
        let kind = cursor.kind()?;
        let object = (kind == Kind::Object).then_some(cursor.at);
        match key {
            b"before" => change.before = object,
            b"after" => change.after = object,
            b"op" if kind == Kind::String => {
                change.op = Some(cursor.string()?.content);
                return Ok(());
            }
            _ => {}
        }
        cursor.skip_value()
    })?;
    Ok(change)
}

/// Calls `member` with each name, the cursor before the value; it takes the value.
fn for_each_member<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(&mut Cursor<'a>, &[u8]) -> Parsed<()>,
) -> Parsed<()> {
    if !matches!(cursor.kind(), Ok(Kind::Object)) {
        return cursor.syntax("an object");
    }
    let mut members = cursor.members();
    while members.next_member(cursor)? {
        let raw = cursor.string()?;
        let key = cursor.unescape(raw)?;
        cursor.expect(b':', "':'")?;
        member(cursor, &key)?;
    }
    Ok(())
}

impl RecordDecoder for DebeziumRecords {
    fn format(&self) -> &'static str {
        "debezium-json"
    }

    fn decode(&mut self, record: &[u8]) -> Result<Outcome, RecordError> {
        if record.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let before = self.rows.columns.rows;
        if let Err(error) = self.read(record) {
            self.rows.columns.rows = before;
            self.rows.columns.roll_back();
            self.kinds.truncate(before);
            return Err(error);
        }
        Ok(Outcome::Rows)
    }

    fn rows(&self) -> usize {
        self.rows.columns.rows
    }

    fn take(&mut self) -> Result<ChangelogBatch, FormatError> {
        let rows = self.rows.columns.take()?;
        let kinds = std::mem::take(&mut self.kinds);
        let inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
        Ok(ChangelogBatch::new(rows, (!inserts).then(|| kinds.into())))
    }
}
