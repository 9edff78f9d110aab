//! Entries of a state as Arrow batches, with the names and types that SQL has for them: what people query, and what
//! canonical savepoints consist of. Reading ([`EntryLayout::batch`]) and writing ([`EntryLayout::segments`]) are
//! inverse to each other.
//!
//! Columns, in this order: `key_group`; of timers `time`; the key; `window_start` and `window_end`, as far as the
//! state has them; the map keys on the way down from the topmost parent; of a List `sequence`; with a time to live
//! `last_access`; the value.

mod decode;
mod encode;
mod measure;

use crate::StateError;
use crate::descriptor::{FieldKind, NamespaceKind, StateDescriptor, StateKind};
use crate::snapshot::{FieldIndex, SnapshotIndex, StateIndex};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::sync::Arc;
use weir_types::{KeyEncoder, SqlField, SqlType};

pub use encode::EntrySegment;
pub use measure::{EntryCount, Measurer, StateMeasure};

/// The columns of a state's entries.
#[derive(Clone, Debug)]
pub struct EntryLayout {
    schema: SchemaRef,
    columns: Vec<EntryColumn>,
    kind: StateKind,
    namespace: NamespaceKind,
    window_ms: Option<u64>,
    max_parallelism: u32,
    /// of each key from the topmost parent's down: how it is encoded
    levels: Vec<KeyEncoder>,
    values: Vec<ValueLayout>,
}

/// What a column of [`EntryLayout::schema`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryColumn {
    KeyGroup,
    /// when a timer is due
    Time,
    /// a column of the key
    Key,
    WindowStart,
    /// the window, or slice of windows; of timers NULL where there is none
    WindowEnd,
    /// a column of a map key; `level` 1 is the one right under the topmost parent
    MapKey {
        level: usize,
    },
    Sequence,
    LastAccess,
    Value,
}

#[derive(Clone, Debug)]
struct ValueLayout {
    kind: FieldKind,
    nullable: bool,
    /// of a nested type: how it is written
    nested: Option<KeyEncoder>,
}

impl EntryLayout {
    /// The layout of `state`, which is one of `index`.
    ///
    /// # Errors
    /// [`StateError::Descriptor`] for types that this version does not know, and for a parent that is not there.
    pub fn new(index: &SnapshotIndex, state: &StateIndex) -> Result<EntryLayout, StateError> {
        let mut builder = Builder::default();
        let is_timers = state.kind.is_timers();
        builder.add(EntryColumn::KeyGroup, SqlField::new("key_group", SqlType::Int, false));
        if is_timers {
            let time = match state.kind {
                StateKind::ProcessingTimers => SqlType::TimestampLtz(3),
                _ => SqlType::Timestamp(3),
            };
            builder.add(EntryColumn::Time, SqlField::new("time", time, false));
        }
        let levels = levels(index, state)?;
        for field in &levels[0] {
            builder.add(EntryColumn::Key, field.clone());
        }
        if state.namespace == NamespaceKind::Window || is_timers {
            let bound = |name: &str| SqlField::new(name, SqlType::Timestamp(3), is_timers);
            let (start, end) =
                if state.slices { ("slice_start", "slice_end") } else { ("window_start", "window_end") };
            if state.window_ms.is_some() && !is_timers {
                builder.add(EntryColumn::WindowStart, bound(start));
            }
            builder.add(EntryColumn::WindowEnd, bound(end));
        }
        for (level, fields) in levels.iter().enumerate().skip(1) {
            fields.iter().for_each(|field| builder.add(EntryColumn::MapKey { level }, field.clone()));
        }
        if state.kind == StateKind::List {
            builder.add(EntryColumn::Sequence, SqlField::new("sequence", SqlType::BigInt, false));
        }
        if state.ttl_ms.is_some() {
            builder
                .add(EntryColumn::LastAccess, SqlField::new("last_access", SqlType::TimestampLtz(3), false));
        }
        let mut values = Vec::with_capacity(state.value_fields.len());
        for field in fields_of(&state.value_fields, &state.name)? {
            let data_type = field.sql_type.data_type();
            let nested = data_type
                .is_nested()
                .then(|| KeyEncoder::new(std::slice::from_ref(&data_type)))
                .transpose()?;
            let (kind, nullable) = (FieldKind::of(&field.sql_type), field.nullable);
            values.push(ValueLayout { kind, nullable, nested });
            builder.add(EntryColumn::Value, field);
        }
        let encoders = levels.iter().map(|fields| StateDescriptor::encoder(fields));
        Ok(EntryLayout {
            schema: Arc::new(Schema::new(builder.fields)),
            columns: builder.columns,
            kind: state.kind,
            namespace: state.namespace,
            window_ms: state.window_ms,
            max_parallelism: index.max_parallelism,
            levels: encoders.collect::<Result<_, _>>()?,
            values,
        })
    }

    /// The columns of each batch; metadata carries SQL types where Arrow's say less.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What each column of the schema is.
    pub fn columns(&self) -> &[EntryColumn] {
        &self.columns
    }
}

/// Collects columns; a name that is taken is numbered: `a#2`.
#[derive(Default)]
struct Builder {
    fields: Vec<Field>,
    columns: Vec<EntryColumn>,
}

impl Builder {
    fn add(&mut self, column: EntryColumn, field: SqlField) {
        let mut name = field.name.clone();
        let mut number = 2;
        while self.fields.iter().any(|other| *other.name() == name) {
            name = format!("{}#{number}", field.name);
            number += 1;
        }
        self.fields.push(field.sql_type.to_field(&name, field.nullable));
        self.columns.push(column);
    }
}

/// Parents above parents are not more than this.
const DEPTH: usize = 16;

/// The columns of the topmost parent's key, then those of each map key on the way down to `state`.
pub(crate) fn levels(index: &SnapshotIndex, state: &StateIndex) -> Result<Vec<Vec<SqlField>>, StateError> {
    let mut path = vec![state];
    while let Some(parent) = path.last().and_then(|state| state.parent.as_ref()) {
        let found = index.states.iter().find(|state| state.name == *parent);
        let found = found.filter(|_| path.len() < DEPTH).ok_or_else(|| {
            StateError::Descriptor(format!("state {} hangs under {parent}, which is not there", state.name))
        })?;
        path.push(found);
    }
    let mut levels = Vec::with_capacity(path.len());
    for (above, state) in path.iter().rev().enumerate() {
        match (above, state.kind) {
            (0, _) => levels.push(fields_of(&state.key_fields, &state.name)?),
            (_, StateKind::Map) => levels.push(fields_of(&state.map_key_fields, &state.name)?),
            _ => {}
        }
    }
    Ok(levels)
}

pub(crate) fn fields_of(fields: &[FieldIndex], state: &str) -> Result<Vec<SqlField>, StateError> {
    let parsed = fields.iter().map(|field| {
        let sql_type: SqlType = field.sql_type.parse().map_err(|error| {
            StateError::Descriptor(format!("column {} of state {state}: {error}", field.name))
        })?;
        Ok(SqlField::new(&field.name, sql_type, field.nullable))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests;
