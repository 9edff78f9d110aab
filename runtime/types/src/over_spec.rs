//! What operators of OVER are to do.

use crate::{AggregateCall, SortKey};

/// Which rows up to a row, itself included, it is aggregated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverFrame {
    /// all; `peers`: and those of the same time that come after it (RANGE)
    Unbounded { peers: bool },
    /// ROWS: so many before it
    Rows(u64),
    /// RANGE: those of the same time, and those at most so many milliseconds before
    Range(i64),
}

/// Each row with aggregates of the rows before it in its partition, in order of time. Without aggregates: rows in order of
/// time. The input only inserts. Output: `columns`, then the aggregates.
#[derive(Clone, Debug)]
pub struct OverSpec {
    /// columns of the input; none: one partition
    pub partition: Vec<usize>,
    /// the rowtime column; `None`: processing time
    pub rowtime: Option<usize>,
    /// orders rows of the same time
    pub order: Vec<SortKey>,
    pub frame: OverFrame,
    pub aggregates: Vec<AggregateCall>,
    /// columns of the input that are given
    pub columns: Vec<usize>,
    /// All rows of a partition have the same time: it ends with it.
    pub ends: bool,
    /// Of rows that time and `order` do not tell apart the one that came last is first.
    pub last_first: bool,
}

/// Each row with aggregates of all rows up to it in its partition, in an order that is not that of time: a row that comes
/// or goes changes what was given for the rows after it. Of rows with equal keys the earlier one is first. Output:
/// `columns`, then the aggregates.
#[derive(Clone, Debug)]
pub struct OverAnyOrderSpec {
    /// columns of the input; none: one partition
    pub partition: Vec<usize>,
    /// at least one
    pub order: Vec<SortKey>,
    /// rows with equal keys are aggregated as well, wherever they stand (RANGE)
    pub peers: bool,
    pub aggregates: Vec<AggregateCall>,
    /// columns of the input that are given
    pub columns: Vec<usize>,
    /// the input carries `-U` and `-D`
    pub input_retracts: bool,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
}

/// Each row with functions of the rows around it in its partition, in any order, also of rows behind it: what comes or
/// goes changes what was given for others. Of rows with equal keys the earlier one is first. Output: `columns`, then the
/// results.
#[derive(Clone, Debug)]
pub struct OverPartitionSpec {
    /// columns of the input; none: one partition
    pub partition: Vec<usize>,
    /// at least one
    pub order: Vec<SortKey>,
    pub calls: Vec<FramedCall>,
    /// columns of the input that are given
    pub columns: Vec<usize>,
    /// the input carries `-U` and `-D`
    pub input_retracts: bool,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
}

/// A function with the rows that it is of. LAG, LEAD, NTILE, PERCENT_RANK and CUME_DIST heed no frame.
#[derive(Clone, Debug)]
pub struct FramedCall {
    pub call: AggregateCall,
    pub frame: Frame,
}

/// Rows around a row, which may be none of them itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub units: FrameUnits,
    /// where it begins, seen from the row: -2 is two before it, 0 the row itself. `None`: with the first row
    pub start: Option<i128>,
    /// where it ends, that place included. `None`: with the last row
    pub end: Option<i128>,
}

/// What the bounds of a frame count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnits {
    /// rows
    Rows,
    /// What the only key of the order counts in its own type: milliseconds, days, units of a decimal's last place. A bound
    /// of 0 takes the row's peers in, which are ordered like it; with other bounds the key is of such a type.
    Range,
}

impl Frame {
    /// UNBOUNDED PRECEDING AND CURRENT ROW
    pub fn running(units: FrameUnits) -> Frame {
        Frame { units, start: None, end: Some(0) }
    }
}
