//! LAG: the value some rows before.

use super::bytes::{ByteResults, BytesKernel, items};

/// Word: how many values are held. Held: the last values as items, the oldest first, at most `rows` and that of the row
/// itself; behind them, while they are fewer, what the row asked for instead.
pub(crate) struct Lag {
    pub(crate) rows: usize,
}

impl Lag {
    /// Where the first `count` items end.
    fn end(held: &[u8], count: usize) -> usize {
        (0..count).fold(0, |offset, _| items::next(held, offset).map_or(held.len(), |(_, end)| end))
    }
}

impl BytesKernel for Lag {
    const WORDS: usize = 1;
    const GROWS: bool = false;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>) {
        let count = words[0] as usize;
        if count > self.rows {
            held.drain(..Self::end(held, 1));
            items::push(held, value);
            return;
        }
        held.truncate(Self::end(held, count));
        items::push(held, value);
        words[0] += 1;
        if count < self.rows {
            items::push(held, second);
        }
    }

    /// Not called: rows of OVER without a frame are not counted out.
    fn retract(
        &self,
        _words: &mut [u64],
        _held: &mut Vec<u8>,
        _value: Option<&[u8]>,
        _second: Option<&[u8]>,
    ) {
    }

    fn result(&self, words: &[u64], held: &[u8], results: &mut ByteResults) {
        let count = words[0] as usize;
        let offset = if count > self.rows { 0 } else { Self::end(held, count) };
        match items::next(held, offset) {
            Some((Some(value), _)) => results.push(value),
            _ => results.push_null(),
        }
    }

    /// Not called: only windows merge, and they have no LAG.
    fn merge(&self, _words: &mut [u64], _held: &mut Vec<u8>, _other_words: &[u64], _other: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_some_rows_before_or_what_the_row_asks_for() {
        let of = |rows: usize| {
            let (lag, mut words, mut held) = (Lag { rows }, [0], Vec::new());
            let mut found = Vec::new();
            for (value, second) in [(Some("a"), "w"), (None, "x"), (Some("c"), "y"), (Some("d"), "z")] {
                lag.add(&mut words, &mut held, value.map(str::as_bytes), Some(second.as_bytes()));
                let mut results = ByteResults::default();
                lag.result(&words, &held, &mut results);
                found.push(
                    results.iter().next().flatten().map(|text| String::from_utf8_lossy(text).into_owned()),
                );
            }
            found.into_iter().map(|text| text.unwrap_or("NULL".into())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(0), "a NULL c d");
        assert_eq!(of(1), "w a NULL c");
        assert_eq!(of(2), "w x a NULL");
        assert_eq!(of(9), "w x y z");
    }
}
