//! Event scripts: small tables of changes, watermarks and clock times in, and what an operator emits for
//! them.
//!
//! A script in `tests-data/` has the input's columns, the events, a line `----` and what is expected:
//!
//! ```text
//! input k STRING, v BIGINT
//! +I a 5
//! watermark 1000
//! time 250
//! recover
//! ----
//! +I a 5
//! ```
//!
//! `WEIR_UPDATE_EXPECTED=1` rewrites what is expected. Each script runs with several sizes of batches, and
//! all must give the same rows in the same order.

use crate::{Operator, OperatorContext, OperatorError, Output, OutputElement, Progress};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use weir_state::{KeyedStateBackend, OperatorStateBackend, RestoredSnapshot, RocksDb, SnapshotMode};
use weir_types::{
    BoxFuture, ChangelogBatch, CheckpointId, Clock, KeyEncoder, KeyGroupRange, OperatorMetrics,
    RocksDbSettings, RowKind, RowKinds, SqlType, SubtaskIndex, Watermark,
};

/// A clock that stands still until it is set.
#[derive(Default)]
pub(crate) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms().unsigned_abs())
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }
}

/// The type that a script calls `name`; parameters as in SQL, without spaces.
pub(crate) fn sql_type(name: &str) -> SqlType {
    let precision = |text: &str| text.trim_end_matches(')').parse::<u8>().unwrap();
    match name.split_once('(') {
        Some(("TIMESTAMP", digits)) => SqlType::Timestamp(precision(digits)),
        Some(("TIMESTAMP_LTZ", digits)) => SqlType::TimestampLtz(precision(digits)),
        Some(("DECIMAL", digits)) => {
            let (digits, scale) = digits.split_once(',').unwrap();
            SqlType::Decimal { precision: precision(digits), scale: precision(scale) as i8 }
        }
        Some(other) => panic!("type {other:?} in a script"),
        None => match name {
            "STRING" => SqlType::STRING,
            "BYTES" => SqlType::BYTES,
            "BOOLEAN" => SqlType::Boolean,
            "TINYINT" => SqlType::TinyInt,
            "SMALLINT" => SqlType::SmallInt,
            "INT" => SqlType::Int,
            "BIGINT" => SqlType::BigInt,
            "FLOAT" => SqlType::Float,
            "DOUBLE" => SqlType::Double,
            "DATE" => SqlType::Date,
            other => panic!("type {other} in a script"),
        },
    }
}

/// `k STRING, v BIGINT NOT_NULL` as a schema.
pub(crate) fn schema(columns: &str) -> SchemaRef {
    let fields: Vec<Field> = columns
        .split(", ")
        .map(|column| {
            let mut words = column.split_whitespace();
            let (name, data_type) = (words.next().unwrap(), words.next().unwrap());
            sql_type(data_type).to_field(name, words.next().is_none())
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Rows of text, `NULL` for NULL, as a batch. A timestamp that is a number is milliseconds.
pub(crate) fn batch(schema: &SchemaRef, rows: &[(RowKind, Vec<&str>)]) -> ChangelogBatch {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| {
            let texts: StringArray =
                rows.iter().map(|(_, values)| Some(values[column]).filter(|text| *text != "NULL")).collect();
            let options = CastOptions { safe: false, format_options: FormatOptions::default() };
            let numbers = cast_with_options(&texts, &arrow::datatypes::DataType::Int64, &options);
            match (field.data_type(), numbers) {
                (arrow::datatypes::DataType::Timestamp(_, _), Ok(numbers)) => {
                    let millis = SqlType::Timestamp(3).data_type();
                    let millis = cast_with_options(&numbers, &millis, &options).unwrap();
                    cast_with_options(&millis, field.data_type(), &options).unwrap()
                }
                (data_type, _) => cast_with_options(&texts, data_type, &options).unwrap(),
            }
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options).unwrap();
    let kinds: RowKinds = rows.iter().map(|(kind, _)| *kind).collect();
    let has_kinds = kinds.iter().any(|kind| kind != RowKind::Insert);
    ChangelogBatch::new(batch, has_kinds.then_some(kinds))
}

/// `+I a 5` for each row.
pub(crate) fn lines(batch: &ChangelogBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL").with_timestamp_format(Some("%H:%M:%S%.3f"));
    let formatters: Vec<ArrayFormatter<'_>> = batch
        .rows()
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let values: Vec<String> = formatters.iter().map(|column| column.value(row).to_string()).collect();
            format!("{} {}", batch.kind(row), values.join(" "))
        })
        .collect()
}

/// An operator with all that a driver gives it.
pub(crate) struct Harness {
    make: Rc<dyn Fn() -> Box<dyn Operator>>,
    operator: Box<dyn Operator>,
    pub(crate) context: OperatorContext,
    clock: Arc<ManualClock>,
    pub(crate) output: Vec<OutputElement>,
    checkpoints: u64,
}

const GROUPS: u32 = 128;

/// Where the state of harnesses is that are made on this thread: in memory, or on disk with so many bytes for rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Backing {
    Heap,
    Disk(u64),
}

