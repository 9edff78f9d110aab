use crate::testing::{
    assert_restarts_exactly, block_on, column, concat, drain, initial_splits, read_all, reader_context, scan,
    table,
};
use crate::{ConnectorError, Connectors, Source, SourceEvent, SourceReader};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMillisecondType};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use weir_types::{
    Classify, ColumnKind, ConnectorCatalog, ErrorKind, OperatorMetrics, SourceSpec, SqlType, TableDescriptor,
};

const COLUMNS: [(&str, SqlType); 2] = [("a", SqlType::Int), ("b", SqlType::STRING)];

fn files(path: &str, options: &[(&str, &str)]) -> TableDescriptor {
    let base = [("connector", "filesystem"), ("path", path), ("format", "json")];
    table("t", &COLUMNS, &[&base, options].concat())
}

fn source(table: TableDescriptor) -> Arc<dyn Source> {
    Connectors::new().source(&scan(table)).unwrap()
}

fn at(folder: &TempDir, name: &str) -> String {
    format!("{}/{name}", folder.path().display())
}

fn root(folder: &TempDir) -> String {
    folder.path().display().to_string()
}

fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `{"a":n,"b":"text n"}` lines.
fn lines(numbers: std::ops::Range<i32>) -> String {
    numbers.map(|n| format!("{{\"a\":{n},\"b\":\"text {n}\"}}\n")).collect()
}

fn ints(rows: &RecordBatch) -> Vec<i32> {
    if rows.num_columns() == 0 {
        return Vec::new();
    }
    rows.column(0).as_primitive::<Int32Type>().values().to_vec()
}

fn read_ints(table: TableDescriptor) -> Vec<i32> {
    ints(&read_all(source(table).as_ref(), 3))
}

