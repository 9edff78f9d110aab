use crate::testing::{HandClock, block_on, initial_splits, reader_context, scan, table};
use crate::{Connectors, Source, SourceEvent, SourceReader, SplitState};
use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use futures::FutureExt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use weir_types::{ConnectorCatalog, RuntimeEnv, SqlType, TableDescriptor};

fn watched(folder: &TempDir) -> TableDescriptor {
    let path = folder.path().display().to_string();
    let options = [
        ("connector", "filesystem"),
        ("path", path.as_str()),
        ("format", "json"),
        ("source.monitor-interval", "1 s"),
    ];
    table("t", &[("a", SqlType::Int)], &options)
}

fn write(folder: &TempDir, name: &str, numbers: &[i32]) {
    let lines: String = numbers.iter().map(|n| format!("{{\"a\":{n}}}\n")).collect();
    fs::write(folder.path().join(name), lines).unwrap();
}

/// What can be read without waiting; asking once more at the end is given up.
fn available(reader: &mut dyn SourceReader) -> Vec<i32> {
    let mut numbers = Vec::new();
    while let Some(event) = reader.next().now_or_never() {
        match event.unwrap() {
            SourceEvent::Rows { batch, .. } => {
                numbers.extend(batch.rows().column(0).as_primitive::<Int32Type>().values());
            }
            event => panic!("a watched directory has no end: {event:?}"),
        }
    }
    numbers
}

fn open(source: &dyn Source, splits: Vec<SplitState>, clock: &Arc<HandClock>) -> Box<dyn SourceReader> {
    let context = reader_context(2);
    let env = RuntimeEnv { clock: Arc::clone(clock) as _, ..context.env.clone() };
    let context = crate::ReaderContext { env, ..context };
    block_on(source.reader(context, splits)).unwrap()
}

#[test]
fn files_are_read_as_they_appear_each_once() {
    let folder = TempDir::new().unwrap();
    write(&folder, "b", &[3, 4]);
    write(&folder, "a", &[1, 2]);
    let table = watched(&folder);
    assert!(!Connectors::new().check(&table).unwrap().bounded);
    let source = Connectors::new().source(&scan(table)).unwrap();
    let clock = Arc::new(HandClock::default());
    let splits = block_on(initial_splits(source.as_ref(), 1));
    let mut reader = open(source.as_ref(), splits, &clock);
    assert_eq!(available(reader.as_mut()), [1, 2, 3, 4]);
    write(&folder, "0", &[5]);
    write(&folder, ".c.inprogress", &[99]);
    assert_eq!(available(reader.as_mut()), [0; 0], "it is not time to look again");
    *clock.now.lock() += Duration::from_secs(1);
    assert_eq!(available(reader.as_mut()), [5]);
    *clock.now.lock() += Duration::from_secs(1);
    assert_eq!(available(reader.as_mut()), [0; 0]);
}

#[test]
fn any_position_resumes_exactly() {
    let folder = TempDir::new().unwrap();
    write(&folder, "a", &[1, 2, 3, 4, 5]);
    write(&folder, "b", &[6, 7, 8]);
    let source = Connectors::new().source(&scan(watched(&folder))).unwrap();
    let clock = Arc::new(HandClock::default());
    for events in 0..6 {
        let splits = block_on(initial_splits(source.as_ref(), 1));
        let mut reader = open(source.as_ref(), splits, &clock);
        let mut seen = Vec::new();
        for _ in 0..events {
            let Some(Ok(SourceEvent::Rows { batch, .. })) = reader.next().now_or_never() else { break };
            seen.extend_from_slice(batch.rows().column(0).as_primitive::<Int32Type>().values());
        }
        let snapshot = reader.snapshot();
        // A snapshot of a restored reader that has not begun says the same.
        let mut reader = open(source.as_ref(), snapshot.clone(), &clock);
        assert_eq!(reader.snapshot(), snapshot);
        seen.extend(available(reader.as_mut()));
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8], "after {events} events");
    }
}

#[test]
fn parallel_watchers_share_the_files() {
    let folder = TempDir::new().unwrap();
    // Which watcher has a file is a matter of its path, and that of the directory: of so many each has some.
    const FILES: i32 = 200;
    for file in 0..FILES {
        write(&folder, &format!("file-{file}"), &[file]);
    }
    let source = Connectors::new().source(&scan(watched(&folder))).unwrap();
    let clock = Arc::new(HandClock::default());
    let mut all = Vec::new();
    for split in block_on(initial_splits(source.as_ref(), 3)) {
        let mut reader = open(source.as_ref(), vec![split], &clock);
        let own = available(reader.as_mut());
        assert!(!own.is_empty() && own.len() < FILES as usize, "{own:?}");
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(all, (0..FILES).collect::<Vec<_>>());
}
