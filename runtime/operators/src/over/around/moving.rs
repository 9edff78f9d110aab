//! Functions of a frame that rows leave.

use super::Table;
use super::evaluate::{Results, View, ordered};
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, CountAnew, Member, Ranges};
use crate::over::distinct::last_before;
use crate::over::frame::Sequence;
use crate::over::traced;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use weir_types::{AggregateCall, Frame};

/// The result of a frame depends on its rows alone, however it was come by: what was emitted is computed again to be
/// taken back. So rows are counted in and out only by functions that forget exactly; others count the rows of each frame
/// from the first to the last.
pub(super) struct Moving {
    frame: Frame,
    set: AccumulatorSet,
    /// the result of each function over no rows
    none: Vec<ArrayRef>,
}

/// Rows that are counted in and out as a frame moves along.
struct Steps {
    sequence: Sequence,
    groups: usize,
    /// after which step each result stands; `None`: the frame has no rows
    after: Vec<Option<u32>>,
}

/// The rows of views, one view after the other, and the frames that are asked for among them.
struct Frames {
    rows: RecordBatch,
    /// the view of each row
    views: Vec<u32>,
    ranges: Vec<Range<usize>>,
}

impl Moving {
    pub(super) fn new(
        frame: Frame,
        calls: &[AggregateCall],
        input: &SchemaRef,
    ) -> Result<Self, OperatorError> {
        let set = AccumulatorSet::new(calls, input, true, Vec::new())?;
        Ok(Moving { frame, none: set.over_nothing()?, set })
    }

    pub(super) fn run(&self, views: &[View<'_>], table: &Table) -> Result<Vec<Results>, OperatorError> {
        let members = self.set.members();
        let some = |anew: bool| members.iter().any(|member| member.accumulator.anew().is_some() == anew);
        let frames = if some(true) { Some(self.frames(views, table)?) } else { None };
        let mut moved = match some(false) {
            true => self.moved(self.steps(views, table), table)?.into_iter(),
            false => Vec::new().into_iter(),
        };
        let result = |member: &Member| match (member.accumulator.anew(), &frames) {
            (Some(anew), Some(frames)) => self.counted_anew(member, anew, frames),
            _ => moved.next().ok_or_else(|| OperatorError::internal("a function of OVER has no results")),
        };
        members.iter().map(result).collect()
    }

    fn steps(&self, views: &[View<'_>], table: &Table) -> Steps {
        let mut sequence = Sequence::default();
        let mut after: Vec<Option<u32>> = Vec::new();
        let mut group = 0;
        for view in views {
            let rows = ordered(view, table);
            for part in view.wanted.chunk_by(|left, right| left + 1 == *right) {
                let mut held = 0..0;
                for place in part {
                    let frame = rows.frame(&self.frame, *place);
                    if frame.start >= held.end {
                        // Nothing stays: what is counted is forgotten.
                        if !held.is_empty() {
                            sequence.forget();
                        }
                        held = frame.start..frame.start;
                    }
                    while held.start < frame.start {
                        sequence.count(view.items[held.start], true, group);
                        held.start += 1;
                    }
                    while held.end < frame.end {
                        sequence.count(view.items[held.end], false, group);
                        held.end += 1;
                    }
                    after.push((!held.is_empty()).then(|| sequence.rows.len() as u32 - 1));
                }
                group += 1;
            }
        }
        Steps { sequence, groups: group as usize, after }
    }

    /// The results of the functions that forget exactly.
    fn moved(&self, steps: Steps, table: &Table) -> Result<Vec<Results>, OperatorError> {
        let Steps { sequence, groups, after } = steps;
        let mut rows = self.set.new_rows();
        rows.reset(groups);
        let forgets = |member: &Member| member.accumulator.anew().is_none();
        let traced = traced::trace(&self.set, &sequence, &table.rows, (true, None), forgets, &mut rows)?;
        let numbers = (0..self.none.len()).filter(|number| forgets(&self.set.members()[*number]));
        Ok(numbers.map(|number| Results::after(&traced, number, &self.none[number], &after)).collect())
    }

    fn frames(&self, views: &[View<'_>], table: &Table) -> Result<Frames, OperatorError> {
        let (mut items, mut of_views, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        for (number, view) in views.iter().enumerate() {
            let (rows, first) = (ordered(view, table), items.len());
            ranges.extend(view.wanted.iter().map(|place| {
                let Range { start, end } = rows.frame(&self.frame, *place);
                first + start..first + end
            }));
            items.extend_from_slice(view.items);
            of_views.resize(items.len(), number as u32);
        }
        let rows = take_record_batch(&table.rows, &UInt32Array::from(items))?;
        Ok(Frames { rows, views: of_views, ranges })
    }

    fn counted_anew(
        &self,
        member: &Member,
        anew: &dyn CountAnew,
        frames: &Frames,
    ) -> Result<Results, OperatorError> {
        let selected = AccumulatorSet::selection(member, &frames.rows)?;
        let since = match member.distinct {
            Some((map, _)) => {
                let columns = &self.set.distincts()[map].arguments;
                Some(last_before(columns, &frames.views, selected.as_ref(), &frames.rows)?)
            }
            None => None,
        };
        let ranges = Ranges { ranges: &frames.ranges, selected, since };
        let results: ArrayRef = anew.over(&AccumulatorSet::arguments(member, &frames.rows), &ranges)?;
        let places = (0..frames.ranges.len()).map(|place| (0, place)).collect();
        Ok(Results { arrays: vec![results], places })
    }
}
