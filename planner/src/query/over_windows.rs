//! The windows of OVER: what frame each function has, which operator can give its results, and how the windows of one
//! SELECT follow each other.

use crate::query::error::{external, plan_error};
use crate::query::lower::{time_order, window_position};
use crate::query::ranks::is_row_number;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::Transformed;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::{
    Expr, ExprSchemable, LogicalPlan, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use std::sync::Arc;
use weir_types::{Frame, FrameUnits, OverFrame, TimeAttribute};

/// How the results of functions over one window come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In the order of time, from rows up to the row: each is final.
    ByTime(OverFrame),
    /// From all rows up to the row, in any order: what comes or goes changes the results behind it, row by row.
    Running { peers: bool },
    /// From any rows of the partition, in any order: what comes or goes changes the results around it.
    Partition,
}

/// Functions of which only the order says which rows they look at.
const WITHOUT_FRAME: [&str; 8] =
    ["ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"];

/// Those of them that read rows behind the row.
const LOOKS_AHEAD: [&str; 4] = ["LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"];

const MILLISECONDS_PER_DAY: i128 = 86_400_000;

/// The call under the names that it has.
pub(super) fn call_of(expr: &Expr) -> Option<WindowFunction> {
    match expr.clone().unalias_nested().data {
        Expr::WindowFunction(call) => Some(*call),
        _ => None,
    }
}

pub(super) fn has_frame(name: &str) -> bool {
    !WITHOUT_FRAME.contains(&name)
}

/// Lets the windows that are nested below and at `plan`, as those of one SELECT are, follow each other so that each is
/// one operator: those whose results are final first, for they take no updates.
pub(super) fn arrange_windows(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Window(top) = &plan else { return Ok(Transformed::no(plan)) };
    let place = window_position(top);
    arranged(plan).map_err(|error| external(plan_error(error).at_position(place)))
}

fn arranged(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Window(top) = &plan else { return Ok(Transformed::no(plan)) };
    let (mut chain, mut input) = (vec![top], &top.input);
    while let LogicalPlan::Window(below) = input.as_ref() {
        chain.push(below);
        input = &below.input;
    }
    let exprs: Vec<&Expr> = chain.iter().rev().flat_map(|window| &window.window_expr).collect();
    if exprs.len() < 2 {
        return Ok(Transformed::no(plan));
    }
    // What one operator gives: expressions with their calls.
    let mut groups: Vec<(Way, Vec<(Expr, WindowFunction)>)> = vec![];
    for expr in exprs {
        let Some(call) = call_of(expr) else { return Ok(Transformed::no(plan)) };
        let mut found = None;
        for (place, (_, group)) in groups.iter().enumerate() {
            let calls: Vec<&WindowFunction> = group.iter().map(|(_, call)| call).chain([&call]).collect();
            if let Some(way) = common_way(&calls, input)? {
                found = Some((place, way));
                break;
            }
        }
        match found {
            Some((place, way)) => {
                groups[place].0 = way;
                groups[place].1.push((expr.clone(), call));
            }
            None => groups.push((way_of(&call, input)?, vec![(expr.clone(), call)])),
        }
    }
    if let ([_], [_]) = (&chain[..], &groups[..]) {
        return Ok(Transformed::no(plan));
    }
    groups.sort_by_key(|(way, _)| match way {
        Way::ByTime(_) => 0,
        Way::Running { .. } => 1,
        Way::Partition => 2,
    });
    let mut arranged = input.as_ref().clone();
    for (_, group) in groups {
        let exprs = group.into_iter().map(|(expr, _)| expr).collect();
        arranged = LogicalPlan::Window(Window::try_new(exprs, Arc::new(arranged))?);
    }
    Ok(Transformed::yes(arranged))
}

/// How one operator gives the results of all of `calls`; `None` where that takes several.
pub(super) fn common_way(calls: &[&WindowFunction], input: &LogicalPlan) -> Result<Option<Way>> {
    let Some((first, others)) = calls.split_first() else { return Ok(None) };
    let same = |call: &&WindowFunction| {
        call.params.partition_by == first.params.partition_by && call.params.order_by == first.params.order_by
    };
    if !others.iter().all(same) {
        return Ok(None);
    }
    let mut common: Option<Way> = None;
    // LAG is of any rows that are all there are up to the row.
    for call in calls.iter().filter(|call| call.fun.name() != "LAG").chain(calls) {
        let way = way_of(call, input)?;
        common = match (common, way) {
            (None, way) => Some(way),
            (Some(common), way) if common == way => Some(common),
            (Some(common @ Way::ByTime(OverFrame::Unbounded { .. })), Way::ByTime(_))
                if call.fun.name() == "LAG" =>
            {
                Some(common)
            }
            (Some(Way::ByTime(_)), _) | (_, Way::ByTime(_)) => return Ok(None),
            _ => Some(Way::Partition),
        };
    }
    Ok(common)
}

