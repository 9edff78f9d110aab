//! `weir checkpoint` and `weir savepoint`: checkpoints and savepoints where they lie.

use crate::arguments::{CheckpointCommand, FormatArgument, SavepointCommand};
use crate::failure::Failure;
use crate::jobs_command;
use crate::render::{bytes, checkpoint_report, cut, millis, print_table, timestamp};
use crate::session::object_store_variables;
use std::io::Write;
use weir_runtime::{
    CheckpointReport, Directory, Environment, FoundContents, ManifestKind, ProductionEnv, SavepointFormat,
    StoredCheckpoint, check_checkpoint, convert_savepoint, list_checkpoints, remove_checkpoint,
};

/// Display columns of a job's name in a list.
const JOB_WIDTH: usize = 32;

pub fn checkpoint(command: &CheckpointCommand) -> Result<(), Failure> {
    let production = ProductionEnv::default();
    let environment = Environment::of_variables(object_store_variables());
    match command {
        CheckpointCommand::Ls { path, json } => {
            let found = production.block_on(list_checkpoints(path, &environment))?;
            if *json {
                return print_json(serde_json::to_string_pretty(&found));
            }
            let rows: Vec<Vec<String>> =
                found.iter().map(|found| row(&found.contents, found.path.clone())).collect();
            let headers = ["id", "kind", "job", "trigger time", "duration", "new size", "full size", "path"];
            print_table(&headers.map(str::to_string), &rows, usize::MAX, &mut std::io::stdout().lock())
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
            let checked = production.block_on(check_checkpoint(path, &environment))?;
            let mut out = std::io::stdout().lock();
            for problem in &checked.problems {
                writeln!(out, "{problem}")?;
            }
            let counts = format!(
                "{} files, {} segments, {} entries",
                checked.files, checked.segments, checked.entries
            );
            match checked.problems.len() {
                0 => Ok(writeln!(out, "{}: sound: {counts}", checked.path)?),
                1 => Err(Failure::Job(format!("{}: 1 problem in {counts}", checked.path))),
                many => Err(Failure::Job(format!("{}: {many} problems in {counts}", checked.path))),
            }
        }
        CheckpointCommand::Trigger(job) => jobs_command::trigger_checkpoint(job),
        CheckpointCommand::Rm { paths } => {
            for path in paths {
                let files = production.block_on(remove_checkpoint(path, &environment))?;
                writeln!(std::io::stdout().lock(), "{path}: removed, {files} files")?;
            }
            Ok(())
        }
    }
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
            cut(job, JOB_WIDTH),
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
