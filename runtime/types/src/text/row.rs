//! Rows as the print connector and Flink's Row class show them.

use super::value::{TextStyle, UnsupportedText, ValueText};
use crate::{ChangelogBatch, RowKinds};
use arrow::array::RecordBatch;

/// Writes the rows of one batch: `+I[1, a, 2024-01-01T00:00:00.500, null]`.
pub struct RowWriter<'a> {
    columns: Vec<ValueText<'a>>,
    kinds: Option<&'a RowKinds>,
}

impl<'a> RowWriter<'a> {
    pub fn new(batch: &'a ChangelogBatch) -> Result<Self, UnsupportedText> {
        let rows: &'a RecordBatch = batch.rows();
        let schema = rows.schema_ref();
        let columns = rows
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| ValueText::new(column, field, TextStyle::Java))
            .collect::<Result<_, _>>()?;
        Ok(RowWriter { columns, kinds: batch.kinds() })
    }

    /// Appends row `row`, without a line end.
    pub fn append(&self, row: usize, out: &mut Vec<u8>) {
        let kind = self.kinds.map_or(crate::RowKind::Insert, |kinds| kinds.get(row));
        out.extend_from_slice(kind.short().as_bytes());
        out.push(b'[');
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            column.append(row, out);
        }
        out.push(b']');
    }
}
