//! Segments to batches.

use super::{EntryColumn, EntryLayout, ValueLayout};
use crate::StateError;
use crate::descriptor::{FieldKind, Namespace, NamespaceKind, StateKind};
use crate::segment::{self, ByteStrings, FieldBytes, FieldRows, SegmentRows};
use crate::timers::parse_prefix;
use arrow::array::{
    ArrayData, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMillisecondArray, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use bytes::Bytes;
use std::sync::Arc;
use weir_types::{KeyEncoder, SqlType};

impl EntryLayout {
    /// The entries of one segment of the state; `file` names the place it comes from in errors.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`].
    pub fn batch(&self, segment: &Bytes, file: &str) -> Result<RecordBatch, StateError> {
        let rows = segment::read(segment, self.kind, file)?;
        let corrupt = |what: String| StateError::Corrupt { file: file.to_string(), offset: 0, what };
        self.check(&rows).map_err(corrupt)?;
        let columns = self.arrays(&rows).map_err(corrupt)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        batch.map_err(|error| corrupt(error.to_string()))
    }

    pub(super) fn check(&self, rows: &SegmentRows) -> Result<(), String> {
        let is_timers = self.kind.is_timers();
        let namespace_fits = match rows.namespace {
            Namespace::Void => self.namespace == NamespaceKind::Void,
            Namespace::Window(_) => self.namespace == NamespaceKind::Window,
        };
        let fields = self.values.iter().map(|value| (value.kind, value.nullable));
        let fields_fit = fields.eq(rows.fields.iter().map(|field| (field.kind, field.nulls.is_some())));
        let keys_fit = rows.keys.len() == self.levels.len() + usize::from(is_timers);
        let access_fits = rows.last_access.is_some() == self.columns.contains(&EntryColumn::LastAccess);
        match keys_fit && namespace_fits && fields_fit && access_fits {
            true => Ok(()),
            false => Err("keys, namespace or fields other than the index says".to_string()),
        }
    }

    fn arrays(&self, rows: &SegmentRows) -> Result<Vec<ArrayRef>, String> {
        let decoded: Vec<Vec<ArrayRef>> = self
            .levels
            .iter()
            .zip(&rows.keys)
            .map(|(level, keys)| decode(level, keys))
            .collect::<Result<_, _>>()?;
        let mut keys: Vec<_> = decoded.into_iter().map(Vec::into_iter).collect();
        let timers = self.kind.is_timers().then(|| timers(rows)).transpose()?;
        let mut fields = rows.fields.iter().zip(&self.values);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match column {
                EntryColumn::KeyGroup => Arc::new(Int32Array::from_iter_values(
                    rows.key_groups.iter().map(|group| i32::from(*group)),
                )),
                EntryColumn::Time => {
                    let times = timers.iter().flatten().map(|(time_ms, _)| *time_ms);
                    instants(times.collect::<Vec<_>>().into(), None, self.kind)
                }
                EntryColumn::Key => keys[0].next().ok_or("a key without a column")?,
                EntryColumn::MapKey { level } => keys[*level].next().ok_or("a map key without a column")?,
                EntryColumn::WindowStart | EntryColumn::WindowEnd => match &timers {
                    Some(timers) => Arc::new(
                        timers.iter().map(|(_, end_ms)| *end_ms).collect::<TimestampMillisecondArray>(),
                    ),
                    None => self.window_bound(*column, rows),
                },
                EntryColumn::Sequence => {
                    Arc::new(Int64Array::from_iter_values(rows.sequence.iter().map(|number| *number as i64)))
                }
                EntryColumn::LastAccess => {
                    let times = rows.last_access.iter().flatten().map(|time_ms| *time_ms as i64);
                    instants(times.collect::<Vec<_>>().into(), None, StateKind::ProcessingTimers)
                }
                EntryColumn::Value => {
                    let (values, layout) = fields.next().ok_or("a value without a column")?;
                    value_column(values, layout, field.data_type(), rows.rows)?
                }
            });
        }
        Ok(columns)
    }

    fn window_bound(&self, column: EntryColumn, rows: &SegmentRows) -> ArrayRef {
        let end_ms = match rows.namespace {
            Namespace::Window(end_ms) => end_ms,
            Namespace::Void => 0,
        };
        let length_ms = match column {
            EntryColumn::WindowStart => self.window_ms.map_or(0, |length_ms| length_ms as i64),
            _ => 0,
        };
        Arc::new(TimestampMillisecondArray::from_value(end_ms.saturating_sub(length_ms), rows.rows))
    }
}

