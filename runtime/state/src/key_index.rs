//! From the hash of a key to its slot.
//!
//! Open addressing over buckets of one cache line: eight tags, then eight slots. A tag is the low 32 bits of
//! the hash with the lowest set, so 0 is an empty place; it tells both the entry's home bucket and most keys
//! that differ, so growing and deleting never touch a row. A look-up compares the eight tags at once: one
//! cache miss, and hardly a branch that could be mispredicted. An entry lies in its home bucket or, if that
//! and all between are full, in a later one.

use crate::huge;

const LANES: usize = 8;
const SMALLEST_BUCKETS: usize = 8;

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; LANES],
    slots: [u32; LANES],
}

impl Bucket {
    /// A bit for each lane whose tag is `tag`.
    #[inline(always)]
    fn matches(&self, tag: u32) -> u32 {
        #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
        // SAFETY: AVX2 is there, and the eight tags are 32 readable bytes.
        unsafe {
            use std::arch::x86_64::*;
            let tags = _mm256_loadu_si256(self.tags.as_ptr().cast());
            let equal = _mm256_cmpeq_epi32(tags, _mm256_set1_epi32(tag as i32));
            _mm256_movemask_ps(_mm256_castsi256_ps(equal)) as u32
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
        {
            self.tags.iter().enumerate().fold(0, |bits, (lane, &held)| bits | u32::from(held == tag) << lane)
        }
    }
}

pub(crate) struct KeyIndex {
    buckets: Vec<Bucket>,
    mask: usize,
    used: usize,
}

#[inline(always)]
fn tag_of(hash: u64) -> u32 {
    hash as u32 | 1
}

impl KeyIndex {
    pub(crate) fn new() -> Self {
        KeyIndex { buckets: vec![Bucket::default(); SMALLEST_BUCKETS], mask: SMALLEST_BUCKETS - 1, used: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// Removes all entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        if self.used > 0 {
            self.buckets.fill(Bucket::default());
            self.used = 0;
        }
    }

    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        (tag >> 1) as usize & self.mask
    }

    #[inline(always)]
    fn bucket(&self, position: usize) -> &Bucket {
        debug_assert!(position <= self.mask);
        // SAFETY: every position is masked, and there are `mask + 1` buckets.
        unsafe { self.buckets.get_unchecked(position) }
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        huge::prefetch(self.bucket(self.home(tag_of(hash))));
    }

    /// A slot whose tag is that of `hash`: the key's, if it is there at all, but for one in 2^31.
    #[inline(always)]
    pub(crate) fn candidate(&self, hash: u64) -> Option<u32> {
        let tag = tag_of(hash);
        let bucket = self.bucket(self.home(tag));
        let matches = bucket.matches(tag);
        if matches != 0 {
            return Some(bucket.slots[matches.trailing_zeros() as usize & (LANES - 1)]);
        }
        if bucket.matches(0) != 0 { None } else { self.find(hash, |_| true) }
    }

