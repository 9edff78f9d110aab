//! A filesystem table opened for reading.

use super::columns::ScanColumns;
use super::file_reader::{FileReader, FilesystemScan, Opening};
use super::listing;
use super::store::locate;
use super::table::FilesystemTable;
use super::watch::{WatchReader, watch_splits};
use crate::connector::Environment;
use crate::{ConnectorError, ReaderContext, Source, SourceEvent, SourceReader, SplitState};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_formats::Position;
use weir_types::{SourceSpec, SplitId};

pub(super) struct FilesystemSource {
    pub(super) scan: Arc<FilesystemScan>,
}

impl FilesystemSource {
    pub fn open(spec: &SourceSpec, environment: &Environment) -> Result<Self, ConnectorError> {
        let table = FilesystemTable::read(&spec.table)?;
        let (store, root) = locate(&table.path, environment).map_err(|reason| {
            ConnectorError::Options(format!("table {}: option 'path': {reason}", table.name))
        })?;
        let columns = ScanColumns::new(spec, &table)?;
        Ok(FilesystemSource { scan: Arc::new(FilesystemScan { table, columns, store, root }) })
    }
}

#[async_trait]
impl Source for FilesystemSource {
    async fn splits(&self, parallelism: u32) -> Result<Vec<SplitId>, ConnectorError> {
        let scan = &self.scan;
        let files = listing::list(&scan.table, &scan.store, &scan.root).await?;
        match scan.table.monitor_interval_ms {
            Some(_) => Ok(watch_splits(parallelism)),
            None => Ok(files.iter().map(|file| SplitId::new(&file.path)).collect()),
        }
    }

    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        let scan = Arc::clone(&self.scan);
        if let Some(interval_ms) = scan.table.monitor_interval_ms {
            return Ok(Box::new(WatchReader::new(scan, context, interval_ms, &splits)?));
        }
        let positions = splits.into_iter().map(|state| {
            let position = decode_position(&scan.table.name, &state)?;
            Ok((state.split, position))
        });
        let waiting = positions.collect::<Result<VecDeque<_>, ConnectorError>>()?;
        Ok(Box::new(FilesReader { scan, context, waiting, opening: Opening::default(), current: None }))
    }
}

/// A position in a file, version 1: `1:<offset>:<lines>`.
pub(super) fn encode_position(position: Position) -> String {
    format!("1:{}:{}", position.offset, position.lines)
}

fn decode_position(table: &str, state: &SplitState) -> Result<Option<Position>, ConnectorError> {
    let Some(text) = &state.position else { return Ok(None) };
    let parsed = parse_position(text).map(Some);
    parsed.ok_or_else(|| {
        ConnectorError::Record(format!(
            "cannot resume table {table}: '{text}' is no position in file {}; was the checkpoint taken by \
             another version?",
            state.split
        ))
    })
}

pub(super) fn parse_position(text: &str) -> Option<Position> {
    let (offset, lines) = text.strip_prefix("1:")?.split_once(':')?;
    Some(Position { offset: offset.parse().ok()?, lines: lines.parse().ok()? })
}

/// Reads files one after another.
struct FilesReader {
    scan: Arc<FilesystemScan>,
    context: ReaderContext,
    waiting: VecDeque<(SplitId, Option<Position>)>,
    opening: Opening,
    current: Option<(SplitId, FileReader)>,
}

#[async_trait]
impl SourceReader for FilesReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        if self.current.is_none() {
            let Some((split, position)) = self.waiting.front() else { return Ok(SourceEvent::EndOfInput) };
            let reader =
                self.opening.open(&self.scan, &self.context, &split.0, position.unwrap_or_default()).await?;
            self.current = self.waiting.pop_front().map(|(split, _)| (split, reader));
        }
        let Some((split, reader)) = &mut self.current else { return Ok(SourceEvent::EndOfInput) };
        match reader.next().await? {
            Some(batch) => Ok(SourceEvent::Rows { split: split.clone(), batch }),
            None => {
                let split = split.clone();
                self.current = None;
                Ok(SourceEvent::SplitFinished(split))
            }
        }
    }

    fn snapshot(&self) -> Vec<SplitState> {
        let current = self.current.iter().map(|(split, reader)| SplitState {
            split: split.clone(),
            position: Some(encode_position(reader.position())),
        });
        let waiting = self.waiting.iter().map(|(split, position)| SplitState {
            split: split.clone(),
            position: position.map(encode_position),
        });
        current.chain(waiting).collect()
    }
}
