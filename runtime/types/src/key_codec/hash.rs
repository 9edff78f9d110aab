//! Whole-batch hashes of keys: exactly [`key_hash`] of their canonical bytes.

use super::KeyData;
use crate::key_group::{finish, key_hash, seed, step};
use arrow::buffer::NullBuffer;

pub(super) fn hash_keys(data: &KeyData) -> Vec<u64> {
    match data {
        KeyData::Word { column: false, words, .. } => vec![key_hash(&[]); words.len()],
        KeyData::Word { width: 8, words, nulls, .. } => hash_long_words(words, nulls.as_ref()),
        KeyData::Word { width, words, nulls, .. } => {
            let shift = 56 - 8 * u32::from(*width);
            let seed = seed(1 + usize::from(*width));
            let null = finish(step(seed, 0));
            let mut hashes: Vec<u64> = words
                .iter()
                .map(|&word| finish(step(seed, ((1 << 56) | (word << shift)).swap_bytes())))
                .collect();
            set_nulls(&mut hashes, nulls.as_ref(), null);
            hashes
        }
        KeyData::Fixed2 { width, words } => hash_words(words, *width),
        KeyData::Fixed3 { width, words } => hash_words(words, *width),
        KeyData::Bytes { offsets, bytes } => {
            offsets.windows(2).map(|ends| key_hash(&bytes[ends[0] as usize..ends[1] as usize])).collect()
        }
    }
}

/// A marker and eight bytes: nine bytes, so two words.
fn hash_long_words(words: &[u64], nulls: Option<&NullBuffer>) -> Vec<u64> {
    let seed = seed(9);
    let mut hashes: Vec<u64> = words
        .iter()
        .map(|&word| {
            let first = step(seed, ((1 << 56) | (word >> 8)).swap_bytes());
            finish(step(first, word & 0xff))
        })
        .collect();
    set_nulls(&mut hashes, nulls, finish(step(step(seed, 0), 0)));
    hashes
}

fn set_nulls(hashes: &mut [u64], nulls: Option<&NullBuffer>, null: u64) {
    let Some(nulls) = nulls else { return };
    for (hash, valid) in hashes.iter_mut().zip(nulls.iter()) {
        if !valid {
            *hash = null;
        }
    }
}

fn hash_words<const N: usize>(keys: &[[u64; N]], width: u8) -> Vec<u64> {
    let seed = seed(usize::from(width));
    let used = usize::from(width).div_ceil(8);
    keys.iter()
        .map(|key| {
            let mut hash = seed;
            for word in &key[..used] {
                hash = step(hash, word.swap_bytes());
            }
            finish(hash)
        })
        .collect()
}
