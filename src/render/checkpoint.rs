//! A checkpoint as a person reads it: the operators of its job, and under each what it holds.

use super::durations::{durations, parts};
use super::state::operator_head;
use super::text::{INDENT, WIDTH, grid, indented};
use super::{entry, state};
use crate::progress::grouped;
use std::fmt::Write;
use weir_runtime::types::text::{LocalDateTime, datetime};
use weir_runtime::{
    CheckpointReport, EntryCount, ManifestKind, OperatorDescription, OperatorMeasure, StateReport,
};

/// All that a report says, at most [`WIDTH`] columns wide.
pub fn checkpoint_report(report: &CheckpointReport) -> String {
    let mut text = head(report);
    for (place, (operator, measure)) in report.job.operators.iter().zip(&report.measures).enumerate() {
        operator_head(&mut text, &report.job, place, operator);
        operator_measure(&mut text, operator, measure, report.kind);
    }
    durations(&mut text, &parts(report));
    text
}

fn head(report: &CheckpointReport) -> String {
    let kind = match report.kind {
        ManifestKind::Checkpoint => "checkpoint",
        ManifestKind::Savepoint => "savepoint",
        ManifestKind::DrainedSavepoint => "drained savepoint",
    };
    let title = format!("{kind} {} of {}", report.id, report.job.job);
    let mut text = String::new();
    for line in super::text::wrap(&title, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{}", report.path);
    let mut facts = vec![
        format!("triggered {}", timestamp(report.triggered_at_ms)),
        format!("took {}", millis(report.duration_ms)),
        format!("{} of state", bytes(report.state_bytes)),
    ];
    if report.kind == ManifestKind::Checkpoint {
        facts.push(format!("{} new", bytes(report.new_bytes)));
    }
    if report.in_flight_bytes > 0 {
        facts.push(format!("{} in flight", bytes(report.in_flight_bytes)));
    }
    if report.tasks.iter().any(|task| task.times.unaligned) {
        facts.push("unaligned".to_string());
    }
    facts.push(format!("{} beside the manifest", plural(report.files as u64, "file")));
    facts.push(format!("{} key groups", report.job.key_groups));
    facts.push(format!("written by weir {}", report.writer));
    for line in super::text::wrap(&facts.join(", "), WIDTH) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn operator_measure(
    text: &mut String,
    operator: &OperatorDescription,
    measure: &OperatorMeasure,
    kind: ManifestKind,
) {
    for (described, found) in operator.keyed_states.iter().zip(&measure.states) {
        text.push('\n');
        indented(text, &format!("column family {}", described.name));
        indented(text, &format!("{}, {}", state::kind_text(described), sizes(found, kind)));
        for line in entry::draw(&entry::sections(described, &found.samples), WIDTH - INDENT.len()) {
            let _ = writeln!(text, "{INDENT}{line}");
        }
        if let Some(windows) = &found.namespaces {
            let windows_or_slices =
                plural(windows.windows, if described.slices { "slice" } else { "window" });
            let ends = match windows.windows {
                1 => windows.newest_end.clone(),
                _ => format!("{} to {}", windows.oldest_end, windows.newest_end),
            };
            indented(text, &format!("{windows_or_slices}, ending {ends}"));
        }
        let groups = found.largest_key_groups.iter().map(|group| (group.key_group.to_string(), &group.count));
        largest(text, "largest key groups", groups);
        let keys = found.largest_keys.iter();
        let keys = keys.map(|key| (super::text::cut(&key.key.join(", "), 32), &key.count));
        largest(text, "largest keys", keys);
    }
    subtasks(text, measure);
    state::operator_states(text, operator, &measure.operator_states);
    positions(text, measure);
    for pending in &measure.committables {
        indented(text, &format!("waits to be committed: {}", pending.committable));
    }
}

/// What holds most of a state; nothing where nothing holds more than an entry.
fn largest<'a>(text: &mut String, what: &str, found: impl Iterator<Item = (String, &'a EntryCount)>) {
    let found: Vec<(String, &EntryCount)> = found.collect();
    if found.iter().any(|(_, count)| count.entries > 1) {
        let found = found.iter().map(|(name, count)| format!("{name} ({})", entries(count)));
        indented(text, &format!("{what}: {}", found.collect::<Vec<_>>().join(", ")));
    }
}

fn sizes(found: &StateReport, kind: ManifestKind) -> String {
    let mut sizes = format!("{}, {}", plural(found.entries, "entry"), bytes(found.bytes));
    // a savepoint is all its own
    if found.entries > 0 && kind == ManifestKind::Checkpoint {
        let _ = write!(sizes, ", {} of it new", bytes(found.new_bytes));
    }
    for (shared, what) in [(found.shared_segments, "segment"), (found.shared_files, "file")] {
        if shared > 0 {
            let with: Vec<String> = found.shared_with.iter().map(u64::to_string).collect();
            let (shared, with) = (plural(shared, what), with.join(", "));
            let _ = write!(sizes, "; {shared} shared with checkpoint {with}");
        }
    }
    sizes
}

fn subtasks(text: &mut String, measure: &OperatorMeasure) {
    if measure.subtasks.is_empty() {
        return;
    }
    text.push('\n');
    let rows = measure.subtasks.iter().map(|subtask| {
        vec![
            subtask.subtask.to_string(),
            subtask.key_groups.to_string(),
            grouped(subtask.entries),
            bytes(subtask.bytes),
            bytes(subtask.new_bytes),
        ]
    });
    grid(text, &["subtask", "key groups", "entries", "bytes", "new"], &rows.collect::<Vec<_>>());
}

fn positions(text: &mut String, measure: &OperatorMeasure) {
    if measure.positions.is_empty() {
        return;
    }
    let rows = measure.positions.iter().map(|position| {
        let read = match (&position.position, position.finished) {
            (_, true) => "read to its end".to_string(),
            (None, _) => "not begun".to_string(),
            (Some(position), _) => position.clone(),
        };
        vec![position.subtask.to_string(), position.split.clone(), read]
    });
    grid(text, &["subtask", "split", "position"], &rows.collect::<Vec<_>>());
}

fn entries(found: &EntryCount) -> String {
    format!("{}, {}", plural(found.entries, "entry"), bytes(found.bytes))
}

/// `1 entry`, `1,234 entries`
pub fn plural(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", grouped(number)),
        (_, None) => format!("{} {noun}s", grouped(number)),
    }
}

/// `999 B`, `1.2 KB`, `34 MB`: powers of 1024.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1000.0 {
            let digits = usize::from(unit != "B" && size < 10.0);
            return format!("{size:.digits$} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TB")
}

/// `35 ms`, `1.2 s`
pub fn millis(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1000.0) }
}

/// `2026-11-21 15:00:00.123 UTC`
pub fn timestamp(ms: i64) -> String {
    let mut text = Vec::new();
    let time = LocalDateTime::of_units(ms, arrow::datatypes::TimeUnit::Millisecond);
    datetime::append_timestamp(&mut text, time, b' ', 3);
    format!("{} UTC", String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (plural(1, "entry"), plural(0, "entry"), plural(2, "file")),
            ("1 entry".into(), "0 entries".into(), "2 files".into())
        );
        assert_eq!(
            (bytes(0), bytes(999), bytes(1024), bytes(2_000_000)),
            ("0 B".into(), "999 B".into(), "1.0 KB".into(), "1.9 MB".into())
        );
        assert_eq!((millis(35), millis(61_200)), ("35 ms".into(), "61.2 s".into()));
        assert_eq!(timestamp(0), "1970-01-01 00:00:00.000 UTC");
    }
}
