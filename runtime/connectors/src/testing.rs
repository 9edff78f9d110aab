//! What tests of this room share: tables, and a world whose clock stands still until somebody sleeps.

use crate::{ReaderContext, Source, SourceEvent, SourceReader, SplitState, WriterContext};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use weir_types::{
    BoxFuture, Clock, ColumnKind, OperatorMetrics, RandomSource, RuntimeEnv, SourceSpec, Spawner, SqlType,
    SubtaskIndex, TableColumn, TableDescriptor,
};

/// 2026-01-01T00:00:00Z
pub(crate) const START_MS: i64 = 1_767_225_600_000;

/// Time that moves only when somebody sleeps, and then at once.
#[derive(Default)]
pub(crate) struct SteppedClock {
    elapsed: Mutex<Duration>,
}

impl Clock for SteppedClock {
    fn now_ms(&self) -> i64 {
        START_MS + self.elapsed.lock().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        *self.elapsed.lock() += duration;
        Box::pin(std::future::ready(()))
    }
}

/// A clock that somebody else moves: sleeping never ends by itself.
#[derive(Default)]
pub(crate) struct HandClock {
    pub now: Mutex<Duration>,
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.now.lock().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        *self.now.lock()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        match duration.is_zero() {
            true => Box::pin(std::future::ready(())),
            false => Box::pin(std::future::pending()),
        }
    }
}

/// Real time, for tests that talk to a socket.
struct WallClock(tokio::time::Instant);

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        START_MS + self.0.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "the clock of a test is where time comes from")]
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl RandomSource for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

struct NoSpawner;

impl Spawner for NoSpawner {
    fn spawn(&self, name: &str, _: BoxFuture<()>) {
        panic!("connectors start no tasks: {name}");
    }
}

pub(crate) fn env_with(clock: Arc<dyn Clock>) -> RuntimeEnv {
    RuntimeEnv { clock, random: Arc::new(Counter::default()), spawner: Arc::new(NoSpawner) }
}

pub(crate) fn env() -> RuntimeEnv {
    env_with(Arc::new(SteppedClock::default()))
}

pub(crate) fn wall_env() -> RuntimeEnv {
    env_with(Arc::new(WallClock(tokio::time::Instant::now())))
}

/// A table of nullable physical columns.
pub(crate) fn table(name: &str, columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> TableDescriptor {
    TableDescriptor {
        name: name.into(),
        columns: columns.iter().map(|(name, sql_type)| column(name, sql_type)).collect(),
        options: options
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect::<BTreeMap<_, _>>(),
        primary_key: Vec::new(),
        partition_keys: Vec::new(),
        watermark: None,
        comment: None,
    }
}

pub(crate) fn column(name: &str, sql_type: &SqlType) -> TableColumn {
    TableColumn {
        name: name.into(),
        sql_type: sql_type.clone(),
        nullable: true,
        kind: ColumnKind::Physical,
        comment: None,
    }
}

/// Reads all columns.
pub(crate) fn scan(table: TableDescriptor) -> SourceSpec {
    let projection = (0..table.columns.len()).collect();
    SourceSpec { table: Arc::new(table), projection, limit: None }
}

pub(crate) fn reader_context(batch_rows: usize) -> ReaderContext {
    ReaderContext {
        subtask: SubtaskIndex(0),
        parallelism: 1,
        batch_rows,
        batch_timeout_ms: 100,
        env: env(),
        metrics: Arc::new(OperatorMetrics::default()),
    }
}

pub(crate) fn writer_context() -> WriterContext {
    WriterContext {
        job_id: "job".into(),
        subtask: SubtaskIndex(0),
        parallelism: 1,
        env: env(),
        metrics: Arc::new(OperatorMetrics::default()),
    }
}

/// Runs a future of this room to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = tokio::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("a test waits for ever") })
}

/// Rows of a split with its name.
pub(crate) type SplitRows = (String, RecordBatch);

/// Reads to the end, at most `max_batches` batches.
pub(crate) async fn drain(reader: &mut dyn SourceReader, max_batches: usize) -> Vec<SplitRows> {
    let mut batches = Vec::new();
    while batches.len() < max_batches {
        match reader.next().await.unwrap() {
            SourceEvent::Rows { split, batch } => {
                assert!(!batch.is_empty(), "a batch is never empty");
                batches.push((split.0.to_string(), batch.rows().clone()));
            }
            SourceEvent::SplitFinished(_) => {}
            SourceEvent::EndOfInput => break,
        }
    }
    batches
}

pub(crate) async fn initial_splits(source: &dyn Source, parallelism: u32) -> Vec<SplitState> {
    let splits = source.splits(parallelism).await.unwrap();
    splits.into_iter().map(|split| SplitState { split, position: None }).collect()
}

/// All rows of a source, read by one reader.
pub(crate) fn read_all(source: &dyn Source, batch_rows: usize) -> RecordBatch {
    block_on(async {
        let splits = initial_splits(source, 1).await;
        let mut reader = source.reader(reader_context(batch_rows), splits).await.unwrap();
        concat(&drain(reader.as_mut(), usize::MAX).await)
    })
}

pub(crate) fn concat(batches: &[SplitRows]) -> RecordBatch {
    let Some((_, first)) = batches.first() else {
        return RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
    };
    concat_batches(&first.schema(), batches.iter().map(|(_, rows)| rows)).unwrap()
}

/// After a restart from any position, the rest comes out exactly: reads everything in one go, then again with a
/// restart after each batch.
pub(crate) fn assert_restarts_exactly(source: &dyn Source, batch_rows: usize) {
    block_on(async {
        let splits = initial_splits(source, 1).await;
        let mut reader = source.reader(reader_context(batch_rows), splits.clone()).await.unwrap();
        let whole = concat(&drain(reader.as_mut(), usize::MAX).await);
        let mut states = splits;
        let mut pieces = Vec::new();
        loop {
            let mut reader = source.reader(reader_context(batch_rows), states).await.unwrap();
            let piece = drain(reader.as_mut(), 1).await;
            states = reader.snapshot();
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!(concat(&pieces), whole);
    });
}
