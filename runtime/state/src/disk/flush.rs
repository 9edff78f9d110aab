//! What goes to disk: entries that leave memory, and deletions before them. The deletions that a snapshot needs are
//! written beside processing, in the order of the snapshots, and then the files are linked; until that is done nothing
//! else is written.

use crate::StateError;
use crate::bits::Bits;
use crate::descriptor::StateKind;
use crate::disk::dead::Dead;
use crate::disk::keys::{order_of, push_front};
use crate::disk::store::Store;
use crate::disk::values::ValueLayout;
use crate::segment::{self, ByteStrings};
use crate::snapshot::TableView;
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_types::{key_group_of, key_hash};

/// Rows that are encoded and sorted at once: the more, the fewer steps between neighbours in a write buffer.
const CHUNK_ROWS: usize = 256 << 10;
/// The same where each part lies before the next one anyway; a part has at least one key group.
const PART_ROWS: usize = 16 << 10;

/// What is to be written of one state.
pub(crate) struct StateWrites {
    pub(crate) family: String,
    pub(crate) values: ValueLayout,
    pub(crate) dead: Arc<Dead>,
    /// tables, and the slots whose entries are written
    pub(crate) tables: Vec<(Arc<TableView>, Bits)>,
    /// the number of the next entry of a List state
    pub(crate) next_sequence: Option<u64>,
}

/// Deletions, and the checkpoint to make after them.
pub(crate) struct Job {
    pub(crate) states: Vec<StateWrites>,
    pub(crate) max_parallelism: u32,
    /// where the checkpoint is to be, if anybody still wants it
    pub(crate) checkpoint: std::sync::Weak<PathBuf>,
}

/// The name under which the next number of a List state is kept.
pub(crate) fn sequence_key(state: &str) -> String {
    format!("next number of {state}")
}

impl StateWrites {
    /// # Errors
    /// [`StateError::Storage`]
    pub(crate) fn write(&self, store: &Store, max_parallelism: u32) -> Result<(), StateError> {
        let family = store.family(&self.family);
        let mut batch = WriteBatch::default();
        for (start, end) in self.dead.ranges() {
            batch.delete_range_cf(&family, start, end);
        }
        for key in self.dead.keys() {
            batch.delete_cf(&family, key);
            flush_if_large(store, &mut batch)?;
        }
        if let Some(next) = self.next_sequence {
            store.put_number(&mut batch, &sequence_key(&self.family), next);
        }
        for (view, slots) in &self.tables {
            let rows: Vec<*const u8> = slots.ones().filter_map(|slot| view.live_row(slot)).collect();
            let runs = Runs::of(view, rows, max_parallelism);
            runs.encode(view, &self.values, max_parallelism, |key, value| {
                batch.put_cf(&family, key, value);
                flush_if_large(store, &mut batch)
            })?;
        }
        if batch.is_empty() { Ok(()) } else { store.write(&batch) }
    }
}

/// Rows of a table, cut into parts that are encoded and sorted one after the other, so that what is sorted stays in the
/// processor's caches.
struct Runs(Vec<Vec<*const u8>>);

impl Runs {
    /// Rows by key are cut by key groups, with which their keys on disk begin; what hangs under others, and timers, as
    /// they come.
    fn of(view: &TableView, rows: Vec<*const u8>, max_parallelism: u32) -> Runs {
        let hashes = if view.kind == StateKind::Value { segment::hashes(view, &rows) } else { Vec::new() };
        if hashes.is_empty() {
            return Runs(rows.chunks(CHUNK_ROWS).map(<[*const u8]>::to_vec).collect());
        }
        let group = |hash: u64| usize::from(key_group_of(hash, max_parallelism).0);
        let mut sizes = vec![0; max_parallelism as usize];
        hashes.iter().for_each(|&hash| sizes[group(hash)] += 1);
        // Of each group the part that it is in.
        let (mut parts, mut part_of, mut filled) = (Vec::new(), Vec::with_capacity(sizes.len()), PART_ROWS);
        for size in sizes {
            if filled >= PART_ROWS {
                parts.push(Vec::new());
                filled = 0;
            }
            filled += size;
            part_of.push(parts.len() - 1);
        }
        rows.into_iter().zip(hashes).for_each(|(row, hash)| parts[part_of[group(hash)]].push(row));
        Runs(parts)
    }

