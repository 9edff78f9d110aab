//! Top-N: the first rows of each partition by an order, with or without their rank.
//!
//! Read first: [`Rank`], `ordered` (what a row does to its partition), `tail` (rows far behind), `emit`.

mod emit;
mod ordered;
mod tail;

use crate::kept_lists::{KeptLists, Loaded};
use crate::partitions::{Mixed, Source, kept_columns, order_converter};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use emit::Emission;
use ordered::{Item, Ordered};
use std::ops::Range;
use tail::{Counts, Move, Moved, Tail};
use weir_state::KeyedStateBackend;
use weir_types::{ChangelogBatch, JobSettings, OperatorId, RankSpec, RowKind};

/// Rows of a partition are kept in the order of their arrival: the first N of them where rows only come, or come again
/// ahead of where they were. Where they go as well all are kept, the first N and some more so, the others by what they are: a
/// row among these is found without the others. A batch loads the first rows of the partitions that it touches, and lets its rows
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
    /// rows that come and go behind the first ones; none of them is before one that is in order
    tail: Option<Tail>,
    /// the same of a checkpoint of a query whose rows could be taken back: they are not needed
    left_over: Option<Tail>,
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
        let kept = kept_columns(&input, &spec.partition);
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
            tail: None,
            left_over: None,
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

    /// The last rank that is kept in any case.
    fn end(&self) -> usize {
        usize::try_from(self.spec.end).unwrap_or(usize::MAX)
    }

    /// Brings the next rows of partitions in order where these have no more than are given, and others behind them. Tells
    /// whether there were any.
    fn refill(
        &self,
        tail: &Tail,
        known: &Known,
        counts: &mut [Counts],
        keyed: &mut KeyedStateBackend,
    ) -> Result<bool, OperatorError> {
        let order = self.spec.order.iter().map(|key| self.lists.field(key.column));
        let order = order.collect::<Result<Vec<_>, _>>()?;
        let mut refilled = false;
        for (group, range) in known.loaded.ranges().enumerate() {
            let counts = &mut counts[group];
            if counts.rows <= 0 || range.len() > self.end() {
                continue;
            }
            let parent = self.lists.grouping.slots[group];
            let wanted = self.end().saturating_add(counts.slack(range.len())) - range.len();
            let columns = tail.take_first((parent, counts), wanted, (&self.sort, &order), keyed)?;
            let count = columns.first().map_or(0, |column| column.len());
            self.lists.append_columns(&columns, &vec![parent; count], keyed)?;
            refilled = true;
        }
        Ok(refilled)
    }

    /// The partitions of `batch`, and what is behind the rows of each that are in order.
    fn known(&self, keyed: &mut KeyedStateBackend) -> Result<(Known, Vec<Counts>), OperatorError> {
        let known = self.load(keyed)?;
        let partitions = &self.lists.grouping.slots;
        let Some(tail) = &self.tail else { return Ok((known, vec![Counts::default(); partitions.len()])) };
        let before = tail.counts(partitions, keyed)?;
        let mut counts = before.clone();
        if !self.refill(tail, &known, &mut counts, keyed)? {
            return Ok((known, counts));
        }
        tail.write_counts(partitions, (&before, &counts), keyed)?;
        Ok((self.load(keyed)?, counts))
    }

    /// Lets the rows of `batch` take their places. What becomes of partitions is written back. Returns also how many rows it
    /// was: a row waits that goes from where only those are in order that are given.
    fn process(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(Emission, usize), OperatorError> {
        let (known, counts) = self.known(keyed)?;
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
        let mut moves: Vec<Moved> = Vec::new();
        let mut row = 0;
        while row < batch.num_rows() {
            let item = Item {
                key: sort_keys.row(row),
                whole: wholes.as_ref().map(|wholes| wholes.row(row)),
                source: Source::Batch(row as u32),
            };
            let group = self.lists.grouping.groups[row] as usize;
            let partition = &mut partitions[group];
            let others = counts[group].rows > 0;
            emission.via(row as u32);
            match (batch.kind(row), &self.spec.update_key) {
                // The row that comes next says all.
                (RowKind::UpdateBefore, Some(_)) => {}
                (RowKind::Insert | RowKind::UpdateAfter, Some(_)) => {
                    partition.put(item, &self.spec, &mut emission);
                }
                // Those that are ordered like it came before it.
                (RowKind::Insert | RowKind::UpdateAfter, None)
                    if others && partition.last_key().is_none_or(|last| last <= item.key) =>
                {
                    moves.push((Move::Comes, group, row as u32));
                }
                (RowKind::Insert | RowKind::UpdateAfter, None) => {
                    partition.insert(item, &self.spec, &mut emission);
                }
                (RowKind::UpdateBefore | RowKind::Delete, _) => {
                    let among = partition.last_key().is_some_and(|last| item.key <= last);
                    if others && among && partition.len() <= self.end() {
                        break;
                    }
                    if !partition.remove(&item, &self.spec, &mut emission) && others {
                        moves.push((Move::Goes, group, row as u32));
                    }
                }
            }
            row += 1;
        }
        self.write(batch, partitions, (moves, counts), &mut emission, keyed)?;
        Ok((emission, row))
    }

    /// Writes back what became of partitions: `moves` of rows of the batch that are not in order, and those that are.
    fn write(
        &self,
        batch: &ChangelogBatch,
        mut partitions: Vec<Ordered<'_>>,
        (moves, before): (Vec<Moved>, Vec<Counts>),
        emission: &mut Emission,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let slots = &self.lists.grouping.slots;
        if let Some(tail) = &self.tail {
            let mut counts = before.clone();
            let columns: Vec<ArrayRef> =
                self.lists.kept.iter().map(|column| batch.rows().column(*column).clone()).collect();
            tail.change(&moves, &columns, (slots, &mut counts), keyed)?;
            let (mut sources, mut moves) = (Vec::new(), Vec::new());
            for (group, partition) in partitions.iter_mut().enumerate() {
                let slack = counts[group].slack(partition.len());
                if partition.len() > self.end().saturating_add(2 * slack) {
                    let cut = partition.cut(self.end() + slack);
                    let first = sources.len() as u32;
                    // The last one first: each is ahead of those that are there.
                    let rows = (first..first + cut.len() as u32).rev();
                    moves.extend(rows.map(|row| (Move::ComesAhead, group, row)));
                    sources.extend(cut);
                }
            }
            if !sources.is_empty() {
                let (mixed, state) = (Mixed::of(sources.into_iter()), self.lists.rows(keyed)?);
                let column = |(field, here): (usize, &ArrayRef)| mixed.column(here, &state, field);
                let columns = columns.iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
                tail.change(&moves, &columns, (slots, &mut counts), keyed)?;
            }
            tail.write_counts(slots, (&before, &counts), keyed)?;
        }
        let (mut gone, mut new, mut parents) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, slot) in partitions.into_iter().zip(slots) {
            let before = new.len();
            partition.changes(&mut gone, &mut new);
            parents.extend(std::iter::repeat_n(*slot, new.len() - before));
        }
        // Rows that are taken out are read once more for what is emitted: they go afterwards.
        emission.gone = gone;
        self.lists.append(batch.rows(), new, &parents, keyed)
    }
}

