//! Lookup joins against a table whose answers come when the test says so.

use super::LookupJoin;
use crate::event_script::{ManualClock, batch, lines, schema};
use crate::{Operator, OperatorContext, Output, OutputElement, Outside, Progress};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion_expr::Operator as Compare;
use datafusion_physical_expr::expressions::{Column, binary, lit};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use weir_state::{KeyedStateBackend, OperatorStateBackend};
use weir_types::{
    BoxFuture, CalcSpec, KeyGroupRange, LookupError, LookupJoinSpec, LookupMode, LookupRetry, LookupRows,
    LookupSource, OperatorMetrics, RowKind, SourceSpec, SubtaskIndex, TableDescriptor, Watermark,
};

/// Key k has rows (k, a) .. for each letter.
#[derive(Default)]
struct Table {
    rows: Mutex<BTreeMap<i64, Vec<String>>>,
    asked: AtomicUsize,
    /// how many of the lookups are answered; `usize::MAX`: all
    answered: Arc<AtomicUsize>,
}

fn found_schema() -> SchemaRef {
    schema("k BIGINT, name STRING")
}

impl Table {
    fn of(rows: &[(i64, &str)]) -> Arc<Table> {
        let table = Table::default();
        table.answer(usize::MAX);
        rows.iter().for_each(|(key, name)| table.add(*key, name));
        Arc::new(table)
    }

    fn add(&self, key: i64, name: &str) {
        self.rows.lock().unwrap().entry(key).or_default().push(name.to_string());
    }

    fn answer(&self, lookups: usize) {
        self.answered.store(lookups, Ordering::Relaxed);
    }
}

impl LookupSource for Table {
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = keys[0].as_primitive::<Int64Type>().clone();
        let (mut places, mut numbers, mut names) = (vec![], vec![], vec![]);
        for (place, key) in keys.iter().enumerate() {
            let Some(key) = key else { continue };
            for name in self.rows.lock().unwrap().get(&key).into_iter().flatten() {
                places.push(place as u32);
                numbers.push(key);
                names.push(name.clone());
            }
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(numbers)), Arc::new(StringArray::from(names))];
        let rows = RecordBatch::try_new(found_schema(), columns).unwrap();
        let answered = self.answered.clone();
        Box::pin(std::future::poll_fn(move |_| {
            if number >= answered.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            Poll::Ready(Ok(LookupRows { keys: places.clone(), rows: rows.clone() }))
        }))
    }
}

fn input() -> SchemaRef {
    schema("id BIGINT, k BIGINT")
}

fn spec(outer: bool, mode: LookupMode) -> LookupJoinSpec {
    let table = TableDescriptor {
        name: "dim".into(),
        columns: vec![],
        options: BTreeMap::new(),
        primary_key: vec![],
        partition_keys: vec![],
        watermark: None,
        comment: None,
    };
    LookupJoinSpec {
        outer,
        source: SourceSpec { table: Arc::new(table), projection: vec![0, 1], limit: None },
        source_schema: found_schema(),
        calcs: vec![],
        left_keys: vec![1],
        right_keys: vec![0],
        condition: None,
        left_columns: vec![0],
        right_columns: vec![1],
        mode,
        retry: None,
    }
}

fn ordered(capacity: usize) -> LookupMode {
    LookupMode::Async { capacity, ordered: true, timeout_ms: 0 }
}

fn unordered(capacity: usize) -> LookupMode {
    LookupMode::Async { capacity, ordered: false, timeout_ms: 0 }
}

struct Driver {
    operator: LookupJoin,
    context: OperatorContext,
    output: Output,
}

impl Driver {
    fn new(spec: &LookupJoinSpec, table: &Arc<Table>) -> Self {
        let mut operator = LookupJoin::new(spec, table.clone(), schema("id BIGINT, name STRING")).unwrap();
        let mut context = OperatorContext {
            subtask: SubtaskIndex(0),
            parallelism: 1,
            batch_rows: 100,
            clock: Arc::new(ManualClock::default()),
            metrics: Arc::new(OperatorMetrics::default()),
            keyed: KeyedStateBackend::new(KeyGroupRange::of_subtask(128, 1, 0), 128),
            operator_state: OperatorStateBackend::new(),
        };
        operator.open(&mut context).unwrap();
        Driver { operator, context, output: Output::default() }
    }

    fn rows(&mut self, rows: &[(RowKind, Vec<&str>)]) {
        let rows = batch(&input(), rows);
        self.operator.on_batch(0, rows, &mut self.context, &mut self.output).unwrap();
    }

    fn inserts(&mut self, rows: &[(&'static str, &'static str)]) {
        let rows: Vec<_> = rows.iter().map(|(id, key)| (RowKind::Insert, vec![*id, *key])).collect();
        self.rows(&rows);
    }

    fn watermark(&mut self, watermark: i64) -> Progress {
        let (operator, context) = (&mut self.operator, &mut self.context);
        operator.on_watermark(Watermark(watermark), context, &mut self.output).unwrap()
    }

