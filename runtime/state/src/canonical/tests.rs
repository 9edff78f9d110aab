//! Canonical files: what is written is read, on any backend, and damage is told.

use crate::testing::{AllKinds, entries, lines};
use crate::*;
use bytes::Bytes;
use weir_types::CheckpointId;

fn files(snapshot: &RestoredSnapshot) -> Vec<(String, Bytes)> {
    let file = |state: &StateIndex| {
        let mut writer = CanonicalWriter::new(&snapshot.index, state).unwrap();
        for segment in &state.segments {
            writer.write(&snapshot.segments[&segment.id], "memory").unwrap();
        }
        let (bytes, written) = writer.finish().unwrap();
        assert_eq!(written, state.segments.iter().map(|segment| u64::from(segment.rows)).sum::<u64>());
        (state.name.clone(), bytes)
    };
    snapshot.index.states.iter().map(file).collect()
}

#[test]
fn a_backend_restored_from_canonical_files_has_the_same_entries() {
    let snapshot = AllKinds::filled().snapshot();
    let states = files(&snapshot).into_iter().map(|(name, bytes)| read_canonical(&bytes, &name).unwrap());
    let again = snapshot_of_canonical(states.collect()).unwrap().expect("there are states");
    let backend = AllKinds::restored(vec![again]);
    let restored = backend.snapshot_at(CheckpointId(9));
    for state in &snapshot.index.states {
        let (before, after) = (entries(&snapshot, &state.name), entries(&restored, &state.name));
        assert_eq!(lines(&before), lines(&after), "{}", state.name);
    }
}

#[test]
fn a_file_says_what_it_is() {
    let snapshot = AllKinds::filled().snapshot();
    for (name, bytes) in files(&snapshot) {
        let state = read_canonical(&bytes, &name).unwrap();
        assert_eq!(state.state().unwrap().name, name);
        assert_eq!(state.index.checkpoint, snapshot.index.checkpoint);
        assert_eq!(state.index.key_groups, snapshot.index.key_groups);
        let parents = state.index.states.iter().zip(&state.index.states[1..]);
        assert!(parents.into_iter().all(|(parent, child)| child.parent.as_ref() == Some(&parent.name)));
    }
}

/// Wherever a byte changes or the file ends, it is told: nothing is restored from it, and nothing panics.
#[test]
fn damage_is_told() {
    let snapshot = AllKinds::filled().snapshot();
    let (name, bytes) = files(&snapshot).swap_remove(0);
    let whole = lines(&read_canonical(&bytes, &name).unwrap().batches);
    for length in 0..bytes.len() {
        assert!(read_canonical(&bytes.slice(..length), &name).is_err(), "cut at {length}");
    }
    let mut noticed = 0;
    for place in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[place] ^= 1 << (place % 8);
        match read_canonical(&Bytes::from(damaged), &name) {
            Err(StateError::Corrupt { .. } | StateError::Truncated { .. }) => noticed += 1,
            Err(error) => panic!("another error: {error}"),
            // a byte that nothing depends on, such as padding of the footer
            Ok(state) => assert_eq!(lines(&state.batches), whole, "byte {place}"),
        }
    }
    assert!(noticed * 10 > bytes.len() * 8, "{noticed} of {} changes were noticed", bytes.len());
}

#[test]
fn other_arrow_files_are_refused() {
    let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
        "a",
        arrow::datatypes::DataType::Int64,
        true,
    )]);
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &schema).unwrap();
    writer.finish().unwrap();
    let bytes = Bytes::from(writer.into_inner().unwrap());
    let error = read_canonical(&bytes, "foreign.arrow").unwrap_err().to_string();
    assert!(error.contains("foreign.arrow") && error.contains("not written by weir"), "{error}");
}

#[test]
fn states_of_two_subtasks_do_not_mix() {
    let snapshot = AllKinds::filled().snapshot();
    let mut states: Vec<CanonicalState> =
        files(&snapshot).into_iter().map(|(name, bytes)| read_canonical(&bytes, &name).unwrap()).collect();
    states[1].index.checkpoint = CheckpointId(77);
    assert!(snapshot_of_canonical(states).unwrap_err().to_string().contains("another subtask or checkpoint"));
    assert!(snapshot_of_canonical(Vec::new()).unwrap().is_none());
}
