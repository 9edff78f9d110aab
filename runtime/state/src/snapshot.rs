//! Snapshots: a short synchronous part that shares pages, and the serialisation of what changed, beside
//! processing. Who writes a row before its page was serialised is served by [`Held`].

mod take;

use crate::StateError;
use crate::arena::ArenaView;
use crate::backend::State;
use crate::codec::{Writer, open, seal};
use crate::descriptor::{Namespace, NamespaceKind, StateDescriptor, StateKind};
use crate::disk::DiskSnapshot;
use crate::held::Held;
use crate::page::Page;
use crate::row_layout::RowLayout;
use crate::row_store::is_clean;
use crate::segment::{self, Gathered};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use weir_types::{CheckpointId, KeyGroupRange, KeyShape};

/// Names a segment: unique among all snapshots of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SegmentId {
    /// the checkpoint that wrote it
    pub checkpoint: CheckpointId,
    pub number: u32,
}

/// What a snapshot may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMode {
    /// What is unchanged since a completed checkpoint: its segments are referred to.
    Incremental,
    /// Nothing, as for a savepoint. What it writes is never referred to by later snapshots.
    Full,
}

/// Part of a snapshot: the entries of one page, or those of some pages that changed.
#[derive(Clone, Debug)]
pub struct Segment {
    pub id: SegmentId,
    pub bytes: Bytes,
}

/// Part of a snapshot: a file that the backend made and will never change. It is stored by itself, once for all
/// snapshots that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// unique among all files that the backends of a job ever make; no directory in it
    pub name: String,
    /// where it is on this machine; it stays there until the snapshot is dropped
    pub path: PathBuf,
    pub bytes: u64,
    /// later snapshots may name it too
    pub shared: bool,
}

/// What a snapshot consists of: all that restoring it needs besides the segments.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SnapshotIndex {
    pub checkpoint: CheckpointId,
    pub key_groups: KeyGroupRange,
    pub max_parallelism: u32,
    pub states: Vec<StateIndex>,
}

/// One state in a snapshot.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StateIndex {
    pub name: String,
    pub kind: StateKind,
    /// of Map and List states: the state that the entries hang under
    pub parent: Option<String>,
    pub key_fields: Vec<FieldIndex>,
    pub map_key_fields: Vec<FieldIndex>,
    pub value_fields: Vec<FieldIndex>,
    pub namespace: NamespaceKind,
    pub ttl_ms: Option<u64>,
    pub window_ms: Option<u64>,
    /// the namespace is a slice, of which several make a window
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slices: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentIndex>,
}

/// A column of a state in a snapshot.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FieldIndex {
    pub name: String,
    /// as `SqlType` displays it
    pub sql_type: String,
    pub nullable: bool,
}

/// One segment in a snapshot, written by it or by an earlier one.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SegmentIndex {
    pub id: SegmentId,
    /// the end of the window, milliseconds; `None` for the namespace VOID
    pub window_end_ms: Option<i64>,
    /// entries in it; those included that later segments replace or take away
    pub rows: u32,
    pub bytes: u64,
    /// it holds what changed since earlier segments of the state, in the order of their checkpoints, were written
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes: bool,
}

impl StateIndex {
    /// Kind and columns, for messages.
    pub(crate) fn summary(&self) -> String {
        let fields = |fields: &[FieldIndex]| {
            let name = |field: &FieldIndex| {
                format!("{} {}{}", field.name, field.sql_type, if field.nullable { "" } else { " NOT NULL" })
            };
            fields.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let (keys, map_keys) = (fields(&self.key_fields), fields(&self.map_key_fields));
        let under = self.parent.as_ref().map_or(String::new(), |parent| format!(" under {parent}"));
        let values = fields(&self.value_fields);
        format!("{:?}{under}, key ({keys}), map key ({map_keys}), fields ({values})", self.kind)
    }
}

const MAGIC: [u8; 4] = *b"WSIX";
const VERSION: u16 = 1;

impl SnapshotIndex {
    /// As bytes, versioned and with a checksum.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(MAGIC, VERSION);
        out.bytes(&serde_json::to_vec(self).expect("an index consists of strings and numbers"));
        seal(out)
    }

