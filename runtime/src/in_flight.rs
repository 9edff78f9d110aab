//! Rows that a barrier overtook: as bytes in a snapshot, and back on their way after a restore.

use crate::partition::HashRouting;
use crate::plan::ExchangeKind;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt8Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use std::sync::Arc;
use weir_checkpoint::CheckpointError;
use weir_types::{ChangelogBatch, RowKind, RowKinds};

/// The column that holds the row kinds, behind the others.
const KIND_COLUMN: &str = "weir.kind";

/// Batches of one input as an Arrow stream; each row with its kind.
pub(crate) fn encode(batches: &[ChangelogBatch]) -> Result<Bytes, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Bytes::new()) };
    let schema = with_kind(&first.schema());
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    for batch in batches {
        let kinds = (0..batch.num_rows()).map(|row| batch.kind(row) as u8);
        let kinds: ArrayRef = Arc::new(UInt8Array::from_iter_values(kinds));
        let columns = batch.rows().columns().iter().cloned().chain([kinds]).collect();
        writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
    }
    writer.finish()?;
    Ok(Bytes::from(writer.into_inner()?))
}

fn with_kind(schema: &Schema) -> SchemaRef {
    let kind = Arc::new(Field::new(KIND_COLUMN, DataType::UInt8, false));
    let fields = schema.fields().iter().cloned().chain([kind]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What [`encode`] wrote, for an input of `schema`; `file` names the place it comes from in errors.
pub(crate) fn decode(
    bytes: &Bytes,
    schema: &SchemaRef,
    file: &str,
) -> Result<Vec<ChangelogBatch>, CheckpointError> {
    let corrupt = |what: String| CheckpointError::Corrupt { file: file.to_string(), offset: 0, what };
    let broken = |error: ArrowError| corrupt(format!("rows that were on their way: {error}"));
    let expected = with_kind(schema);
    let mut batches = Vec::new();
    for batch in StreamReader::try_new(&bytes[..], None).map_err(broken)? {
        let batch = batch.map_err(broken)?;
        let types = |schema: &Schema| -> Vec<DataType> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        if types(&batch.schema()) != types(&expected) {
            return Err(CheckpointError::Location(format!(
                "cannot restore rows that were on their way from {file}: they were of {:?} and are of {:?}",
                batch.schema().fields(),
                schema.fields()
            )));
        }
        let (columns, kinds) = batch.columns().split_at(schema.fields().len());
        let kinds = kinds[0].as_primitive::<UInt8Type>();
        let kinds: Option<Vec<RowKind>> =
            kinds.values().iter().map(|number| RowKind::from_u8(*number)).collect();
        let kinds = kinds.ok_or_else(|| corrupt("a row of an unknown kind".to_string()))?;
        let rows = RecordBatch::try_new(schema.clone(), columns.to_vec()).map_err(broken)?;
        let inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
        batches.push(if inserts {
            ChangelogBatch::insert_only(rows)
        } else {
            ChangelogBatch::new(rows, Some(RowKinds::from(kinds)))
        });
    }
    Ok(batches)
}

/// Which rows of an input belong to which subtask of its reader.
#[derive(Clone, Debug)]
pub(crate) struct Dealer {
    pub kind: ExchangeKind,
    /// of the rows
    pub schema: SchemaRef,
    pub max_parallelism: u32,
    pub parallelism: u32,
}

impl Dealer {
    /// The rows of `batch` that belong to `subtask`; `place` is its place among all that were on their way.
    pub(crate) fn own(
        &self,
        subtask: u32,
        place: usize,
        batch: ChangelogBatch,
    ) -> Result<Option<ChangelogBatch>, CheckpointError> {
        let fail = |reason: String| CheckpointError::Storage {
            what: "deal out rows that were on their way".to_string(),
            reason,
        };
        let target = match &self.kind {
            ExchangeKind::Hash(columns) => {
                let routing = HashRouting::new(columns, &self.schema, self.max_parallelism, self.parallelism);
                let routing = routing.map_err(|error| fail(error.to_string()))?;
                let targets = routing.targets(&batch).map_err(|error| fail(error.to_string()))?;
                let mine = targets.iter().map(|target| Some(u32::from(*target) == subtask)).collect();
                return only(&batch, &mine).map_err(|error| fail(error.to_string()));
            }
            ExchangeKind::One => 0,
            ExchangeKind::Forward | ExchangeKind::RoundRobin | ExchangeKind::Broadcast => {
                place as u32 % self.parallelism
            }
        };
        Ok((target == subtask).then_some(batch))
    }
}

fn only(batch: &ChangelogBatch, mine: &BooleanArray) -> Result<Option<ChangelogBatch>, ArrowError> {
    if mine.true_count() == 0 {
        return Ok(None);
    }
    let rows = filter_record_batch(batch.rows(), mine)?;
    let kinds = batch.kinds().map(|kinds| -> RowKinds {
        (0..kinds.len()).filter(|row| mine.value(*row)).map(|row| kinds.get(row)).collect()
    });
    Ok(Some(ChangelogBatch::new(rows, kinds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rows, rows_of, schema};

    #[test]
    fn rows_keep_their_kinds_and_order() {
        let kinds = vec![RowKind::UpdateBefore, RowKind::UpdateAfter];
        let changes = ChangelogBatch::new(rows(&[(1, 2), (1, 3)]).rows().clone(), Some(kinds.into()));
        let bytes = encode(&[rows(&[(5, 6)]), changes]).expect("encoded");
        let read = decode(&bytes, &schema(), "f").expect("decoded");
        assert_eq!(read.iter().map(rows_of).collect::<Vec<_>>(), [vec![(5, 6)], vec![(1, 2), (1, 3)]]);
        assert!(read[0].kinds().is_none());
        assert_eq!(read[1].kind(0), RowKind::UpdateBefore);
        let cut = decode(&bytes.slice(..bytes.len() / 2), &schema(), "chk-1/1-0").expect_err("cut");
        assert!(matches!(cut, CheckpointError::Corrupt { file, .. } if file == "chk-1/1-0"));
        assert!(encode(&[]).expect("nothing").is_empty());
    }

    #[test]
    fn every_row_belongs_to_one_subtask() {
        for kind in [ExchangeKind::Hash(vec![0]), ExchangeKind::RoundRobin, ExchangeKind::One] {
            let dealer =
                Dealer { kind: kind.clone(), schema: schema(), max_parallelism: 128, parallelism: 3 };
            let mut all = Vec::new();
            for subtask in 0..3 {
                for place in 0..4 {
                    let batch = rows(&(0..50).map(|key| (key, place as i64)).collect::<Vec<_>>());
                    let own = dealer.own(subtask, place, batch).expect("dealt");
                    all.extend(own.iter().flat_map(rows_of));
                }
            }
            all.sort_unstable();
            let expected: Vec<(i64, i64)> =
                (0..50).flat_map(|key| (0..4).map(move |place| (key, place))).collect();
            assert_eq!(all, expected, "{kind:?}");
        }
    }
}
