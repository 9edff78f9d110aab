//! A table of some pages against a copy of its rows: random writes, several snapshots that are read at any time, and
//! writes while another thread reads.

use super::*;
use crate::row_store::{PagePools, RowStore};

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A row as it is meant to be: its bytes but for the stamp, and the stamp.
type Row = (Vec<u8>, u32);

struct Table {
    store: RowStore,
    stride: usize,
    interval: u32,
    rows: Vec<Row>,
    drained: u32,
    random: Random,
}

/// A snapshot, the rows when it was taken, what it wants of each page, and the pages that it has not read.
struct Taken {
    held: Arc<Held>,
    rows: Vec<Row>,
    drained: u32,
    wanted: Vec<Option<Wanted>>,
    first: u32,
    unread: Vec<u32>,
}

const LIVE: Flag = Flag { offset: 0, bit: 1 };

/// A byte of a row that is not compared: moving a row changes it.
const MOVED: usize = 1;

impl Taken {
    /// Reads a page and compares it with what it was.
    fn check(&self, page: u32, shift: u32, selected: &mut Selected) {
        let wanted = self.wanted[(page - self.first) as usize];
        let is_wanted = |&slot: &u32| {
            let (bytes, stamp) = &self.rows[slot as usize];
            let wanted = match wanted {
                None => false,
                Some(Wanted::Live) => bytes[0] & 1 != 0,
                Some(Wanted::WrittenAfter(since)) => *stamp > since,
            };
            wanted && slot >= self.drained
        };
        let slots = page << shift..((page + 1) << shift).min(self.rows.len() as u32);
        let expected: Vec<u32> = slots.filter(is_wanted).collect();
        self.held.read(page, selected, |selected| {
            assert_eq!(selected.slots, expected, "page {page}, {wanted:?}");
            assert_eq!(selected.rows.len(), expected.len());
            for (row, slot) in selected.rows.iter().zip(expected) {
                // SAFETY: a readable row.
                let found = unsafe { bytes_of(*row, self.rows[slot as usize].0.len()) };
                assert_eq!(found, self.rows[slot as usize].0, "slot {slot} of page {page}, {wanted:?}");
            }
        });
    }
}

/// What is compared of a row.
///
/// # Safety
/// So many readable bytes.
unsafe fn bytes_of(row: *const u8, length: usize) -> Vec<u8> {
    // SAFETY: the caller's promise.
    let mut bytes = unsafe { std::slice::from_raw_parts(row, length) }.to_vec();
    bytes[MOVED] = 0;
    bytes
}

impl Table {
    fn new(stride: usize, seed: u64) -> Table {
        let store = RowStore::new(stride, PagePools::new(stride, 1));
        Table { store, stride, interval: 1, rows: Vec::new(), drained: 0, random: Random(seed) }
    }

    fn shift(&self) -> u32 {
        self.store.shape().0
    }

    fn write(&mut self, slot: u32) {
        let word = self.random.below(1 << 31).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let mut bytes: Vec<u8> = word.into_iter().cycle().take(self.stride - STAMP_BYTES).collect();
        // one in four is not live
        bytes[0] |= u8::from(self.random.below(2) == 0);
        bytes[MOVED] = 0;
        // SAFETY: a writable row of so many bytes.
        unsafe { self.store.row_mut(slot).copy_from(bytes.as_ptr(), bytes.len()) };
        self.rows[slot as usize] = (bytes, self.interval);
    }

    fn add(&mut self, rows: u64) {
        for _ in 0..rows {
            let (slot, _) = self.store.allocate();
            assert_eq!(slot as usize, self.rows.len());
            self.rows.push(Row::default());
            self.write(slot);
        }
    }

    fn write_some(&mut self) {
        for _ in 0..self.random.below(40) {
            let slot = self.random.below(self.rows.len() as u64) as u32;
            self.write(slot);
        }
        if self.random.below(4) == 0 {
            let more = self.random.below(20);
            self.add(more);
        }
    }

    fn snapshot(&mut self) -> Taken {
        if self.random.below(3) == 0 {
            self.drained += self.random.below(50) as u32;
            self.drained = self.drained.min(self.store.len());
            self.store.drain_to(self.drained, 0);
        }
        let first = self.drained >> self.shift();
        let pages = first..self.store.pages().len() as u32;
        let (random, interval) = (&mut self.random, u64::from(self.interval));
        let wanted = pages.clone().map(|_| match random.below(5) {
            0 => None,
            1 => Some(Wanted::Live),
            _ => Some(Wanted::WrittenAfter(random.below(interval) as u32)),
        });
        let wanted: Vec<_> = wanted.collect();
        let held = self.store.hold(first as usize, wanted.iter().copied(), LIVE, false);
        self.interval += 1;
        self.store.enter_interval(self.interval);
        let rows = self.rows.clone();
        Taken { held, rows, drained: self.drained, wanted, first, unread: pages.collect() }
    }

    /// Reads any page that was not.
    fn read_page(&mut self, taken: &mut Taken) {
        let unread = self.random.below(taken.unread.len() as u64) as usize;
        let page = taken.unread.swap_remove(unread);
        taken.check(page, self.shift(), &mut Selected::default());
    }