impl Operator for Rank {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let names = (self.name.as_str(), "partitions");
        self.lists.open(names, Vec::new(), self.ttl_ms, &self.input, context)?;
        let (partitions, _) = self.lists.states()?;
        let (kept, input, keyed) = (&self.lists.kept, &self.input, &mut context.keyed);
        match self.spec.input_retracts && self.spec.update_key.is_none() {
            true => self.tail = Some(Tail::register(&self.name, partitions, kept, input, keyed)?),
            false if Tail::is_restored(&self.name, keyed) => {
                self.left_over = Some(Tail::register(&self.name, partitions, kept, input, keyed)?);
            }
            false => {}
        }
        Ok(())
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
            self.lists.resolve(rest.rows(), &mut context.keyed)?;
            if let Some(left_over) = &self.left_over {
                left_over.clear(&self.lists.grouping.slots, &mut context.keyed);
            }
            let (emission, rows) = self.process(&rest, &mut context.keyed)?;
            let step = context.batch_rows.max(1);
            for start in (0..emission.len()).step_by(step) {
                let range = start..(start + step).min(emission.len());
                let state = self.lists.rows(&mut context.keyed)?;
                let kept = &self.lists.kept;
                output.batch(emission.batch(range, &self.spec, kept, &rest, &state, &self.schema)?);
            }
            self.lists.delete(&emission.gone, &mut context.keyed)?;
            rest = rest.slice(rows, rest.num_rows() - rows);
        }
        Ok(())
    }
}