    /// The slot with the tag of `hash` for which `is_key` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag_of(hash);
        let mut position = self.home(tag);
        loop {
            let bucket = self.bucket(position);
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                let slot = bucket.slots[matches.trailing_zeros() as usize];
                if is_key(slot) {
                    return Some(slot);
                }
                matches &= matches - 1;
            }
            if bucket.matches(0) != 0 {
                return None;
            }
            position = (position + 1) & self.mask;
        }
    }

    /// Adds a key that is not there.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        // At most 5/8 full: one bucket in twenty overflows.
        if (self.used + 1) * 8 > self.buckets.len() * LANES * 5 {
            self.grow();
        }
        self.used += 1;
        self.place(tag_of(hash), slot);
    }

    #[inline]
    fn place(&mut self, tag: u32, slot: u32) {
        let mut position = self.home(tag);
        loop {
            let empty = self.bucket(position).matches(0);
            if empty != 0 {
                let (bucket, lane) = (&mut self.buckets[position], empty.trailing_zeros() as usize);
                bucket.tags[lane] = tag;
                bucket.slots[lane] = slot;
                return;
            }
            position = (position + 1) & self.mask;
        }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        let places = ((self.used + more) * 8).div_ceil(5);
        let buckets = places.div_ceil(LANES).next_power_of_two();
        if buckets > self.buckets.len() {
            self.grow_to(buckets);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.grow_to(self.buckets.len() * 2);
    }

    /// To `count` buckets, a power of two.
    fn grow_to(&mut self, count: usize) {
        let mut buckets: Vec<Bucket> = Vec::with_capacity(count);
        huge::advise(buckets.as_mut_ptr().cast(), count * size_of::<Bucket>());
        buckets.resize(count, Bucket::default());
        let old = std::mem::replace(&mut self.buckets, buckets);
        self.mask = count - 1;
        // In the order of the old buckets both halves of the new ones are filled from front to back.
        for bucket in old {
            for (&tag, &slot) in bucket.tags.iter().zip(&bucket.slots).filter(|&(&tag, _)| tag != 0) {
                self.place(tag, slot);
            }
        }
    }

    /// The number of positions: a power of two. Homes in a smaller index are the lower bits of those in a larger one.
    pub(crate) fn positions(&self) -> usize {
        self.buckets.len()
    }

    /// Pushes tag and slot of each entry whose home in an index of `of` positions, no more than this one has, is one of
    /// the `count` from `start` on.
    pub(crate) fn entries_at(&self, start: usize, count: usize, of: usize, out: &mut Vec<(u32, u32)>) {
        debug_assert!(of.is_power_of_two() && of <= self.buckets.len() && start + count <= of);
        for from in (start..self.buckets.len()).step_by(of) {
            let (mut visited, mut was_full) = (0, false);
            // Behind a full bucket lie entries that had no room in it.
            while visited < count || (was_full && visited < self.buckets.len()) {
                let bucket = self.bucket((from + visited) & self.mask);
                let empty = bucket.matches(0);
                let mut held = !empty & ((1 << LANES) - 1);
                while held != 0 {
                    let lane = held.trailing_zeros() as usize;
                    let tag = bucket.tags[lane];
                    if self.home(tag).wrapping_sub(from) & self.mask < count {
                        out.push((tag, bucket.slots[lane]));
                    }
                    held &= held - 1;
                }
                was_full = empty == 0;
                visited += 1;
            }
        }
    }

    /// Removes the entry of `slot`, whose key has `hash`.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let tag = tag_of(hash);
        let mut position = self.home(tag);
        let lane = loop {
            let bucket = self.bucket(position);
            let lane = (0..LANES).find(|&lane| bucket.tags[lane] == tag && bucket.slots[lane] == slot);
            if let Some(lane) = lane {
                break lane;
            }
            // A slot that stays in the index is found again when it belongs to another key: wrong results.
            assert!(bucket.matches(0) == 0, "slot {slot} is not in the index under the hash of its key");
            position = (position + 1) & self.mask;
        };
        self.used -= 1;
        self.empty(position, lane);
    }

    /// Empties a place. If its bucket was full, an entry of a later bucket that was only put there because of
    /// that moves in, so that look-ups, which stop at a bucket that is not full, still find it.
    fn empty(&mut self, mut position: usize, mut lane: usize) {
        'holes: loop {
            let was_full = self.bucket(position).matches(0) == 0;
            self.buckets[position].tags[lane] = 0;
            if !was_full {
                return;
            }
            let mut later = position;
            loop {
                later = (later + 1) & self.mask;
                let bucket = *self.bucket(later);
                for (from, &tag) in bucket.tags.iter().enumerate().filter(|&(_, &tag)| tag != 0) {
                    let passed = later.wrapping_sub(self.home(tag)) & self.mask;
                    if passed >= later.wrapping_sub(position) & self.mask {
                        self.buckets[position].tags[lane] = tag;
                        self.buckets[position].slots[lane] = bucket.slots[from];
                        (position, lane) = (later, from);
                        continue 'holes;
                    }
                }
                if bucket.matches(0) != 0 {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
