//! Whole batches of keys to slots.
//!
//! From a million entries on a look-up is two cache misses, one in the index and one in the row. They are
//! overlapped: of a block of keys all index entries are prefetched, then all rows, and only then are keys
//! compared.

use crate::slot_table::SlotTable;
use arrow::buffer::NullBuffer;
use std::ops::Range;
use weir_types::{EncodedKeys, KeyData};

/// Stands where a key has no entry.
pub const NO_SLOT: u32 = u32::MAX;

/// Keys whose cache misses overlap.
const BLOCK: usize = 128;
/// Tables up to about this size stay in the second-level cache, where prefetching costs more than it gains.
const CACHED_BYTES: usize = 512 << 10;

/// What resolving a batch of keys found. Reuse it from batch to batch.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// for each key its slot
    pub slots: Vec<u32>,
    /// positions in the batch, rising, of the keys that had no entry before; of equal keys only the first
    pub created: Vec<u32>,
}

impl Slots {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.created.clear();
    }
}

/// The hash of a key under a parent. Not persisted.
#[inline]
pub(crate) fn child_hash(hash: u64, parent: u32) -> u64 {
    hash.wrapping_add(u64::from(parent).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl SlotTable {
    /// The slots of the keys at `rows` of `keys`, with new entries for those that have none.
    pub(crate) fn resolve(&mut self, keys: &EncodedKeys, rows: Range<usize>, out: &mut Slots) {
        out.clear();
        let hashes = &keys.hashes()[rows.clone()];
        match keys.data() {
            KeyData::Word { words, nulls, .. } => {
                let words = words[rows.clone()].as_chunks::<1>().0;
                let nulls = nulls.as_ref().map(|nulls| nulls.slice(rows.start, rows.len()));
                match nulls.filter(|nulls| nulls.null_count() > 0) {
                    None => self.resolve_words(words, hashes, out),
                    Some(nulls) => self.resolve_nullable(words, hashes, &nulls, out),
                }
            }
            KeyData::Fixed2 { words, .. } => self.resolve_words(&words[rows], hashes, out),
            KeyData::Fixed3 { words, .. } => self.resolve_words(&words[rows], hashes, out),
            KeyData::Bytes { offsets, bytes } => {
                self.resolve_bytes(&offsets[rows.start..=rows.end], bytes, hashes, out);
            }
        }
    }

    /// Keys of one word, some of them NULL.
    fn resolve_nullable(&mut self, words: &[[u64; 1]], hashes: &[u64], nulls: &NullBuffer, out: &mut Slots) {
        let valid: Vec<u32> = (0..words.len() as u32).filter(|&row| nulls.is_valid(row as usize)).collect();
        let (words, hashes): (Vec<[u64; 1]>, Vec<u64>) =
            valid.iter().map(|&row| (words[row as usize], hashes[row as usize])).unzip();
        let mut found = Slots::default();
        self.resolve_words(&words, &hashes, &mut found);
        out.slots.resize(nulls.len(), NO_SLOT);
        valid.iter().zip(&found.slots).for_each(|(&row, &slot)| out.slots[row as usize] = slot);
        out.created.extend(found.created.iter().map(|&position| valid[position as usize]));
        let (slot, created) = self.resolve_null();
        let first = nulls.iter().position(|valid| !valid);
        out.slots.iter_mut().filter(|slot| **slot == NO_SLOT).for_each(|place| *place = slot);
        if let Some(first) = first.filter(|_| created) {
            out.created.push(first as u32);
            out.created.sort_unstable();
        }
    }

    /// The slots of `keys` under `parents`, with new entries for those that have none.
    pub(crate) fn resolve_under(&mut self, parents: &[u32], keys: &EncodedKeys, out: &mut Slots) {
        out.clear();
        match UnderParent::new(parents, keys) {
            UnderParent::Two(words, hashes) => self.resolve_words(&words, &hashes, out),
            UnderParent::Three(words, hashes) => self.resolve_words(&words, &hashes, out),
            UnderParent::Four(words, hashes) => self.resolve_words(&words, &hashes, out),
            UnderParent::Bytes(offsets, bytes, hashes) => self.resolve_bytes(&offsets, &bytes, &hashes, out),
        }
    }

    /// The slots of `keys`, [`NO_SLOT`] for those without an entry.
    pub(crate) fn lookup(&self, keys: &EncodedKeys, out: &mut Vec<u32>) {
        out.clear();
        let hashes = keys.hashes();
        match keys.data() {
            KeyData::Word { words, nulls, .. } => {
                self.lookup_words(words.as_chunks::<1>().0, hashes, out);
                if let Some(nulls) = nulls {
                    let null_slot = self.null_slot.filter(|&slot| slot >= self.rows.drained());
                    let null_slot = null_slot.unwrap_or(NO_SLOT);
                    let rows = out.iter_mut().zip(nulls.iter()).filter(|(_, valid)| !valid);
                    rows.for_each(|(slot, _)| *slot = null_slot);
                }
            }
            KeyData::Fixed2 { words, .. } => self.lookup_words(words, hashes, out),
            KeyData::Fixed3 { words, .. } => self.lookup_words(words, hashes, out),
            KeyData::Bytes { offsets, bytes } => self.lookup_bytes(offsets, bytes, hashes, out),
        }
    }

    /// The slots of `keys` under `parents`, [`NO_SLOT`] for those without an entry.
    pub(crate) fn lookup_under(&self, parents: &[u32], keys: &EncodedKeys, out: &mut Vec<u32>) {
        out.clear();
        match UnderParent::new(parents, keys) {
            UnderParent::Two(words, hashes) => self.lookup_words(&words, &hashes, out),
            UnderParent::Three(words, hashes) => self.lookup_words(&words, &hashes, out),
            UnderParent::Four(words, hashes) => self.lookup_words(&words, &hashes, out),
            UnderParent::Bytes(offsets, bytes, hashes) => self.lookup_bytes(&offsets, &bytes, &hashes, out),
        }
    }

    fn is_cached(&self) -> bool {
        self.index.bytes() + self.rows.len() as usize * self.layout().stride <= CACHED_BYTES
    }

    #[inline(always)]
    fn has_words<const N: usize>(&self, slot: u32, key: &[u64; N]) -> bool {
        // SAFETY: keys of `N` words are at the front of each row; `resolve` and `lookup` are given keys of
        // the table's shape.
        let held = unsafe { self.rows.row(slot).cast::<[u64; N]>().read_unaligned() };
        held == *key && slot >= self.rows.drained()
    }

    fn resolve_words<const N: usize>(&mut self, keys: &[[u64; N]], hashes: &[u64], out: &mut Slots) {
        assert!(self.layout().key.width() == 8 * N && keys.len() == hashes.len());
        out.slots.reserve(keys.len());
        if self.is_cached() {
            out.slots.resize(keys.len(), NO_SLOT);
            let mut start = 0;
            loop {
                start += self.find_known(&keys[start..], &hashes[start..], &mut out.slots[start..]);
                let Some(key) = keys.get(start) else { return };
                let hash = hashes[start];
                let slot = match self.index.find(hash, |slot| self.has_words(slot, key)) {
                    Some(slot) => slot,
                    None => self.insert_words(start, key, hash, out),
                };
                out.slots[start] = slot;
                start += 1;
            }
        }
        let mut candidates = [NO_SLOT; BLOCK];
        for start in (0..keys.len()).step_by(BLOCK) {
            let hashes = &hashes[start..keys.len().min(start + BLOCK)];
            self.prefetch_rows(hashes, &mut candidates);
            for (offset, &hash) in hashes.iter().enumerate() {
                let key = &keys[start + offset];
                let candidate = candidates[offset];
                let slot = if candidate != NO_SLOT && self.has_words(candidate, key) {
                    candidate
                } else {
                    match self.index.find(hash, |slot| self.has_words(slot, key)) {
                        Some(slot) => slot,
                        None => self.insert_words(start + offset, key, hash, out),
                    }
                };
                out.slots.push(slot);
            }
        }
    }

    /// Sets the slots of the keys up to the first that has no entry, or whose hash misleads; returns how
    /// many.
    fn find_known<const N: usize>(&self, keys: &[[u64; N]], hashes: &[u64], slots: &mut [u32]) -> usize {
        for (position, ((key, &hash), place)) in keys.iter().zip(hashes).zip(slots).enumerate() {
            match self.index.candidate(hash) {
                Some(slot) if self.has_words(slot, key) => *place = slot,
                _ => return position,
            }
        }
        keys.len()
    }

    /// Finds for each hash the slot that probably has the key, and starts to load its row.
    #[inline(always)]
    fn prefetch_rows(&self, hashes: &[u64], candidates: &mut [u32; BLOCK]) {
        hashes.iter().for_each(|&hash| self.index.prefetch(hash));
        for (candidate, &hash) in candidates.iter_mut().zip(hashes) {
            *candidate = self.index.candidate(hash).unwrap_or(NO_SLOT);
            if *candidate != NO_SLOT {
                self.rows.prefetch(*candidate);
            }
        }
    }

    #[inline(never)]
    fn insert_words<const N: usize>(
        &mut self,
        position: usize,
        key: &[u64; N],
        hash: u64,
        out: &mut Slots,
    ) -> u32 {
        let (slot, row) = self.new_row();
        // SAFETY: a key of `N` words is at the front of the row.
        unsafe { row.cast::<[u64; N]>().write_unaligned(*key) };
        self.index.insert(hash, slot);
        out.created.push(position as u32);
        slot
    }

    fn resolve_null(&mut self) -> (u32, bool) {
        if let Some(slot) = self.null_slot.filter(|&slot| slot >= self.rows.drained()) {
            return (slot, false);
        }
        let (slot, _) = self.new_row();
        self.set_flag(slot, self.layout().null_key);
        self.null_slot = Some(slot);
        (slot, true)
    }

    fn resolve_bytes(&mut self, offsets: &[u32], bytes: &[u8], hashes: &[u64], out: &mut Slots) {
        let cached = self.is_cached();
        let mut candidates = [NO_SLOT; BLOCK];
        let mut position = 0;
        for hashes in hashes.chunks(BLOCK) {
            if !cached {
                self.prefetch_rows(hashes, &mut candidates);
            }
            for &hash in hashes {
                let key = &bytes[offsets[position] as usize..offsets[position + 1] as usize];
                let slot = match self.index.find(hash, |slot| self.has_bytes(slot, key)) {
                    Some(slot) => slot,
                    None => {
                        out.created.push(position as u32);
                        self.insert_bytes(key, hash)
                    }
                };
                out.slots.push(slot);
                position += 1;
            }
        }
    }

    #[inline]
    fn has_bytes(&self, slot: u32, key: &[u8]) -> bool {
        let handle = self.key_handle(slot);
        handle.may_be(key) && *self.arena.get(handle) == *key && slot >= self.rows.drained()
    }

    fn lookup_words<const N: usize>(&self, keys: &[[u64; N]], hashes: &[u64], out: &mut Vec<u32>) {
        assert!(self.layout().key.width() == 8 * N && keys.len() == hashes.len());
        let cached = self.is_cached();
        let mut candidates = [NO_SLOT; BLOCK];
        for (keys, hashes) in keys.chunks(BLOCK).zip(hashes.chunks(BLOCK)) {
            if !cached {
                self.prefetch_rows(hashes, &mut candidates);
            }
            out.extend(keys.iter().zip(hashes).map(|(key, &hash)| {
                self.index.find(hash, |slot| self.has_words(slot, key)).unwrap_or(NO_SLOT)
            }));
        }
    }

    fn lookup_bytes(&self, offsets: &[u32], bytes: &[u8], hashes: &[u64], out: &mut Vec<u32>) {
        let cached = self.is_cached();
        let mut candidates = [NO_SLOT; BLOCK];
        let mut keys = offsets.windows(2).map(|ends| &bytes[ends[0] as usize..ends[1] as usize]);
        for hashes in hashes.chunks(BLOCK) {
            if !cached {
                self.prefetch_rows(hashes, &mut candidates);
            }
            out.extend(hashes.iter().zip(&mut keys).map(|(&hash, key)| {
                self.index.find(hash, |slot| self.has_bytes(slot, key)).unwrap_or(NO_SLOT)
            }));
        }
    }
}

/// Keys with the slot of their parent as one more word, or in front.
enum UnderParent {
    Two(Vec<[u64; 2]>, Vec<u64>),
    Three(Vec<[u64; 3]>, Vec<u64>),
    Four(Vec<[u64; 4]>, Vec<u64>),
    Bytes(Vec<u32>, Vec<u8>, Vec<u64>),
}

impl UnderParent {
    fn new(parents: &[u32], keys: &EncodedKeys) -> Self {
        assert!(parents.len() == keys.len(), "{} parents for {} keys", parents.len(), keys.len());
        let hashes =
            keys.hashes().iter().zip(parents).map(|(&hash, &parent)| child_hash(hash, parent)).collect();
        match keys.data() {
            KeyData::Word { words, nulls, .. } => {
                let mut under: Vec<[u64; 2]> =
                    words.iter().zip(parents).map(|(&word, &parent)| [word, u64::from(parent)]).collect();
                if let Some(nulls) = nulls {
                    // A NULL is one bit above the parent's slot.
                    under
                        .iter_mut()
                        .zip(nulls.iter())
                        .for_each(|(key, valid)| key[1] |= u64::from(!valid) << 32);
                }
                UnderParent::Two(under, hashes)
            }
            KeyData::Fixed2 { words, .. } => {
                let under =
                    words.iter().zip(parents).map(|(key, &parent)| [key[0], key[1], u64::from(parent)]);
                UnderParent::Three(under.collect(), hashes)
            }
            KeyData::Fixed3 { words, .. } => {
                let under = words
                    .iter()
                    .zip(parents)
                    .map(|(key, &parent)| [key[0], key[1], key[2], u64::from(parent)]);
                UnderParent::Four(under.collect(), hashes)
            }
            KeyData::Bytes { offsets, bytes } => {
                let mut under = Vec::with_capacity(bytes.len() + 4 * parents.len());
                let mut ends = Vec::with_capacity(offsets.len());
                ends.push(0);
                for (parent, key) in parents.iter().zip(offsets.windows(2)) {
                    under.extend_from_slice(&parent.to_le_bytes());
                    under.extend_from_slice(&bytes[key[0] as usize..key[1] as usize]);
                    ends.push(under.len() as u32);
                }
                UnderParent::Bytes(ends, under, hashes)
            }
        }
    }
}
