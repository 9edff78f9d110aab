//! OVER in an order that is not that of time: what comes or goes changes what was given for the rows after it.
//!
//! Read first: [`OverAnyOrder`], `partition` (the rows of a partition in their order), `steps` (what is aggregated anew),
//! `emission` (what becomes of it).

mod emission;
mod partition;
mod steps;

use crate::accumulators::{AccumulatorSet, GroupRows, ROWS_FIELD, unlike};
use crate::distinct::sql_field;
use crate::kept_lists::KeptLists;
use crate::partitions::{kept_rows, order_converter};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use emission::Emission;
use partition::{Change, Partition};
use steps::{Sources, Steps};
use weir_state::{KeyedStateBackend, Namespace, PinBuffer};
use weir_types::{ChangelogBatch, JobSettings, OperatorId, OverAnyOrderSpec, SqlField, SqlType};

const VOID: Namespace = Namespace::Void;

/// Kept are all rows of a partition, and the accumulators after the last of them, with what orders that. A row behind all
/// others goes on from these without the others; any other lets the partition be aggregated anew, and what differs is given
/// as changes. The rows of a batch count one after the other, so that the changes do not depend on how the input is cut;
/// between rows of different partitions all is done at once.
pub(crate) struct OverAnyOrder {
    name: String,
    spec: OverAnyOrderSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// by partition; a row is kept without the columns of that, but for those that order
    lists: KeptLists,
    set: AccumulatorSet,
    order: RowConverter,
    /// of whole rows, where they are taken back
    whole: Option<RowConverter>,
    ttl_ms: Option<u64>,
    tails: GroupRows,
    pins: PinBuffer,
}

/// The rows that a batch has to do with: those of partitions that are aggregated anew, then those of the batch.
struct Table {
    rows: RecordBatch,
    /// slots of those that are in the state
    slots: Vec<u32>,
    keys: Rows,
    wholes: Option<Rows>,
}

impl Table {
    /// The row of this number in the batch.
    fn of_batch(&self, row: usize) -> u32 {
        (self.slots.len() + row) as u32
    }
}

