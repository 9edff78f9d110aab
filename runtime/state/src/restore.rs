//! States from the snapshots of one checkpoint, taken at whatever parallelism.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId, Table};
use crate::bits::Bits;
use crate::descriptor::{FieldKind, Namespace, NamespaceKind, StateDescriptor, StateKind};
use crate::disk::{EntryShape, OnTop, StoredSnapshot, WorkDirectory};
use crate::links::Links;
use crate::overlay;
use crate::resolve::{NO_SLOT, Slots};
use crate::row_layout::RowLayout;
use crate::segment::{self, FieldBytes, SegmentRows};
use crate::snapshot::{FieldIndex, LocalFile, SegmentId, Snapshot, SnapshotIndex, StateIndex};
use crate::timers::parse_prefix;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use weir_types::{EncodedKeys, KeyData, KeyEncoder, KeyGroup, KeyGroupRange, SqlField, key_group_of};

/// A snapshot that was fetched.
#[derive(Clone, Debug)]
pub struct RestoredSnapshot {
    pub index: SnapshotIndex,
    /// at least the segments that the index names
    pub segments: BTreeMap<SegmentId, Bytes>,
    /// the files that [`Snapshot::files`] named, under their own names, where they are now; they are only read
    pub files: Vec<LocalFile>,
    /// where they were put for this, if they were not on this machine
    pub directory: Option<Arc<WorkDirectory>>,
    /// names the place it comes from in errors
    pub file: String,
}

impl RestoredSnapshot {
    /// A snapshot that consists of segments alone.
    pub fn new(
        index: SnapshotIndex,
        segments: BTreeMap<SegmentId, Bytes>,
        file: impl Into<String>,
    ) -> RestoredSnapshot {
        RestoredSnapshot { index, segments, files: Vec::new(), directory: None, file: file.into() }
    }
}

impl Snapshot {
    /// The snapshot as if it had been stored and fetched, its files in a directory below `base`. It is whole only if it
    /// refers to no segments of an earlier one.
    ///
    /// # Errors
    /// As [`Snapshot::prepare`].
    pub fn fetched(mut self, base: &Path, file: &str) -> Result<RestoredSnapshot, StateError> {
        self.prepare()?;
        let directory = match self.has_files() {
            true => Some(Arc::new(WorkDirectory::create(base)?)),
            false => None,
        };
        let mut files = Vec::new();
        let to = directory.as_deref().map_or(base, WorkDirectory::path);
        for file in self.files() {
            let path = to.join(&file.name);
            std::fs::copy(&file.path, &path)
                .map_err(|error| StateError::Storage(format!("copy {}: {error}", file.path.display())))?;
            files.push(LocalFile { path, ..file.clone() });
        }
        let mut segments = BTreeMap::new();
        while let Some(segment) = self.next_segment() {
            segments.insert(segment.id, segment.bytes);
        }
        Ok(RestoredSnapshot { index: self.finish(), segments, files, directory, file: file.to_string() })
    }
}

/// A state of a snapshot that waits to be registered.
pub(crate) struct Restored {
    index: StateIndex,
    /// of the whole snapshot
    key_groups: KeyGroupRange,
    /// with the rows that count, where not all do; they are newer than what files have under the same keys
    segments: Vec<(SegmentId, Bytes, Option<Bits>)>,
    /// files whose entries are still to be loaded one by one
    files: Option<Arc<StoredSnapshot>>,
    file: String,
}

