//! Top-N: the first rows of each partition by an order, with or without their rank.
//!
//! Read first: [`Rank`], `ordered` (what a row does to its partition), `emit`.

mod emit;
mod ordered;

use crate::distinct::state_fields;
use crate::grouping::Grouping;
use crate::partitions::{order_converter, resolve_keys};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use emit::Emission;
use ordered::{Item, Ordered, Source};
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Slots, StateDescriptor, StateId};
use weir_types::{ChangelogBatch, JobSettings, OperatorId, RankSpec, RowKind};

const VOID: Namespace = Namespace::Void;

/// Rows of a partition are kept in the order of their arrival: the first N of them where rows only come, or come again
/// ahead of where they were; all where they go as well. A batch loads the partitions that it touches, and lets its rows
/// take their places one after the other; of rows with equal sort keys the earlier one stays ahead. What is emitted is what
/// Flink emits, row by row.
pub(crate) struct Rank {
    name: String,
    spec: RankSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// columns that are kept with a row: all but those of the partition
    kept: Vec<usize>,
    sort: RowConverter,
    /// what a row is known by where it is taken back, or comes again: all that is kept, or its key
    identity: Vec<usize>,
    /// of the columns of `identity`
    whole: RowConverter,
    ttl_ms: Option<u64>,
    states: Option<(StateId, StateId)>,
    found: Slots,
    grouping: Grouping,
}

/// The partitions that a batch touches, as they are kept.
struct Loaded {
    /// slots of the rows, partition after partition
    slots: Vec<u32>,
    /// where the rows of each partition end
    ends: Vec<usize>,
    sort_keys: Rows,
    wholes: Option<Rows>,
}

fn converter(input: &SchemaRef, fields: Vec<SortField>) -> Result<RowConverter, OperatorError> {
    RowConverter::new(fields)
        .map_err(|error| OperatorError::unsupported(format!("rows of {input:?} cannot be ordered: {error}")))
}

