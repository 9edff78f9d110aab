//! What settings say about where checkpoints are kept.

use crate::RuntimeError;
use crate::attempt::Ended;
use crate::describe::exchange_text;
use crate::plan::ExecutionPlan;
use std::path::PathBuf;
use weir_checkpoint::manifest::{ColumnRecord, InputRecord, JobRecord, OperatorRecord};
use weir_checkpoint::{CheckpointStore, Directory, Environment, StoreConfig};
use weir_types::{CheckpointMode, CheckpointSettings, JobError, JobGraph, Retention, SqlType, StorageKind};

/// The store of one job's checkpoints.
///
/// # Errors
/// [`RuntimeError::Settings`] for settings that contradict each other, and for a directory that cannot be one.
pub(crate) fn open(
    graph: &JobGraph,
    plan: &ExecutionPlan,
    job_id: &str,
    environment: &Environment,
) -> Result<CheckpointStore, RuntimeError> {
    let settings = &graph.settings.checkpointing;
    check(settings)?;
    let directory = match &settings.dir {
        Some(dir) => {
            let opened = Directory::open(dir, environment);
            let opened = opened.and_then(|root| root.can_be_made().map(|()| root));
            let root = opened.map_err(|error| {
                RuntimeError::Settings(format!("setting 'execution.checkpointing.dir': {error}"))
            })?;
            let directory = if settings.create_subdir { root.join(job_id) } else { unused(root, graph)? };
            Some(directory.mirrored(&local_copies(settings, job_id)?))
        }
        None => None,
    };
    let in_memory = match settings.storage {
        Some(kind) => kind == StorageKind::Memory,
        None => directory.is_none(),
    };
    let config = StoreConfig {
        directory,
        in_memory,
        inline_bytes: settings.inline_bytes,
        write_buffer_bytes: settings.write_buffer_bytes.clamp(1, 64 << 20) as usize,
        compression: settings.compression,
        memory_state_bytes: settings.memory_state_bytes,
        retained: settings.num_retained as usize,
        workspace: crate::state::workspace(&graph.settings, environment),
    };
    Ok(CheckpointStore::new(config, record(graph, plan, job_id)))
}

/// The directories of this job's second copies; none if there are to be none.
fn local_copies(settings: &CheckpointSettings, job_id: &str) -> Result<Vec<PathBuf>, RuntimeError> {
    let roots = settings.local_backup.iter().flatten();
    let root = |root: &String| {
        let wrong = |reason: String| {
            RuntimeError::Settings(format!("setting 'execution.checkpointing.local-backup.dirs': {reason}"))
        };
        if root.contains("://") && !root.starts_with("file:") {
            return Err(wrong(format!("'{root}' is not a directory of this machine: name one that is")));
        }
        let opened = Directory::open(root, &Environment::new());
        let opened = opened.and_then(|root| root.can_be_made().map(|()| root));
        let root = opened.map_err(|error| wrong(error.to_string()))?;
        Ok(PathBuf::from(root.join(job_id).show("")))
    };
    roots.map(root).collect()
}

/// A directory that is this job's own, whichever job it is: not with the checkpoints of another one that it does not go on from,
/// whose files have the names of its own.
fn unused(directory: Directory, graph: &JobGraph) -> Result<Directory, RuntimeError> {
    let found = directory.newest_here().filter(|_| graph.settings.recovery.path.is_none());
    match found {
        None => Ok(directory),
        Some(checkpoint) => Err(RuntimeError::Settings(format!(
            "'execution.checkpointing.create-subdir' is 'false', and there is '{checkpoint}' of an earlier job: go on from \
             there with --from '{checkpoint}', or name another 'execution.checkpointing.dir'"
        ))),
    }
}

fn check(settings: &CheckpointSettings) -> Result<(), RuntimeError> {
    let fail = |message: &str| Err(RuntimeError::Settings(message.to_string()));
    if settings.storage == Some(StorageKind::Files) && settings.dir.is_none() {
        return fail(
            "'execution.checkpointing.storage' is 'filesystem', and 'execution.checkpointing.dir' is not set: set it",
        );
    }
    if settings.local_backup.as_ref().is_some_and(Vec::is_empty) {
        return fail(
            "'execution.checkpointing.local-backup.enabled' needs a directory: set \
             'execution.checkpointing.local-backup.dirs'",
        );
    }
    if settings.unaligned && settings.mode == CheckpointMode::AtLeastOnce {
        return fail(
            "'execution.checkpointing.unaligned.enabled' needs 'execution.checkpointing.mode' = 'EXACTLY_ONCE': \
             at least once, no barrier waits for another",
        );
    }
    if settings.unaligned && settings.max_concurrent > 1 {
        return fail(
            "'execution.checkpointing.unaligned.enabled' needs \
             'execution.checkpointing.max-concurrent-checkpoints' = '1'",
        );
    }
    Ok(())
}

/// What every manifest says of the job.
fn record(graph: &JobGraph, plan: &ExecutionPlan, job_id: &str) -> JobRecord {
    let parallelism = plan.parallelism(graph);
    let operators = graph.nodes.iter().zip(parallelism).map(|(node, parallelism)| OperatorRecord {
        id: node.id.clone(),
        label: node.label.clone(),
        parallelism,
        inputs: node
            .inputs
            .iter()
            .map(|input| InputRecord {
                operator: input.node.0 as u32,
                exchange: exchange_text(&input.exchange, &graph.nodes[input.node.0]),
            })
            .collect(),
        note: node.state.clone(),
        columns: node
            .schema
            .fields()
            .iter()
            .map(|field| ColumnRecord {
                name: field.name().clone(),
                sql_type: SqlType::of_field(field)
                    .map_or(field.data_type().to_string(), |sql| sql.to_string()),
            })
            .collect(),
    });
    JobRecord {
        id: job_id.to_string(),
        name: graph.name.clone(),
        sql: graph.sql.clone(),
        settings: graph.settings.changed.clone(),
        parallelism: graph.settings.parallelism,
        max_parallelism: graph.settings.max_parallelism,
        operators: operators.collect(),
    }
}

/// Whether the checkpoints of a job outlive it. As in Flink, those of a job that finished never do.
pub(crate) fn keeps(retention: Retention, ended: &Result<Ended, JobError>) -> bool {
    match (retention, ended) {
        (_, Ok(Ended::Finished)) | (Retention::None, _) => false,
        (Retention::OnFailure, ended) => ended.is_err(),
        (Retention::OnCancellation, _) => true,
    }
}
