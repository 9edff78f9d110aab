use super::sink::FilesystemSink;
use super::store::{Objects, Store};
use crate::connector::Environment;
use crate::projection::persisted_schema;
use crate::testing::{block_on, column, env_with, read_all, scan, table, writer_context};
use crate::{Committable, Connectors, Sink, SinkWriter, WriterContext};
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use weir_types::{ChangelogBatch, CheckpointId, Clock, SinkSpec, SqlType, SubtaskIndex, TableDescriptor};

const COLUMNS: [(&str, SqlType); 2] = [("a", SqlType::Int), ("b", SqlType::STRING)];

fn files(path: &str, options: &[(&str, &str)]) -> TableDescriptor {
    let base = [("connector", "filesystem"), ("path", path), ("format", "json")];
    table("t", &COLUMNS, &[&base, options].concat())
}

fn spec(table: TableDescriptor) -> SinkSpec {
    SinkSpec { table: Arc::new(table), overwrite: false, primary_key: Vec::new() }
}

fn batch(numbers: &[i32], texts: &[Option<&str>]) -> ChangelogBatch {
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(numbers.to_vec())), Arc::new(StringArray::from(texts.to_vec()))];
    let schema = persisted_schema(&files("/x", &[]));
    ChangelogBatch::insert_only(RecordBatch::try_new(schema, columns).unwrap())
}

fn numbers(from: i32, count: i32) -> ChangelogBatch {
    let texts = vec![Some("x"); count as usize];
    batch(&(from..from + count).collect::<Vec<_>>(), &texts)
}

/// All files below a folder, hidden ones too, by name, with what is in them.
fn below(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn visible(folder: &Path) -> Vec<(String, String)> {
    let mut files = below(folder);
    files.retain(|(name, _)| !name.split('/').any(|part| part.starts_with('.')));
    files
}

fn open(table: TableDescriptor, context: WriterContext) -> (Arc<dyn Sink>, Box<dyn SinkWriter>) {
    let sink = Connectors::new().sink(&spec(table)).unwrap();
    let writer = block_on(sink.writer(context)).unwrap();
    (sink, writer)
}

fn prepare(writer: &mut dyn SinkWriter, checkpoint: u64) -> Vec<Committable> {
    block_on(writer.prepare_commit(Some(CheckpointId(checkpoint)))).unwrap()
}

#[test]
fn files_appear_when_they_are_committed_and_stay() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new/out");
    let (sink, mut writer) = open(files(path.to_str().unwrap(), &[]), writer_context());
    let committer = sink.committer().unwrap();
    block_on(writer.write(&numbers(0, 2))).unwrap();
    block_on(writer.flush()).unwrap();
    assert!(visible(&path).is_empty());
    assert_eq!(below(&path).len(), 1, "flushed to a hidden file");
    let first = prepare(writer.as_mut(), 1);
    block_on(writer.write(&numbers(2, 1))).unwrap();
    assert!(visible(&path).is_empty(), "prepared is not visible");
    block_on(committer.commit(&first)).unwrap();
    let committed = visible(&path);
    assert_eq!(
        committed,
        [("part-job-00000000-0-0".into(), "{\"a\":0,\"b\":\"x\"}\n{\"a\":1,\"b\":\"x\"}\n".into())]
    );
    // After a restart the same committables are committed again.
    block_on(committer.commit(&first)).unwrap();
    assert_eq!(visible(&path), committed);
    let second = block_on(writer.prepare_commit(None)).unwrap();
    block_on(committer.commit(&second)).unwrap();
    assert_eq!(visible(&path)[1], ("part-job-00000000-0-1".into(), "{\"a\":2,\"b\":\"x\"}\n".into()));
    assert!(prepare(writer.as_mut(), 3).is_empty(), "nothing was written, nothing is to be committed");
    drop(writer);
    assert_eq!(below(&path).len(), 2, "no litter");
    let rows =
        read_all(Connectors::new().source(&scan(files(path.to_str().unwrap(), &[]))).unwrap().as_ref(), 10);
    assert_eq!(rows.column(0).as_primitive::<Int32Type>().values(), &[0, 1, 2]);
}

#[test]
fn what_is_aborted_or_abandoned_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (sink, mut writer) = open(files(folder.path().to_str().unwrap(), &[]), writer_context());
    let committer = sink.committer().unwrap();
    block_on(writer.write(&numbers(0, 2))).unwrap();
    let pending = prepare(writer.as_mut(), 1);
    assert_eq!(below(folder.path()).len(), 1);
    block_on(writer.write(&numbers(5, 1))).unwrap();
    block_on(writer.flush()).unwrap();
    drop(writer);
    assert_eq!(below(folder.path()).len(), 1, "what was prepared outlives its writer");
    for _ in 0..2 {
        block_on(committer.abort(&pending)).unwrap();
        assert!(below(folder.path()).is_empty());
    }
    let error = block_on(committer.commit(&pending)).unwrap_err();
    assert!(error.to_string().contains("somebody removed it"), "{error}");
    let error = block_on(committer.commit(&[Committable("{\"version\":9}".into())])).unwrap_err();
    assert!(error.to_string().contains("cannot commit"), "{error}");
}

