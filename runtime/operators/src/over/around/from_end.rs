//! Functions of frames that end with the partition: accumulators that go from its last row towards the first.

use super::Table;
use super::evaluate::{Results, View, ordered};
use crate::OperatorError;
use crate::accumulators::AccumulatorSet;
use crate::over::frame::Sequence;
use crate::over::traced;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use weir_types::{AggregateCall, AggregateFunction, Frame};

/// The frame of a row has all rows of that of the next one: so rows are only counted in, each once, the last one first.
/// Sums that are rounded are so from the last row to the first.
pub(super) struct FromEnd {
    frame: Frame,
    set: AccumulatorSet,
    /// the result of each function over no rows
    none: Vec<ArrayRef>,
}

/// True if it does not matter to the function in which order rows come.
pub(super) fn takes_any_order(function: AggregateFunction) -> bool {
    use AggregateFunction::*;
    matches!(function, Count | Sum | Sum0 | Avg | Min | Max | StddevPop | StddevSamp | VarPop | VarSamp)
}

impl FromEnd {
    pub(super) fn new(
        frame: Frame,
        calls: &[AggregateCall],
        input: &SchemaRef,
    ) -> Result<Self, OperatorError> {
        let set = AccumulatorSet::new(calls, input, false, Vec::new())?;
        Ok(FromEnd { frame, none: set.over_nothing()?, set })
    }

    pub(super) fn run(&self, views: &[View<'_>], table: &Table) -> Result<Vec<Results>, OperatorError> {
        let mut sequence = Sequence::default();
        // After which step a result stands; `None`: the frame has no rows.
        let mut after: Vec<Option<u32>> = Vec::new();
        for (number, view) in views.iter().enumerate() {
            let (rows, len, first) = (ordered(view, table), view.items.len(), sequence.rows.len());
            let starts: Vec<usize> =
                view.wanted.iter().map(|place| rows.frame(&self.frame, *place).start).collect();
            let until = starts.iter().copied().min().unwrap_or(len);
            for place in (until..len).rev() {
                sequence.count(view.items[place], false, number as u32);
            }
            let step = |start: usize| (start < len).then(|| (first + len - 1 - start) as u32);
            after.extend(starts.into_iter().map(step));
        }
        let mut rows = self.set.new_rows();
        rows.reset(views.len());
        let traced = traced::trace(&self.set, &sequence, &table.rows, (false, None), |_| true, &mut rows)?;
        let result = |(number, none)| Results::after(&traced, number, none, &after);
        Ok(self.none.iter().enumerate().map(result).collect())
    }
}
