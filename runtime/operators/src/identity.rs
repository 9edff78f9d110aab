//! Which rows are the same.

use crate::OperatorError;
use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use weir_types::KeyEncoder;

/// Tells rows apart by some of their columns. NULL equals NULL.
pub(crate) struct Identity {
    columns: Vec<usize>,
    encoder: KeyEncoder,
}

/// The values of some rows that tell them apart: equal bytes, equal values.
pub(crate) struct Identities {
    offsets: Vec<usize>,
    bytes: Vec<u8>,
}

impl Identity {
    pub(crate) fn new(columns: Vec<usize>, schema: &Schema) -> Result<Self, OperatorError> {
        let types: Vec<_> = columns.iter().map(|column| schema.field(*column).data_type().clone()).collect();
        Ok(Identity { columns, encoder: KeyEncoder::new(&types)? })
    }

    /// Of `rows` rows, whose column `i` is `column(i)`.
    pub(crate) fn of(
        &self,
        rows: usize,
        column: impl Fn(usize) -> Result<ArrayRef, OperatorError>,
    ) -> Result<Identities, OperatorError> {
        let columns = self.columns.iter().map(|place| column(*place)).collect::<Result<Vec<_>, _>>()?;
        let keys = self.encoder.encode(&columns, rows)?;
        let (mut offsets, mut bytes) = (Vec::with_capacity(rows + 1), Vec::new());
        offsets.push(0);
        for row in 0..rows {
            keys.write_canonical(row, &mut bytes);
            offsets.push(bytes.len());
        }
        Ok(Identities { offsets, bytes })
    }
}

impl Identities {
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row]..self.offsets[row + 1]]
    }
}
