use super::file_reader::FilesystemScan;
use super::source::FilesystemSource;
use super::store::{Objects, Store};
use crate::connector::Environment;
use crate::testing::{
    HandClock, assert_restarts_exactly, block_on, column, env_with, initial_splits, read_all, reader_context,
    scan, table,
};
use crate::{ReaderContext, Source, SourceEvent};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::Semaphore;
use weir_types::{ColumnKind, SqlType};

/// A store that answers late, and hands out objects in small pieces as permits allow.
#[derive(Clone, Debug)]
struct SlowStore {
    inner: Arc<InMemory>,
    piece: usize,
    permits: Arc<Semaphore>,
}

impl fmt::Display for SlowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("slow")
    }
}

#[async_trait]
impl ObjectStore for SlowStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        tokio::task::yield_now().await;
        let result = self.inner.get_opts(at, options).await?;
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let bytes = result.bytes().await?;
        let pieces: Vec<Bytes> = bytes.chunks(self.piece).map(Bytes::copy_from_slice).collect();
        let permits = Arc::clone(&self.permits);
        let pieces = stream::iter(pieces).then(move |piece| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.unwrap().forget();
                tokio::task::yield_now().await;
                Ok(piece)
            }
        });
        Ok(GetResult { payload: GetResultPayload::Stream(pieces.boxed()), meta, range, attributes })
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn store(piece: usize, permits: usize, objects: &[(&str, &[u8])]) -> SlowStore {
    let inner = Arc::new(InMemory::new());
    for (key, bytes) in objects {
        block_on(inner.put(&Path::from(*key), PutPayload::from(bytes.to_vec()))).unwrap();
    }
    SlowStore { inner, piece, permits: Arc::new(Semaphore::new(permits)) }
}

/// The table `t (a INT, s BIGINT METADATA FROM 'file.size', p STRING METADATA FROM 'file.path')` at `root`.
fn source(store: &SlowStore, root: &str) -> FilesystemSource {
    let options = [("connector", "filesystem"), ("path", "/placeholder"), ("format", "json")];
    let mut table = table("t", &[("a", SqlType::Int)], &options);
    for (name, key, sql_type) in [("s", "file.size", SqlType::BigInt), ("p", "file.path", SqlType::STRING)] {
        let mut metadata = column(name, &sql_type);
        metadata.kind = ColumnKind::Metadata { key: key.into(), is_virtual: true };
        table.columns.push(metadata);
    }
    let mut source = FilesystemSource::open(&scan(table), &Environment::new()).unwrap();
    let uploads = Arc::clone(&store.inner) as _;
    let objects = Objects { store: Arc::new(store.clone()), uploads, base: "s3://bucket".into() };
    let opened: &mut FilesystemScan = Arc::get_mut(&mut source.scan).unwrap();
    opened.store = Store::Objects(objects);
    opened.root = root.into();
    source
}

fn lines(numbers: std::ops::Range<i32>) -> Vec<u8> {
    numbers.flat_map(|n| format!("{{\"a\":{n}}}\n").into_bytes()).collect()
}

fn ints(rows: &RecordBatch) -> Vec<i32> {
    rows.column(0).as_primitive::<Int32Type>().values().to_vec()
}

const MANY: usize = 1 << 20;

#[test]
fn objects_below_a_prefix_are_read() {
    let (first, second) = (lines(0..3), lines(3..5));
    let objects: [(&str, &[u8]); 6] = [
        ("data/b.json", &second),
        ("data/a/x.json", &first),
        ("data/_SUCCESS", b"garbage"),
        ("data/.tmp/x.json", b"garbage"),
        ("database/x.json", b"garbage"),
        ("data/empty.json", b""),
    ];
    let store = store(7, MANY, &objects);
    let rows = read_all(&source(&store, "s3://bucket/data"), 2);
    assert_eq!(ints(&rows), [0, 1, 2, 3, 4]);
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().values(), &[24, 24, 24, 16, 16]);
    assert_eq!(rows.column(2).as_string::<i32>().value(4), "s3://bucket/data/b.json");
    assert_eq!(ints(&read_all(&source(&store, "s3://bucket/data/b.json"), 2)), [3, 4]);
    assert_eq!(ints(&read_all(&source(&store, "s3://bucket/data/b*.json"), 2)), [3, 4]);
    let error = block_on(source(&store, "s3://bucket/nothing").splits(1)).unwrap_err();
    assert!(error.to_string().contains("no file matches s3://bucket/nothing"), "{error}");
}

#[test]
fn any_position_resumes_exactly() {
    let text = lines(20..40);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&lines(40..60)).unwrap();
    let gz = gz.finish().unwrap();
    let store =
        store(5, MANY, &[("a.json", &lines(0..20)), ("b.json", text.trim_ascii_end()), ("c.json.gz", &gz)]);
    let source = source(&store, "s3://bucket");
    assert_eq!(ints(&read_all(&source, 8)), (0..60).collect::<Vec<_>>());
    for batch_rows in [1, 7, 20] {
        assert_restarts_exactly(&source, batch_rows);
    }
}

#[test]
fn rows_do_not_wait_for_a_stalled_store() {
    // One piece: two lines and the beginning of a third.
    let store = store(20, 1, &[("a.json", &lines(0..5))]);
    let source = source(&store, "s3://bucket");
    block_on(async {
        let splits = initial_splits(&source, 1).await;
        let mut reader = source.reader(reader_context(100), splits).await.unwrap();
        let SourceEvent::Rows { batch, .. } = reader.next().await.unwrap() else { panic!("no rows") };
        assert_eq!(ints(batch.rows()), [0, 1]);
        assert_eq!(reader.snapshot()[0].position.as_deref(), Some("1:16:2"));
        store.permits.add_permits(1);
        let mut rest = Vec::new();
        while let SourceEvent::Rows { batch, .. } = reader.next().await.unwrap() {
            rest.extend(ints(batch.rows()));
        }
        assert_eq!(rest, [2, 3, 4]);
    });
}

/// A caller that asks and gives up again and again gets every row once.
#[test]
fn giving_up_loses_nothing() {
    let store = store(9, MANY, &[("a.json", &lines(0..50)), ("b.json", &lines(50..70))]);
    let source = source(&store, "s3://bucket");
    block_on(async {
        let splits = initial_splits(&source, 1).await;
        let context = ReaderContext { env: env_with(Arc::new(HandClock::default())), ..reader_context(8) };
        let mut reader = source.reader(context, splits).await.unwrap();
        let (mut rows, mut given_up) = (Vec::new(), 0);
        while given_up < 10_000 {
            match reader.next().now_or_never() {
                None => given_up += 1,
                Some(Ok(SourceEvent::Rows { batch, .. })) => rows.extend(ints(batch.rows())),
                Some(Ok(SourceEvent::SplitFinished(_))) => {}
                Some(Ok(SourceEvent::EndOfInput)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(rows, (0..70).collect::<Vec<_>>());
        assert!(given_up > 50, "the store was not slow: {given_up}");
    });
}