impl Backing {
    /// Runs `test` with the state of its harnesses there.
    pub(crate) fn with<T>(self, test: impl FnOnce() -> T) -> T {
        let before = BACKING.replace(self);
        let result = test();
        BACKING.set(before);
        result
    }

    fn backend(self, range: KeyGroupRange) -> KeyedStateBackend {
        static UNIQUE: AtomicU64 = AtomicU64::new(1);
        match self {
            Backing::Heap => KeyedStateBackend::new(range, GROUPS).with_scratch_directory(work_directory()),
            Backing::Disk(row_cache_bytes) => {
                let settings = RocksDbSettings {
                    managed: false,
                    row_cache_bytes,
                    write_buffer_bytes: 64 << 10,
                    threads: 1,
                    ..RocksDbSettings::default()
                };
                let shared = RocksDb::open(&settings, &work_directory()).unwrap();
                KeyedStateBackend::on_disk(range, GROUPS, &shared, UNIQUE.fetch_add(1, Ordering::Relaxed))
            }
        }
    }
}

thread_local! {
    static BACKING: Cell<Backing> = const { Cell::new(Backing::Heap) };
}

/// In memory where that can be: disks take long to be sure of what they hold.
fn work_directory() -> PathBuf {
    let in_memory = PathBuf::from("/dev/shm");
    if in_memory.is_dir() { in_memory } else { std::env::temp_dir() }
}

fn context(clock: Arc<ManualClock>, batch_rows: usize, range: KeyGroupRange) -> OperatorContext {
    OperatorContext {
        subtask: SubtaskIndex(0),
        parallelism: 1,
        batch_rows,
        clock,
        metrics: Arc::new(OperatorMetrics::default()),
        keyed: BACKING.get().backend(range),
        operator_state: OperatorStateBackend::new(),
    }
}

/// What a checkpoint holds of one subtask.
#[derive(Clone)]
pub(crate) struct Saved {
    keyed: RestoredSnapshot,
    operator: Bytes,
}

/// True if subtask `index` of `parallelism` gets the rows of the STRING key `key`.
pub(crate) fn owns(key: &str, (index, parallelism): (u32, u32)) -> bool {
    let range = KeyGroupRange::of_subtask(GROUPS, parallelism, index);
    let column: ArrayRef = Arc::new(StringArray::from(vec![(key != "NULL").then_some(key)]));
    let encoder = KeyEncoder::new(&[column.data_type().clone()]).unwrap();
    let keys = encoder.encode(&[column], 1).unwrap();
    range.contains(keys.key_groups(GROUPS)[0])
}

impl Harness {
    pub(crate) fn new(batch_rows: usize, make: impl Fn() -> Box<dyn Operator> + 'static) -> Self {
        Harness::restored(batch_rows, make, &[], (0, 1))
    }

