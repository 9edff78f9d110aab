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
