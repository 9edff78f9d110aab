//! OVER whose functions look at any rows of a partition, also at those behind a row: what comes or goes changes the results
//! around it, which are given anew.
//!
//! Read first: [`OverPartition`], `directory` (how rows are kept), `reach` (how far a change goes), `island` (what a batch
//! does to some rows), `evaluate` (the results of rows), `store` (what is written back).

mod directory;
mod emission;
mod evaluate;
mod from_end;
mod island;
mod keys;
mod moving;
mod ordered;
mod reach;
mod running;
mod store;

use crate::accumulators::GroupRows;
use crate::grouping::Grouping;
use crate::partitions::{kept_columns, kept_rows, resolve_keys};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use directory::{Directory, States, Stretch};
use emission::{Offsets, emit};
use evaluate::{Evaluator, View};
use island::Island;
use keys::{KeyOrder, Keys};
use reach::Reach;
use store::Layout;
use weir_state::{KeyedStateBackend, Namespace, PinBuffer, Slots};
use weir_types::{ChangelogBatch, FrameUnits, JobSettings, OperatorId, OverPartitionSpec};

const VOID: Namespace = Namespace::Void;

/// Rows of a run, at most.
const RUN_ROWS: usize = 256;

/// All rows of a partition are kept, in runs of some hundred rows that follow each other. A batch loads the runs that its
/// rows come into or go from, and those around them that the results look at, computes the results there as they were and
/// as they are, and gives what differs. A batch is one change: what a row of it brings about and another undoes is not
/// seen.
pub(crate) struct OverPartition {
    name: String,
    spec: OverPartitionSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// columns that are kept with a row: all but those of the partition
    kept: Vec<usize>,
    order: KeyOrder,
    /// of whole rows, where they are taken back and tell themselves apart
    whole: Option<RowConverter>,
    evaluator: Evaluator,
    reach: Reach,
    run_rows: usize,
    ttl_ms: Option<u64>,
    states: Option<States>,
    found: Slots,
    grouping: Grouping,
    pins: PinBuffer,
}

/// The rows that a batch has to do with: those that are kept and were loaded, then those of the batch.
struct Table {
    rows: RecordBatch,
    /// slots of those that are kept
    slots: Vec<u32>,
    keys: Keys,
    wholes: Option<Rows>,
}

impl Table {
    /// True if the rows equal each other, of one partition and ordered alike as they are.
    fn are_same(&self, left: u32, right: u32) -> bool {
        let row = |item: u32| self.wholes.as_ref().map(|wholes| wholes.row(item as usize));
        row(left) == row(right)
    }
}

