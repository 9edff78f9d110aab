//! Writing the snapshot of one task.

use super::pack::{Pack, PackFile, Packed};
use super::{CheckpointStore, Known};
use crate::CheckpointError;
use crate::checksums::FileChecksums;
use crate::compression::{compress, expand_all};
use crate::directory::{Directory, blocking};
use crate::handle::{KeyedHandle, Location, OperatorHandle, StoredFile, SubtaskHandle, UploadId};
use crate::snapshot::{OperatorSnapshot, SubtaskSnapshot, TaskId};
use bytes::Bytes;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use weir_state::{LocalFile, SegmentId, Snapshot};
use weir_types::{Barrier, CheckpointKind, OperatorId, SubtaskIndex};

/// Where the files of one task's snapshot go.
struct Target {
    barrier: Barrier,
    task: TaskId,
    /// what only this checkpoint uses, and what others may use; `None`: memory
    directories: Option<(Directory, Directory)>,
}

impl CheckpointStore {
    /// Writes a task's snapshot: what no complete checkpoint holds. Other tasks get their turn after each segment.
    ///
    /// # Errors
    /// [`CheckpointError::Failed`] for state that is too large for memory, and those of the directory.
    pub async fn upload(
        &self,
        barrier: Barrier,
        task: TaskId,
        snapshot: SubtaskSnapshot,
    ) -> Result<SubtaskHandle, CheckpointError> {
        let target = Target { barrier, task, directories: self.directories(barrier) };
        let mut written = Vec::new();
        let result = self.write(&target, snapshot, &mut written).await;
        if let Ok(handle) = &result {
            // what earlier checkpoints hold too: they may be replaced before this one is complete
            written = handle.distinct_files();
        }
        let upload = self.hold_upload(written);
        match result {
            Ok(handle) => Ok(SubtaskHandle { upload, ..handle }),
            Err(error) => {
                // what cannot be deleted now is left lying: the first error is what counts
                let _ = self.discard(upload).delete().await;
                Err(error)
            }
        }
    }

    fn hold_upload(&self, written: Vec<Arc<StoredFile>>) -> UploadId {
        let mut state = self.state();
        state.references.hold(&written);
        let upload = UploadId(state.next_upload);
        state.next_upload += 1;
        state.uploads.insert(upload, written);
        upload
    }

    fn directories(&self, barrier: Barrier) -> Option<(Directory, Directory)> {
        let own = self.directory_of(barrier)?;
        match barrier.kind {
            CheckpointKind::Savepoint => Some((own.clone(), own)),
            _ if self.config.in_memory => None,
            CheckpointKind::Incremental => Some((own.clone(), own.join("../shared"))),
            CheckpointKind::Full => Some((own.clone(), own)),
        }
    }

    async fn write(
        &self,
        target: &Target,
        snapshot: SubtaskSnapshot,
        written: &mut Vec<Arc<StoredFile>>,
    ) -> Result<SubtaskHandle, CheckpointError> {
        let SubtaskSnapshot { subtask, chain, operators, mut times } = snapshot;
        let mut handles = BTreeMap::new();
        let mut small = Pack::new(self.pack_file(target, false, ""));
        let mut small_parts = Vec::new();
        for (place, (operator, snapshot)) in operators.into_iter().enumerate() {
            let OperatorSnapshot { source, keyed, operator_state, in_flight } = snapshot;
            let keyed = match keyed {
                Some(keyed) => {
                    let name = format!("-{place}");
                    let (handle, new_bytes) =
                        self.write_keyed(target, &operator, subtask, keyed, &name, written).await?;
                    times.new_bytes += new_bytes;
                    Some(handle)
                }
                None => None,
            };
            let mut parts: (Option<Packed>, Vec<(u32, Packed)>) = (None, Vec::new());
            if let Some(bytes) = operator_state {
                parts.0 = Some(small.add(bytes).await?);
            }
            for (input, bytes) in in_flight {
                times.in_flight_bytes += bytes.len() as u64;
                parts.1.push((input, small.add(bytes).await?));
            }
            let handle = OperatorHandle { source, keyed, ..OperatorHandle::default() };
            handles.insert(operator.clone(), handle);
            small_parts.push((operator, parts));
        }
        times.new_bytes += small.bytes();
        let places = small.finish().await?;
        written.extend(places.written.clone());
        for (operator, (operator_state, in_flight)) in small_parts {
            let Some(handle) = handles.get_mut(&operator) else { continue };
            handle.operator_state = operator_state.map(|packed| places.of(packed));
            handle.in_flight =
                in_flight.into_iter().map(|(input, packed)| (input, places.of(packed))).collect();
        }
        let mut handle =
            SubtaskHandle { upload: UploadId(u64::MAX), subtask, chain, operators: handles, times };
        handle.times.state_bytes = handle.operators.values().map(OperatorHandle::bytes).sum();
        self.check_memory(target, &handle)?;
        Ok(handle)
    }

