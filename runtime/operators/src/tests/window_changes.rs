//! Windows over rows that are taken back: what a window emits is what is left in it when it passes.

use super::call;
use super::models::{
    Row, backing, emitted_by, text, to_batch, window_calls, window_input, window_line, window_operator,
    windows_of,
};
use super::window_aggregate::{CUMULATE, HOP, TUMBLE, spec};
use crate::Operator;
use crate::event_script::Harness;
use arrow::datatypes::SchemaRef;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use weir_types::AggregateFunction::Min;
use weir_types::{AggregateCall, RowKind, SqlType, Watermark, WindowSpec};

/// Those of the models, and MIN.
fn calls() -> Vec<AggregateCall> {
    let mut calls = window_calls();
    calls.push(call(Min, &[2], SqlType::Int));
    calls
}

fn make(window: WindowSpec, input: &SchemaRef) -> Box<dyn Operator> {
    let mut spec = spec(window, &[1], calls());
    spec.input_retracts = true;
    window_operator(&spec, input)
}

/// With MIN behind the other results.
fn line(key: Option<u8>, values: &[Option<i32>], start: i64, end: i64) -> String {
    let line = window_line(key, values, start, end);
    let mut words: Vec<String> = line.split(' ').map(str::to_string).collect();
    let least = text(values.iter().flatten().min());
    words.insert(words.len() - 2, least);
    words.join(" ")
}

#[derive(Clone, Debug)]
enum Step {
    /// a row comes, or an earlier one is taken back
    Change(bool, Row),
    Watermark(i64),
    Recover,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row =
        (0_i64..40_000, proptest::option::weighted(0.9, 0_u8..3), proptest::option::weighted(0.9, -3..4));
    let step = prop_oneof![
        12 => (proptest::bool::weighted(0.4), row).prop_map(|(back, row)| Step::Change(back, row)),
        2 => (0_i64..40_000).prop_map(Step::Watermark),
        1 => Just(Step::Recover),
    ];
    vec(step, 1..60)
}

/// The windows that are open, with what is in them, by their definition.
#[derive(Default)]
struct Model {
    rows: BTreeMap<(i64, i64, Option<u8>), Vec<Option<i32>>>,
    progress: Option<i64>,
}

impl Model {
    fn change(&mut self, window: WindowSpec, retracts: bool, (time, key, value): Row) {
        let is_open = |end: i64| self.progress.is_none_or(|progress| end - 1 > progress);
        for (start, end) in windows_of(window, time).into_iter().filter(|(_, end)| is_open(*end)) {
            let values = self.rows.entry((end, start, key)).or_default();
            match values.iter().position(|known| *known == value) {
                Some(place) if retracts => drop(values.remove(place)),
                _ => values.push(value),
            }
        }
    }

    fn watermark(&mut self, watermark: i64) -> Vec<String> {
        let progress = self.progress.map_or(watermark, |progress| progress.max(watermark));
        self.progress = Some(progress);
        let all = std::mem::take(&mut self.rows).into_iter();
        let (due, open) = all.partition::<BTreeMap<_, _>, _>(|((end, ..), _)| end - 1 <= progress);
        self.rows = open;
        let due = due.into_iter().filter(|(_, values)| !values.is_empty());
        let mut lines: Vec<String> =
            due.map(|((end, start, key), values)| line(key, &values, start, end)).collect();
        lines.sort();
        lines
    }
}

/// The rows that are there, of which some are taken back.
#[derive(Default)]
struct There(Vec<Row>);

impl There {
    /// What becomes of a step: an earlier row that goes, or a row that comes.
    fn change(&mut self, takes_back: bool, row: Row) -> (RowKind, Row) {
        if takes_back && !self.0.is_empty() {
            let place = row.0 as usize % self.0.len();
            return (RowKind::Delete, self.0.remove(place));
        }
        self.0.push(row);
        (RowKind::Insert, row)
    }
}

fn check(window: WindowSpec, steps: &[Step]) {
    let input = window_input();
    let for_operator = input.clone();
    let mut harness = Harness::new(4, move || make(window, &for_operator));
    let (mut model, mut there) = (Model::default(), There::default());
    for step in steps.iter().chain([&Step::Watermark(i64::MAX)]) {
        match step {
            Step::Change(takes_back, row) => {
                let (kind, row) = there.change(*takes_back, *row);
                harness.batch(to_batch(&input, &[(kind, row)]));
                model.change(window, kind.is_retraction(), row);
            }
            Step::Watermark(watermark) => {
                harness.watermark(Watermark(*watermark));
                assert_eq!(emitted_by(&mut harness), model.watermark(*watermark), "{window}");
            }
            Step::Recover => harness.recover(),
        }
    }
}

/// Sessions stay as long as the rows made them that were there, whatever is left of these.
fn check_sessions(gap_ms: i64, steps: &[Step]) {
    let input = window_input();
    let for_operator = input.clone();
    let mut harness = Harness::new(4, move || make(WindowSpec::Session { gap_ms }, &for_operator));
    let mut there = There::default();
    let mut times: BTreeMap<Option<u8>, Vec<i64>> = BTreeMap::new();
    let mut changes = Vec::new();
    for step in steps {
        if let Step::Change(takes_back, row) = step {
            let (kind, row) = there.change(*takes_back, *row);
            times.entry(row.1).or_default().push(row.0);
            changes.push((kind, row));
        }
    }
    for part in changes.chunks(5) {
        harness.batch(to_batch(&input, part));
        harness.recover();
    }
    harness.watermark(Watermark::MAX);
    let mut expected = Vec::new();
    for (key, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|one, next| next - one <= gap_ms) {
            let (start, end) = (session[0], session[session.len() - 1]);
            let of_session = there.0.iter().filter(|row| row.1 == key && (start..=end).contains(&row.0));
            let values: Vec<Option<i32>> = of_session.map(|row| row.2).collect();
            if !values.is_empty() {
                expected.push(line(key, &values, start, end + gap_ms));
            }
        }
    }
    expected.sort();
    assert_eq!(emitted_by(&mut harness), expected);
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_window_emits_what_is_left_in_it(steps in steps(), backing in backing()) {
        let hop = WindowSpec::Hop { size_ms: 10_000, slide_ms: 4_000, offset_ms: 0 };
        let cumulate = WindowSpec::Cumulate { max_size_ms: 20_000, step_ms: 4_000, offset_ms: 0 };
        backing.with(|| {
            [TUMBLE, HOP, CUMULATE, hop, cumulate].into_iter().for_each(|window| check(window, &steps));
            check_sessions(2_500, &steps);
        });
    }
}
