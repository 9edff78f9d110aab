//! The rows of one file.

use super::bytes::FileBytes;
use super::columns::{FileColumns, ScanColumns};
use super::listing::named;
use super::store::{FileEntry, Store};
use super::table::FilesystemTable;
use crate::{ConnectorError, ReaderContext};
use futures::future::{BoxFuture, Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use weir_formats::{Decoder, DecoderSpec, Position};
use weir_types::{ChangelogBatch, OperatorMetrics};

/// A table opened for reading.
pub(super) struct FilesystemScan {
    pub table: FilesystemTable,
    pub columns: ScanColumns,
    pub store: Store,
    /// the table's path as files below it are named
    pub root: String,
}

/// Reads one file from a position on.
pub(super) struct FileReader {
    scan: Arc<FilesystemScan>,
    context: ReaderContext,
    pub path: String,
    bytes: FileBytes,
    decoder: Box<dyn Decoder>,
    columns: FileColumns,
    /// read, and decoded up to `taken`
    chunk: Vec<u8>,
    taken: usize,
    state: State,
    /// after the last batch that was handed out
    position: Position,
    /// when the oldest row that is held was decoded
    held_since: Option<Duration>,
    skipped: u64,
}

enum State {
    Reading,
    /// the bytes have ended
    Ended,
    /// rows before a malformed record are handed out first
    Failed(ConnectorError),
}

/// A file that is being opened. It is kept while callers give up, since an object store may take longer to
/// answer than a caller waits.
#[derive(Default)]
pub(super) struct Opening(Option<BoxFuture<'static, Result<FileReader, ConnectorError>>>);

impl Opening {
    /// Opens a file, or goes on with what an earlier call began; that was for the same file.
    pub async fn open(
        &mut self,
        scan: &Arc<FilesystemScan>,
        context: &ReaderContext,
        path: &str,
        position: Position,
    ) -> Result<FileReader, ConnectorError> {
        let future = self.0.get_or_insert_with(|| {
            let (scan, context, path) = (Arc::clone(scan), context.clone(), path.to_string());
            Box::pin(async move { FileReader::open(&scan, &context, &path, position).await })
        });
        let opened = future.await;
        self.0 = None;
        opened
    }
}

impl FileReader {
    async fn open(
        scan: &Arc<FilesystemScan>,
        context: &ReaderContext,
        path: &str,
        position: Position,
    ) -> Result<Self, ConnectorError> {
        let file = scan.store.stat(path).await.map_err(|error| named(&scan.table, error))?;
        Self::open_entry(scan, context, &file, position).await.map_err(|error| named(&scan.table, error))
    }

    async fn open_entry(
        scan: &Arc<FilesystemScan>,
        context: &ReaderContext,
        file: &FileEntry,
        position: Position,
    ) -> Result<Self, ConnectorError> {
        let spec = DecoderSpec {
            columns: Arc::clone(&scan.table.file_schema),
            projection: scan.columns.decoded.clone(),
            batch_rows: context.batch_rows,
            position,
        };
        let decoder = scan.table.format.decoder(&spec);
        Ok(FileReader {
            scan: Arc::clone(scan),
            context: context.clone(),
            path: file.path.clone(),
            bytes: FileBytes::open(&scan.store, file, position.offset).await?,
            decoder: decoder.map_err(|error| ConnectorError::Options(error.to_string()))?,
            columns: scan.columns.of_file(&scan.table, file)?,
            chunk: Vec::new(),
            taken: 0,
            state: State::Reading,
            position,
            held_since: None,
            skipped: 0,
        })
    }

    /// Everything before it has been handed out.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next rows; `None` at the end of the file. A call that is given up loses nothing.
    pub async fn next(&mut self) -> Result<Option<ChangelogBatch>, ConnectorError> {
        loop {
            self.decode()?;
            let ready = self.decoder.is_full() || !matches!(self.state, State::Reading);
            if ready && let Some(batch) = self.flush()? {
                return Ok(Some(batch));
            }
            match &self.state {
                State::Reading => {}
                State::Ended => return Ok(None),
                State::Failed(error) => {
                    // Nobody is to skip records of a damaged file.
                    let damage = self.bytes.damage().await.map(|damage| named(&self.scan.table, damage));
                    return Err(damage.unwrap_or_else(|| error.clone()));
                }
            }
            if !self.fill().await? {
                // The rows that are held have waited long enough.
                if let Some(batch) = self.flush()? {
                    return Ok(Some(batch));
                }
            }
        }
    }

    /// Decodes what has been read, until the batch is full.
    fn decode(&mut self) -> Result<(), ConnectorError> {
        while self.taken < self.chunk.len() && !self.decoder.is_full() && matches!(self.state, State::Reading)
        {
            match self.decoder.decode(&self.chunk[self.taken..]) {
                Ok(0) if !self.decoder.is_full() => {
                    return Err(ConnectorError::Internal("a decoder took no bytes of a chunk".into()));
                }
                Ok(taken) => {
                    self.taken += taken;
                    OperatorMetrics::add(&self.context.metrics.bytes_in, taken);
                }
                Err(error) => self.state = State::Failed(self.record_error(error)),
            }
        }
        if self.decoder.buffered_rows() > 0 && self.held_since.is_none() {
            self.held_since = Some(self.context.env.clock.monotonic());
        }
        let skipped = self.decoder.skipped_records();
        OperatorMetrics::add(&self.context.metrics.skipped_records, (skipped - self.skipped) as usize);
        self.skipped = skipped;
        Ok(())
    }

    fn record_error(&self, error: weir_formats::FormatError) -> ConnectorError {
        let message = format!("table {}: file {}: {error}", self.scan.table.name, self.path);
        match error {
            weir_formats::FormatError::Internal(_) => ConnectorError::Internal(message),
            _ => ConnectorError::Record(message),
        }
    }

    fn flush(&mut self) -> Result<Option<ChangelogBatch>, ConnectorError> {
        self.held_since = None;
        let decoded = self.decoder.flush().map_err(|error| self.record_error(error))?;
        self.position = self.decoder.position();
        decoded.filter(|batch| !batch.is_empty()).map(|batch| self.columns.assemble(batch)).transpose()
    }

    /// Reads more, or finds the end; false if rows that are held must not wait any longer.
    async fn fill(&mut self) -> Result<bool, ConnectorError> {
        debug_assert_eq!(self.taken, self.chunk.len());
        self.chunk.clear();
        self.taken = 0;
        let more = match self.held_since {
            Some(since) if self.bytes.may_wait() => {
                let clock = &self.context.env.clock;
                let deadline = since + Duration::from_millis(self.context.batch_timeout_ms);
                let sleep = clock.sleep(deadline.saturating_sub(clock.monotonic()));
                let append = pin!(self.bytes.append(&mut self.chunk));
                match select(append, sleep).await {
                    Either::Left((more, _)) => more,
                    Either::Right(_) => return Ok(false),
                }
            }
            _ => self.bytes.append(&mut self.chunk).await,
        };
        if !more.map_err(|error| named(&self.scan.table, error))? {
            self.state = match self.decoder.finish() {
                Ok(()) => State::Ended,
                Err(error) => State::Failed(self.record_error(error)),
            };
        }
        Ok(true)
    }
}