impl Rank {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &RankSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let kept: Vec<usize> =
            (0..input.fields().len()).filter(|column| !spec.partition.contains(column)).collect();
        let data_type = |column: usize| input.field(column).data_type().clone();
        let sort = order_converter(&spec.order, &input)?;
        let identity: Vec<usize> = match &spec.update_key {
            Some(key) => key.iter().copied().filter(|column| kept.contains(column)).collect(),
            None if spec.input_retracts => kept.clone(),
            None => Vec::new(),
        };
        let whole = identity.iter().map(|column| SortField::new(data_type(*column))).collect();
        let whole = converter(&input, whole)?;
        Ok(Rank {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            kept,
            sort,
            identity,
            whole,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            found: Slots::default(),
            grouping: Grouping::default(),
        })
    }

    fn states(&self) -> Result<(StateId, StateId), OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// The partition of each row.
    fn resolve(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let partitions = self.states()?.0;
        resolve_keys(keyed, partitions, &self.spec.partition, batch.rows(), &mut self.found)?;
        match self.spec.partition.is_empty() {
            true => self.grouping.all_in_one(self.found.slots[0], batch.num_rows()),
            false => self.grouping.group(&self.found.slots),
        }
        Ok(())
    }

    fn load(&self, keyed: &mut KeyedStateBackend) -> Result<Loaded, OperatorError> {
        let rows = self.states()?.1;
        let (mut slots, mut ends) = (Vec::new(), Vec::new());
        keyed.prefetch_under(rows, VOID, &self.grouping.slots);
        for partition in &self.grouping.slots {
            keyed.entries_under(rows, VOID, *partition, &mut slots);
            ends.push(slots.len());
        }
        let state = keyed.rows(rows, VOID);
        let column = |column: usize| -> Result<ArrayRef, OperatorError> {
            match self.kept.iter().position(|kept| *kept == column) {
                Some(field) => Ok(state.gather(field, &slots)?),
                None => Err(OperatorError::internal("a partition is not ordered by its own key")),
            }
        };
        let sort = self.spec.order.iter().map(|key| column(key.column)).collect::<Result<Vec<_>, _>>()?;
        let sort_keys = self.sort.convert_columns(&sort)?;
        let whole = self.identity.iter().map(|known| column(*known)).collect::<Result<Vec<_>, _>>()?;
        let wholes = self.wholes(&whole)?;
        Ok(Loaded { slots, ends, sort_keys, wholes })
    }

    /// What rows are known by, if they are taken back or come again.
    fn wholes(&self, columns: &[ArrayRef]) -> Result<Option<Rows>, OperatorError> {
        Ok(match columns.is_empty() {
            true => None,
            false => Some(self.whole.convert_columns(columns)?),
        })
    }

    /// Lets the rows of `batch` take their places. What becomes of partitions is written back.
    fn process(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Emission, OperatorError> {
        let loaded = self.load(keyed)?;
        let sort: Vec<ArrayRef> =
            self.spec.order.iter().map(|key| batch.rows().column(key.column).clone()).collect();
        let sort_keys = self.sort.convert_columns(&sort)?;
        let whole: Vec<ArrayRef> =
            self.identity.iter().map(|column| batch.rows().column(*column).clone()).collect();
        let wholes = self.wholes(&whole)?;
        let mut partitions: Vec<Ordered<'_>> = Vec::with_capacity(loaded.ends.len());
        let mut start = 0;
        for end in &loaded.ends {
            let item = |place: usize| Item {
                key: loaded.sort_keys.row(place),
                whole: loaded.wholes.as_ref().map(|wholes| wholes.row(place)),
                source: Source::Kept(loaded.slots[place]),
            };
            partitions.push(Ordered::new((start..*end).map(item).collect()));
            start = *end;
        }
        let mut emission = Emission::default();
        for row in 0..batch.num_rows() {
            let item = Item {
                key: sort_keys.row(row),
                whole: wholes.as_ref().map(|wholes| wholes.row(row)),
                source: Source::Batch(row as u32),
            };
            let partition = &mut partitions[self.grouping.groups[row] as usize];
            emission.via(row as u32);
            match (batch.kind(row), &self.spec.update_key) {
                // The row that comes next says all.
                (RowKind::UpdateBefore, Some(_)) => {}
                (RowKind::Insert | RowKind::UpdateAfter, Some(_)) => {
                    partition.put(item, &self.spec, &mut emission);
                }
                (RowKind::Insert | RowKind::UpdateAfter, None) => {
                    partition.insert(item, &self.spec, &mut emission);
                }
                (RowKind::UpdateBefore | RowKind::Delete, _) => {
                    partition.remove(&item, &self.spec, &mut emission);
                }
            }
        }
        let (mut gone, mut new, mut parents) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, slot) in partitions.into_iter().zip(&self.grouping.slots) {
            let before = new.len();
            partition.changes(&mut gone, &mut new);
            parents.extend(std::iter::repeat_n(*slot, new.len() - before));
        }
        // Rows that are taken out are read once more for what is emitted: they go afterwards.
        emission.gone = gone;
        self.keep(batch, &new, &parents, keyed)?;
        Ok(emission)
    }

    /// Adds rows of the batch to their partitions.
    fn keep(
        &mut self,
        batch: &ChangelogBatch,
        new: &[u32],
        parents: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let rows = self.states()?.1;
        let mut slots = Vec::new();
        keyed.append_under(rows, VOID, parents, &mut slots);
        let places = UInt32Array::from(new.to_vec());
        let mut state = keyed.rows(rows, VOID);
        for (field, column) in self.kept.iter().enumerate() {
            state.scatter(field, &slots, &take(batch.rows().column(*column), &places, None)?);
        }
        Ok(())
    }

    /// Deletes rows, and partitions that have none.
    fn forget(&self, gone: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let (partitions, rows) = self.states()?;
        keyed.delete(rows, VOID, gone);
        let idle = self.grouping.slots.iter().copied();
        let idle: Vec<u32> = idle.filter(|slot| !keyed.has_entries_under(rows, VOID, *slot)).collect();
        keyed.delete(partitions, VOID, &idle);
        Ok(())
    }
}

impl Operator for Rank {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let fields = |columns: &[usize]| state_fields(Vec::new(), columns, &self.input);
        let partitions = StateDescriptor::value(
            format!("{}/partitions", self.name),
            fields(&self.spec.partition)?,
            NamespaceKind::Void,
            Vec::new(),
        );
        let partitions = context.keyed.register(partitions.with_ttl_ms(self.ttl_ms))?;
        let rows = StateDescriptor::list(format!("{}/rows", self.name), fields(&self.kept)?);
        self.states = Some((partitions, context.keyed.register_under(partitions, rows)?));
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.resolve(&batch, &mut context.keyed)?;
        let emission = self.process(&batch, &mut context.keyed)?;
        let step = context.batch_rows.max(1);
        let rows_state = self.states()?.1;
        for start in (0..emission.len()).step_by(step) {
            let range = start..(start + step).min(emission.len());
            let rows = context.keyed.rows(rows_state, VOID);
            output.batch(emission.batch(range, &self.spec, &self.kept, &batch, &rows, &self.schema)?);
        }
        self.forget(&emission.gone, &mut context.keyed)
    }
}
