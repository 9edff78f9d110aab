//! Aggregates over rows of matches that grow.

use super::chunk::Chunk;
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows};
use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use std::collections::BTreeMap;
use std::ops::Range;
use weir_types::{AggregateCall, MatchRows};

/// So many beginnings are remembered at most.
const REMEMBERED: usize = 1 << 12;

/// One aggregate. Rows that begin at the same place and grow by one are counted on from where they were.
pub(super) struct Running {
    rows: MatchRows,
    set: AccumulatorSet,
    /// by the first place: the place behind the last row that was counted, and the accumulator
    counted: BTreeMap<u32, (u32, GroupRows)>,
    groups: Vec<u32>,
}

impl Running {
    pub(super) fn new(rows: MatchRows, call: &AggregateCall, input: &Schema) -> Result<Self, OperatorError> {
        let set = AccumulatorSet::new(std::slice::from_ref(call), input, false, Vec::new())?;
        Ok(Running { rows, set, counted: BTreeMap::new(), groups: Vec::new() })
    }

    pub(super) fn rows(&self) -> MatchRows {
        self.rows
    }

    pub(super) fn forget(&mut self) {
        self.counted.clear();
    }

    /// The aggregate over the rows at `places`, as a column of one value.
    pub(super) fn over(&mut self, places: Range<u32>, chunk: &Chunk) -> Result<ArrayRef, OperatorError> {
        if self.counted.len() > REMEMBERED {
            self.counted.clear();
        }
        let fresh = || {
            let mut rows = self.set.new_rows();
            rows.reset(1);
            rows
        };
        let (counted, mut accumulators) = match self.counted.remove(&places.start) {
            Some((counted, accumulators)) if counted <= places.end => (counted, accumulators),
            _ => (places.start, fresh()),
        };
        let len = (places.end - counted) as usize;
        if len > 0 {
            let rows = chunk.rows.slice(counted as usize, len);
            self.groups.resize(self.groups.len().max(len), 0);
            for member in self.set.members() {
                let selected = AccumulatorSet::selection(member, &rows)?;
                let changes = Changes { groups: &self.groups[..len], selected, retractions: None };
                let arguments = AccumulatorSet::arguments(member, &rows);
                member.accumulator.update(member.place, &mut accumulators, &arguments, &changes)?;
            }
        }
        let mut columns = self.set.emit(&accumulators)?;
        self.counted.insert(places.start, (places.end, accumulators));
        columns.pop().ok_or_else(|| OperatorError::internal("one aggregate has one result"))
    }
}
