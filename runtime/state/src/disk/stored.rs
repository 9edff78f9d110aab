//! The entries of a snapshot that are in a database's files.

use crate::StateError;
use crate::arena::HANDLE_BYTES;
use crate::backend::KeyedStateBackend;
use crate::descriptor::{FieldKind, Namespace, NamespaceKind, StateDescriptor, StateKind};
use crate::disk::home::{Scratch, WorkDirectory};
use crate::disk::keys::front;
use crate::disk::on_top::OnTop;
use crate::disk::shared::storage;
use crate::disk::snapshot::{CURRENT, MANIFEST, TABLE, local_name};
use crate::disk::stored_db::StoredDb;
use crate::restore::RestoredSnapshot;
use crate::row_layout::{FieldPlace, RowKey, RowLayout};
use crate::segment::{ByteStrings, FieldBytes, FieldRows, SegmentRows};
use crate::snapshot::{LocalFile, SegmentId, SegmentIndex, SnapshotIndex, StateIndex};
use crate::timers::{PREFIX_BYTES, number};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use weir_types::{KeyEncoder, KeyGroupRange, KeyShape};

/// Entries that are handed on at once.
const ROWS: usize = 8192;

/// A snapshot's database.
pub(crate) struct StoredSnapshot {
    pub(crate) db: StoredDb,
    /// names the place that it comes from in errors
    pub(crate) file: String,
    /// goes after the database, which lies in it
    _home: Option<WorkDirectory>,
}

/// What the files of a snapshot are wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// they may stay where they are
    Read,
    /// a database takes them over: links or copies of its own
    TakeOver,
}

/// A file of a state in a snapshot of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    pub state: String,
    /// as [`LocalFile::name`]
    pub name: String,
    pub bytes: u64,
}

/// How the entries of one state lie in a database.
pub(crate) struct EntryShape {
    pub(crate) kind: StateKind,
    pub(crate) namespace: NamespaceKind,
    /// of the key and of the map keys on the way down, the state's own included
    levels: Vec<KeyEncoder>,
    layout: RowLayout,
    places: ValuePlaces,
}

/// Where the parts of a value lie: it is a row without its key, its strings behind it instead of handles in it.
struct ValuePlaces {
    last_access: Option<usize>,
    fields: Vec<ValuePlace>,
    /// where strings begin, and the rest ends
    strings: usize,
}

/// Of a field the byte and the bit that say NULL, and where it begins, if it is no string.
type ValuePlace = (Option<(usize, u8)>, Option<usize>);

impl ValuePlaces {
    fn of(layout: &RowLayout) -> ValuePlaces {
        let is_string = |place: &&FieldPlace| place.kind == FieldKind::Bytes;
        let at = |offset: usize| {
            let handles = layout.fields.iter().filter(is_string).filter(|place| place.offset < offset);
            offset - layout.key.width() - HANDLE_BYTES * handles.count()
        };
        let field = |place: &FieldPlace| {
            let flag = place.null_flag.map(|flag| (at(flag.offset), flag.bit));
            (flag, (place.kind != FieldKind::Bytes).then(|| at(place.offset)))
        };
        let nullable = layout.fields.iter().filter(|place| place.null_flag.is_some()).count();
        ValuePlaces {
            last_access: layout.last_access.map(at),
            fields: layout.fields.iter().map(field).collect(),
            strings: at(layout.live.offset) + (2 + nullable).div_ceil(8),
        }
    }
}

impl StoredSnapshot {
    /// Opens the database of `files` in `directory`, which must not exist, in `home` if that is to go with it.
    pub(crate) fn open(
        files: &[LocalFile],
        directory: PathBuf,
        home: Option<WorkDirectory>,
        access: Access,
        file: &str,
    ) -> Result<Self, StateError> {
        let directory = Scratch::create(directory)?;
        for file in files {
            let local = local_name(&file.name);
            let to = directory.path().join(local);
            if !local.ends_with(TABLE) {
                copy(&file.path, &to)?;
            } else if std::fs::hard_link(&file.path, &to).is_err() {
                match access {
                    Access::Read => {
                        symlink(&file.path, &to).map_err(|error| storage("link", &file.path, &error))?
                    }
                    Access::TakeOver => copy(&file.path, &to)?,
                }
            }
            if local.starts_with(MANIFEST) {
                let current = directory.path().join(CURRENT);
                std::fs::write(&current, format!("{local}\n"))
                    .map_err(|error| storage("write", &current, &error))?;
            }
        }
        let db = match access {
            Access::Read => StoredDb::open_to_read(directory),
            Access::TakeOver => StoredDb::open(directory),
        };
        Ok(StoredSnapshot { db: db?, file: file.to_string(), _home: home })
    }

