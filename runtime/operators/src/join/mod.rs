//! Regular joins: rows of two inputs beside each other, as long as both are there.
//!
//! Read first: [`Join`] (what a row brings about), `side` (the rows of one input, by join key), `pairs` (which of them
//! match), `emit`.

mod emit;
mod pairs;
mod side;

use crate::join_condition::JoinCondition;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use emit::Emission;
use pairs::{Groups, Pairs};
use side::{Side, SideSpec, rows_with_keys};
use weir_types::{ChangelogBatch, JobSettings, JoinKind, JoinSpec, OperatorId, RowKind};

/// A row is looked up among the rows of the other side and kept for those to come. What it brings about is, row by row,
/// what Flink emits: pairs with the kind of the row; for an outer join the row beside NULLs while nothing matches it,
/// taken back when something does; for a semi join the left rows that have a match, for an anti join those that have
/// none. A row that has NULL among its keys matches nothing and is not kept.
pub(crate) struct Join {
    name: String,
    kind: JoinKind,
    nulls_match: bool,
    condition: Option<JoinCondition>,
    left: Side,
    right: Side,
    /// columns that are emitted, of either side
    left_columns: Vec<usize>,
    right_columns: Vec<usize>,
    schema: SchemaRef,
    left_ttl_ms: Option<u64>,
    right_ttl_ms: Option<u64>,
}

impl Join {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &JoinSpec,
        inputs: &[SchemaRef],
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let [left, right] = inputs else {
            return Err(OperatorError::internal(format!("a join of {} inputs", inputs.len())));
        };
        let condition = spec
            .condition
            .as_ref()
            .map(|condition| JoinCondition::new(condition, left, right))
            .transpose()?;
        let side = |name, input: &SchemaRef, keys: &[usize], (retracts, unique, counts_matches)| {
            let (schema, keys) = (input.clone(), keys.to_vec());
            Side::new(SideSpec { name, schema, keys, retracts, unique, counts_matches })
        };
        let kind = spec.kind;
        let left_counts = kind.keeps_left() || kind.is_left_only();
        let left_knowledge = (spec.left_retracts, spec.left_unique.clone(), left_counts);
        let right_knowledge = (spec.right_retracts, spec.right_unique.clone(), kind.keeps_right());
        Ok(Join {
            name: id.to_string(),
            kind,
            nulls_match: spec.nulls_match,
            condition,
            left: side("left", left, &spec.left_keys, left_knowledge),
            right: side("right", right, &spec.right_keys, right_knowledge),
            left_columns: spec.left_columns.clone(),
            right_columns: spec.right_columns.clone(),
            schema,
            left_ttl_ms: settings.ttl_ms(spec.left_ttl_ms),
            right_ttl_ms: settings.ttl_ms(spec.right_ttl_ms),
        })
    }

    /// Rows `start..end` of a batch, for which `pairs` match.
    fn emit(
        &self,
        batch: &ChangelogBatch,
        is_left: bool,
        (start, end): (usize, usize),
        pairs: &Pairs,
        counts: Option<&[i64]>,
        context: &mut OperatorContext,
    ) -> Result<(Emission, Vec<i64>), OperatorError> {
        let other = if is_left { &self.right } else { &self.left };
        let mut steps = Steps { kind: self.kind, is_left, emission: Emission::default() };
        let mut matches = Vec::with_capacity(end - start);
        let mut first = 0;
        for row in start..end {
            let kind = batch.kind(row);
            let last = first + pairs.rows[first..].partition_point(|pair| *pair as usize <= row);
            let others = &pairs.others[first..last];
            let times = |place: usize| counts.map_or(1, |counts| counts[first + place]);
            if others.is_empty() {
                steps.without_match(kind, row as u32);
            } else if steps.other_counts() {
                // Of an outer join on both sides, pairs go before NULLs take their place, and come after.
                let own_is_outer = steps.own_is_outer();
                let all_pairs = |kind: RowKind, steps: &mut Steps| {
                    (0..others.len())
                        .for_each(|place| steps.pairs(kind, row as u32, others[place], times(place)));
                };
                if own_is_outer && kind.is_retraction() {
                    all_pairs(RowKind::Delete, &mut steps);
                }
                let change = |place: usize, matches: i64| {
                    steps.with_counted(kind, row as u32, others[place], times(place), matches)
                };
                other.update_matches(others, &mut context.keyed, change)?;
                if own_is_outer && !kind.is_retraction() {
                    all_pairs(RowKind::Insert, &mut steps);
                }
            } else {
                steps.with_plain(kind, row as u32, others, times);
            }
            matches.push((0..others.len()).map(times).sum());
            first = last;
        }
        Ok((steps.emission, matches))
    }

    fn process(
        &mut self,
        batch: &ChangelogBatch,
        is_left: bool,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (own, other) = if is_left { (&self.left, &self.right) } else { (&self.right, &self.left) };
        let keys = own.encode(batch.rows(), &context.keyed)?;
        let with_keys = if self.nulls_match { None } else { rows_with_keys(batch.rows(), &own.spec.keys) };
        let mut found = Vec::new();
        other.lookup(&keys, &mut context.keyed, &mut found)?;
        if let Some(with_keys) = &with_keys {
            let mut valid = vec![false; found.len()];
            with_keys.iter().for_each(|row| valid[*row as usize] = true);
            found
                .iter_mut()
                .zip(&valid)
                .filter(|(_, valid)| !**valid)
                .for_each(|(key, _)| *key = side::NO_KEY);
        }
        let groups = Groups::new(&found, other, &mut context.keyed)?;
        let key_columns: Vec<ArrayRef> =
            own.spec.keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let mut all_matches = Vec::with_capacity(batch.num_rows());
        let mut start = 0;
        while start < batch.num_rows() {
            let end = groups.step(start);
            let other = if is_left { &self.right } else { &self.left };
            let sides = (is_left, &key_columns[..]);
            let condition = self.condition.as_ref();
            let pairs =
                groups.pairs((start, end), condition, batch.rows(), sides, other, &mut context.keyed)?;
            let counts = other.counts(&pairs.others, &mut context.keyed)?;
            let (emission, matches) =
                self.emit(batch, is_left, (start, end), &pairs, counts.as_deref(), context)?;
            all_matches.extend(matches);
            self.output(batch, is_left, &key_columns, &emission, context, output)?;
            start = end;
        }
        let all = (0..batch.num_rows() as u32).collect();
        let (at, keys) = match with_keys {
            Some(at) => {
                let keys = keys.take(&at);
                all_matches = at.iter().map(|row| all_matches[*row as usize]).collect();
                (at, keys)
            }
            None => (all, keys),
        };
        let own = if is_left { &mut self.left } else { &mut self.right };
        own.apply(batch, &at, &keys, &all_matches, &mut context.keyed)
    }

    fn output(
        &self,
        batch: &ChangelogBatch,
        is_left: bool,
        keys: &[ArrayRef],
        emission: &Emission,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (other, own_columns, other_columns) = match is_left {
            true => (&self.right, &self.left_columns, &self.right_columns),
            false => (&self.left, &self.right_columns, &self.left_columns),
        };
        let step = context.batch_rows.max(1);
        for start in (0..emission.len()).step_by(step) {
            let range = (start, step.min(emission.len() - start));
            let own = (batch.rows(), &own_columns[..], is_left);
            let other = (other, &other_columns[..], keys);
            output.batch(emission.batch(range, &self.schema, own, other, &mut context.keyed)?);
        }
        Ok(())
    }
}

