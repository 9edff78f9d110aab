//! Top-N and deduplication: exact changelogs of small cases, and random changelogs against the order of all rows.

use crate::event_script::{Backing, Harness, batch, run_script, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, DeduplicateSpec, Exchange, Input, JobSettings, NodeIndex, OperatorId, OperatorNode,
    OperatorSpec, Parallelism, RankSpec, RowKind, SortKey, SqlType,
};

fn create(input: &SchemaRef, spec: OperatorSpec, output: SchemaRef) -> Box<dyn Operator> {
    let node = OperatorNode {
        id: OperatorId::new("rank"),
        label: "Rank".to_string(),
        spec,
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: output,
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, std::slice::from_ref(input), &JobSettings::default()).unwrap()
}

/// By `k`, ordered by `v` descending; columns k, v and n.
fn spec(start: u64, end: u64, outputs_rank: bool, input_retracts: bool) -> RankSpec {
    RankSpec {
        partition: vec![0],
        order: vec![SortKey { column: 1, descending: true, nulls_first: false }],
        start,
        end,
        columns: vec![0, 1, 2],
        outputs_rank,
        input_retracts,
        update_key: None,
        emit_update_before: true,
    }
}

fn rank(input: &SchemaRef, spec: RankSpec) -> Box<dyn Operator> {
    let mut fields = input.fields().to_vec();
    if spec.outputs_rank {
        fields.push(Arc::new(SqlType::BigInt.to_field("rank", false)));
    }
    create(input, OperatorSpec::Rank(spec), Arc::new(Schema::new(fields)))
}

#[test]
fn rows_move_ranks() {
    run_script("rank_moves", |input| rank(input, spec(1, 2, true, false)));
}

#[test]
fn rows_come_in_and_go_out() {
    run_script("rank_rows", |input| rank(input, spec(1, 2, false, false)));
    run_script("rank_one", |input| rank(input, spec(1, 1, false, false)));
}

#[test]
fn rows_that_go_make_room() {
    run_script("rank_retract", |input| rank(input, spec(1, 2, false, true)));
    run_script("rank_retract_moves", |input| rank(input, spec(2, 3, true, true)));
}

fn deduplicate(
    rowtime: Option<usize>,
    keep_last: bool,
) -> impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone + 'static {
    move |input| {
        let spec = DeduplicateSpec {
            keys: vec![0],
            rowtime,
            keep_last,
            columns: vec![0, 1, 2],
            emit_update_before: true,
        };
        create(input, OperatorSpec::Deduplicate(spec), input.clone())
    }
}

#[test]
fn one_row_per_key_by_time() {
    run_script("deduplicate_last", deduplicate(Some(1), true));
    run_script("deduplicate_first", deduplicate(Some(1), false));
}

#[test]
fn one_row_per_key_by_arrival() {
    run_script("deduplicate_arrival_last", deduplicate(None, true));
    run_script("deduplicate_arrival_first", deduplicate(None, false));
}

/// key, value
type Row = (u8, Option<i32>);

fn steps() -> impl Strategy<Value = Vec<Vec<(bool, Row)>>> {
    let row = (0_u8..3, proptest::option::weighted(0.9, 0_i32..5));
    vec(vec((proptest::bool::weighted(0.4), row), 1..8), 1..12)
}

