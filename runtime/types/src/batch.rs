//! Arrow batches with row kinds.

use arrow::array::RecordBatch;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::SchemaRef;
use std::fmt;

/// What a row of a changelog does. The numbers are persisted and equal Flink's `RowKind.toByteValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RowKind {
    /// `+I`
    Insert = 0,
    /// `-U`: the row as it was before an update
    UpdateBefore = 1,
    /// `+U`: the row as it is after an update
    UpdateAfter = 2,
    /// `-D`
    Delete = 3,
}

impl RowKind {
    /// `+I`, `-U`, `+U` or `-D`.
    pub const fn short(self) -> &'static str {
        match self {
            RowKind::Insert => "+I",
            RowKind::UpdateBefore => "-U",
            RowKind::UpdateAfter => "+U",
            RowKind::Delete => "-D",
        }
    }

    /// True for `-U` and `-D`.
    pub const fn is_retraction(self) -> bool {
        matches!(self, RowKind::UpdateBefore | RowKind::Delete)
    }

    pub const fn from_u8(value: u8) -> Option<RowKind> {
        match value {
            0 => Some(RowKind::Insert),
            1 => Some(RowKind::UpdateBefore),
            2 => Some(RowKind::UpdateAfter),
            3 => Some(RowKind::Delete),
            _ => None,
        }
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// The kinds of the rows of one batch: one byte a row, cheap to clone and to slice.
#[derive(Clone, Debug, PartialEq)]
pub struct RowKinds(ScalarBuffer<u8>);

impl RowKinds {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kind of row `row`; panics past the end, as a slice does.
    #[inline]
    pub fn get(&self, row: usize) -> RowKind {
        match self.0[row] {
            0 => RowKind::Insert,
            1 => RowKind::UpdateBefore,
            2 => RowKind::UpdateAfter,
            _ => RowKind::Delete,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = RowKind> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The kinds as bytes, numbered as in [`RowKind`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn slice(&self, offset: usize, len: usize) -> RowKinds {
        RowKinds(self.0.slice(offset, len))
    }

    pub fn into_buffer(self) -> ScalarBuffer<u8> {
        self.0
    }
}

impl FromIterator<RowKind> for RowKinds {
    fn from_iter<I: IntoIterator<Item = RowKind>>(kinds: I) -> Self {
        RowKinds(kinds.into_iter().map(|kind| kind as u8).collect::<Vec<u8>>().into())
    }
}

impl From<Vec<RowKind>> for RowKinds {
    fn from(kinds: Vec<RowKind>) -> Self {
        kinds.into_iter().collect()
    }
}

/// A batch of changes: an Arrow batch and the kind of each row. An insert-only batch carries no kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangelogBatch {
    rows: RecordBatch,
    kinds: Option<RowKinds>,
}

impl ChangelogBatch {
    /// A batch in which every row is `+I`.
    pub fn insert_only(rows: RecordBatch) -> Self {
        ChangelogBatch { rows, kinds: None }
    }

    /// `kinds` has one entry a row of `rows`; panics otherwise.
    pub fn new(rows: RecordBatch, kinds: Option<RowKinds>) -> Self {
        if let Some(kinds) = &kinds {
            assert_eq!(kinds.len(), rows.num_rows(), "one kind a row");
        }
        ChangelogBatch { rows, kinds }
    }

    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    pub fn kinds(&self) -> Option<&RowKinds> {
        self.kinds.as_ref()
    }

    /// The kind of row `row`.
    #[inline]
    pub fn kind(&self, row: usize) -> RowKind {
        self.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds.get(row))
    }

    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.num_rows() == 0
    }

    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    pub fn slice(&self, offset: usize, len: usize) -> ChangelogBatch {
        ChangelogBatch {
            rows: self.rows.slice(offset, len),
            kinds: self.kinds.as_ref().map(|kinds| kinds.slice(offset, len)),
        }
    }

    pub fn into_parts(self) -> (RecordBatch, Option<RowKinds>) {
        (self.rows, self.kinds)
    }
}
