//! Batches to segments.

use super::{EntryColumn, EntryLayout, ValueLayout};
use crate::StateError;
use crate::descriptor::{FieldKind, Namespace, NamespaceKind};
use crate::segment::{ByteStrings, FieldBytes, FieldRows, SegmentRows};
use crate::timers::prefix;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMillisecondType};
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_types::{EncodedKeys, key_group_of};

/// Entries of one namespace, as a snapshot has them.
#[derive(Clone, Debug)]
pub struct EntrySegment {
    /// the end of the window, milliseconds; `None` for the namespace VOID
    pub window_end_ms: Option<i64>,
    pub rows: u32,
    pub bytes: Bytes,
}

impl EntryLayout {
    /// The entries of a batch with this layout's schema as segments, one for each namespace, in order.
    ///
    /// # Errors
    /// [`StateError::Value`] for a batch of another schema, and for a key in a key group that it does not belong to.
    pub fn segments(&self, batch: &RecordBatch) -> Result<Vec<EntrySegment>, StateError> {
        let same = |(own, other): (&arrow::datatypes::FieldRef, &arrow::datatypes::FieldRef)| {
            own.name() == other.name() && own.data_type() == other.data_type()
        };
        let (own, others) = (self.schema.fields(), batch.schema());
        if own.len() != others.fields().len() || !own.iter().zip(others.fields()).all(same) {
            let what = format!("columns {others} where the state has {}", self.schema);
            return Err(StateError::Value(what));
        }
        let segment = |namespace: Namespace, batch: &RecordBatch| {
            let rows = self.rows(namespace, batch).map_err(StateError::Value)?;
            let window_end_ms = match namespace {
                Namespace::Void => None,
                Namespace::Window(end_ms) => Some(end_ms),
            };
            let bytes = rows.to_bytes(self.kind);
            Ok(EntrySegment { window_end_ms, rows: rows.rows as u32, bytes })
        };
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.namespace == NamespaceKind::Void {
            return Ok(vec![segment(Namespace::Void, batch)?]);
        }
        let ends = self.column(EntryColumn::WindowEnd, batch).map_err(StateError::Value)?;
        let ends = ends.as_primitive::<TimestampMillisecondType>();
        let mut windows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, end_ms) in ends.values().iter().enumerate() {
            windows.entry(*end_ms).or_default().push(row as u32);
        }
        let of_window = |(end_ms, rows): (i64, Vec<u32>)| {
            let part = take_record_batch(batch, &UInt32Array::from(rows));
            let part = part.map_err(|error| StateError::Value(error.to_string()))?;
            segment(Namespace::Window(end_ms), &part)
        };
        windows.into_iter().map(of_window).collect()
    }

    fn column<'a>(&self, wanted: EntryColumn, batch: &'a RecordBatch) -> Result<&'a ArrayRef, String> {
        let place = self.columns.iter().position(|column| *column == wanted);
        place.map(|place| batch.column(place)).ok_or_else(|| format!("a state without a column {wanted:?}"))
    }

    fn rows(&self, namespace: Namespace, batch: &RecordBatch) -> Result<SegmentRows, String> {
        let mut keys = Vec::with_capacity(self.levels.len() + 1);
        let mut key_groups = Vec::new();
        for (level, encoder) in self.levels.iter().enumerate() {
            let wanted = if level == 0 { EntryColumn::Key } else { EntryColumn::MapKey { level } };
            let columns = self.columns.iter().zip(batch.columns()).filter(|(column, _)| **column == wanted);
            let columns: Vec<ArrayRef> = columns.map(|(_, array)| array.clone()).collect();
            let encoded = encoder.encode(&columns, batch.num_rows()).map_err(|error| error.to_string())?;
            if level == 0 {
                key_groups = self.key_groups(&encoded, batch)?;
            }
            keys.push(ByteStrings::of_keys(&encoded));
        }
        if self.kind.is_timers() {
            keys.push(self.timer_prefixes(batch)?);
        }
        let numbers = |wanted: EntryColumn| -> Result<Vec<u64>, String> {
            let column = self.column(wanted, batch)?;
            Ok(match column.data_type() {
                DataType::Int64 => {
                    column.as_primitive::<Int64Type>().values().iter().map(|n| *n as u64).collect()
                }
                _ => {
                    let times = column.as_primitive::<TimestampMillisecondType>();
                    times.values().iter().map(|n| *n as u64).collect()
                }
            })
        };
        let has = |column| self.columns.contains(&column);
        let sequence = if has(EntryColumn::Sequence) { numbers(EntryColumn::Sequence)? } else { Vec::new() };
        let last_access =
            has(EntryColumn::LastAccess).then(|| numbers(EntryColumn::LastAccess)).transpose()?;
        let values = self.columns.iter().zip(batch.columns());
        let values = values.filter(|(column, _)| **column == EntryColumn::Value).map(|(_, array)| array);
        let fields = self.values.iter().zip(values).map(|(layout, column)| field_rows(layout, column));
        let fields = fields.collect::<Result<_, _>>()?;
        let rows = batch.num_rows();
        Ok(SegmentRows { namespace, rows, key_groups, keys, sequence, last_access, fields })
    }

    /// The key groups of the keys, which are those that the batch says.
    fn key_groups(&self, keys: &EncodedKeys, batch: &RecordBatch) -> Result<Vec<u16>, String> {
        let groups = keys.hashes().iter().map(|hash| key_group_of(*hash, self.max_parallelism).0);
        let groups: Vec<u16> = groups.collect();
        let said = self.column(EntryColumn::KeyGroup, batch)?.as_primitive::<Int32Type>();
        let same = said.values().iter().zip(&groups).position(|(said, group)| *said != i32::from(*group));
        match same {
            None => Ok(groups),
            Some(row) => Err(format!(
                "the key of row {row} belongs to key group {}, not to {}",
                groups[row],
                said.value(row)
            )),
        }
    }

    fn timer_prefixes(&self, batch: &RecordBatch) -> Result<ByteStrings, String> {
        let times = self.column(EntryColumn::Time, batch)?.as_primitive::<TimestampMillisecondType>();
        let windows = self.column(EntryColumn::WindowEnd, batch)?.as_primitive::<TimestampMillisecondType>();
        let mut strings = ByteStrings::new();
        for row in 0..batch.num_rows() {
            let namespace = match windows.is_valid(row) {
                true => Namespace::Window(windows.value(row)),
                false => Namespace::Void,
            };
            strings.push(&prefix(times.value(row), namespace));
        }
        Ok(strings)
    }
}

