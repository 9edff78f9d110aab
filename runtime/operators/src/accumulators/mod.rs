//! The aggregate functions, over rows of the groups that a batch touches.
//!
//! Read first: [`Accumulator`], [`Changes`], [`GroupRows`]. An accumulator computes with one aggregate's
//! columns of all groups at once; group, window and session aggregation share it. It knows neither keys nor
//! state.

mod bytes;
mod bytes_kernels;
mod columns;
mod create;
mod decimal_variance;
mod fixed;
mod json_object;
mod lag;
mod multiset;
mod names;
mod nth;
mod numeric;
mod ordered;
mod rows;
mod set;

use columns::Native;
use create::create_accumulator;
pub(crate) use names::{ROWS_FIELD, call_text, unlike, unlike_each_other};
pub(crate) use ordered::Ordered;
pub(crate) use rows::GroupRows;
pub(crate) use set::{AccumulatorSet, DistinctSpec, Member, RESULT_BYTES, and, filter_bits, valid_rows};

use crate::OperatorError;
use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use std::ops::Range;
use weir_types::SqlField;

/// What a batch does to its groups, as one aggregate sees it.
#[derive(Clone, Debug)]
pub(crate) struct Changes<'a> {
    /// the group of each row, a row of [`GroupRows`]
    pub(crate) groups: &'a [u32],
    /// the rows that count: what the filter, DISTINCT and NULL arguments leave; `None`: all
    pub(crate) selected: Option<BooleanBuffer>,
    /// where the input retracts
    pub(crate) retractions: Option<Retractions<'a>>,
}

/// How the rows of a batch that carries `-U` and `-D` count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retractions<'a> {
    /// the row takes back an earlier one
    pub(crate) retracts: &'a [bool],
    /// the group is gone after this row: its accumulators start anew
    pub(crate) resets: &'a [bool],
}

/// Ranges of rows whose results are asked for, each counted by itself.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<'a> {
    pub(crate) ranges: &'a [Range<usize>],
    /// the rows that count; `None`: all
    pub(crate) selected: Option<BooleanBuffer>,
    /// DISTINCT: a row counts in ranges that begin here or later, behind the last row before with the same value
    pub(crate) since: Option<Vec<usize>>,
}

impl Ranges<'_> {
    /// True if `row`, which is in a range from `start` on, counts there.
    #[inline(always)]
    fn counts(&self, row: usize, start: usize) -> bool {
        self.selected.as_ref().is_none_or(|selected| selected.value(row))
            && self.since.as_ref().is_none_or(|since| since[row] <= start)
    }
}

/// What an accumulator can do that does not forget exactly: a rounded sum from which a value is taken is not what it was
/// before that came, and one that went out of range does not come back.
pub(crate) trait CountAnew {
    /// The result over each range, its rows counted in from the first to the last and nothing before them.
    fn over(&self, arguments: &[ArrayRef], ranges: &Ranges<'_>) -> Result<ArrayRef, OperatorError>;
}

/// Where an accumulator's part of a [`GroupRows`] row begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) word: usize,
    pub(crate) value: usize,
}

/// One aggregate function over one type.
///
/// A part of a row that is all zeros is an accumulator that has seen nothing. Rows of a batch count in their
/// order.
pub(crate) trait Accumulator: Send {
    /// What is kept per group, under names that begin with the call as SQL has it. Strings, bytes and nested values
    /// take one byte string of a row, DECIMAL two words, all others one. A nullable field takes one word more, behind
    /// the others: 0 where it is NULL.
    fn fields(&self) -> &[SqlField];

    /// True if rows with a NULL among the arguments do not count.
    fn ignores_nulls(&self) -> bool {
        true
    }

    /// An upper bound, roughly, of the bytes that the result for group `row` takes; 0 for results of fixed
    /// width.
    fn result_bytes(&self, _place: Place, _rows: &GroupRows, _row: usize) -> usize {
        0
    }

    /// True if a result may become longer with each row.
    fn grows(&self) -> bool {
        false
    }

    /// Where rows that are counted out leave a trace. `None`: the accumulator is then as if they had never come.
    fn anew(&self) -> Option<&dyn CountAnew> {
        None
    }

    /// Where values are kept in order and only the first one counts: what reads and writes them.
    fn ordered(&self) -> Option<Ordered<'_>> {
        None
    }

    /// Counts the rows in.
    fn update(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
    ) -> Result<(), OperatorError>;

    /// Counts the rows in and tells the result before and after each: at `2 * i` and `2 * i + 1` of the
    /// column. Sets `changed[i]` where the two differ. The result after a row that resets its group is not
    /// defined.
    fn trace(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
        changed: &mut [bool],
    ) -> Result<ArrayRef, OperatorError>;

    /// Adds what row `i` of `from` has seen to row `into[i]` of `rows`, behind what that has seen. Both have
    /// the same layout.
    fn merge(
        &self,
        place: Place,
        rows: &mut GroupRows,
        into: &[u32],
        from: &GroupRows,
    ) -> Result<(), OperatorError>;

    /// The result of each row.
    fn emit(&self, place: Place, rows: &GroupRows) -> Result<ArrayRef, OperatorError>;
}
