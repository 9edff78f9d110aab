//! Values as people read them.

use arrow::array::RecordBatch;
use weir_types::text::{TextStyle, TimeZone, ValueText};

/// How NULL is shown.
const NULL: &str = "NULL";

/// The cells of the first `limit` rows, as `CAST(.. AS STRING)` writes them in UTC.
pub(super) fn cells(batch: &RecordBatch, limit: usize) -> Vec<Vec<String>> {
    let schema = batch.schema();
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Vec<Option<ValueText<'_>>> = columns
        .map(|(column, field)| ValueText::new(column, field, TextStyle::Cast(TimeZone::UTC)).ok())
        .collect();
    let mut buffer = Vec::new();
    let mut text = |column: &Option<ValueText<'_>>, row: usize| match column {
        Some(column) if column.is_null(row) => NULL.to_string(),
        Some(column) => {
            buffer.clear();
            column.append(row, &mut buffer);
            String::from_utf8_lossy(&buffer).into_owned()
        }
        None => "?".to_string(),
    };
    (0..batch.num_rows().min(limit))
        .map(|row| columns.iter().map(|column| text(column, row)).collect())
        .collect()
}

/// `2024-01-01 00:00:10.000`
pub(super) fn timestamp(ms: i64) -> String {
    use arrow::datatypes::TimeUnit;
    use weir_types::text::{LocalDateTime, datetime};
    let mut text = Vec::new();
    datetime::append_timestamp(&mut text, LocalDateTime::of_units(ms, TimeUnit::Millisecond), b' ', 3);
    String::from_utf8_lossy(&text).into_owned()
}
