//! State as a person reads it: the operators of a job, and under each the tables of what it keeps.
//!
//! A state is drawn as Flink's documents draw an entry of RocksDB: key group, key and namespace make the key of the
//! entry, and behind them stand the columns of its value. What is too wide for that is listed column by column.

use super::text::{WIDTH, pad, wrap};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;
use weir_runtime::types::KeyGroupRange;
use weir_runtime::{
    FieldIndex, JobDescription, NamespaceKind, OperatorDescription, Redistribution, StateIndex, StateKind,
};

/// What stands under an operator is indented so far.
const INDENT: &str = "     ";

/// A job with its operators, sources first, and their states.
pub fn job_state(job: &JobDescription) -> String {
    let mut text = format!("{}\n{} key groups\n", job.job, job.key_groups);
    for (place, operator) in job.operators.iter().enumerate() {
        operator_state(&mut text, job, place, operator);
    }
    text
}

fn operator_state(text: &mut String, job: &JobDescription, place: usize, operator: &OperatorDescription) {
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
        let end = if index == last { format!("{:>1$}", subtasks, room - line.width()) } else { String::new() };
        let _ = writeln!(text, "{start}{line}{end}");
    }
    if let Some(size) = &operator.size {
        let sentence = match size.bounded {
            true => format!("keeps {}", size.sentence),
            false => format!("keeps {}; grows without a bound", size.sentence),
        };
        indented(text, &sentence);
    }
    for state in &operator.keyed_states {
        text.push('\n');
        indented(text, &format!("column family {}", state.name));
        indented(text, &kind_text(state));
        state_table(text, &sections(state));
    }
    if !operator.key_group_ranges.is_empty() {
        indented(text, &format!("key groups by subtask: {}", ranges(&operator.key_group_ranges)));
    }
    if !operator.operator_states.is_empty() {
        text.push('\n');
    }
    for state in &operator.operator_states {
        let how = match state.redistribution {
            Redistribution::EvenSplit => "even-split list: a restore deals the entries out among the subtasks",
            Redistribution::Union => "union list: a restore gives every subtask all entries",
            Redistribution::Broadcast => "broadcast: the entries are the same in every subtask",
        };
        indented(text, &format!("operator state {}", state.name));
        indented(text, &format!("  {how}"));
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

fn indented(text: &mut String, line: &str) {
    for line in wrap(line, WIDTH - INDENT.len()) {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}

fn kind_text(state: &StateIndex) -> String {
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
    let range = |(subtask, range): (usize, &KeyGroupRange)| format!("{subtask}: {range}");
    let all: Vec<String> = ranges.iter().enumerate().map(range).collect();
    match &all[..] {
        [first @ .., last] if all.len() > 8 => format!("{}  ..  {last}", first[..6].join("  ")),
        all => all.join("  "),
    }
}

/// Part of an entry: columns with their names and types.
pub struct Section {
    title: &'static str,
    columns: Vec<(String, String)>,
}

/// The parts of an entry of `state`; the last one is its value.
pub fn sections(state: &StateIndex) -> Vec<Section> {
    let columns = |fields: &[FieldIndex]| -> Vec<(String, String)> {
        fields.iter().map(|field| (field.name.clone(), field.sql_type.clone())).collect()
    };
    let column = |name: &str, sql_type: &str| (name.to_string(), sql_type.to_string());
    let mut sections = vec![Section { title: "key group", columns: vec![column("key_group", "INT")] }];
    let is_timers = matches!(state.kind, StateKind::EventTimers | StateKind::ProcessingTimers);
    if is_timers {
        sections.push(Section { title: "timer", columns: vec![column("time", "TIMESTAMP(3)")] });
    }
    sections.push(Section { title: "key", columns: columns(&state.key_fields) });
    let namespace = match (state.namespace, state.window_ms) {
        (NamespaceKind::Void, _) if is_timers => vec![column("window_end", "TIMESTAMP(3)")],
        (NamespaceKind::Void, _) => vec![column("", "VOID")],
        (NamespaceKind::Window, Some(_)) => {
            vec![column("window_start", "TIMESTAMP(3)"), column("window_end", "TIMESTAMP(3)")]
        }
        (NamespaceKind::Window, None) => vec![column("window_end", "TIMESTAMP(3)")],
    };
    sections.push(Section { title: "namespace", columns: namespace });
    match state.kind {
        StateKind::Map => {
            sections.push(Section { title: "map key", columns: columns(&state.map_key_fields) });
        }
        StateKind::List => {
            sections.push(Section { title: "list", columns: vec![column("sequence", "BIGINT")] });
        }
        _ => {}
    }
    sections.push(Section { title: "value", columns: columns(&state.value_fields) });
    for section in sections.iter_mut().filter(|section| section.columns.is_empty()) {
        section.columns.push(column("", "none"));
    }
    sections
}

fn state_table(text: &mut String, sections: &[Section]) {
    let drawn = across(sections).unwrap_or_else(|| down(sections));
    for line in drawn {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}

/// Sections side by side, each over its columns; `None` if that is too wide.
fn across(sections: &[Section]) -> Option<Vec<String>> {
    let mut widths: Vec<Vec<usize>> = sections
        .iter()
        .map(|section| section.columns.iter().map(|(name, kind)| name.width().max(kind.width())).collect())
        .collect();
    for (section, widths) in sections.iter().zip(&mut widths) {
        let spanned = widths.iter().sum::<usize>() + 3 * (widths.len() - 1);
        if let Some(last) = widths.last_mut() {
            *last += section.title.width().saturating_sub(spanned);
        }
    }
    let total: usize = widths.iter().flatten().map(|width| width + 3).sum::<usize>() + 1;
    if total > WIDTH - INDENT.len() {
        return None;
    }
    let value = sections.len() - 1;
    // Between two sections: a double line in front of the value.
    let between = |section: usize, plain: char, double: char| if section == value { double } else { plain };
    let rule = |ends: [char; 2], inner: char, plain: char, double: char| {
        let mut line = String::from(ends[0]);
        for (section, widths) in widths.iter().enumerate() {
            for (place, width) in widths.iter().enumerate() {
                if place > 0 {
                    line.push(inner);
                } else if section > 0 {
                    line.push(between(section, plain, double));
                }
                line.extend(std::iter::repeat_n('─', width + 2));
            }
        }
        line.push(ends[1]);
        line
    };
    let row = |cell: &dyn Fn(usize, usize) -> String| {
        let mut line = String::from("│");
        for (section, widths) in widths.iter().enumerate() {
            for (place, width) in widths.iter().enumerate() {
                if place > 0 {
                    line.push('│');
                } else if section > 0 {
                    line.push(between(section, '│', '║'));
                }
                let _ = write!(line, " {} ", pad(&cell(section, place), *width));
            }
        }
        line.push('│');
        line
    };
    let mut titles = String::from("│");
    for (section, widths) in widths.iter().enumerate() {
        if section > 0 {
            titles.push(between(section, '│', '║'));
        }
        let width = widths.iter().sum::<usize>() + 3 * (widths.len() - 1);
        let _ = write!(titles, " {} ", pad(sections[section].title, width));
    }
    titles.push('│');
    Some(vec![
        rule(['┌', '┐'], '─', '┬', '╥'),
        titles,
        rule(['├', '┤'], '┬', '┼', '╫'),
        row(&|section, place| sections[section].columns[place].0.clone()),
        row(&|section, place| sections[section].columns[place].1.clone()),
        rule(['└', '┘'], '┴', '┴', '╨'),
    ])
}

/// A line for each column.
fn down(sections: &[Section]) -> Vec<String> {
    let columns = || sections.iter().flat_map(|section| &section.columns);
    let title = sections.iter().map(|section| section.title.width()).max().unwrap_or(0);
    let kind = columns().map(|(_, kind)| kind.width()).max().unwrap_or(0).min(30);
    let room = WIDTH - INDENT.len() - title - kind - 10;
    let name = columns().map(|(name, _)| name.width()).max().unwrap_or(0).min(room);
    let widths = [title, name, kind];
    let rule = |marks: [char; 4], line: char| {
        let mut drawn = String::new();
        for (mark, width) in marks.iter().zip(widths) {
            drawn.push(*mark);
            drawn.extend(std::iter::repeat_n(line, width + 2));
        }
        drawn.push(marks[3]);
        drawn
    };
    let mut lines = vec![rule(['┌', '┬', '┬', '┐'], '─')];
    for (index, section) in sections.iter().enumerate() {
        if index > 0 {
            let value = index == sections.len() - 1;
            let (marks, line) = if value { (['╞', '╪', '╪', '╡'], '═') } else { (['├', '┼', '┼', '┤'], '─') };
            lines.push(rule(marks, line));
        }
        for (place, (column, sql_type)) in section.columns.iter().enumerate() {
            let (names, types) = (wrap(column, name), wrap(sql_type, kind));
            for part in 0..names.len().max(types.len()) {
                let title = if place == 0 && part == 0 { section.title } else { "" };
                let of = |lines: &[String]| lines.get(part).cloned().unwrap_or_default();
                let cells = [title.to_string(), of(&names), of(&types)];
                let cells: Vec<String> =
                    cells.iter().zip(widths).map(|(cell, width)| pad(cell, width)).collect();
                lines.push(format!("│ {} │", cells.join(" │ ")));
            }
        }
    }
    lines.push(rule(['└', '┴', '┴', '┘'], '─'));
    lines
}

#[cfg(test)]
mod tests;