    /// Rows are written to so that what they mean stays the same.
    fn move_some(&mut self) {
        let slot = self.random.below(self.rows.len() as u64) as u32;
        // SAFETY: a writable row; its first byte is not part of what is compared.
        unsafe { *self.store.row_moved(slot).add(MOVED) ^= 0xff };
    }

    fn check(&self) {
        for (slot, (bytes, stamp)) in self.rows.iter().enumerate() {
            let row = self.store.row(slot as u32);
            // SAFETY: a readable row.
            let found = unsafe { (bytes_of(row, bytes.len()), stamp_of(row, self.stride)) };
            assert_eq!(found, (bytes.clone(), *stamp), "slot {slot}");
        }
    }
}

fn run(stride: usize, seed: u64) {
    let mut table = Table::new(stride, seed);
    let rows = (2 << table.shift()) + 100;
    // Snapshots of a first page that is still small, too.
    table.add(20);
    let mut taken: Vec<Taken> = vec![table.snapshot()];
    table.add(rows);
    for _ in 0..150 {
        match table.random.below(9) {
            8 => table.move_some(),
            0 if taken.len() < 4 => taken.push(table.snapshot()),
            1 if !taken.is_empty() && table.random.below(4) == 0 => drop(taken.remove(0)),
            2..=4 if !taken.is_empty() => {
                let which = table.random.below(taken.len() as u64) as usize;
                table.read_page(&mut taken[which]);
                if taken[which].unread.is_empty() {
                    taken.remove(which);
                }
            }
            _ => table.write_some(),
        }
    }
    table.check();
}

#[test]
fn what_is_read_is_what_was_there() {
    for stride in [16, 24, 40, 72] {
        (0..6).for_each(|seed| run(stride, seed));
    }
    // few rows in a page, and one
    for stride in [3000, 40_000, 100_000] {
        run(stride, 7);
    }
}

/// Who writes rows and who reads pages, each on a thread, see nothing of each other.
#[test]
fn what_is_read_beside_writing_is_what_was_there() {
    for seed in 0..20 {
        let mut table = Table::new(40, seed);
        table.add((20 << table.shift()) + 100);
        for _ in 0..4 {
            let taken = table.snapshot();
            table.write_some();
            let shift = table.shift();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut selected = Selected::default();
                    taken.unread.iter().for_each(|&page| taken.check(page, shift, &mut selected));
                });
                while !reader.is_finished() {
                    table.write_some();
                }
            });
            table.check();
        }
    }
}

/// Rows that are written go to pages of their own only as far as they are wanted: no page is copied.
#[test]
fn no_page_is_copied_for_a_few_rows() {
    let mut table = Table::new(40, 1);
    let pages = 16;
    table.add(pages << table.shift());
    table.interval = 2;
    table.store.enter_interval(2);
    let slots = 0..table.rows.len() as u32;
    slots.clone().step_by(100).for_each(|slot| table.write(slot));
    let before: Vec<*mut u8> = table.store.read_pages().to_vec();
    let wanted = std::iter::repeat_n(Some(Wanted::WrittenAfter(1)), pages as usize);
    let held = table.store.hold(0, wanted, LIVE, false);
    table.store.enter_interval(3);
    slots.clone().for_each(|slot| table.write(slot));
    assert_eq!(table.store.read_pages(), before);
    let (mut read, mut homes) = (Vec::new(), std::collections::BTreeSet::new());
    for page in 0..pages as u32 {
        held.read(page, &mut Selected::default(), |selected| {
            read.extend_from_slice(&selected.slots);
            homes.extend(selected.rows.iter().map(|row| *row as usize >> 16));
        });
    }
    assert_eq!(read, slots.step_by(100).collect::<Vec<_>>());
    assert!(homes.len() <= 2, "a hundredth of {pages} pages lies in {homes:?}");
}

/// A snapshot that nobody reads any more costs nothing.
#[test]
fn a_dropped_snapshot_gets_no_copies() {
    let mut table = Table::new(40, 1);
    table.add(2 << table.shift());
    drop(table.snapshot());
    table.write(0);
    assert!(!table.store.write_pages()[0].is_null() && table.store.write_pages()[1].is_null());
    table.check();
}

/// A page that somebody else reads as well is duplicated.
#[test]
fn a_shared_page_is_duplicated() {
    let mut table = Table::new(40, 1);
    table.add(2 << table.shift());
    let held = table.store.hold(0, [Some(Wanted::Live); 2].into_iter(), LIVE, true);
    let (rows, before) = (table.rows.clone(), table.store.read_pages().to_vec());
    table.write(0);
    assert!(table.store.read_pages()[0] != before[0] && table.store.read_pages()[1] == before[1]);
    held.read(0, &mut Selected::default(), |selected| {
        let first = rows.iter().position(|(bytes, _)| bytes[0] & 1 != 0).unwrap();
        assert_eq!(selected.rows[0].cast_mut(), before[0].wrapping_add(40 * first));
    });
}