    /// Asks whether something has come, and has it emitted.
    fn poll(&mut self) {
        if self.operator.poll_outside(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.operator.on_outside(&mut self.context, &mut self.output).unwrap();
        }
    }

    /// What has been emitted since the last call.
    fn emitted(&mut self) -> Vec<String> {
        let line = |element: OutputElement| match element {
            OutputElement::Batch(batch) => lines(&batch),
            OutputElement::Watermark(watermark) => vec![format!("watermark {}", watermark.0)],
            OutputElement::Idle(idle) => vec![format!("idle {idle}")],
        };
        self.output.elements.drain(..).flat_map(line).collect()
    }
}

#[test]
fn rows_find_none_one_or_several() {
    let table = Table::of(&[(1, "a"), (2, "b"), (1, "c")]);
    let rows = [("10", "1"), ("11", "NULL"), ("12", "3"), ("13", "2"), ("14", "1")];
    for batch_rows in [1, 2, 100] {
        let mut inner = Driver::new(&spec(false, LookupMode::Blocking), &table);
        inner.context.batch_rows = batch_rows;
        inner.inserts(&rows);
        assert_eq!(inner.emitted(), ["+I 10 a", "+I 10 c", "+I 13 b", "+I 14 a", "+I 14 c"]);
        let mut outer = Driver::new(&spec(true, LookupMode::Blocking), &table);
        outer.context.batch_rows = batch_rows;
        outer.inserts(&rows);
        let expected = ["+I 10 a", "+I 10 c", "+I 11 NULL", "+I 12 NULL", "+I 13 b", "+I 14 a", "+I 14 c"];
        assert_eq!(outer.emitted(), expected);
        outer.inserts(&[("15", "2")]);
        assert_eq!(outer.emitted(), ["+I 15 b"]);
        outer.inserts(&[("16", "NULL")]);
        assert_eq!(outer.emitted(), ["+I 16 NULL"]);
    }
}

#[test]
fn rows_keep_their_kinds() {
    let mut driver = Driver::new(&spec(true, LookupMode::Blocking), &Table::of(&[(1, "a"), (1, "b")]));
    let changes = [(RowKind::UpdateBefore, "1"), (RowKind::UpdateAfter, "7"), (RowKind::Delete, "1")];
    let changes: Vec<_> = changes.iter().map(|(kind, key)| (*kind, vec!["1", *key])).collect();
    driver.rows(&changes);
    assert_eq!(driver.emitted(), ["-U 1 a", "-U 1 b", "+U 1 NULL", "-D 1 a", "-D 1 b"]);
}

#[test]
fn filters_of_the_table_and_conditions_of_pairs_decide_what_is_found() {
    let table = Table::of(&[(1, "a"), (1, "b"), (2, "b"), (3, "c")]);
    let is_not = |column: usize, schema: &SchemaRef, name: &str| {
        let column = Arc::new(Column::new("name", column));
        binary(column, Compare::NotEq, lit(name), schema).unwrap()
    };
    let mut filtered = spec(true, LookupMode::Blocking);
    let filter = Some(is_not(1, &found_schema(), "a"));
    let calc = CalcSpec { filter, projection: None, reads_watermark: false };
    filtered.calcs = vec![(calc, found_schema())];
    filtered.condition = Some(is_not(3, &schema("id BIGINT, k BIGINT, k2 BIGINT, name STRING"), "c"));
    let mut driver = Driver::new(&filtered, &table);
    driver.inserts(&[("10", "1"), ("11", "2"), ("12", "3")]);
    assert_eq!(driver.emitted(), ["+I 10 b", "+I 11 b", "+I 12 NULL"]);
}

#[test]
fn a_blocking_lookup_takes_nothing_before_its_answer() {
    let table = Table::of(&[(1, "a")]);
    table.answer(0);
    let mut driver = Driver::new(&spec(false, LookupMode::Blocking), &table);
    assert_eq!(driver.operator.outside(), Outside::Nothing);
    driver.inserts(&[("10", "1")]);
    driver.poll();
    assert_eq!(driver.operator.outside(), Outside::Blocked);
    assert!(driver.emitted().is_empty());
    table.answer(1);
    driver.poll();
    assert_eq!(driver.emitted(), ["+I 10 a"]);
    assert_eq!(driver.operator.outside(), Outside::Nothing);
}

