//! What ranks emit.

use crate::OperatorError;
use crate::calc::{batch_of, changes_of};
use crate::partitions::{Mixed, Source};
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use std::sync::Arc;
use weir_state::Rows;
use weir_types::{ChangelogBatch, RankSpec, RowKind};

/// Rows to be emitted, in order.
#[derive(Default)]
pub(super) struct Emission {
    kinds: Vec<RowKind>,
    sources: Vec<Source>,
    /// the row of the batch that brought it about: it is of the same partition
    vias: Vec<u32>,
    ranks: Vec<i64>,
    via: u32,
    /// kept rows that go once all is emitted
    pub(super) gone: Vec<u32>,
}

impl Emission {
    /// What follows is brought about by this row of the batch.
    pub(super) fn via(&mut self, row: u32) {
        self.via = row;
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// A row at a rank, if ranks are shown and it is one of those that are wanted.
    pub(super) fn one(&mut self, kind: RowKind, source: Source, rank: usize, spec: &RankSpec) {
        if spec.shows_ranks() && (rank as u64) < spec.start {
            return;
        }
        self.kinds.push(kind);
        self.sources.push(source);
        self.vias.push(self.via);
        self.ranks.push(rank as i64);
    }

    /// One row instead of another.
    pub(super) fn update(&mut self, before: Source, after: Source, rank: usize, spec: &RankSpec) {
        if spec.emit_update_before {
            self.one(RowKind::UpdateBefore, before, rank, spec);
        }
        self.one(RowKind::UpdateAfter, after, rank, spec);
    }

    /// The rows at `range` as a batch. `kept` are the columns of the rows in `state`, in the order of its fields.
    pub(super) fn batch(
        &self,
        range: Range<usize>,
        spec: &RankSpec,
        kept: &[usize],
        batch: &ChangelogBatch,
        state: &Rows<'_>,
        schema: &SchemaRef,
    ) -> Result<ChangelogBatch, OperatorError> {
        let mixed = Mixed::of(self.sources[range.clone()].iter().copied());
        let vias = UInt32Array::from(self.vias[range.clone()].to_vec());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for column in &spec.columns {
            let here = batch.rows().column(*column);
            columns.push(match kept.iter().position(|kept| kept == column) {
                // The partition's key is that of the row that came.
                None => take(here, &vias, None)?,
                Some(field) => mixed.column(here, state, field)?,
            });
        }
        if spec.outputs_rank {
            columns.push(Arc::new(Int64Array::from(self.ranks[range.clone()].to_vec())));
        }
        Ok(changes_of(batch_of(schema.clone(), columns, range.len())?, &self.kinds[range]))
    }
}
