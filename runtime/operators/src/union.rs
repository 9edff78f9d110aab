//! The rows of all inputs, as they come.

use crate::{Operator, OperatorContext, OperatorError, Output};
use weir_types::ChangelogBatch;

/// The driver takes the minimum of the inputs' watermarks; nothing is left to do here.
pub(crate) struct Union;

impl Operator for Union {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        output.batch(batch);
        Ok(())
    }
}