    /// Goes over the entries of state `name` in key groups of `range` that are not in `on_top`, some thousands at once, those
    /// of one call in one namespace.
    pub(crate) fn for_each(
        &self,
        name: &str,
        shape: &EntryShape,
        range: KeyGroupRange,
        on_top: &mut OnTop,
        mut entries: impl FnMut(&SegmentRows) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let bounds = (front(range.start, Namespace::Void), front(range.end, Namespace::Void));
        let mut rows: Option<SegmentRows> = None;
        self.db.for_each(name, (&bounds.0, &bounds.1), |key, value| {
            if on_top.has(key) {
                return Ok(());
            }
            let corrupt = |what: &str| StateError::Corrupt {
                file: format!("{}, column family {name}", self.file),
                offset: 0,
                what: what.to_string(),
            };
            let namespace = shape.namespace_of(key).ok_or_else(|| corrupt("a key that ends early"))?;
            if rows.as_ref().is_some_and(|rows| rows.namespace != namespace || rows.rows >= ROWS) {
                rows.take().iter().try_for_each(&mut entries)?;
            }
            let rows = rows.get_or_insert_with(|| shape.rows(namespace));
            shape.push(key, value, rows).map_err(corrupt)
        })?;
        rows.iter().try_for_each(entries)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), StateError> {
    std::fs::copy(from, to).map(|_| ()).map_err(|error| storage("copy", from, &error))
}

impl EntryShape {
    pub(crate) fn new(
        kind: StateKind,
        namespace: NamespaceKind,
        levels: Vec<KeyEncoder>,
        layout: RowLayout,
    ) -> EntryShape {
        EntryShape { kind, namespace, levels, places: ValuePlaces::of(&layout), layout }
    }

    fn namespace_of(&self, key: &[u8]) -> Option<Namespace> {
        match self.namespace {
            NamespaceKind::Void => key.first_chunk::<2>().map(|_| Namespace::Void),
            NamespaceKind::Window => key.get(2..10).map(|end_ms| Namespace::Window(number(end_ms))),
        }
    }

    /// No entries yet.
    fn rows(&self, namespace: Namespace) -> SegmentRows {
        let levels = self.levels.len() + usize::from(self.kind.is_timers());
        let fields = self.layout.fields.iter().map(|place| FieldRows {
            kind: place.kind,
            nulls: place.null_flag.map(|_| Vec::new()),
            values: match place.kind {
                FieldKind::Bytes => FieldBytes::Strings(ByteStrings::new()),
                _ => FieldBytes::Fixed(Vec::new()),
            },
        });
        SegmentRows {
            namespace,
            rows: 0,
            key_groups: Vec::new(),
            keys: (0..levels).map(|_| ByteStrings::new()).collect(),
            sequence: Vec::new(),
            last_access: self.layout.last_access.map(|_| Vec::new()),
            fields: fields.collect(),
        }
    }

    /// Adds an entry; says what is wrong if it is none.
    fn push(&self, key: &[u8], value: &[u8], rows: &mut SegmentRows) -> Result<(), &'static str> {
        let (group, mut rest) = key.split_first_chunk::<2>().ok_or("a key that ends early")?;
        rows.key_groups.push(u16::from_be_bytes(*group));
        if self.namespace == NamespaceKind::Window {
            rest = rest.get(8..).ok_or("a key that ends early")?;
        }
        if self.kind.is_timers() {
            let (time, own) = rest.split_at_checked(PREFIX_BYTES).ok_or("a timer without a time")?;
            rows.keys[0].push(own);
            rows.keys[1].push(time);
            rest = &[];
        } else {
            for (level, encoder) in self.levels.iter().enumerate() {
                let length = encoder.canonical_len(rest).map_err(|_| "a key of other types")?;
                let (own, below) = rest.split_at(length);
                rows.keys[level].push(own);
                rest = below;
            }
        }
        if self.kind == StateKind::List {
            let number = rest.try_into().map_err(|_| "an entry of a list without a number")?;
            rows.sequence.push(u64::from_be_bytes(number));
            rest = &[];
        }
        if !rest.is_empty() {
            return Err("a key that is too long");
        }
        self.push_value(value, rows)?;
        rows.rows += 1;
        Ok(())
    }

