//! A state backend, its checkpoints in a store, and what is left of them in the directory.

use super::*;
use crate::Environment;
use crate::handle::SubtaskHandle;
use crate::manifest::ManifestKind;
use crate::pending::PendingCheckpoint;
use crate::permit::Committables;
use crate::snapshot::{OperatorSnapshot, SourceSnapshot, SplitPosition, SubtaskSnapshot, TaskId};
use arrow::array::{ArrayRef, Int64Array};
use futures::StreamExt;
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeSet;
use weir_state::{
    KeyedStateBackend, Namespace, NamespaceKind, Slots, SnapshotMode, StateDescriptor, StateId,
};
use weir_types::{KeyGroupRange, SplitId, SqlField, SqlType};

/// One task with one operator that counts keys.
struct Counter {
    backend: KeyedStateBackend,
    counts: StateId,
}

impl Counter {
    fn new(backend: KeyedStateBackend) -> Counter {
        let mut backend = backend;
        let key = vec![SqlField::new("k", SqlType::BigInt, false)];
        let count = vec![SqlField::new("n", SqlType::BigInt, false)];
        let descriptor = StateDescriptor::value("agg/counts", key, NamespaceKind::Void, count);
        let counts = backend.register(descriptor).expect("a state");
        Counter { backend, counts }
    }

    fn empty() -> Counter {
        Counter::new(KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128))
    }

    fn slots(&mut self, keys: &[i64]) -> Slots {
        // numbers from all over, so that none of their bytes can be left out where they are stored
        let mixed = keys.iter().map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64));
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(mixed));
        let keys = self.backend.encoder(self.counts).encode(&[column], keys.len()).expect("keys");
        let mut found = Slots::default();
        self.backend.resolve(self.counts, Namespace::Void, &keys, &mut found);
        found
    }

    fn add(&mut self, keys: std::ops::Range<i64>) {
        let keys: Vec<i64> = keys.collect();
        let found = self.slots(&keys);
        let counts = self.backend.rows(self.counts, Namespace::Void).column::<i64>(0);
        found.slots.iter().for_each(|slot| counts.update_option(*slot, |count| count.unwrap_or(0) + 1));
    }

    fn total(&mut self, keys: std::ops::Range<i64>) -> i64 {
        let keys: Vec<i64> = keys.collect();
        let found = self.slots(&keys);
        let counts = self.backend.rows(self.counts, Namespace::Void).column::<i64>(0);
        found.slots.iter().map(|slot| counts.get_option(*slot).unwrap_or(0)).sum()
    }
}

fn config(directory: Option<Directory>) -> StoreConfig {
    StoreConfig {
        in_memory: directory.is_none(),
        directory,
        inline_bytes: 1000,
        write_buffer_bytes: 4096,
        compression: false,
        memory_state_bytes: 5 << 20,
        workspace: Workspace::of(&Environment::new()),
        retained: 1,
    }
}

fn barrier(id: u64) -> Barrier {
    Barrier::of(CheckpointId(id))
}

async fn upload(
    store: &CheckpointStore,
    counter: &mut Counter,
    barrier: Barrier,
) -> Result<SubtaskHandle, CheckpointError> {
    let mode = match barrier.kind {
        CheckpointKind::Incremental => SnapshotMode::Incremental,
        _ => SnapshotMode::Full,
    };
    let position = SplitPosition { split: SplitId::new("a"), position: Some(barrier.id.to_string()) };
    let operator = OperatorSnapshot {
        source: Some(SourceSnapshot { splits: vec![position], finished: Vec::new() }),
        keyed: Some(counter.backend.snapshot(barrier.id, mode)),
        operator_state: Some(Bytes::from_static(b"state of the operator")),
        in_flight: vec![(1, Bytes::from(vec![7; 3000]))],
    };
    let snapshot = SubtaskSnapshot {
        subtask: SubtaskIndex(0),
        chain: Arc::from([OperatorId::new("agg")]),
        operators: BTreeMap::from([(OperatorId::new("agg"), operator)]),
        times: Default::default(),
    };
    store.upload(barrier, TaskId(0), snapshot).await
}

fn completed(barrier: Barrier, handle: SubtaskHandle) -> CompletedCheckpoint {
    let task = TaskId(0);
    let mut pending = PendingCheckpoint::new(barrier, None, 5, BTreeSet::from([task]), &BTreeMap::new());
    pending.acknowledge(task, handle).expect("it is waited for");
    let committables =
        Committables { operator: OperatorId::new("sink"), committables: vec![barrier.id.to_string()] };
    pending.complete(12, vec![committables], Vec::new())
}

