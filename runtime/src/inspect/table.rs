//! Parts of a checkpoint as tables.

use super::segments_of;
use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_checkpoint::manifest::{KeyedManifest, OperatorManifest};
use weir_checkpoint::{Environment, StoredCheckpoint};
use weir_state::{EntryColumn, EntryLayout, OperatorStateBackend, SnapshotIndex, StateKind};
use weir_types::{ColumnKind, JobError, SqlType, TableColumn, TableDescriptor};

/// `connector` of the tables that CHECKPOINT(..) makes.
pub(super) const CONNECTOR: &str = "checkpoint";
pub(super) const PATH: &str = "path";
pub(super) const STATE: &str = "state";

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// the entries of one keyed state
    State(String),
    /// how far sources have read
    Sources,
    /// what sinks have written and nobody may see yet
    Sinks,
    /// how far event time has come
    Watermarks,
    /// timers of all states
    Timers,
}

/// A part of an opened checkpoint.
pub(super) struct CheckpointTable {
    stored: StoredCheckpoint,
    part: Part,
    pub schema: SchemaRef,
}

impl CheckpointTable {
    /// Errors: `UserInput` if there is no such checkpoint or state, otherwise `Unavailable` and `Data`.
    pub(super) async fn open(
        path: &str,
        part: &str,
        environment: &Environment,
    ) -> Result<CheckpointTable, JobError> {
        let stored = StoredCheckpoint::open(path, environment).await?;
        let (part, schema) = match part {
            "sources" => (Part::Sources, sources_schema()),
            "sinks" => (Part::Sinks, sinks_schema()),
            "watermarks" => (Part::Watermarks, watermarks_schema()),
            "timers" => (Part::Timers, timers_schema()),
            name => (Part::State(name.to_string()), state_schema(&stored, name)?),
        };
        Ok(CheckpointTable { stored, part, schema })
    }

    /// The table as a statement would have declared it.
    pub(super) fn descriptor(&self, path: &str, part: &str) -> TableDescriptor {
        let column = |field: &Arc<arrow::datatypes::Field>| TableColumn {
            name: field.name().clone(),
            sql_type: SqlType::of_field(field).unwrap_or(SqlType::BYTES),
            nullable: field.is_nullable(),
            kind: ColumnKind::Physical,
            comment: None,
        };
        let options = [("connector", CONNECTOR), (PATH, path), (STATE, part)];
        TableDescriptor {
            name: format!("CHECKPOINT('{path}', '{part}')"),
            columns: self.schema.fields().iter().map(column).collect(),
            options: options.map(|(key, value)| (key.to_string(), value.to_string())).into(),
            primary_key: Vec::new(),
            partition_keys: Vec::new(),
            watermark: None,
            comment: None,
        }
    }

    /// In how many parts it can be read.
    pub(super) fn splits(&self) -> usize {
        match &self.part {
            Part::State(name) => keyed_with(&self.stored, name).count(),
            _ => 1,
        }
    }

    /// The rows of one part, in a stable order.
    pub(super) async fn read(&self, split: usize) -> Result<Vec<RecordBatch>, JobError> {
        match &self.part {
            Part::State(name) => {
                let keyed = keyed_with(&self.stored, name).nth(split);
                let keyed =
                    keyed.ok_or_else(|| JobError::internal(format!("a checkpoint has no part {split}")))?;
                entries(&self.stored, keyed, name).await
            }
            Part::Sources => self.rows(sources(&self.stored)),
            Part::Sinks => self.rows(sinks(&self.stored)),
            Part::Watermarks => {
                let columns = watermarks(&self.stored).await?;
                self.rows(columns)
            }
            Part::Timers => timers(&self.stored, &self.schema).await,
        }
    }

    fn rows(&self, columns: Vec<ArrayRef>) -> Result<Vec<RecordBatch>, JobError> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns);
        let batch = batch.map_err(|error| JobError::internal(error.to_string()))?;
        Ok(if batch.num_rows() == 0 { Vec::new() } else { vec![batch] })
    }
}