    fn push_value(&self, value: &[u8], rows: &mut SegmentRows) -> Result<(), &'static str> {
        let (row, places) = (rows.rows, &self.places);
        let (fixed, mut strings) = value.split_at_checked(places.strings).ok_or("a value that ends early")?;
        if let (Some(offset), Some(times)) = (places.last_access, &mut rows.last_access) {
            let time = fixed[offset..].first_chunk().ok_or("a value that ends early")?;
            times.push(u64::from_le_bytes(*time));
        }
        for ((field, (flag, start)), place) in
            rows.fields.iter_mut().zip(&places.fields).zip(&self.layout.fields)
        {
            if let (Some((offset, bit)), Some(nulls)) = (flag, &mut field.nulls) {
                if row.is_multiple_of(8) {
                    nulls.push(0);
                }
                nulls[row / 8] |= u8::from(fixed[*offset] & bit != 0) << (row % 8);
            }
            match (&mut field.values, start.map(|start| &fixed[start..])) {
                (FieldBytes::Fixed(values), Some(field)) => {
                    match (place.kind.width(), field.first_chunk::<8>()) {
                        (8, Some(word)) => values.extend_from_slice(word),
                        (width, _) => values.extend_from_slice(&field[..width]),
                    }
                }
                (FieldBytes::Fixed(_), None) => return Err("a field of another kind"),
                (FieldBytes::Strings(values), _) => {
                    let (length, after) =
                        strings.split_first_chunk::<4>().ok_or("a string without a length")?;
                    let length = u32::from_le_bytes(*length) as usize;
                    let (string, after) = after.split_at_checked(length).ok_or("a string that ends early")?;
                    values.push(string);
                    strings = after;
                }
            }
        }
        if strings.is_empty() { Ok(()) } else { Err("a value that is too long") }
    }
}

impl KeyedStateBackend {
    /// Opens the files of a snapshot that is restored.
    pub(crate) fn open_stored(&self, snapshot: &RestoredSnapshot) -> Result<StoredSnapshot, StateError> {
        let RestoredSnapshot { files, file, .. } = snapshot;
        let opened = match (&self.disk, &self.scratch) {
            (Some(disk), _) => {
                StoredSnapshot::open(files, disk.store.scratch("restored"), None, Access::TakeOver, file)
            }
            (None, Some(base)) => {
                let home = WorkDirectory::create(base)?;
                StoredSnapshot::open(files, home.path().join("restored"), Some(home), Access::Read, file)
            }
            (None, None) => Err(StateError::Storage(
                "a snapshot of files is restored, and there is no directory to open them in".to_string(),
            )),
        };
        opened.map_err(|error| by_stored_name(error, files))
    }
}

/// A damaged file as it is called where it is stored: RocksDB knows it by the name of a link or of a copy.
fn by_stored_name(error: StateError, files: &[LocalFile]) -> StateError {
    let StateError::Corrupt { what, .. } = &error else { return error };
    let mut words: Vec<&str> = what.split(' ').collect();
    let is_of = |word: &str, file: &LocalFile| {
        word.trim_end_matches([':', ',', '.'])
            .rsplit_once('/')
            .is_some_and(|(_, name)| name == local_name(&file.name))
    };
    // RocksDB doubts its list of files as well, where it cannot read one of them
    let tables = files.iter().filter(|file| file.name.ends_with(TABLE));
    let mut files = tables.chain(files.iter().filter(|file| !file.name.ends_with(TABLE)));
    let found = files.find_map(|file| Some((file, words.iter().position(|word| is_of(word, file))?)));
    let Some((file, place)) = found else { return error };
    words[place] = local_name(&file.name);
    let after =
        |word: &[&str]| Some(word).filter(|word| word[0] == "offset").and_then(|word| word[1].parse().ok());
    let offset = words.windows(2).find_map(after).unwrap_or(0);
    StateError::Corrupt { file: file.path.display().to_string(), offset, what: words.join(" ") }
}

impl EntryShape {
    /// Of a state as the index of a snapshot tells of it.
    fn of(index: &SnapshotIndex, state: &StateIndex) -> Result<EntryShape, StateError> {
        let levels = crate::entries::levels(index, state)?;
        let levels = levels.iter().map(|fields| StateDescriptor::encoder(fields));
        let levels: Vec<KeyEncoder> = levels.collect::<Result<_, _>>()?;
        let shape = levels.last().map_or(KeyShape::Bytes, KeyEncoder::shape);
        let fields = crate::entries::fields_of(&state.value_fields, &state.name)?;
        let layout = RowLayout::new(RowKey::of_kind(state.kind, shape), &fields, state.ttl_ms.is_some())?;
        Ok(EntryShape::new(state.kind, state.namespace, levels, layout))
    }
}