/// Takes a checkpoint, deletes what it replaces, and has the backend rewrite what it should.
async fn checkpoint(store: &CheckpointStore, counter: &mut Counter, barrier: Barrier) -> Stored {
    let handle = upload(store, counter, barrier).await.expect("uploaded");
    let mut stored = store.store(&completed(barrier, handle), 99).await.expect("stored");
    std::mem::take(&mut stored.garbage).delete().await.expect("deleted");
    if barrier.kind == CheckpointKind::Incremental {
        counter.backend.notify_complete(barrier.id);
    }
    for rewrite in &stored.rewrites {
        counter.backend.rewrite(&rewrite.checkpoints);
    }
    stored
}

async fn restored(stored: &StoredCheckpoint) -> Counter {
    let subtask = &stored.manifest.operators[0].subtasks[0];
    let keyed = stored.keyed(subtask.keyed.as_ref().expect("keyed")).await.expect("fetched");
    let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
    backend.restore(vec![keyed]).expect("restored");
    Counter::new(backend)
}

struct World {
    objects: Arc<InMemory>,
    root: Directory,
}

impl World {
    fn new() -> World {
        let objects = Arc::new(InMemory::new());
        let root = Directory::of_store(objects.clone(), "mem://b", "chk");
        World { objects, root }
    }

    fn store(&self, change: impl FnOnce(&mut StoreConfig)) -> CheckpointStore {
        let mut config = config(Some(self.root.join("job")));
        change(&mut config);
        CheckpointStore::new(config, JobRecord::default())
    }

    async fn files(&self) -> Vec<String> {
        self.list().await.into_iter().map(|(name, _)| name).collect()
    }

    async fn bytes(&self) -> u64 {
        self.list().await.into_iter().map(|(_, bytes)| bytes).sum()
    }

    async fn list(&self) -> Vec<(String, u64)> {
        let mut listed = self.objects.list(None);
        let mut files = Vec::new();
        while let Some(meta) = listed.next().await {
            let meta = meta.expect("listed");
            files.push((meta.location.to_string(), meta.size));
        }
        files.sort_unstable();
        files
    }
}

#[test]
fn small_state_is_part_of_the_metadata() {
    let world = World::new();
    let (store, mut counter) = (world.store(|config| config.inline_bytes = 100_000), Counter::empty());
    block_on(async {
        counter.add(0..100);
        let first = checkpoint(&store, &mut counter, barrier(1)).await;
        assert_eq!(first.path.as_deref(), Some("mem://b/chk/job/chk-1"));
        assert_eq!(world.files().await, ["chk/job/chk-1/_metadata"]);
        let second = checkpoint(&store, &mut counter, barrier(2)).await;
        assert_eq!(
            world.files().await,
            ["chk/job/chk-2/_metadata"],
            "the first is replaced, its state written again"
        );
        assert_eq!(second.manifest.statistics.new_bytes, 3021, "nothing of the keyed state is new");
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-2")).await.expect("opened");
        assert_eq!(opened.manifest, *second.manifest);
        assert_eq!(opened.manifest.kind, ManifestKind::Checkpoint);
        assert_eq!(opened.manifest.committables[0].committables, ["2"]);
        let subtask = &opened.manifest.operators[0].subtasks[0];
        let state = opened.bytes(subtask.operator_state.as_ref().expect("state")).await.expect("read");
        assert_eq!(&state[..], b"state of the operator");
        assert_eq!(opened.bytes(&subtask.in_flight[0].place).await.expect("read").len(), 3000);
        assert_eq!(restored(&opened).await.total(0..100), 100);
    });
}

/// Ever more small increments must not make ever larger metadata.
#[test]
fn what_was_inlined_moves_to_a_file_once_it_is_much() {
    let world = World::new();
    let (store, mut counter) = (world.store(|config| config.inline_bytes = 100_000), Counter::empty());
    block_on(async {
        for id in 1..=30 {
            counter.add(id * 1000..(id + 1) * 1000);
            checkpoint(&store, &mut counter, barrier(id as u64)).await;
            let metadata = world.root.size(&format!("job/chk-{id}/_metadata")).await.expect("asked");
            assert!(metadata.is_some_and(|bytes| bytes < 140_000), "{metadata:?}");
        }
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-30")).await.expect("opened");
        assert_eq!(restored(&opened).await.total(0..40_000), 30_000);
    });
}