fn value(value: Option<i32>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

/// The rows of each key with ranks `start..=end`; `n` tells equal rows apart.
fn model(start: usize, end: usize, outputs_rank: bool, rows: &[(Row, usize)]) -> BTreeMap<String, i64> {
    let mut result = BTreeMap::new();
    for key in 0..3 {
        let mut of_key: Vec<(Option<i32>, usize)> =
            rows.iter().filter(|((k, _), _)| *k == key).map(|((_, value), n)| (*value, *n)).collect();
        // Descending, NULL last, the earlier one first.
        of_key.sort_by_key(|(value, n)| (std::cmp::Reverse(*value), *n));
        for (place, (v, n)) in of_key.into_iter().enumerate() {
            if (start..=end).contains(&(place + 1)) {
                let rank = if outputs_rank { format!(" {}", place + 1) } else { String::new() };
                *result.entry(format!("k{key} {} {n}{rank}", value(v))).or_default() += 1;
            }
        }
    }
    result
}

/// Hands in one batch, and folds what comes out into how often each row is there.
fn send(
    harness: &mut Harness,
    input: &SchemaRef,
    changes: &[(RowKind, [String; 3])],
    folded: &mut BTreeMap<String, i64>,
) {
    let changes: Vec<(RowKind, Vec<&str>)> =
        changes.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
    harness.batch(batch(input, &changes));
    for line in harness.lines() {
        let (kind, row) = line.split_once(' ').unwrap();
        let count = folded.entry(row.to_string()).or_default();
        *count += if kind == "-U" || kind == "-D" { -1 } else { 1 };
        assert!(*count >= 0, "taken back more often than given: {line}");
    }
    folded.retain(|_, count| *count != 0);
}

fn check(
    start: u64,
    end: u64,
    outputs_rank: bool,
    retracts: bool,
    batch_rows: usize,
    steps: &[Vec<(bool, Row)>],
) {
    let input = schema("k STRING, v INT, n INT");
    let for_harness = input.clone();
    let spec = spec(start, end, outputs_rank, retracts);
    let mut harness = Harness::new(batch_rows, move || rank(&for_harness, spec.clone()));
    let mut rows: Vec<(Row, usize)> = Vec::new();
    let mut folded: BTreeMap<String, i64> = BTreeMap::new();
    let mut next = 0;
    for (index, step) in steps.iter().enumerate() {
        let mut changes = Vec::new();
        for (takes_back, row) in step {
            let there = rows.iter().position(|(known, _)| known == row);
            let (kind, n) = match there.filter(|_| *takes_back && retracts) {
                Some(place) => (RowKind::Delete, rows.remove(place).1),
                None => {
                    next += 1;
                    rows.push((*row, next));
                    (RowKind::Insert, next)
                }
            };
            changes.push((kind, [format!("k{}", row.0), value(row.1), n.to_string()]));
        }
        if index % 3 == 2 {
            harness.recover();
        }
        send(&mut harness, &input, &changes, &mut folded);
        let expected = model(start as usize, end as usize, outputs_rank, &rows);
        assert_eq!(
            folded, expected,
            "ranks {start} to {end}, rank {outputs_rank}, retracts {retracts}, after {index}"
        );
    }
}

/// The query had rows that could be taken back, and kept all; now they only rise, and the first ones are enough.
#[test]
fn rows_beyond_the_first_ones_of_a_checkpoint_are_dropped() {
    let input = schema("k STRING, v INT, n INT");
    let row = |v: i32, n: usize| ["k0".to_string(), v.to_string(), n.to_string()];
    let insert = |v: i32, n: usize| (RowKind::Insert, row(v, n));
    for outputs_rank in [false, true] {
        for update_key in [None, Some(vec![0, 2])] {
            let kept = spec(1, 2, outputs_rank, true);
            let now = RankSpec { update_key: update_key.clone(), ..spec(1, 2, outputs_rank, false) };
            let (for_kept, for_now) = (input.clone(), input.clone());
            let mut folded = BTreeMap::new();
            let mut before = Harness::new(8, move || rank(&for_kept, kept.clone()));
            let rows = [insert(10, 1), insert(30, 3), insert(20, 2), insert(5, 4)];
            send(&mut before, &input, &rows, &mut folded);
            let mut after =
                Harness::restored(8, move || rank(&for_now, now.clone()), &[before.snapshot()], (0, 1));
            let best = if update_key.is_some() { (RowKind::UpdateAfter, row(40, 4)) } else { insert(40, 4) };
            send(&mut after, &input, &[best, insert(15, 6)], &mut folded);
            let places = [((0, Some(40)), 4), ((0, Some(30)), 3)];
            assert_eq!(folded, model(1, 2, outputs_rank, &places), "rank {outputs_rank}, {update_key:?}");
        }
    }
}

/// Rows with their places instead of their names.
fn places(rows: &[(Row, usize)]) -> Vec<(Row, usize)> {
    rows.iter().enumerate().map(|(at, (row, _))| (*row, at)).collect()
}

/// Lines of a model of [`places`] with the names of the rows.
fn named(lines: BTreeMap<String, i64>, rows: &[(Row, usize)]) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (line, count) in lines {
        let mut words: Vec<String> = line.split(' ').map(str::to_string).collect();
        words[2] = rows[words[2].parse::<usize>().unwrap()].1.to_string();
        *all.entry(words.join(" ")).or_default() += count;
    }
    all
}

