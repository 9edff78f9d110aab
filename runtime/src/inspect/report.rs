//! What a checkpoint holds, measured.

use super::texts::{cells, timestamp};
use super::{failed, segments_of};
use crate::describe::{
    InputDescription, JobDescription, OperatorDescription, OperatorStateDescription, SizeBound,
    StateDescription,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_checkpoint::StoredCheckpoint;
use weir_checkpoint::manifest::{KeyedManifest, ManifestKind, NamedFile, OperatorManifest, TaskStatistics};
use weir_state::{
    EntryColumn, EntryCount, EntryLayout, Measurer, OperatorStateBackend, Redistribution, SegmentId,
    SnapshotIndex, StateIndex, StateMeasure,
};
use weir_types::{JobError, KeyGroupRange};

/// Key groups and keys that are named because they hold most.
const LARGEST: usize = 5;

/// One checkpoint or savepoint.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointReport {
    pub path: String,
    pub id: u64,
    pub kind: ManifestKind,
    /// the version of weir that wrote it
    pub writer: String,
    pub job_id: String,
    pub sql: String,
    /// since 1970-01-01T00:00:00Z
    pub triggered_at_ms: i64,
    pub duration_ms: u64,
    pub state_bytes: u64,
    pub new_bytes: u64,
    pub in_flight_bytes: u64,
    pub files: usize,
    pub job: JobDescription,
    /// one for each of the job's operators
    pub measures: Vec<OperatorMeasure>,
    /// durations of each subtask's part
    pub tasks: Vec<TaskStatistics>,
}

/// What one operator has in the checkpoint.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OperatorMeasure {
    /// one for each of the operator's keyed states
    pub states: Vec<StateReport>,
    pub subtasks: Vec<SubtaskReport>,
    /// one for each of the operator's states that belong to no key; `None`: the checkpoint does not tell
    pub operator_states: Vec<Option<OperatorStateReport>>,
    /// how far a source has read
    pub positions: Vec<PositionReport>,
    /// written and not known to be visible
    pub committables: Vec<CommittableReport>,
}

/// A state that belongs to no key, over all subtasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperatorStateReport {
    pub entries: u64,
    /// of the entries; `None` for positions, which are in the manifest as text
    pub bytes: Option<u64>,
}