#[test]
fn only_what_is_new_is_written_and_old_files_stay_while_they_are_needed() {
    let world = World::new();
    let (store, mut counter) = (world.store(|config| config.retained = 2), Counter::empty());
    block_on(async {
        counter.add(0..200_000);
        let first = checkpoint(&store, &mut counter, barrier(1)).await.manifest.statistics.clone();
        assert!(first.new_bytes > 1_600_000 && first.new_bytes == first.state_bytes + 3000, "{first:?}");
        for id in 2..=5 {
            counter.add(0..1000);
            let statistics = checkpoint(&store, &mut counter, barrier(id)).await.manifest.statistics.clone();
            assert!(statistics.new_bytes < first.new_bytes / 10, "checkpoint {id}: {statistics:?}");
        }
        let files = world.files().await;
        let shared = |name: &&String| name.contains("/shared/");
        let names: Vec<&String> = files.iter().filter(shared).collect();
        assert_eq!(names, ["chk/job/shared/1-0-0", "chk/job/shared/4-0-0", "chk/job/shared/5-0-0"]);
        for (id, total) in [(4, 203_000), (5, 204_000)] {
            let opened =
                StoredCheckpoint::open_in(world.root.join(&format!("job/chk-{id}"))).await.expect("opened");
            assert_eq!(restored(&opened).await.total(0..200_000), total);
        }
        assert_eq!(store.latest().map(|latest| latest.manifest.checkpoint), Some(CheckpointId(5)));
        store.end(true).delete().await.expect("deleted");
        assert_eq!(world.files().await, files, "kept");
        store.end(false).delete().await.expect("deleted");
        assert!(world.files().await.is_empty(), "{:?}", world.files().await);
    });
}

/// Whatever the settings say by the time that it is read.
#[test]
fn what_is_compressed_is_smaller_and_comes_back() {
    let (world, other) = (World::new(), World::new());
    let (mut counter, mut same) = (Counter::empty(), Counter::empty());
    let compressed = world.store(|config| config.compression = true);
    let plain = other.store(|_| {});
    block_on(async {
        for counter in [&mut counter, &mut same] {
            let keys: Vec<i64> = (0..50_000).collect();
            let found = counter.slots(&keys);
            let counts = counter.backend.rows(counter.counts, Namespace::Void).column::<i64>(0);
            // one in a hundred is large, so that packing gains nothing
            found.slots.iter().for_each(|&slot| counts.set(slot, i64::from(slot % 100 == 0) << 40));
        }
        let of_compressed = checkpoint(&compressed, &mut counter, barrier(1)).await;
        let of_plain = checkpoint(&plain, &mut same, barrier(1)).await;
        let bytes = [&of_compressed, &of_plain].map(|stored| stored.manifest.statistics.new_bytes);
        assert!(bytes[0] * 5 < bytes[1] * 4, "{bytes:?}");
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-1")).await.expect("opened");
        assert_eq!(restored(&opened).await.total(0..50_000), 500 << 40);
        counter.add(0..1000);
        checkpoint(&compressed, &mut counter, barrier(2)).await;
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-2")).await.expect("opened");
        assert_eq!(restored(&opened).await.total(0..50_000), (500 << 40) + 1000);
        let name = world.files().await.into_iter().find(|name| name.ends_with("/shared/1-0-0"));
        let path = object_store::path::Path::from(name.expect("a file of segments"));
        let mut damaged =
            world.objects.get(&path).await.expect("there").bytes().await.expect("read").to_vec();
        damaged[4..12].fill(0xff);
        world.objects.put(&path, damaged.into()).await.expect("written");
        let keyed = &opened.manifest.operators[0].subtasks[0].keyed;
        let error = opened.keyed(keyed.as_ref().expect("keyed state")).await;
        assert!(error.is_err_and(|error| error.to_string().contains("cannot be expanded")));
    });
}

