//! How each subtask of each chain took its part in a checkpoint.

use super::text::grid;
use super::{bytes, millis, timestamp};
use crate::jobs::{CheckpointDetails, PartLine};
use weir_runtime::{CheckpointReport, SnapshotStatistics, TaskStatistics};

/// The columns that every checkpoint has.
const TITLES: [&str; 9] =
    ["operators", "subtask", "start delay", "alignment", "sync", "async", "total", "state", "new"];

/// A row of the table.
pub(super) struct Part {
    place: String,
    subtask: u32,
    times: Result<SnapshotStatistics, &'static str>,
}

const FINISHED: &str = "finished";

/// The parts of a checkpoint whose operators are numbered in its report.
pub(super) fn parts(report: &CheckpointReport) -> Vec<Part> {
    let place = |task: &TaskStatistics| {
        let places = task
            .operators
            .iter()
            .filter_map(|id| report.job.operators.iter().position(|operator| operator.id == id.to_string()));
        let places: Vec<usize> = places.map(|place| place + 1).collect();
        match (places.first(), places.last()) {
            (Some(first), Some(last)) if first != last => format!("({first})..({last})"),
            (Some(first), _) => format!("({first})"),
            _ => String::new(),
        }
    };
    let part = |task: &TaskStatistics| Part {
        place: place(task),
        subtask: task.subtask.0,
        times: if task.finished { Err(FINISHED) } else { Ok(task.times) },
    };
    report.tasks.iter().map(part).collect()
}

pub(super) fn durations(text: &mut String, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    text.push_str("\ndurations\n");
    // Only where a barrier overtook something is there anything to say of it.
    let overtook = |part: &Part| part.times.is_ok_and(|times| times.unaligned || times.in_flight_bytes > 0);
    let in_flight = parts.iter().any(overtook);
    let row = |part: &Part| {
        let mut row = vec![part.place.clone(), part.subtask.to_string()];
        match &part.times {
            Err(without) => row.push((*without).to_string()),
            Ok(times) => {
                row.push(millis(times.start_delay_ms));
                row.push(match times.alignment_bytes {
                    0 => millis(times.alignment_ms),
                    held => format!("{} {}", millis(times.alignment_ms), bytes(held)),
                });
                row.extend([times.sync_ms, times.async_ms, times.duration_ms].map(millis));
                row.extend([times.state_bytes, times.new_bytes].map(bytes));
            }
        }
        row.resize(TITLES.len(), String::new());
        if in_flight {
            let bytes = part.times.map(|times| bytes(times.in_flight_bytes));
            row.push(bytes.ok().filter(|_| overtook(part)).unwrap_or_default());
        }
        row
    };
    let titles: Vec<&str> = TITLES.into_iter().chain(in_flight.then_some("in flight")).collect();
    grid(text, &titles, &parts.iter().map(row).collect::<Vec<_>>());
}

/// What is known of a checkpoint, complete or not, of a job that runs.
pub fn checkpoint_details(details: &CheckpointDetails) -> String {
    let CheckpointDetails { job, checkpoint, subtasks } = details;
    let kind = if checkpoint.savepoint { "savepoint" } else { "checkpoint" };
    let mut text = format!("{kind} {} of job {job}: {}", checkpoint.id, checkpoint.status);
    text.extend(checkpoint.duration_ms.map(|duration| format!(" after {}", millis(duration))));
    text += &format!("\ntriggered at {}\n", timestamp(checkpoint.triggered_at_ms));
    text.extend(checkpoint.reason.as_ref().map(|reason| format!("{reason}\n")));
    text.extend(checkpoint.path.as_ref().map(|path| format!("{path}\n")));
    let open = subtasks.iter().filter(|part| !part.finished && part.times.is_none()).count();
    if open > 0 {
        text += &format!("{} of {} subtasks have not answered\n", open, subtasks.len());
    }
    let mut chains: Vec<&[String]> = Vec::new();
    for part in subtasks {
        if !chains.contains(&&part.operators[..]) {
            chains.push(&part.operators);
        }
    }
    for (place, operators) in (1..).zip(&chains) {
        text += &format!("({place})  {}\n", operators.join(" -> "));
    }
    let part = |part: &PartLine| Part {
        place: chains
            .iter()
            .position(|chain| *chain == part.operators)
            .map_or_else(String::new, |place| format!("({})", place + 1)),
        subtask: part.subtask,
        times: part.times.ok_or(if part.finished { FINISHED } else { "no answer" }),
    };
    durations(&mut text, &subtasks.iter().map(part).collect::<Vec<_>>());
    text
}
