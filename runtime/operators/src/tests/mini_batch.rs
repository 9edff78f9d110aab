//! Aggregations of whole batches, and of batches that were aggregated before: what is left is what rows one by one leave.

use super::{call, output_schema};
use crate::event_script::{Backing, Harness, Saved, batch, schema};
use crate::group_aggregate::GroupAggregate;
use crate::local_aggregate::LocalAggregate;
use crate::{Operator, OutputElement};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::AggregateFunction::{Avg, Count, FirstValue, LastValue, ListAgg, Max, Min, Sum};
use weir_types::{
    AggregateCall, ChangelogBatch, GroupAggregateSpec, JobSettings, LocalAggregateSpec, OperatorId, RowKind,
    SqlType,
};

/// Functions of v (2) and s (1) whose accumulators can be added to each other; all of them where rows only come.
fn calls(inserts: bool) -> Vec<AggregateCall> {
    let mut calls = vec![
        call(Count, &[], SqlType::BigInt),
        call(Sum, &[2], SqlType::Int),
        call(Avg, &[2], SqlType::Int),
        AggregateCall { filter: Some(3), ..call(Count, &[2], SqlType::BigInt) },
    ];
    if inserts {
        calls.push(call(Min, &[2], SqlType::Int));
        calls.push(call(Max, &[1], SqlType::STRING));
        calls.push(call(ListAgg, &[1], SqlType::STRING));
        calls.push(call(FirstValue, &[2], SqlType::Int));
        calls.push(call(LastValue, &[1], SqlType::STRING));
    }
    calls
}

const COLUMNS: &str = "k STRING, s STRING, v INT, f BOOLEAN";

fn spec(keys: &[usize], calls: &[AggregateCall], retracts: bool, bundles: bool) -> GroupAggregateSpec {
    GroupAggregateSpec {
        keys: keys.to_vec(),
        aggregates: calls.to_vec(),
        input_retracts: retracts,
        emit_update_before: true,
        ttl_ms: None,
        bundles,
        merges: None,
    }
}

fn group(spec: &GroupAggregateSpec, input: &SchemaRef) -> Box<dyn Operator> {
    let schema = output_schema(input, &spec.keys, &spec.aggregates, Vec::new());
    let (id, settings) = (OperatorId::new("agg"), JobSettings::default());
    Box::new(GroupAggregate::new(&id, spec, input.clone(), schema, &settings).unwrap())
}

/// The columns between the two phases.
fn partial_schema(input: &SchemaRef, keys: &[usize]) -> SchemaRef {
    let mut fields: Vec<_> = keys.iter().map(|key| input.fields()[*key].clone()).collect();
    fields.push(Arc::new(SqlType::BYTES.to_field("$accumulators", false)));
    Arc::new(Schema::new(fields))
}

/// Both phases, and what is between them.
struct TwoPhases {
    local: Harness,
    global: Harness,
}

impl TwoPhases {
    fn new(input: &SchemaRef, keys: &[usize], calls: &[AggregateCall], retracts: bool) -> Self {
        TwoPhases::restored(input, keys, calls, retracts, &[])
    }

    fn restored(
        input: &SchemaRef,
        keys: &[usize],
        calls: &[AggregateCall],
        retracts: bool,
        saved: &[Saved],
    ) -> Self {
        let between = partial_schema(input, keys);
        let local =
            LocalAggregateSpec { keys: keys.to_vec(), aggregates: calls.to_vec(), input_retracts: retracts };
        let (from, to) = (input.clone(), between.clone());
        let make = move || -> Box<dyn Operator> {
            Box::new(LocalAggregate::new(&local, from.clone(), to.clone()).unwrap())
        };
        let places: Vec<usize> = (0..keys.len()).collect();
        let mut global = spec(&places, calls, retracts, true);
        global.merges = Some(input.clone());
        let global = Harness::restored(8, move || group(&global, &between), saved, (0, 1));
        TwoPhases { local: Harness::new(8, make), global }
    }

    fn batch(&mut self, batch: ChangelogBatch) {
        self.local.batch(batch);
        for element in self.local.output.drain(..) {
            let OutputElement::Batch(batch) = element else { panic!("{element:?}") };
            self.global.batch(batch);
        }
    }
}

/// What remains of changes; none may take back what was not given.
#[derive(Default)]
struct Folded(BTreeMap<String, i64>);

impl Folded {
    fn add(&mut self, lines: Vec<String>) {
        for line in lines {
            let (kind, row) = line.split_once(' ').unwrap();
            let count = self.0.entry(row.to_string()).or_default();
            *count += if kind == "-U" || kind == "-D" { -1 } else { 1 };
            assert!(*count >= 0, "taken back more often than given: {line}");
        }
        self.0.retain(|_, count| *count != 0);
    }
}

#[test]
fn a_bundle_tells_what_has_become_of_each_group() {
    let input = schema(COLUMNS);
    let of = spec(&[0], &[call(Count, &[], SqlType::BigInt), call(Sum, &[2], SqlType::Int)], true, true);
    let for_harness = input.clone();
    let mut harness = Harness::new(8, move || group(&of, &for_harness));
    let mut lines = |rows: &[(RowKind, [&str; 4])]| {
        let rows: Vec<(RowKind, Vec<&str>)> = rows.iter().map(|(kind, row)| (*kind, row.to_vec())).collect();
        harness.batch(batch(&input, &rows));
        harness.lines()
    };
    use RowKind::{Delete, Insert};
    let a = |v: &'static str| ["a", "x", v, "true"];
    let b = |v: &'static str| ["b", "x", v, "true"];
    assert_eq!(lines(&[(Insert, a("1")), (Insert, b("2")), (Insert, a("3"))]), ["+I a 2 4", "+I b 1 2"]);
    // Rows that take each other back leave nothing to tell.
    assert_eq!(lines(&[(Delete, a("1")), (Insert, a("1")), (Insert, b("5"))]), ["-U b 1 2", "+U b 2 7"]);
    // A group that comes and goes was never there; one that goes and comes is updated.
    let gone = [(Insert, ["c", "x", "1", "true"]), (Delete, ["c", "x", "1", "true"])];
    assert!(lines(&gone).is_empty());
    let back = [(Delete, b("2")), (Delete, b("5")), (Insert, b("9"))];
    assert_eq!(lines(&back), ["-U b 2 7", "+U b 1 9"]);
    assert_eq!(lines(&[(Delete, b("9")), (Delete, ["z", "x", "1", "true"])]), ["-D b 1 9"]);
}

