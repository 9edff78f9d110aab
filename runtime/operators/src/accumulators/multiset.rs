//! Kernels that count how often each value is there: MIN and MAX over an input that retracts, and COLLECT.

use super::bytes::{ByteResults, BytesKernel, items};
use super::numeric::MAX;
use super::ordered::{Layout, items_start};
use std::cmp::Ordering;

/// Width of a count behind a value of fixed width.
const COUNT: usize = 8;

/// MIN or MAX over an input that retracts, of values whose encodings all have `width` bytes and are ordered
/// as the values are. Held: [`Layout::Fixed`]; found by bisection.
pub(crate) struct FixedExtreme<const KEEP: u8> {
    pub(crate) width: usize,
}

impl<const KEEP: u8> FixedExtreme<KEEP> {
    /// The offset of the entry of `value`, or of the place where it belongs.
    fn find(&self, held: &[u8], value: &[u8]) -> Result<usize, usize> {
        let entry = self.width + COUNT;
        let (mut low, mut high) = (0, held.len() / entry);
        while low < high {
            let middle = low.midpoint(high);
            match held[middle * entry..middle * entry + self.width].cmp(value) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle * entry),
            }
        }
        Err(low * entry)
    }

    fn count(&self, held: &[u8], entry: usize) -> i64 {
        let mut bytes = [0; COUNT];
        bytes.copy_from_slice(&held[entry + self.width..entry + self.width + COUNT]);
        i64::from_le_bytes(bytes)
    }

    /// Adds `change` to the count of `value`; a count of 0 is no entry. Counts may be below 0 for a while: an
    /// update that was split may bring the row that takes back before the one that it takes back.
    fn change(&self, held: &mut Vec<u8>, value: &[u8], change: i64) {
        debug_assert_eq!(value.len(), self.width);
        match self.find(held, value) {
            Ok(entry) => match self.count(held, entry).wrapping_add(change) {
                0 => drop(held.drain(entry..entry + self.width + COUNT)),
                count => {
                    let place = entry + self.width;
                    held[place..place + COUNT].copy_from_slice(&count.to_le_bytes());
                }
            },
            Err(place) => {
                let entry = value.iter().copied().chain(change.to_le_bytes());
                held.splice(place..place, entry);
            }
        }
    }
}

impl<const KEEP: u8> BytesKernel for FixedExtreme<KEEP> {
    const WORDS: usize = 0;
    const GROWS: bool = false;

    fn add(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if let Some(value) = value {
            self.change(held, value, 1);
        }
    }

    fn retract(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if let Some(value) = value {
            self.change(held, value, -1);
        }
    }

    fn result_bytes(&self, _held: &[u8]) -> usize {
        self.width
    }

    fn ordered(&self) -> Option<(Layout, bool)> {
        Some((Layout::Fixed { width: self.width }, KEEP == MAX))
    }

    fn result(&self, _words: &[u64], held: &[u8], results: &mut ByteResults) {
        let entry = self.width + COUNT;
        let mut entries = (0..held.len() / entry).map(|index| index * entry);
        let present = |entry: &usize| self.count(held, *entry) > 0;
        let found = if KEEP == MAX { entries.rfind(present) } else { entries.find(present) };
        match found {
            Some(entry) => results.push(&held[entry..entry + self.width]),
            None => results.push_null(),
        }
    }

    fn merge(&self, _words: &mut [u64], held: &mut Vec<u8>, _other_words: &[u64], other: &[u8]) {
        if held.is_empty() {
            held.extend_from_slice(other);
            return;
        }
        for entry in other.chunks_exact(self.width + COUNT) {
            self.change(held, &entry[..self.width], self.count(entry, 0));
        }
    }
}

/// Values of any width with their counts. Held: [`Layout::Items`].
pub(crate) struct Multiset<const FORM: u8>;

/// MIN over an input that retracts
pub(crate) const LEAST: u8 = 0;
/// MAX over an input that retracts
pub(crate) const GREATEST: u8 = 1;
/// COLLECT
pub(crate) const WHOLE: u8 = 2;

impl<const FORM: u8> Multiset<FORM> {
    fn change(held: &mut Vec<u8>, value: &[u8], change: i32) {
        let mut offset = items_start(held);
        while let Some((Some(found), middle)) = items::next(held, offset) {
            match found.cmp(value) {
                Ordering::Less => offset = items::next(held, middle).map_or(held.len(), |(_, end)| end),
                Ordering::Equal => {
                    let Some((Some(count), end)) = items::next(held, middle) else { return };
                    let count = count.try_into().map_or(0, i32::from_le_bytes).wrapping_add(change);
                    if count == 0 {
                        held.drain(offset..end);
                    } else {
                        held[end - 4..end].copy_from_slice(&count.to_le_bytes());
                    }
                    return;
                }
                Ordering::Greater => break,
            }
        }
        let mut entry = Vec::with_capacity(value.len() + 12);
        items::push(&mut entry, Some(value));
        items::push(&mut entry, Some(&change.to_le_bytes()));
        held.splice(offset..offset, entry);
    }

    /// Values and counts.
    fn entries(held: &[u8]) -> impl Iterator<Item = (&[u8], i32)> {
        let mut all = items::iter(&held[items_start(held)..]).map(|item| item.unwrap_or(&[]));
        std::iter::from_fn(move || {
            let value = all.next()?;
            Some((value, all.next()?.try_into().map_or(0, i32::from_le_bytes)))
        })
    }
}

impl<const FORM: u8> BytesKernel for Multiset<FORM> {
    const WORDS: usize = 0;
    const GROWS: bool = FORM == WHOLE;

    fn result_bytes(&self, held: &[u8]) -> usize {
        match FORM {
            WHOLE => held.len(),
            _ => items::iter(&held[items_start(held)..]).flatten().map(<[u8]>::len).max().unwrap_or(0),
        }
    }

    fn ordered(&self) -> Option<(Layout, bool)> {
        (FORM != WHOLE).then_some((Layout::Items, FORM == GREATEST))
    }

    fn add(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if let Some(value) = value {
            Self::change(held, value, 1);
        }
    }

    fn retract(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if let Some(value) = value {
            Self::change(held, value, -1);
        }
    }

    fn result(&self, _words: &[u64], held: &[u8], results: &mut ByteResults) {
        if FORM == WHOLE {
            return results.push(held);
        }
        let mut present = Self::entries(held).filter(|(_, count)| *count > 0);
        match if FORM == LEAST { present.next() } else { present.last() } {
            Some((value, _)) => results.push(value),
            None => results.push_null(),
        }
    }

    fn merge(&self, _words: &mut [u64], held: &mut Vec<u8>, _other_words: &[u64], other: &[u8]) {
        if held.is_empty() {
            held.extend_from_slice(other);
            return;
        }
        for (value, count) in Self::entries(other) {
            Self::change(held, value, count);
        }
    }
}
