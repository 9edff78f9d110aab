//! Top-N: the first rows of each partition by an order, with or without their rank.
//!
//! Read first: [`Rank`], `ordered` (what a row does to its partition), `emit`.

mod emit;
mod ordered;

use crate::kept_lists::{KeptLists, Loaded};
use crate::partitions::order_converter;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use emit::Emission;
use ordered::{Item, Ordered, Source};
use std::ops::Range;
use weir_state::KeyedStateBackend;
use weir_types::{ChangelogBatch, JobSettings, OperatorId, RankSpec, RowKind};

/// Rows of a partition are kept in the order of their arrival: the first N of them where rows only come, or come again
/// ahead of where they were; all where they go as well. A batch loads the partitions that it touches, and lets its rows
/// take their places one after the other; of rows with equal sort keys the earlier one stays ahead. What is emitted is what
/// Flink emits, row by row.
pub(crate) struct Rank {
    name: String,
    spec: RankSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// by partition; a row is kept without the columns of that
    lists: KeptLists,
    sort: RowConverter,
    /// what a row is known by where it is taken back, or comes again: all that is kept, or its key
    identity: Vec<usize>,
    /// of the columns of `identity`
    whole: RowConverter,
    ttl_ms: Option<u64>,
}

/// The rows of the partitions that a batch touches.
struct Known {
    loaded: Loaded,
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
            lists: KeptLists::new(&spec.partition, kept),
            sort,
            identity,
            whole,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
        })
    }

    fn load(&self, keyed: &mut KeyedStateBackend) -> Result<Known, OperatorError> {
        let loaded = self.lists.load(keyed)?;
        let rows = self.lists.rows(keyed)?;
        let column = |column: usize| -> Result<ArrayRef, OperatorError> {
            Ok(rows.gather(self.lists.field(column)?, &loaded.slots)?)
        };
        let sort = self.spec.order.iter().map(|key| column(key.column)).collect::<Result<Vec<_>, _>>()?;
        let sort_keys = self.sort.convert_columns(&sort)?;
        let whole = self.identity.iter().map(|known| column(*known)).collect::<Result<Vec<_>, _>>()?;
        let wholes = self.wholes(&whole)?;
        Ok(Known { loaded, sort_keys, wholes })
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
        let known = self.load(keyed)?;
        let sort: Vec<ArrayRef> =
            self.spec.order.iter().map(|key| batch.rows().column(key.column).clone()).collect();
        let sort_keys = self.sort.convert_columns(&sort)?;
        let whole: Vec<ArrayRef> =
            self.identity.iter().map(|column| batch.rows().column(*column).clone()).collect();
        let wholes = self.wholes(&whole)?;
        let item = |place: usize| Item {
            key: known.sort_keys.row(place),
            whole: known.wholes.as_ref().map(|wholes| wholes.row(place)),
            source: Source::Kept(known.loaded.slots[place]),
        };
        let ordered = |range: Range<usize>| Ordered::new(range.map(item).collect(), &self.spec);
        let mut partitions: Vec<Ordered<'_>> = known.loaded.ranges().map(ordered).collect();
        let mut emission = Emission::default();
        for row in 0..batch.num_rows() {
            let item = Item {
                key: sort_keys.row(row),
                whole: wholes.as_ref().map(|wholes| wholes.row(row)),
                source: Source::Batch(row as u32),
            };
            let partition = &mut partitions[self.lists.grouping.groups[row] as usize];
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
        for (partition, slot) in partitions.into_iter().zip(&self.lists.grouping.slots) {
            let before = new.len();
            partition.changes(&mut gone, &mut new);
            parents.extend(std::iter::repeat_n(*slot, new.len() - before));
        }
        // Rows that are taken out are read once more for what is emitted: they go afterwards.
        emission.gone = gone;
        self.lists.append(batch.rows(), new, &parents, keyed)?;
        Ok(emission)
    }
}

impl Operator for Rank {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let names = (self.name.as_str(), "partitions");
        self.lists.open(names, Vec::new(), self.ttl_ms, &self.input, context)
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.lists.resolve(batch.rows(), &mut context.keyed)?;
        let emission = self.process(&batch, &mut context.keyed)?;
        let step = context.batch_rows.max(1);
        for start in (0..emission.len()).step_by(step) {
            let range = start..(start + step).min(emission.len());
            let rows = self.lists.rows(&mut context.keyed)?;
            output.batch(emission.batch(range, &self.spec, &self.lists.kept, &batch, &rows, &self.schema)?);
        }
        self.lists.delete(&emission.gone, &mut context.keyed)
    }
}
