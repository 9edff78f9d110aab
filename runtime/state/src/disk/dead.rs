//! What is gone and still on disk: deletions that wait to be written, before any entries of the same state are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Keys and ranges of keys of one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dead {
    keys: BTreeSet<Vec<u8>>,
    /// from each start to its end, not including it; they neither overlap nor touch
    ranges: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

/// What an entry costs besides its bytes.
const OVERHEAD: usize = 64;

impl Dead {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Vec::as_slice)
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.ranges.iter().map(|(start, end)| (start.as_slice(), end.as_slice()))
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.in_range(key) || self.keys.contains(key)
    }

    fn in_range(&self, key: &[u8]) -> bool {
        let before = self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(_, end)| key < end.as_slice())
    }

    pub(crate) fn insert(&mut self, key: &[u8]) {
        if !self.in_range(key) && self.keys.insert(key.to_vec()) {
            self.bytes += key.len() + OVERHEAD;
        }
    }

    /// Inserts `start..end`.
    pub(crate) fn insert_range(&mut self, mut start: Vec<u8>, mut end: Vec<u8>) {
        debug_assert!(start < end);
        // Those that begin at or before the end and do not end before the start become one with it.
        while let Some((first, last)) =
            self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(end.as_slice()))).next_back()
        {
            if *last < start {
                break;
            }
            let (first, last) = (first.clone(), last.clone());
            self.ranges.remove(&first);
            self.bytes -= first.len() + last.len() + 2 * OVERHEAD;
            start = start.min(first);
            end = end.max(last);
        }
        let inside = (Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice()));
        let covered: Vec<Vec<u8>> = self.keys.range::<[u8], _>(inside).cloned().collect();
        for key in covered {
            self.bytes -= key.len() + OVERHEAD;
            self.keys.remove(&key);
        }
        self.bytes += start.len() + end.len() + 2 * OVERHEAD;
        self.ranges.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_set_of_numbers_does() {
        let mut seed = 5_u64;
        let mut random = |end: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % end
        };
        for _ in 0..200 {
            let (mut dead, mut model) = (Dead::default(), BTreeSet::new());
            for _ in 0..20 {
                let start = random(200) as u8;
                match random(2) {
                    0 => {
                        dead.insert(&[start]);
                        model.insert(start);
                    }
                    _ => {
                        let end = start + 1 + random(20) as u8;
                        dead.insert_range(vec![start], vec![end]);
                        model.extend(start..end);
                    }
                }
            }
            for key in 0..=255 {
                assert_eq!(dead.contains(&[key]), model.contains(&key), "{key} in {dead:?}");
            }
            let ranges: Vec<_> = dead.ranges().collect();
            assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0), "{ranges:?}");
            assert!(dead.keys().all(|key| !dead.in_range(key)));
            for range in ranges.iter().map(|(start, end)| (start.to_vec(), end.to_vec())).collect::<Vec<_>>()
            {
                dead.insert_range(range.0, range.1);
            }
            dead.insert_range(vec![0], vec![255]);
            assert_eq!(dead.bytes(), 2 + 2 * OVERHEAD);
        }
    }
}
