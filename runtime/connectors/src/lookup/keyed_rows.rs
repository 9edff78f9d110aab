//! Rows that are found by their keys.

use super::internal;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use hashbrown::HashTable;
use weir_types::{EncodedKeys, KeyData, KeyEncoder, LookupError, LookupRows};

/// No further row of a key.
const END: u32 = u32::MAX;

pub(super) struct KeyedRows {
    encoder: KeyEncoder,
    rows: RecordBatch,
    keys: EncodedKeys,
    /// the first row of each key
    first: HashTable<u32>,
    /// the next row of the same key, or [`END`]
    next: Vec<u32>,
}

impl KeyedRows {
    /// `columns`: those of `rows` that are the key. Rows with a NULL there are never found.
    pub fn new(rows: RecordBatch, columns: &[usize]) -> Result<Self, LookupError> {
        if rows.num_rows() >= END as usize {
            return Err(internal(format!(
                "{} rows are more than a table in memory can have",
                rows.num_rows()
            )));
        }
        let columns: Vec<ArrayRef> = columns.iter().map(|column| rows.column(*column).clone()).collect();
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        let encoder = KeyEncoder::new(&types).map_err(internal)?;
        let keys = encoder.encode(&columns, rows.num_rows()).map_err(internal)?;
        let mut first: HashTable<u32> = HashTable::with_capacity(rows.num_rows());
        let mut next = vec![END; rows.num_rows()];
        // from the last one, so that rows of a key follow each other in their order
        for row in (0..rows.num_rows()).rev().filter(|row| has_all(&columns, *row)) {
            let hash = keys.hashes()[row];
            let known = first.find_mut(hash, |other| same(&keys, row, &keys, *other as usize));
            match known {
                Some(other) => next[row] = std::mem::replace(other, row as u32),
                None => {
                    first.insert_unique(hash, row as u32, |row| keys.hashes()[*row as usize]);
                }
            }
        }
        Ok(KeyedRows { encoder, rows, keys, first, next })
    }

    /// The rows of `keys`.
    pub fn find(&self, keys: &[ArrayRef]) -> Result<LookupRows, LookupError> {
        let asked = keys.first().map_or(0, |key| key.len());
        let encoded = self.encoder.encode(keys, asked).map_err(internal)?;
        let mut found = Vec::with_capacity(asked);
        let mut places = Vec::with_capacity(asked);
        for key in (0..asked).filter(|key| has_all(keys, *key)) {
            let is_key = |row: &u32| same(&encoded, key, &self.keys, *row as usize);
            let mut row = self.first.find(encoded.hashes()[key], is_key).copied().unwrap_or(END);
            while row != END {
                found.push(key as u32);
                places.push(row);
                row = self.next[row as usize];
            }
        }
        let rows = take_record_batch(&self.rows, &UInt32Array::from(places)).map_err(internal)?;
        Ok(LookupRows { keys: found, rows })
    }
}

pub(super) fn has_all(columns: &[ArrayRef], row: usize) -> bool {
    columns.iter().all(|column| column.is_valid(row))
}

/// Whether two keys of one encoder are equal; neither has a NULL.
fn same(one: &EncodedKeys, row: usize, other: &EncodedKeys, place: usize) -> bool {
    match (one.data(), other.data()) {
        (KeyData::Word { words: one, .. }, KeyData::Word { words: other, .. }) => one[row] == other[place],
        (KeyData::Fixed2 { words: one, .. }, KeyData::Fixed2 { words: other, .. }) => {
            one[row] == other[place]
        }
        (KeyData::Fixed3 { words: one, .. }, KeyData::Fixed3 { words: other, .. }) => {
            one[row] == other[place]
        }
        (KeyData::Bytes { .. }, KeyData::Bytes { .. }) => bytes(one, row) == bytes(other, place),
        _ => false,
    }
}

fn bytes(keys: &EncodedKeys, row: usize) -> &[u8] {
    match keys.data() {
        KeyData::Bytes { offsets, bytes } => &bytes[offsets[row] as usize..offsets[row + 1] as usize],
        _ => &[],
    }
}
