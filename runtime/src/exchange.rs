//! Bounded channels between the subtasks of two operators.
//!
//! A consumer has one [`Gate`] with a queue for each producer. Elements of one channel stay in order. A channel is
//! bounded by the bytes of its batches: a sender waits while its queue holds `capacity_bytes` or more, so that a
//! channel never holds more than that and one batch. Barriers, watermarks and ends never wait, so that a checkpoint
//! cannot be held up by a full channel's sender; consecutive watermarks in a queue become one. A sender whose
//! subtask is to let an overtaking barrier pass does not wait either.

use crate::mailbox::Mailbox;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use weir_types::{Barrier, BarrierMode, ChangelogBatch, CheckpointId, StreamElement};

/// Bytes that a batch takes besides its values: the arrays' own structures.
const BATCH_OVERHEAD_BYTES: usize = 256;
const COLUMN_OVERHEAD_BYTES: usize = 128;

/// The input of one subtask.
pub(crate) struct Gate {
    capacity_bytes: usize,
    /// of the subtask that reads it
    consumer: Arc<Mailbox>,
    state: Mutex<GateState>,
}

struct GateState {
    channels: Vec<Channel>,
    consumer: Option<Waker>,
    /// the consumer has gone
    closed: bool,
}

struct Channel {
    queue: VecDeque<(StreamElement, usize)>,
    bytes: usize,
    /// its end has been sent
    ended: bool,
    /// a sender that waits for room
    sender: Option<Waker>,
    producer: Arc<Mailbox>,
}

/// The reader has gone: what is sent to it is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Gate {
    pub(crate) fn new(capacity_bytes: usize, consumer: Arc<Mailbox>) -> Self {
        let state = GateState { channels: Vec::new(), consumer: None, closed: false };
        Gate { capacity_bytes: capacity_bytes.max(1), consumer, state: Mutex::new(state) }
    }

    /// Adds a channel; `producer` hears when the gate closes.
    pub(crate) fn connect(gate: &Arc<Gate>, producer: Arc<Mailbox>) -> ChannelSender {
        let mut state = gate.state.lock();
        let channel = state.channels.len();
        state.channels.push(Channel {
            queue: VecDeque::new(),
            bytes: 0,
            ended: false,
            sender: None,
            producer,
        });
        ChannelSender { gate: gate.clone(), channel }
    }
}

/// The sending end of one channel.
pub(crate) struct ChannelSender {
    gate: Arc<Gate>,
    channel: usize,
}

impl ChannelSender {
    /// Waits for room if `element` is a batch.
    pub(crate) async fn send(&self, element: StreamElement) -> Result<(), Closed> {
        let mut element = Some(element);
        poll_fn(|cx| self.poll_send(&mut element, cx)).await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.state.lock().closed
    }

