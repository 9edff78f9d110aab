//! The last row of each key, as a whole changelog.

use super::{Changes, Shown, columns_at, kept_columns};
use crate::calc::evaluate_filter;
use crate::distinct::state_fields;
use crate::grouping::Grouping;
use crate::identity::Identity;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::SchemaRef;
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Rows, Slots, StateDescriptor, StateId};
use weir_types::{ChangelogBatch, ChangelogNormalizeSpec, JobSettings, OperatorId, RowKind};

const VOID: Namespace = Namespace::Void;

/// The row of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    None,
    /// the one in the state
    Kept,
    /// a row of the batch
    Row(u32),
}

/// Keeps the last row of each key that passes the filter. What is emitted is what Flink emits, row by row. With a time to
/// live a row that comes again as it was is emitted as an update, so that state further down lives on, also as in Flink.
pub(crate) struct ChangelogNormalize {
    name: String,
    spec: ChangelogNormalizeSpec,
    input: SchemaRef,
    schema: SchemaRef,
    kept: Vec<usize>,
    identity: Identity,
    ttl_ms: Option<u64>,
    state: Option<StateId>,
    found: Slots,
    grouping: Grouping,
}

impl ChangelogNormalize {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &ChangelogNormalizeSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let kept = kept_columns(&input, &spec.keys);
        Ok(ChangelogNormalize {
            name: id.to_string(),
            spec: spec.clone(),
            identity: Identity::new(kept.clone(), &input)?,
            input,
            schema,
            kept,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            state: None,
            found: Slots::default(),
            grouping: Grouping::default(),
        })
    }

    /// The key of each row; for each key whether there is a row of it.
    fn resolve(
        &mut self,
        batch: &ChangelogBatch,
        state: StateId,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<Current>, OperatorError> {
        let columns = columns_at(batch.rows(), &self.spec.keys);
        let keys = keyed.encoder(state).encode(&columns, batch.num_rows())?;
        keyed.resolve(state, VOID, &keys, &mut self.found);
        self.grouping.group(&self.found.slots);
        let existing = self.grouping.existing(&self.found.created, 0);
        Ok(existing.into_iter().map(|exists| if exists { Current::Kept } else { Current::None }).collect())
    }

    /// Lets the rows of `batch` follow each other; `current` becomes what is left of each key.
    fn follow(
        &self,
        batch: &ChangelogBatch,
        current: &mut [Current],
        state: &Rows<'_>,
    ) -> Result<Changes, OperatorError> {
        let passes = self.spec.filter.as_ref().map(|filter| evaluate_filter(filter, batch.rows()));
        let passes = passes.transpose()?;
        let rows = self.identity.of(batch.num_rows(), |column| Ok(batch.rows().column(column).clone()))?;
        // What is kept of keys without a row is of no matter: it is never looked at.
        let slots = &self.grouping.slots;
        let field = |column: usize| self.kept.iter().position(|kept| *kept == column).unwrap_or(0);
        let kept = self.identity.of(slots.len(), |column| Ok(state.gather(field(column), slots)?))?;
        let mut changes = Changes::default();
        for row in 0..batch.num_rows() {
            let key = self.grouping.groups[row] as usize;
            let (slot, via) = (slots[key], row as u32);
            let shown = |current: Current| {
                let row = if let Current::Row(row) = current { Some(row) } else { None };
                Shown { row, slot, via }
            };
            let before = current[key];
            let counts =
                !batch.kind(row).is_retraction() && passes.as_ref().is_none_or(|passes| passes.value(row));
            if !counts {
                if before != Current::None {
                    changes.push(RowKind::Delete, shown(before));
                    current[key] = Current::None;
                }
                continue;
            }
            let same = match before {
                Current::None => false,
                Current::Kept => kept.get(key) == rows.get(row),
                Current::Row(before) => rows.get(before as usize) == rows.get(row),
            };
            if same && self.ttl_ms.is_none() {
                continue;
            }
            if before != Current::None && self.spec.emit_update_before {
                changes.push(RowKind::UpdateBefore, shown(before));
            }
            let kind = if before == Current::None { RowKind::Insert } else { RowKind::UpdateAfter };
            current[key] = Current::Row(via);
            changes.push(kind, shown(current[key]));
        }
        Ok(changes)
    }
}

/// Without rows that came as `-U`.
fn without_update_before(batch: ChangelogBatch) -> Result<ChangelogBatch, OperatorError> {
    let Some(kinds) = batch.kinds() else { return Ok(batch) };
    let left = (0..).zip(kinds.iter()).filter(|(_, kind)| *kind != RowKind::UpdateBefore);
    let (left, left_kinds): (Vec<u32>, Vec<RowKind>) = left.unzip();
    if left.len() == batch.num_rows() {
        return Ok(batch);
    }
    let rows = take_record_batch(batch.rows(), &UInt32Array::from(left))?;
    Ok(ChangelogBatch::new(rows, Some(left_kinds.into())))
}

impl Operator for ChangelogNormalize {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let fields = |columns: &[usize]| state_fields(Vec::new(), columns, &self.input);
        let (keys, values) = (fields(&self.spec.keys)?, fields(&self.kept)?);
        let rows = StateDescriptor::value(format!("{}/rows", self.name), keys, NamespaceKind::Void, values);
        self.state = Some(context.keyed.register(rows.with_ttl_ms(self.ttl_ms))?);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let state = self.state.ok_or_else(|| OperatorError::internal("an operator was not opened"))?;
        let batch = without_update_before(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut current = self.resolve(&batch, state, &mut context.keyed)?;
        let mut rows = context.keyed.rows(state, VOID);
        let changes = self.follow(&batch, &mut current, &rows)?;
        let columns: Vec<usize> = (0..self.input.fields().len()).collect();
        let sized = (&self.schema, context.batch_rows);
        changes.emit(&columns, batch.rows(), (&rows, &self.kept, 0), sized, output)?;
        let (mut slots, mut places, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (current, slot) in current.into_iter().zip(&self.grouping.slots) {
            match current {
                Current::None => gone.push(*slot),
                Current::Kept => {}
                Current::Row(row) => {
                    slots.push(*slot);
                    places.push(row);
                }
            }
        }
        let places = UInt32Array::from(places);
        for (field, column) in self.kept.iter().enumerate() {
            let values: ArrayRef = take(batch.rows().column(*column), &places, None)?;
            rows.scatter(field, &slots, &values);
        }
        context.keyed.delete(state, VOID, &gone);
        Ok(())
    }
}
