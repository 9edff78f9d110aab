//! Accumulators of fixed width: typed loops around small kernels.

use super::columns::Value;
use super::{Accumulator, Changes, CountAnew, GroupRows, Place, Ranges, Retractions};
use crate::OperatorError;
use arrow::array::ArrayRef;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType};
use std::ops::Range;
use weir_types::SqlField;

/// The most words that a kernel keeps.
const MAX_WORDS: usize = 5;

/// What an aggregate function does to one group's words. All methods are small and inlined into the loops
/// below.
pub(crate) trait Kernel: Copy + Send + 'static {
    type In: Value + ArrowNativeType;
    type Out: Value;
    const WORDS: usize;
    /// False where a value that is taken back leaves a trace: sums that are rounded, or may go out of range.
    const FORGETS: bool = true;

    fn add(&self, words: &mut [u64], value: Self::In);
    /// Only called where `create_accumulator` lets this function over an input that retracts.
    fn retract(&self, words: &mut [u64], value: Self::In);
    /// `None` is NULL.
    fn result(&self, words: &[u64]) -> Option<Self::Out>;
    fn merge(&self, words: &mut [u64], other: &[u64]);
    /// True if the words say that the rows seen break the function's rule (a scalar subquery of two rows).
    fn is_broken(&self, _words: &[u64]) -> bool {
        false
    }
}

/// A [`Kernel`] over a column, or over rows as such where there is no argument (COUNT).
pub(crate) struct Fixed<K: Kernel> {
    kernel: K,
    fields: Vec<SqlField>,
    output: DataType,
    /// why rows may break the rule
    rule: &'static str,
    counts_rows: bool,
    forgets: bool,
}

impl<K: Kernel> Fixed<K> {
    pub(crate) fn new(kernel: K, fields: Vec<SqlField>, output: &DataType) -> Self {
        debug_assert!(K::WORDS <= MAX_WORDS);
        Fixed { kernel, fields, output: output.clone(), rule: "", counts_rows: false, forgets: K::FORGETS }
    }

    /// The argument's values do not matter, only that the rows are selected.
    pub(crate) fn counting_rows(mut self) -> Self {
        self.counts_rows = true;
        self
    }

    /// No sum of so many values as there may be goes out of range.
    pub(crate) fn never_out_of_range(mut self) -> Self {
        self.forgets = true;
        self
    }

    pub(crate) fn with_rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    fn check(&self, place: Place, rows: &GroupRows) -> Result<(), OperatorError> {
        if self.rule.is_empty() {
            return Ok(());
        }
        match (0..rows.len()).any(|row| self.kernel.is_broken(rows.part(row, place.word, K::WORDS))) {
            true => Err(OperatorError::Evaluation(self.rule.to_string())),
            false => Ok(()),
        }
    }

    /// Runs `body` with a function that reads the argument of a row.
    fn with_values<R>(
        &self,
        arguments: &[ArrayRef],
        rows: usize,
        body: impl Body<K::In, R>,
    ) -> Result<R, OperatorError> {
        if self.counts_rows {
            return Ok(body.run(|_| K::In::default()));
        }
        let column = arguments
            .first()
            .ok_or_else(|| OperatorError::internal("an aggregate function lacks its argument"))?;
        let values = K::In::column(column)?;
        let values = &values[..rows];
        Ok(body.run(|row| values[row]))
    }
}

/// A loop that is compiled once per way of reading an argument.
trait Body<In, R> {
    fn run(self, value: impl Fn(usize) -> In + Copy) -> R;
}

struct Update<'a, K> {
    kernel: K,
    words: &'a mut [u64],
    per_row: usize,
    first: usize,
    groups: usize,
    changes: &'a Changes<'a>,
}