/// Answers lookups out of order.
fn answered_late(mode: LookupMode) -> (Vec<String>, Vec<String>) {
    let table = Table::of(&[(1, "a"), (2, "b")]);
    let first = Arc::new(AtomicUsize::new(0));
    // the first lookup is answered last
    struct FirstLast(Arc<Table>, Arc<AtomicUsize>, AtomicUsize);
    impl LookupSource for FirstLast {
        fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
            let (mut answer, may) = (self.0.lookup(keys), self.1.clone());
            let is_first = self.2.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(std::future::poll_fn(move |cx| match is_first && may.load(Ordering::Relaxed) == 0 {
                true => Poll::Pending,
                false => answer.as_mut().poll(cx),
            }))
        }
    }
    let mut driver = Driver::new(&spec(false, mode), &table);
    let late: Arc<dyn LookupSource> = Arc::new(FirstLast(table, first.clone(), AtomicUsize::new(0)));
    driver.operator = LookupJoin::new(&spec(false, mode), late, schema("id BIGINT, name STRING")).unwrap();
    driver.operator.open(&mut driver.context).unwrap();
    driver.inserts(&[("10", "1")]);
    driver.inserts(&[("11", "2")]);
    assert_eq!(driver.watermark(5), Progress::Done);
    driver.inserts(&[("12", "1")]);
    driver.poll();
    let before = driver.emitted();
    let in_flight: usize = driver.operator.in_flight().iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(in_flight, 3 - before.len());
    first.store(1, Ordering::Relaxed);
    driver.poll();
    assert!(driver.operator.in_flight().is_empty());
    (before, driver.emitted())
}

#[test]
fn rows_may_overtake_each_other_but_no_watermark() {
    let expected = ["+I 10 a", "+I 11 b", "watermark 5", "+I 12 a"].map(str::to_string).to_vec();
    assert_eq!(answered_late(ordered(10)), (vec![], expected));
    let (before, after) = answered_late(unordered(10));
    assert_eq!(before, ["+I 11 b"]);
    assert_eq!(after, ["+I 10 a", "watermark 5", "+I 12 a"]);
}

#[test]
fn a_queue_is_full_at_its_capacity_and_drained_at_the_end() {
    let table = Table::of(&[(1, "a")]);
    table.answer(0);
    let mut driver = Driver::new(&spec(false, ordered(2)), &table);
    driver.inserts(&[("10", "1")]);
    assert_eq!(driver.operator.outside(), Outside::Open);
    driver.inserts(&[("11", "1")]);
    assert_eq!(driver.operator.outside(), Outside::Full);
    table.answer(1);
    driver.poll();
    assert_eq!(driver.emitted(), ["+I 10 a"]);
    assert_eq!(driver.operator.outside(), Outside::Open);
    assert_eq!(driver.watermark(i64::MAX), Progress::More);
    assert_eq!(driver.operator.outside(), Outside::Full, "the end waits");
    table.answer(2);
    driver.poll();
    assert_eq!(driver.emitted(), ["+I 11 a"]);
    assert_eq!(driver.operator.outside(), Outside::Nothing);
    let (operator, context) = (&mut driver.operator, &mut driver.context);
    assert_eq!(operator.resume(context, &mut driver.output).unwrap(), Progress::Done);
    assert_eq!(operator.on_end_of_input(context, &mut driver.output).unwrap(), Progress::Done);
}

#[test]
fn keys_that_find_nothing_are_asked_for_again() {
    /// Learns a key with each lookup.
    struct Learning(Arc<Table>);
    impl LookupSource for Learning {
        fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
            let answer = self.0.lookup(keys);
            let learnt = self.0.asked.load(Ordering::Relaxed) as i64;
            self.0.add(learnt, "late");
            answer
        }
    }
    for (attempts, expected) in [
        (1, vec!["+I 10 NULL", "+I 11 late", "+I 12 NULL", "+I 13 known", "+I 14 NULL"]),
        (5, vec!["+I 10 late", "+I 11 late", "+I 12 NULL", "+I 13 known", "+I 14 NULL"]),
    ] {
        let table = Table::of(&[(99, "known")]);
        let mut retried = spec(true, LookupMode::Blocking);
        retried.retry = Some(LookupRetry { attempts, delay_ms: 10 });
        let mut driver = Driver::new(&retried, &table);
        let learning = Arc::new(Learning(table.clone()));
        driver.operator = LookupJoin::new(&retried, learning, schema("id BIGINT, name STRING")).unwrap();
        driver.operator.open(&mut driver.context).unwrap();
        driver.inserts(&[("10", "3"), ("11", "1"), ("12", "NULL"), ("13", "99"), ("14", "50")]);
        assert_eq!(driver.emitted(), expected);
        assert_eq!(table.asked.load(Ordering::Relaxed), attempts as usize + 1);
    }
}

#[test]
fn a_lookup_that_takes_too_long_fails() {
    let table = Table::of(&[]);
    table.answer(0);
    // the clock of these tests sleeps for no time at all
    let mode = LookupMode::Async { capacity: 1, ordered: true, timeout_ms: 50 };
    let mut driver = Driver::new(&spec(false, mode), &table);
    let rows = batch(&input(), &[(RowKind::Insert, vec!["1", "1"])]);
    let (operator, context) = (&mut driver.operator, &mut driver.context);
    let error = operator.on_batch(0, rows, context, &mut driver.output).unwrap_err();
    assert!(error.to_string().contains("table dim did not answer a lookup within 50 ms"), "{error}");
}