impl KeyedStateBackend {
    /// Gives the backend, before any state is registered, what the subtasks of a checkpoint had. Each state
    /// is loaded when it is registered: the entries whose keys belong to this backend's key groups.
    ///
    /// # Errors
    /// [`StateError::Descriptor`] for another number of key groups, [`StateError::Truncated`] for a missing
    /// segment, [`StateError::Storage`] for files that cannot be opened.
    pub fn restore(&mut self, snapshots: Vec<RestoredSnapshot>) -> Result<(), StateError> {
        assert!(self.states.is_empty(), "snapshots are restored before states are registered");
        if !snapshots.is_empty() {
            self.create_disk()?;
        }
        for mut snapshot in snapshots {
            let index = &snapshot.index;
            if index.max_parallelism != self.max_parallelism {
                return Err(StateError::Descriptor(format!(
                    "cannot restore {}: it was written with {} key groups and the job has {}; set pipeline.max-parallelism to {}",
                    snapshot.file, index.max_parallelism, self.max_parallelism, index.max_parallelism
                )));
            }
            if index.key_groups.end <= self.range.start || self.range.end <= index.key_groups.start {
                continue;
            }
            let files = match snapshot.files.is_empty() {
                true => None,
                false => Some(Arc::new(self.open_stored(&snapshot)?)),
            };
            let index = snapshot.index;
            for state in index.states {
                let mut current = overlay::current(&state.segments, &snapshot.segments, &snapshot.file)?;
                let mut segments = Vec::with_capacity(state.segments.len());
                for segment in &state.segments {
                    let id = segment.id;
                    let bytes = snapshot.segments.remove(&id).ok_or_else(|| StateError::Truncated {
                        file: snapshot.file.clone(),
                        offset: 0,
                        what: format!("segment {} of checkpoint {} is missing", id.number, id.checkpoint),
                    })?;
                    segments.push((id, bytes, current.remove(&id)));
                }
                let (key_groups, file) = (index.key_groups, snapshot.file.clone());
                let restored = Restored { index: state, key_groups, segments, files: files.clone(), file };
                self.restored.entry(restored.index.name.clone()).or_default().push(restored);
            }
        }
        Ok(())
    }

    /// Whether a state of this name was restored and waits to be registered.
    pub fn is_restored(&self, name: &str) -> bool {
        self.restored.contains_key(name)
    }

    /// The names of restored states that no one has registered.
    pub fn unclaimed_states(&self) -> impl Iterator<Item = &str> {
        self.restored.keys().map(String::as_str)
    }

    /// Lets go of restored states that no one has registered, and of the files that they are in: the next snapshot is without
    /// them.
    pub fn forget_unclaimed(&mut self) {
        self.restored.clear();
    }

    /// Loads what was restored for `id`, which has just been registered.
    pub(crate) fn load(&mut self, id: StateId) -> Result<(), StateError> {
        let name = self.descriptor(id).name.clone();
        let mut parts = self.restored.remove(&name).unwrap_or_default();
        parts.iter().try_for_each(|part| self.check_same(id, part))?;
        if self.disk.is_some() {
            // Databases are taken over as they are, unless the rows look otherwise now.
            let with_ttl = self.descriptor(id).ttl_ms.is_some();
            let as_now = |part: &Restored| part.index.ttl_ms.is_some() == with_ttl;
            let whole = parts.iter_mut().filter(|part| as_now(part));
            let whole = whole.filter_map(|part| Some((part.files.take()?, part.key_groups)));
            let whole: Vec<(Arc<StoredSnapshot>, KeyGroupRange)> = whole.collect();
            self.make_family(id, &whole)?;
        }
        for part in &parts {
            self.load_part(id, part)?;
        }
        let state = self.state_mut(id);
        let (is_list, kind) = (state.is_list(), state.descriptor.kind);
        if is_list {
            state.tables.values_mut().for_each(relink);
        }
        if kind.is_timers() {
            self.requeue_timers(id);
            self.load_due(id);
        }
        self.check()
    }

    /// Loads entries one by one.
    fn load_part(&mut self, id: StateId, part: &Restored) -> Result<(), StateError> {
        let name = self.descriptor(id).name.clone();
        let files = match &part.files {
            Some(files) if files.db.has_entries(&name)? => Some(files),
            _ => None,
        };
        let mut on_top = OnTop::default();
        self.make_room(id, part);
        for (segment, bytes, current) in &part.segments {
            let file = format!("{}, segment {}/{}", part.file, segment.checkpoint, segment.number);
            let rows = segment::read(bytes, part.index.kind, &file)?;
            let rows = match current {
                Some(current) => rows.keep(current),
                None => rows,
            };
            let corrupt = |what| StateError::Corrupt { file, offset: 0, what };
            self.load_rows(id, &rows).map_err(corrupt)?;
            if files.is_some() {
                on_top.add(part.index.kind, &rows);
            }
            self.trim();
        }
        if let Some(files) = files {
            let shape = self.entry_shape(id, part.index.ttl_ms.is_some())?;
            files.for_each(&name, &shape, self.range, &mut on_top, |rows| {
                self.load_rows(id, rows).map_err(|what| {
                    let file = format!("{}, column family {name}", part.file);
                    StateError::Corrupt { file, offset: 0, what }
                })?;
                self.trim();
                Ok(())
            })?;
        }
        self.check()
    }

