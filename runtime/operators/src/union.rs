//! The rows of all inputs, as they come.

use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use weir_types::ChangelogBatch;

/// The driver takes the minimum of the inputs' watermarks; what is left is to call the columns what the union calls them.
/// A column that may be NULL in one input may be so in batches of all: batches are put together by the schema of the first.
pub(crate) struct Union {
    schema: SchemaRef,
}

impl Union {
    pub fn new(schema: SchemaRef) -> Self {
        Union { schema }
    }
}

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
        let (rows, kinds) = batch.into_parts();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let columns = rows.columns().to_vec();
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        output.batch(ChangelogBatch::new(rows, kinds));
        Ok(())
    }
}
