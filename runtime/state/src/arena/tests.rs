use super::*;

#[test]
fn values_of_all_lengths_come_back() {
    let mut arena = Arena::default();
    let values: Vec<Vec<u8>> =
        (0..200).chain([5_000, 70_000, 2_000_000]).map(|length| vec![length as u8; length]).collect();
    let handles: Vec<Handle> =
        values.iter().enumerate().map(|(slot, value)| arena.insert(slot as u32, 3, value)).collect();
    let view = arena.view();
    for (value, &handle) in values.iter().zip(&handles) {
        assert_eq!(&*arena.get(handle), &value[..]);
        assert!(handle.may_be(value) && !handle.may_be(&[value, &b"x"[..]].concat()));
        arena.remove(handle);
    }
    // What is removed stays readable for those who look at an earlier moment.
    for (value, &handle) in values.iter().zip(&handles) {
        assert_eq!(&*view.get(handle), &value[..]);
    }
    assert!(arena.bytes() < 2_000_000, "chunks without values are given back");
}

#[test]
fn a_sparse_chunk_tells_what_it_holds() {
    let mut arena = Arena::default();
    let value = [7_u8; 1000];
    let handles: Vec<Handle> = (0..20_000).map(|slot| arena.insert(slot, 1, &value)).collect();
    assert_eq!(arena.sparse_chunk(), None);
    for (slot, &handle) in handles.iter().enumerate() {
        if slot % 4 != 0 {
            arena.remove(handle);
        }
    }
    let chunk = arena.sparse_chunk().expect("three quarters are garbage");
    let contents = arena.contents(chunk);
    assert!(contents.iter().all(|&(slot, field, handle)| field == 1 && handle == handles[slot as usize]));
    assert!(contents.len() > 1);
    let before = arena.bytes();
    arena.forget_chunk(chunk);
    assert!(arena.bytes() < before);
}