    /// An index that grows entry by entry is written twice over.
    fn make_room(&mut self, id: StateId, part: &Restored) {
        if self.disk.is_some() {
            return;
        }
        let mut counts: BTreeMap<Namespace, usize> = BTreeMap::new();
        for (index, (_, bytes, current)) in part.index.segments.iter().zip(&part.segments) {
            let count = current.as_ref().map_or(index.rows as usize, |rows| rows.ones().count());
            // Each entry differs from the others in a byte at least: more of them would be damage.
            let count = count.min(bytes.len());
            *counts.entry(index.window_end_ms.map_or(Namespace::Void, Namespace::Window)).or_default() +=
                count;
        }
        let (all, range) = (part.key_groups, self.range);
        let shared = all.end.min(range.end).saturating_sub(all.start.max(range.start));
        for (namespace, count) in counts {
            // Keys are spread evenly, so that a part of many has at least some.
            let expected = count * usize::from(shared) / usize::from(all.end - all.start).max(1);
            if expected > LARGE && !self.state(id).is_list() {
                self.state_mut(id).table_mut(namespace).slots.index.reserve(expected);
            }
        }
    }

    /// How the entries of a state lie in a database, with or without times of last access.
    fn entry_shape(&self, id: StateId, ttl: bool) -> Result<EntryShape, StateError> {
        let state = self.state(id);
        let path = std::iter::successors(Some(id), |&id| self.state(id).parent);
        // A list's entries have no key of their own.
        let mut levels: Vec<KeyEncoder> =
            path.filter(|&id| !self.state(id).is_list()).map(|id| self.state(id).encoder.clone()).collect();
        levels.reverse();
        let layout = RowLayout::new(state.layout.key, &state.descriptor.value_fields, ttl)?;
        Ok(EntryShape::new(state.descriptor.kind, state.descriptor.namespace, levels, layout))
    }

    fn check_same(&self, id: StateId, part: &Restored) -> Result<(), StateError> {
        let (now, then) = (self.descriptor(id), &part.index);
        let StateDescriptor { kind, key_fields, map_key_fields, value_fields, .. } = now;
        let parent = self.state(id).parent.map(|parent| self.descriptor(parent).name.as_str());
        let same = *kind == then.kind
            && parent == then.parent.as_deref()
            && same_types(key_fields, &then.key_fields)
            && same_types(map_key_fields, &then.map_key_fields)
            && same_types(value_fields, &then.value_fields)
            && same_names(value_fields, &then.value_fields);
        if same {
            return Ok(());
        }
        Err(StateError::Descriptor(format!(
            "cannot restore state {} from {}: it was {} and is {}",
            now.name,
            part.file,
            then.summary(),
            crate::snapshot::index_of(self.state(id), parent.map(str::to_string)).summary()
        )))
    }

    fn load_rows(&mut self, id: StateId, rows: &SegmentRows) -> Result<(), String> {
        self.check_shape(id, rows)?;
        let (range, max_parallelism) = (self.range, self.max_parallelism);
        let own =
            (0..rows.rows as u32).filter(|&row| range.contains(KeyGroup(rows.key_groups[row as usize])));
        let own: Vec<u32> = own.collect();
        let root = self.root(id);
        let keys = level_keys(&self.state(root).encoder, rows, 0, &own)?;
        let group_is_right = |(&row, &hash): (&u32, &u64)| {
            key_group_of(hash, max_parallelism).0 == rows.key_groups[row as usize]
        };
        if !own.iter().zip(keys.hashes()).all(group_is_right) {
            return Err("a key in a key group that it does not belong to".into());
        }
        let (own, slots) = match self.descriptor(id).kind {
            StateKind::Value => (own, self.load_values(id, rows.namespace, &keys)?),
            StateKind::EventTimers | StateKind::ProcessingTimers => {
                (Vec::new(), self.load_timers(id, rows, &own)?)
            }
            StateKind::Map | StateKind::List => self.load_children(id, rows, own, &keys)?,
        };
        self.load_fields(id, rows, &own, &slots);
        Ok(())
    }

    fn check_shape(&self, id: StateId, rows: &SegmentRows) -> Result<(), String> {
        let state = self.state(id);
        let mut depth = usize::from(!state.is_list()) + usize::from(state.descriptor.kind.is_timers());
        let mut above = state.parent;
        while let Some(parent) = above {
            depth += 1;
            above = self.state(parent).parent;
        }
        let namespace_fits = match state.descriptor.namespace {
            NamespaceKind::Void => rows.namespace == Namespace::Void,
            NamespaceKind::Window => rows.namespace != Namespace::Void,
        };
        let fields = state.layout.fields.iter().map(|field| (field.kind, field.null_flag.is_some()));
        let fields_fit = fields.eq(rows.fields.iter().map(|field| (field.kind, field.nulls.is_some())));
        if rows.keys.len() == depth && namespace_fits && fields_fit {
            Ok(())
        } else {
            Err("keys, namespace or fields other than the index says".into())
        }
    }

