//! Functions of all rows up to some: accumulators that only grow, of which some are kept so that not all rows before are
//! needed again.

use super::Table;
use super::evaluate::{Results, View, ordered};
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, GroupRows};
use crate::over::frame::Sequence;
use crate::over::traced::{self, Traced, is_rank};
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use std::sync::Arc;
use weir_types::{AggregateCall, Frame};

/// What the accumulators of a view begin with: as [`GroupRows::write_row`] has it; empty: nothing.
pub(super) type Start = Vec<u8>;

pub(super) struct Running {
    pub(super) set: AccumulatorSet,
    /// what is kept does not grow with the rows
    keeps: bool,
}

/// The results after each row of views: of parts of these, one after the other.
pub(super) struct Prefixes {
    rounds: Vec<Traced>,
    /// of each view: where its parts begin, and at which step of which round
    parts: Vec<Vec<(usize, usize, usize)>>,
}

/// The word of an accumulator of ranks that has the number that it was given last.
const LAST_ORDINAL: usize = 2;

impl Running {
    pub(super) fn new(calls: &[AggregateCall], input: &SchemaRef) -> Result<Self, OperatorError> {
        let set = AccumulatorSet::new(calls, input, false, Vec::new())?;
        let grows = set.members().iter().any(|member| member.call.distinct || member.accumulator.grows());
        Ok(Running { keeps: !calls.is_empty() && !grows, set })
    }

    /// True if accumulators before runs are kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Counts all rows of the views in, with the accumulators before their stops.
    pub(super) fn run(
        &self,
        views: &[View<'_>],
        table: &Table,
    ) -> Result<(Prefixes, GroupRows), OperatorError> {
        let members = self.set.members();
        let mut prefixes = Prefixes { rounds: Vec::new(), parts: vec![Vec::new(); views.len()] };
        let mut kept = self.set.new_rows();
        kept.reset(views.iter().map(|view| view.stops.len()).sum());
        if members.is_empty() {
            return Ok((prefixes, kept));
        }
        let mut rows = self.set.new_rows();
        rows.reset(views.len());
        for (number, view) in views.iter().enumerate().filter(|(_, view)| !view.start.is_empty()) {
            rows.read_row(number, &view.start)
                .ok_or_else(|| OperatorError::internal("accumulators of OVER cannot be read again"))?;
        }
        let longest = views.iter().map(|view| view.stops.len() + 1).max().unwrap_or(0);
        for round in 0..longest {
            let mut sequence = Sequence::default();
            let mut ordinals: Vec<i64> = Vec::new();
            for (number, view) in views.iter().enumerate() {
                let until = match view.stops.len() {
                    stops if round < stops => view.stops[round],
                    stops if round == stops => view.items.len(),
                    _ => continue,
                };
                let from = if round == 0 { view.skip } else { view.stops[round - 1] };
                prefixes.parts[number].push((from, round, sequence.rows.len()));
                for place in from..until {
                    sequence.count(view.items[place], false, number as u32);
                }
                self.ordinals(view, table, from..until, (&rows, number), &mut ordinals);
            }
            prefixes.rounds.push(self.trace(&sequence, ordinals, table, &mut rows)?);
            let mut first = 0;
            for (number, view) in views.iter().enumerate() {
                if round < view.stops.len() {
                    let mut bytes = Vec::new();
                    rows.write_row(number, &mut bytes);
                    kept.read_row(first + round, &bytes);
                }
                first += view.stops.len();
            }
        }
        Ok((prefixes, kept))
    }

    /// The number of the first peer of each row, for ranks. A row that is ordered like the one before has the number that
    /// the accumulators in row `number` of `rows` have seen last.
    fn ordinals(
        &self,
        view: &View<'_>,
        table: &Table,
        places: Range<usize>,
        (rows, number): (&GroupRows, usize),
        ordinals: &mut Vec<i64>,
    ) {
        let Some(rank) = self.set.members().iter().find(|member| is_rank(member.call.function)) else {
            return ordinals.resize(ordinals.len() + places.len(), 0);
        };
        let ordered = ordered(view, table);
        let mut ordinal = rows.part(number, rank.place.word + LAST_ORDINAL, 1)[0] as i64;
        for place in places {
            if place == 0 || !ordered.key(place).is_peer(ordered.key(place - 1)) {
                ordinal = view.base as i64 + place as i64;
            }
            ordinals.push(ordinal);
        }
    }

    fn trace(
        &self,
        sequence: &Sequence,
        ordinals: Vec<i64>,
        table: &Table,
        rows: &mut GroupRows,
    ) -> Result<Traced, OperatorError> {
        let ordinals: ArrayRef = Arc::new(Int64Array::from(ordinals));
        traced::trace(&self.set, sequence, &table.rows, (false, Some(&ordinals)), |_| true, rows)
    }
}

impl Prefixes {
    /// The results of a call whose frames begin with the first row.
    pub(super) fn results(&self, call: usize, frame: &Frame, views: &[View<'_>], table: &Table) -> Results {
        let mut firsts = vec![0];
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for round in &self.rounds {
            arrays.extend_from_slice(round.columns(call));
            firsts.push(arrays.len());
        }
        let mut places = Vec::new();
        for (view, parts) in views.iter().zip(&self.parts) {
            let rows = ordered(view, table);
            for place in &view.wanted {
                let end = rows.frame(frame, *place).end;
                // The last part that has a row of the frame, or the first one.
                let row = end.saturating_sub(1).max(view.skip);
                let part = parts.partition_point(|(from, _, _)| *from <= row).saturating_sub(1);
                let (from, round, first) = parts[part];
                let (part, after) = self.rounds[round].after(first + row - from);
                places.push((firsts[round] + part, if end <= view.skip { after - 1 } else { after }));
            }
        }
        Results { arrays, places }
    }
}