impl OverPartition {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &OverPartitionSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let kept = kept_columns(&input, &spec.partition);
        let whole = match spec.input_retracts {
            // Where only columns of the partition are read its rows are told apart by nothing.
            true if !kept.is_empty() => {
                let field = |column: &usize| SortField::new(input.field(*column).data_type().clone());
                Some(RowConverter::new(kept.iter().map(field).collect())?)
            }
            _ => None,
        };
        let counts = spec.calls.iter().any(|framed| {
            let far = |bound: Option<i128>| bound.is_some_and(|bound| bound != 0);
            framed.frame.units == FrameUnits::Range && (far(framed.frame.start) || far(framed.frame.end))
        });
        let evaluator = Evaluator::new(&spec.calls, &input)?;
        Ok(OverPartition {
            name: id.to_string(),
            order: KeyOrder::new(&spec.order, counts, &input)?,
            reach: Reach::of(&spec.calls, evaluator.running.keeps()),
            spec: spec.clone(),
            input,
            schema,
            kept,
            whole,
            evaluator,
            run_rows: RUN_ROWS,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            found: Slots::default(),
            grouping: Grouping::default(),
            pins: PinBuffer::default(),
        })
    }

    /// The same with runs of so many rows.
    #[cfg(test)]
    pub(crate) fn in_runs_of(self, rows: usize) -> Self {
        OverPartition { run_rows: rows, ..self }
    }

    fn states(&self) -> Result<States, OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    fn order_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.order.columns().map(|column| rows.column(column).clone()).collect()
    }

    /// The islands of `stretches` as they are kept, with the table of their rows and those of `batch`.
    fn load(
        &self,
        stretches: &[Stretch],
        directory: &Directory,
        batch: &RecordBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(Table, Vec<Island>), OperatorError> {
        let states = self.states()?;
        let (mut slots, mut owners, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        let runs = |stretch: &Stretch| directory.runs[stretch.group][stretch.runs.clone()].iter();
        let parents: Vec<u32> = stretches.iter().flat_map(runs).map(|run| run.slot).collect();
        keyed.prefetch_under(states.rows, VOID, &parents);
        for stretch in stretches {
            for run in runs(stretch) {
                firsts.push(slots.len() as u32);
                keyed.entries_under(states.rows, VOID, run.slot, &mut slots);
            }
            owners.resize(slots.len(), self.grouping.slots[stretch.group]);
        }
        firsts.push(slots.len() as u32);
        let owners = keyed.keys(states.partitions, VOID, &owners);
        let owners = keyed.encoder(states.partitions).decode(&owners)?;
        let state = keyed.rows(states.rows, VOID);
        let rows = kept_rows(&self.input, (&self.kept, 0), (&self.spec.partition, &owners), &state, &slots)?;
        let rows = concat_batches(&self.input, [&rows, batch])?;
        let wholes = match &self.whole {
            Some(whole) => {
                let columns: Vec<ArrayRef> =
                    self.kept.iter().map(|column| rows.column(*column).clone()).collect();
                Some(whole.convert_columns(&columns)?)
            }
            None => None,
        };
        let keys = self.order.keys(&self.order_columns(&rows))?;
        let table = Table { rows, slots, keys, wholes };
        let mut places = firsts.windows(2);
        let mut islands = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let base = directory.rows_before(stretch.group, stretch.runs.start);
            let total = directory.rows_before(stretch.group, directory.runs[stretch.group].len());
            let mut island = Island::new(stretch.group, stretch.runs.clone(), base, total);
            for place in places.by_ref().take(stretch.runs.len()) {
                island.load(place[0]..place[1], &table);
                if self.reach.looks_back && stretch.runs.start > 0 && island.skip == 0 {
                    island.skip = island.former.len();
                }
            }
            islands.push(island);
        }
        Ok((table, islands))
    }

    /// Lets the rows of `batch` take their places, or leave them.
    fn apply(
        &self,
        batch: &ChangelogBatch,
        (own, directory): (&Keys, &Directory),
        table: &Table,
        islands: &mut [Island],
    ) {
        let known = table.slots.len() as u32;
        for row in 0..batch.num_rows() {
            let group = self.grouping.groups[row] as usize;
            let run = directory.run_of(group, own.key(row));
            let behind = islands.partition_point(|island| (island.group, island.runs.start) <= (group, run));
            let island = &mut islands[behind - 1];
            let item = known + row as u32;
            match batch.kind(row).is_retraction() {
                true => island.remove(item, table),
                false => island.insert(item),
            }
        }
        islands.iter_mut().for_each(|island| island.settle(table, &self.reach));
    }

    /// What accumulators of all rows before each island were, as [`GroupRows::write_row`] has it.
    fn starts(
        &mut self,
        islands: &[Island],
        directory: &Directory,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<Vec<u8>>, OperatorError> {
        let mut starts = vec![Vec::new(); islands.len()];
        let Some(running) = self.states()?.running else { return Ok(starts) };
        let further = islands.iter().enumerate().filter(|(_, island)| island.first_counted() > 0);
        let further: Vec<usize> = further.map(|(number, _)| number).collect();
        let run = |number: &usize| {
            let island = &islands[*number];
            (island.group, directory.runs[island.group][island.first_counted()].number)
        };
        let slots = self.running_slots(further.iter().map(run), running, keyed)?;
        let mut rows: GroupRows = self.evaluator.running.set.new_rows();
        let state = keyed.rows(running, VOID);
        self.evaluator.running.set.load(&state, &slots, &mut self.pins, &mut rows);
        for (place, number) in further.into_iter().enumerate() {
            rows.write_row(place, &mut starts[number]);
        }
        Ok(starts)
    }

    /// What becomes of the islands is written back and emitted.
    fn finish(
        &mut self,
        islands: Vec<Island>,
        directory: &mut Directory,
        table: &Table,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let starts = self.starts(&islands, directory, &mut context.keyed)?;
        let layout = Layout::of(&islands, directory, table, self.run_rows);
        let wanted = |touched: &[bool]| {
            let places = touched.iter().enumerate().filter(|(_, touched)| **touched);
            places.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let mut views = Vec::with_capacity(2 * islands.len());
        let mut offsets = Vec::with_capacity(islands.len());
        let mut number = 0;
        for ((island, start), stops) in islands.iter().zip(starts).zip(&layout.stops) {
            let before = View {
                items: &island.former,
                base: island.base,
                total: island.total_before,
                wanted: wanted(&island.touched_before),
                skip: island.skip,
                start: start.clone(),
                stops: Vec::new(),
            };
            let after = View {
                items: &island.items,
                base: island.base,
                total: island.total,
                wanted: wanted(&island.touched),
                skip: island.skip,
                start,
                stops: if self.evaluator.running.keeps() { stops.clone() } else { Vec::new() },
            };
            let behind = number + before.wanted.len() as u32;
            offsets.push(Offsets { before: number, after: behind });
            number = behind + after.wanted.len() as u32;
            views.extend([before, after]);
        }
        let (results, kept) = self.evaluator.evaluate(&views, table)?;
        drop(views);
        let (spec, schema) = (&self.spec, &self.schema);
        emit(&islands, &offsets, (table, &results), (spec, schema), context.batch_rows, output)?;
        self.store(layout, directory, table, &kept, &mut context.keyed)
    }
}

impl Operator for OverPartition {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let running = &self.evaluator.running;
        let running = running.keeps().then(|| running.set.fields().to_vec());
        let columns = (&self.spec.partition[..], &self.kept[..]);
        let states = States::register(
            &self.name,
            columns,
            &self.order,
            running.as_deref(),
            self.ttl_ms,
            &self.input,
            &mut context.keyed,
        )?;
        self.states = Some(states);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let keyed = &mut context.keyed;
        let states = self.states()?;
        resolve_keys(keyed, states.partitions, &self.spec.partition, batch.rows(), &mut self.found)?;
        self.grouping.group(&self.found.slots);
        let mut directory = Directory::load(&states, &self.grouping.slots, &self.order, keyed)?;
        let own = self.order.keys(&self.order_columns(batch.rows()))?;
        let groups = &self.grouping.groups;
        let mut changes = (0..batch.num_rows())
            .map(|row| (groups[row] as usize, own.key(row), batch.kind(row).is_retraction()));
        let stretches = directory.stretches(&mut changes, &self.reach);
        let (table, mut islands) = self.load(&stretches, &directory, batch.rows(), keyed)?;
        self.apply(&batch, (&own, &directory), &table, &mut islands);
        islands.retain(|island| !island.is_unchanged());
        self.finish(islands, &mut directory, &table, context, output)?;
        self.forget_empty(&mut context.keyed)
    }
}
