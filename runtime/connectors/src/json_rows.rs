//! Rows as JSON lines for programs that read a query's result.

use crate::ConnectorError;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use weir_formats::{Encoder, Format};
use weir_types::ChangelogBatch;

/// Writes `{"op":"+I","row":{..}}`, a line a row; the row is encoded as the `json` format does.
pub struct JsonRows {
    encoder: Box<dyn Encoder>,
    rows: Vec<u8>,
    ends: Vec<usize>,
}

impl JsonRows {
    /// Refuses columns that the format cannot hold.
    pub fn new(columns: &SchemaRef) -> Result<Self, ConnectorError> {
        let encoder = Format::named("json", "json.", &BTreeMap::new())
            .map_err(|error| ConnectorError::Internal(error.to_string()))?
            .encoder(columns)
            .map_err(|error| ConnectorError::Options(error.to_string()))?;
        Ok(JsonRows { encoder, rows: Vec::new(), ends: Vec::new() })
    }

    /// Appends each row of `batch`, with its kind and a line feed.
    pub fn append(&mut self, batch: &ChangelogBatch, out: &mut Vec<u8>) -> Result<(), ConnectorError> {
        self.rows.clear();
        self.ends.clear();
        // The kind stands outside of the row: to the format, each row is one of its own.
        let plain = ChangelogBatch::insert_only(batch.rows().clone());
        self.encoder
            .encode_records(&plain, &mut self.rows, &mut self.ends)
            .map_err(|error| ConnectorError::Record(error.to_string()))?;
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            out.extend_from_slice(b"{\"op\":\"");
            out.extend_from_slice(batch.kind(row).short().as_bytes());
            out.extend_from_slice(b"\",\"row\":");
            out.extend_from_slice(&self.rows[start..end]);
            out.extend_from_slice(b"}\n");
            start = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;
    use weir_types::RowKind;

    #[test]
    fn one_line_a_row() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let rows = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let batch = ChangelogBatch::new(rows, Some(vec![RowKind::Insert, RowKind::Delete].into()));
        let mut out = Vec::new();
        JsonRows::new(&batch.schema()).unwrap().append(&batch, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "{\"op\":\"+I\",\"row\":{\"a\":1}}\n{\"op\":\"-D\",\"row\":{\"a\":null}}\n");
    }
}
