use crate::testing::{block_on, initial_splits, reader_context, scan, table, wall_env};
use crate::{ConnectorError, Connectors, ReaderContext, SourceEvent, SourceReader};
use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use weir_types::{Classify, ConnectorCatalog, ErrorKind, SqlType, TableDescriptor};

fn socket(port: u16, options: &[(&str, &str)]) -> TableDescriptor {
    let port = port.to_string();
    let base = [("connector", "socket"), ("hostname", "127.0.0.1"), ("port", port.as_str())];
    let format = [("format", "json")];
    let format = if options.iter().any(|(key, _)| *key == "format") { &[][..] } else { &format };
    table("s", &[("a", SqlType::Int)], &[&base, format, options].concat())
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn open(table: TableDescriptor) -> Box<dyn SourceReader> {
    let source = Connectors::new().source(&scan(table)).unwrap();
    let splits = initial_splits(source.as_ref(), 2).await;
    assert_eq!(splits.len(), 1, "a socket is read by one subtask");
    let context = ReaderContext { env: wall_env(), batch_timeout_ms: 20, ..reader_context(100) };
    source.reader(context, splits).await.unwrap()
}

async fn connected(options: &[(&str, &str)]) -> (Box<dyn SourceReader>, TcpStream, TcpListener) {
    let (listener, port) = listen().await;
    let mut reader = open(socket(port, options)).await;
    // Asking is what connects; given up at once, it loses nothing.
    let accepted = tokio::select! {
        biased;
        accepted = listener.accept() => accepted.unwrap().0,
        event = reader.next() => panic!("nothing was sent: {event:?}"),
    };
    (reader, accepted, listener)
}

async fn numbers(reader: &mut dyn SourceReader) -> Vec<i32> {
    match reader.next().await.unwrap() {
        SourceEvent::Rows { batch, .. } => {
            batch.rows().column(0).as_primitive::<Int32Type>().values().to_vec()
        }
        event => panic!("no rows: {event:?}"),
    }
}

#[test]
fn a_lone_line_comes_out_and_the_rest_later() {
    block_on(async {
        let (mut reader, mut server, _listener) = connected(&[]).await;
        server.write_all(b"{\"a\":1}\n{\"a\"").await.unwrap();
        assert_eq!(numbers(reader.as_mut()).await, [1]);
        server.write_all(b":2}\r\n{\"a\":3}").await.unwrap();
        assert_eq!(numbers(reader.as_mut()).await, [2]);
        drop(server);
        assert_eq!(numbers(reader.as_mut()).await, [3], "the last line lacks its end");
        assert!(matches!(reader.next().await, Ok(SourceEvent::SplitFinished(_))));
        assert!(matches!(reader.next().await, Ok(SourceEvent::EndOfInput)));
    });
}

#[test]
fn other_delimiters_and_formats() {
    block_on(async {
        let (mut reader, mut server, _listener) =
            connected(&[("byte-delimiter", "59"), ("format", "csv")]).await;
        server.write_all(b"1;2;3").await.unwrap();
        drop(server);
        let mut seen = Vec::new();
        while let SourceEvent::Rows { batch, .. } = reader.next().await.unwrap() {
            seen.extend_from_slice(batch.rows().column(0).as_primitive::<Int32Type>().values());
        }
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_lost_server_is_found_again() {
    block_on(async {
        let options = [("max-retries", "1"), ("retry-delay", "1 ms")];
        let (mut reader, mut server, listener) = connected(&options).await;
        server.write_all(b"{\"a\":1}\n").await.unwrap();
        drop(server);
        assert_eq!(numbers(reader.as_mut()).await, [1]);
        let (mut server, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            event = reader.next() => panic!("nothing was sent: {event:?}"),
        };
        server.write_all(b"{\"a\":2}\n").await.unwrap();
        assert_eq!(numbers(reader.as_mut()).await, [2]);
    });
}

#[test]
fn a_refused_connection_says_what_to_do() {
    block_on(async {
        // A port that is taken, and on which nobody listens.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = taken.local_addr().unwrap().port();
        for options in [&[][..], &[("max-retries", "2"), ("retry-delay", "1 ms")]] {
            let error = open(socket(port, options)).await.next().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let message = error.to_string();
            assert!(message.contains(&format!("table s: cannot connect to 127.0.0.1:{port}")), "{message}");
            assert!(message.ends_with(&format!("start one with: nc -lk {port}")), "{message}");
        }
        drop(taken);
    });
}

#[test]
fn malformed_records_fail_after_the_rows_before_them() {
    block_on(async {
        let (mut reader, mut server, _listener) = connected(&[]).await;
        server.write_all(b"{\"a\":1}\nnonsense\n").await.unwrap();
        assert_eq!(numbers(reader.as_mut()).await, [1]);
        let error = reader.next().await.unwrap_err();
        assert!(
            matches!(&error, ConnectorError::Record(message) if message.contains("socket 127.0.0.1")),
            "{error}"
        );
        assert!(error.to_string().contains("line 2"), "{error}");
    });
}

#[test]
fn errors_count_every_byte_that_came() {
    block_on(async {
        let (mut reader, mut server, _listener) = connected(&[]).await;
        // the mark of UTF-8, and line ends of two bytes
        server.write_all(b"\xef\xbb\xbf{\"a\":1}\r\n{\"a\":2}\r\n").await.unwrap();
        let mut seen = numbers(reader.as_mut()).await;
        if seen.len() < 2 {
            seen.extend(numbers(reader.as_mut()).await);
        }
        assert_eq!(seen, [1, 2]);
        server.write_all(b"{\"a\":3}\nnonsense\n").await.unwrap();
        assert_eq!(numbers(reader.as_mut()).await, [3]);
        let error = reader.next().await.unwrap_err().to_string();
        assert!(error.contains("line 4, byte 29:"), "{error}");
    });
}

#[test]
fn subtasks_without_the_split_have_nothing() {
    block_on(async {
        let source = Connectors::new().source(&scan(socket(1, &[]))).unwrap();
        let mut reader = source.reader(reader_context(1), Vec::new()).await.unwrap();
        assert!(matches!(reader.next().await, Ok(SourceEvent::EndOfInput)));
        assert!(reader.snapshot().is_empty());
    });
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |options: &[(&str, &str)]| {
        Connectors::new().check(&table("s", &[("a", SqlType::Int)], options)).unwrap_err().message
    };
    let base = [("connector", "socket"), ("hostname", "h"), ("format", "json")];
    assert!(refused(&base).contains("needs option 'port'"));
    assert!(refused(&[&base[..], &[("port", "99999")]].concat()).contains("'99999' is not a port"));
    let message = refused(&[&base[..], &[("port", "1"), ("delimiter", "1")]].concat());
    assert!(message.contains("did you mean 'byte-delimiter'?"), "{message}");
}
