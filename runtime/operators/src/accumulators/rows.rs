//! The accumulators of the groups that a batch touches.

/// One row per group: `words_per_row` words of 64 bits, and `values_per_row` byte strings for what has no
/// fixed width.
///
/// A batch's groups are loaded from the state into such rows, updated column by column, and stored back: so
/// every loop over rows runs over memory that fits a cache, and no accumulator knows the state.
#[derive(Debug, Default)]
pub(crate) struct GroupRows {
    words_per_row: usize,
    values_per_row: usize,
    len: usize,
    words: Vec<u64>,
    /// longer than needed: byte strings keep their room from batch to batch
    values: Vec<Vec<u8>>,
}

impl GroupRows {
    pub(crate) fn new(words_per_row: usize, values_per_row: usize) -> Self {
        GroupRows { words_per_row, values_per_row, ..GroupRows::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends row `row` to `out`: its words, then length and bytes of each byte string, little endian.
    pub(crate) fn write_row(&self, row: usize, out: &mut Vec<u8>) {
        for word in self.part(row, 0, self.words_per_row) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for value in 0..self.values_per_row {
            let value = self.value(row, value);
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
    }

    /// Makes row `row` what [`GroupRows::write_row`] wrote; `None` if `bytes` are no such row.
    pub(crate) fn read_row(&mut self, row: usize, bytes: &[u8]) -> Option<()> {
        let (words, mut rest) = bytes.split_at_checked(self.words_per_row * 8)?;
        for (word, bytes) in self.part_mut(row, 0, self.words_per_row).iter_mut().zip(words.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        for value in 0..self.values_per_row {
            let (length, tail) = rest.split_first_chunk()?;
            let (held, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let value = self.value_mut(row, value);
            value.clear();
            value.extend_from_slice(held);
            rest = tail;
        }
        rest.is_empty().then_some(())
    }

    pub(crate) fn words_per_row(&self) -> usize {
        self.words_per_row
    }

    /// Makes it `len` rows of zeros and empty byte strings.
    pub(crate) fn reset(&mut self, len: usize) {
        self.len = len;
        self.words.clear();
        self.words.resize(len * self.words_per_row, 0);
        let values = len * self.values_per_row;
        self.values.truncate(values.max(1 << 16));
        if self.values.len() < values {
            self.values.resize_with(values, Vec::new);
        }
        self.values[..values].iter_mut().for_each(Vec::clear);
    }

    /// Makes one row zeros and empty byte strings.
    pub(crate) fn clear(&mut self, row: usize) {
        self.part_mut(row, 0, self.words_per_row).fill(0);
        let first = row * self.values_per_row;
        self.values[first..first + self.values_per_row].iter_mut().for_each(Vec::clear);
    }

    /// All words, row after row.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// `count` words of row `row` from word `first`.
    #[inline(always)]
    pub(crate) fn part(&self, row: usize, first: usize, count: usize) -> &[u64] {
        let start = row * self.words_per_row + first;
        &self.words[start..start + count]
    }

    #[inline(always)]
    pub(crate) fn part_mut(&mut self, row: usize, first: usize, count: usize) -> &mut [u64] {
        let start = row * self.words_per_row + first;
        &mut self.words[start..start + count]
    }

    pub(crate) fn value(&self, row: usize, value: usize) -> &[u8] {
        &self.values[row * self.values_per_row + value]
    }

    pub(crate) fn value_mut(&mut self, row: usize, value: usize) -> &mut Vec<u8> {
        &mut self.values[row * self.values_per_row + value]
    }

    /// Some words and one byte string of a row at once.
    pub(crate) fn both_mut(
        &mut self,
        row: usize,
        first: usize,
        count: usize,
        value: usize,
    ) -> (&mut [u64], &mut Vec<u8>) {
        let start = row * self.words_per_row + first;
        (&mut self.words[start..start + count], &mut self.values[row * self.values_per_row + value])
    }
}
