//! A directory that is watched: files are read as they appear, each once.
//!
//! Split i of n has the files whose path hashes to i, whenever they come. Its state is the set of files that
//! have been read and the position in the one that is being read; like Flink's, it grows with the number of
//! files.

use super::file_reader::{FileReader, FilesystemScan, Opening};
use super::listing;
use super::source::{encode_position, parse_position};
use super::store::FileEntry;
use crate::{ConnectorError, ReaderContext, SourceEvent, SourceReader, SplitState};
use async_trait::async_trait;
use futures::future::BoxFuture;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use weir_formats::Position;
use weir_types::SplitId;

/// The splits of a watched table.
pub(super) fn watch_splits(parallelism: u32) -> Vec<SplitId> {
    let of = parallelism.max(1);
    (0..of).map(|index| SplitId::new(&format!("watch-{index}-of-{of}"))).collect()
}

/// Which of `of` splits reads the file: FNV-1a of its path, since checkpoints rely on it.
fn share_of(path: &str, of: u64) -> u64 {
    let hash = path.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    (hash >> 32) % of
}

/// What a split's position says; version 1.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Progress {
    version: u32,
    /// files that have been read to their ends
    done: BTreeSet<String>,
    /// the file that is being read, and the position in it
    reading: Option<(String, String)>,
}

struct Share {
    split: SplitId,
    index: u64,
    of: u64,
    done: BTreeSet<String>,
    /// what a checkpoint was in the middle of
    resume: Option<(String, Position)>,
}

impl Share {
    fn restore(state: &SplitState) -> Option<Share> {
        let (index, of) = state.split.0.strip_prefix("watch-")?.split_once("-of-")?;
        let (index, of) = (index.parse().ok()?, of.parse().ok()?);
        let progress: Progress = match &state.position {
            None => Progress { version: 1, ..Progress::default() },
            Some(text) => serde_json::from_str(text).ok()?,
        };
        let resume = match &progress.reading {
            None => None,
            Some((path, position)) => Some((path.clone(), parse_position(position)?)),
        };
        let known = progress.version == 1 && index < of;
        known.then(|| Share { split: state.split.clone(), index, of, done: progress.done, resume })
    }
}

/// Reads the files of some shares as they appear. Never ends.
pub(super) struct WatchReader {
    scan: Arc<FilesystemScan>,
    context: ReaderContext,
    interval: Duration,
    shares: Vec<Share>,
    /// share and path of files that were found and not yet begun
    found: VecDeque<(usize, String)>,
    current: Option<(usize, FileReader)>,
    opening: Opening,
    /// a listing under way
    look: Option<BoxFuture<'static, Result<Vec<FileEntry>, ConnectorError>>>,
    /// when to look again
    next_look: Option<Duration>,
}

impl WatchReader {
    pub fn new(
        scan: Arc<FilesystemScan>,
        context: ReaderContext,
        interval_ms: u64,
        splits: &[SplitState],
    ) -> Result<Self, ConnectorError> {
        let shares = splits.iter().map(|state| {
            Share::restore(state).ok_or_else(|| {
                ConnectorError::Record(format!(
                    "cannot resume table {}: '{}' is no watched split, or its position is of another version",
                    scan.table.name, state.split
                ))
            })
        });
        let shares = shares.collect::<Result<Vec<_>, _>>()?;
        let interval = Duration::from_millis(interval_ms);
        Ok(WatchReader {
            scan,
            context,
            interval,
            shares,
            found: VecDeque::new(),
            current: None,
            opening: Opening::default(),
            look: None,
            next_look: None,
        })
    }

    /// Opens what a checkpoint was in the middle of, or else the next file that was found; looks for files
    /// until there is one. A call that is given up loses nothing.
    async fn open_next(&mut self) -> Result<(), ConnectorError> {
        loop {
            let resumed = self.shares.iter().position(|share| share.resume.is_some());
            if let Some(share) = resumed
                && let Some((path, position)) = self.shares[share].resume.clone()
            {
                let reader = self.opening.open(&self.scan, &self.context, &path, position).await?;
                self.shares[share].resume = None;
                self.current = Some((share, reader));
                return Ok(());
            }
            if let Some((share, path)) = self.found.front() {
                let reader = self.opening.open(&self.scan, &self.context, path, Position::default()).await?;
                self.current = Some((*share, reader));
                self.found.pop_front();
                return Ok(());
            }
            let clock = &self.context.env.clock;
            if let Some(next_look) = self.next_look {
                clock.sleep(next_look.saturating_sub(clock.monotonic())).await;
            }
            let look = self.look.get_or_insert_with(|| {
                let scan = Arc::clone(&self.scan);
                Box::pin(async move { listing::list(&scan.table, &scan.store, &scan.root).await })
            });
            let files = look.await;
            self.look = None;
            let files = files?;
            self.next_look = Some(clock.monotonic() + self.interval);
            for file in files {
                let share =
                    self.shares.iter().position(|share| share_of(&file.path, share.of) == share.index);
                if let Some(share) = share
                    && !self.shares[share].done.contains(&file.path)
                {
                    self.found.push_back((share, file.path));
                }
            }
        }
    }
}

#[async_trait]
impl SourceReader for WatchReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        loop {
            let Some((share, reader)) = &mut self.current else {
                if self.shares.is_empty() {
                    return Ok(SourceEvent::EndOfInput);
                }
                self.open_next().await?;
                continue;
            };
            match reader.next().await? {
                Some(batch) => {
                    return Ok(SourceEvent::Rows { split: self.shares[*share].split.clone(), batch });
                }
                None => {
                    self.shares[*share].done.insert(reader.path.clone());
                    self.current = None;
                }
            }
        }
    }

    fn snapshot(&self) -> Vec<SplitState> {
        let state = |(index, share): (usize, &Share)| {
            let current = self.current.as_ref().filter(|(reading, _)| *reading == index);
            let current = current.map(|(_, reader)| (reader.path.clone(), reader.position()));
            let reading = current.or_else(|| share.resume.clone());
            let progress = Progress {
                version: 1,
                done: share.done.clone(),
                reading: reading.map(|(path, position)| (path, encode_position(position))),
            };
            let position = serde_json::to_string(&progress).ok();
            SplitState { split: share.split.clone(), position }
        };
        self.shares.iter().enumerate().map(state).collect()
    }
}
