//! Rows that were found lately, by key.

use super::keyed_rows::has_all;
use super::options::PartialOptions;
use super::{KeySource, internal};
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take, take_record_batch};
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_types::{BoxFuture, Clock, KeyEncoder, KeyError, LookupError, LookupRows, LookupSource, RuntimeEnv};

type Key = Arc<[u8]>;

pub(super) struct PartialCache {
    source: Arc<dyn KeySource>,
    encoder: KeyEncoder,
    cache: Arc<Mutex<Cache>>,
    clock: Arc<dyn Clock>,
}

struct Cache {
    options: PartialOptions,
    entries: BTreeMap<Key, Entry>,
    /// keys by their last use
    uses: BTreeMap<u64, Key>,
    next_use: u64,
}

struct Entry {
    /// all of them have been found for the key, and may be none
    rows: RecordBatch,
    used: u64,
    accessed: Duration,
    written: Duration,
}

/// The keys of one lookup: each is asked for once.
struct Asked {
    /// the first row of each key that is not known
    missing: Vec<u32>,
    /// per row its key; `None` with a NULL in it
    keys: Vec<Option<Key>>,
    known: BTreeMap<Key, RecordBatch>,
}

impl PartialCache {
    pub fn new(
        source: Arc<dyn KeySource>,
        key_types: &[DataType],
        options: PartialOptions,
        env: &RuntimeEnv,
    ) -> Result<Self, KeyError> {
        let cache = Cache { options, entries: BTreeMap::new(), uses: BTreeMap::new(), next_use: 0 };
        let cache = Arc::new(Mutex::new(cache));
        Ok(PartialCache { source, encoder: KeyEncoder::new(key_types)?, cache, clock: env.clock.clone() })
    }

    fn asked(&self, keys: &[ArrayRef]) -> Result<Asked, LookupError> {
        let rows = keys.first().map_or(0, |key| key.len());
        let encoded = self.encoder.encode(keys, rows).map_err(internal)?;
        let now = self.clock.monotonic();
        let mut cache = self.cache.lock();
        let mut asked = Asked { missing: Vec::new(), keys: Vec::with_capacity(rows), known: BTreeMap::new() };
        let mut wanted: BTreeMap<Key, ()> = BTreeMap::new();
        for row in 0..rows {
            if !has_all(keys, row) {
                asked.keys.push(None);
                continue;
            }
            let mut bytes = Vec::new();
            encoded.write_canonical(row, &mut bytes);
            let key: Key = bytes.into();
            asked.keys.push(Some(key.clone()));
            if asked.known.contains_key(&key) || wanted.contains_key(&key) {
                continue;
            }
            match cache.get(&key, now) {
                Some(rows) => drop(asked.known.insert(key, rows)),
                None => {
                    asked.missing.push(row as u32);
                    wanted.insert(key, ());
                }
            }
        }
        Ok(asked)
    }
}

impl Cache {
    fn get(&mut self, key: &Key, now: Duration) -> Option<RecordBatch> {
        let entry = self.entries.get_mut(key)?;
        let is_past =
            |since: Duration, ms: Option<u64>| ms.is_some_and(|ms| now >= since + Duration::from_millis(ms));
        if is_past(entry.accessed, self.options.expire_after_access_ms)
            || is_past(entry.written, self.options.expire_after_write_ms)
        {
            self.uses.remove(&entry.used);
            self.entries.remove(key);
            return None;
        }
        self.uses.remove(&entry.used);
        entry.used = self.next_use;
        entry.accessed = now;
        self.uses.insert(self.next_use, key.clone());
        self.next_use += 1;
        Some(entry.rows.clone())
    }

    fn put(&mut self, key: &Key, rows: RecordBatch, now: Duration) {
        if rows.num_rows() == 0 && !self.options.cache_missing_key {
            return;
        }
        let used = self.next_use;
        self.next_use += 1;
        let entry = Entry { rows, used, accessed: now, written: now };
        if let Some(before) = self.entries.insert(key.clone(), entry) {
            self.uses.remove(&before.used);
        }
        self.uses.insert(used, key.clone());
        while self.options.max_rows.is_some_and(|max| self.entries.len() as u64 > max) {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }
}

impl Asked {
    /// Adds what has been found for the missing keys.
    fn fill(&mut self, found: &LookupRows, cache: &mut Cache, now: Duration) -> Result<(), LookupError> {
        let mut place = 0;
        for (index, row) in self.missing.iter().enumerate() {
            let from = place;
            while found.keys.get(place).is_some_and(|key| *key as usize == index) {
                place += 1;
            }
            let Some(Some(key)) = self.keys.get(*row as usize) else { continue };
            // a copy, so that an entry does not keep the rows of others
            let rows = UInt32Array::from_iter_values(from as u32..place as u32);
            let rows = take_record_batch(&found.rows, &rows).map_err(internal)?;
            cache.put(key, rows.clone(), now);
            self.known.insert(key.clone(), rows);
        }
        Ok(())
    }

    /// The rows of all keys, which are known now.
    fn rows(&self, empty: &RecordBatch) -> Result<LookupRows, LookupError> {
        let places: BTreeMap<&Key, usize> =
            self.known.keys().enumerate().map(|(place, key)| (key, place)).collect();
        let batches: Vec<&RecordBatch> = self.known.values().collect();
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut rows = Vec::with_capacity(self.keys.len());
        for (row, key) in self.keys.iter().enumerate() {
            let Some(place) = key.as_ref().and_then(|key| places.get(key)) else { continue };
            for found in 0..batches[*place].num_rows() {
                keys.push(row as u32);
                rows.push((*place, found));
            }
        }
        if rows.is_empty() {
            return Ok(LookupRows { keys, rows: empty.slice(0, 0) });
        }
        Ok(LookupRows { keys, rows: interleave_record_batch(&batches, &rows).map_err(internal)? })
    }
}

impl LookupSource for PartialCache {
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        let asked = self.asked(&keys);
        let (cache, clock, source) = (self.cache.clone(), self.clock.clone(), self.source.clone());
        Box::pin(async move {
            let mut asked = asked?;
            if asked.missing.is_empty()
                && let Some(empty) = asked.known.values().next().cloned()
            {
                return asked.rows(&empty);
            }
            let missing = UInt32Array::from(asked.missing.clone());
            let missing = keys.iter().map(|key| take(key, &missing, None)).collect::<Result<Vec<_>, _>>();
            let found = source.find(missing.map_err(internal)?).await?;
            asked.fill(&found, &mut cache.lock(), clock.monotonic())?;
            asked.rows(&found.rows)
        })
    }
}