/// How the results of `call` over the rows of `input` come about.
fn way_of(call: &WindowFunction, input: &LogicalPlan) -> Result<Way> {
    let frame = frame_of(call, input)?;
    let name = call.fun.name();
    if let Some(frame) = final_frame(call, frame, input) {
        return Ok(Way::ByTime(frame));
    }
    let runs = frame.start.is_none() && frame.end == Some(0);
    let running = runs && name != "LAG" && !LOOKS_AHEAD.contains(&name) && !call.params.distinct;
    Ok(match running {
        true => Way::Running { peers: frame.units == FrameUnits::Range },
        false => Way::Partition,
    })
}

/// The frame of a call whose rows are all there once time has come to its row; `None` for others.
fn final_frame(call: &WindowFunction, frame: Frame, input: &LogicalPlan) -> Option<OverFrame> {
    let (first, others) = call.params.order_by.split_first()?;
    let attribute = time_order(input, first).filter(|_| first.asc)?;
    let name = call.fun.name();
    if LOOKS_AHEAD.contains(&name) {
        return None;
    }
    let over = match (frame.units, frame.start, frame.end) {
        (FrameUnits::Rows, None, Some(0)) => OverFrame::Unbounded { peers: false },
        (FrameUnits::Range, None, Some(0)) => OverFrame::Unbounded { peers: true },
        (FrameUnits::Rows, Some(start), Some(0)) => OverFrame::Rows(u64::try_from(-start).ok()?),
        (FrameUnits::Range, Some(start), Some(0)) => OverFrame::Range(i64::try_from(-start).ok()?),
        _ => return None,
    };
    let over = match (attribute, over) {
        // By processing time no two rows are peers, but for a frame of time.
        (TimeAttribute::ProcTime, OverFrame::Unbounded { .. }) => OverFrame::Unbounded { peers: false },
        // Further keys tell rows of one time apart.
        (TimeAttribute::RowTime, OverFrame::Unbounded { .. }) if name == "LAG" && !others.is_empty() => {
            OverFrame::Unbounded { peers: false }
        }
        (_, over) => over,
    };
    let of_rows = matches!(over, OverFrame::Unbounded { peers: false } | OverFrame::Rows(_));
    (others.is_empty() || of_rows).then_some(over)
}

/// The frame of a call; bounds of a RANGE of times are in milliseconds.
pub(super) fn frame_of(call: &WindowFunction, input: &LogicalPlan) -> Result<Frame> {
    let name = call.fun.name();
    if call.params.order_by.is_empty() {
        let frame = &call.params.window_frame;
        let is_whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
        return match has_frame(name) && is_whole {
            true => Ok(Frame { units: FrameUnits::Rows, start: None, end: None }),
            false => plan_err!("{name} .. OVER needs an ORDER BY in OVER: rows have no order by themselves"),
        };
    }
    match name {
        _ if is_row_number(call) => return Ok(Frame::running(FrameUnits::Rows)),
        _ if !has_frame(name) => return Ok(Frame::running(FrameUnits::Range)),
        _ => {}
    }
    let frame = &call.params.window_frame;
    let units = match frame.units {
        WindowFrameUnits::Rows => FrameUnits::Rows,
        WindowFrameUnits::Range => FrameUnits::Range,
        WindowFrameUnits::Groups => {
            return plan_err!("a frame of OVER is of ROWS or of a RANGE, not of GROUPS");
        }
    };
    let key = call.params.order_by[0].expr.get_type(input.schema())?;
    let bound = |bound: &WindowFrameBound| -> Result<Option<i128>> {
        Ok(match bound {
            WindowFrameBound::CurrentRow => Some(0),
            WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) if value.is_null() => {
                None
            }
            WindowFrameBound::Preceding(value) => Some(-offset(value, units, &key)?),
            WindowFrameBound::Following(value) => Some(offset(value, units, &key)?),
        })
    };
    let (start, end) = (bound(&frame.start_bound)?, bound(&frame.end_bound)?);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return plan_err!(
            "a frame of OVER begins before it ends, not {} and {}",
            frame.start_bound,
            frame.end_bound
        );
    }
    Ok(Frame { units, start, end })
}

