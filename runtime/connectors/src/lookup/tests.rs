//! Lookups of files: keys of several types, caches that expire or fill up, tables that are read again.

use crate::Connectors;
use crate::testing::{HandClock, block_on, env_with, scan, table};
use arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use weir_types::{Clock, ConnectorCatalog, LookupError, LookupSource, SqlType, TableDescriptor};

const COLUMNS: [(&str, SqlType); 3] = [("k", SqlType::Int), ("s", SqlType::STRING), ("v", SqlType::Int)];

struct World {
    folder: TempDir,
    clock: Arc<HandClock>,
}

impl World {
    fn new() -> Self {
        World { folder: tempfile::tempdir().unwrap(), clock: Arc::default() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("rows.json")
    }

    /// Rows (key, value); the text is that of the key.
    fn write(&self, rows: &[(i32, i32)]) {
        let line = |(key, value): &(i32, i32)| format!("{{\"k\":{key},\"s\":\"t{key}\",\"v\":{value}}}\n");
        fs::write(self.file(), rows.iter().map(line).collect::<String>()).unwrap();
    }

    fn table(&self, options: &[(&str, &str)]) -> TableDescriptor {
        let path = self.folder.path().display().to_string();
        let base = [("connector", "filesystem"), ("path", path.as_str()), ("format", "json")];
        table("dim", &COLUMNS, &[&base, options].concat())
    }

    fn open(&self, keys: &[usize], options: &[(&str, &str)]) -> Arc<dyn LookupSource> {
        let env = env_with(self.clock.clone());
        Connectors::new().lookup(&scan(self.table(options)), keys, &env).unwrap()
    }

    fn pass(&self, ms: u64) {
        *self.clock.now.lock() += Duration::from_millis(ms);
    }
}

/// Keys and the values of the rows found for them.
fn try_find(source: &dyn LookupSource, keys: Vec<ArrayRef>) -> Result<Vec<(u32, i32)>, LookupError> {
    let found = block_on(source.lookup(keys))?;
    let values = found.rows.column(2).as_primitive::<Int32Type>().values().to_vec();
    Ok(found.keys.into_iter().zip(values).collect())
}

fn find(source: &dyn LookupSource, keys: &[Option<i32>]) -> Vec<(u32, i32)> {
    try_find(source, vec![Arc::new(Int32Array::from(keys.to_vec()))]).unwrap()
}

fn error(world: &World, options: &[(&str, &str)]) -> String {
    Connectors::new().check(&world.table(options)).unwrap_err().message
}

const CACHES: [&[(&str, &str)]; 4] = [
    &[],
    &[("lookup.cache", "NONE")],
    &[("lookup.cache", "partial"), ("lookup.partial-cache.max-rows", "2")],
    &[("lookup.cache", "FULL"), ("lookup.full-cache.periodic-reload.interval", "1 s")],
];

#[test]
fn every_cache_finds_the_same() {
    for options in CACHES {
        let world = World::new();
        world.write(&[(1, 10), (2, 20), (1, 11), (3, 30), (1, 12)]);
        let by_key = world.open(&[0], options);
        for _ in 0..2 {
            let found = find(&*by_key, &[Some(3), Some(1), None, Some(9), Some(1)]);
            let expected = [(0, 30), (1, 10), (1, 11), (1, 12), (4, 10), (4, 11), (4, 12)];
            assert_eq!(found, expected, "{options:?}");
            assert!(find(&*by_key, &[None, Some(8)]).is_empty(), "{options:?}");
            assert!(find(&*by_key, &[]).is_empty(), "{options:?}");
        }
        let by_both = world.open(&[1, 0], options);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("t2"), Some("t1"), Some("t3"), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(2), Some(2), Some(3), Some(1)]));
        let found = try_find(&*by_both, vec![texts, numbers]).unwrap();
        assert_eq!(found, [(0, 20), (2, 30)], "{options:?}");
    }
}

#[test]
fn without_a_cache_each_lookup_sees_the_files_as_they_are() {
    let world = World::new();
    world.write(&[(1, 10)]);
    let source = world.open(&[0], &[("lookup.cache", "NONE")]);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 10)]);
    world.write(&[(1, 11)]);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 11)]);
    let once = world.open(&[0], &[]);
    assert_eq!(find(&*once, &[Some(1)]), [(0, 11)]);
    world.write(&[(1, 12)]);
    assert_eq!(find(&*once, &[Some(1)]), [(0, 11)], "read when the job starts");
}

#[test]
fn a_full_cache_is_read_again() {
    let world = World::new();
    world.write(&[(1, 10)]);
    let options = [("lookup.cache", "FULL"), ("lookup.full-cache.periodic-reload.interval", "10 s")];
    let source = world.open(&[0], &options);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 10)]);
    world.write(&[(1, 11), (2, 20)]);
    world.pass(9_999);
    assert_eq!(find(&*source, &[Some(1), Some(2)]), [(0, 10)]);
    world.pass(1);
    assert_eq!(find(&*source, &[Some(1), Some(2)]), [(0, 11), (1, 20)]);
    fs::remove_file(world.file()).unwrap();
    fs::remove_dir_all(world.folder.path()).unwrap();
    world.pass(10_000);
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let error = try_find(&*source, vec![keys]).unwrap_err();
    assert!(error.message.contains("dim"), "{error}");
}