impl<K: Kernel> Body<K::In, ()> for Update<'_, K> {
    #[inline]
    fn run(self, value: impl Fn(usize) -> K::In + Copy) {
        let Update { kernel, words, per_row, first, groups, changes } = self;
        let part = |row: usize| {
            let start = changes.groups[row] as usize * per_row + first;
            start..start + K::WORDS
        };
        match (&changes.selected, changes.retractions) {
            (None, None) if groups == 1 => {
                let mut held = [0; MAX_WORDS];
                let held = &mut held[..K::WORDS];
                held.copy_from_slice(&words[first..first + K::WORDS]);
                for row in 0..changes.groups.len() {
                    kernel.add(held, value(row));
                }
                words[first..first + K::WORDS].copy_from_slice(held);
            }
            (None, None) => {
                for row in 0..changes.groups.len() {
                    kernel.add(&mut words[part(row)], value(row));
                }
            }
            (Some(selected), None) => {
                for row in selected.set_indices() {
                    kernel.add(&mut words[part(row)], value(row));
                }
            }
            (selected, Some(Retractions { retracts, resets })) => {
                for row in 0..changes.groups.len() {
                    let words = &mut words[part(row)];
                    if selected.as_ref().is_none_or(|selected| selected.value(row)) {
                        if retracts[row] {
                            kernel.retract(words, value(row));
                        } else {
                            kernel.add(words, value(row));
                        }
                    }
                    if resets[row] {
                        words.fill(0);
                    }
                }
            }
        }
    }
}

struct Trace<'a, K> {
    update: Update<'a, K>,
    changed: &'a mut [bool],
}

/// Results on their way into a column. Which are not NULL is kept once one is NULL.
struct Results<T> {
    values: Vec<T>,
    valid: Vec<bool>,
}

impl<T: Value> Results<T> {
    fn with_capacity(rows: usize) -> Self {
        Results { values: Vec::with_capacity(rows), valid: Vec::new() }
    }

    #[inline(always)]
    fn push(&mut self, result: Option<T>) {
        if result.is_none() && self.valid.is_empty() {
            self.first_null();
        }
        if !self.valid.is_empty() {
            self.valid.push(result.is_some());
        }
        self.values.push(result.unwrap_or_default());
    }

    /// Makes room for flags, with one too many in front so that it is never empty.
    #[cold]
    fn first_null(&mut self) {
        self.valid.reserve(self.values.capacity() + 1);
        self.valid.resize(self.values.len() + 1, true);
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef, OperatorError> {
        let valid = self.valid.split_first();
        let nulls = valid.map(|(_, valid)| NullBuffer::new(BooleanBuffer::from(valid)));
        T::array(self.values, nulls, data_type)
    }
}

impl<K: Kernel> Body<K::In, Results<K::Out>> for Trace<'_, K> {
    #[inline]
    fn run(self, value: impl Fn(usize) -> K::In + Copy) -> Results<K::Out> {
        let Update { kernel, words, per_row, first, changes, .. } = self.update;
        let rows = changes.groups.len();
        let mut results = Results::with_capacity(2 * rows);
        let changed = &mut self.changed[..rows];
        let part = |row: usize| {
            let start = changes.groups[row] as usize * per_row + first;
            start..start + K::WORDS
        };
        if let (None, None) = (&changes.selected, changes.retractions) {
            for (row, changed) in changed.iter_mut().enumerate() {
                let words = &mut words[part(row)];
                let before = kernel.result(words);
                kernel.add(words, value(row));
                let after = kernel.result(words);
                *changed |= before != after;
                results.push(before);
                results.push(after);
            }
            return results;
        }
        for (row, changed) in changed.iter_mut().enumerate() {
            let words = &mut words[part(row)];
            let before = kernel.result(words);
            results.push(before);
            if changes.selected.as_ref().is_none_or(|selected| selected.value(row)) {
                match changes.retractions {
                    Some(Retractions { retracts, .. }) if retracts[row] => kernel.retract(words, value(row)),
                    _ => kernel.add(words, value(row)),
                }
                let after = kernel.result(words);
                *changed |= before != after;
                results.push(after);
            } else {
                results.push(before);
            }
            if changes.retractions.is_some_and(|retractions| retractions.resets[row]) {
                words.fill(0);
            }
        }
        results
    }
}

