use super::*;
use crate::CheckpointError;
use crate::snapshot::SplitPosition;
use bytes::Bytes;
use weir_state::{FieldIndex, NamespaceKind, SegmentId, SegmentIndex, StateKind};
use weir_types::SplitId;

fn field(name: &str, sql_type: &str) -> FieldIndex {
    FieldIndex { name: name.into(), sql_type: sql_type.into(), nullable: true }
}

fn state(name: &str) -> StateIndex {
    StateIndex {
        name: name.into(),
        kind: StateKind::Value,
        parent: None,
        key_fields: vec![field("k", "BIGINT")],
        map_key_fields: Vec::new(),
        value_fields: vec![field("cnt", "BIGINT")],
        ttl_ms: None,
        namespace: NamespaceKind::Void,
        window_ms: None,
        slices: false,
        segments: Vec::new(),
    }
}

pub(crate) fn manifest(segments: u32) -> (Manifest, Vec<u8>) {
    let mut table = SegmentTable::default();
    for number in 0..segments {
        let id = SegmentId { checkpoint: CheckpointId(6), number };
        let window_end_ms = (number % 2 == 1).then_some(1000);
        let place = Place { file: Some(0), offset: u64::from(number) * 10, length: 10 };
        let changes = number % 3 == 1;
        let segment = SegmentIndex { id, window_end_ms, rows: 3, bytes: 10, changes };
        table.push((number % 2) as usize, &segment, place);
    }
    let keyed = KeyedManifest {
        checkpoint: CheckpointId(7),
        key_groups: KeyGroupRange { start: 0, end: 128 },
        max_parallelism: 128,
        states: vec![state("agg/acc"), state("agg/windows")],
        segments: table,
        files: vec![NamedFile { name: "000001.sst".into(), file: 1 }],
        canonical: Vec::new(),
    };
    let blobs = b"operator state".to_vec();
    let subtask = SubtaskManifest {
        subtask: SubtaskIndex(0),
        source: Some(SourceSnapshot {
            splits: vec![SplitPosition { split: SplitId::new("a"), position: Some("12".into()) }],
            finished: vec![SplitId::new("b")],
        }),
        operator_state: Some(Place { file: None, offset: 0, length: blobs.len() as u64 }),
        keyed: Some(keyed),
        in_flight: Vec::new(),
    };
    let id = OperatorId::new("group-aggregate:t[k]");
    let operators = vec![OperatorManifest { id: id.clone(), subtasks: vec![subtask] }];
    let files = vec![
        FileRecord { path: "../shared/7-t0".into(), bytes: u64::from(segments) * 10, checksums: None },
        FileRecord {
            path: "../shared/000001.sst".into(),
            bytes: 77,
            checksums: Some(FileChecksums::of(b"contents")),
        },
    ];
    let times = SnapshotStatistics { sync_ms: 2, async_ms: 9, state_bytes: 20, ..Default::default() };
    let task =
        TaskStatistics { operators: vec![id.clone()], subtask: SubtaskIndex(0), finished: false, times };
    let manifest = Manifest {
        checkpoint: CheckpointId(7),
        kind: ManifestKind::Checkpoint,
        writer: "0.1.0".into(),
        job: JobRecord { id: "0123".into(), sql: "INSERT ..".into(), parallelism: 1, ..Default::default() },
        statistics: CheckpointStatistics { duration_ms: 12, tasks: vec![task], ..Default::default() },
        files,
        operators,
        committables: vec![Committables {
            operator: OperatorId::new("sink[t]"),
            committables: vec!["{}".into()],
        }],
    };
    (manifest, blobs)
}

#[test]
fn what_is_read_is_what_was_written() {
    for segments in [0, 2, 5000] {
        let (manifest, blobs) = manifest(segments);
        let bytes = encode(&manifest, &blobs);
        let (read, read_blobs) = decode(&bytes, "f").expect("what was written");
        assert_eq!((&read, &read_blobs[..]), (&manifest, &blobs[..]));
        // With segments on top of files it is nothing for versions that look at the files alone.
        assert_eq!(bytes[8], if segments == 0 { 1 } else { 2 });
        if segments == 2 {
            assert!(String::from_utf8_lossy(&bytes).contains("group-aggregate:t[k]"), "small ones are text");
            let index = read.operators[0].subtasks[0].keyed.as_ref().expect("keyed").index();
            assert_eq!(index.states[1].segments[0].window_end_ms, Some(1000));
            assert_eq!(index.segments().count(), 2);
        }
        if segments == 5000 {
            assert!(bytes.len() < 60_000, "{} bytes for 5000 segments", bytes.len());
        }
    }
}

/// A byte that is missing or another one anywhere is found, whichever it is, and the file is named.
#[test]
fn damage_is_found_wherever_it_is() {
    let (manifest, blobs) = manifest(2);
    let bytes = encode(&manifest, &blobs);
    for length in 0..bytes.len() {
        match decode(&bytes.slice(..length), "chk-7/_metadata") {
            Err(CheckpointError::Truncated { file, offset, .. }) => {
                assert_eq!((file.as_str(), offset), ("chk-7/_metadata", length as u64));
            }
            other => panic!("cut to {length}: {other:?}"),
        }
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x10;
        let error = decode(&Bytes::from(damaged), "chk-7/_metadata").expect_err("damaged");
        let found = matches!(error, CheckpointError::Corrupt { .. } | CheckpointError::Truncated { .. });
        assert!(found, "byte {at}: {error}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(decode(&Bytes::from(longer), "f").is_err());
}

#[test]
fn references_to_nowhere_are_found() {
    let damage: [fn(&mut Manifest); 4] = [
        |manifest| manifest.files[0].bytes = 15,
        |manifest| manifest.files.truncate(1),
        |manifest| {
            manifest.operators[0].subtasks[0].operator_state =
                Some(Place { file: None, offset: 10, length: 5 })
        },
        |manifest| {
            let keyed = manifest.operators[0].subtasks[0].keyed.as_mut().expect("keyed");
            keyed.states.truncate(1);
        },
    ];
    for (number, damage) in damage.into_iter().enumerate() {
        let (mut manifest, blobs) = manifest(2);
        damage(&mut manifest);
        let error = decode(&encode(&manifest, &blobs), "f").expect_err("refused");
        assert!(matches!(error, CheckpointError::Corrupt { .. }), "{number}: {error}");
    }
}

#[test]
fn another_version_is_named() {
    let (manifest, blobs) = manifest(2);
    let mut bytes = encode(&manifest, &blobs).to_vec();
    bytes[8] = 9;
    let error = decode(&Bytes::from(bytes), "f").expect_err("refused").to_string();
    assert!(error.contains("format 9"), "{error}");
}