/// The subtasks that have the state.
fn keyed_with<'a>(stored: &'a StoredCheckpoint, name: &'a str) -> impl Iterator<Item = &'a KeyedManifest> {
    let subtasks =
        stored.manifest.operators.iter().flat_map(|operator: &OperatorManifest| &operator.subtasks);
    let keyed = subtasks.filter_map(|subtask| subtask.keyed.as_ref());
    keyed.filter(move |keyed| keyed.states.iter().any(|state| state.name == name))
}

fn layout_of(index: &SnapshotIndex, name: &str) -> Result<Option<EntryLayout>, JobError> {
    let state = index.states.iter().find(|state| state.name == name);
    Ok(state.map(|state| EntryLayout::new(index, state)).transpose()?)
}

fn state_schema(stored: &StoredCheckpoint, name: &str) -> Result<SchemaRef, JobError> {
    if let Some(keyed) = keyed_with(stored, name).next()
        && let Some(layout) = layout_of(&keyed.index(), name)?
    {
        return Ok(layout.schema().clone());
    }
    let subtasks = stored.manifest.operators.iter().flat_map(|operator| &operator.subtasks);
    let states = subtasks.filter_map(|subtask| subtask.keyed.as_ref()).flat_map(|keyed| &keyed.states);
    let mut names: Vec<&str> = states.map(|state| state.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.extend(["sources", "sinks", "watermarks", "timers"]);
    let path = stored.directory.show("");
    Err(JobError::user_input(format!(
        "checkpoint '{path}' has no state '{name}'; it has '{}'",
        names.join("', '")
    )))
}

async fn entries(
    stored: &StoredCheckpoint,
    keyed: &KeyedManifest,
    name: &str,
) -> Result<Vec<RecordBatch>, JobError> {
    let (snapshot, _) = segments_of(stored, keyed, Some(name)).await?;
    let Some(layout) = layout_of(&snapshot.index, name)? else { return Ok(Vec::new()) };
    let states = snapshot.index.states.iter().filter(|state| state.name == name);
    let mut batches = Vec::new();
    for segment in states.flat_map(|state| &state.segments) {
        if let Some(bytes) = snapshot.segments.get(&segment.id) {
            batches.push(layout.batch(bytes, &snapshot.file)?);
        }
    }
    Ok(batches)
}

fn schema(columns: &[(&str, SqlType, bool)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, sql_type, nullable)| sql_type.to_field(name, *nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn sources_schema() -> SchemaRef {
    schema(&[
        ("operator", SqlType::STRING, false),
        ("subtask", SqlType::Int, false),
        ("split", SqlType::STRING, false),
        ("position", SqlType::STRING, true),
        ("finished", SqlType::Boolean, false),
    ])
}

fn sources(stored: &StoredCheckpoint) -> Vec<ArrayRef> {
    let (mut operators, mut subtasks, mut splits, mut positions, mut finished) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for operator in &stored.manifest.operators {
        for subtask in &operator.subtasks {
            let Some(source) = &subtask.source else { continue };
            let open = source.splits.iter().map(|split| (&split.split, split.position.clone(), false));
            let closed = source.finished.iter().map(|split| (split, None, true));
            for (split, position, is_finished) in open.chain(closed) {
                operators.push(operator.id.to_string());
                subtasks.push(subtask.subtask.0 as i32);
                splits.push(split.0.to_string());
                positions.push(position);
                finished.push(is_finished);
            }
        }
    }
    vec![
        Arc::new(StringArray::from(operators)),
        Arc::new(Int32Array::from(subtasks)),
        Arc::new(StringArray::from(splits)),
        Arc::new(StringArray::from(positions)),
        Arc::new(BooleanArray::from(finished)),
    ]
}

fn sinks_schema() -> SchemaRef {
    schema(&[("operator", SqlType::STRING, false), ("committable", SqlType::STRING, false)])
}

fn sinks(stored: &StoredCheckpoint) -> Vec<ArrayRef> {
    let lists = &stored.manifest.committables;
    let of_list =
        lists.iter().flat_map(|list| list.committables.iter().map(|text| (list.operator.to_string(), text)));
    let (operators, committables): (Vec<String>, Vec<String>) =
        of_list.map(|(operator, text)| (operator, text.clone())).unzip();
    vec![Arc::new(StringArray::from(operators)), Arc::new(StringArray::from(committables))]
}

fn watermarks_schema() -> SchemaRef {
    schema(&[
        ("operator", SqlType::STRING, false),
        ("subtask", SqlType::Int, false),
        ("watermark", SqlType::Timestamp(3), true),
    ])
}

/// The name under which operators keep how far event time has come for them.
const WATERMARK_STATE: &str = "/watermark";

async fn watermarks(stored: &StoredCheckpoint) -> Result<Vec<ArrayRef>, JobError> {
    let (mut operators, mut subtasks, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for operator in &stored.manifest.operators {
        for subtask in &operator.subtasks {
            let Some(place) = &subtask.operator_state else { continue };
            let bytes = stored.bytes(place).await?;
            let states = OperatorStateBackend::restore(&[bytes], 0, 1, &stored.show(place))?;
            for name in states.names().filter(|name| name.ends_with(WATERMARK_STATE)) {
                for entry in states.entries(name) {
                    let Ok(time_ms) = entry[..].try_into().map(i64::from_le_bytes) else { continue };
                    operators.push(operator.id.to_string());
                    subtasks.push(subtask.subtask.0 as i32);
                    times.push((time_ms != i64::MIN).then_some(time_ms));
                }
            }
        }
    }
    Ok(vec![
        Arc::new(StringArray::from(operators)),
        Arc::new(Int32Array::from(subtasks)),
        Arc::new(TimestampMillisecondArray::from(times)),
    ])
}

fn timers_schema() -> SchemaRef {
    schema(&[
        ("state", SqlType::STRING, false),
        ("key_group", SqlType::Int, false),
        ("time", SqlType::Timestamp(3), false),
        ("key", SqlType::STRING, false),
        ("window_end", SqlType::Timestamp(3), true),
    ])
}

/// Timers of different states have different keys: here a key is its text.
async fn timers(stored: &StoredCheckpoint, schema: &SchemaRef) -> Result<Vec<RecordBatch>, JobError> {
    let subtasks = stored.manifest.operators.iter().flat_map(|operator| &operator.subtasks);
    let mut batches = Vec::new();
    for keyed in subtasks.filter_map(|subtask| subtask.keyed.as_ref()) {
        let is_timers = |kind| matches!(kind, StateKind::EventTimers | StateKind::ProcessingTimers);
        for state in keyed.states.iter().filter(|state| is_timers(state.kind)) {
            let Some(layout) = layout_of(&keyed.index(), &state.name)? else { continue };
            for batch in entries(stored, keyed, &state.name).await? {
                batches.push(timer_rows(&layout, &batch, &state.name, schema)?);
            }
        }
    }
    Ok(batches)
}

fn timer_rows(
    layout: &EntryLayout,
    batch: &RecordBatch,
    state: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch, JobError> {
    let mut named: BTreeMap<&str, ArrayRef> = BTreeMap::new();
    let mut keys = Vec::new();
    for (place, column) in layout.columns().iter().enumerate() {
        let array = batch.column(place).clone();
        match column {
            EntryColumn::KeyGroup => drop(named.insert("key_group", array)),
            // an instant of the clock is shown as the time in UTC
            EntryColumn::Time => {
                let time = arrow::compute::cast(&array, &SqlType::Timestamp(3).data_type());
                named.insert("time", time.map_err(|error| JobError::data(error.to_string()))?);
            }
            EntryColumn::WindowEnd => drop(named.insert("window_end", array)),
            EntryColumn::Key => keys.push(place),
            _ => {}
        }
    }
    let keys = batch.project(&keys).map_err(|error| JobError::internal(error.to_string()))?;
    let keys = super::texts::cells(&keys, batch.num_rows()).into_iter().map(|cells| cells.join(", "));
    named.insert("key", Arc::new(keys.map(Some).collect::<StringArray>()));
    named.insert("state", Arc::new(StringArray::from(vec![state; batch.num_rows()])));
    let columns = schema.fields().iter().map(|field| {
        let column = named.get(field.name().as_str()).cloned();
        column.ok_or_else(|| JobError::internal(format!("timers without a {}", field.name())))
    });
    let batch = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?);
    batch.map_err(|error| JobError::data(error.to_string()))
}