#[test]
fn a_full_cache_is_read_again_at_a_time_of_the_day() {
    const DAY_MS: u64 = 86_400_000;
    let world = World::new();
    world.write(&[(1, 10)]);
    let options = [
        ("lookup.cache", "FULL"),
        ("lookup.full-cache.reload-strategy", "TIMED"),
        ("lookup.full-cache.timed-reload.iso-time", "00:00:10Z"),
        ("lookup.full-cache.timed-reload.interval-in-days", "2"),
    ];
    // At midnight, whenever the clock of the test begins.
    world.pass(DAY_MS - u64::try_from(world.clock.now_ms()).unwrap() % DAY_MS);
    let source = world.open(&[0], &options);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 10)]);
    world.write(&[(1, 11)]);
    world.pass(9_999);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 10)]);
    world.pass(1);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 11)]);
    world.write(&[(1, 12)]);
    world.pass(2 * DAY_MS - 1);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 11)], "every other day");
    world.pass(1);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 12)]);
    world.write(&[(1, 13)]);
    // Nobody asked for days: the next load is due at its time all the same.
    world.pass(5 * DAY_MS);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 13)]);
    world.write(&[(1, 14)]);
    world.pass(DAY_MS - 1);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 13)]);
    world.pass(1);
    assert_eq!(find(&*source, &[Some(1)]), [(0, 14)]);
}

#[test]
fn a_partial_cache_forgets() {
    let read = |options: &[(&str, &str)], steps: &[(u64, i32)]| {
        let world = World::new();
        let source = world.open(&[0], &[&[("lookup.cache", "PARTIAL")], options].concat());
        let mut seen = Vec::new();
        for (place, (pass_ms, key)) in steps.iter().enumerate() {
            world.pass(*pass_ms);
            world.write(&[(1, place as i32), (2, place as i32), (3, place as i32)]);
            seen.push(find(&*source, &[Some(*key)]).first().map_or(-1, |(_, value)| *value));
        }
        seen
    };
    let steps = [(0, 1), (6, 1), (6, 1), (10, 1)];
    assert_eq!(read(&[], &steps), [0, 0, 0, 0]);
    assert_eq!(read(&[("lookup.partial-cache.expire-after-write", "10 ms")], &steps), [0, 0, 2, 3]);
    assert_eq!(read(&[("lookup.partial-cache.expire-after-access", "10 ms")], &steps), [0, 0, 0, 3]);
    let steps = [(0, 1), (0, 2), (0, 1), (0, 3), (0, 1), (0, 2)];
    // the third key drives out the one that was used longest ago: 2
    assert_eq!(read(&[("lookup.partial-cache.max-rows", "2")], &steps), [0, 1, 0, 3, 0, 5]);
}

#[test]
fn a_partial_cache_remembers_what_is_not_there_unless_told_otherwise() {
    for (remember, expected) in [("true", vec![]), ("false", vec![(0, 70)])] {
        let world = World::new();
        world.write(&[(1, 10)]);
        let options = [("lookup.cache", "PARTIAL"), ("lookup.partial-cache.cache-missing-key", remember)];
        let source = world.open(&[0], &options);
        assert!(find(&*source, &[Some(7)]).is_empty());
        world.write(&[(7, 70)]);
        assert_eq!(find(&*source, &[Some(7)]), expected);
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let world = World::new();
    for (options, expected) in [
        (vec![("lookup.cache", "LRU")], "'LRU' is neither 'NONE', 'PARTIAL' nor 'FULL'"),
        (vec![("lookup.cache", "FULL")], "it is missing"),
        (vec![("lookup.partial-cache.max-rows", "5")], "it needs 'lookup.cache' = 'PARTIAL'"),
        (
            vec![("lookup.cache", "PARTIAL"), ("lookup.full-cache.periodic-reload.interval", "1 s")],
            "it needs 'lookup.cache' = 'FULL'",
        ),
        (
            vec![("lookup.cache", "FULL"), ("lookup.full-cache.reload-strategy", "TIMED")],
            "it is missing: 'TIMED' reads all rows again",
        ),
        (
            vec![("lookup.cache", "FULL"), ("lookup.full-cache.timed-reload.iso-time", "03:00")],
            "it needs 'lookup.full-cache.reload-strategy' = 'TIMED'",
        ),
        (vec![("lookup.cach", "NONE")], "did you mean 'lookup.cache'"),
    ] {
        let message = error(&world, &options);
        assert!(message.contains(expected), "{options:?}: {message}");
    }
    let ability = |options: &[(&str, &str)]| Connectors::new().check(&world.table(options)).unwrap().lookup;
    assert!(ability(&[]).is_some_and(|ability| ability.constant));
    assert!(ability(&[("lookup.cache", "NONE")]).is_some_and(|ability| !ability.constant));
    assert_eq!(ability(&[("source.monitor-interval", "1 s")]), None);
}