impl OverAnyOrder {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &OverAnyOrderSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let rows = SqlField::new(ROWS_FIELD, SqlType::BigInt, false);
        let set = AccumulatorSet::new(&spec.aggregates, &input, false, vec![rows])?;
        if !set.distincts().is_empty() {
            return Err(OperatorError::unsupported("DISTINCT in an OVER that is not ordered by time"));
        }
        let orders = |column: &usize| spec.order.iter().any(|key| key.column == *column);
        let is_kept = |column: &usize| orders(column) || !spec.partition.contains(column);
        let kept: Vec<usize> = (0..input.fields().len()).filter(is_kept).collect();
        let whole = match spec.input_retracts {
            true => {
                let field = |column: &usize| SortField::new(input.field(*column).data_type().clone());
                Some(RowConverter::new(kept.iter().map(field).collect())?)
            }
            false => None,
        };
        Ok(OverAnyOrder {
            name: id.to_string(),
            order: order_converter(&spec.order, &input)?,
            spec: spec.clone(),
            input,
            schema,
            lists: KeptLists::new(&spec.partition, kept),
            tails: set.new_rows(),
            set,
            whole,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            pins: PinBuffer::default(),
        })
    }

    /// Finds the partitions of rows, and the accumulators after the last row of each.
    fn resolve(&mut self, rows: &RecordBatch, keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        self.lists.resolve(rows, keyed)?;
        let state = keyed.rows(self.lists.states()?.0, VOID);
        self.set.load(&state, &self.lists.grouping.slots, &mut self.pins, &mut self.tails);
        Ok(())
    }

    /// The partitions of `batch` in their order, as far as its rows need them, and the table of their rows.
    fn load(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(Table, Vec<Partition>), OperatorError> {
        let own = self.order.convert_columns(&self.order_columns(batch.rows()))?;
        let lasts = self.lasts(keyed)?;
        let rows: Vec<usize> = (0..self.lists.grouping.slots.len())
            .map(|group| self.tails.part(group, 0, 1)[0] as usize)
            .collect();
        // Where all rows come behind those that are there, these are not needed.
        let mut last: Vec<_> =
            rows.iter().enumerate().map(|(group, rows)| (*rows > 0).then(|| lasts.row(group))).collect();
        let mut anew = vec![false; last.len()];
        for row in 0..batch.num_rows() {
            let group = self.lists.grouping.groups[row] as usize;
            let key = own.row(row);
            let behind = last[group]
                .as_ref()
                .is_none_or(|last| if self.spec.peers { *last < key } else { *last <= key });
            anew[group] |= !behind || batch.kind(row).is_retraction();
            last[group] = Some(key);
        }
        let loaded = self.lists.load_some(&anew, keyed)?;
        let state = self.lists.rows(keyed)?;
        let known = self.spec.order.iter().map(|key| {
            let field = self.lists.field(key.column)?;
            Ok(state.gather(field, &loaded.slots)?)
        });
        let known = self.order.convert_columns(&known.collect::<Result<Vec<_>, OperatorError>>()?)?;
        let (mut taken, mut owners) = (Vec::new(), Vec::new());
        let mut partitions = Vec::with_capacity(anew.len());
        for (group, range) in loaded.ranges().enumerate() {
            let mut partition = Partition::default();
            if anew[group] {
                let first = taken.len() as u32;
                let mut items: Vec<u32> = (0..range.len() as u32).collect();
                items.sort_by_key(|item| known.row(range.start + *item as usize));
                partition.items = items.into_iter().map(|item| first + item).collect();
                taken.extend_from_slice(&loaded.slots[range]);
                owners.resize(taken.len(), self.lists.grouping.slots[group]);
            } else {
                partition.before = rows[group];
            }
            partitions.push(partition);
        }
        let partitions_state = self.lists.states()?.0;
        let owners = keyed.keys(partitions_state, VOID, &owners);
        let owners = keyed.encoder(partitions_state).decode(&owners)?;
        let state = self.lists.rows(keyed)?;
        let rows =
            kept_rows(&self.input, (&self.lists.kept, 0), (&self.spec.partition, &owners), &state, &taken)?;
        let rows = concat_batches(&self.input, [&rows, batch.rows()])?;
        let keys = self.order.convert_columns(&self.order_columns(&rows))?;
        let wholes = match &self.whole {
            Some(whole) => {
                let columns: Vec<ArrayRef> =
                    self.lists.kept.iter().map(|column| rows.column(*column).clone()).collect();
                Some(whole.convert_columns(&columns)?)
            }
            None => None,
        };
        Ok((Table { rows, slots: taken, keys, wholes }, partitions))
    }

    fn order_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.spec.order.iter().map(|key| rows.column(key.column).clone()).collect()
    }

    /// What orders the last row of each partition that the batch touches.
    fn lasts(&self, keyed: &mut KeyedStateBackend) -> Result<Rows, OperatorError> {
        let first = self.set.fields().len();
        let state = keyed.rows(self.lists.states()?.0, VOID);
        let column = |field: usize| state.gather(first + field, &self.lists.grouping.slots);
        let columns = (0..self.spec.order.len()).map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(self.order.convert_columns(&columns)?)
    }

    /// Lets the rows of `batch` take their places, and emits what comes of it.
    fn process(
        &mut self,
        batch: &ChangelogBatch,
        table: &Table,
        partitions: &mut [Partition],
        (batch_rows, output): (usize, &mut Output),
    ) -> Result<(), OperatorError> {
        let mut sources = Sources::default();
        let mut emission = Emission::default();
        // What was given for rows that are there is compared with what comes now.
        let mut steps = Steps::default();
        for (group, partition) in partitions.iter_mut().enumerate() {
            if !partition.items.is_empty() {
                steps.anew(group, partition, table, &self.spec, &mut self.tails);
            }
        }
        steps.run(partitions, table, &self.set, &mut self.tails, &mut sources)?;
        let mut row = 0;
        while row < batch.num_rows() {
            let mut steps = Steps::default();
            let mut changes: Vec<Change> = Vec::new();
            while row < batch.num_rows() {
                let group = self.lists.grouping.groups[row] as usize;
                let partition = &mut partitions[group];
                let item = table.of_batch(row);
                let retracts = batch.kind(row).is_retraction();
                let appends = !retracts && partition.is_behind_all(item, &table.keys, self.spec.peers);
                if partition.is_busy && !(appends && partition.only_appends) {
                    break;
                }
                partition.is_busy = true;
                partition.only_appends = appends;
                let change = match (retracts, appends) {
                    (false, true) => steps.append(group, partition, item),
                    (false, false) => partition.insert(group, item, table, &self.spec),
                    (true, _) => partition.remove(group, item, table, &self.spec),
                };
                if let Some(change) = change {
                    if !appends {
                        steps.anew(group, partition, table, &self.spec, &mut self.tails);
                    }
                    changes.push(Change { kind: batch.kind(row), ..change });
                }
                row += 1;
            }
            let busy: Vec<usize> = changes.iter().map(|change| change.group).collect();
            steps.run(partitions, table, &self.set, &mut self.tails, &mut sources)?;
            emission.add(&changes, partitions, &sources, &self.spec)?;
            partitions.iter_mut().for_each(|partition| partition.is_busy = false);
            busy.iter().for_each(|group| partitions[*group].settle(&mut sources));
            if emission.len() >= batch_rows || sources.is_large() {
                emission.flush(table, &mut sources, &self.spec, &self.schema, batch_rows, output)?;
            }
        }
        emission.flush(table, &mut sources, &self.spec, &self.schema, batch_rows, output)
    }

    /// Writes back what became of the partitions.
    fn store(
        &mut self,
        table: &Table,
        partitions: Vec<Partition>,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let known = table.slots.len() as u32;
        let (mut gone, mut new, mut parents) = (Vec::new(), Vec::new(), Vec::new());
        let (mut last, mut ended) = (Vec::new(), Vec::new());
        for (group, (partition, slot)) in partitions.into_iter().zip(&self.lists.grouping.slots).enumerate() {
            self.tails.part_mut(group, 0, 1)[0] = (partition.before + partition.items.len()) as u64;
            if let Some(item) = partition.items.last() {
                last.push(*item);
                ended.push(*slot);
            }
            gone.extend(
                partition.gone.iter().filter(|item| **item < known).map(|item| table.slots[*item as usize]),
            );
            let start = new.len();
            new.extend(partition.items.iter().filter(|item| **item >= known).map(|item| item - known));
            new[start..].sort_unstable();
            parents.resize(new.len(), *slot);
        }
        self.lists.append(batch.rows(), new, &parents, keyed)?;
        let mut state = keyed.rows(self.lists.states()?.0, VOID);
        self.set.store(&self.tails, &self.lists.grouping.slots, &mut self.pins, &mut state);
        let last = UInt32Array::from(last);
        for (field, column) in self.order_columns(&table.rows).iter().enumerate() {
            state.scatter(self.set.fields().len() + field, &ended, &take(column, &last, None)?);
        }
        self.lists.delete(&gone, keyed)
    }
}

impl Operator for OverAnyOrder {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let mut values = self.set.fields().to_vec();
        for key in &self.spec.order {
            let field = sql_field(&self.input, key.column)?;
            let name = format!("last {}", field.name);
            let name = unlike(name, values.iter().map(|field| field.name.as_str()));
            values.push(SqlField { name, nullable: true, ..field });
        }
        self.lists.open((&self.name, "partitions"), values, self.ttl_ms, &self.input, context)
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut rest = batch;
        while rest.num_rows() > 0 {
            self.resolve(rest.rows(), &mut context.keyed)?;
            let len = self.set.steps_at_once(&self.tails, rest.rows());
            let part = rest.slice(0, len);
            if len < rest.num_rows() {
                self.resolve(part.rows(), &mut context.keyed)?;
            }
            let (table, mut partitions) = self.load(&part, &mut context.keyed)?;
            self.process(&part, &table, &mut partitions, (context.batch_rows.max(1), output))?;
            self.store(&table, partitions, &part, &mut context.keyed)?;
            rest = rest.slice(len, rest.num_rows() - len);
        }
        Ok(())
    }
}