/// All rows were in one list, in the order of their arrival; those that are far behind the first ones leave it.
#[test]
fn a_checkpoint_that_has_all_rows_in_one_list_is_taken_over() {
    let input = schema("k STRING, v INT, n INT");
    let row = |v: i32, n: usize| ["k0".to_string(), v.to_string(), n.to_string()];
    for outputs_rank in [false, true] {
        let (all, some) = (spec(1, 100, outputs_rank, false), spec(1, 2, outputs_rank, true));
        let (for_all, for_some) = (input.clone(), input.clone());
        let mut before = Harness::new(8, move || rank(&for_all, all.clone()));
        // Of each value two rows.
        let mut there: Vec<(Row, usize)> = (0..40).map(|n| ((0, Some((n * 7 % 20) as i32)), n)).collect();
        let rows: Vec<_> = there.iter().map(|((_, v), n)| (RowKind::Insert, row(v.unwrap(), *n))).collect();
        send(&mut before, &input, &rows, &mut BTreeMap::new());
        let mut folded = model(1, 2, outputs_rank, &there);
        let make = move || rank(&for_some, some.clone());
        let mut after = Harness::restored(8, make, &[before.snapshot()], (0, 1));
        send(&mut after, &input, &[(RowKind::Insert, row(3, 100))], &mut folded);
        there.push(((0, Some(3)), 100));
        while !there.is_empty() {
            // From far behind, and from among the first.
            let places: Vec<usize> = vec![there.len() / 3, there.len() / 2, 0];
            let mut changes = Vec::new();
            for place in places {
                if place < there.len() {
                    let ((_, v), n) = there.remove(place);
                    changes.push((RowKind::Delete, row(v.unwrap(), n)));
                }
            }
            let best = there.iter().copied().max_by_key(|((_, v), n)| (*v, std::cmp::Reverse(*n)));
            if let Some(((_, v), n)) = best {
                there.retain(|(_, known)| *known != n);
                changes.push((RowKind::Delete, row(v.unwrap(), n)));
            }
            after.recover();
            send(&mut after, &input, &changes, &mut folded);
            assert_eq!(folded, model(1, 2, outputs_rank, &there), "rank {outputs_rank}, {changes:?}");
        }
    }
}

