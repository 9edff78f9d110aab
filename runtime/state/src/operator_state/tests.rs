use super::*;

fn entries(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

fn subtask(name: &str) -> OperatorStateBackend {
    let mut backend = OperatorStateBackend::new();
    let own: Vec<String> = (0..3).map(|index| format!("{name}{index}")).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    backend.set("even", Redistribution::EvenSplit, entries(&own));
    backend.set("union", Redistribution::Union, entries(&own[..1]));
    backend.set("broadcast", Redistribution::Broadcast, entries(&["same", ""]));
    backend
}

#[test]
fn entries_are_dealt_out_at_any_parallelism() {
    let snapshots: Vec<Bytes> = ["a", "b"].iter().map(|name| subtask(name).snapshot()).collect();
    let all = entries(&["a0", "a1", "a2", "b0", "b1", "b2"]);
    for parallelism in 1..9 {
        let mut even = Vec::new();
        for index in 0..parallelism {
            let restored = OperatorStateBackend::restore(&snapshots, index, parallelism, "test").unwrap();
            let part = restored.entries("even");
            assert!(
                (all.len() / parallelism as usize..=all.len().div_ceil(parallelism as usize))
                    .contains(&part.len())
            );
            even.extend_from_slice(part);
            assert_eq!(restored.entries("union"), entries(&["a0", "b0"]));
            assert_eq!(restored.entries("broadcast"), entries(&["same", ""]));
            assert_eq!(restored.entries("unknown"), entries(&[]));
            assert_eq!(restored.names().collect::<Vec<_>>(), ["broadcast", "even", "union"]);
        }
        assert_eq!(even, all);
    }
    let empty =
        OperatorStateBackend::restore(&[OperatorStateBackend::new().snapshot()], 0, 1, "test").unwrap();
    assert_eq!(empty.names().count(), 0);
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = subtask("a").snapshot();
    for position in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[position] ^= 0x10;
        let error = OperatorStateBackend::restore(&[damaged.into()], 0, 1, "the file").unwrap_err();
        assert!(error.to_string().starts_with("the file: "), "{error}");
        OperatorStateBackend::restore(&[bytes.slice(..position)], 0, 1, "the file").expect_err("too short");
    }
    let mut other = OperatorStateBackend::new();
    other.set("even", Redistribution::Union, Vec::new());
    let error = OperatorStateBackend::restore(&[bytes, other.snapshot()], 0, 1, "the file").unwrap_err();
    assert!(error.to_string().contains("even is redistributed in two ways"), "{error}");
}

/// The bytes that a savepoint of version 1 holds.
#[test]
fn golden_bytes() {
    let mut backend = OperatorStateBackend::new();
    backend.set("s", Redistribution::Union, entries(&["xy"]));
    let hex: String = backend.snapshot().iter().map(|byte| format!("{byte:02x}")).collect();
    let (contents, checksum) = hex.split_at(hex.len() - 16);
    assert_eq!(contents, "574f505301000100000001000000730101000000020000007879");
    assert_eq!(checksum, GOLDEN_CHECKSUM);
}

const GOLDEN_CHECKSUM: &str = "7d0ce1b416e8b488";
