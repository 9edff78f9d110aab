//! One pass over a record before it is read: where its quotes are, and whether it needs care.

/// What the pass found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Neither a backslash nor a control character: every quote begins or ends a string.
    pub plain: bool,
    /// Only ASCII: valid UTF-8 without a look.
    pub ascii: bool,
}

/// Bits of 64 bytes.
struct Block {
    quotes: u64,
    special: bool,
    high: bool,
}

/// Sets one bit for each `"` of `record`, 64 bytes a word.
#[inline]
pub(super) fn index(record: &[u8], quotes: &mut Vec<u64>) -> Shape {
    quotes.clear();
    let (mut special, mut high) = (false, false);
    let (blocks, rest) = record.as_chunks::<64>();
    for bytes in blocks {
        let block = scan(bytes);
        quotes.push(block.quotes);
        special |= block.special;
        high |= block.high;
    }
    if !rest.is_empty() {
        let mut bytes = [b' '; 64];
        bytes[..rest.len()].copy_from_slice(rest);
        let block = scan(&bytes);
        quotes.push(block.quotes);
        special |= block.special;
        high |= block.high;
    }
    Shape { plain: !special, ascii: !high }
}

/// The place of the first quote at or after `from`.
#[inline]
pub(super) fn next_quote(quotes: &[u64], from: usize) -> Option<usize> {
    let mut word = from >> 6;
    let mut bits = quotes.get(word)? & (u64::MAX << (from & 63));
    while bits == 0 {
        word += 1;
        bits = *quotes.get(word)?;
    }
    Some(word * 64 + bits.trailing_zeros() as usize)
}

#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[inline]
fn scan(bytes: &[u8; 64]) -> Block {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8,
    };
    // SAFETY: AVX2 is enabled for the whole program (the cfg above), and both loads read 32 of the 64 bytes.
    unsafe {
        let halves =
            [bytes.as_ptr(), bytes.as_ptr().add(32)].map(|at| _mm256_loadu_si256(at.cast::<__m256i>()));
        let (quote, backslash) = (_mm256_set1_epi8(b'"' as i8), _mm256_set1_epi8(b'\\' as i8));
        let control = _mm256_set1_epi8(0x1f);
        let bits = |half: __m256i| {
            let quotes = _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, quote)) as u32;
            let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(half, control), half);
            let special = _mm256_or_si256(controls, _mm256_cmpeq_epi8(half, backslash));
            (u64::from(quotes), _mm256_movemask_epi8(special), _mm256_movemask_epi8(half))
        };
        let (low, high) = (bits(halves[0]), bits(halves[1]));
        Block { quotes: low.0 | high.0 << 32, special: low.1 | high.1 != 0, high: low.2 | high.2 != 0 }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
fn scan(bytes: &[u8; 64]) -> Block {
    let mut block = Block { quotes: 0, special: false, high: false };
    for (place, byte) in bytes.iter().enumerate() {
        block.quotes |= u64::from(*byte == b'"') << place;
        block.special |= *byte == b'\\' || *byte < 0x20;
        block.high |= *byte >= 0x80;
    }
    block
}
