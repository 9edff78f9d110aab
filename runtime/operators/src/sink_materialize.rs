//! Changes by the key of a query as changes by the primary key of its sink.

use crate::deduplicate::{Changes, Shown};
use crate::identity::{Identities, Identity};
use crate::kept_lists::KeptLists;
use crate::partitions::{Source, kept_columns};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::datatypes::SchemaRef;
use weir_state::KeyedStateBackend;
use weir_types::{ChangelogBatch, JobSettings, OperatorId, RowKind, SinkMaterializeSpec};

/// Keeps the rows of each primary key in the order of their arrival; the last of them is what the sink has. What is
/// emitted is what Flink emits, row by row: `+I` for the first row of a key, `+U` for each that comes, and when the last
/// one is taken back `+U` with the one before it, or `-D` if there is none.
///
/// A row of the query that comes again without having been taken back goes to the end. In Flink it stays where it was,
/// so that the sink keeps it when it is taken back later.
pub(crate) struct SinkMaterialize {
    name: String,
    spec: SinkMaterializeSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// by primary key; a row is kept without the columns of that
    lists: KeptLists,
    identity: Identity,
    ttl_ms: Option<u64>,
}

/// A row of a primary key.
#[derive(Clone, Copy)]
struct Item {
    source: Source,
    /// its place among those that were kept
    known: usize,
}

/// The rows of the primary keys that a batch touches.
struct Touched {
    items: Vec<Vec<Item>>,
    /// of those that were kept
    kept: Identities,
    gone: Vec<u32>,
}

impl SinkMaterialize {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &SinkMaterializeSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let kept = kept_columns(&input, &spec.keys);
        // Within a primary key its columns tell nothing.
        let telling = match &spec.unique {
            Some(unique) => kept.iter().copied().filter(|column| unique.contains(column)).collect(),
            None => kept.clone(),
        };
        Ok(SinkMaterialize {
            name: id.to_string(),
            spec: spec.clone(),
            identity: Identity::new(telling, &input)?,
            input,
            schema,
            lists: KeptLists::new(&spec.keys, kept),
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
        })
    }

    fn load(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Touched, OperatorError> {
        self.lists.resolve(batch.rows(), keyed)?;
        let loaded = self.lists.load(keyed)?;
        let item = |known: usize| Item { source: Source::Kept(loaded.slots[known]), known };
        let items = loaded.ranges().map(|range| range.map(item).collect()).collect();
        let rows = self.lists.rows(keyed)?;
        let column = |column: usize| Ok(rows.gather(self.lists.field(column)?, &loaded.slots)?);
        let kept = self.identity.of(loaded.slots.len(), column)?;
        Ok(Touched { items, kept, gone: Vec::new() })
    }

    /// Lets the rows of `batch` follow each other.
    fn follow(&self, batch: &ChangelogBatch, touched: &mut Touched) -> Result<Changes, OperatorError> {
        let rows = self.identity.of(batch.num_rows(), |column| Ok(batch.rows().column(column).clone()))?;
        let Touched { items, kept, gone } = touched;
        let mut changes = Changes::default();
        for row in 0..batch.num_rows() {
            let (items, via) = (&mut items[self.lists.grouping.groups[row] as usize], row as u32);
            let same = |item: &Item| match item.source {
                Source::Batch(known) => rows.get(known as usize) == rows.get(row),
                Source::Kept(_) => kept.get(item.known) == rows.get(row),
            };
            let shown = |item: &Item| match item.source {
                Source::Batch(row) => Shown { row: Some(row), slot: 0, via },
                Source::Kept(slot) => Shown { row: None, slot, via },
            };
            let mut take_out = |items: &mut Vec<Item>, place: usize| {
                if let Source::Kept(slot) = items.remove(place).source {
                    gone.push(slot);
                }
            };
            let found = items.iter().position(same);
            let new = Item { source: Source::Batch(via), known: 0 };
            if !batch.kind(row).is_retraction() {
                let kind = if items.is_empty() { RowKind::Insert } else { RowKind::UpdateAfter };
                if let Some(place) = found.filter(|_| self.spec.unique.is_some()) {
                    take_out(items, place);
                }
                items.push(new);
                changes.push(kind, shown(&new));
                continue;
            }
            // A row that is not there is passed over: its state has expired.
            let Some(place) = found else { continue };
            take_out(items, place);
            match items.last() {
                None => changes.push(RowKind::Delete, shown(&new)),
                Some(last) if place == items.len() => changes.push(RowKind::UpdateAfter, shown(last)),
                Some(_) => {}
            }
        }
        Ok(changes)
    }

    /// Writes what has become of the rows.
    fn keep(
        &self,
        batch: &ChangelogBatch,
        touched: &Touched,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let (mut parents, mut places) = (Vec::new(), Vec::new());
        for (items, key) in touched.items.iter().zip(&self.lists.grouping.slots) {
            for item in items {
                if let Source::Batch(row) = item.source {
                    parents.push(*key);
                    places.push(row);
                }
            }
        }
        self.lists.append(batch.rows(), places, &parents, keyed)?;
        self.lists.delete(&touched.gone, keyed)
    }
}

impl Operator for SinkMaterialize {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.lists.open((&self.name, "keys"), Vec::new(), self.ttl_ms, &self.input, context)
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut touched = self.load(&batch, &mut context.keyed)?;
        let changes = self.follow(&batch, &mut touched)?;
        let columns: Vec<usize> = (0..self.input.fields().len()).collect();
        let sized = (&self.schema, context.batch_rows);
        let rows = self.lists.rows(&mut context.keyed)?;
        changes.emit(&columns, batch.rows(), (&rows, &self.lists.kept, 0), sized, output)?;
        self.keep(&batch, &touched, &mut context.keyed)
    }
}
