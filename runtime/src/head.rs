//! Where the input of a subtask comes from: a source's reader, a gate, or nowhere.

use crate::RuntimeError;
use crate::alignment::{Aligned, Alignment};
use crate::exchange::GateReader;
use crate::overtaking::Overtaking;
use crate::valve::{Combined, WatermarkValve};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use weir_checkpoint::{SourceSnapshot, SplitPosition};
use weir_connectors::{ReaderContext, Source, SourceEvent, SourceReader, SplitState};
use weir_types::{Barrier, Clock, OperatorId, SplitId, source_pace};

pub(crate) enum Head {
    Source(SourceHead),
    Gate(Box<GateHead>),
    /// The root makes its rows itself at the end of its absent input: VALUES.
    Nothing,
}

/// Reads the splits of one subtask.
pub(crate) struct SourceHead {
    operator: OperatorId,
    label: Arc<str>,
    reader: Option<Box<dyn SourceReader>>,
    finished: Vec<SplitId>,
    pace: Option<Paced>,
}

/// A reader that a test slows down.
struct Paced {
    clock: Arc<dyn Clock>,
    pause: Duration,
    /// no batch before this, on the monotonic clock
    next: Duration,
}

impl Paced {
    fn new(clock: &Arc<dyn Clock>) -> Option<Self> {
        let pause = source_pace()?.pause;
        Some(Paced { clock: clock.clone(), pause, next: Duration::ZERO })
    }

    /// Cancel safe.
    async fn wait(&self) {
        let left = self.next.saturating_sub(self.clock.monotonic());
        if !left.is_zero() {
            self.clock.sleep(left).await;
        }
    }

    fn note_batch(&mut self) {
        self.next = self.clock.monotonic() + self.pause;
    }
}

impl SourceHead {
    /// Opens a reader, unless the subtask has no splits. `finished` splits were read to their ends before.
    pub(crate) async fn open(
        operator: OperatorId,
        label: Arc<str>,
        source: &dyn Source,
        mut context: ReaderContext,
        splits: Vec<SplitState>,
        finished: Vec<SplitId>,
    ) -> Result<Self, RuntimeError> {
        context.batch_rows = source_pace().map_or(context.batch_rows, |pace| pace.batch_rows);
        let pace = Paced::new(&context.env.clock);
        let reader = if splits.is_empty() {
            None
        } else {
            let opened = source.reader(context, splits).await;
            Some(opened.map_err(|source| RuntimeError::Connector { operator: label.to_string(), source })?)
        };
        Ok(SourceHead { operator, label, reader, finished, pace })
    }

    /// The next event; `EndOfInput` without splits and after the end. Cancel safe, as the reader is.
    pub(crate) async fn next(&mut self) -> Result<SourceEvent, RuntimeError> {
        let Some(reader) = &mut self.reader else { return Ok(SourceEvent::EndOfInput) };
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let event = reader.next().await;
        if let (Some(pace), Ok(SourceEvent::Rows { .. })) = (&mut self.pace, &event) {
            pace.note_batch();
        }
        event.map_err(|source| RuntimeError::Connector { operator: self.label.to_string(), source })
    }

    pub(crate) fn split_finished(&mut self, split: SplitId) {
        self.finished.push(split);
    }

    pub(crate) fn snapshot(&self) -> (OperatorId, SourceSnapshot) {
        let splits = self.reader.as_ref().map(|reader| reader.snapshot()).unwrap_or_default();
        let position = |state: SplitState| SplitPosition { split: state.split, position: state.position };
        let splits = splits.into_iter().map(position).collect();
        (self.operator.clone(), SourceSnapshot { splits, finished: self.finished.clone() })
    }
}

/// Reads the channels of one subtask, and keeps what they have in common: time, barriers, the end.
pub(crate) struct GateHead {
    pub reader: GateReader,
    /// per channel: which input of the root it belongs to
    pub inputs: Vec<usize>,
    /// per channel: barriers may overtake what is in it
    pub(crate) overtakable: Vec<bool>,
    valve: WatermarkValve,
    pub(crate) alignment: Alignment,
    pub(crate) ended: Vec<bool>,
    /// a snapshot that has been taken and waits for what it overtook
    pub(crate) overtaking: Option<Overtaking>,
    /// asked for by the coordinator; they count once all channels have ended and no barrier can come through them
    pub(crate) requested: VecDeque<Barrier>,
}

impl GateHead {
    pub(crate) fn new(reader: GateReader, inputs: Vec<usize>, overtakable: Vec<bool>) -> Self {
        let channels = reader.channels();
        GateHead {
            reader,
            inputs,
            overtakable,
            overtaking: None,
            valve: WatermarkValve::new(channels),
            alignment: Alignment::default(),
            ended: vec![false; channels],
            requested: VecDeque::new(),
        }
    }

    pub(crate) fn valve(&mut self) -> &mut WatermarkValve {
        &mut self.valve
    }

    pub(crate) fn all_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// A channel has come to its end.
    pub(crate) fn end(&mut self, channel: usize) -> Combined {
        self.ended[channel] = true;
        self.valve.ended(channel)
    }

    /// A barrier has come through a channel: unless rows may come twice, the channel waits for the others.
    pub(crate) fn barrier(&mut self, channel: usize, barrier: Barrier, last: Option<Barrier>, now_ms: u64) {
        let channels = self.reader.channels();
        if self.alignment.arrived(channel, channels, barrier, last, now_ms) {
            self.block();
        }
    }

    pub(crate) fn block(&mut self) {
        let alignment = &self.alignment;
        self.reader.block(|channel| alignment.blocks(channel));
    }

    pub(crate) fn request(&mut self, barrier: Barrier) {
        self.requested.push_back(barrier);
    }

    /// The barrier whose snapshot is to be taken now, and the bytes that had to wait for it: every channel has
    /// delivered it or has nothing left but its end, which need not have been processed, since a producer that has
    /// finished ends again after a restore.
    pub(crate) fn take_aligned(&mut self, now_ms: u64) -> Option<(Aligned, usize)> {
        if self.requested.is_empty() && self.alignment.is_flowing() {
            return None;
        }
        let reader = &self.reader;
        let at_end = |(channel, ended): (usize, &bool)| *ended || reader.is_at_end(channel);
        let ended: Vec<bool> = self.ended.iter().enumerate().map(at_end).collect();
        if let Some(aligned) = self.alignment.complete(&ended) {
            let waited = self.reader.blocked_bytes();
            self.block();
            return Some((aligned, waited));
        }
        if !ended.iter().all(|ended| *ended) {
            return None;
        }
        let barrier = self.requested.pop_front()?;
        Some((Aligned { barrier, first_ms: now_ms }, 0))
    }
}