#[test]
fn space_is_bounded_by_the_state_however_long_the_job_runs() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    let mut random: u64 = 7;
    block_on(async {
        counter.add(0..200_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        let (full, mut most, mut written) = (world.bytes().await, 0, 0);
        for id in 2..200 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let start = (random >> 33) as i64 % 190_000;
            counter.add(start..start + 10_000);
            written += checkpoint(&store, &mut counter, barrier(id)).await.manifest.statistics.new_bytes;
            most = most.max(world.bytes().await);
        }
        assert!(most < full * 5 / 2, "{most} bytes, for a state of {full}");
        assert!(written < 200 * full / 5, "{written} bytes written");
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-199")).await.expect("opened");
        assert_eq!(restored(&opened).await.total(0..200_000), 200_000 + 198 * 10_000);
    });
}

#[test]
fn a_checkpoint_that_does_not_come_about_leaves_nothing() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    block_on(async {
        counter.add(0..10_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        let before = world.files().await;
        counter.add(0..10_000);
        let handle = upload(&store, &mut counter, barrier(2)).await.expect("uploaded");
        assert!(world.files().await.len() > before.len());
        store.discard(handle.upload).delete().await.expect("deleted");
        assert_eq!(world.files().await, before);
        // somebody else's checkpoint is there already
        world.root.create("job/chk-3/_metadata", Bytes::from_static(b"x")).await.expect("created");
        let handle = upload(&store, &mut counter, barrier(3)).await.expect("uploaded");
        let error = store.store(&completed(barrier(3), handle), 0).await.expect_err("it exists");
        assert!(error.to_string().contains("exists already"), "{error}");
        let stored = checkpoint(&store, &mut counter, barrier(4)).await;
        assert_eq!(stored.manifest.checkpoint, CheckpointId(4));
        assert_eq!(restored(&store.latest().expect("kept")).await.total(0..10_000), 20_000);
    });
}

#[test]
fn savepoints_are_whole_and_are_not_ours_to_delete() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    block_on(async {
        counter.add(0..10_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        let savepoint = Barrier { kind: CheckpointKind::Savepoint, ..barrier(2) };
        store.begin_savepoint(CheckpointId(2), world.root.join("savepoint-1"), SavepointFormat::Native);
        let stored = checkpoint(&store, &mut counter, savepoint).await;
        assert_eq!(stored.path.as_deref(), Some("mem://b/chk/savepoint-1"));
        counter.add(0..10_000);
        checkpoint(&store, &mut counter, barrier(3)).await;
        store.end(false).delete().await.expect("deleted");
        let files = world.files().await;
        assert!(files.iter().all(|file| file.starts_with("chk/savepoint-1/")), "{files:?}");
        let opened = StoredCheckpoint::open_in(world.root.join("savepoint-1")).await.expect("opened");
        assert!(opened.manifest.files.iter().all(|file| !file.path.contains('/')), "all in one directory");
        assert_eq!(restored(&opened).await.total(0..10_000), 10_000);
    });
}

/// Nothing is left of the native one that it was first, nor of one that could not be written.
#[test]
fn canonical_savepoints() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    block_on(async {
        counter.add(0..10_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        let savepoint = |id: u64| Barrier { kind: CheckpointKind::Savepoint, ..barrier(id) };
        let canonical = SavepointFormat::Canonical;
        store.begin_savepoint(CheckpointId(2), world.root.join("savepoint-1"), canonical);
        let stored = checkpoint(&store, &mut counter, savepoint(2)).await;
        assert_eq!(stored.path.as_deref(), Some("mem://b/chk/savepoint-1"));
        let opened = StoredCheckpoint::open_in(world.root.join("savepoint-1")).await.expect("opened");
        assert_eq!(*stored.manifest, opened.manifest);
        assert!(opened.manifest.files.iter().all(|file| file.path.ends_with(".arrow")));
        assert_eq!(restored(&opened).await.total(0..10_000), 10_000);

        let before = world.files().await;
        assert!(before.iter().all(|file| !file.contains("native")), "{before:?}");
        store.begin_savepoint(CheckpointId(3), world.root.join("savepoint-1"), canonical);
        let handle = upload(&store, &mut counter, savepoint(3)).await.expect("uploaded");
        let completed = completed(savepoint(3), handle);
        let error = store.store(&completed, 0).await.expect_err("something is there");
        assert!(error.to_string().contains("not empty"), "{error}");
        for handle in completed.handles.values() {
            store.discard(handle.upload).delete().await.expect("deleted");
        }
        assert_eq!(world.files().await, before);
    });
}

