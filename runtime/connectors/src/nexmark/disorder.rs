//! Rows out of order, without remembering any: rows are permuted within groups that last `disorder` of event time.

use super::layout::Layout;
use super::options::NexmarkOptions;
use crate::random::RandomStream;

/// Which row stands at which place.
pub(super) struct Disorder {
    /// log2 of the rows in a group; 0: in order
    bits: u32,
    /// rows of the whole table
    rows: u64,
    keys: RandomStream,
}

impl Disorder {
    pub fn new(options: &NexmarkOptions, layout: &Layout, rows: Option<u64>) -> Self {
        let (share, events) = layout.share(&options.proportions);
        let group = u128::from(options.disorder_ms) * u128::from(options.rate) * u128::from(share)
            / (1000 * u128::from(events));
        // The largest power of two that is not above the rows of `disorder`.
        let bits = (u128::BITS - group.leading_zeros()).saturating_sub(1).min(40);
        Disorder { bits, rows: rows.unwrap_or(u64::MAX), keys: RandomStream::new(options.seed, "disorder") }
    }

    /// The row that comes at `place`. Over the places of a table it is a permutation.
    #[inline]
    pub fn row_at(&self, place: u64) -> u64 {
        if self.bits == 0 {
            return place;
        }
        let group = place >> self.bits;
        let start = group << self.bits;
        let size = (1u64 << self.bits).min(self.rows - start);
        let key = self.keys.bits(group);
        let mut offset = place - start;
        // The last group of a bounded table may be cut: walk the cycle until it is inside (Black and Rogaway,
        // "Ciphers with arbitrary finite domains", 2002).
        loop {
            offset = self.permute(offset, key);
            if offset < size {
                return start + offset;
            }
        }
    }

    /// A bijection on numbers of `bits` bits: each step (xor, multiply by an odd number, xor with a right
    /// shift) is one.
    #[inline]
    fn permute(&self, mut x: u64, key: u64) -> u64 {
        let mask = (1u64 << self.bits) - 1;
        let shift = self.bits.div_ceil(2);
        for round in 0..2 {
            x = (x ^ (key >> (round * 24))) & mask;
            x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15) & mask;
            x ^= x >> shift;
        }
        x
    }
}
