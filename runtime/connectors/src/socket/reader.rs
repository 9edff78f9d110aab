//! Reads a socket's records.

use super::SocketTable;
use crate::projection::conform;
use crate::{ConnectorError, ReaderContext, SourceEvent, SourceReader, SplitState};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::future::{BoxFuture, Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use weir_formats::{Decoder, DecoderSpec, FormatError, Position};
use weir_types::{ChangelogBatch, OperatorMetrics, SplitId};

/// Bytes of one read.
const READ: usize = 64 << 10;
/// A record that is longer is taken for a stream without delimiters.
const MAX_RECORD: usize = 64 << 20;

pub(super) struct SocketReader {
    table: SocketTable,
    schema: SchemaRef,
    context: ReaderContext,
    /// `None` once it has ended, and for subtasks that have no split
    split: Option<SplitId>,
    decoder: Box<dyn Decoder>,
    /// under way
    attempt: Option<BoxFuture<'static, std::io::Result<TcpStream>>>,
    connection: Option<TcpStream>,
    /// attempts that have failed since the last bytes
    failures: u64,
    /// bytes that came before those in `buffer`, over all connections
    before: u64,
    /// nothing of this connection has been decoded
    at_start: bool,
    /// received; decoded up to `taken`, searched for a delimiter up to `searched`
    buffer: Vec<u8>,
    taken: usize,
    searched: usize,
    held_since: Option<Duration>,
    /// rows before a malformed record are handed out first
    failed: Option<ConnectorError>,
    ended: bool,
    skipped: u64,
}

impl SocketReader {
    pub fn new(
        table: &SocketTable,
        projection: &[usize],
        schema: &SchemaRef,
        context: ReaderContext,
        split: Option<SplitId>,
    ) -> Result<Self, ConnectorError> {
        let spec = DecoderSpec {
            columns: Arc::clone(&table.columns),
            projection: projection.to_vec(),
            batch_rows: context.batch_rows,
            position: Position::default(),
        };
        let decoder =
            table.format.decoder(&spec).map_err(|error| ConnectorError::Options(error.to_string()))?;
        Ok(SocketReader {
            table: table.clone(),
            schema: Arc::clone(schema),
            context,
            split,
            decoder,
            attempt: None,
            connection: None,
            failures: 0,
            before: 0,
            at_start: true,
            buffer: Vec::new(),
            taken: 0,
            searched: 0,
            held_since: None,
            failed: None,
            ended: false,
            skipped: 0,
        })
    }

    /// Connects, trying again as often as the table says. The attempt is kept, so that a call that is given up
    /// is gone on with by the next one, and no server is left with a connection that nobody reads.
    async fn connect(&mut self) -> Result<(), ConnectorError> {
        let (host, port) = (self.table.hostname.clone(), self.table.port);
        while self.connection.is_none() {
            let attempt = match &mut self.attempt {
                Some(attempt) => attempt,
                None => {
                    let clock = Arc::clone(&self.context.env.clock);
                    let delay = match self.failures {
                        0 => Duration::ZERO,
                        _ => Duration::from_millis(self.table.retry_delay_ms),
                    };
                    let host = host.clone();
                    self.attempt.insert(Box::pin(async move {
                        if !delay.is_zero() {
                            clock.sleep(delay).await;
                        }
                        TcpStream::connect((host.as_str(), port)).await
                    }))
                }
            };
            let connected = attempt.await;
            self.attempt = None;
            match connected {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.at_start = true;
                }
                Err(_) if self.failures < self.table.max_retries => self.failures += 1,
                Err(error) => {
                    return Err(ConnectorError::Unavailable(format!(
                        "table {}: cannot connect to {host}:{port}: {error}; is a server running there? \
                         start one with: nc \
                         -lk {port}",
                        self.table.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Decodes the records that have been received, until the batch is full.
    fn decode(&mut self) {
        while self.failed.is_none() && !self.decoder.is_full() {
            let delimiter = self.table.delimiter;
            let Some(found) = memchr(delimiter, &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                break;
            };
            let end = self.searched + found;
            self.decode_record(self.taken, end);
            self.taken = end + 1;
            self.searched = self.taken;
        }
        if self.decoder.buffered_rows() > 0 && self.held_since.is_none() {
            self.held_since = Some(self.context.env.clock.monotonic());
        }
        let skipped = self.decoder.skipped_records();
        OperatorMetrics::add(&self.context.metrics.skipped_records, (skipped - self.skipped) as usize);
        self.skipped = skipped;
    }

    fn decode_record(&mut self, start: usize, end: usize) {
        let mut record = &self.buffer[start..end];
        // the mark that some systems put in front of UTF-8
        if std::mem::take(&mut self.at_start) {
            record = record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record);
        }
        // Telnet and Windows end lines with CR LF.
        if self.table.delimiter == b'\n' {
            record = record.strip_suffix(b"\r").unwrap_or(record);
        }
        OperatorMetrics::add(&self.context.metrics.bytes_in, end - start + 1);
        if let Err(mut error) = self.decoder.decode_record(record) {
            // The decoder sees records without what ends them.
            if let FormatError::Record { position, .. } = &mut error {
                position.offset = self.before + start as u64;
            }
            self.failed = Some(self.record_error(&error));
        }
    }

    fn record_error(&self, error: &FormatError) -> ConnectorError {
        let SocketTable { name, hostname, port, .. } = &self.table;
        ConnectorError::Record(format!("table {name}: socket {hostname}:{port}: {error}"))
    }

    fn flush(&mut self) -> Result<Option<ChangelogBatch>, ConnectorError> {
        self.held_since = None;
        let batch = self.decoder.flush().map_err(|error| self.record_error(&error))?;
        batch.filter(|batch| !batch.is_empty()).map(|batch| conform(&batch, &self.schema)).transpose()
    }

    /// Receives more, or notes the end; false if rows that are held must not wait any longer.
    async fn receive(&mut self) -> Result<bool, ConnectorError> {
        self.buffer.drain(..self.taken);
        self.before += self.taken as u64;
        self.searched -= self.taken;
        self.taken = 0;
        if self.buffer.len() > MAX_RECORD {
            return Err(ConnectorError::Record(format!(
                "table {}: socket {}:{}: no delimiter (byte {}) within {MAX_RECORD} bytes; check option \
                 'byte-delimiter'",
                self.table.name, self.table.hostname, self.table.port, self.table.delimiter
            )));
        }
        let clock = Arc::clone(&self.context.env.clock);
        let deadline =
            self.held_since.map(|since| since + Duration::from_millis(self.context.batch_timeout_ms));
        let received = {
            let receive = pin!(self.read_some());
            match deadline {
                None => receive.await,
                Some(deadline) => {
                    let sleep = clock.sleep(deadline.saturating_sub(clock.monotonic()));
                    match select(receive, sleep).await {
                        Either::Left((received, _)) => received,
                        Either::Right(_) => return Ok(false),
                    }
                }
            }
        };
        if received? > 0 {
            self.failures = 0;
            return Ok(true);
        }
        // The server has gone: what it sent last may lack its delimiter.
        self.connection = None;
        if !self.buffer.is_empty() {
            self.decode_record(0, self.buffer.len());
            self.before += self.buffer.len() as u64;
            self.buffer.clear();
            self.searched = 0;
        }
        if self.failures < self.table.max_retries {
            self.failures += 1;
        } else {
            self.ended = true;
        }
        Ok(true)
    }

    /// Reads once, connecting before if need be; 0 bytes: the server has gone.
    async fn read_some(&mut self) -> Result<usize, ConnectorError> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else { return Ok(0) };
        self.buffer.reserve(READ);
        match connection.read_buf(&mut self.buffer).await {
            Ok(count) => Ok(count),
            // A server that is killed resets the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(ConnectorError::Unavailable(format!(
                "table {}: cannot read from {}:{}: {error}",
                self.table.name, self.table.hostname, self.table.port
            ))),
        }
    }
}

fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|candidate| *candidate == byte)
}

#[async_trait]
impl SourceReader for SocketReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        let Some(split) = self.split.clone() else { return Ok(SourceEvent::EndOfInput) };
        loop {
            self.decode();
            let ready = self.decoder.is_full() || self.failed.is_some() || self.ended;
            if ready && let Some(batch) = self.flush()? {
                return Ok(SourceEvent::Rows { split, batch });
            }
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if self.ended {
                self.split = None;
                return Ok(SourceEvent::SplitFinished(split));
            }
            if !self.receive().await?
                && let Some(batch) = self.flush()?
            {
                return Ok(SourceEvent::Rows { split, batch });
            }
        }
    }

    /// A server does not send again what it has sent: there is no position.
    fn snapshot(&self) -> Vec<SplitState> {
        self.split.iter().map(|split| SplitState { split: split.clone(), position: None }).collect()
    }
}