    /// From bytes; `file` names the place they come from in errors.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`].
    pub fn from_bytes(bytes: &Bytes, file: &str) -> Result<Self, StateError> {
        let mut reader = open(bytes, MAGIC, VERSION, file)?;
        let json = reader.bytes("the index")?;
        let index = serde_json::from_slice(&json).map_err(|error| reader.corrupt(&error.to_string()))?;
        reader.finish()?;
        Ok(index)
    }

    /// The segments that this snapshot consists of, its own and earlier ones.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentIndex> {
        self.states.iter().flat_map(|state| &state.segments)
    }
}

/// A segment that is written or is going to be; its size is known once it was.
pub(crate) struct Captured {
    pub(crate) id: SegmentId,
    /// at whose end the snapshot was taken
    pub(crate) interval: u32,
    changes: bool,
    rows: AtomicU32,
    bytes: AtomicU64,
}

impl Captured {
    pub(crate) fn new(id: SegmentId, interval: u32, changes: bool) -> Arc<Self> {
        Arc::new(Captured { id, interval, changes, rows: AtomicU32::new(0), bytes: AtomicU64::new(0) })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self, rows: u32, bytes: u64) {
        self.rows.store(rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// The segments of one state.
type Captures = Vec<(Namespace, Arc<Captured>)>;

/// A table at the time of a snapshot.
pub(crate) struct TableView {
    pub(crate) kind: StateKind,
    pub(crate) layout: Arc<RowLayout>,
    pub(crate) shape: KeyShape,
    pub(crate) namespace: Namespace,
    pub(crate) arena: ArenaView,
    pub(crate) shift: u32,
    pub(crate) mask: u32,
    pub(crate) stride: usize,
    len: u32,
    pub(crate) drained: u32,
    /// all pages, if entries of other tables hang under these
    pages: Vec<Arc<Page>>,
    pub(crate) parent: Option<Arc<TableView>>,
}

impl TableView {
    /// The row of `slot`, if an entry is there. Needs all pages.
    pub(crate) fn live_row(&self, slot: u32) -> Option<*const u8> {
        let page = self.pages.get((slot >> self.shift) as usize)?;
        let row = (slot & self.mask) as usize * self.stride;
        // SAFETY: a page has `mask + 1` rows of `stride` bytes, or as many as slots were given out.
        let row = || unsafe { page.start().add(row) }.cast_const();
        (slot >= self.drained && slot < self.len).then(row).filter(|&row| self.is_live(row))
    }

    /// Whether entries that these hang under have been drained.
    fn is_below_drained(&self) -> bool {
        std::iter::successors(self.parent.as_ref(), |view| view.parent.as_ref()).any(|view| view.drained > 0)
    }

    /// Whether an entry is in `row`, which is one of this view's, and not on disk in this version.
    pub(crate) fn is_held(&self, row: *const u8) -> bool {
        // SAFETY: the stamp lies within the row, and nobody writes to a page that a snapshot holds.
        self.is_live(row) && !unsafe { is_clean(row, self.stride) }
    }

    /// Whether an entry is in `row`, which is one of this view's.
    pub(crate) fn is_live(&self, row: *const u8) -> bool {
        let live = self.layout.live;
        // SAFETY: the flag lies within the row, and nobody writes to a page that a snapshot holds.
        unsafe { *row.add(live.offset) & live.bit != 0 }
    }
}

/// A segment that is still to be written.
struct Work {
    view: Arc<TableView>,
    held: Arc<Held>,
    /// numbers of the pages it is written from
    pages: Vec<u32>,
    kind: segment::PartKind,
    /// later segments need it even if it has no rows
    always: bool,
    captured: Arc<Captured>,
}

/// One snapshot of one backend. It can be sent to another task and written there; what the backend does
/// meanwhile does not show in it.
pub struct Snapshot {
    checkpoint: CheckpointId,
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    states: Vec<(StateIndex, Captures)>,
    work: std::vec::IntoIter<Work>,
    /// memory for a segment that is being written
    gathered: Gathered,
    disk: Option<DiskSnapshot>,
}

impl Snapshot {
    /// Does what is to be done on this machine's disk before anything else of the snapshot can be asked for. Blocks.
    ///
    /// # Errors
    /// [`StateError::Storage`] if the files could not be written.
    pub fn prepare(&mut self) -> Result<(), StateError> {
        self.disk.as_mut().map_or(Ok(()), DiskSnapshot::prepare)
    }

    /// The files that the snapshot consists of besides segments, those included that earlier snapshots named.
    pub fn files(&self) -> &[LocalFile] {
        self.disk.as_ref().map_or(&[], DiskSnapshot::files)
    }

    /// Whether it consists of files: [`Snapshot::prepare`] blocks then, and makes them.
    pub fn has_files(&self) -> bool {
        self.disk.is_some()
    }

    /// What the snapshot consists of, with entries that are in files alone as segments: for a place that takes no files. The
    /// segments are those that no earlier snapshot wrote; `earlier` has at least those of earlier ones that this one refers
    /// to. After [`Snapshot::prepare`]; blocks too.
    ///
    /// # Errors
    /// [`StateError::Storage`]
    pub fn finish_in_segments(
        mut self,
        mut earlier: BTreeMap<SegmentId, Bytes>,
    ) -> Result<(SnapshotIndex, Vec<Segment>), StateError> {
        let mut segments: Vec<Segment> = std::iter::from_fn(|| self.next_segment()).collect();
        let disk = self.disk.take();
        let mut index = self.finish();
        if let Some(disk) = disk {
            earlier.extend(segments.iter().map(|segment| (segment.id, segment.bytes.clone())));
            let (with_files, of_files) = disk.in_segments(&index, &earlier)?;
            index = with_files;
            segments.extend(of_files.into_iter().map(|(id, bytes)| Segment { id, bytes }));
        }
        Ok((index, segments))
    }

    /// Writes the next segment that no earlier checkpoint holds; `None` once there are no more.
    pub fn next_segment(&mut self) -> Option<Segment> {
        for work in self.work.by_ref() {
            let Work { view, held, pages, kind, always, captured } = work;
            let written =
                segment::write(&view, &held, &pages, kind, self.max_parallelism, &mut self.gathered);
            if written.rows + written.freed == 0 && !always {
                continue;
            }
            captured.written(written.rows, written.bytes.len() as u64);
            return Some(Segment { id: captured.id, bytes: written.bytes });
        }
        None
    }

    /// `segment`, which this snapshot wrote, is not needed any more: the next one gets its memory.
    pub fn reuse(&mut self, segment: Bytes) {
        self.gathered.reuse(segment);
    }

    /// What the snapshot consists of.
    ///
    /// # Panics
    /// If [`Snapshot::next_segment`] has more to give.
    pub fn finish(self) -> SnapshotIndex {
        assert!(self.work.len() == 0, "a snapshot was finished before all of its segments were written");
        let states = self.states.into_iter().map(|(mut state, captured)| {
            let segments = captured.iter().map(|(namespace, captured)| SegmentIndex {
                id: captured.id,
                window_end_ms: match namespace {
                    Namespace::Void => None,
                    Namespace::Window(end_ms) => Some(*end_ms),
                },
                rows: captured.rows.load(Ordering::Relaxed),
                bytes: captured.bytes(),
                changes: captured.changes,
            });
            state.segments = segments.filter(|segment| segment.bytes > 0).collect();
            state
        });
        SnapshotIndex {
            checkpoint: self.checkpoint,
            key_groups: self.key_groups,
            max_parallelism: self.max_parallelism,
            states: states.collect(),
        }
    }
}

pub(crate) fn index_of(state: &State, parent: Option<String>) -> StateIndex {
    let StateDescriptor {
        name,
        kind,
        key_fields,
        namespace,
        map_key_fields,
        value_fields,
        ttl_ms,
        window_ms,
        slices,
    } = &state.descriptor;
    StateIndex {
        name: name.clone(),
        kind: *kind,
        parent,
        key_fields: key_fields.iter().map(FieldIndex::of).collect(),
        map_key_fields: map_key_fields.iter().map(FieldIndex::of).collect(),
        value_fields: value_fields.iter().map(FieldIndex::of).collect(),
        namespace: *namespace,
        ttl_ms: *ttl_ms,
        window_ms: *window_ms,
        slices: *slices,
        segments: Vec::new(),
    }
}

impl FieldIndex {
    fn of(field: &weir_types::SqlField) -> Self {
        let sql_type = field.sql_type.to_string();
        FieldIndex { name: field.name.clone(), sql_type, nullable: field.nullable }
    }
}
