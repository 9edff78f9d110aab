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

    /// The set bits, rising.
    pub(crate) fn ones(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| index as u32 * 64 + rest.trailing_zeros())
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_unset() {
        let mut bits = Bits::default();
        for slot in [0, 63, 64, 200, 1000] {
            bits.set(slot);
        }
        bits.unset(63);
        bits.unset(5000);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 64, 200, 1000]);
        assert!(bits.get(200) && !bits.get(63) && !bits.get(100_000));
        assert!(!bits.is_empty());
        [0, 64, 200, 1000].into_iter().for_each(|slot| bits.unset(slot));
        assert!(bits.is_empty());
    }
}