/// What one row after the other brings about.
struct Steps {
    kind: JoinKind,
    /// the rows come from the left
    is_left: bool,
    emission: Emission,
}

impl Steps {
    /// The side of the rows keeps those without a match.
    fn own_is_outer(&self) -> bool {
        if self.is_left { self.kind.keeps_left() } else { self.kind.keeps_right() }
    }

    /// The other side knows how many matches its rows have.
    fn other_counts(&self) -> bool {
        match self.is_left {
            true => self.kind.keeps_right(),
            false => self.kind.keeps_left() || self.kind.is_left_only(),
        }
    }

    fn without_match(&mut self, kind: RowKind, row: u32) {
        if self.kind == JoinKind::LeftAnti && self.is_left {
            self.emission.row(kind, row);
        } else if self.own_is_outer() {
            self.emission.row(if kind.is_retraction() { RowKind::Delete } else { RowKind::Insert }, row);
        }
    }

    fn pairs(&mut self, kind: RowKind, row: u32, other: u32, times: i64) {
        (0..times).for_each(|_| self.emission.pair(kind, row, other));
    }

    /// A row and the rows that it matches, which do not count their matches.
    fn with_plain(&mut self, kind: RowKind, row: u32, others: &[u32], times: impl Fn(usize) -> i64) {
        match self.kind {
            JoinKind::LeftSemi if self.is_left => self.emission.row(kind, row),
            JoinKind::LeftSemi | JoinKind::LeftAnti => {}
            _ => {
                let kind = match (self.own_is_outer(), kind.is_retraction()) {
                    (false, _) => kind,
                    (true, true) => RowKind::Delete,
                    (true, false) => RowKind::Insert,
                };
                for (place, other) in others.iter().enumerate() {
                    self.pairs(kind, row, *other, times(place));
                }
            }
        }
    }

    /// A row and one of those that it matches, which had `matches` matches before; returns how many it has now. The pair
    /// itself is emitted here unless the side of the row is outer too.
    fn with_counted(&mut self, kind: RowKind, row: u32, other: u32, times: i64, matches: i64) -> i64 {
        let retracts = kind.is_retraction();
        let now = if retracts { (matches - 1).max(0) } else { matches + 1 };
        let turns = if retracts { now == 0 && matches > 0 } else { matches == 0 };
        match self.kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => {
                let kind = match (self.kind, retracts) {
                    (JoinKind::LeftSemi, _) => kind,
                    (_, true) => RowKind::Insert,
                    (_, false) => RowKind::Delete,
                };
                (0..times).filter(|_| turns).for_each(|_| self.emission.other(kind, row, other));
            }
            _ => {
                for _ in 0..times {
                    if turns && !retracts {
                        self.emission.other(RowKind::Delete, row, other);
                    }
                    if !self.own_is_outer() {
                        // The pair stands where the row beside NULLs stood.
                        let kind = if turns && !retracts { RowKind::Insert } else { kind };
                        self.emission.pair(kind, row, other);
                    }
                    if turns && retracts {
                        self.emission.other(RowKind::Insert, row, other);
                    }
                }
            }
        }
        now
    }
}

impl Operator for Join {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.left.open(&self.name, self.left_ttl_ms, &mut context.keyed)?;
        self.right.open(&self.name, self.right_ttl_ms, &mut context.keyed)
    }

    fn on_batch(
        &mut self,
        input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.process(&batch, input == 0, context, output)
    }
}
