use super::*;
use crate::test_backends::work_directory;
use parking_lot::Condvar;
use weir_types::RocksDbSettings;

/// A merge that goes on once it is let.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        let mut open = self.0.lock();
        while !*open {
            self.1.wait(&mut open);
        }
    }

    fn open(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }
}

/// Files are taken over no faster than they are merged, once so many wait for it that a write would wait as well.
#[test]
fn files_wait_for_merges() {
    const FAMILY: &str = "a/b";
    const FILES: u64 = 200;
    const MOST: u64 = 96;
    let settings = RocksDbSettings { threads: 1, ..RocksDbSettings::default() };
    let shared = RocksDb::open(&settings, &work_directory()).unwrap();
    let store = Store::create(&shared, 1 << 60).unwrap();
    let gate = Arc::new(Gate::default());
    let mut options = shared.family_options();
    let held = gate.clone();
    options.set_compaction_filter("held", move |_level: u32, _key: &[u8], _value: &[u8]| {
        held.pass();
        Decision::Keep
    });
    store.db.create_cf(FAMILY, &options).unwrap();
    store.options.lock().push(options);
    let number = |property: &str| {
        store.db.property_int_value_cf(&store.family(FAMILY), property).unwrap().unwrap_or(0)
    };
    let added = AtomicU64::new(0);
    let most = std::thread::scope(|scope| {
        let adding = scope.spawn(|| {
            let mut most = 0;
            for _ in 0..FILES {
                // Each overlaps the others.
                store
                    .add_file(FAMILY, |file| file.put(b"a", b"").and_then(|()| file.put(b"b", b"")))
                    .unwrap();
                added.fetch_add(1, Ordering::Relaxed);
                most = most.max(number("rocksdb.num-files-at-level0"));
            }
            most
        });
        while number("rocksdb.is-write-stopped") == 0 && !adding.is_finished() {
            std::thread::yield_now();
        }
        // Who does not wait is done before long.
        for _ in 0..100_000 {
            if adding.is_finished() {
                break;
            }
            std::thread::yield_now();
        }
        gate.open();
        adding.join().unwrap()
    });
    assert_eq!(added.load(Ordering::Relaxed), FILES);
    assert!(most <= MOST, "{most} files waited for a merge");
}
