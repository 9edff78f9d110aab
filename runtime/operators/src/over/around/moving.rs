//! Functions of a frame that rows leave.

use super::Table;
use super::evaluate::{Results, View, ordered};
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, CountAnew, Member, Ranges, Retractions};
use crate::over::distinct::{fresh_in_frames, last_before};
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
}

/// Rows that are counted in and out as a frame moves along.
struct Steps {
    sequence: Sequence,
    groups: usize,
    rows: RecordBatch,
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
        Ok(Moving { frame, set: AccumulatorSet::new(calls, input, true, Vec::new())? })
    }

    pub(super) fn run(&self, views: &[View<'_>], table: &Table) -> Result<Vec<Results>, OperatorError> {
        let members = self.set.members();
        let some = |anew: bool| members.iter().any(|member| member.accumulator.anew().is_some() == anew);
        let frames = if some(true) { Some(self.frames(views, table)?) } else { None };
        let mut moved = match some(false) {
            true => self.moved(self.steps(views, table)?)?.into_iter(),
            false => Vec::new().into_iter(),
        };
        let result = |member: &Member| match (member.accumulator.anew(), &frames) {
            (Some(anew), Some(frames)) => self.counted_anew(member, anew, frames),
            _ => moved.next().ok_or_else(|| OperatorError::internal("a function of OVER has no results")),
        };
        members.iter().map(result).collect()
    }

    fn steps(&self, views: &[View<'_>], table: &Table) -> Result<Steps, OperatorError> {
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
        let rows = take_record_batch(&table.rows, &UInt32Array::from(sequence.rows.clone()))?;
        Ok(Steps { sequence, groups: group as usize, rows, after })
    }

    /// The results of the functions that forget exactly.
    fn moved(&self, steps: Steps) -> Result<Vec<Results>, OperatorError> {
        let Steps { sequence, groups, rows: stepped, after } = steps;
        let mut rows = self.set.new_rows();
        rows.reset(1);
        let none = self.set.emit(&rows)?;
        rows.reset(groups);
        let fresh = fresh_in_frames(self.set.distincts(), &sequence, &stepped)?;
        let retractions = Some(Retractions { retracts: &sequence.retracts, resets: &sequence.resets });
        let forgets = |member: &Member| member.accumulator.anew().is_none();
        let steps = traced::Steps {
            rows: &stepped,
            groups: &sequence.groups,
            fresh: Some(&fresh),
            retractions,
            ordinals: None,
        };
        let traced = steps.trace(&self.set, forgets, &mut rows)?;
        let numbers = (0..none.len()).filter(|number| forgets(&self.set.members()[*number]));
        let all = numbers.map(|number| Results::after(&traced, number, &none[number], &after)).collect();
        Ok(all)
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