/// takes back, key, text, value, flag
type Step = (bool, u8, Option<u8>, Option<i32>, bool);

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let text = proptest::option::weighted(0.8, 0_u8..3);
    let value = proptest::option::weighted(0.8, -3_i32..4);
    vec(vec((proptest::bool::weighted(0.4), 0_u8..3, text, value, any::<bool>()), 1..9), 1..9)
}

/// The rows of a step, of which those that are taken back are among `there`.
fn changes(input: &SchemaRef, step: &[Step], retracts: bool, there: &mut Vec<Vec<String>>) -> ChangelogBatch {
    let mut changes = Vec::new();
    for (takes_back, key, text, value, flag) in step {
        if *takes_back && retracts && !there.is_empty() {
            let row = there.remove(usize::from(*key) % there.len());
            changes.push((RowKind::Delete, row));
            continue;
        }
        let null = || "NULL".to_string();
        let text = text.map_or_else(null, |text| format!("t{text}"));
        let value = value.map_or_else(null, |value| value.to_string());
        let row = vec![format!("k{key}"), text, value, flag.to_string()];
        there.push(row.clone());
        changes.push((RowKind::Insert, row));
    }
    let changes: Vec<(RowKind, Vec<&str>)> =
        changes.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
    batch(input, &changes)
}

/// What is kept in one phase is gone on with in two, and the reverse: what comes out is what one phase alone gives.
fn check_crossing(steps: &[Vec<Step>], keys: &[usize], retracts: bool) {
    let input = schema(COLUMNS);
    let calls = calls(!retracts);
    let single = |saved: &[Saved]| {
        let (input, of) = (input.clone(), spec(keys, &calls, retracts, false));
        Harness::restored(8, move || group(&of, &input), saved, (0, 1))
    };
    let mut undisturbed = single(&[]);
    let mut one: Option<Harness> = Some(single(&[]));
    let mut two: Option<TwoPhases> = None;
    let (mut expected, mut folded) = (Folded::default(), Folded::default());
    let mut there: Vec<Vec<String>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let batch = changes(&input, step, retracts, &mut there);
        if index % 2 == 1 {
            match (one.take(), two.take()) {
                (Some(mut harness), _) => {
                    let saved = harness.snapshot();
                    two = Some(TwoPhases::restored(&input, keys, &calls, retracts, &[saved]));
                }
                (None, Some(mut phases)) => one = Some(single(&[phases.global.snapshot()])),
                (None, None) => unreachable!("one of them goes on"),
            }
        }
        undisturbed.batch(batch.clone());
        expected.add(undisturbed.lines());
        if let Some(harness) = &mut one {
            harness.batch(batch);
            folded.add(harness.lines());
        } else if let Some(phases) = &mut two {
            phases.batch(batch);
            folded.add(phases.global.lines());
        }
        assert_eq!(folded.0, expected.0, "after {index}");
    }
}

fn check(steps: &[Vec<Step>], keys: &[usize], retracts: bool) {
    let input = schema(COLUMNS);
    let mut distinct = calls(!retracts);
    distinct.push(AggregateCall { distinct: true, ..call(Count, &[2], SqlType::BigInt) });
    let make = |calls: &[AggregateCall], bundles: bool| {
        let (input, of) = (input.clone(), spec(keys, calls, retracts, bundles));
        Harness::new(8, move || group(&of, &input))
    };
    let mut single = [make(&distinct, false), make(&distinct, true)];
    let mut plain = make(&calls(!retracts), false);
    let mut phases = TwoPhases::new(&input, keys, &calls(!retracts), retracts);
    let mut folded: [Folded; 4] = Default::default();
    let mut there: Vec<Vec<String>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let batch = changes(&input, step, retracts, &mut there);
        if index % 3 == 2 {
            single.iter_mut().for_each(Harness::recover);
            plain.recover();
            phases.global.recover();
        }
        for (harness, folded) in single.iter_mut().zip(&mut folded) {
            harness.batch(batch.clone());
            folded.add(harness.lines());
        }
        plain.batch(batch.clone());
        folded[2].add(plain.lines());
        phases.batch(batch);
        folded[3].add(phases.global.lines());
        assert_eq!(folded[0].0, folded[1].0, "bundles after {index}");
        assert_eq!(folded[2].0, folded[3].0, "two phases after {index}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_left_is_the_same(steps in steps(), retracts in any::<bool>(), on_disk in any::<bool>()) {
        let backing = if on_disk { Backing::Disk(0) } else { Backing::Heap };
        backing.with(|| {
            check(&steps, &[0], retracts);
            check(&steps, &[], retracts);
            check(&steps, &[0, 3], retracts);
        });
    }

    #[test]
    fn one_phase_goes_on_where_two_were_and_the_reverse(steps in steps(), retracts in any::<bool>()) {
        check_crossing(&steps, &[0], retracts);
        check_crossing(&steps, &[], retracts);
        check_crossing(&steps, &[0, 3], retracts);
    }
}