/// The time of each timer, and the end of its window.
fn timers(rows: &SegmentRows) -> Result<Vec<(i64, Option<i64>)>, String> {
    let timer = |row: usize| {
        let (time_ms, namespace) = parse_prefix(rows.keys[1].get(row)).ok_or("a timer without a time")?;
        Ok(match namespace {
            Namespace::Void => (time_ms, None),
            Namespace::Window(end_ms) => (time_ms, Some(end_ms)),
        })
    };
    (0..rows.rows).map(timer).collect()
}

/// Times of the clock are instants; times of events are those that the query computes with.
fn instants(times_ms: ScalarBuffer<i64>, nulls: Option<NullBuffer>, kind: StateKind) -> ArrayRef {
    let times = TimestampMillisecondArray::new(times_ms, nulls);
    match kind {
        StateKind::ProcessingTimers => Arc::new(times.with_timezone(SqlType::LTZ_ZONE)),
        _ => Arc::new(times),
    }
}

fn decode(encoder: &KeyEncoder, keys: &ByteStrings) -> Result<Vec<ArrayRef>, String> {
    let keys = encoder.from_canonical(&keys.offsets, &keys.bytes).map_err(|error| error.to_string())?;
    encoder.decode(&keys).map_err(|error| error.to_string())
}

fn value_column(
    field: &FieldRows,
    layout: &ValueLayout,
    data_type: &DataType,
    rows: usize,
) -> Result<ArrayRef, String> {
    let nulls = field.nulls.as_ref().map(|bits| {
        NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| bits[row / 8] >> (row % 8) & 1 == 0))
    });
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    let strings = match &field.values {
        FieldBytes::Strings(strings) => strings,
        FieldBytes::Fixed(_) if *data_type == DataType::Null => return Ok(Arc::new(NullArray::new(rows))),
        FieldBytes::Fixed(bytes) if layout.kind == FieldKind::Bool => {
            let bits = BooleanBuffer::collect_bool(rows, |row| bytes[row] != 0);
            return Ok(Arc::new(BooleanArray::new(bits, nulls)));
        }
        FieldBytes::Fixed(bytes) => {
            let data = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls);
            let data = data.add_buffer(Buffer::from(bytes.as_slice())).align_buffers(true).build();
            return Ok(make_array(data.map_err(|error| error.to_string())?));
        }
    };
    if let Some(encoder) = &layout.nested {
        let (mut offsets, mut bytes) = (vec![0], Vec::with_capacity(strings.bytes.len()));
        for row in 0..rows {
            match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                // the encoding of NULL
                true => bytes.push(0),
                false => bytes.extend_from_slice(strings.get(row)),
            }
            offsets.push(bytes.len() as u32);
        }
        let columns = encoder.from_canonical(&offsets, &bytes).and_then(|keys| encoder.decode(&keys));
        let columns = columns.map_err(|error| error.to_string())?;
        return columns.into_iter().next().ok_or_else(|| "a nested value without a column".to_string());
    }
    let offsets = strings.offsets.iter().map(|offset| i32::try_from(*offset));
    let offsets = offsets.collect::<Result<Vec<i32>, _>>().map_err(|_| "more than 2 GiB of values")?;
    let (offsets, bytes) = (OffsetBuffer::new(offsets.into()), Buffer::from(strings.bytes.as_slice()));
    Ok(match data_type {
        DataType::Binary => Arc::new(BinaryArray::new(offsets, bytes, nulls)),
        _ => Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(|error| error.to_string())?),
    })
}