    fn root(&self, id: StateId) -> StateId {
        std::iter::successors(Some(id), |&id| self.state(id).parent).last().unwrap_or(id)
    }

    fn load_values(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
    ) -> Result<Vec<u32>, String> {
        let mut found = Slots::default();
        let state = self.state_mut(id);
        let is_timers = state.descriptor.kind.is_timers();
        let table = state.table_mut(namespace);
        table.slots.resolve(keys, 0..keys.len(), &mut found);
        table.cover(&found.slots);
        // The first timers of files that were taken over are there already.
        let may_be_there = is_timers && table.marks.on_disk;
        if found.created.len() == keys.len() || may_be_there {
            Ok(found.slots)
        } else {
            Err("a key that comes twice".into())
        }
    }

    fn load_timers(&mut self, id: StateId, rows: &SegmentRows, own: &[u32]) -> Result<Vec<u32>, String> {
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for &row in own {
            let time = rows.keys[1].get(row as usize);
            if time.len() != crate::timers::PREFIX_BYTES || parse_prefix(time).is_none() {
                return Err("a timer without a time".into());
            }
            bytes.extend_from_slice(time);
            bytes.extend_from_slice(rows.keys[0].get(row as usize));
            offsets.push(bytes.len() as u32);
        }
        self.load_values(id, Namespace::Void, &EncodedKeys::new(KeyData::Bytes { offsets, bytes }))
    }

    /// Makes entries under those parents that exist; an entry whose parent does not was gone with it.
    fn load_children(
        &mut self,
        id: StateId,
        rows: &SegmentRows,
        mut own: Vec<u32>,
        keys: &EncodedKeys,
    ) -> Result<(Vec<u32>, Vec<u32>), String> {
        let namespace = rows.namespace;
        let mut path: Vec<StateId> = std::iter::successors(Some(id), |&id| self.state(id).parent).collect();
        path.reverse();
        let mut parents = Vec::new();
        match self.table(path[0], namespace) {
            Some(table) => table.slots.lookup(keys, &mut parents),
            None => parents.resize(keys.len(), NO_SLOT),
        }
        self.load_looked_up(path[0], namespace, keys, &mut parents);
        for (level, &state) in path[1..].iter().enumerate() {
            let mut present = parents.iter().map(|&parent| parent != NO_SLOT);
            own.retain(|_| present.next().unwrap_or(false));
            parents.retain(|&parent| parent != NO_SLOT);
            if state == id {
                break;
            }
            let keys = level_keys(&self.state(state).encoder, rows, level + 1, &own)?;
            let above = std::mem::take(&mut parents);
            self.lookup_under(state, namespace, &above, &keys, &mut parents);
        }
        if self.state(id).is_list() {
            let mut slots = Vec::new();
            let state = self.state_mut(id);
            let table = state.table_mut(namespace);
            let mut next_sequence = 0;
            for (&row, &parent) in own.iter().zip(&parents) {
                let sequence = rows.sequence[row as usize];
                next_sequence = next_sequence.max(sequence.saturating_add(1));
                let slot = table.slots.new_list_row(parent, sequence);
                table.links.append(parent, slot);
                slots.push(slot);
            }
            table.cover(&slots);
            state.next_sequence = state.next_sequence.max(next_sequence);
            return Ok((own, slots));
        }
        let keys = level_keys(&self.state(id).encoder, rows, path.len() - 1, &own)?;
        let mut found = Slots::default();
        let table = self.state_mut(id).table_mut(namespace);
        table.slots.resolve_under(&parents, &keys, &mut found);
        if found.created.len() < own.len() {
            return Err("a map key that comes twice".into());
        }
        table.links.append_all(&parents, &found.slots);
        table.cover(&found.slots);
        Ok((own, found.slots))
    }