/// The keyed state of one subtask.
#[derive(Clone, Debug, Serialize)]
pub struct SubtaskReport {
    pub subtask: u32,
    pub key_groups: KeyGroupRange,
    pub entries: u64,
    /// as stored
    pub bytes: u64,
    /// of these the ones that this checkpoint has written
    pub new_bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct PositionReport {
    pub subtask: u32,
    pub split: String,
    /// the connector's own encoding; `None`: the beginning
    pub position: Option<String>,
    pub finished: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct CommittableReport {
    pub committable: String,
}

/// One state over all subtasks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StateReport {
    /// found by a scan
    pub entries: u64,
    /// of keys and values, found by the same scan
    pub entry_bytes: u64,
    /// as stored
    pub bytes: u64,
    pub new_bytes: u64,
    /// segments that earlier checkpoints have written, and these checkpoints
    pub shared_segments: u64,
    /// the same of a state backend's own files
    pub shared_files: u64,
    pub shared_with: Vec<u64>,
    pub largest_key_groups: Vec<KeyGroupReport>,
    pub largest_keys: Vec<KeyReport>,
    /// `None` without windows
    pub namespaces: Option<NamespaceReport>,
    /// cells of some entries, in the order of the state's columns
    pub samples: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct KeyGroupReport {
    pub key_group: u16,
    #[serde(flatten)]
    pub count: EntryCount,
}

#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// the cells of the key's columns
    pub key: Vec<String>,
    #[serde(flatten)]
    pub count: EntryCount,
}

#[derive(Clone, Debug, Serialize)]
pub struct NamespaceReport {
    pub windows: u64,
    /// the ends of the oldest and the newest window
    pub oldest_end: String,
    pub newest_end: String,
}

impl CheckpointReport {
    /// Reads the whole checkpoint; `samples` entries of each state are shown.
    ///
    /// Errors: `Unavailable` and `Data`, with the file and the offset.
    pub async fn of(stored: &StoredCheckpoint, samples: usize) -> Result<CheckpointReport, JobError> {
        let manifest = &stored.manifest;
        let (mut operators, mut measures) = (Vec::new(), Vec::new());
        for record in &manifest.job.operators {
            let kept = manifest.operator(&record.id);
            let inputs = record.inputs.iter().map(|input| InputDescription {
                operator: input.operator as usize,
                exchange: input.exchange.clone(),
            });
            let indices = kept.map_or(Vec::new(), states_of);
            let keyed_states = StateDescription::of(&SnapshotIndex {
                checkpoint: manifest.checkpoint,
                key_groups: KeyGroupRange { start: 0, end: 0 },
                max_parallelism: manifest.job.max_parallelism,
                states: indices.clone(),
            })?;
            let keyed = |operator: &OperatorManifest| -> Vec<KeyGroupRange> {
                operator
                    .subtasks
                    .iter()
                    .filter_map(|subtask| Some(subtask.keyed.as_ref()?.key_groups))
                    .collect()
            };
            let mut measure = match kept {
                Some(kept) => measure(stored, kept, &indices, samples).await?,
                None => OperatorMeasure::default(),
            };
            let of_operator = manifest.committables.iter().filter(|list| list.operator == record.id);
            measure.committables = of_operator
                .flat_map(|list| &list.committables)
                .map(|committable| CommittableReport { committable: committable.clone() })
                .collect();
            let operator_states;
            (operator_states, measure.operator_states) = operator_states_of(stored, kept).await?;
            operators.push(OperatorDescription {
                id: record.id.to_string(),
                label: record.label.clone(),
                inputs: inputs.collect(),
                parallelism: record.parallelism,
                size: SizeBound::of(&keyed_states, record.note.as_ref()),
                key_group_ranges: kept.map_or(Vec::new(), keyed),
                keyed_states,
                operator_states,
            });
            measures.push(measure);
        }
        let statistics = &manifest.statistics;
        Ok(CheckpointReport {
            path: stored.directory.show(""),
            id: manifest.checkpoint.0,
            kind: manifest.kind,
            writer: manifest.writer.clone(),
            job_id: manifest.job.id.clone(),
            sql: manifest.job.sql.clone(),
            triggered_at_ms: statistics.triggered_at_ms,
            duration_ms: statistics.duration_ms,
            state_bytes: statistics.state_bytes,
            new_bytes: statistics.new_bytes,
            in_flight_bytes: statistics.in_flight_bytes,
            files: manifest.files.len(),
            job: JobDescription {
                job: manifest.job.name.clone(),
                key_groups: manifest.job.max_parallelism,
                operators,
            },
            measures,
            tasks: statistics.tasks.clone(),
        })
    }
}

/// The states of an operator, in the order in which its subtasks have them.
fn states_of(operator: &OperatorManifest) -> Vec<StateIndex> {
    let mut states: Vec<StateIndex> = Vec::new();
    for keyed in operator.subtasks.iter().filter_map(|subtask| subtask.keyed.as_ref()) {
        for state in &keyed.states {
            if states.iter().all(|known| known.name != state.name) {
                states.push(StateIndex { segments: Vec::new(), ..state.clone() });
            }
        }
    }
    states
}

/// States that belong to no key, and how much there is in each.
async fn operator_states_of(
    stored: &StoredCheckpoint,
    kept: Option<&OperatorManifest>,
) -> Result<(Vec<OperatorStateDescription>, Vec<Option<OperatorStateReport>>), JobError> {
    let Some(operator) = kept else { return Ok((Vec::new(), Vec::new())) };
    let mut states: Vec<(OperatorStateDescription, Option<OperatorStateReport>)> = Vec::new();
    let mut add = |name: &str, redistribution, more: OperatorStateReport| {
        let known = states.iter_mut().find(|(known, _)| known.name == name);
        match known.and_then(|(_, found)| found.as_mut()) {
            Some(found) => {
                found.entries += more.entries;
                found.bytes = found.bytes.zip(more.bytes).map(|(found, more)| found + more);
            }
            None => {
                let state = OperatorStateDescription { name: name.to_string(), redistribution };
                states.push((state, Some(more)));
            }
        }
    };
    for subtask in &operator.subtasks {
        if let Some(source) = &subtask.source {
            let entries = (source.splits.len() + source.finished.len()) as u64;
            let found = OperatorStateReport { entries, bytes: None };
            add(&format!("{}/splits", operator.id), Redistribution::EvenSplit, found);
        }
        let Some(place) = &subtask.operator_state else { continue };
        let bytes = stored.bytes(place).await?;
        let backend = OperatorStateBackend::restore(&[bytes], 0, 1, &stored.show(place))?;
        for name in backend.names() {
            let entries = backend.entries(name);
            let size = entries.iter().map(|entry| entry.len() as u64).sum();
            let found = OperatorStateReport { entries: entries.len() as u64, bytes: Some(size) };
            add(name, backend.redistribution(name).unwrap_or(Redistribution::EvenSplit), found);
        }
    }
    Ok(states.into_iter().unzip())
}

async fn measure(
    stored: &StoredCheckpoint,
    operator: &OperatorManifest,
    states: &[StateIndex],
    samples: usize,
) -> Result<OperatorMeasure, JobError> {
    let mut measure = OperatorMeasure::default();
    for subtask in &operator.subtasks {
        let number = subtask.subtask.0;
        if let Some(source) = &subtask.source {
            let position = |split: &weir_checkpoint::SplitPosition| PositionReport {
                subtask: number,
                split: split.split.0.to_string(),
                position: split.position.clone(),
                finished: false,
            };
            measure.positions.extend(source.splits.iter().map(position));
            let finished = source.finished.iter().map(|split| PositionReport {
                subtask: number,
                split: split.0.to_string(),
                position: None,
                finished: true,
            });
            measure.positions.extend(finished);
        }
        let Some(keyed) = &subtask.keyed else { continue };
        let stored_bytes = |new: bool| {
            let segments = keyed.segments.iter().map(|entry| entry.segment);
            let counted = segments.filter(|segment| !new || segment.id.checkpoint == keyed.checkpoint);
            counted.map(|segment| segment.bytes).sum::<u64>()
        };
        // A canonical savepoint is all its own.
        let files = keyed.canonical.iter().filter_map(|file| manifest_file(stored, file.file));
        let canonical: u64 = files.sum();
        let segments = keyed.segments.iter().map(|entry| u64::from(entry.segment.rows));
        let canonical_entries = keyed.canonical.iter().map(|file| file.entries);
        let mut entries: u64 = segments.chain(canonical_entries).sum();
        let file_bytes = |new: bool| -> u64 {
            let files = keyed.files.iter().filter(|file| !new || is_new(stored, keyed, file));
            files.filter_map(|file| manifest_file(stored, file.file)).sum()
        };
        if !keyed.files.is_empty() || keyed.segments.has_changes() {
            // The manifest does not say how many there are in a database's files, nor how many segments of changes
            // leave of others.
            let (snapshot, _) = segments_of(stored, keyed, None).await?;
            entries = snapshot.index.segments().map(|segment| u64::from(segment.rows)).sum::<u64>();
        }
        measure.subtasks.push(SubtaskReport {
            subtask: number,
            key_groups: keyed.key_groups,
            entries,
            bytes: stored_bytes(false) + canonical + file_bytes(false),
            new_bytes: stored_bytes(true) + canonical + file_bytes(true),
        });
    }
    for state in states {
        measure.states.push(state_report(stored, operator, state, samples).await?);
    }
    Ok(measure)
}

fn is_new(stored: &StoredCheckpoint, keyed: &KeyedManifest, file: &NamedFile) -> bool {
    file.written_by(&stored.manifest.files).is_none_or(|checkpoint| checkpoint == keyed.checkpoint)
}

fn manifest_file(stored: &StoredCheckpoint, file: u32) -> Option<u64> {
    stored.manifest.files.get(file as usize).map(|file| file.bytes)
}

async fn state_report(
    stored: &StoredCheckpoint,
    operator: &OperatorManifest,
    state: &StateIndex,
    samples: usize,
) -> Result<StateReport, JobError> {
    let mut report = StateReport::default();
    let mut shared_with = BTreeSet::new();
    let mut measurer: Option<(EntryLayout, Measurer)> = None;
    for keyed in operator.subtasks.iter().filter_map(|subtask| subtask.keyed.as_ref()) {
        let (snapshot, files) = segments_of(stored, keyed, Some(&state.name)).await?;
        let Some(index) = snapshot.index.states.iter().find(|index| index.name == state.name) else {
            continue;
        };
        if measurer.is_none() {
            let layout = EntryLayout::new(&snapshot.index, index)?;
            measurer = Some((layout.clone(), Measurer::new(layout, LARGEST)));
        }
        let Some((layout, measurer)) = &mut measurer else { continue };
        let stored_segments = segments_in_storage(keyed, &state.name);
        for segment in &index.segments {
            let Some(bytes) = snapshot.segments.get(&segment.id) else { continue };
            measurer.add(bytes, &snapshot.file)?;
            if !keyed.files.is_empty() && !stored_segments.contains(&segment.id) {
                // made of files a moment ago
            } else if segment.id.checkpoint == keyed.checkpoint {
                (report.bytes, report.new_bytes) =
                    (report.bytes + segment.bytes, report.new_bytes + segment.bytes);
            } else {
                report.bytes += segment.bytes;
                report.shared_segments += 1;
                shared_with.insert(segment.id.checkpoint.0);
            }
            if report.samples.len() < samples {
                let batch = layout.batch(bytes, &snapshot.file)?;
                report.samples.extend(cells(&batch, samples - report.samples.len()));
            }
        }
        for file in files.iter().filter(|file| file.state == state.name) {
            let Some(named) = keyed.files.iter().find(|named| named.name == file.name) else { continue };
            report.bytes += file.bytes;
            if is_new(stored, keyed, named) {
                report.new_bytes += file.bytes;
            } else {
                report.shared_files += 1;
                shared_with.extend(named.written_by(&stored.manifest.files).map(|checkpoint| checkpoint.0));
            }
        }
    }
    report.shared_with = shared_with.into_iter().collect();
    if let Some((layout, measurer)) = measurer {
        let found = measurer.finish().map_err(|error| failed(&state.name, error))?;
        spread(&mut report, &layout, found)?;
    }
    Ok(report)
}

/// The segments of a state that the manifest names.
fn segments_in_storage(keyed: &KeyedManifest, state: &str) -> BTreeSet<SegmentId> {
    let place = keyed.states.iter().position(|candidate| candidate.name == state);
    let own = keyed.segments.iter().filter(|entry| Some(entry.state) == place);
    own.map(|entry| entry.segment.id).collect()
}

/// Where the entries lie.
fn spread(report: &mut StateReport, layout: &EntryLayout, found: StateMeasure) -> Result<(), JobError> {
    (report.entries, report.entry_bytes) = (found.total.entries, found.total.bytes);
    let mut groups: Vec<KeyGroupReport> = found
        .key_groups
        .iter()
        .map(|(key_group, count)| KeyGroupReport { key_group: *key_group, count: *count })
        .collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.count.bytes), group.key_group));
    groups.truncate(LARGEST);
    report.largest_key_groups = groups;
    let fields = layout.columns().iter().zip(layout.schema().fields());
    let fields: Vec<Arc<Field>> =
        fields.filter(|(column, _)| **column == EntryColumn::Key).map(|(_, field)| field.clone()).collect();
    if !fields.is_empty() {
        let keys = RecordBatch::try_new(Arc::new(Schema::new(fields)), found.largest_keys);
        let keys = keys.map_err(|error| JobError::data(format!("keys of a state: {error}")))?;
        let keys = cells(&keys, LARGEST).into_iter().zip(found.largest_counts);
        report.largest_keys = keys.map(|(key, count)| KeyReport { key, count }).collect();
    }
    let ends = found.windows.keys().next().zip(found.windows.keys().next_back());
    report.namespaces = ends.map(|(oldest, newest)| NamespaceReport {
        windows: found.windows.len() as u64,
        oldest_end: timestamp(*oldest),
        newest_end: timestamp(*newest),
    });
    Ok(())
}