/// Another attempt at the same job, and another subtask, never write the same file.
#[test]
fn names_are_unique() {
    let folder = TempDir::new().unwrap();
    let context = writer_context();
    let other = WriterContext { subtask: SubtaskIndex(1), ..context.clone() };
    let mut names = Vec::new();
    for context in [context.clone(), other, context] {
        let (sink, mut writer) = open(files(folder.path().to_str().unwrap(), &[]), context);
        block_on(writer.write(&numbers(0, 1))).unwrap();
        block_on(sink.committer().unwrap().commit(&prepare(writer.as_mut(), 1))).unwrap();
        names = visible(folder.path());
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn large_files_roll() {
    let folder = TempDir::new().unwrap();
    let table = files(folder.path().to_str().unwrap(), &[("sink.rolling-policy.file-size", "100 b")]);
    let (sink, mut writer) = open(table, writer_context());
    for batch in 0..4 {
        block_on(writer.write(&numbers(batch * 4, 4))).unwrap();
    }
    let pending = prepare(writer.as_mut(), 1);
    assert_eq!(pending.len(), 2, "68 bytes, then 136");
    block_on(sink.committer().unwrap().commit(&pending)).unwrap();
    let lines: Vec<usize> = visible(folder.path()).iter().map(|(_, text)| text.lines().count()).collect();
    assert_eq!(lines, [8, 8]);
}

#[test]
fn old_and_quiet_files_roll() {
    for option in ["sink.rolling-policy.rollover-interval", "sink.rolling-policy.inactivity-interval"] {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(crate::testing::SteppedClock::default());
        let context = WriterContext { env: env_with(Arc::clone(&clock) as _), ..writer_context() };
        let (_, mut writer) = open(files(folder.path().to_str().unwrap(), &[(option, "10 s")]), context);
        block_on(writer.write(&numbers(0, 1))).unwrap();
        block_on(clock.sleep(Duration::from_secs(9)));
        block_on(writer.flush()).unwrap();
        block_on(clock.sleep(Duration::from_secs(2)));
        block_on(writer.flush()).unwrap();
        block_on(writer.write(&numbers(0, 1))).unwrap();
        assert_eq!(prepare(writer.as_mut(), 1).len(), 2, "{option}");
    }
}

#[test]
fn partitions_are_directories() {
    let folder = TempDir::new().unwrap();
    let mut table = files(folder.path().to_str().unwrap(), &[]);
    table.partition_keys = vec!["b".into()];
    let (sink, mut writer) = open(table.clone(), writer_context());
    block_on(writer.write(&batch(&[1, 2, 3, 4, 5], &[Some("x"), Some("a/b"), Some("x"), None, Some("")])))
        .unwrap();
    let pending = prepare(writer.as_mut(), 1);
    block_on(sink.committer().unwrap().commit(&pending)).unwrap();
    let found: Vec<(String, String)> = visible(folder.path())
        .into_iter()
        .map(|(name, text)| (name.split('/').next().unwrap().to_string(), text))
        .collect();
    assert_eq!(
        found,
        [
            ("b=__DEFAULT_PARTITION__".into(), "{\"a\":4}\n{\"a\":5}\n".into()),
            ("b=a%2Fb".into(), "{\"a\":2}\n".into()),
            ("b=x".into(), "{\"a\":1}\n{\"a\":3}\n".into()),
        ]
    );
    let rows = read_all(Connectors::new().source(&scan(table)).unwrap().as_ref(), 10);
    let texts: Vec<_> = rows.column(1).as_string::<i32>().iter().collect();
    assert_eq!(texts, [None, None, Some("a/b"), Some("x"), Some("x")]);
}

#[test]
fn a_file_is_no_directory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.json");
    fs::write(&path, "").unwrap();
    let sink = Connectors::new().sink(&spec(files(path.to_str().unwrap(), &[]))).unwrap();
    let error = block_on(sink.writer(writer_context())).err().unwrap();
    assert!(
        error.to_string().contains("is a file") && error.to_string().contains("name a directory"),
        "{error}"
    );
}

#[test]
fn metadata_cannot_be_written() {
    use weir_types::{ColumnKind, ConnectorCatalog};
    let mut table = files("/x", &[]);
    let mut name = column("n", &SqlType::STRING);
    name.kind = ColumnKind::Metadata { key: "file.name".into(), is_virtual: false };
    table.columns.push(name);
    assert_eq!(Connectors::new().check(&table).unwrap().sink, None);
}

async fn objects(store: &InMemory) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for object in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        found.push((object.location.to_string(), String::from_utf8(bytes.to_vec()).unwrap()));
    }
    found.sort();
    found
}

#[test]
fn objects_are_completed_when_they_are_committed() {
    let store = Arc::new(InMemory::new());
    let mut sink = FilesystemSink::open(&spec(files("/x", &[])), &Environment::new()).unwrap();
    let uploads = Arc::clone(&store) as _;
    let base = "s3://bucket".to_string();
    let place = Objects { store: Arc::clone(&store) as _, uploads, base };
    sink.store = Store::Objects(place);
    sink.root = "s3://bucket/out".into();
    block_on(async {
        let mut writer = sink.writer(writer_context()).await.unwrap();
        let committer = sink.committer().unwrap();
        // More than one part.
        for _ in 0..3 {
            writer.write(&numbers(0, 200_000)).await.unwrap();
        }
        let pending = writer.prepare_commit(Some(CheckpointId(1))).await.unwrap();
        assert!(objects(&store).await.is_empty());
        for _ in 0..2 {
            committer.commit(&pending).await.unwrap();
            let found = objects(&store).await;
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, "out/part-job-00000000-0-0");
            assert_eq!(found[0].1.lines().count(), 600_000);
        }
        writer.write(&numbers(0, 1)).await.unwrap();
        let aborted = writer.prepare_commit(Some(CheckpointId(2))).await.unwrap();
        committer.abort(&aborted).await.unwrap();
        assert!(committer.commit(&aborted).await.is_err());
        assert_eq!(objects(&store).await.len(), 1);
    });
}
