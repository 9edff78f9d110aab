//! The first rows of an append-only input.

use crate::progress::{load_count, save_count};
use crate::{Operator, OperatorContext, OperatorError, Output};
use weir_types::{ChangelogBatch, LimitSpec, OperatorId};

/// Skips `offset` rows, passes `fetch` rows on, drops the rest.
pub(crate) struct Limit {
    state: String,
    spec: LimitSpec,
    /// rows that came so far, at most `offset + fetch`
    seen: u64,
}

impl Limit {
    pub(crate) fn new(id: &OperatorId, spec: &LimitSpec) -> Self {
        Limit { state: format!("{id}/seen"), spec: spec.clone(), seen: 0 }
    }

    fn end(&self) -> u64 {
        self.spec.fetch.map_or(u64::MAX, |fetch| self.spec.offset.saturating_add(fetch))
    }
}

impl Operator for Limit {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.seen = load_count(&self.state, context);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let rows = batch.num_rows() as u64;
        let skip = self.spec.offset.saturating_sub(self.seen).min(rows);
        let last = self.end().saturating_sub(self.seen).min(rows);
        self.seen += last;
        if skip == 0 && last == rows {
            output.batch(batch);
        } else if skip < last {
            output.batch(batch.slice(skip as usize, (last - skip) as usize));
        }
        Ok(())
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_count(&self.state, self.seen, context);
        Ok(())
    }

    fn is_satisfied(&self) -> bool {
        self.seen >= self.end()
    }
}