    /// Hands out keys and values, as they are on disk, in the order of the keys of each part.
    fn encode(
        self,
        view: &TableView,
        layout: &ValueLayout,
        max_parallelism: u32,
        mut entry: impl FnMut(&[u8], &[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let (mut keys, mut values) = (ByteStrings::new(), ByteStrings::new());
        for rows in self.0 {
            keys.clear();
            values.clear();
            encode(view, rows, layout, max_parallelism, &mut keys, &mut values);
            for row in order_of(&keys) {
                entry(keys.get(row as usize), values.get(row as usize))?;
            }
        }
        Ok(())
    }
}

fn flush_if_large(store: &Store, batch: &mut WriteBatch) -> Result<(), StateError> {
    if batch.size_in_bytes() >= store.write_batch_bytes() {
        store.write(batch)?;
        batch.clear();
    }
    Ok(())
}

/// Appends keys and values of `rows`, as they are on disk. Rows whose parents are gone are left out.
fn encode(
    view: &TableView,
    mut rows: Vec<*const u8>,
    layout: &ValueLayout,
    max_parallelism: u32,
    keys: &mut ByteStrings,
    values: &mut ByteStrings,
) {
    let levels = segment::keys(view, &mut rows);
    for (index, &row) in rows.iter().enumerate() {
        let group = key_group_of(key_hash(levels[0].get(index)), max_parallelism);
        push_front(group.0, view.namespace, &mut keys.bytes);
        if view.kind.is_timers() {
            keys.bytes.extend_from_slice(levels[1].get(index));
            keys.bytes.extend_from_slice(levels[0].get(index));
        } else {
            levels.iter().for_each(|level| keys.bytes.extend_from_slice(level.get(index)));
        }
        if view.kind == StateKind::List {
            // SAFETY: parent and number are at the front of a row of a List state, and nobody writes to it.
            let number = unsafe { row.cast::<u64>().add(1).read_unaligned() };
            keys.bytes.extend_from_slice(&number.to_be_bytes());
        }
        keys.end();
        // SAFETY: the row is of this view's layout, and nobody writes to it.
        unsafe { layout.write(row, &view.arena, &mut values.bytes) };
        values.end();
    }
}

/// Jobs that were begun and wait for somebody to carry them out.
#[derive(Default)]
pub(crate) struct Jobs {
    waiting: Mutex<Waiting>,
    /// held by whoever carries them out, one after the other
    working: Mutex<()>,
    /// the number of the last job that is done
    done: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// the number of the last job that was begun
    last: u64,
    failed: Option<String>,
}

impl Jobs {
    /// Adds a job behind the others; returns its number.
    pub(crate) fn push(&self, job: Job) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.jobs.push_back(job);
        waiting.last += 1;
        waiting.last
    }

    /// The number of the last job that is done. Does not wait.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Returns once the jobs up to `number` are done, by whom ever.
    ///
    /// # Errors
    /// [`StateError::Storage`], also if an earlier job failed: the disk lacks what it should have.
    pub(crate) fn run_until(&self, number: u64, store: &Store) -> Result<(), StateError> {
        let _working = self.working.lock();
        while self.done() < number {
            let Some(job) = self.next()? else { return Ok(()) };
            if let Err(error) = job.run(store) {
                self.waiting.lock().failed = Some(error.to_string());
                return Err(error);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<Job>, StateError> {
        let mut waiting = self.waiting.lock();
        match &waiting.failed {
            Some(failed) => Err(StateError::Storage(failed.clone())),
            None => Ok(waiting.jobs.pop_front()),
        }
    }
}

impl Job {
    fn run(self, store: &Store) -> Result<(), StateError> {
        for state in &self.states {
            state.write(store, self.max_parallelism)?;
        }
        match self.checkpoint.upgrade() {
            Some(path) => store.checkpoint(&path),
            None => Ok(()),
        }
    }
}
