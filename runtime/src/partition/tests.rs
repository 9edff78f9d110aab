use super::*;
use crate::exchange::{Gate, GateReader};
use crate::simulation::Simulation;
use arrow::array::AsArray;
use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{Field, Int64Type};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use weir_types::{Watermark, key_hash};

fn schema() -> Schema {
    Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("s", DataType::Utf8, true)])
}

fn batch(keys: std::ops::Range<i64>, kinds: Option<RowKind>) -> ChangelogBatch {
    let rows = keys.end - keys.start;
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(keys.clone().map(|key| format!("text {key}"))));
    let keys: ArrayRef = Arc::new(Int64Array::from_iter(keys.map(|key| (key % 7 != 0).then_some(key))));
    let rows_of = RecordBatch::try_new(Arc::new(schema()), vec![keys, texts]).expect("two columns");
    ChangelogBatch::new(rows_of, kinds.map(|kind| vec![kind; rows as usize].into()))
}

fn writer(targets: usize, batch_rows: usize, routing: Routing) -> (ExchangeWriter, Vec<GateReader>) {
    let gates: Vec<Arc<Gate>> = (0..targets).map(|_| Arc::new(Gate::new(1 << 30, Arc::default()))).collect();
    let senders = gates.iter().map(|gate| Gate::connect(gate, Arc::default())).collect();
    (ExchangeWriter::new(senders, routing, batch_rows), gates.into_iter().map(GateReader::new).collect())
}

fn hash(targets: u32) -> Routing {
    Routing::Hash(HashRouting::new(&[0], &schema(), 128, targets).expect("a key of BIGINT"))
}

/// Everything up to the end of input.
async fn drain(reader: &mut GateReader) -> Vec<StreamElement> {
    let mut elements = Vec::new();
    loop {
        match poll_fn(|cx| reader.poll_next(cx)).await.1 {
            StreamElement::EndOfInput => return elements,
            element => elements.push(element),
        }
    }
}

fn batches(elements: &[StreamElement]) -> Vec<&ChangelogBatch> {
    let mut batches = Vec::new();
    for element in elements {
        if let StreamElement::Batch(batch) = element {
            batches.push(batch);
        }
    }
    batches
}

#[test]
fn rows_go_to_the_subtask_that_owns_their_key_group_in_order() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (mut writer, mut readers) = writer(4, 64, hash(4));
        for start in 0..50 {
            let kind = (start % 2 == 1).then_some(RowKind::Delete);
            writer.send(StreamElement::Batch(batch(start * 40..start * 40 + 40, kind))).await.expect("sent");
        }
        writer.send(StreamElement::EndOfInput).await.expect("sent");
        let mut seen = BTreeMap::new();
        for (target, reader) in readers.iter_mut().enumerate() {
            let mut last = -1;
            let elements = drain(reader).await;
            for batch in batches(&elements) {
                for row in 0..batch.num_rows() {
                    let text = batch.rows().column(1).as_string::<i32>().value(row);
                    let number: i64 = text["text ".len()..].parse().expect("a number");
                    assert!(number > last, "order within a target");
                    last = number;
                    let expected = if (number / 40) % 2 == 1 { RowKind::Delete } else { RowKind::Insert };
                    assert_eq!(batch.kind(row), expected);
                    let keys = batch.rows().column(0);
                    let group = key_group_of(key_hash(&canonical(keys, row)), 128);
                    assert_eq!(KeyGroupRange::subtask_of(group, 128, 4) as usize, target);
                    *seen.entry(number).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(seen.len(), 2000);
        assert!(seen.values().all(|count| *count == 1));
    });
}

/// The documented bytes of a BIGINT key.
fn canonical(keys: &ArrayRef, row: usize) -> Vec<u8> {
    use arrow::array::Array;
    if keys.is_null(row) {
        return vec![0; 9];
    }
    let value = keys.as_primitive::<Int64Type>().value(row);
    let mut bytes = vec![1];
    bytes.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
    bytes
}

#[test]
fn small_slices_wait_for_others_but_not_past_a_watermark() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (mut writer, mut readers) = writer(2, 8192, hash(2));
        for start in 0..3 {
            writer
                .send(StreamElement::Batch(batch(start * 10 + 1..start * 10 + 7, None)))
                .await
                .expect("sent");
        }
        assert!(writer.holds_rows(), "18 rows are less than a slice");
        writer.send(StreamElement::Watermark(Watermark(5))).await.expect("sent");
        assert!(!writer.holds_rows());
        writer.send(StreamElement::EndOfInput).await.expect("sent");
        let mut rows = 0;
        for reader in &mut readers {
            let elements = drain(reader).await;
            assert!(matches!(elements.last(), Some(StreamElement::Watermark(Watermark(5)))));
            assert_eq!(elements.len(), 2, "one batch of all slices, then the watermark");
            rows += batches(&elements)[0].num_rows();
        }
        assert_eq!(rows, 18);
    });
}

#[test]
fn a_batch_of_one_target_is_not_copied() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (mut writer, mut readers) = writer(4, 8, hash(4));
        let same = batch(5..6, None).rows().clone();
        let rows = arrow::compute::take_record_batch(&same, &UInt32Array::from(vec![0; 100])).expect("taken");
        let pointer = rows.column(0).to_data().buffers()[0].as_ptr() as usize;
        writer.send(StreamElement::Batch(ChangelogBatch::insert_only(rows))).await.expect("sent");
        writer.send(StreamElement::EndOfInput).await.expect("sent");
        for reader in &mut readers {
            for batch in batches(&drain(reader).await) {
                assert_eq!(batch.rows().column(0).to_data().buffers()[0].as_ptr() as usize, pointer);
            }
        }
    });
}

#[test]
fn other_routings() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        for (routing, expected) in
            [(Routing::One, [4, 0]), (Routing::RoundRobin { next: 1 }, [2, 2]), (Routing::Broadcast, [4, 4])]
        {
            let (mut writer, mut readers) = writer(2, 8, routing);
            for _ in 0..4 {
                writer.send(StreamElement::Batch(batch(0..3, None))).await.expect("sent");
            }
            writer.send(StreamElement::EndOfInput).await.expect("sent");
            for (reader, expected) in readers.iter_mut().zip(expected) {
                assert_eq!(batches(&drain(reader).await).len(), expected);
            }
        }
    });
}