impl RestoredSnapshot {
    /// The same entries in segments that each stand alone, those of a snapshot of files included (of state `only`, or of
    /// all), and the files of each state. `base` is a directory in which a [`WorkDirectory`] may be made meanwhile.
    ///
    /// # Errors
    /// [`StateError::Storage`] for files that are damaged, [`StateError::Corrupt`] for entries that are none.
    pub fn into_segments(
        self,
        base: &Path,
        only: Option<&str>,
    ) -> Result<(RestoredSnapshot, Vec<StateFile>), StateError> {
        let whole = self.laid_out()?;
        if whole.files.is_empty() {
            return Ok((whole, Vec::new()));
        }
        let files = whole.files.clone();
        whole.files_into_segments(base, only).map_err(|error| by_stored_name(error, &files))
    }

    /// Checks every block of the files by the checksums that the state backend gave it. `base` is as in
    /// [`RestoredSnapshot::into_segments`].
    ///
    /// # Errors
    /// [`StateError::Corrupt`] with the file and the offset, and [`StateError::Storage`].
    pub fn check_files(&self, base: &Path) -> Result<(), StateError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let opened = WorkDirectory::create(base).and_then(|home| {
            let directory = home.path().join("read");
            StoredSnapshot::open(&self.files, directory, Some(home), Access::Read, &self.file)
        });
        let checked = opened.and_then(|stored| stored.db.check());
        checked.map_err(|error| by_stored_name(error, &self.files))
    }

    fn files_into_segments(
        self,
        base: &Path,
        only: Option<&str>,
    ) -> Result<(RestoredSnapshot, Vec<StateFile>), StateError> {
        let mut whole = self;
        let home = WorkDirectory::create(base)?;
        let directory = home.path().join("read");
        let stored = StoredSnapshot::open(&whole.files, directory, Some(home), Access::Read, &whole.file)?;
        let (index, of_files) = stored.in_segments(&whole.index, &whole.segments, only)?;
        let name_of = |local: &str| whole.files.iter().find(|file| local_name(&file.name) == local);
        let files = stored.db.files()?.into_iter().filter_map(|(state, local, bytes)| {
            Some(StateFile { state, name: name_of(&local)?.name.clone(), bytes })
        });
        let files = files.collect();
        whole.segments.extend(of_files);
        Ok((RestoredSnapshot::new(index, whole.segments, whole.file), files))
    }
}

impl StoredSnapshot {
    /// The entries of the database that are not in `segments`, as segments that each stand alone: of state `only`, or of all;
    /// and `index`, that of the snapshot, with these besides those that it names.
    pub(crate) fn in_segments(
        &self,
        index: &SnapshotIndex,
        segments: &BTreeMap<SegmentId, Bytes>,
        only: Option<&str>,
    ) -> Result<(SnapshotIndex, BTreeMap<SegmentId, Bytes>), StateError> {
        let mut with_files = index.clone();
        let mut of_files = BTreeMap::new();
        let own = index.segments().filter(|segment| segment.id.checkpoint == index.checkpoint);
        let first = own.map(|segment| segment.id.number + 1).max().unwrap_or(0);
        for state in &mut with_files.states {
            if only.is_some_and(|only| only != state.name) || !self.db.has_entries(&state.name)? {
                continue;
            }
            let mut on_top = OnTop::of(state, segments, &self.file)?;
            self.state_in_segments(index, state, first, &mut on_top, &mut of_files)?;
        }
        Ok((with_files, of_files))
    }

    /// Adds the entries of one state that are not in `on_top` to `state` and `segments`, with numbers from `first` on.
    fn state_in_segments(
        &self,
        index: &SnapshotIndex,
        state: &mut StateIndex,
        first: u32,
        on_top: &mut OnTop,
        segments: &mut BTreeMap<SegmentId, Bytes>,
    ) -> Result<(), StateError> {
        let shape = EntryShape::of(index, state)?;
        let name = state.name.clone();
        self.for_each(&name, &shape, index.key_groups, on_top, |rows| {
            let id = SegmentId { checkpoint: index.checkpoint, number: first + segments.len() as u32 };
            let bytes = rows.to_bytes(shape.kind);
            let window_end_ms = match rows.namespace {
                Namespace::Void => None,
                Namespace::Window(end_ms) => Some(end_ms),
            };
            let (count, length) = (rows.rows as u32, bytes.len() as u64);
            state.segments.push(SegmentIndex {
                id,
                window_end_ms,
                rows: count,
                bytes: length,
                changes: false,
            });
            segments.insert(id, bytes);
            Ok(())
        })
    }
}
