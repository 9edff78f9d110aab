//! Key groups: the unit in which keyed state is distributed and rescaled.

use std::fmt;

/// The number of key groups of a job unless it says otherwise.
pub const DEFAULT_MAX_PARALLELISM: u32 = 128;

/// A share of the key space. Persisted as two bytes, big endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct KeyGroup(pub u16);

/// Key groups `start..end`, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyGroupRange {
    pub start: u16,
    pub end: u16,
}

impl KeyGroupRange {
    /// The range of subtask `index` of `parallelism`: the ranges of all subtasks tile `0..max_parallelism`, and their
    /// sizes differ by one at most.
    pub fn of_subtask(max_parallelism: u32, parallelism: u32, index: u32) -> Self {
        assert!(index < parallelism && parallelism <= max_parallelism && max_parallelism <= 1 << 15);
        let start = (index * max_parallelism).div_ceil(parallelism);
        let end = ((index + 1) * max_parallelism).div_ceil(parallelism);
        KeyGroupRange { start: start as u16, end: end as u16 }
    }

    /// The subtask of `parallelism` whose range holds `group`: the inverse of [`KeyGroupRange::of_subtask`].
    #[inline]
    pub fn subtask_of(group: KeyGroup, max_parallelism: u32, parallelism: u32) -> u32 {
        u32::from(group.0) * parallelism / max_parallelism
    }

    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&group.0)
    }

    pub fn len(self) -> usize {
        usize::from(self.end - self.start)
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MUL: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
const fn mix(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of an encoded key: 64 bits, the same on every machine and in every version.
///
/// A folded 64x64 multiplication over words of eight bytes, little endian. It decides where persisted state lives, so
/// it is our own and pinned by golden vectors in the tests.
#[inline]
pub fn key_hash(key: &[u8]) -> u64 {
    let mut hash = seed(key.len());
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        hash = step(hash, u64::from_le_bytes(bytes));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut bytes = [0; 8];
        bytes[..rest.len()].copy_from_slice(rest);
        hash = step(hash, u64::from_le_bytes(bytes));
    }
    finish(hash)
}

/// [`key_hash`] in parts, for keys that are at hand as words: [`seed`] of the length, a [`step`] per word of eight bytes
/// (the last one filled up with zeros), [`finish`].
#[inline]
pub(crate) const fn seed(length: usize) -> u64 {
    SEED ^ (length as u64)
}

#[inline]
pub(crate) const fn step(hash: u64, word: u64) -> u64 {
    mix(hash ^ word, MUL)
}

#[inline]
pub(crate) const fn finish(hash: u64) -> u64 {
    mix(hash, SEED)
}

/// The key group of a key whose [`key_hash`] is `hash`. The high bits decide, so that tables inside one subtask may
/// use the low ones.
#[inline]
pub fn key_group_of(hash: u64, max_parallelism: u32) -> KeyGroup {
    KeyGroup((((hash >> 32) * u64::from(max_parallelism)) >> 32) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_and_invert() {
        for max in [1_u32, 2, 7, 127, 128, 4096] {
            for parallelism in 1..=max.min(40) {
                let mut next = 0;
                for index in 0..parallelism {
                    let range = KeyGroupRange::of_subtask(max, parallelism, index);
                    assert_eq!(range.start, next);
                    for group in range.start..range.end {
                        assert_eq!(KeyGroupRange::subtask_of(KeyGroup(group), max, parallelism), index);
                    }
                    next = range.end;
                }
                assert_eq!(u32::from(next), max);
            }
        }
    }

    /// Persisted state lies where these say; a change of any of them loses it.
    #[test]
    fn golden_vectors() {
        let cases: [(&[u8], u64); 4] = [
            (b"", GOLDEN[0]),
            (b"a", GOLDEN[1]),
            (b"hello wo", GOLDEN[2]),
            (b"hello world, longer than two words", GOLDEN[3]),
        ];
        for (key, hash) in cases {
            assert_eq!(key_hash(key), hash, "hash of {key:?}");
        }
        assert_eq!(key_group_of(u64::MAX, 128), KeyGroup(127));
        assert_eq!(key_group_of(0, 128), KeyGroup(0));
    }

    const GOLDEN: [u64; 4] =
        [0xbe8c_ab64_4efd_da51, 0x844a_bc80_94d5_f4ef, 0xa1a1_44d1_f3fe_0479, 0xa5a3_4f63_e33f_f415];
}
