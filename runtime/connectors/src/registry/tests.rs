use super::*;
use crate::testing::{block_on, initial_splits, reader_context, scan, table, writer_context};
use crate::{SourceEvent, SourceReader};
use arrow::array::RecordBatch;
use weir_types::{ChangelogBatch, ChangelogMode, SqlType};

#[test]
fn unknown_connectors_are_named_with_the_nearest() {
    let message =
        |name| Connectors::new().check(&table("t", &[], &[("connector", name)])).unwrap_err().message;
    assert_eq!(
        message("filesytem"),
        "table t: there is no connector 'filesytem', did you mean 'filesystem'?"
    );
    assert!(message("zzz").contains("there are blackhole, datagen, filesystem"), "{}", message("zzz"));
    let missing = Connectors::new().check(&table("t", &[], &[])).unwrap_err();
    assert_eq!(missing.option.as_deref(), Some("connector"));
}

#[test]
fn sources_and_sinks_are_not_confused() {
    let columns = [("a", SqlType::Int)];
    let connectors = Connectors::new();
    let blackhole = table("b", &columns, &[("connector", "blackhole")]);
    let error = connectors.source(&scan(blackhole)).err().unwrap();
    assert!(error.to_string().contains("table b can only be written"), "{error}");
    let datagen = Arc::new(table("d", &columns, &[("connector", "datagen")]));
    let spec = SinkSpec { table: datagen, overwrite: false, primary_key: Vec::new() };
    let error = connectors.sink(&spec).err().unwrap();
    assert!(error.to_string().contains("table d can only be read"), "{error}");
}

#[test]
fn overwriting_is_refused() {
    let table = Arc::new(table("b", &[("a", SqlType::Int)], &[("connector", "blackhole")]));
    let spec = SinkSpec { table, overwrite: true, primary_key: Vec::new() };
    let error = Connectors::new().sink(&spec).err().unwrap();
    assert!(error.to_string().contains("INSERT OVERWRITE"), "{error}");
}

#[test]
fn a_blackhole_takes_all_but_rows_before_updates() {
    let table = table("b", &[("a", SqlType::Int)], &[("connector", "blackhole")]);
    assert_eq!(Connectors::new().check(&table).unwrap().sink, Some(ChangelogMode::UPSERT));
    let spec = SinkSpec { table: Arc::new(table), overwrite: false, primary_key: Vec::new() };
    let sink = Connectors::new().sink(&spec).unwrap();
    assert!(sink.committer().is_none());
    block_on(async {
        let mut writer = sink.writer(writer_context()).await.unwrap();
        let schema = crate::projection::persisted_schema(&spec.table);
        writer.write(&ChangelogBatch::insert_only(RecordBatch::new_empty(schema))).await.unwrap();
        assert!(writer.prepare_commit(None).await.unwrap().is_empty());
    });
}

#[test]
fn a_limit_stops_a_source_without_end() {
    let table =
        table("d", &[("a", SqlType::Int)], &[("connector", "datagen"), ("rows-per-second", "1000000000")]);
    let mut spec = scan(table);
    spec.limit = Some(10_000);
    let source = Connectors::new().source(&spec).unwrap();
    let rows = block_on(async {
        let splits = initial_splits(source.as_ref(), 1).await;
        let mut reader: Box<dyn SourceReader> = source.reader(reader_context(8192), splits).await.unwrap();
        let mut rows = 0;
        while let SourceEvent::Rows { batch, .. } = reader.next().await.unwrap() {
            rows += batch.num_rows();
        }
        rows
    });
    assert_eq!(rows, 10_000);
}

/// `docs/connectors.md` lists every option of every format with its default.
#[test]
fn formats_are_documented() {
    let documented = include_str!("../../../../docs/connectors.md");
    for format in weir_formats::Format::NAMES {
        let (_, section) =
            documented.split_once(&format!("| `{format}` | default | meaning |")).expect(format);
        let section = section.split("\n\n").next().unwrap();
        for option in weir_formats::Format::options(format).unwrap() {
            let default =
                if option.default.is_empty() { "none".into() } else { format!("`{}`", option.default) };
            let line = format!("| `{}` | {default} | {} |", option.key, option.description);
            assert!(section.contains(&line), "{format}: {line}");
        }
    }
}