fn field_rows(layout: &ValueLayout, column: &ArrayRef) -> Result<FieldRows, String> {
    let rows = column.len();
    let is_null = |row: usize| *column.data_type() != DataType::Null && column.is_null(row);
    let nulls = layout.nullable.then(|| {
        let mut bits = vec![0_u8; rows.div_ceil(8)];
        (0..rows).filter(|row| is_null(*row)).for_each(|row| bits[row / 8] |= 1 << (row % 8));
        bits
    });
    if !layout.nullable && column.null_count() > 0 {
        return Err("a NULL in a column that is NOT NULL".to_string());
    }
    let mut strings = ByteStrings::new();
    let values = match (layout.kind, column.data_type()) {
        (FieldKind::Bool, DataType::Null) => FieldBytes::Fixed(vec![0; rows]),
        (FieldKind::Bool, _) => {
            let values = column.as_boolean();
            FieldBytes::Fixed((0..rows).map(|row| u8::from(!is_null(row) && values.value(row))).collect())
        }
        (FieldKind::Bytes, data_type) => {
            let encoded = match &layout.nested {
                Some(encoder) => {
                    let keys = encoder.encode(std::slice::from_ref(column), rows);
                    Some(keys.map_err(|error| error.to_string())?)
                }
                None => None,
            };
            for row in 0..rows {
                match (&encoded, data_type) {
                    _ if is_null(row) => strings.push(&[]),
                    (Some(keys), _) => {
                        keys.write_canonical(row, &mut strings.bytes);
                        strings.end();
                    }
                    (None, DataType::Binary) => strings.push(column.as_binary::<i32>().value(row)),
                    (None, _) => strings.push(column.as_string::<i32>().value(row).as_bytes()),
                }
            }
            FieldBytes::Strings(strings)
        }
        (kind, _) => {
            let (data, width) = (column.to_data(), kind.width());
            let bytes = &data.buffers()[0].as_slice()[data.offset() * width..][..rows * width];
            FieldBytes::Fixed(bytes.to_vec())
        }
    };
    Ok(FieldRows { kind: layout.kind, nulls, values })
}
