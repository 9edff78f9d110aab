//! A bounded inline table: `VALUES`.

use crate::progress::{load_count, save_count};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::RecordBatch;
use weir_types::{ChangelogBatch, OperatorId};

/// Emits its batches once its (absent) input has ended.
pub(crate) struct Values {
    state: String,
    batches: Vec<RecordBatch>,
    next: usize,
}

impl Values {
    pub(crate) fn new(id: &OperatorId, batches: Vec<RecordBatch>) -> Self {
        Values { state: format!("{id}/emitted"), batches, next: 0 }
    }
}

impl Operator for Values {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.next = load_count(&self.state, context) as usize;
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        _batch: ChangelogBatch,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        Err(OperatorError::internal("VALUES has no input"))
    }

    fn on_end_of_input(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.resume(context, output)
    }

    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if let Some(batch) = self.batches.get(self.next) {
            output.batch(ChangelogBatch::insert_only(batch.clone()));
            self.next += 1;
        }
        Ok(if self.next < self.batches.len() { Progress::More } else { Progress::Done })
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_count(&self.state, self.next as u64, context);
        Ok(())
    }
}
