//! The values that MIN and MAX hold where rows are taken back: in order, each with how often it is there. Of many values
//! only the first ones; how many are kept elsewhere stands beside them.

use super::bytes::{ValueCodec, items};
use std::cmp::Ordering;

/// Width of a count.
const COUNT: usize = 8;

/// How values and their counts lie behind one another, ordered as values are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// Value, count (8 bytes, little endian). Behind all of them, if values are kept elsewhere: how many (8 bytes).
    Fixed { width: usize },
    /// Items value, count (4 bytes). Ahead of them, if values are kept elsewhere: a NULL, and how many (8 bytes).
    Items,
}

impl Layout {
    /// How many values are kept elsewhere.
    pub(crate) fn behind(self, held: &[u8]) -> u64 {
        let (_, mark) = self.parts(held);
        mark.last_chunk().map_or(0, |number| u64::from_le_bytes(*number))
    }

    /// Values with their counts, and what says how many there are elsewhere.
    fn parts(self, held: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Layout::Fixed { width } => held.split_at(held.len() - held.len() % (width + COUNT)),
            Layout::Items => {
                let (mark, entries) = held.split_at(items_start(held));
                (entries, mark)
            }
        }
    }

    /// At least as many as there are values.
    fn at_most(self, held: &[u8]) -> usize {
        match self {
            Layout::Fixed { width } => held.len() / (width + COUNT),
            // Two lengths and a count for each.
            Layout::Items => held.len() / 12,
        }
    }

    /// Rising.
    fn entries(self, held: &[u8]) -> Vec<(&[u8], i64)> {
        let (entries, _) = self.parts(held);
        match self {
            Layout::Fixed { width } => {
                let count = |bytes: &[u8]| i64::from_le_bytes(bytes[width..].try_into().unwrap_or_default());
                entries.chunks_exact(width + COUNT).map(|bytes| (&bytes[..width], count(bytes))).collect()
            }
            Layout::Items => {
                let mut all = items::iter(entries).map(|item| item.unwrap_or(&[]));
                let next = || {
                    let value = all.next()?;
                    let count = all.next()?.try_into().map_or(0, i32::from_le_bytes);
                    Some((value, i64::from(count)))
                };
                std::iter::from_fn(next).collect()
            }
        }
    }

    /// The reverse of [`Layout::entries`] and [`Layout::behind`].
    fn write<'a>(self, entries: impl Iterator<Item = (&'a [u8], i64)>, behind: u64) -> Vec<u8> {
        let mut held = Vec::new();
        if let (Layout::Items, 1..) = (self, behind) {
            items::push(&mut held, None);
            held.extend_from_slice(&behind.to_le_bytes());
        }
        for (value, count) in entries {
            match self {
                Layout::Fixed { .. } => {
                    held.extend_from_slice(value);
                    held.extend_from_slice(&count.to_le_bytes());
                }
                Layout::Items => {
                    items::push(&mut held, Some(value));
                    items::push(&mut held, Some(&(count as i32).to_le_bytes()));
                }
            }
        }
        if let (Layout::Fixed { .. }, 1..) = (self, behind) {
            held.extend_from_slice(&behind.to_le_bytes());
        }
        held
    }
}

/// Where the items begin: a NULL ahead of them is no value.
pub(crate) fn items_start(held: &[u8]) -> usize {
    match items::next(held, 0) {
        Some((None, end)) => (end + COUNT).min(held.len()),
        _ => 0,
    }
}

/// MIN or MAX, as what keeps some of its values elsewhere sees it.
pub(crate) struct Ordered<'a> {
    pub(crate) codec: &'a ValueCodec,
    pub(crate) layout: Layout,
    pub(crate) greatest: bool,
}

impl Ordered<'_> {
    /// `Less`: `left` is ahead, the result if there are no others.
    pub(crate) fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        if self.greatest { right.cmp(left) } else { left.cmp(right) }
    }

    pub(crate) fn behind(&self, held: &[u8]) -> u64 {
        self.layout.behind(held)
    }

    /// False if there are `count` values at most.
    pub(crate) fn may_exceed(&self, held: &[u8], count: usize) -> bool {
        self.layout.at_most(held) > count
    }

    /// The values with their counts, the first ones first.
    pub(crate) fn entries<'a>(&self, held: &'a [u8]) -> Vec<(&'a [u8], i64)> {
        let mut entries = self.layout.entries(held);
        if self.greatest {
            entries.reverse();
        }
        entries
    }

    /// What is held of `entries`, the first ones first, where `behind` values are kept elsewhere.
    pub(crate) fn hold(&self, entries: &[(&[u8], i64)], behind: u64) -> Vec<u8> {
        let entries = entries.iter().copied();
        match self.greatest {
            true => self.layout.write(entries.rev(), behind),
            false => self.layout.write(entries, behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    #[test]
    fn what_is_held_is_read_again() {
        let codec = ValueCodec::new(&DataType::Utf8).unwrap();
        for layout in [Layout::Fixed { width: 2 }, Layout::Items] {
            for (greatest, behind) in [(false, 0), (true, 0), (false, 7), (true, u64::MAX)] {
                let ordered = Ordered { codec: &codec, layout, greatest };
                let mut entries: Vec<(&[u8], i64)> = vec![(b"aa", 1), (b"bb", -2), (b"cc", 3)];
                if greatest {
                    entries.reverse();
                }
                for count in 0..=entries.len() {
                    let held = ordered.hold(&entries[..count], behind);
                    assert_eq!(ordered.behind(&held), behind, "{layout:?}");
                    assert_eq!(ordered.entries(&held), entries[..count], "{layout:?}");
                    assert!(!ordered.may_exceed(&held, count + 1), "{layout:?}");
                    assert!(count == 0 || ordered.may_exceed(&held, count - 1), "{layout:?}");
                }
            }
        }
    }
}
