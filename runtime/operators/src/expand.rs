//! Each input row once per projection: GROUPING SETS, ROLLUP, CUBE.

use crate::calc::{batch_of, evaluate_all};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use weir_types::{ChangelogBatch, ExpandSpec, RowKinds};

/// The copies of a row stand together, in the order of the projections.
pub(crate) struct Expand {
    spec: ExpandSpec,
    schema: SchemaRef,
}

impl Expand {
    pub(crate) fn new(spec: &ExpandSpec, schema: SchemaRef) -> Self {
        Expand { spec: spec.clone(), schema }
    }
}

impl Operator for Expand {
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
        let copies = self.spec.projections.len();
        let rows = batch.num_rows();
        let parts = self
            .spec
            .projections
            .iter()
            .map(|projection| evaluate_all(projection, batch.rows(), &self.schema))
            .collect::<Result<Vec<_>, _>>()?;
        let places: Vec<(usize, usize)> =
            (0..rows).flat_map(|row| (0..copies).map(move |copy| (copy, row))).collect();
        let columns = (0..self.schema.fields().len())
            .map(|column| {
                let sources: Vec<&dyn Array> =
                    parts.iter().map(|part| part.column(column).as_ref()).collect();
                interleave(&sources, &places)
            })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let kinds = batch.kinds().map(|kinds| -> RowKinds {
            kinds.iter().flat_map(|kind| std::iter::repeat_n(kind, copies)).collect()
        });
        output.batch(ChangelogBatch::new(batch_of(self.schema.clone(), columns, rows * copies)?, kinds));
        Ok(())
    }
}
