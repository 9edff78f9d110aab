//! State as a person reads it: the operators of a job, and under each the tables of what it keeps.

use super::checkpoint::{bytes, plural};
use super::entry;
use super::text::{INDENT, NO_BREAK, WIDTH, indented, pad, wrap};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;
use weir_runtime::types::KeyGroupRange;
use weir_runtime::{
    JobDescription, OperatorDescription, OperatorStateReport, Redistribution, StateDescription, StateKind,
};

/// A job with its operators, sources first, and their states.
pub fn job_state(job: &JobDescription) -> String {
    let mut text = String::new();
    for line in wrap(&job.job, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{} key groups", job.key_groups);
    for (place, operator) in job.operators.iter().enumerate() {
        operator_head(&mut text, job, place, operator);
        operator_body(&mut text, operator);
    }
    text
}

/// How rows reach the operator, what it is, and what bounds its state.
pub fn operator_head(text: &mut String, job: &JobDescription, place: usize, operator: &OperatorDescription) {
    text.push_str(&inputs(job, place, operator));
    let number = format!("({})", place + 1);
    let subtasks = match operator.parallelism {
        1 => "1 subtask".to_string(),
        many => format!("{many} subtasks"),
    };
    let room = WIDTH - INDENT.len();
    let mut lines = wrap(&operator.label, room);
    if lines.last().is_some_and(|last| last.width() + subtasks.width() + 2 > room) {
        lines.push(String::new());
    }
    let last = lines.len() - 1;
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 { pad(&number, INDENT.len()) } else { INDENT.to_string() };
        let end =
            if index == last { format!("{:>1$}", subtasks, room - line.width()) } else { String::new() };
        let _ = writeln!(text, "{start}{line}{end}");
    }
    if let Some(size) = &operator.size {
        let sentence = match size.bounded {
            true => format!("keeps {}", size.sentence),
            false => format!("keeps {}; grows without a bound", size.sentence),
        };
        indented(text, &sentence);
    }
}

fn operator_body(text: &mut String, operator: &OperatorDescription) {
    for state in &operator.keyed_states {
        text.push('\n');
        indented(text, &format!("column family {}", state.name));
        indented(text, &kind_text(state));
        for line in entry::draw(&entry::sections(state, &[]), WIDTH - INDENT.len()) {
            let _ = writeln!(text, "{INDENT}{line}");
        }
    }
    if !operator.key_group_ranges.is_empty() {
        indented(text, &format!("key groups by subtask: {}", ranges(&operator.key_group_ranges)));
    }
    operator_states(text, operator, &[]);
}

/// States that belong to no key, with what was `found` of them.
pub fn operator_states(
    text: &mut String,
    operator: &OperatorDescription,
    found: &[Option<OperatorStateReport>],
) {
    if !operator.operator_states.is_empty() && !operator.keyed_states.is_empty() {
        text.push('\n');
    }
    for (place, state) in operator.operator_states.iter().enumerate() {
        let how = match state.redistribution {
            Redistribution::EvenSplit => "even-split list",
            Redistribution::Union => "union list",
            Redistribution::Broadcast => "broadcast",
        };
        let sizes = match found.get(place).and_then(Option::as_ref) {
            None => String::new(),
            Some(OperatorStateReport { entries, bytes: None }) => format!(", {}", plural(*entries, "entry")),
            Some(OperatorStateReport { entries, bytes: Some(size) }) => {
                format!(", {}, {}", plural(*entries, "entry"), bytes(*size))
            }
        };
        indented(text, &format!("operator state {} ({how}){sizes}", state.name));
    }
}

/// How rows reach the operator: a line an input.
fn inputs(job: &JobDescription, place: usize, operator: &OperatorDescription) -> String {
    if operator.inputs.is_empty() {
        return "\n".to_string();
    }
    let mut text = String::new();
    for input in &operator.inputs {
        let from = match input.operator + 1 == place && operator.inputs.len() == 1 {
            true => String::new(),
            false => format!("({}) {} ", input.operator + 1, short(&job.operators[input.operator].label)),
        };
        let _ = writeln!(text, "  │  {from}{}", input.exchange);
    }
    text
}

/// `GroupAggregate` of `GroupAggregate(groupBy=[k], ..)`.
fn short(label: &str) -> &str {
    label.split_once('(').map_or(label, |(name, _)| name)
}

/// What kind of state, and what its entries hang under.
pub fn kind_text(state: &StateDescription) -> String {
    let state_of = |name: &str| name.rsplit_once('/').map_or(name, |(_, state)| state).to_string();
    let under = state.parent.as_deref().map(|parent| format!(" under each entry of {}", state_of(parent)));
    let kind = match state.kind {
        StateKind::Value => "value state",
        StateKind::Map => "map state",
        StateKind::List => "list state",
        StateKind::EventTimers => "timers of event time",
        StateKind::ProcessingTimers => "timers of processing time",
    };
    format!("{kind}{}", under.unwrap_or_default())
}

/// `0: [0, 64)  1: [64, 128)`; of many subtasks the first and the last.
fn ranges(ranges: &[KeyGroupRange]) -> String {
    // Lines are not cut within an interval.
    let range =
        |(subtask, range): (usize, &KeyGroupRange)| format!("{subtask}: {range}").replace(' ', NO_BREAK);
    let all: Vec<String> = ranges.iter().enumerate().map(range).collect();
    match &all[..] {
        [first @ .., last] if all.len() > 8 => format!("{}  ..  {last}", first[..6].join("  ")),
        all => all.join("  "),
    }
}

#[cfg(test)]
mod tests;
