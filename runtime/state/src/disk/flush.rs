//! What goes to disk: entries that leave memory, and deletions before them. Entries are put in order at once, and written
//! beside processing.

use crate::StateError;
use crate::bits::Bits;
use crate::descriptor::StateKind;
use crate::disk::dead::Dead;
use crate::disk::keys::{order_of, push_front};
use crate::disk::store::Store;
use crate::disk::values::ValueLayout;
use crate::segment::{self, ByteStrings};
use crate::snapshot::TableView;
use rocksdb::WriteBatch;
use std::sync::Arc;
use weir_types::{key_group_of, key_hash};

/// Rows of a file of what hangs under others, or of timers.
const CHUNK_ROWS: usize = 256 << 10;
/// Rows by key that are encoded and sorted at once, so that what is sorted stays in the processor's caches; each part lies
/// before the next one anyway. A part has at least one key group.
const PART_ROWS: usize = 16 << 10;
/// Bytes of keys and values that are encoded and sorted at once. What goes beyond is a run of its own.
const PART_BYTES: usize = if cfg!(test) { 32 << 10 } else { 1 << 30 };
/// What is to be written of one state.
pub(crate) struct StateWrites {
    pub(crate) family: String,
    pub(crate) dead: Arc<Dead>,
    /// entries, each run of them in order from part to part
    pub(crate) runs: Vec<Vec<Encoded>>,
    /// the number of the next entry of a List state
    pub(crate) next_sequence: Option<u64>,
}

/// Entries as they are on disk.
#[derive(Default)]
pub(crate) struct Encoded {
    keys: ByteStrings,
    values: ByteStrings,
    /// that of the keys
    order: Vec<u32>,
}

/// The name under which the next number of a List state is kept.
pub(crate) fn sequence_key(state: &str) -> String {
    format!("next number of {state}")
}

impl StateWrites {
    /// # Errors
    /// [`StateError::Storage`]
    pub(crate) fn write(&self, store: &Store) -> Result<(), StateError> {
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
        for run in &self.runs {
            let bytes = run.iter().map(Encoded::bytes).sum();
            if !store.is_file(run.iter().map(Encoded::len).sum(), bytes) {
                for (key, value) in run.iter().flat_map(Encoded::entries) {
                    batch.put_cf(&family, key, value);
                    flush_if_large(store, &mut batch)?;
                }
                continue;
            }
            // What is dead goes before, and a file counts as written when it is taken over.
            if !batch.is_empty() {
                store.write(&batch)?;
                batch.clear();
            }
            store.add_file(&self.family, |file| {
                run.iter().flat_map(Encoded::entries).try_for_each(|(key, value)| file.put(key, value))
            })?;
        }
        if batch.is_empty() { Ok(()) } else { store.write(&batch) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.runs.iter().flatten().map(Encoded::len).sum()
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().flatten().map(Encoded::bytes).sum()
    }
}

impl Encoded {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        let strings = |strings: &ByteStrings| strings.bytes.len() + size_of::<u32>() * strings.offsets.len();
        strings(&self.keys) + strings(&self.values) + size_of::<u32>() * self.order.len()
    }

    fn in_order(mut self) -> Self {
        self.order = order_of(&self.keys);
        self
    }

    /// Keys and values, in the order of the keys.
    fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.order.iter().map(|&row| (self.keys.get(row as usize), self.values.get(row as usize)))
    }
}

/// The entries at slots of tables of one state, in runs.
pub(crate) fn encode_tables(
    tables: &[(Arc<TableView>, Bits)],
    layout: &ValueLayout,
    max_parallelism: u32,
) -> Vec<Vec<Encoded>> {
    let rows_of = |(view, slots): &(Arc<TableView>, Bits)| -> Vec<*const u8> {
        slots.ones().filter_map(|slot| view.live_row(slot)).collect()
    };
    let rows: Vec<Vec<*const u8>> = tables.iter().map(rows_of).collect();
    let mut runs = Vec::new();
    if tables.first().is_some_and(|(view, _)| view.kind == StateKind::Value) {
        let mut parts = Vec::new();
        for of_tables in by_groups(tables, rows, max_parallelism) {
            let mut part = Encoded::default();
            for ((view, _), rows) in tables.iter().zip(of_tables) {
                encode(view, rows, layout, max_parallelism, &mut part, &mut runs);
            }
            parts.push(part.in_order());
        }
        runs.push(parts);
        return runs;
    }
    let mut run = Encoded::default();
    for ((view, _), rows) in tables.iter().zip(rows) {
        for rows in rows.chunks(CHUNK_ROWS) {
            encode(view, rows.to_vec(), layout, max_parallelism, &mut run, &mut runs);
            if run.len() >= CHUNK_ROWS {
                runs.push(vec![std::mem::take(&mut run).in_order()]);
            }
        }
    }
    if run.len() > 0 {
        runs.push(vec![run.in_order()]);
    }
    runs
}

/// Rows by key of each table in parts by their key groups, with which their keys on disk begin.
fn by_groups(
    tables: &[(Arc<TableView>, Bits)],
    rows: Vec<Vec<*const u8>>,
    max_parallelism: u32,
) -> Vec<Vec<Vec<*const u8>>> {
    let hashes: Vec<Vec<u64>> =
        tables.iter().zip(&rows).map(|((view, _), rows)| segment::hashes(view, rows)).collect();
    let group = |hash: u64| usize::from(key_group_of(hash, max_parallelism).0);
    let mut sizes = vec![0; max_parallelism as usize];
    hashes.iter().flatten().for_each(|&hash| sizes[group(hash)] += 1);
    // Of each group the part that it is in.
    let (mut parts, mut part_of, mut filled) = (Vec::new(), Vec::with_capacity(sizes.len()), PART_ROWS);
    for size in sizes {
        if filled >= PART_ROWS {
            parts.push(vec![Vec::new(); tables.len()]);
            filled = 0;
        }
        filled += size;
        part_of.push(parts.len() - 1);
    }
    for (table, (rows, hashes)) in rows.into_iter().zip(hashes).enumerate() {
        rows.into_iter().zip(hashes).for_each(|(row, hash)| parts[part_of[group(hash)]][table].push(row));
    }
    parts
}

fn flush_if_large(store: &Store, batch: &mut WriteBatch) -> Result<(), StateError> {
    if batch.size_in_bytes() >= store.write_batch_bytes() {
        store.write(batch)?;
        batch.clear();
    }
    Ok(())
}

/// Appends keys and values of `rows`, as they are on disk. Rows whose parents are gone are left out. What is large by itself
/// becomes a run.
fn encode(
    view: &TableView,
    mut rows: Vec<*const u8>,
    layout: &ValueLayout,
    max_parallelism: u32,
    out: &mut Encoded,
    runs: &mut Vec<Vec<Encoded>>,
) {
    let levels = segment::keys(view, &mut rows);
    for (index, &row) in rows.iter().enumerate() {
        if out.keys.bytes.len() + out.values.bytes.len() >= PART_BYTES {
            runs.push(vec![std::mem::take(out).in_order()]);
        }
        let Encoded { keys, values, .. } = &mut *out;
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