/// How far a bound is from the row.
fn offset(value: &ScalarValue, units: FrameUnits, key: &DataType) -> Result<i128> {
    Ok(match (value, key) {
        (ScalarValue::UInt64(Some(rows)), _) if units == FrameUnits::Rows => i128::from(*rows),
        (ScalarValue::Int8(Some(value)), _) => i128::from(*value),
        (ScalarValue::Int16(Some(value)), _) => i128::from(*value),
        (ScalarValue::Int32(Some(value)), _) => i128::from(*value),
        (ScalarValue::Int64(Some(value)), _) => i128::from(*value),
        (ScalarValue::Decimal128(Some(value), _, _), _) => *value,
        (ScalarValue::DurationMillisecond(Some(ms)), _) => i128::from(*ms),
        (ScalarValue::IntervalMonthDayNano(Some(interval)), DataType::Timestamp(..) | DataType::Date32)
            if interval.months == 0 =>
        {
            i128::from(interval.days) * MILLISECONDS_PER_DAY + i128::from(interval.nanoseconds / 1_000_000)
        }
        (ScalarValue::IntervalMonthDayNano(_), _) => {
            return plan_err!("a RANGE of OVER is of days to seconds: months differ in length");
        }
        (_, DataType::Float32 | DataType::Float64) => {
            return plan_err!(
                "a RANGE of OVER counts in integers, decimals or times, not in DOUBLE: order by CAST(.. AS DECIMAL(p, s))"
            );
        }
        (value, _) => {
            return plan_err!(
                "a RANGE of OVER counts in integers, decimals or times, and {value} is none that the key can be moved by"
            );
        }
    })
}

/// The frame in what a key of type `key` is kept in, where its bounds are milliseconds.
pub(super) fn in_units_of(frame: Frame, key: &DataType) -> Result<Frame> {
    if frame.units == FrameUnits::Rows {
        return Ok(frame);
    }
    let convert = |bound: Option<i128>| -> Result<Option<i128>> {
        let Some(ms) = bound else { return Ok(None) };
        let (factor, divisor) = match key {
            DataType::Timestamp(TimeUnit::Second, _) => (1, 1_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (1_000, 1),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (1_000_000, 1),
            DataType::Date32 => (1, MILLISECONDS_PER_DAY),
            _ => (1, 1),
        };
        match ms % divisor {
            0 => Ok(Some(ms * factor / divisor)),
            _ => plan_err!("a RANGE of OVER by a key of type {key} is of whole units of it, not of {ms} ms"),
        }
    };
    Ok(Frame { start: convert(frame.start)?, end: convert(frame.end)?, ..frame })
}

/// What a function reads of its row, its filter included: how far LAG looks back and the like are numbers, and NULL is
/// what LAG gives by itself.
pub(super) fn read_by(call: &WindowFunction) -> impl Iterator<Item = &Expr> {
    let name = call.fun.name();
    let is_neighbour = is_neighbour(name);
    let constant = match name {
        "LAG" | "LEAD" | "NTH_VALUE" => Some(1),
        "NTILE" => Some(0),
        _ => None,
    };
    let is_read = move |(place, expr): &(usize, &Expr)| match place {
        place if Some(*place) == constant => false,
        2 if is_neighbour => !matches!(expr, Expr::Literal(value, _) if value.is_null()),
        _ => true,
    };
    let arguments = call.params.args.iter().enumerate().filter(is_read).map(|(_, expr)| expr);
    arguments.chain(call.params.filter.as_deref())
}

pub(super) fn is_neighbour(name: &str) -> bool {
    ["LAG", "LEAD"].contains(&name)
}

/// True for an aggregate function, as opposed to one that only OVER has.
pub(super) fn is_aggregate(call: &WindowFunction) -> bool {
    matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_))
}

/// Sides of a frame as SQL has them.
pub(super) fn frame_text(frame: &Frame) -> String {
    let units = match frame.units {
        FrameUnits::Rows => "ROWS",
        FrameUnits::Range => "RANGE",
    };
    let bound = |bound: Option<i128>, unbounded: &str| match bound {
        None => format!("UNBOUNDED {unbounded}"),
        Some(0) => "CURRENT ROW".to_string(),
        Some(offset) if offset < 0 => format!("{} PRECEDING", -offset),
        Some(offset) => format!("{offset} FOLLOWING"),
    };
    format!("{units} BETWEEN {} AND {}", bound(frame.start, "PRECEDING"), bound(frame.end, "FOLLOWING"))
}