/// The error of reading, wherever it comes.
fn failure(table: TableDescriptor) -> ConnectorError {
    let source = source(table);
    block_on(async {
        let splits = match source.splits(1).await {
            Ok(_) => initial_splits(source.as_ref(), 1).await,
            Err(error) => return error,
        };
        let mut reader = source.reader(reader_context(100), splits).await.unwrap();
        loop {
            match reader.next().await {
                Ok(SourceEvent::EndOfInput) => panic!("nothing failed"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
}

#[test]
fn one_file_is_read() {
    let folder = TempDir::new().unwrap();
    write(&folder, "x.json", lines(0..10));
    for path in [
        at(&folder, "x.json"),
        format!("file://{}", at(&folder, "x.json")),
        format!("file:{}", at(&folder, "x.json")),
    ] {
        let rows = read_all(source(files(&path, &[])).as_ref(), 4);
        assert_eq!(ints(&rows), (0..10).collect::<Vec<_>>());
        assert_eq!(rows.column(1).as_string::<i32>().value(9), "text 9");
    }
}

#[test]
fn a_directory_is_read_by_name_without_hidden_files() {
    let folder = TempDir::new().unwrap();
    write(&folder, "b.json", lines(2..4));
    write(&folder, "a/z.json", lines(0..2));
    write(&folder, "c.json", "");
    for hidden in [".part.inprogress", "_SUCCESS", ".git/x.json", "_temporary/x.json"] {
        write(&folder, hidden, "garbage");
    }
    assert_eq!(read_ints(files(&root(&folder), &[])), [0, 1, 2, 3]);
    let splits = block_on(source(files(&root(&folder), &[])).splits(2)).unwrap();
    let names: Vec<_> =
        splits.iter().map(|split| split.0.strip_prefix(root(&folder).as_str()).unwrap()).collect();
    assert_eq!(names, ["/a/z.json", "/b.json", "/c.json"]);
}

#[test]
fn an_empty_directory_has_no_rows() {
    let folder = TempDir::new().unwrap();
    assert_eq!(read_ints(files(&root(&folder), &[])), [0; 0]);
}

#[test]
fn patterns_choose_files_and_directories() {
    let folder = TempDir::new().unwrap();
    write(&folder, "day-1/a.json", lines(1..2));
    write(&folder, "day-2/deep/a.json", lines(2..3));
    write(&folder, "day-2/b.txt", "garbage");
    write(&folder, "week-1/a.json", lines(9..10));
    assert_eq!(read_ints(files(&at(&folder, "day-*/*.json"), &[])), [1]);
    assert_eq!(read_ints(files(&at(&folder, "day-1"), &[])), [1]);
    assert_eq!(read_ints(files(&at(&folder, "day-[1]*"), &[])), [1]);
    assert_eq!(read_ints(files(&at(&folder, "day-?/**/*.json"), &[])), [1, 2]);
    let error = failure(files(&at(&folder, "month-*"), &[]));
    assert!(error.to_string().contains("no file matches"), "{error}");
    let options = [("source.path.regex-pattern", ".*/day-[0-9]+/.*json")];
    assert_eq!(read_ints(files(&root(&folder), &options)), [1, 2]);
}

#[test]
fn line_ends_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let crlf = lines(0..3).replace('\n', "\r\n");
    for (name, text) in [
        ("lf", lines(0..3)),
        ("crlf", crlf.clone()),
        ("none", lines(0..3).trim_end().into()),
        ("cr", crlf.trim_end().into()),
    ] {
        write(&folder, name, text);
        let rows = read_all(source(files(&at(&folder, name), &[])).as_ref(), 100);
        assert_eq!(ints(&rows), [0, 1, 2], "{name}");
        assert_eq!(rows.column(1).as_string::<i32>().value(2), "text 2", "{name}");
    }
}

#[test]
fn compressed_files_are_read() {
    let folder = TempDir::new().unwrap();
    let text = lines(0..50_000);
    let (left, right) = text.split_at(text.len() / 3);
    let mut gz = Vec::new();
    // Two members, cut in the middle of a line.
    for half in [left, right] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(half.as_bytes()).unwrap();
        gz.extend(encoder.finish().unwrap());
    }
    write(&folder, "a.json.gz", &gz);
    write(&folder, "a.json.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    for name in ["a.json.gz", "a.json.zst"] {
        let rows = read_all(source(files(&at(&folder, name), &[])).as_ref(), 8192);
        assert_eq!(ints(&rows), (0..50_000).collect::<Vec<_>>(), "{name}");
    }
    write(&folder, "cut.json.gz", &gz[..gz.len() - 5]);
    let error = failure(files(&at(&folder, "cut.json.gz"), &[]));
    assert!(error.to_string().contains("cannot decompress") && error.kind() == ErrorKind::Data, "{error}");
    // A damaged letter of a record is no record to skip.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(lines(0..100_000).as_bytes()).unwrap();
    let mut flipped = encoder.finish().unwrap();
    let place = flipped.windows(4).position(|found| found == b"{\"a\"").unwrap();
    flipped[place] ^= 1;
    write(&folder, "flipped.json.gz", &flipped);
    let error = failure(files(&at(&folder, "flipped.json.gz"), &[])).to_string();
    assert!(error.contains("checksum") && !error.contains("ignore-parse-errors"), "{error}");
    write(&folder, "a.json.bz2", "x");
    let error = failure(files(&at(&folder, "a.json.bz2"), &[]));
    assert!(error.to_string().contains("'.bz2' is not supported"), "{error}");
}

#[test]
fn any_position_resumes_exactly() {
    let folder = TempDir::new().unwrap();
    write(&folder, "a.json", lines(0..20));
    write(&folder, "b.json", "");
    write(&folder, "c.json", lines(20..40).trim_end());
    write(&folder, "d.json.zst", zstd::encode_all(lines(40..60).as_bytes(), 1).unwrap());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(lines(60..80).as_bytes()).unwrap();
    write(&folder, "e.json.gz", encoder.finish().unwrap());
    for batch_rows in [1, 3, 7, 20, 100] {
        assert_restarts_exactly(source(files(&root(&folder), &[])).as_ref(), batch_rows);
    }
}

/// Positions of a file larger than a read: the cut between two reads is in the middle of a line.
#[test]
fn reads_do_not_cut_lines() {
    let folder = TempDir::new().unwrap();
    write(&folder, "a.json", lines(0..60_000));
    assert!(fs::metadata(folder.path().join("a.json")).unwrap().len() > 1 << 20);
    let source = source(files(&root(&folder), &[]));
    assert_eq!(ints(&read_all(source.as_ref(), 8192)), (0..60_000).collect::<Vec<_>>());
    assert_restarts_exactly(source.as_ref(), 5000);
}

#[test]
fn a_file_that_shrank_is_not_resumed() {
    let folder = TempDir::new().unwrap();
    write(&folder, "a.json", lines(0..20));
    let source = source(files(&root(&folder), &[]));
    block_on(async {
        let splits = initial_splits(source.as_ref(), 1).await;
        let mut reader = source.reader(reader_context(10), splits).await.unwrap();
        drain(reader.as_mut(), 1).await;
        write(&folder, "a.json", lines(0..2));
        let mut reader = source.reader(reader_context(10), reader.snapshot()).await.unwrap();
        let error = reader.next().await.unwrap_err();
        assert!(error.to_string().contains("cut or replaced") && error.kind() == ErrorKind::Data, "{error}");
    });
}

#[test]
fn metadata_and_projection() {
    let folder = TempDir::new().unwrap();
    write(&folder, "x.json", lines(0..2));
    let mut table = files(&root(&folder), &[]);
    for (name, key, sql_type) in [
        ("p", "file.path", SqlType::STRING),
        ("n", "file.name", SqlType::STRING),
        ("s", "file.size", SqlType::BigInt),
        ("m", "file.modification-time", SqlType::TimestampLtz(3)),
    ] {
        let mut column = column(name, &sql_type);
        column.kind = ColumnKind::Metadata { key: key.into(), is_virtual: true };
        table.columns.push(column);
    }
    assert!(Connectors::new().check(&table).unwrap().sink.is_some());
    let spec = SourceSpec { table: Arc::new(table), projection: vec![4, 1, 3, 2, 5], limit: None };
    let rows = read_all(Connectors::new().source(&spec).unwrap().as_ref(), 10);
    let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["s", "b", "n", "p", "m"]);
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[42, 42]);
    assert_eq!(rows.column(1).as_string::<i32>().value(1), "text 1");
    assert_eq!(rows.column(2).as_string::<i32>().value(1), "x.json");
    assert_eq!(rows.column(3).as_string::<i32>().value(0), at(&folder, "x.json"));
    let modified = rows.column(4).as_primitive::<TimestampMillisecondType>().value(0);
    assert!(modified > 1_600_000_000_000, "{modified}");
}

#[test]
fn no_columns_still_count() {
    let folder = TempDir::new().unwrap();
    write(&folder, "x.json", lines(0..25));
    let spec =
        SourceSpec { table: Arc::new(files(&root(&folder), &[])), projection: Vec::new(), limit: None };
    let source = Connectors::new().source(&spec).unwrap();
    let rows: usize = block_on(async {
        let splits = initial_splits(source.as_ref(), 1).await;
        let mut reader = source.reader(reader_context(10), splits).await.unwrap();
        drain(reader.as_mut(), usize::MAX).await.iter().map(|(_, rows)| rows.num_rows()).sum()
    });
    assert_eq!(rows, 25);
}

#[test]
fn partitions_are_columns() {
    let folder = TempDir::new().unwrap();
    write(&folder, "dt=2024-01-01/b=eu%2Fwest/x.json", "{\"a\":1}\n");
    write(&folder, "dt=__DEFAULT_PARTITION__/b=us/x.json", "{\"a\":2}\n{\"a\":3}\n");
    write(&folder, "elsewhere.json", "{\"a\":4}\n");
    let mut table = files(&root(&folder), &[]);
    table.columns.push(column("dt", &SqlType::Date));
    table.partition_keys = vec!["dt".into(), "b".into()];
    let rows = read_all(source(table.clone()).as_ref(), 10);
    assert_eq!(ints(&rows), [1, 2, 3]);
    let regions: Vec<_> = rows.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(regions, ["eu/west", "us", "us"]);
    let days = rows.column(2).as_primitive::<Date32Type>();
    assert_eq!((days.value(0), days.is_null(1), days.is_null(2)), (19_723, true, true));
    assert_restarts_exactly(source(table.clone()).as_ref(), 1);

    write(&folder, "dt=today/b=us/x.json", "{\"a\":2}\n");
    let error = failure(table);
    assert!(error.to_string().contains("'dt=today', but column dt is DATE"), "{error}");
}

#[test]
fn parallel_readers_share_the_files() {
    let folder = TempDir::new().unwrap();
    for file in 0..5 {
        write(&folder, &format!("{file}.json"), lines(file * 10..file * 10 + 10));
    }
    let source = source(files(&root(&folder), &[]));
    let mut all = block_on(async {
        let splits = initial_splits(source.as_ref(), 2).await;
        let mut all = Vec::new();
        for subtask in 0..2 {
            let own = splits.iter().skip(subtask).step_by(2).cloned().collect();
            let mut reader = source.reader(reader_context(4), own).await.unwrap();
            all.extend(ints(&concat(&drain(reader.as_mut(), usize::MAX).await)));
        }
        all
    });
    all.sort_unstable();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
}

#[test]
fn malformed_records_are_named_after_the_rows_before_them() {
    let folder = TempDir::new().unwrap();
    write(&folder, "x.json", "{\"a\":1}\n{\"a\":2}\nnonsense\n{\"a\":4}\n");
    let source_ = source(files(&root(&folder), &[]));
    block_on(async {
        let splits = initial_splits(source_.as_ref(), 1).await;
        let mut reader = source_.reader(reader_context(100), splits).await.unwrap();
        let SourceEvent::Rows { batch, .. } = reader.next().await.unwrap() else { panic!("rows come first") };
        assert_eq!(batch.num_rows(), 2);
        let error = reader.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = error.to_string();
        let place = format!("table t: file {}: ", at(&folder, "x.json"));
        assert!(message.starts_with(&place) && message.contains("line 3, byte 16"), "{message}");
    });

    let skipping = source(files(&root(&folder), &[("json.ignore-parse-errors", "true")]));
    block_on(async {
        let context = reader_context(100);
        let metrics: Arc<OperatorMetrics> = Arc::clone(&context.metrics);
        let splits = initial_splits(skipping.as_ref(), 1).await;
        let mut reader = skipping.reader(context, splits).await.unwrap();
        assert_eq!(ints(&concat(&drain(reader.as_mut(), usize::MAX).await)), [1, 2, 4]);
        assert_eq!(metrics.snapshot().skipped_records, 1);
        assert_eq!(metrics.snapshot().bytes_in, 33);
    });
}

#[test]
fn missing_files_are_named() {
    let folder = TempDir::new().unwrap();
    let path = at(&folder, "gone");
    let error = failure(files(&path, &[]));
    assert_eq!(error.kind(), ErrorKind::UserInput);
    assert_eq!(
        error.to_string(),
        format!("table t: cannot list {path}: there is no such file or directory; check option 'path'")
    );
}

/// A future that is dropped before it is done loses nothing: local reads never wait, so each `next` is polled
/// once.
#[test]
fn next_is_done_at_once() {
    let folder = TempDir::new().unwrap();
    write(&folder, "x.json", lines(0..5));
    let source = source(files(&root(&folder), &[]));
    block_on(async {
        let splits = initial_splits(source.as_ref(), 1).await;
        let mut reader: Box<dyn SourceReader> = source.reader(reader_context(2), splits).await.unwrap();
        let first = futures::FutureExt::now_or_never(reader.next()).expect("local files do not wait");
        assert!(matches!(first, Ok(SourceEvent::Rows { .. })));
    });
}

fn refused(table: TableDescriptor) -> String {
    Connectors::new().check(&table).unwrap_err().message
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let missing = table("t", &COLUMNS, &[("connector", "filesystem"), ("format", "json")]);
    assert!(refused(missing).contains("needs option 'path'"));
    let missing = table("t", &COLUMNS, &[("connector", "filesystem"), ("path", "/x")]);
    assert!(refused(missing).contains("needs option 'format': one of json, csv"));
    for (option, expected) in [
        (("pathh", "/x"), "did you mean 'path'?"),
        (("json.ignore-parse-error", "true"), "did you mean"),
        (("csv.ignore-parse-errors", "true"), "unknown option 'csv.ignore-parse-errors'"),
        (("source.monitor-interval", "0 s"), "above 0"),
        (("source.monitor-interval", "soon"), "'soon' is not a duration"),
        (("sink.rolling-policy.file-size", "1 furlong"), "is not a size"),
        (("auto-compaction", "true"), "'auto-compaction' of connector 'filesystem' is not supported"),
        (("source.path.regex-pattern", "("), "is no regular expression"),
    ] {
        let message = refused(files("/x", &[option]));
        assert!(message.contains(expected), "{message}");
    }
    let mut partitioned = files("/x", &[]);
    partitioned.partition_keys = vec!["c".into()];
    assert!(refused(partitioned.clone()).contains("names 'c', which is no physical column"));
    partitioned.partition_keys = vec!["a".into(), "b".into()];
    assert!(refused(partitioned).contains("a physical column that is no partition key"));
    let mut metadata = files("/x", &[]);
    metadata.columns[0].kind = ColumnKind::Metadata { key: "file.pth".into(), is_virtual: true };
    assert!(refused(metadata).contains("did you mean 'file.path'?"));
}

#[test]
fn other_schemes_are_refused() {
    let table = files("hdfs://namenode/x", &[]);
    let error = Connectors::new().source(&scan(table)).err().unwrap();
    assert!(error.to_string().contains("'hdfs://'"), "{error}");
}

#[test]
fn a_relative_path_is_one_below_the_working_directory() {
    let table = files("no/such/place", &[]);
    let error = failure(table);
    let expected = Path::new("no/such/place");
    let expected = std::path::absolute(expected).unwrap();
    assert!(error.to_string().contains(&expected.display().to_string()), "{error}");
}