    /// Subtask `index` of `parallelism`, restored from what the subtasks of a checkpoint saved.
    pub(crate) fn restored(
        batch_rows: usize,
        make: impl Fn() -> Box<dyn Operator> + 'static,
        saved: &[Saved],
        (index, parallelism): (u32, u32),
    ) -> Self {
        let clock = Arc::new(ManualClock::default());
        let range = KeyGroupRange::of_subtask(GROUPS, parallelism, index);
        let mut context = context(clock.clone(), batch_rows, range);
        if !saved.is_empty() {
            context.keyed.restore(saved.iter().map(|saved| saved.keyed.clone()).collect()).unwrap();
            let operator: Vec<Bytes> = saved.iter().map(|saved| saved.operator.clone()).collect();
            context.operator_state =
                OperatorStateBackend::restore(&operator, index, parallelism, "a test").unwrap();
        }
        let mut operator = make();
        context.before_open();
        operator.open(&mut context).unwrap();
        assert_eq!(context.keyed.unclaimed_states().count(), 0);
        Harness { make: Rc::new(make), operator, context, clock, output: Vec::new(), checkpoints: 0 }
    }

    pub(crate) fn snapshot(&mut self) -> Saved {
        self.call(|operator, context, _| operator.snapshot(context));
        self.checkpoints += 1;
        let snapshot = self.context.keyed.snapshot(CheckpointId(self.checkpoints), SnapshotMode::Full);
        Saved {
            keyed: snapshot.fetched(&work_directory(), "a test").unwrap(),
            operator: self.context.operator_state.snapshot(),
        }
    }

    /// Goes on with a new operator from a snapshot of this one.
    pub(crate) fn recover(&mut self) {
        let saved = self.snapshot();
        let make = self.make.clone();
        let mut new = Harness::restored(self.context.batch_rows, move || make(), &[saved], (0, 1));
        new.time(self.clock.now_ms());
        new.output.splice(0..0, self.output.drain(..));
        *self = new;
    }

    /// Gives a watermark and asks for at most `steps` further parts of what follows; true if that is all.
    pub(crate) fn watermark_in_part(&mut self, watermark: Watermark, steps: usize) -> bool {
        let mut progress =
            self.call(|operator, context, output| operator.on_watermark(watermark, context, output));
        for _ in 0..steps {
            if progress == Progress::More {
                progress = self.call(|operator, context, output| operator.resume(context, output));
            }
        }
        progress == Progress::Done
    }

    /// Calls the operator as a driver does.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Operator, &mut OperatorContext, &mut Output) -> Result<T, OperatorError>,
    ) -> T {
        let mut output = Output::default();
        self.context.before_call();
        let result = call(&mut *self.operator, &mut self.context, &mut output).unwrap();
        self.context.after_call().unwrap();
        self.output.append(&mut output.elements);
        result
    }

    fn finish(&mut self, mut progress: Progress) {
        while progress == Progress::More {
            progress = self.call(|operator, context, output| operator.resume(context, output));
        }
    }

    pub(crate) fn batch(&mut self, batch: ChangelogBatch) {
        self.batch_of_input(0, batch);
    }

    pub(crate) fn batch_of_input(&mut self, input: usize, batch: ChangelogBatch) {
        self.call(|operator, context, output| operator.on_batch(input, batch, context, output));
    }

    pub(crate) fn watermark(&mut self, watermark: Watermark) {
        let progress =
            self.call(|operator, context, output| operator.on_watermark(watermark, context, output));
        self.finish(progress);
    }

    /// The error that a watermark ends with.
    pub(crate) fn watermark_error(&mut self, watermark: Watermark) -> String {
        let mut output = Output::default();
        let mut progress = self.operator.on_watermark(watermark, &mut self.context, &mut output);
        while let Ok(Progress::More) = progress {
            progress = self.operator.resume(&mut self.context, &mut output);
        }
        progress.expect_err("no error").to_string()
    }

    /// Sets the clock, and runs the timers that are due.
    pub(crate) fn time(&mut self, now_ms: i64) {
        self.clock.0.store(now_ms, Ordering::Relaxed);
        self.context.keyed.set_time(now_ms);
        if self.operator.next_processing_timer(&self.context).is_some_and(|timer| timer <= now_ms) {
            let progress =
                self.call(|operator, context, output| operator.on_processing_time(now_ms, context, output));
            self.finish(progress);
        }
    }

    pub(crate) fn is_satisfied(&self) -> bool {
        self.operator.is_satisfied()
    }

    pub(crate) fn end(&mut self) {
        let progress = self.call(|operator, context, output| operator.on_end_of_input(context, output));
        self.finish(progress);
    }

    /// What was emitted so far, as lines.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for element in self.output.drain(..) {
            match element {
                OutputElement::Batch(batch) => all.extend(lines(&batch)),
                OutputElement::Watermark(watermark) => all.push(format!("watermark {watermark}")),
                OutputElement::Idle(idle) => all.push(format!("idle {idle}")),
            }
        }
        all
    }
}

