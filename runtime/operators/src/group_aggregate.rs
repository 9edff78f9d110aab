//! GROUP BY without windows: a changelog of the groups' rows.

mod behind;
mod bundle;

use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Member, ROWS_FIELD, Retractions, and};
use crate::calc::batch_of;
use crate::distinct::{DistinctMaps, sql_field};
use crate::grouping::{Grouping, parts};
use crate::identity::Identity;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use behind::{Behind, Call};
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, PinBuffer, Slots, StateDescriptor, StateId};
use weir_types::{
    ChangelogBatch, GroupAggregateSpec, JobSettings, OperatorId, RowKind, RowKinds, SqlField, SqlType,
};

/// Emits, row by row of its input, what becomes of the row's group: `+I` for its first row, `-U` and `+U`
/// where the results change, `-D` when the last row is taken back, and nothing where the results stay as they
/// were. A row that takes back from a group that is not there is dropped: the group's state has expired.
///
/// Equal to Flink's at parallelism 1, row for row. With a time to live the results are emitted even if they
/// stay the same, so that downstream state lives on, also as in Flink.
pub(crate) struct GroupAggregate {
    name: String,
    spec: GroupAggregateSpec,
    input: SchemaRef,
    schema: SchemaRef,
    set: AccumulatorSet,
    ttl_ms: Option<u64>,
    /// tells whether results change
    results: Identity,
    states: Option<States>,
    scratch: Scratch,
}

struct States {
    groups: StateId,
    distincts: DistinctMaps,
    behind: Behind,
}

/// Memory that is kept from batch to batch.
struct Scratch {
    found: Slots,
    grouping: Grouping,
    rows: GroupRows,
    /// accumulators that came
    partial: GroupRows,
    pins: PinBuffer,
}

/// What happens to the group of a row with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Insert,
    Update,
    Delete,
    /// a retraction for a group that is not there
    Skip,
}

