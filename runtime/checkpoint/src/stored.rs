//! A checkpoint that was opened: its manifest, and what that refers to.

mod check;

use crate::CheckpointError;
use crate::compression::{expand_all, is_compressed};
use crate::directory::{Directory, Environment, blocking, checkpoint_name, checkpoint_number};
use crate::manifest::{FileRecord, KeyedManifest, MANIFEST, Manifest, NamedFile, Place, decode};
use crate::permit::CommitPermit;
use crate::workspace::Workspace;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_state::{
    LocalFile, RestoredSnapshot, SegmentId, StateFile, WorkDirectory, read_canonical, snapshot_of_canonical,
};

/// A checkpoint or savepoint in a directory.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    pub manifest: Manifest,
    /// the one that holds the manifest
    pub directory: Directory,
    blobs: Bytes,
    workspace: Workspace,
}

impl StoredCheckpoint {
    /// Opens a checkpoint by its directory (`../chk-7`) or by its manifest (`../chk-7/_metadata`), or the newest
    /// one of a job by the job's directory.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] if there is none; [`CheckpointError::Truncated`] and
    /// [`CheckpointError::Corrupt`] for a manifest that was damaged.
    pub async fn open(path: &str, environment: &Environment) -> Result<StoredCheckpoint, CheckpointError> {
        let trimmed = path.trim_end_matches('/');
        let trimmed = trimmed.strip_suffix(MANIFEST).unwrap_or(trimmed);
        let directory = Directory::open(trimmed, environment)?;
        let with_workspace = |stored: StoredCheckpoint| stored.with_workspace(Workspace::of(environment));
        match StoredCheckpoint::open_in(directory.clone()).await {
            Err(CheckpointError::Missing { .. }) => {}
            result => return result.map(with_workspace),
        }
        let names = directory.list().await?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| checkpoint_number(name)).collect();
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            match StoredCheckpoint::open_in(directory.join(&checkpoint_name(number))).await {
                // it was being written, or deleted
                Err(CheckpointError::Missing { .. }) => {}
                result => return result.map(with_workspace),
            }
        }
        let hint = match names.is_empty() {
            true => "there is no such directory, or it is empty".to_string(),
            false => format!("it has no {MANIFEST}, and no chk-<n> that has one"),
        };
        Err(CheckpointError::Location(format!(
            "'{path}' is no checkpoint: {hint}; name the directory of one, such as <dir>/<job-id>/chk-7"
        )))
    }

    /// Opens the checkpoint whose manifest lies in `directory`.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] if there is none, otherwise as [`StoredCheckpoint::open`].
    pub async fn open_in(directory: Directory) -> Result<StoredCheckpoint, CheckpointError> {
        let bytes = directory.read(MANIFEST).await?;
        let (manifest, blobs) = decode(&bytes, &directory.show(MANIFEST))?;
        Ok(StoredCheckpoint::of_parts(manifest, directory, blobs))
    }

    /// What else lies in the directory of its job and has a manifest, or why that cannot be read.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`] if they cannot be listed.
    pub async fn siblings(
        &self,
    ) -> Result<Vec<(Directory, Result<StoredCheckpoint, CheckpointError>)>, CheckpointError> {
        StoredCheckpoint::beside(&self.directory).await
    }

    /// The same of a directory that has a checkpoint, or had one.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`] if they cannot be listed.
    pub async fn beside(
        own: &Directory,
    ) -> Result<Vec<(Directory, Result<StoredCheckpoint, CheckpointError>)>, CheckpointError> {
        let parent = own.join("..");
        let mut found = Vec::new();
        for name in parent.list().await? {
            let directory = parent.join(&name);
            if directory.show("") == own.show("") {
                continue;
            }
            match StoredCheckpoint::open_in(directory.clone()).await {
                // a directory without a manifest, or a file
                Err(CheckpointError::Missing { .. }) => {}
                opened => found.push((directory, opened)),
            }
        }
        Ok(found)
    }

    /// A checkpoint whose parts are at hand.
    pub(crate) fn of_parts(manifest: Manifest, directory: Directory, blobs: Bytes) -> StoredCheckpoint {
        let workspace = Workspace::of(&Environment::new());
        StoredCheckpoint { manifest, directory, blobs, workspace }
    }

    /// With another place for files of state that are fetched.
    pub fn with_workspace(self, workspace: Workspace) -> StoredCheckpoint {
        StoredCheckpoint { workspace, ..self }
    }

    /// The right to commit what the checkpoint has on record: it is complete, since it could be opened. `None` if
    /// there is nothing to commit.
    pub fn permit(&self) -> Option<CommitPermit> {
        let committables = &self.manifest.committables;
        (!committables.is_empty())
            .then(|| CommitPermit::new(Some(self.manifest.checkpoint), committables.clone()))
    }

    /// The bytes at `place`.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Truncated`] and [`CheckpointError::Storage`].
    pub async fn bytes(&self, place: &Place) -> Result<Bytes, CheckpointError> {
        match self.file(place)? {
            None => self.blob(place),
            Some(file) => {
                let read = self.directory.read_range_of(file, place.offset, place.length).await;
                read.map_err(|error| self.needed(error))
            }
        }
    }

    /// Where `place` is, for messages.
    pub fn show(&self, place: &Place) -> String {
        let file = place.file.and_then(|file| self.manifest.files.get(file as usize));
        self.directory.show(file.map_or(MANIFEST, |file| &file.path))
    }

    /// The segments and files of a keyed state, fetched: each file that holds some of the segments is read once.
    ///
    /// # Errors
    /// As [`StoredCheckpoint::bytes`].
    pub async fn keyed(&self, keyed: &KeyedManifest) -> Result<RestoredSnapshot, CheckpointError> {
        if !keyed.canonical.is_empty() {
            return self.canonical(keyed).await;
        }
        let mut of_file: BTreeMap<Option<u32>, Vec<(SegmentId, Place)>> = BTreeMap::new();
        for entry in keyed.segments.iter() {
            of_file.entry(entry.place.file).or_default().push((entry.segment.id, entry.place));
        }
        let mut segments = BTreeMap::new();
        // errors name the segment; its file too, if there is but one
        let mut files = of_file.keys().copied();
        let shown = match (files.next(), files.next()) {
            (Some(file), None) => self.show(&Place { file, offset: 0, length: 0 }),
            (None, _) => self.directory.show(MANIFEST),
            _ => self.directory.show(""),
        };
        for (file, mut places) in of_file {
            places.sort_unstable_by_key(|(_, place)| place.offset);
            let Some(file) = file else {
                for (id, place) in places {
                    segments.insert(id, self.blob(&place)?);
                }
                continue;
            };
            for run in runs(places) {
                let (start, end) = (run[0].1.offset, run.iter().map(|(_, place)| end_of(place)).max());
                let length = end.unwrap_or(start) - start;
                let bytes = self.bytes(&Place { file: Some(file), offset: start, length }).await?;
                for (id, place) in run {
                    let from = (place.offset - start) as usize;
                    segments.insert(id, bytes.slice(from..from + place.length as usize));
                }
            }
        }
        if segments.values().any(is_compressed) {
            let file = shown.clone();
            segments = blocking(move || expand_all(segments, &file)).await??;
        }
        let mut snapshot = RestoredSnapshot::new(keyed.index(), segments, shown);
        if !keyed.files.is_empty() {
            self.fetch_files(keyed, &mut snapshot).await?;
        }
        Ok(snapshot)
    }

    /// As [`StoredCheckpoint::keyed`], with segments that each stand alone, and the entries that are in files of a state
    /// backend as such too: those of state `only`, or of all. The files of each state are told besides.
    ///
    /// # Errors
    /// As [`StoredCheckpoint::bytes`], and [`CheckpointError::Corrupt`].
    pub async fn keyed_in_segments(
        &self,
        keyed: &KeyedManifest,
        only: Option<&str>,
    ) -> Result<(RestoredSnapshot, Vec<StateFile>), CheckpointError> {
        let snapshot = self.keyed(keyed).await?;
        if snapshot.files.is_empty() && !keyed.segments.has_changes() {
            return Ok((snapshot, Vec::new()));
        }
        let (base, only) = (self.workspace.directory.clone(), only.map(str::to_string));
        Ok(blocking(move || snapshot.into_segments(&base, only.as_deref())).await??)
    }

    /// Files of this machine stay where they are; others are put into a directory that goes with the snapshot.
    async fn fetch_files(
        &self,
        keyed: &KeyedManifest,
        snapshot: &mut RestoredSnapshot,
    ) -> Result<(), CheckpointError> {
        snapshot.file = self.directory.show("");
        if !self.directory.is_local() {
            let base = self.workspace.directory.clone();
            snapshot.directory = Some(Arc::new(blocking(move || WorkDirectory::create(&base)).await??));
        }
        let directory = snapshot.directory.as_deref().map(WorkDirectory::path);
        let mut fetched = Vec::with_capacity(keyed.files.len());
        for named in &keyed.files {
            fetched.push(self.fetch(named, directory));
        }
        let fetched = futures::stream::iter(fetched);
        snapshot.files = fetched.buffer_unordered(self.workspace.transfers.max(1)).try_collect().await?;
        Ok(())
    }

    async fn fetch(&self, named: &NamedFile, to: Option<&Path>) -> Result<LocalFile, CheckpointError> {
        let place = Place { file: Some(named.file), offset: 0, length: 0 };
        let Some(record) = self.file(&place)? else {
            return Err(self.corrupt("a file without a place".to_string()));
        };
        let FileRecord { path, bytes, .. } = record;
        if named.name.contains('/') {
            return Err(self.corrupt(format!("'{}' is no name of a file", named.name)));
        }
        let (shown, copy) = (self.directory.show(path), self.directory.copy_of(record).await);
        let path = match (copy, to) {
            (Some(copy), _) => copy,
            (None, Some(to)) => {
                let to = to.join(&named.name);
                let (bytes, checksums) =
                    self.directory.download(path, &to).await.map_err(|error| self.needed(error))?;
                record.check(bytes, &checksums, &shown)?;
                to
            }
            (None, None) => {
                let missing = CheckpointError::Missing { file: shown.clone(), needed_by: String::new() };
                let found = self.directory.size(path).await?.ok_or_else(|| self.needed(missing))?;
                if found <= SMALL_BYTES {
                    self.check_file(record).await?;
                } else if found != *bytes {
                    let what = format!("{bytes} bytes are expected");
                    return Err(CheckpointError::Truncated { file: shown, offset: found, what });
                }
                PathBuf::from(shown)
            }
        };
        Ok(LocalFile { name: named.name.clone(), path, bytes: *bytes, shared: false })
    }

    /// The same of a canonical savepoint, as if it had been segments.
    async fn canonical(&self, keyed: &KeyedManifest) -> Result<RestoredSnapshot, CheckpointError> {
        let mut states = Vec::with_capacity(keyed.canonical.len());
        for canonical in &keyed.canonical {
            let place = Place { file: Some(canonical.file), offset: 0, length: 0 };
            let length = self.file(&place)?.map_or(0, |file| file.bytes);
            let bytes = self.bytes(&Place { length, ..place }).await?;
            states.push(read_canonical(&bytes, &self.show(&place))?);
        }
        let snapshot = snapshot_of_canonical(states)?;
        snapshot.ok_or_else(|| self.corrupt("a canonical savepoint without states".to_string()))
    }

    fn file(&self, place: &Place) -> Result<Option<&FileRecord>, CheckpointError> {
        let Some(file) = place.file else { return Ok(None) };
        let found = self.manifest.files.get(file as usize);
        found.map(Some).ok_or_else(|| self.corrupt(format!("file {file} is not in its list")))
    }

    fn blob(&self, place: &Place) -> Result<Bytes, CheckpointError> {
        let end = place.offset.checked_add(place.length).filter(|end| *end <= self.blobs.len() as u64);
        let end = end.ok_or_else(|| self.corrupt(format!("a blob beyond the blobs: {place:?}")))?;
        Ok(self.blobs.slice(place.offset as usize..end as usize))
    }

    fn corrupt(&self, what: String) -> CheckpointError {
        CheckpointError::Corrupt { file: self.directory.show(MANIFEST), offset: 0, what }
    }

    /// Says who needs a file that is missing.
    fn needed(&self, error: CheckpointError) -> CheckpointError {
        match error {
            CheckpointError::Missing { file, .. } => {
                let needed_by = format!(", and {} needs it", self.directory.show(""));
                CheckpointError::Missing { file, needed_by }
            }
            error => error,
        }
    }
}

fn end_of(place: &Place) -> u64 {
    place.offset + place.length
}

/// A file of a state backend that is read to see whether it is sound before a database is opened with it. RocksDB checks blocks of
/// larger ones as it reads them; its list of files, whose end may be lost unseen, is small.
const SMALL_BYTES: u64 = 1 << 20;

/// Bytes between two segments that are not worth a request of their own.
const GAP_BYTES: u64 = 1 << 20;

/// Sorted places, cut where more than [`GAP_BYTES`] that nobody wants lie between two.
fn runs(places: Vec<(SegmentId, Place)>) -> Vec<Vec<(SegmentId, Place)>> {
    let mut runs: Vec<Vec<(SegmentId, Place)>> = Vec::new();
    for (id, place) in places {
        match runs.last_mut() {
            Some(run)
                if run
                    .last()
                    .is_some_and(|(_, last)| place.offset.saturating_sub(end_of(last)) <= GAP_BYTES) =>
            {
                run.push((id, place));
            }
            _ => runs.push(vec![(id, place)]),
        }
    }
    runs
}