/// Runs `tests-data/<name>.txt` with the operator that `make` makes for its input's schema.
pub(crate) fn run_script(name: &str, make: impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone + 'static) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests-data").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (events, expected) = text.split_once("----\n").unwrap_or((&text, ""));
    if std::env::var_os("WEIR_UPDATE_EXPECTED").is_some() {
        let actual = run_events(events, usize::MAX, make.clone());
        std::fs::write(&path, format!("{events}----\n{actual}")).unwrap();
        return;
    }
    let recovering = events.replace("\nwatermark", "\nrecover\nwatermark");
    for batch_rows in [usize::MAX, 1, 2, 3] {
        let actual = run_events(events, batch_rows, make.clone());
        assert_eq!(actual, expected, "{name} with batches of {batch_rows} rows");
        let actual = run_events(&recovering, batch_rows, make.clone());
        assert_eq!(
            actual, expected,
            "{name} with batches of {batch_rows} rows, recovering before each watermark"
        );
    }
    for (backing, batch_rows) in
        [(Backing::Disk(0), 2), (Backing::Disk(0), usize::MAX), (Backing::Disk(30_000), 3)]
    {
        for events in [events, recovering.as_str()] {
            let actual = backing.with(|| run_events(events, batch_rows, make.clone()));
            let recovering = if events == recovering { ", recovering" } else { "" };
            assert_eq!(
                in_any_order(&actual),
                in_any_order(expected),
                "{name} with batches of {batch_rows} rows on {backing:?}{recovering}"
            );
        }
    }
}

/// Rows between two watermarks sorted: entries of a window come in the order of their keys from a disk.
fn in_any_order(lines: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = lines.lines().collect();
    let parts = lines.split_inclusive(|line| line.starts_with("watermark"));
    let sorted = |part: &[_]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    parts.map(sorted).collect()
}

fn run_events(
    events: &str,
    batch_rows: usize,
    make: impl Fn(&SchemaRef) -> Box<dyn Operator> + 'static,
) -> String {
    let mut events = events.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let input =
        schema(events.next().and_then(|line| line.strip_prefix("input ")).expect("a line `input ..`"));
    let for_operator = input.clone();
    let mut harness = Harness::new(batch_rows.min(8192), move || make(&for_operator));
    let mut rows: Vec<(RowKind, Vec<&str>)> = Vec::new();
    for event in events {
        let mut words = event.split_whitespace();
        let first = words.next().unwrap_or("");
        let kinds = [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];
        if let Some(kind) = kinds.into_iter().find(|kind| kind.short() == first) {
            rows.push((kind, words.collect()));
            if rows.len() >= batch_rows {
                harness.batch(batch(&input, &std::mem::take(&mut rows)));
            }
            continue;
        }
        if !rows.is_empty() {
            harness.batch(batch(&input, &std::mem::take(&mut rows)));
        }
        match (first, words.next()) {
            ("watermark", Some("max")) => harness.watermark(Watermark::MAX),
            ("watermark", Some(time)) => harness.watermark(Watermark(time.parse().unwrap())),
            ("time", Some(time)) => harness.time(time.parse().unwrap()),
            ("end", None) => harness.end(),
            ("recover", None) => harness.recover(),
            _ => panic!("event {event:?}"),
        }
    }
    if !rows.is_empty() {
        harness.batch(batch(&input, &rows));
    }
    harness.lines().into_iter().map(|line| line + "\n").collect()
}