    /// The handle, and the bytes of segments and files that are new.
    async fn write_keyed(
        &self,
        target: &Target,
        operator: &OperatorId,
        subtask: SubtaskIndex,
        snapshot: Snapshot,
        name: &str,
        written: &mut Vec<Arc<StoredFile>>,
    ) -> Result<(KeyedHandle, u64), CheckpointError> {
        let mut snapshot = prepared(snapshot).await?;
        if target.directories.is_none() && snapshot.has_files() {
            return self.write_in_memory(operator, subtask, snapshot).await;
        }
        let mut pack = Pack::new(self.pack_file(target, true, name));
        let mut packed: BTreeMap<SegmentId, Packed> = BTreeMap::new();
        while let Some(segment) = snapshot.next_segment() {
            let bytes = if self.config.compression { compress(segment.bytes) } else { segment.bytes };
            packed.insert(segment.id, pack.add(bytes).await?);
            if let Some(bytes) = pack.spent() {
                snapshot.reuse(bytes);
            }
            give_way().await;
        }
        let mut new_bytes = pack.bytes();
        let (files, new_files) = self.write_files(target, &snapshot, written).await?;
        new_bytes += new_files;
        let index = snapshot.finish();
        let mut segments = self.known_segments(operator, subtask, &index, &packed)?;
        let inline = segments.values().filter(|location| matches!(location, Location::Inline(_)));
        if pack.overflows(inline.map(Location::length).sum()) {
            // what earlier checkpoints inlined has become too much to be written with each of them
            for (id, location) in &segments {
                if let Location::Inline(bytes) = location {
                    packed.insert(*id, pack.add(bytes.clone()).await?);
                }
            }
        }
        let places = pack.finish().await?;
        written.extend(places.written.clone());
        segments.extend(packed.into_iter().map(|(id, packed)| (id, places.of(packed))));
        Ok((KeyedHandle { index, segments, files }, new_bytes))
    }

    /// Where there are no files, entries in files become segments.
    async fn write_in_memory(
        &self,
        operator: &OperatorId,
        subtask: SubtaskIndex,
        snapshot: Snapshot,
    ) -> Result<(KeyedHandle, u64), CheckpointError> {
        let known = self.state().known.segments.get(&(operator.clone(), subtask)).cloned();
        let inline = known.into_iter().flatten().filter_map(|(id, location)| match location {
            Location::Inline(bytes) => Some((id, bytes)),
            Location::File { .. } => None,
        });
        let earlier: BTreeMap<SegmentId, Bytes> = inline.collect();
        let finish = move || -> Result<_, CheckpointError> {
            let earlier = expand_all(earlier, "an earlier checkpoint in memory")?;
            Ok(snapshot.finish_in_segments(earlier)?)
        };
        let (index, new) = blocking(finish).await??;
        let new_bytes = new.iter().map(|segment| segment.bytes.len() as u64).sum();
        let new = new.into_iter().map(|segment| (segment.id, Location::Inline(segment.bytes)));
        let new: BTreeMap<SegmentId, Location> = new.collect();
        let mut segments = self.known_segments(operator, subtask, &index, &new)?;
        segments.extend(new);
        Ok((KeyedHandle { index, segments, files: Vec::new() }, new_bytes))
    }

    /// Where the segments are that the snapshot did not write.
    fn known_segments<T>(
        &self,
        operator: &OperatorId,
        subtask: SubtaskIndex,
        index: &weir_state::SnapshotIndex,
        new: &BTreeMap<SegmentId, T>,
    ) -> Result<BTreeMap<SegmentId, Location>, CheckpointError> {
        let state = self.state();
        let Known { segments: known, .. } = &state.known;
        let known = known.get(&(operator.clone(), subtask));
        let mut segments = BTreeMap::new();
        for segment in index.segments().filter(|segment| !new.contains_key(&segment.id)) {
            let Some(location) = known.and_then(|known| known.get(&segment.id)) else {
                let reason =
                    format!("{operator} refers to segment {:?}, which no checkpoint holds", segment.id);
                return Err(CheckpointError::Failed { checkpoint: index.checkpoint, reason });
            };
            segments.insert(segment.id, location.clone());
        }
        Ok(segments)
    }

