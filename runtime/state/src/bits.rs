//! One bit for each slot of a table.

/// Bits by slot; those beyond the end are not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Makes room for the slots below `slots`.
    pub(crate) fn grow(&mut self, slots: u32) {
        let words = (slots as usize).div_ceil(64);
        if words > self.0.len() {
            self.0.resize(words.max(self.0.len() * 2), 0);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * self.0.len()
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> bool {
        self.0.get((slot / 64) as usize).is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }

    #[inline]
    pub(crate) fn set(&mut self, slot: u32) {
        let word = (slot / 64) as usize;
        if word >= self.0.len() {
            self.grow(slot + 1);
        }
        self.0[word] |= 1 << (slot % 64);
    }

    #[inline]
    pub(crate) fn unset(&mut self, slot: u32) {
        if let Some(word) = self.0.get_mut((slot / 64) as usize) {
            *word &= !(1 << (slot % 64));
        }
    }

    pub(crate) fn put(&mut self, slot: u32, value: bool) {
        if value { self.set(slot) } else { self.unset(slot) }
    }

    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Sets what is set in `other` too.
    pub(crate) fn add(&mut self, other: &Bits) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }

    /// The set bits, rising.
    pub(crate) fn ones(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| index as u32 * 64 + rest.trailing_zeros())
        })
    }

    /// The words, for writing bits where many are set at once.
    pub(crate) fn words_mut(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    /// The set bits below `end` from `start` on, which is a multiple of 64, as a set that begins at `start`; they are
    /// unset.
    pub(crate) fn take(&mut self, start: u32, end: u32) -> Bits {
        debug_assert!(start.is_multiple_of(64));
        let words = self.0.len();
        let (start, end) = ((start / 64) as usize, ((end as usize).div_ceil(64)).min(words));
        if start >= end {
            return Bits::default();
        }
        let taken = self.0[start..end].to_vec();
        self.0[start..end].fill(0);
        Bits(taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_taken() {
        let mut bits = Bits::default();
        for slot in [0, 63, 64, 200, 1000] {
            bits.set(slot);
        }
        bits.unset(63);
        bits.unset(5000);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 64, 200, 1000]);
        assert!(bits.get(200) && !bits.get(63) && !bits.get(100_000));
        let taken = bits.take(64, 256);
        assert_eq!(taken.ones().collect::<Vec<_>>(), [0, 136]);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 1000]);
        bits.add(&taken);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 136, 1000]);
        assert!(!bits.is_empty() && bits.take(0, 10_000).ones().count() == 3 && bits.is_empty());
    }
}
