//! Where the input of a subtask comes from: a source's reader, a gate, or nowhere.

use crate::RuntimeError;
use crate::alignment::{Alignment, Arrival};
use crate::exchange::GateReader;
use crate::valve::{Combined, WatermarkValve};
use std::sync::Arc;
use weir_checkpoint::{SourceSnapshot, SplitPosition};
use weir_connectors::{ReaderContext, Source, SourceEvent, SourceReader, SplitState};
use weir_types::{Barrier, OperatorId, SplitId};

pub(crate) enum Head {
    Source(SourceHead),
    Gate(GateHead),
    /// The root makes its rows itself at the end of its absent input: VALUES.
    Nothing,
}

/// Reads the splits of one subtask.
pub(crate) struct SourceHead {
    operator: OperatorId,
    label: Arc<str>,
    reader: Option<Box<dyn SourceReader>>,
    finished: Vec<SplitId>,
}

impl SourceHead {
    /// Opens a reader, unless the subtask has no splits.
    pub(crate) async fn open(
        operator: OperatorId,
        label: Arc<str>,
        source: &dyn Source,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Self, RuntimeError> {
        let reader = if splits.is_empty() {
            None
        } else {
            let opened = source.reader(context, splits).await;
            Some(opened.map_err(|source| RuntimeError::Connector { operator: label.to_string(), source })?)
        };
        Ok(SourceHead { operator, label, reader, finished: Vec::new() })
    }

    /// The next event; `EndOfInput` without splits and after the end. Cancel safe, as the reader is.
    pub(crate) async fn next(&mut self) -> Result<SourceEvent, RuntimeError> {
        let Some(reader) = &mut self.reader else { return Ok(SourceEvent::EndOfInput) };
        let event = reader.next().await;
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
    valve: WatermarkValve,
    alignment: Alignment,
    ended: Vec<bool>,
    /// asked for by the coordinator; counts once all channels have ended and no barrier can come through them
    requested: Option<Barrier>,
}

impl GateHead {
    pub(crate) fn new(reader: GateReader, inputs: Vec<usize>) -> Self {
        let channels = reader.channels();
        GateHead {
            reader,
            inputs,
            valve: WatermarkValve::new(channels),
            alignment: Alignment::Flowing,
            ended: vec![false; channels],
            requested: None,
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

    /// A barrier has come through a channel: the channel waits for the others.
    pub(crate) fn barrier(&mut self, channel: usize, barrier: Barrier, last: Option<Barrier>) {
        let channels = self.reader.channels();
        match self.alignment.arrived(channel, channels, barrier, last) {
            Arrival::Stale => return,
            Arrival::Restart => self.reader.unblock_all(),
            Arrival::Wait => {}
        }
        self.reader.block(channel);
    }

    pub(crate) fn request(&mut self, barrier: Barrier) {
        self.requested = Some(barrier);
    }

    /// The barrier whose snapshot is to be taken now: every channel has delivered it or has nothing left but its end,
    /// which need not have been processed, since a producer that has finished ends again after a restore.
    pub(crate) fn take_aligned(&mut self) -> Option<Barrier> {
        if self.requested.is_none() && matches!(self.alignment, Alignment::Flowing) {
            return None;
        }
        let reader = &self.reader;
        let at_end = |(channel, ended): (usize, &bool)| *ended || reader.is_at_end(channel);
        let ended: Vec<bool> = self.ended.iter().enumerate().map(at_end).collect();
        let aligned = self.alignment.complete(&ended);
        if aligned.is_some() {
            self.reader.unblock_all();
            return aligned;
        }
        if ended.iter().all(|ended| *ended) { self.requested.take() } else { None }
    }
}