/// Ranges that are counted side by side: an addition need not wait for the one before it.
const SIDE_BY_SIDE: usize = 4;

struct Over<'a, K> {
    kernel: K,
    ranges: &'a Ranges<'a>,
}

impl<K: Kernel> Body<K::In, Results<K::Out>> for Over<'_, K> {
    #[inline]
    fn run(self, value: impl Fn(usize) -> K::In + Copy) -> Results<K::Out> {
        let Over { kernel, ranges } = self;
        let all_count = ranges.selected.is_none() && ranges.since.is_none();
        let mut results = Results::with_capacity(ranges.ranges.len());
        for some in ranges.ranges.chunks(SIDE_BY_SIDE) {
            let mut held = [[0; MAX_WORDS]; SIDE_BY_SIDE];
            let both = if all_count { some.iter().map(Range::len).min().unwrap_or(0) } else { 0 };
            for offset in 0..both {
                for (range, held) in some.iter().zip(&mut held) {
                    kernel.add(&mut held[..K::WORDS], value(range.start + offset));
                }
            }
            for (range, held) in some.iter().zip(&mut held) {
                for row in range.start + both..range.end {
                    if all_count || ranges.counts(row, range.start) {
                        kernel.add(&mut held[..K::WORDS], value(row));
                    }
                }
                results.push(kernel.result(&held[..K::WORDS]));
            }
        }
        results
    }
}

impl<K: Kernel> CountAnew for Fixed<K> {
    fn over(&self, arguments: &[ArrayRef], ranges: &Ranges<'_>) -> Result<ArrayRef, OperatorError> {
        let rows = ranges.ranges.iter().map(|range| range.end).max().unwrap_or(0);
        self.with_values(arguments, rows, Over { kernel: self.kernel, ranges })?.finish(&self.output)
    }
}

impl<K: Kernel> Accumulator for Fixed<K> {
    fn fields(&self) -> &[SqlField] {
        &self.fields
    }

    fn anew(&self) -> Option<&dyn CountAnew> {
        (!self.forgets).then_some(self)
    }

    fn update(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
    ) -> Result<(), OperatorError> {
        let update = Update {
            kernel: self.kernel,
            per_row: rows.words_per_row(),
            first: place.word,
            groups: rows.len(),
            words: rows.words_mut(),
            changes,
        };
        self.with_values(arguments, changes.groups.len(), update)?;
        self.check(place, rows)
    }

    fn trace(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
        changed: &mut [bool],
    ) -> Result<ArrayRef, OperatorError> {
        let update = Update {
            kernel: self.kernel,
            per_row: rows.words_per_row(),
            first: place.word,
            groups: rows.len(),
            words: rows.words_mut(),
            changes,
        };
        let results = self.with_values(arguments, changes.groups.len(), Trace { update, changed })?;
        self.check(place, rows)?;
        results.finish(&self.output)
    }

    fn merge(
        &self,
        place: Place,
        rows: &mut GroupRows,
        into: &[u32],
        from: &GroupRows,
    ) -> Result<(), OperatorError> {
        let kernel = self.kernel;
        for (row, into) in into.iter().enumerate() {
            let other = from.part(row, place.word, K::WORDS);
            kernel.merge(rows.part_mut(*into as usize, place.word, K::WORDS), other);
        }
        self.check(place, rows)
    }

    fn emit(&self, place: Place, rows: &GroupRows) -> Result<ArrayRef, OperatorError> {
        let mut results = Results::with_capacity(rows.len());
        for row in 0..rows.len() {
            results.push(self.kernel.result(rows.part(row, place.word, K::WORDS)));
        }
        results.finish(&self.output)
    }
}