/// Rows that come again under their key, n, with a value that only rises; `with_before`: with the row before.
fn check_updates(
    (start, end): (u64, u64),
    outputs_rank: bool,
    with_before: bool,
    batch_rows: usize,
    steps: &[Vec<(u8, u8, i32)>],
) {
    let input = schema("k STRING, v INT, n INT");
    let for_harness = input.clone();
    let spec = RankSpec { update_key: Some(vec![0, 2]), ..spec(start, end, outputs_rank, false) };
    let mut harness = Harness::new(batch_rows, move || rank(&for_harness, spec.clone()));
    // In the order of the last change.
    let mut rows: Vec<(Row, usize)> = Vec::new();
    let mut folded: BTreeMap<String, i64> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        let mut changes = Vec::new();
        for (key, n, more) in step {
            let n = usize::from(*n);
            let texts = |v: i32| [format!("k{key}"), v.to_string(), n.to_string()];
            let known = rows.iter().position(|((k, _), known)| k == key && *known == n);
            let before = known.map(|place| rows.remove(place).0.1.unwrap());
            let kind = if before.is_some() { RowKind::UpdateAfter } else { RowKind::Insert };
            if let Some(before) = before.filter(|_| with_before) {
                changes.push((RowKind::UpdateBefore, texts(before)));
            }
            let v = before.unwrap_or(0) + more;
            rows.push(((*key, Some(v)), n));
            changes.push((kind, texts(v)));
        }
        if index % 3 == 2 {
            harness.recover();
        }
        send(&mut harness, &input, &changes, &mut folded);
        // Of equal values the one that has had it longer is ahead.
        let expected = named(model(start as usize, end as usize, outputs_rank, &places(&rows)), &rows);
        assert_eq!(folded, expected, "ranks {start} to {end}, rank {outputs_rank}, after {index}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn rows_that_come_again_move_ahead(
        steps in vec(vec((0_u8..3, 0_u8..6, 1_i32..4), 1..8), 1..12),
        batch_rows in 1_usize..5,
        with_before in any::<bool>(),
    ) {
        for ranks in [(1, 1), (1, 2), (1, 4), (2, 3)] {
            for outputs_rank in [false, true] {
                check_updates(ranks, outputs_rank, with_before, batch_rows, &steps);
            }
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_first_rows_are_those_of_all(steps in steps(), batch_rows in 1_usize..5) {
        for (start, end) in [(1, 1), (1, 2), (1, 4), (2, 3)] {
            for (outputs_rank, retracts) in [(false, false), (true, false), (false, true), (true, true)] {
                check(start, end, outputs_rank, retracts, batch_rows, &steps);
            }
        }
    }

    /// Rows far behind the first ones, which come ahead as those go; several equal each other.
    #[test]
    fn rows_far_behind_come_ahead_again(
        rows in vec(0_i32..12, 1..60),
        order in vec(any::<proptest::sample::Index>(), 60),
        batch_rows in 1_usize..20,
        outputs_rank: bool,
        on_disk: bool,
    ) {
        let run = || {
            let input = schema("k STRING, v INT, n INT");
            let (for_harness, spec) = (input.clone(), spec(1, 3, outputs_rank, true));
            let mut harness = Harness::new(100, move || rank(&for_harness, spec.clone()));
            // Of each value rows 0 and 1, so that some are equal throughout.
            let mut there: Vec<(Row, usize)> =
                rows.iter().enumerate().map(|(place, v)| ((0, Some(*v)), place % 2)).collect();
            let line = |kind: RowKind, row: &(Row, usize)| {
                (kind, ["k0".to_string(), value(row.0.1), row.1.to_string()])
            };
            let mut folded = BTreeMap::new();
            let all: Vec<_> = there.iter().map(|row| line(RowKind::Insert, row)).collect();
            for some in all.chunks(batch_rows) {
                send(&mut harness, &input, some, &mut folded);
            }
            for order in order.chunks(batch_rows) {
                let mut changes = Vec::new();
                for index in order {
                    if there.is_empty() {
                        break;
                    }
                    // The first of those that are equal goes.
                    let row = there[index.index(there.len())];
                    there.remove(there.iter().position(|known| *known == row).unwrap());
                    changes.push(line(RowKind::Delete, &row));
                    if changes.len() % 4 == 3 {
                        let back = ((0, row.0.1.map(|v| (v * 5) % 12)), row.1);
                        there.push(back);
                        changes.push(line(RowKind::Insert, &back));
                    }
                }
                harness.recover();
                send(&mut harness, &input, &changes, &mut folded);
                assert_eq!(folded, named(model(1, 3, outputs_rank, &places(&there)), &there), "{changes:?}");
            }
        };
        match on_disk {
            true => Backing::Disk(0).with(run),
            false => run(),
        }
    }
}
