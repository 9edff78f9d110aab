//! Memory: what has left gives its pages back, and who takes most gives most.

use super::*;

/// Two states of counts.
struct Two {
    backend: KeyedStateBackend,
    states: [StateId; 2],
}

impl Two {
    fn new(bytes: usize) -> Two {
        let mut backend = Kind::Disk(bytes as u64).whole();
        let field = |name| SqlField::new(name, SqlType::BigInt, false);
        let states = ["t/left", "t/right"].map(|name| {
            let descriptor =
                StateDescriptor::value(name, vec![field("k")], NamespaceKind::Void, vec![field("n")]);
            backend.register(descriptor).unwrap()
        });
        Two { backend, states }
    }

    fn add(&mut self, of: usize, keys: std::ops::Range<i64>) {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
        let (id, mut found) = (self.states[of], Slots::default());
        let keys = self.backend.encoder(id).encode(std::slice::from_ref(&column), column.len()).unwrap();
        self.backend.resolve(id, Namespace::Void, &keys, &mut found);
        let counts = self.backend.rows(id, Namespace::Void).column::<i64>(0);
        found.slots.iter().for_each(|&slot| counts.update(slot, |count| count + 1));
        self.backend.check().unwrap();
    }

    fn bytes(&self) -> usize {
        self.states.iter().map(|&id| self.backend.memory_bytes(id)).sum()
    }
}

/// A table that was large and is hardly used does not keep its pages from another one.
#[test]
fn pages_go_to_where_the_rows_are() {
    const ROOM: usize = 4 << 20;
    let mut two = Two::new(ROOM);
    for batch in 0..150 {
        two.backend.trim();
        two.add(0, 1_000 * batch..1_000 * (batch + 1));
    }
    assert!(two.bytes() > ROOM / 2, "{} bytes", two.bytes());
    let mut most = 0;
    for batch in 0..300 {
        two.backend.trim();
        two.add(0, 0..1_000);
        two.add(1, 1_000 * batch..1_000 * (batch + 1));
        most = most.max(two.bytes());
    }
    let left = two.backend.memory_bytes(two.states[0]);
    assert!(most < 2 * ROOM && left < ROOM / 8, "{most} bytes, and {left} of them of what is not used");
    let before = two.backend.disk.as_ref().unwrap().jobs.begun();
    assert!(before < 300, "{before} writes");
}

/// The same of timers that were many and have been due.
#[test]
fn timers_that_were_due_keep_no_pages() {
    // Memory is shared by those that have the same settings: these are of its own.
    const ROOM: usize = (4 << 20) + 4096;
    let mut two = Two::new(ROOM);
    let field = SqlField::new("k", SqlType::BigInt, false);
    let timers = two.backend.register_timers("t/timers", vec![field], TimeDomain::EventTime).unwrap();
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..30_000));
    let keys = two.backend.encoder(timers).encode(std::slice::from_ref(&column), column.len()).unwrap();
    let times: Vec<i64> = (0..30_000).collect();
    two.backend.add_timers(timers, &keys, &times, Namespace::Void);
    let many = two.backend.memory_bytes(timers);
    let mut due = two.backend.pop_timers(timers, 29_899, usize::MAX).unwrap().times_ms;
    assert_eq!(due.len(), 29_900);
    for batch in 0..200 {
        two.backend.trim();
        two.add(1, 1_000 * batch..1_000 * (batch + 1));
    }
    let left = two.backend.memory_bytes(timers);
    assert!(left < many / 8, "{left} bytes of {many} are left");
    let rest = two.backend.pop_timers(timers, i64::MAX, usize::MAX).unwrap();
    let keys = two.backend.encoder(timers).decode(&rest.keys).unwrap();
    assert_eq!(keys[0].as_any().downcast_ref::<Int64Array>().unwrap().values(), &times[29_900..]);
    due.extend(rest.times_ms);
    assert_eq!(due, times);
}

/// Timers that nearly fill the memory make way once; otherwise rows would before each call.
#[test]
fn rows_do_not_leave_for_timers_again_and_again() {
    let times: Vec<i64> = (0..100_000).collect();
    let with_timers = |bytes: usize| {
        let mut two = Two::new(bytes);
        let field = SqlField::new("k", SqlType::BigInt, false);
        let timers = two.backend.register_timers("t/timers", vec![field], TimeDomain::EventTime).unwrap();
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(times.iter().copied()));
        let keys = two.backend.encoder(timers).encode(std::slice::from_ref(&column), column.len()).unwrap();
        two.backend.add_timers(timers, &keys, &times, Namespace::Void);
        (two, timers)
    };
    let room = with_timers(1 << 30).0.backend.used_bytes() / 96 * 100;
    let (mut two, timers) = with_timers(room);
    two.add(0, 0..1_000);
    let used = two.backend.used_bytes();
    assert!(used > room / 16 * 15 && used < room, "{used} of {room}");
    for _ in 0..100 {
        two.backend.trim();
        two.add(0, 0..1_000);
    }
    let begun = two.backend.disk.as_ref().unwrap().jobs.begun();
    assert!(begun < 2, "{begun} writes");
    assert_eq!(two.backend.entries_in_memory(two.states[0], Namespace::Void), Some(1_000));
    let due = two.backend.pop_timers(timers, i64::MAX, usize::MAX).unwrap();
    assert_eq!(due.times_ms, times);
}
