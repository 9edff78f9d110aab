use super::*;
use std::collections::BTreeMap;

/// Hashes that collide often, in their home as well as whole.
#[test]
fn behaves_as_a_map_does() {
    let mut state = 9_u64;
    let mut random = move |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut index = KeyIndex::new();
    let mut model: BTreeMap<u32, u64> = BTreeMap::new();
    for round in 0..30_000_u32 {
        let grows = round < 15_000;
        if random(10) < if grows { 7 } else { 4 } {
            let hash = random(60) << 20 | random(40) | random(2) << 40;
            index.insert(hash, round);
            model.insert(round, hash);
        } else if let Some((&slot, &hash)) = model.range(random(u64::from(round) + 1) as u32..).next() {
            index.remove(hash, slot);
            model.remove(&slot);
        }
        if round == 9_500 {
            index.reserve(30_000);
            assert_eq!(index.positions(), 8192);
        }
        if round % 1_000 == 0 {
            for (&slot, &hash) in &model {
                assert_eq!(index.find(hash, |found| found == slot), Some(slot));
                assert!(index.candidate(hash).is_some());
            }
            assert_eq!(index.used, model.len());
            let places = index.buckets.iter().flat_map(|bucket| bucket.tags);
            assert_eq!(places.filter(|&tag| tag != 0).count(), model.len());
        }
    }
    assert!(model.len() > 500);
    index.clear();
    assert!(model.values().all(|&hash| index.candidate(hash).is_none()));
}
