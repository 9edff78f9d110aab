use super::*;
use crate::testing::{SteppedClock, block_on, drain, env_with, initial_splits, reader_context};
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{Field, Int64Type, Schema};
use weir_types::Clock;

/// Rows that are their own numbers.
struct Numbers {
    rows: Option<u64>,
    rate: Option<Rate>,
}

impl RowGenerator for Numbers {
    fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn rate(&self) -> Option<Rate> {
        self.rate
    }

    fn generate(
        &self,
        first: u64,
        step: u64,
        count: usize,
        _: &RuntimeEnv,
    ) -> Result<RecordBatch, ConnectorError> {
        let numbers = (0..count as u64).map(|k| (first + k * step) as i64);
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let array = Int64Array::from_iter_values(numbers);
        Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(array)]).unwrap())
    }
}

fn source(rows: Option<u64>, rate: Option<Rate>) -> GeneratorSource {
    GeneratorSource { table: "t".into(), generator: Arc::new(Numbers { rows, rate }) }
}

fn numbers(batches: &[(String, RecordBatch)]) -> Vec<i64> {
    batches
        .iter()
        .flat_map(|(_, rows)| rows.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

#[test]
fn shares_are_disjoint_and_complete() {
    block_on(async {
        for rows in [0, 1, 2, 7, 100] {
            let source = source(Some(rows), None);
            let mut all = Vec::new();
            for state in initial_splits(&source, 3).await {
                let mut reader = source.reader(reader_context(8), vec![state]).await.unwrap();
                all.extend(numbers(&drain(reader.as_mut(), usize::MAX).await));
            }
            all.sort_unstable();
            assert_eq!(all, (0..rows as i64).collect::<Vec<_>>());
        }
    });
}

/// A reader that got several shares (after a restart with fewer subtasks) keeps them in step.
#[test]
fn shares_of_one_reader_advance_together() {
    block_on(async {
        let source = source(Some(1000), None);
        let splits = initial_splits(&source, 4).await;
        let mut reader = source.reader(reader_context(10), splits).await.unwrap();
        let seen = numbers(&drain(reader.as_mut(), usize::MAX).await);
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    });
}

/// They do so at a rate, too, and however long the reader has not been asked.
#[test]
fn shares_of_one_reader_advance_together_at_a_rate() {
    let clock = Arc::new(SteppedClock::default());
    let env = env_with(Arc::clone(&clock) as _);
    block_on(async {
        let source = source(Some(20_000), Some(Rate { rows: 10_000, seconds: 1 }));
        let splits = initial_splits(&source, 4).await;
        let context = ReaderContext { env, ..reader_context(8192) };
        let mut reader = source.reader(context, splits).await.unwrap();
        let (mut seen, mut slept) = (0, false);
        loop {
            let rows = match reader.next().await.unwrap() {
                SourceEvent::Rows { batch, .. } => batch,
                SourceEvent::SplitFinished(_) => continue,
                SourceEvent::EndOfInput => break,
            };
            for number in rows.rows().column(0).as_primitive::<Int64Type>().values() {
                assert_eq!(*number, seen);
                seen += 1;
            }
            if seen > 64 && !std::mem::replace(&mut slept, true) {
                clock.sleep(Duration::from_millis(700)).await;
            }
        }
        assert_eq!(seen, 20_000);
        assert!(clock.monotonic() < Duration::from_millis(2200), "{:?}", clock.monotonic());
    });
}

#[test]
fn a_snapshot_resumes_after_the_last_batch() {
    block_on(async {
        let source = source(Some(100), None);
        let splits = initial_splits(&source, 3).await;
        let mut reader = source.reader(reader_context(7), splits).await.unwrap();
        let mut all = numbers(&drain(reader.as_mut(), 5).await);
        let states = reader.snapshot();
        assert_eq!(states[0].position.as_deref(), Some("1:10"));
        let mut reader = source.reader(reader_context(7), states).await.unwrap();
        all.extend(numbers(&drain(reader.as_mut(), usize::MAX).await));
        assert!(reader.snapshot().is_empty(), "finished splits are left out");
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn foreign_positions_are_refused() {
    for (split, position) in [("part-0.json", None), ("share-2-of-2", None), ("share-0-of-1", Some("2:5"))] {
        let state = SplitState { split: SplitId::new(split), position: position.map(String::from) };
        let error = block_on(source(None, None).reader(reader_context(1), vec![state])).err().unwrap();
        assert!(matches!(&error, ConnectorError::Record(message) if message.contains(split)), "{error}");
    }
}

/// 5 rows a second: one at once, then one each 200 ms, and each in a batch of its own.
#[test]
fn a_slow_rate_gives_single_rows_in_time() {
    block_on(async {
        let clock = Arc::new(SteppedClock::default());
        let source = source(None, Some(Rate { rows: 5, seconds: 1 }));
        let splits = initial_splits(&source, 1).await;
        let context = ReaderContext { env: env_with(Arc::clone(&clock) as _), ..reader_context(8192) };
        let mut reader = source.reader(context, splits).await.unwrap();
        for row in 0..5 {
            assert_eq!(numbers(&drain(reader.as_mut(), 1).await), [row]);
            assert_eq!(clock.monotonic().as_millis(), 200 * row as u128);
        }
    });
}

/// 100,000 rows a second come in batches of a batch time, not one by one; two subtasks share the rate.
#[test]
fn a_fast_rate_gathers_rows_and_is_shared() {
    block_on(async {
        let clock = Arc::new(SteppedClock::default());
        let source = source(None, Some(Rate { rows: 10_000, seconds: 1 }));
        let splits = initial_splits(&source, 2).await;
        let context = ReaderContext { env: env_with(Arc::clone(&clock) as _), ..reader_context(8192) };
        let mut reader = source.reader(context, splits[..1].to_vec()).await.unwrap();
        let batches = drain(reader.as_mut(), 11).await;
        assert_eq!(batches[0].1.num_rows(), 1);
        assert_eq!(batches[1].1.num_rows(), 500);
        assert_eq!(numbers(&batches).len(), 5_001);
        assert_eq!(clock.monotonic().as_millis(), 1000);
    });
}

/// Nothing waits for rows that were asked for faster than they can be made.
#[test]
fn a_huge_rate_gives_full_batches() {
    block_on(async {
        let source = source(Some(100_000), Some(Rate { rows: 2_000_000_000, seconds: 1 }));
        let splits = initial_splits(&source, 1).await;
        let mut reader = source.reader(reader_context(8192), splits).await.unwrap();
        let batches = drain(reader.as_mut(), usize::MAX).await;
        assert!(batches.len() <= 15, "{} batches", batches.len());
    });
}