/// A task that has finished gave its last snapshot for the job's checkpoints: a savepoint has it too, and leaves it to them.
#[test]
fn last_snapshots_are_part_of_savepoints() {
    for format in [SavepointFormat::Native, SavepointFormat::Canonical] {
        let world = World::new();
        let (store, mut counter) = (world.store(|_| {}), Counter::empty());
        block_on(async {
            counter.add(0..10_000);
            let last = upload(&store, &mut counter, barrier(1)).await.expect("uploaded");
            let savepoint = Barrier { kind: CheckpointKind::Savepoint, ..barrier(2) };
            store.begin_savepoint(CheckpointId(2), world.root.join("savepoint-1"), format);
            let mut stored = store.store(&completed(savepoint, last.clone()), 0).await.expect("stored");
            std::mem::take(&mut stored.garbage).delete().await.expect("deleted");
            let path = stored.path.expect("a path");
            let name = path.rsplit('/').next().expect("a name");
            let opened = StoredCheckpoint::open_in(world.root.join(name)).await.expect("opened");
            assert!(
                opened.manifest.files.iter().all(|file| !file.path.contains('/')),
                "all in one directory"
            );
            assert_eq!(restored(&opened).await.total(0..10_000), 10_000);
            store
                .store(&completed(barrier(3), last), 0)
                .await
                .expect("stored")
                .garbage
                .delete()
                .await
                .expect("deleted");
            assert_eq!(restored(&store.latest().expect("kept")).await.total(0..10_000), 10_000);
            let beside = world.files().await.into_iter().filter(|file| file.contains("savepoint"));
            let beside: Vec<String> =
                beside.filter(|file| !file.starts_with(&format!("chk/{name}/"))).collect();
            assert!(beside.is_empty(), "{beside:?}");
        });
    }
}

#[test]
fn a_directory_can_be_moved_whole() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_string();
    let root = Directory::open(&path("from"), &Environment::new()).expect("it opens");
    let store = CheckpointStore::new(config(Some(root.join("job"))), JobRecord::default());
    let mut counter = Counter::empty();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for id in 1..=3 {
            counter.add(0..20_000);
            checkpoint(&store, &mut counter, barrier(id)).await;
        }
        std::fs::rename(path("from"), path("to")).expect("moved");
        for named in ["to/job/chk-3", "to/job/chk-3/", "to/job/chk-3/_metadata", "to/job"] {
            let opened = StoredCheckpoint::open(&path(named), &Environment::new()).await.expect("opened");
            assert_eq!(restored(&opened).await.total(0..20_000), 60_000, "{named}");
        }
        let error =
            StoredCheckpoint::open(&path("to"), &Environment::new()).await.expect_err("no checkpoint");
        assert!(error.to_string().contains("has no _metadata"), "{error}");
        let error = StoredCheckpoint::open(&path("nope"), &Environment::new()).await.expect_err("nothing");
        assert!(error.to_string().contains("no such directory"), "{error}");
    });
}

#[test]
fn memory_holds_checkpoints_up_to_a_limit() {
    let store = CheckpointStore::new(config(None), JobRecord::default());
    let mut counter = Counter::empty();
    block_on(async {
        for id in 1..=3 {
            counter.add(0..10_000);
            assert_eq!(checkpoint(&store, &mut counter, barrier(id)).await.path, None);
        }
        assert_eq!(restored(&store.latest().expect("kept")).await.total(0..10_000), 30_000);
        counter.add(0..1_000_000);
        let error = upload(&store, &mut counter, barrier(4)).await.expect_err("too large").to_string();
        assert!(error.contains("agg keeps") && error.contains("'execution.checkpointing.dir'"), "{error}");
    });
}

#[test]
fn a_claimed_checkpoint_is_deleted_like_an_own_one() {
    let world = World::new();
    let mut counter = Counter::empty();
    block_on(async {
        counter.add(0..10_000);
        checkpoint(&world.store(|_| {}), &mut counter, barrier(1)).await;
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-1")).await.expect("opened");
        let mut counter = restored(&opened).await;
        let other = config(Some(world.root.join("other")));
        let store = CheckpointStore::new(other, JobRecord::default());
        store.claim(opened, &[]);
        checkpoint(&store, &mut counter, barrier(2)).await;
        let files = world.files().await;
        assert!(files.iter().all(|file| file.starts_with("chk/other/")), "{files:?}");
    });
}