    /// Sets the fields of `slots` to those of the rows `own` of the segment.
    fn load_fields(&mut self, id: StateId, rows: &SegmentRows, own: &[u32], slots: &[u32]) {
        let now_ms = self.now_ms;
        let layout = self.state(id).layout.clone();
        let table = &mut self.state_mut(id).table_mut(rows.namespace).slots;
        let starts: Vec<*mut u8> = slots.iter().map(|&slot| table.rows.row_mut(slot)).collect();
        let targets = || own.iter().map(|&row| row as usize).zip(starts.iter().copied());
        if let Some(offset) = layout.last_access {
            for (row, target) in targets() {
                let time_ms = rows.last_access.as_ref().map_or(now_ms, |times| times[row] as i64);
                // SAFETY: the time lies within the row.
                unsafe { target.add(offset).cast::<i64>().write_unaligned(time_ms) };
            }
        }
        for (place, field) in layout.fields.iter().zip(&rows.fields) {
            let FieldBytes::Fixed(values) = &field.values else { continue };
            // SAFETY: field and flag lie within the rows.
            unsafe {
                match place.kind.width() {
                    8 => load_column(values.as_chunks::<8>().0, place.offset, targets()),
                    16 => load_column(values.as_chunks::<16>().0, place.offset, targets()),
                    4 => load_column(values.as_chunks::<4>().0, place.offset, targets()),
                    2 => load_column(values.as_chunks::<2>().0, place.offset, targets()),
                    _ => load_column(values.as_chunks::<1>().0, place.offset, targets()),
                }
                if let Some(flag) = place.null_flag {
                    let values = targets().filter(|(row, _)| !field.is_null(*row));
                    values.for_each(|(_, target)| *target.add(flag.offset) &= !flag.bit);
                }
            }
        }
        for (index, field) in
            rows.fields.iter().enumerate().filter(|(_, field)| field.kind == FieldKind::Bytes)
        {
            let FieldBytes::Strings(values) = &field.values else { continue };
            for (&row, &slot) in own.iter().zip(slots) {
                let row = row as usize;
                table.set_value_bytes(slot, index, (!field.is_null(row)).then(|| values.get(row)));
            }
        }
    }
}

impl Table {
    /// These rows are newer than what the disk may have under their keys.
    fn cover(&mut self, slots: &[u32]) {
        if self.marks.on_disk {
            slots.iter().for_each(|&slot| self.marks.stored.set(slot));
        }
    }
}

/// Entries for which it is worth to make room.
const LARGE: usize = 10_000;

/// Writes the value of each row to where its target's field at `offset` is.
///
/// # Safety
/// There is room for a value in each target.
unsafe fn load_column<const WIDTH: usize>(
    values: &[[u8; WIDTH]],
    offset: usize,
    targets: impl Iterator<Item = (usize, *mut u8)>,
) {
    for (row, target) in targets {
        // SAFETY: the caller's promise.
        unsafe { target.add(offset).cast::<[u8; WIDTH]>().write_unaligned(values[row]) };
    }
}

/// The keys of the rows `own` at `level`.
fn level_keys(
    encoder: &KeyEncoder,
    rows: &SegmentRows,
    level: usize,
    own: &[u32],
) -> Result<EncodedKeys, String> {
    let keys = &rows.keys[level];
    if own.len() == rows.rows {
        // All of them, in their order.
        return encoder.from_canonical(&keys.offsets, &keys.bytes).map_err(|error| error.to_string());
    }
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for &row in own {
        bytes.extend_from_slice(keys.get(row as usize));
        offsets.push(bytes.len() as u32);
    }
    encoder.from_canonical(&offsets, &bytes).map_err(|error| error.to_string())
}

/// Orders the entries of a List state by their sequence numbers.
fn relink(table: &mut Table) {
    let slots = &table.slots;
    let live = (0..slots.rows.len()).filter(|&slot| slots.is_live(slot));
    let mut entries: Vec<(u64, u32)> = live.map(|slot| (slots.key_word(slot, 1), slot)).collect();
    entries.sort_unstable();
    let mut links = Links::default();
    for (_, slot) in entries {
        links.append(slots.parent(slot, true), slot);
    }
    table.links = links;
}

/// Value columns are named by what they mean: `SUM(a)` does not go on as `SUM(b)`, whatever their types.
fn same_names(now: &[SqlField], then: &[FieldIndex]) -> bool {
    now.iter().map(|field| &field.name).eq(then.iter().map(|field| &field.name))
}

fn same_types(now: &[SqlField], then: &[FieldIndex]) -> bool {
    let of_now = now.iter().map(|field| (field.sql_type.to_string(), field.nullable));
    of_now.eq(then.iter().map(|field| (field.sql_type.clone(), field.nullable)))
}
