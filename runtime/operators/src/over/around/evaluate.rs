//! The results of rows: of all partitions of a batch at once, function by function.

use super::Table;
use super::from_end::{FromEnd, takes_any_order};
use super::moving::Moving;
use super::ordered::Ordered;
use super::running::{Running, Start};
use crate::OperatorError;
use crate::accumulators::GroupRows;
use crate::over::traced::Traced;
use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use std::sync::Arc;
use weir_types::{AggregateCall, AggregateFunction, Frame, FramedCall};

/// Rows that follow each other in a partition, and those of them whose results are asked for.
pub(super) struct View<'a> {
    pub(super) items: &'a [u32],
    /// rows of the partition before these, and all of it
    pub(super) base: u64,
    pub(super) total: u64,
    /// places among `items`, rising
    pub(super) wanted: Vec<usize>,
    /// rows at the front that are only looked at: accumulators have seen them
    pub(super) skip: usize,
    /// where accumulators of all rows up to some go on from
    pub(super) start: Start,
    /// where such accumulators are asked for: the rows before these places
    pub(super) stops: Vec<usize>,
}

/// The results of one call: where each stands that was asked for, view after view.
pub(super) struct Results {
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) places: Vec<(usize, usize)>,
}

impl Results {
    /// The results of call `number` after steps; `None`: what it has over no rows.
    pub(super) fn after(traced: &Traced, number: usize, none: &ArrayRef, after: &[Option<u32>]) -> Results {
        let place = |after: &Option<u32>| match after.map(|step| traced.after(step as usize)) {
            Some((part, place)) => (part + 1, place),
            None => (0, 0),
        };
        let arrays = std::iter::once(none).chain(traced.columns(number)).cloned().collect();
        Results { arrays, places: after.iter().map(place).collect() }
    }

    /// The results number `wanted`.
    pub(super) fn gather(&self, wanted: &[u32]) -> Result<ArrayRef, OperatorError> {
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        let places: Vec<(usize, usize)> = wanted.iter().map(|wanted| self.places[*wanted as usize]).collect();
        Ok(interleave(&arrays, &places)?)
    }
}

/// What a call is computed by.
enum Kind {
    /// the row so many places away: a column, and one for rows that have no such row
    Neighbour {
        away: i64,
    },
    Ntile {
        parts: u64,
    },
    PercentRank,
    CumeDist,
    /// row `n` of a frame that does not begin with the partition
    Nth {
        n: u64,
    },
    /// number so and so of the functions of all rows up to some
    Running(usize),
    /// the next one of the functions of a frame that rows leave
    Moving(usize),
    /// the next one of the functions of a frame that ends with the partition
    FromEnd(usize),
}

pub(super) struct Evaluator {
    calls: Vec<FramedCall>,
    kinds: Vec<Kind>,
    pub(super) running: Running,
    moving: Vec<Moving>,
    from_end: Vec<FromEnd>,
}

/// Calls by their frames.
type Framed = Vec<(Frame, Vec<AggregateCall>)>;

/// Puts `call` with the others of its frame, and tells with which.
fn with_frame(all: &mut Framed, frame: &Frame, call: &AggregateCall) -> usize {
    let known = all.iter().position(|(known, _)| known == frame);
    let set = known.unwrap_or_else(|| {
        all.push((*frame, Vec::new()));
        all.len() - 1
    });
    all[set].1.push(call.clone());
    set
}

impl Evaluator {
    pub(super) fn new(calls: &[FramedCall], input: &SchemaRef) -> Result<Self, OperatorError> {
        let mut kinds = Vec::new();
        let mut running = Vec::new();
        let (mut moving, mut from_end) = (Framed::new(), Framed::new());
        for FramedCall { call, frame } in calls {
            kinds.push(match (call.function, frame.start) {
                (AggregateFunction::Lag { rows }, _) => Kind::Neighbour { away: -i64::from(rows) },
                (AggregateFunction::Lead { rows }, _) => Kind::Neighbour { away: i64::from(rows) },
                (AggregateFunction::Ntile { parts }, _) => Kind::Ntile { parts: u64::from(parts) },
                (AggregateFunction::PercentRank, _) => Kind::PercentRank,
                (AggregateFunction::CumeDist, _) => Kind::CumeDist,
                (AggregateFunction::NthValue { n }, Some(_)) => Kind::Nth { n: u64::from(n) },
                (_, None) => {
                    running.push(call.clone());
                    Kind::Running(running.len() - 1)
                }
                (function, Some(_)) if frame.end.is_none() && takes_any_order(function) => {
                    Kind::FromEnd(with_frame(&mut from_end, frame, call))
                }
                (_, Some(_)) => Kind::Moving(with_frame(&mut moving, frame, call)),
            });
        }
        let moving = moving.iter().map(|(frame, calls)| Moving::new(*frame, calls, input));
        let moving = moving.collect::<Result<_, OperatorError>>()?;
        let from_end = from_end.iter().map(|(frame, calls)| FromEnd::new(*frame, calls, input));
        let from_end = from_end.collect::<Result<_, OperatorError>>()?;
        let running = Running::new(&running, input)?;
        Ok(Evaluator { calls: calls.to_vec(), kinds, running, moving, from_end })
    }

