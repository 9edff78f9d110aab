//! What a state is: its name, its columns, where its entries live. EXPLAIN CHECKPOINT prints these.

use crate::StateError;
use arrow::datatypes::DataType;
use std::fmt;
use weir_types::{KeyEncoder, KeyError, SqlField, SqlType};

/// What an entry belongs to besides its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// none
    Void,
    /// the window, or slice of windows, that ends at this many milliseconds
    Window(i64),
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Namespace::Void => f.write_str("void"),
            Namespace::Window(end_ms) => write!(f, "window ending at {end_ms}"),
        }
    }
}

/// Which namespaces a state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NamespaceKind {
    Void,
    Window,
}

/// How entries hang on their key. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum StateKind {
    /// one entry per key and namespace
    Value = 0,
    /// entries with a key of their own under an entry of another state
    Map = 1,
    /// entries in the order of their arrival under an entry of another state
    List = 2,
    /// timers of event time
    EventTimers = 3,
    /// timers of processing time
    ProcessingTimers = 4,
}

impl StateKind {
    pub(crate) fn is_timers(self) -> bool {
        matches!(self, StateKind::EventTimers | StateKind::ProcessingTimers)
    }
}

/// A state before it is registered. Names of fields are SQL column names where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDescriptor {
    /// `<operator>/<state>`; unique in the backend
    pub name: String,
    pub kind: StateKind,
    /// the key columns; of a Map or List state those of its parent
    pub key_fields: Vec<SqlField>,
    pub namespace: NamespaceKind,
    /// the columns of the map key; Map only
    pub map_key_fields: Vec<SqlField>,
    pub value_fields: Vec<SqlField>,
    /// milliseconds after its last access at which an entry is gone (`table.exec.state.ttl`); `None`: never
    pub ttl_ms: Option<u64>,
    /// milliseconds from start to end of each window of the namespace; `None` where they differ, or without windows
    pub window_ms: Option<u64>,
    /// the windows of the namespace are slices, of which several make a window
    pub slices: bool,
}

impl StateDescriptor {
    /// One entry per key and namespace.
    pub fn value(
        name: impl Into<String>,
        key_fields: Vec<SqlField>,
        namespace: NamespaceKind,
        value_fields: Vec<SqlField>,
    ) -> Self {
        StateDescriptor {
            name: name.into(),
            kind: StateKind::Value,
            key_fields,
            namespace,
            map_key_fields: Vec::new(),
            value_fields,
            ttl_ms: None,
            window_ms: None,
            slices: false,
        }
    }

    /// Entries by a map key under the entries of a parent; key columns and namespace are the parent's.
    pub fn map(name: impl Into<String>, map_key_fields: Vec<SqlField>, value_fields: Vec<SqlField>) -> Self {
        StateDescriptor {
            kind: StateKind::Map,
            map_key_fields,
            ..StateDescriptor::value(name, Vec::new(), NamespaceKind::Void, value_fields)
        }
    }

    /// Entries in order of arrival under the entries of a parent; key columns and namespace are the parent's.
    pub fn list(name: impl Into<String>, value_fields: Vec<SqlField>) -> Self {
        StateDescriptor {
            kind: StateKind::List,
            ..StateDescriptor::value(name, Vec::new(), NamespaceKind::Void, value_fields)
        }
    }

    /// With an idle time after which entries are gone. Entries of Map and List states go with their parent's.
    pub fn with_ttl_ms(mut self, ttl_ms: Option<u64>) -> Self {
        self.ttl_ms = ttl_ms;
        self
    }

    /// With windows, or slices of windows, that all span so many milliseconds.
    pub fn with_window_ms(mut self, window_ms: Option<u64>) -> Self {
        self.window_ms = window_ms;
        self
    }

    /// With a namespace of slices, of which several make a window; for people, who are told so.
    pub fn with_slices(mut self, slices: bool) -> Self {
        self.slices = slices;
        self
    }

    pub(crate) fn encoder(fields: &[SqlField]) -> Result<KeyEncoder, KeyError> {
        let types: Vec<DataType> = fields.iter().map(|field| field.sql_type.data_type()).collect();
        KeyEncoder::new(&types)
    }
}

/// How the value of a field lies in a row. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FieldKind {
    Bool = 0,
    I8 = 1,
    I16 = 2,
    /// INT, DATE, TIME, INTERVAL YEAR TO MONTH
    I32 = 3,
    /// BIGINT, TIMESTAMP, TIMESTAMP_LTZ, INTERVAL DAY TO SECOND
    I64 = 4,
    /// DECIMAL
    I128 = 5,
    F32 = 6,
    F64 = 7,
    /// strings and bytes as they are; ROW, ARRAY, MAP as the key codec writes one
    Bytes = 8,
}

impl FieldKind {
    /// How values of `sql_type` are kept.
    pub fn of(sql_type: &SqlType) -> FieldKind {
        match sql_type {
            SqlType::Null | SqlType::Boolean => FieldKind::Bool,
            SqlType::TinyInt => FieldKind::I8,
            SqlType::SmallInt => FieldKind::I16,
            SqlType::Int | SqlType::Date | SqlType::Time(_) | SqlType::IntervalYearMonth => FieldKind::I32,
            SqlType::BigInt | SqlType::Timestamp(_) | SqlType::TimestampLtz(_) | SqlType::IntervalDayTime => {
                FieldKind::I64
            }
            SqlType::Decimal { .. } => FieldKind::I128,
            SqlType::Float => FieldKind::F32,
            SqlType::Double => FieldKind::F64,
            SqlType::Char(_)
            | SqlType::Varchar(_)
            | SqlType::Binary(_)
            | SqlType::Varbinary(_)
            | SqlType::Array(_)
            | SqlType::Map(_, _)
            | SqlType::Multiset(_)
            | SqlType::Row(_) => FieldKind::Bytes,
        }
    }

    pub(crate) fn from_u8(number: u8) -> Option<FieldKind> {
        use FieldKind::*;
        [Bool, I8, I16, I32, I64, I128, F32, F64, Bytes].get(usize::from(number)).copied()
    }

    /// Bytes in a row; of a value of variable width its 16-byte handle.
    pub(crate) fn width(self) -> usize {
        match self {
            FieldKind::Bool | FieldKind::I8 => 1,
            FieldKind::I16 => 2,
            FieldKind::I32 | FieldKind::F32 => 4,
            FieldKind::I64 | FieldKind::F64 => 8,
            FieldKind::I128 | FieldKind::Bytes => 16,
        }
    }
}

impl From<KeyError> for StateError {
    fn from(error: KeyError) -> Self {
        StateError::Descriptor(error.to_string())
    }
}
