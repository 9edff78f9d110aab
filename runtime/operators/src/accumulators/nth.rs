//! NTH_VALUE: the value of one row of a frame.

use super::bytes::{ByteResults, BytesKernel, items};

/// Word: how many rows there are. Held: the value of row `n` as an item, or the values of all rows where they leave the
/// frame again.
pub(crate) struct Nth {
    /// from 1
    pub(crate) n: u64,
    pub(crate) keeps_all: bool,
}

impl BytesKernel for Nth {
    const WORDS: usize = 1;
    const GROWS: bool = false;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        words[0] += 1;
        if self.keeps_all || words[0] == self.n {
            items::push(held, value);
        }
    }

    /// Rows leave a frame in the order in which they came into it.
    fn retract(&self, words: &mut [u64], held: &mut Vec<u8>, _value: Option<&[u8]>, _second: Option<&[u8]>) {
        words[0] = words[0].saturating_sub(1);
        let end = items::next(held, 0).map_or(held.len(), |(_, end)| end);
        held.drain(..end);
    }

    fn result(&self, _words: &[u64], held: &[u8], results: &mut ByteResults) {
        let place = if self.keeps_all { self.n as usize - 1 } else { 0 };
        match items::iter(held).nth(place) {
            Some(Some(value)) => results.push(value),
            _ => results.push_null(),
        }
    }

    /// Not called: only windows merge, and they have no NTH_VALUE.
    fn merge(&self, _words: &mut [u64], _held: &mut Vec<u8>, _other_words: &[u64], _other: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(keeps_all: bool, retract: bool) -> Vec<Option<String>> {
        let (nth, mut words, mut held) = (Nth { n: 2, keeps_all }, [0], Vec::new());
        let mut found = Vec::new();
        for value in [Some("a"), Some("b"), None, Some("d")] {
            nth.add(&mut words, &mut held, value.map(str::as_bytes), None);
            if retract && words[0] > 2 {
                nth.retract(&mut words, &mut held, None, None);
            }
            let mut results = ByteResults::default();
            nth.result(&words, &held, &mut results);
            let text = results.iter().next().flatten().map(|text| String::from_utf8_lossy(text).into_owned());
            found.push(text);
        }
        found
    }

    #[test]
    fn the_second_row_of_a_frame() {
        let b = || Some("b".to_string());
        assert_eq!(second(false, false), [None, b(), b(), b()]);
        assert_eq!(second(true, true), [None, b(), None, Some("d".into())]);
    }
}
