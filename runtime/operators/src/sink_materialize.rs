//! Changes by the key of a query as changes by the primary key of its sink.

use crate::deduplicate::{Changes, Shown, kept_columns};
use crate::distinct::state_fields;
use crate::grouping::Grouping;
use crate::identity::{Identities, Identity};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Slots, StateDescriptor, StateId};
use weir_types::{ChangelogBatch, JobSettings, OperatorId, RowKind, SinkMaterializeSpec};

const VOID: Namespace = Namespace::Void;

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
    /// columns that are kept with a row: all but those of the primary key
    kept: Vec<usize>,
    identity: Identity,
    ttl_ms: Option<u64>,
    states: Option<(StateId, StateId)>,
    found: Slots,
    grouping: Grouping,
}

/// A row of a primary key.
#[derive(Clone, Copy)]
struct Item {
    source: Source,
    /// its place among those that were kept
    known: usize,
}

#[derive(Clone, Copy)]
enum Source {
    /// its slot in the state
    Kept(u32),
    /// its place in the batch
    Batch(u32),
}

/// The rows of the primary keys that a batch touches.
struct Lists {
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
            kept,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            found: Slots::default(),
            grouping: Grouping::default(),
        })
    }

    fn states(&self) -> Result<(StateId, StateId), OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    fn load(
        &mut self,
        batch: &ChangelogBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Lists, OperatorError> {
        let (keys_state, rows_state) = self.states()?;
        let columns: Vec<ArrayRef> =
            self.spec.keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let keys = keyed.encoder(keys_state).encode(&columns, batch.num_rows())?;
        keyed.resolve(keys_state, VOID, &keys, &mut self.found);
        self.grouping.group(&self.found.slots);
        let (mut slots, mut items) = (Vec::new(), Vec::new());
        keyed.prefetch_under(rows_state, VOID, &self.grouping.slots);
        for key in &self.grouping.slots {
            let start = slots.len();
            keyed.entries_under(rows_state, VOID, *key, &mut slots);
            let item = |known: usize| Item { source: Source::Kept(slots[known]), known };
            items.push((start..slots.len()).map(item).collect());
        }
        let rows = keyed.rows(rows_state, VOID);
        let field = |column: usize| self.kept.iter().position(|kept| *kept == column).unwrap_or(0);
        let kept = self.identity.of(slots.len(), |column| Ok(rows.gather(field(column), &slots)?))?;
        Ok(Lists { items, kept, gone: Vec::new() })
    }

    /// Lets the rows of `batch` follow each other.
    fn follow(&self, batch: &ChangelogBatch, lists: &mut Lists) -> Result<Changes, OperatorError> {
        let rows = self.identity.of(batch.num_rows(), |column| Ok(batch.rows().column(column).clone()))?;
        let Lists { items, kept, gone } = lists;
        let mut changes = Changes::default();
        for row in 0..batch.num_rows() {
            let (items, via) = (&mut items[self.grouping.groups[row] as usize], row as u32);
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
        lists: &Lists,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let (keys_state, rows_state) = self.states()?;
        let (mut parents, mut places, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for (items, key) in lists.items.iter().zip(&self.grouping.slots) {
            for item in items {
                if let Source::Batch(row) = item.source {
                    parents.push(*key);
                    places.push(row);
                }
            }
        }
        keyed.delete(rows_state, VOID, &lists.gone);
        keyed.append_under(rows_state, VOID, &parents, &mut slots);
        let places = UInt32Array::from(places);
        let mut rows = keyed.rows(rows_state, VOID);
        for (field, column) in self.kept.iter().enumerate() {
            rows.scatter(field, &slots, &take(batch.rows().column(*column), &places, None)?);
        }
        let empty = lists.items.iter().zip(&self.grouping.slots).filter(|(items, _)| items.is_empty());
        let empty: Vec<u32> = empty.map(|(_, slot)| *slot).collect();
        keyed.delete(keys_state, VOID, &empty);
        Ok(())
    }
}

impl Operator for SinkMaterialize {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let fields = |columns: &[usize]| state_fields(Vec::new(), columns, &self.input);
        let (keys, values) = (fields(&self.spec.keys)?, fields(&self.kept)?);
        let name = format!("{}/keys", self.name);
        let keys = StateDescriptor::value(name, keys, NamespaceKind::Void, Vec::new());
        let keys = context.keyed.register(keys.with_ttl_ms(self.ttl_ms))?;
        let rows = StateDescriptor::list(format!("{}/rows", self.name), values);
        self.states = Some((keys, context.keyed.register_under(keys, rows)?));
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut lists = self.load(&batch, &mut context.keyed)?;
        let changes = self.follow(&batch, &mut lists)?;
        let columns: Vec<usize> = (0..self.input.fields().len()).collect();
        let sized = (&self.schema, context.batch_rows);
        let rows = context.keyed.rows(self.states()?.1, VOID);
        changes.emit(&columns, batch.rows(), (&rows, &self.kept, 0), sized, output)?;
        self.keep(&batch, &lists, &mut context.keyed)
    }
}
