//! The last row of each key.

use super::{Changes, Shown, columns_at, kept_columns};
use crate::distinct::{state_fields, time_field};
use crate::event_time::rowtime_millis;
use crate::grouping::Grouping;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::UInt32Array;
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::{Namespace, NamespaceKind, Slots, StateDescriptor, StateId};
use weir_types::{ChangelogBatch, DeduplicateSpec, JobSettings, OperatorId, RowKind};

/// Fields in front of a row: its time.
const TIME: usize = 0;

/// Emits `+I` for the first row of a key, then `-U` and `+U` for each that is not earlier than the one before it.
pub(crate) struct LastRow {
    name: String,
    spec: DeduplicateSpec,
    input: SchemaRef,
    schema: SchemaRef,
    kept: Vec<usize>,
    ttl_ms: Option<u64>,
    state: Option<StateId>,
    found: Slots,
    grouping: Grouping,
}

impl LastRow {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &DeduplicateSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Self {
        let kept = kept_columns(&input, &spec.keys);
        LastRow {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            kept,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            state: None,
            found: Slots::default(),
            grouping: Grouping::default(),
        }
    }

    /// The time of each row in milliseconds; 0 for all by processing time.
    fn times(&self, batch: &ChangelogBatch) -> Result<Vec<i64>, OperatorError> {
        Ok(match self.spec.rowtime {
            Some(column) => rowtime_millis(batch.rows().column(column), self.input.field(column).name())?
                .values()
                .to_vec(),
            None => vec![0; batch.num_rows()],
        })
    }
}

impl Operator for LastRow {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let leading = vec![time_field(self.spec.rowtime.is_none())];
        let values = state_fields(leading, &self.kept, &self.input)?;
        let keys = state_fields(Vec::new(), &self.spec.keys, &self.input)?;
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
        let times = self.times(&batch)?;
        let count = if self.spec.keys.is_empty() { 1 } else { batch.num_rows() };
        let columns = columns_at(batch.rows(), &self.spec.keys);
        let keys = context.keyed.encoder(state).encode(&columns, count)?;
        context.keyed.resolve(state, Namespace::Void, &keys, &mut self.found);
        match self.spec.keys.is_empty() {
            true => self.grouping.all_in_one(self.found.slots[0], batch.num_rows()),
            false => self.grouping.group(&self.found.slots),
        }
        let existing = self.grouping.existing(&self.found.created, 0);
        let rows = context.keyed.rows(state, Namespace::Void);
        let kept_times = rows.column::<i64>(TIME);
        // For each key the row that is the last one now: of the batch, or else the kept one, if there is one.
        let mut last: Vec<Option<u32>> = vec![None; existing.len()];
        let mut exists = existing;
        let mut latest: Vec<i64> = self.grouping.slots.iter().map(|slot| kept_times.get(*slot)).collect();
        let mut changes = Changes::default();
        for (row, time) in times.iter().enumerate() {
            let key = self.grouping.groups[row] as usize;
            if exists[key] && *time < latest[key] {
                continue;
            }
            let (slot, via) = (self.grouping.slots[key], row as u32);
            if exists[key] && self.spec.emit_update_before {
                changes.push(RowKind::UpdateBefore, Shown { row: last[key], slot, via });
            }
            let kind = if exists[key] { RowKind::UpdateAfter } else { RowKind::Insert };
            changes.push(kind, Shown { row: Some(via), slot, via });
            (exists[key], latest[key], last[key]) = (true, *time, Some(via));
        }
        let kept = (&rows, &self.kept[..], TIME + 1);
        let sized = (&self.schema, context.batch_rows);
        changes.emit(&self.spec.columns, batch.rows(), kept, sized, output)?;
        let changed = (0..last.len()).filter_map(|key| Some((self.grouping.slots[key], last[key]?)));
        let (slots, places): (Vec<u32>, Vec<u32>) = changed.unzip();
        let mut rows = rows;
        slots.iter().zip(&places).for_each(|(slot, row)| kept_times.set(*slot, times[*row as usize]));
        let places = UInt32Array::from(places);
        for (field, column) in self.kept.iter().enumerate() {
            let values = take(batch.rows().column(*column), &places, None)?;
            rows.scatter(TIME + 1 + field, &slots, &values);
        }
        Ok(())
    }
}