impl GroupAggregate {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &GroupAggregateSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let count = SqlField::new(ROWS_FIELD, SqlType::BigInt, false);
        let leading = if spec.input_retracts { vec![count] } else { Vec::new() };
        let aggregated = spec.merges.as_ref().unwrap_or(&input);
        let set = AccumulatorSet::new(&spec.aggregates, aggregated, spec.input_retracts, leading)?;
        let (rows, partial) = (set.new_rows(), set.new_rows());
        let results = schema.fields().iter().skip(spec.keys.len()).cloned();
        let results = Schema::new(results.collect::<Vec<_>>());
        let results = Identity::new((0..results.fields().len()).collect(), &results)?;
        Ok(GroupAggregate {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            set,
            ttl_ms: settings.ttl_ms(spec.ttl_ms),
            results,
            states: None,
            scratch: Scratch {
                found: Slots::default(),
                grouping: Grouping::default(),
                rows,
                partial,
                pins: PinBuffer::default(),
            },
        })
    }

    /// The slot of each row's group. Without keys there is one group, which is looked up once.
    fn resolve(
        &mut self,
        rows: &RecordBatch,
        context: &mut OperatorContext,
        groups: StateId,
    ) -> Result<(), OperatorError> {
        let count = if self.spec.keys.is_empty() { 1 } else { rows.num_rows() };
        let columns: Vec<ArrayRef> = self.spec.keys.iter().map(|key| rows.column(*key).clone()).collect();
        let keys = context.keyed.encoder(groups).encode(&columns, count)?;
        context.keyed.resolve(groups, Namespace::Void, &keys, &mut self.scratch.found);
        if self.spec.keys.is_empty() {
            let slot = self.scratch.found.slots[0];
            self.scratch.found.slots.resize(rows.num_rows(), slot);
        }
        Ok(())
    }

    /// Counts rows `start..start + len` of `batch` in and emits what follows from them. `loaded`: just these rows are
    /// grouped and their groups loaded.
    fn process(
        &mut self,
        batch: &ChangelogBatch,
        (start, len, loaded): (usize, usize, bool),
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let part = batch.slice(start, len);
        let States { groups: state, distincts, behind } =
            self.states.as_mut().ok_or_else(|| OperatorError::internal("an operator was not opened"))?;
        let Scratch { found, grouping, rows, pins, .. } = &mut self.scratch;
        let slots = &found.slots[start..start + len];
        if !loaded {
            if self.spec.keys.is_empty() {
                grouping.all_in_one(slots[0], len);
            } else {
                grouping.group(slots);
            }
            self.set.load(&context.keyed.rows(*state, Namespace::Void), &grouping.slots, pins, rows);
        }
        let mut exists = match self.spec.input_retracts {
            true => (0..rows.len()).map(|row| rows.part(row, 0, 1)[0] != 0).collect(),
            false => grouping.existing(&found.created, start),
        };
        let plan = match self.spec.input_retracts {
            true => Plan::with_retractions(&part, &grouping.groups, &mut exists, rows),
            false => Plan::append_only(&grouping.groups, &mut exists),
        };
        let retractions = self
            .spec
            .input_retracts
            .then_some(Retractions { retracts: &plan.retracts, resets: &plan.resets });
        let fresh = distincts.note(
            &mut context.keyed,
            Namespace::Void,
            slots,
            part.rows(),
            plan.considered.as_ref(),
            retractions,
        )?;
        let mut changed = vec![self.ttl_ms.is_some(); len];
        let mut columns = Vec::with_capacity(self.set.members().len());
        for (index, member) in self.set.members().iter().enumerate() {
            let selected = match member.distinct {
                Some((map, bit)) => Some(fresh[map][bit].clone()),
                None => and(AccumulatorSet::selection(member, part.rows())?, plan.considered.clone()),
            };
            let mut changes = Changes { groups: &grouping.groups, selected, retractions };
            let arguments = AccumulatorSet::arguments(member, part.rows());
            let call = Call { index, member, slots: &grouping.slots };
            changes.selected = behind.divide(&call, rows, &arguments, &changes, &mut context.keyed)?;
            let Member { accumulator, place, .. } = member;
            columns.push(accumulator.trace(*place, rows, &arguments, &changes, &mut changed)?);
            behind.settle(&call, rows, &mut context.keyed)?;
        }
        self.set.store(rows, &grouping.slots, pins, &mut context.keyed.rows(*state, Namespace::Void));
        if self.spec.input_retracts {
            let gone = grouping.slots.iter().zip(&exists).filter(|(_, exists)| !**exists);
            let gone: Vec<u32> = gone.map(|(slot, _)| *slot).collect();
            if !gone.is_empty() {
                context.keyed.delete(*state, Namespace::Void, &gone);
            }
        }
        self.emit(part.rows(), &plan.steps, &changed, columns, output)
    }

    /// `results` have the values before and after row `i` at `2 * i` and `2 * i + 1`.
    fn emit(
        &self,
        rows: &RecordBatch,
        steps: &[Step],
        changed: &[bool],
        results: Vec<ArrayRef>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut places = Vec::with_capacity(2 * steps.len());
        let mut kinds = Vec::with_capacity(2 * steps.len());
        for (row, (step, changed)) in steps.iter().zip(changed).enumerate() {
            let (before, after) = (2 * row as u32, 2 * row as u32 + 1);
            match step {
                Step::Insert => {
                    places.push(after);
                    kinds.push(RowKind::Insert);
                }
                Step::Update if *changed => {
                    if self.spec.emit_update_before {
                        places.push(before);
                        kinds.push(RowKind::UpdateBefore);
                    }
                    places.push(after);
                    kinds.push(RowKind::UpdateAfter);
                }
                Step::Delete => {
                    places.push(before);
                    kinds.push(RowKind::Delete);
                }
                Step::Update | Step::Skip => {}
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let all_inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
        let all_in_order = places.len() == 2 * steps.len();
        let input_rows = UInt32Array::from_iter_values(places.iter().map(|place| place / 2));
        let count = places.len();
        let places = UInt32Array::from(places);
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for key in &self.spec.keys {
            let all_rows = all_inserts && count == steps.len();
            let column = rows.column(*key);
            columns.push(if all_rows { column.clone() } else { take(column, &input_rows, None)? });
        }
        for column in results {
            columns.push(if all_in_order { column } else { take(&column, &places, None)? });
        }
        let kinds = (!all_inserts).then(|| RowKinds::from(kinds));
        output.batch(ChangelogBatch::new(batch_of(self.schema.clone(), columns, count)?, kinds));
        Ok(())
    }

    /// The entries of the largest of the states; 0 if some are on disk alone.
    fn entries(&self, keyed: &KeyedStateBackend) -> usize {
        let states = self.states.iter();
        let states = states.flat_map(|states| [&states.groups].into_iter().chain(&states.distincts.maps));
        let entries =
            |most: usize, state: &StateId| Some(most.max(keyed.entries_in_memory(*state, Namespace::Void)?));
        states.into_iter().try_fold(0, entries).unwrap_or(0)
    }

    /// Counts `batch` in, in steps whose results fit in memory.
    fn count_in(
        &mut self,
        batch: ChangelogBatch,
        groups: StateId,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.resolve(batch.rows(), context, groups)?;
        let (mut rest, mut start) = (batch, 0);
        loop {
            let (len, loaded) = self.step_rows(start, rest.rows(), context);
            self.process(&rest, (start, len, loaded), context, output)?;
            start += len;
            if start == rest.num_rows() {
                return Ok(());
            }
            // The step may have deleted groups that the other rows found.
            if self.spec.input_retracts {
                rest = rest.slice(start, rest.num_rows() - start);
                start = 0;
                self.resolve(rest.rows(), context, groups)?;
            }
        }
    }

    /// How many of the rows from `start` to count in at once, so that results fit in memory, and whether they are
    /// grouped and their groups loaded now.
    fn step_rows(
        &mut self,
        start: usize,
        rows: &RecordBatch,
        context: &mut OperatorContext,
    ) -> (usize, bool) {
        let all = rows.num_rows() - start;
        let Some(States { groups, .. }) = &self.states else { return (all, false) };
        if !self.set.has_bytes() {
            return (all, false);
        }
        let Scratch { found, grouping, rows: group_rows, pins, .. } = &mut self.scratch;
        grouping.group(&found.slots[start..rows.num_rows()]);
        self.set.load(&context.keyed.rows(*groups, Namespace::Void), &grouping.slots, pins, group_rows);
        let len = self.set.steps_at_once(group_rows, &rows.slice(start, all));
        (len, len == all)
    }
}

/// What each row of a batch does to its group.
struct Plan {
    steps: Vec<Step>,
    /// the rows that count; `None`: all
    considered: Option<BooleanBuffer>,
    retracts: Vec<bool>,
    resets: Vec<bool>,
}

impl Plan {
    fn append_only(groups: &[u32], exists: &mut [bool]) -> Plan {
        let steps = groups.iter().map(|group| match std::mem::replace(&mut exists[*group as usize], true) {
            true => Step::Update,
            false => Step::Insert,
        });
        Plan { steps: steps.collect(), considered: None, retracts: Vec::new(), resets: Vec::new() }
    }

    /// Keeps the number of rows of each group in the first word of its row.
    fn with_retractions(
        batch: &ChangelogBatch,
        groups: &[u32],
        exists: &mut [bool],
        rows: &mut GroupRows,
    ) -> Plan {
        let mut plan = Plan {
            steps: Vec::with_capacity(groups.len()),
            considered: None,
            retracts: Vec::with_capacity(groups.len()),
            resets: Vec::with_capacity(groups.len()),
        };
        let mut skips = false;
        for (row, group) in groups.iter().enumerate() {
            let retracts = batch.kind(row).is_retraction();
            let existed = &mut exists[*group as usize];
            let count = &mut rows.part_mut(*group as usize, 0, 1)[0];
            let step = if retracts && !*existed {
                skips = true;
                Step::Skip
            } else {
                *count = if retracts { count.wrapping_sub(1) } else { count.wrapping_add(1) };
                match (*existed, *count) {
                    (true, 0) => Step::Delete,
                    (true, _) => Step::Update,
                    (false, _) => Step::Insert,
                }
            };
            *existed = !matches!(step, Step::Delete) && (*existed || step == Step::Insert);
            plan.steps.push(step);
            plan.retracts.push(retracts);
            plan.resets.push(step == Step::Delete);
        }
        if skips {
            let steps = &plan.steps;
            plan.considered = Some(BooleanBuffer::collect_bool(steps.len(), |row| steps[row] != Step::Skip));
        }
        plan
    }
}

/// The key columns of an aggregation as fields of its state.
pub(crate) fn key_fields(keys: &[usize], input: &Schema) -> Result<Vec<SqlField>, OperatorError> {
    keys.iter().map(|key| sql_field(input, *key)).collect()
}

impl Operator for GroupAggregate {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let keys = key_fields(&self.spec.keys, &self.input)?;
        let descriptor = StateDescriptor::value(
            format!("{}/accumulators", self.name),
            keys,
            NamespaceKind::Void,
            self.set.fields().to_vec(),
        );
        let groups = context.keyed.register(descriptor.with_ttl_ms(self.ttl_ms))?;
        let name = format!("{}/distinct", self.name);
        let (set, retracts) = (&self.set, self.spec.input_retracts);
        let input = self.spec.merges.as_ref().unwrap_or(&self.input);
        let distincts = DistinctMaps::register(&mut context.keyed, groups, &name, set, input, retracts)?;
        let behind = Behind::register(&self.name, groups, set, input, &mut context.keyed)?;
        self.states = Some(States { groups, distincts, behind });
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let groups = match &self.states {
            Some(states) => states.groups,
            None => return Err(OperatorError::internal("an operator was not opened")),
        };
        if self.spec.bundles || self.spec.merges.is_some() {
            return self.count_bundle(&batch, groups, context, output);
        }
        for part in parts(self.entries(&context.keyed), batch.num_rows()) {
            self.count_in(batch.slice(part.start, part.len()), groups, context, output)?;
        }
        Ok(())
    }
}
