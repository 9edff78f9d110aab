//! `weir checkpoint` and `weir savepoint`: checkpoints and savepoints where they lie.

use crate::arguments::{CheckpointCommand, FormatArgument, SavepointCommand};
use crate::failure::Failure;
use crate::jobs_command;
use crate::render::{bytes, checkpoint_report, cut, millis, print_table, timestamp};
use crate::session::object_store_variables;
use std::io::{IsTerminal, Write};
use unicode_width::UnicodeWidthStr;
use weir_runtime::{
    CheckSummary, CheckpointReport, Directory, Environment, FoundContents, ManifestKind, ProductionEnv,
    SavepointFormat, StoredCheckpoint, check_checkpoints, convert_savepoint, list_checkpoints,
    remove_checkpoint,
};

/// Display columns of a job's name in a list, at least.
const JOB_WIDTH: usize = 32;

/// The columns of a list of checkpoints.
const COLUMNS: [&str; 8] = ["id", "kind", "job", "trigger time", "duration", "new size", "full size", "path"];
/// Of these the job.
const JOB: usize = 2;

pub fn checkpoint(command: &CheckpointCommand) -> Result<(), Failure> {
    let production = ProductionEnv::default();
    let environment = Environment::of_variables(object_store_variables());
    match command {
        CheckpointCommand::Ls { path, json } => {
            let found = production.block_on(list_checkpoints(path, &environment))?;
            if *json {
                return print_json(serde_json::to_string_pretty(&found));
            }
            let rows = found.iter().map(|found| row(&found.contents, found.path.clone()));
            let rows = jobs_cut(rows.collect(), terminal_width());
            print_table(&COLUMNS.map(str::to_string), &rows, usize::MAX, &mut std::io::stdout().lock())
        }
        CheckpointCommand::Show { path, samples, json } => {
            let report = production.block_on(async {
                let stored = StoredCheckpoint::open(path, &environment).await?;
                CheckpointReport::of(&stored, *samples).await
            })?;
            if *json {
                return print_json(serde_json::to_string_pretty(&report));
            }
            write!(std::io::stdout().lock(), "{}", checkpoint_report(&report))?;
            Ok(())
        }
        CheckpointCommand::Fsck { path } => {
            say_what_was_checked(&production.block_on(check_checkpoints(path, &environment))?)
        }
        CheckpointCommand::Trigger(job) => jobs_command::trigger_checkpoint(job),
        CheckpointCommand::Rm { paths, force } => {
            for path in paths {
                let removed = production.block_on(remove_checkpoint(path, *force, &environment))?;
                let mut out = std::io::stdout().lock();
                writeln!(out, "{path}: removed, {} files", removed.files)?;
                if let Some(left) = removed.left {
                    writeln!(out, "{path}: {left}")?;
                }
            }
            Ok(())
        }
    }
}

/// What is wrong with checkpoints, or that nothing is.
fn say_what_was_checked(checked: &[CheckSummary]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut damaged = Vec::new();
    for summary in checked {
        let CheckSummary { path, files, segments, entries, problems } = summary;
        for problem in problems {
            writeln!(out, "{problem}")?;
        }
        let counts = format!("{files} files, {segments} segments, {entries} entries");
        match problems.len() {
            0 => writeln!(out, "{path}: sound: {counts}")?,
            1 => damaged.push(format!("{path}: 1 problem in {counts}")),
            many => damaged.push(format!("{path}: {many} problems in {counts}")),
        }
    }
    match damaged.is_empty() {
        true => Ok(()),
        false => Err(Failure::Job(damaged.join("\n"))),
    }
}

/// Display columns of the terminal; `None` where the output goes elsewhere.
fn terminal_width() -> Option<usize> {
    let size = std::io::stdout().is_terminal().then(crossterm::terminal::size)?.ok()?;
    Some(usize::from(size.0))
}

/// A list whose jobs have the room that a terminal of `width` columns leaves them; all room without a width.
fn jobs_cut(mut rows: Vec<Vec<String>>, width: Option<usize>) -> Vec<Vec<String>> {
    let Some(width) = width else { return rows };
    let of_column = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.max().unwrap_or(0).max(COLUMNS[column].width())
    };
    // a line and a blank before each cell, a blank behind it, and the last line
    let lines = 3 * COLUMNS.len() + 1;
    let others: usize = (0..COLUMNS.len()).filter(|column| *column != JOB).map(of_column).sum();
    let room = width.saturating_sub(others + lines).max(JOB_WIDTH);
    rows.iter_mut().for_each(|row| row[JOB] = cut(&row[JOB], room));
    rows
}

pub fn savepoint(command: &SavepointCommand) -> Result<(), Failure> {
    let (from, to, format) = match command {
        SavepointCommand::Create(arguments) => return jobs_command::create_savepoint(arguments),
        SavepointCommand::Convert { from, to, format } => (from, to, format),
    };
    let production = ProductionEnv::default();
    let environment = Environment::of_variables(object_store_variables());
    let format = match format {
        FormatArgument::Canonical => SavepointFormat::Canonical,
        FormatArgument::Native => SavepointFormat::Native,
    };
    let (path, manifest) = production.block_on(async {
        let stored = StoredCheckpoint::open(from, &environment).await?;
        let target = Directory::open(to, &environment)?;
        let manifest = convert_savepoint(&stored, &target, format).await?;
        Ok::<_, weir_runtime::JobError>((target.show(""), manifest))
    })?;
    let (files, size) = (manifest.files.len(), bytes(manifest.statistics.state_bytes));
    writeln!(std::io::stdout().lock(), "{path}: {files} files, {size}")?;
    Ok(())
}

fn row(contents: &FoundContents, path: String) -> Vec<String> {
    match contents {
        FoundContents::Readable {
            id,
            kind,
            job,
            triggered_at_ms,
            duration_ms,
            new_bytes,
            state_bytes,
            ..
        } => vec![
            id.to_string(),
            match kind {
                ManifestKind::Checkpoint => "checkpoint".to_string(),
                ManifestKind::Savepoint => "savepoint".to_string(),
                ManifestKind::DrainedSavepoint => "drained savepoint".to_string(),
            },
            job.clone(),
            timestamp(*triggered_at_ms),
            millis(*duration_ms),
            bytes(*new_bytes),
            bytes(*state_bytes),
            path,
        ],
        FoundContents::Damaged(reason) => {
            let mut row = vec!["-".to_string(), "damaged".to_string()];
            row.resize(7, "-".to_string());
            row.push(reason.clone());
            row
        }
    }
}

fn print_json(text: serde_json::Result<String>) -> Result<(), Failure> {
    let text = text.map_err(|error| Failure::Job(error.to_string()))?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_the_room_that_there_is() {
        let job = "insert-into default_catalog.default_database.a_sink_with_a_long_name";
        let mut row = vec!["x".to_string(); COLUMNS.len()];
        row[JOB] = job.to_string();
        let shown = |width| jobs_cut(vec![row.clone()], width)[0][JOB].clone();
        assert_eq!(shown(None), job, "a file or another program");
        assert_eq!(shown(Some(400)), job);
        assert_eq!(shown(Some(80)).width(), JOB_WIDTH);
        let others: usize = COLUMNS.iter().map(|column| column.width()).sum::<usize>() - COLUMNS[JOB].width();
        assert_eq!(shown(Some(others + 3 * COLUMNS.len() + 1 + job.len() - 1)).width(), job.len() - 1);
    }
}
