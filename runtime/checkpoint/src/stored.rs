//! A checkpoint that was opened: its manifest, and what that refers to.

use crate::CheckpointError;
use crate::directory::{Directory, Environment};
use crate::manifest::{FileRecord, KeyedManifest, MANIFEST, Manifest, Place, decode};
use crate::permit::CommitPermit;
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_state::{RestoredSnapshot, SegmentId, read_canonical, snapshot_of_canonical};

/// A checkpoint or savepoint in a directory.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    pub manifest: Manifest,
    /// the one that holds the manifest
    pub directory: Directory,
    blobs: Bytes,
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
        match StoredCheckpoint::open_in(directory.clone()).await {
            Err(CheckpointError::Missing { .. }) => {}
            result => return result,
        }
        let names = directory.list().await?;
        let number = |name: &String| name.strip_prefix("chk-")?.parse::<u64>().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            match StoredCheckpoint::open_in(directory.join(&format!("chk-{number}"))).await {
                // it was being written, or deleted
                Err(CheckpointError::Missing { .. }) => {}
                result => return result,
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
        Ok(StoredCheckpoint { manifest, directory, blobs })
    }

    /// A checkpoint whose parts are at hand.
    pub(crate) fn of_parts(manifest: Manifest, directory: Directory, blobs: Bytes) -> StoredCheckpoint {
        StoredCheckpoint { manifest, directory, blobs }
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
                let read = self.directory.read_range(&file.path, place.offset, place.length).await;
                read.map_err(|error| self.needed(error))
            }
        }
    }

    /// Where `place` is, for messages.
    pub fn show(&self, place: &Place) -> String {
        let file = place.file.and_then(|file| self.manifest.files.get(file as usize));
        self.directory.show(file.map_or(MANIFEST, |file| &file.path))
    }

    /// The segments of a keyed state, fetched: each file that holds some of them is read once.
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
        let mut shown = self.directory.show(MANIFEST);
        for (file, mut places) in of_file {
            places.sort_unstable_by_key(|(_, place)| place.offset);
            let Some(file) = file else {
                for (id, place) in places {
                    segments.insert(id, self.blob(&place)?);
                }
                continue;
            };
            shown = self.show(&Place { file: Some(file), offset: 0, length: 0 });
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
        Ok(RestoredSnapshot::new(keyed.index(), segments, shown))
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