    /// Uploads the files of a state backend that no complete checkpoint holds.
    async fn write_files(
        &self,
        target: &Target,
        snapshot: &Snapshot,
        written: &mut Vec<Arc<StoredFile>>,
    ) -> Result<(Vec<(String, Arc<StoredFile>)>, u64), CheckpointError> {
        let Some(directories) = &target.directories else { return Ok((Vec::new(), 0)) };
        let may_share = target.barrier.kind == CheckpointKind::Incremental;
        let known = |file: &LocalFile| self.state().known.files.get(&file.name).cloned();
        let (mut files, mut uploads) = (Vec::new(), Vec::new());
        for file in snapshot.files() {
            match known(file) {
                Some(known) if may_share => files.push((file.name.clone(), known)),
                known => {
                    let checksums = known.and_then(|known| known.checksums.clone());
                    uploads.push(upload_file(target.barrier, directories, file, checksums));
                }
            }
        }
        let uploads = futures::stream::iter(uploads);
        // All of them come to an end, so that it is known which are there.
        let uploaded: Vec<_> =
            uploads.buffer_unordered(self.config.workspace.transfers.max(1)).collect().await;
        let (mut new_bytes, mut failure) = (0, None);
        for result in uploaded {
            match result {
                Ok((name, stored)) => {
                    new_bytes += stored.bytes;
                    written.push(stored.clone());
                    files.push((name, stored));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok((files, new_bytes)), Err)
    }

    fn pack_file(&self, target: &Target, shared: bool, suffix: &str) -> Option<PackFile> {
        let (own, others) = target.directories.clone()?;
        let directory = if shared { others } else { own };
        let name = format!("{}-{}{suffix}", target.barrier.id, target.task.0);
        let (inline_bytes, buffer_bytes) = (self.config.inline_bytes, self.config.write_buffer_bytes);
        Some(PackFile { directory, name, inline_bytes, buffer_bytes })
    }

    fn check_memory(&self, target: &Target, handle: &SubtaskHandle) -> Result<(), CheckpointError> {
        let limit = self.config.memory_state_bytes;
        let large = handle.operators.iter().find(|(_, kept)| kept.bytes() > limit);
        let Some((operator, kept)) = large.filter(|_| target.directories.is_none()) else { return Ok(()) };
        let reason = format!(
            "{operator} keeps {} bytes in subtask {}, and at most {limit} stay in memory: set \
             'execution.checkpointing.dir' and leave 'execution.checkpointing.storage' at 'filesystem', or raise \
             'execution.checkpointing.max-state-size-in-memory'",
            kept.bytes(),
            handle.subtask.0
        );
        Err(CheckpointError::Failed { checkpoint: target.barrier.id, reason })
    }
}

impl OperatorHandle {
    /// Of all its state; elements in flight are none.
    pub(super) fn bytes(&self) -> u64 {
        let keyed = self.keyed.iter().map(|keyed| {
            let segments: u64 = keyed.segments.values().map(Location::length).sum();
            segments + keyed.files.iter().map(|(_, file)| file.bytes).sum::<u64>()
        });
        keyed.sum::<u64>() + self.operator_state.as_ref().map_or(0, Location::length)
    }
}

/// A snapshot whose files are there.
async fn prepared(mut snapshot: Snapshot) -> Result<Snapshot, CheckpointError> {
    if !snapshot.has_files() {
        return Ok(snapshot);
    }
    let prepare = move || snapshot.prepare().map(|()| snapshot);
    Ok(blocking(prepare).await??)
}

async fn upload_file(
    barrier: Barrier,
    (own, shared): &(Directory, Directory),
    file: &LocalFile,
    checksums: Option<FileChecksums>,
) -> Result<(String, Arc<StoredFile>), CheckpointError> {
    let directory = if file.shared { shared } else { own };
    // an earlier checkpoint may have begun to write it, and failed
    let name = format!("{}-{}", barrier.id, file.name);
    let (bytes, checksums) = directory.upload(&name, &file.path, checksums).await?;
    let (directory, checksums) = (directory.clone(), Some(checksums));
    Ok((file.name.clone(), Arc::new(StoredFile { directory, name, bytes, checksums })))
}

/// Lets other tasks of the thread run.
async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