    fn poll_send(&self, slot: &mut Option<StreamElement>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let bytes = match slot {
            Some(StreamElement::Batch(batch)) => batch_bytes(batch),
            _ => 0,
        };
        let mut state = self.gate.state.lock();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        let channel = &mut state.channels[self.channel];
        if bytes > 0 && channel.bytes >= self.gate.capacity_bytes && !channel.producer.hurries() {
            channel.sender = Some(cx.waker().clone());
            channel.producer.register(cx);
            // it may have been told to hurry before it could be woken
            if !channel.producer.hurries() {
                return Poll::Pending;
            }
        }
        let overtakes = match slot {
            Some(StreamElement::Barrier(barrier)) => match barrier.mode {
                BarrierMode::Unaligned { after_ms } => Some(after_ms == 0),
                BarrierMode::Aligned | BarrierMode::AtLeastOnce => None,
            },
            _ => None,
        };
        if let Some(element) = slot.take() {
            channel.ended |= matches!(element, StreamElement::EndOfInput);
            channel.bytes += bytes;
            match (channel.queue.back_mut(), element) {
                (Some((StreamElement::Watermark(last), _)), StreamElement::Watermark(next)) => *last = next,
                (_, element) => channel.queue.push_back((element, bytes)),
            }
        }
        let consumer = state.consumer.take();
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        match overtakes {
            Some(true) => self.gate.consumer.post_urgently(|mail| mail.announced = true),
            Some(false) => self.gate.consumer.post(|mail| mail.announced = true),
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

/// The receiving end of a gate. Dropping it tells the producers that nobody reads any more.
pub(crate) struct GateReader {
    gate: Arc<Gate>,
    /// channels that wait for others to deliver a barrier
    blocked: Vec<bool>,
    /// where the next look begins: channels take turns
    next: usize,
}

impl GateReader {
    /// All channels must be connected already.
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let channels = gate.state.lock().channels.len();
        GateReader { gate, blocked: vec![false; channels], next: 0 }
    }

    pub(crate) fn channels(&self) -> usize {
        self.blocked.len()
    }

    /// Leaves those channels alone that `waits` says, until the next call.
    pub(crate) fn block(&mut self, waits: impl Fn(usize) -> bool) {
        for (channel, blocked) in self.blocked.iter_mut().enumerate() {
            *blocked = waits(channel);
        }
    }

    /// Bytes that wait in channels that are left alone.
    pub(crate) fn blocked_bytes(&self) -> usize {
        let state = self.gate.state.lock();
        let blocked = state.channels.iter().zip(&self.blocked).filter(|(_, blocked)| **blocked);
        blocked.map(|(channel, _)| channel.bytes).sum()
    }

    /// The next element of a channel that is not blocked, and the channel.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(usize, StreamElement)> {
        let mut state = self.gate.state.lock();
        let count = self.blocked.len();
        for step in 0..count {
            let index = if self.next + step < count { self.next + step } else { self.next + step - count };
            if self.blocked[index] {
                continue;
            }
            let channel = &mut state.channels[index];
            let Some((element, bytes)) = channel.queue.pop_front() else { continue };
            self.next = if index + 1 == count { 0 } else { index + 1 };
            channel.bytes -= bytes;
            let sender = if channel.bytes < self.gate.capacity_bytes { channel.sender.take() } else { None };
            drop(state);
            if let Some(sender) = sender {
                sender.wake();
            }
            return Poll::Ready((index, element));
        }
        state.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The newest barrier that stands in any queue and may overtake.
    pub(crate) fn newest_overtaker(&self) -> Option<Barrier> {
        let state = self.gate.state.lock();
        let elements = state.channels.iter().flat_map(|channel| &channel.queue);
        let barriers = elements.filter_map(|(element, _)| match element {
            StreamElement::Barrier(barrier) if matches!(barrier.mode, BarrierMode::Unaligned { .. }) => {
                Some(*barrier)
            }
            _ => None,
        });
        barriers.max_by_key(|barrier| barrier.id)
    }

    /// Takes the barrier of `checkpoint` out of the queue of `channel`, and copies the batches before it; before the
    /// end of the channel if that comes first. `None` if neither is there.
    pub(crate) fn overtake(
        &mut self,
        channel: usize,
        checkpoint: CheckpointId,
    ) -> Option<Vec<ChangelogBatch>> {
        let mut state = self.gate.state.lock();
        let queue = &mut state.channels[channel].queue;
        let ends = |element: &StreamElement| match element {
            StreamElement::Barrier(barrier) => barrier.id == checkpoint,
            StreamElement::EndOfInput => true,
            _ => false,
        };
        let place = queue.iter().position(|(element, _)| ends(element))?;
        if matches!(queue[place].0, StreamElement::Barrier(_)) {
            queue.remove(place);
        }
        let before = queue.iter().take(place).filter_map(|(element, _)| match element {
            StreamElement::Batch(batch) => Some(batch.clone()),
            _ => None,
        });
        Some(before.collect())
    }

    /// True if every channel has sent its end, whether it has been read or not.
    pub(crate) fn all_end(&self) -> bool {
        let state = self.gate.state.lock();
        state.channels.iter().all(|channel| channel.ended)
    }

    /// True if nothing but the end is left in a channel: time and idleness before it say nothing more.
    pub(crate) fn is_at_end(&self, channel: usize) -> bool {
        let state = self.gate.state.lock();
        let queue = &state.channels[channel].queue;
        let ends = queue.back().is_some_and(|(element, _)| matches!(element, StreamElement::EndOfInput));
        let holds = |(element, _): &(StreamElement, usize)| {
            matches!(element, StreamElement::Batch(_) | StreamElement::Barrier(_))
        };
        ends && !queue.iter().any(holds)
    }

    /// A barrier that stands first in a channel that is not blocked. Nothing else is taken.
    pub(crate) fn take_barrier(&mut self) -> Option<(usize, Barrier)> {
        let mut state = self.gate.state.lock();
        for (index, channel) in state.channels.iter_mut().enumerate() {
            if self.blocked[index] {
                continue;
            }
            if let Some((StreamElement::Barrier(barrier), _)) = channel.queue.front() {
                let barrier = *barrier;
                channel.queue.pop_front();
                return Some((index, barrier));
            }
        }
        None
    }
}

impl Drop for GateReader {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.closed = true;
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        for channel in channels {
            if let Some(sender) = channel.sender {
                sender.wake();
            }
            channel.producer.output_closed();
        }
    }
}

/// Bytes that `batch` keeps alive in a queue, about: the values of its rows, whatever buffers they are slices of.
pub(crate) fn batch_bytes(batch: &ChangelogBatch) -> usize {
    let rows = batch.rows();
    let kinds = batch.kinds().map_or(0, |kinds| kinds.len());
    let mut bytes = BATCH_OVERHEAD_BYTES + kinds;
    for column in rows.columns() {
        let values = column.to_data().get_slice_memory_size();
        bytes += COLUMN_OVERHEAD_BYTES + values.unwrap_or_else(|_| column.get_array_memory_size());
    }
    bytes
}

#[cfg(test)]
mod tests;