    /// The results of all calls, and the accumulators before the stops of `views`, view after view.
    pub(super) fn evaluate(
        &self,
        views: &[View<'_>],
        table: &Table,
    ) -> Result<(Vec<Results>, GroupRows), OperatorError> {
        let (running, kept) = self.running.run(views, table)?;
        let mut moving = in_turn(self.moving.iter().map(|moving| moving.run(views, table)))?;
        let mut from_end = in_turn(self.from_end.iter().map(|from_end| from_end.run(views, table)))?;
        let mut all = Vec::with_capacity(self.calls.len());
        for (call, kind) in self.calls.iter().zip(&self.kinds) {
            all.push(match kind {
                Kind::Neighbour { away } => neighbours(call, *away, views, table),
                Kind::Nth { n } => nth(call, *n, views, table),
                Kind::Ntile { parts } => numbers(views, |view, place| part(view, place, *parts)),
                Kind::PercentRank => shares(views, |view, place| {
                    let before = view.base + ordered(view, table).peers(place).start as u64;
                    if view.total < 2 { 0.0 } else { before as f64 / (view.total - 1) as f64 }
                }),
                Kind::CumeDist => shares(views, |view, place| {
                    let end = view.base + ordered(view, table).peers(place).end as u64;
                    end as f64 / view.total as f64
                }),
                Kind::Running(number) => running.results(*number, &call.frame, views, table),
                // The functions of a frame come in the order of the calls.
                Kind::Moving(set) => next(&mut moving[*set])?,
                Kind::FromEnd(set) => next(&mut from_end[*set])?,
            });
        }
        Ok((all, kept))
    }
}

/// The results of sets of functions, to be taken one after the other.
fn in_turn(
    all: impl Iterator<Item = Result<Vec<Results>, OperatorError>>,
) -> Result<Vec<std::vec::IntoIter<Results>>, OperatorError> {
    all.map(|results| Ok(results?.into_iter())).collect()
}

fn next(results: &mut std::vec::IntoIter<Results>) -> Result<Results, OperatorError> {
    results.next().ok_or_else(|| OperatorError::internal("a function of OVER has no results"))
}

pub(super) fn ordered<'a>(view: &View<'a>, table: &'a Table) -> Ordered<'a> {
    Ordered { items: view.items, keys: &table.keys }
}

/// Results that stand in the table itself; array 0 is one NULL.
fn of_table(call: &FramedCall, table: &Table, places: Vec<(usize, usize)>) -> Results {
    let columns = call.call.arguments.iter().map(|column| table.rows.column(*column));
    let null = columns.clone().next().map(|column| new_null_array(column.data_type(), 1));
    Results { arrays: null.into_iter().chain(columns.cloned()).collect(), places }
}

fn neighbours(call: &FramedCall, away: i64, views: &[View<'_>], table: &Table) -> Results {
    let has_default = call.call.arguments.len() > 1;
    let mut places = Vec::new();
    for view in views {
        for place in &view.wanted {
            let other = usize::try_from(*place as i64 + away).ok().and_then(|other| view.items.get(other));
            places.push(match other {
                Some(item) => (1, *item as usize),
                None if has_default => (2, view.items[*place] as usize),
                None => (0, 0),
            });
        }
    }
    of_table(call, table, places)
}

fn nth(call: &FramedCall, n: u64, views: &[View<'_>], table: &Table) -> Results {
    let mut places = Vec::new();
    for view in views {
        for place in &view.wanted {
            let Range { start, end } = ordered(view, table).frame(&call.frame, *place);
            let row = start.saturating_add(n as usize - 1);
            places.push(if row < end { (1, view.items[row] as usize) } else { (0, 0) });
        }
    }
    of_table(call, table, places)
}

/// The number of the part that a row falls into: the first parts have a row more where they are not all as large.
fn part(view: &View<'_>, place: usize, parts: u64) -> i64 {
    let (row, size, more) = (view.base + place as u64, view.total / parts, view.total % parts);
    let large = more * (size + 1);
    let part = if row < large { row / (size + 1) } else { more + (row - large) / size.max(1) };
    part as i64 + 1
}

fn numbers(views: &[View<'_>], number: impl Fn(&View<'_>, usize) -> i64) -> Results {
    let of_view = |view: &View<'_>| view.wanted.iter().map(|place| number(view, *place)).collect::<Vec<_>>();
    let numbers: Int64Array = views.iter().flat_map(of_view).collect::<Vec<_>>().into();
    computed(Arc::new(numbers))
}

fn shares(views: &[View<'_>], share: impl Fn(&View<'_>, usize) -> f64) -> Results {
    let of_view = |view: &View<'_>| view.wanted.iter().map(|place| share(view, *place)).collect::<Vec<_>>();
    let shares: Float64Array = views.iter().flat_map(of_view).collect::<Vec<_>>().into();
    computed(Arc::new(shares))
}

fn computed(array: ArrayRef) -> Results {
    let places = (0..array.len()).map(|place| (0, place)).collect();
    Results { arrays: vec![array], places }
}