/// Other checkpoints of the earlier job are not this one's to take apart.
#[test]
fn what_lies_beside_a_claimed_checkpoint_keeps_its_files() {
    let world = World::new();
    let mut counter = Counter::empty();
    block_on(async {
        let earlier = world.store(|config| config.retained = 2);
        for id in 1..=2 {
            counter.add(0..10_000 * id as i64);
            checkpoint(&earlier, &mut counter, barrier(id)).await;
        }
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-2")).await.expect("opened");
        let beside = opened.siblings().await.expect("listed");
        let beside: Vec<_> = beside.into_iter().map(|(_, other)| other.expect("readable")).collect();
        assert_eq!(beside.iter().map(|other| other.manifest.checkpoint.0).collect::<Vec<_>>(), [1]);
        let mut counter = restored(&opened).await;
        let other = config(Some(world.root.join("other")));
        let store = CheckpointStore::new(other, JobRecord::default());
        store.claim(opened, &beside);
        checkpoint(&store, &mut counter, barrier(3)).await;
        assert!(StoredCheckpoint::open_in(world.root.join("job/chk-2")).await.is_err(), "it was claimed");
        let first = StoredCheckpoint::open_in(world.root.join("job/chk-1")).await.expect("it was not");
        assert_eq!(restored(&first).await.total(0..10_000), 10_000);
    });
}

/// A file that is missing or was cut is named, with the place in it.
#[test]
fn missing_and_short_files_are_named() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    block_on(async {
        counter.add(0..100_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-1")).await.expect("opened");
        let keyed = opened.manifest.operators[0].subtasks[0].keyed.clone().expect("keyed");
        let whole = world.root.read("job/shared/1-0-0").await.expect("read");
        world.root.delete("job/shared/1-0-0").await.expect("deleted");
        let error = opened.keyed(&keyed).await.expect_err("missing").to_string();
        assert!(
            error.contains("mem://b/chk/job/shared/1-0-0: there is no such file, and mem://b/chk/job/chk-1"),
            "{error}"
        );
        world.root.create("job/shared/1-0-0", whole.slice(..70_000)).await.expect("created");
        let error = opened.keyed(&keyed).await.expect_err("short").to_string();
        assert!(error.starts_with("mem://b/chk/job/shared/1-0-0: truncated at offset 70000"), "{error}");
    });
}

/// A manifest knows every byte of its files, also of those that earlier checkpoints wrote, and of which only parts are used.
#[test]
fn a_bit_that_changes_in_a_file_is_found() {
    let world = World::new();
    let (store, mut counter) = (world.store(|_| {}), Counter::empty());
    block_on(async {
        counter.add(0..100_000);
        checkpoint(&store, &mut counter, barrier(1)).await;
        counter.add(0..1000);
        let stored = checkpoint(&store, &mut counter, barrier(2)).await;
        let opened = StoredCheckpoint::open_in(world.root.join("job/chk-2")).await.expect("opened");
        assert_eq!(opened.manifest.files, stored.manifest.files);
        assert!(opened.manifest.files.len() >= 3, "{:?}", opened.manifest.files);
        for file in &opened.manifest.files {
            assert_eq!(opened.check_file(file).await, Ok(()));
            let shown = opened.directory.show(&file.path);
            let object = object_store::path::Path::from(shown.strip_prefix("mem://b/").expect("its store"));
            let sound = world.objects.get(&object).await.expect("there").bytes().await.expect("read");
            for at in [0, sound.len() / 2, sound.len() - 1] {
                let mut damaged = sound.to_vec();
                damaged[at] ^= 4;
                world.objects.put(&object, damaged.into()).await.expect("written");
                match opened.check_file(file).await {
                    Err(CheckpointError::Corrupt { file, offset, .. }) => {
                        assert_eq!((file, offset), (shown.clone(), (at >> 20 << 20) as u64));
                    }
                    other => panic!("byte {at} of {shown}: {other:?}"),
                }
            }
            world.objects.put(&object, sound.slice(1..).into()).await.expect("written");
            let cut = opened.check_file(file).await.expect_err("too short");
            assert!(matches!(cut, CheckpointError::Truncated { .. }), "{cut}");
            world.objects.delete(&object).await.expect("deleted");
            let gone = opened.check_file(file).await.expect_err("not there");
            assert!(matches!(gone, CheckpointError::Missing { .. }), "{gone}");
            world.objects.put(&object, sound.into()).await.expect("written");
        }
    });
}
