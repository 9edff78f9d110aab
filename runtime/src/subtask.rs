//! The driver loop of one subtask: one task, one chain of operators.
//!
//! It owns the protocol for all operators, sources and sinks: alignment of barriers over channels, the minimum
//! watermark, the end of input, timers, flushing, snapshots. Whatever it awaits may be dropped at any time: that is
//! how a job is cancelled.

use crate::RuntimeError;
use crate::alarm::Alarm;
use crate::chain::{Chain, Signal};
use crate::edge::{Edge, Prepared};
use crate::head::Head;
use crate::job_event::{Acknowledgement, JobEvent};
use crate::mailbox::{Mail, Mailbox};
use crate::valve::Combined;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::TaskId;
use weir_connectors::SourceEvent;
use weir_types::{Barrier, CheckpointId, RuntimeEnv, StreamElement, SubtaskIndex};

/// Steps of a chain after which a task lets others run: some milliseconds of work.
const STEPS_PER_TURN: u32 = 16;

pub(crate) struct Subtask {
    pub task: TaskId,
    pub index: SubtaskIndex,
    pub head: Head,
    pub chain: Chain,
    pub edges: Vec<Edge>,
    pub mailbox: Arc<Mailbox>,
    pub events: mpsc::Sender<JobEvent>,
    pub env: RuntimeEnv,
    pub batch_timeout: Duration,
    pub progress: Progress,
}

/// Where the loop stands.
#[derive(Default)]
pub(crate) struct Progress {
    last_barrier: Option<Barrier>,
    alarm: Alarm,
    steps: u32,
    acknowledgements: Vec<Acknowledgement>,
}

/// What a subtask waited for.
enum Happening {
    Mail(Mail),
    Alarm,
    Element(usize, StreamElement),
    Source(SourceEvent),
}

impl Subtask {
    /// Runs until all input is processed and all output sent, or nobody wants any more.
    pub(crate) async fn run(mut self) -> Result<(), RuntimeError> {
        self.chain.open()?;
        if matches!(self.head, Head::Nothing) {
            self.chain.push_signal(Signal::EndOfInput);
        }
        // satisfied from the start: LIMIT 0
        self.work().await?;
        while !self.chain.is_finished() {
            match self.next().await? {
                Happening::Mail(mail) => self.on_mail(mail).await?,
                Happening::Alarm => self.on_alarm().await?,
                Happening::Element(channel, element) => self.on_element(channel, element).await?,
                Happening::Source(event) => self.on_source(event),
            }
            self.work().await?;
        }
        self.close().await
    }

    /// Waits for mail, the alarm or input, in this order.
    async fn next(&mut self) -> Result<Happening, RuntimeError> {
        let deadline = self.deadline();
        let alarm = &mut self.progress.alarm;
        alarm.set(deadline, &*self.env.clock);
        let mailbox = &self.mailbox;
        let mut first = |cx: &mut std::task::Context<'_>| {
            if let Poll::Ready(mail) = mailbox.poll(cx) {
                return Poll::Ready(Ok(Happening::Mail(mail)));
            }
            alarm.poll(cx).map(|()| Ok(Happening::Alarm))
        };
        match &mut self.head {
            Head::Source(source) => {
                let mut next = pin!(source.next());
                poll_fn(|cx| match first(cx) {
                    Poll::Ready(happening) => Poll::Ready(happening),
                    Poll::Pending => next.as_mut().poll(cx).map_ok(Happening::Source),
                })
                .await
            }
            Head::Gate(gate) => {
                poll_fn(|cx| match first(cx) {
                    Poll::Ready(happening) => Poll::Ready(happening),
                    Poll::Pending => gate
                        .reader
                        .poll_next(cx)
                        .map(|(channel, element)| Ok(Happening::Element(channel, element))),
                })
                .await
            }
            Head::Nothing => poll_fn(first).await,
        }
    }

    /// When the alarm is wanted, on the monotonic clock.
    fn deadline(&self) -> Option<Duration> {
        let flush = self.edges.iter().filter_map(Edge::waiting_since).min();
        let flush = flush.map(|since| since + self.batch_timeout);
        let timer = self.chain.next_processing_timer().map(|timer_ms| {
            let wait_ms = timer_ms.saturating_sub(self.env.clock.now_ms()).max(0);
            self.env.clock.monotonic().saturating_add(Duration::from_millis(wait_ms as u64))
        });
        [flush, timer].into_iter().flatten().min()
    }

    /// Lets the chain do all that it owes. A barrier may pass while operators owe output.
    async fn work(&mut self) -> Result<(), RuntimeError> {
        while self.chain.step()? {
            self.send().await?;
            if self.chain.barrier_may_pass() {
                self.pass_barriers().await?;
            }
            self.take_turns().await;
        }
        Ok(())
    }

    /// Lets other tasks of the thread run now and then.
    async fn take_turns(&mut self) {
        self.progress.steps += 1;
        if self.progress.steps >= STEPS_PER_TURN {
            self.progress.steps = 0;
            yield_now().await;
        }
    }

    async fn send(&mut self) -> Result<(), RuntimeError> {
        while let Some((index, element)) = self.chain.outbox.pop_front() {
            self.chain.at_edge(index);
            let edge = &mut self.edges[index];
            if matches!(element, StreamElement::EndOfInput) {
                let prepared = edge.end().await?;
                self.chain.edge_done(index);
                report(&self.events, self.progress.after_last_barrier(), prepared).await;
            } else {
                edge.send(element, &*self.env.clock).await?;
            }
        }
        Ok(())
    }

    async fn pass_barriers(&mut self) -> Result<(), RuntimeError> {
        if let Some(mail) = self.mailbox.take() {
            self.on_mail(mail).await?;
        }
        while let Head::Gate(gate) = &mut self.head
            && let Some((channel, barrier)) = gate.reader.take_barrier()
        {
            gate.barrier(channel, barrier, self.progress.last_barrier);
            self.snapshot_if_aligned().await?;
        }
        Ok(())
    }

    async fn on_mail(&mut self, mail: Mail) -> Result<(), RuntimeError> {
        if mail.output_closed {
            for (index, edge) in self.edges.iter().enumerate() {
                if edge.is_closed() {
                    self.chain.edge_done(index);
                }
            }
        }
        if let Some(checkpoint) = mail.completed {
            self.chain.notify_complete(checkpoint);
        }
        let Some(barrier) = mail.trigger else { return Ok(()) };
        match &mut self.head {
            Head::Gate(gate) => {
                gate.request(barrier);
                self.snapshot_if_aligned().await
            }
            Head::Source(_) | Head::Nothing => self.checkpoint(barrier).await,
        }
    }

    async fn on_alarm(&mut self) -> Result<(), RuntimeError> {
        let now = self.env.clock.monotonic();
        for index in 0..self.edges.len() {
            if self.edges[index].waiting_since().is_some_and(|since| since + self.batch_timeout <= now) {
                self.chain.at_edge(index);
                self.edges[index].flush().await?;
            }
        }
        self.chain.push_processing_time(self.env.clock.now_ms());
        Ok(())
    }

    fn on_source(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Rows { batch, .. } => self.chain.push_batch(0, batch),
            SourceEvent::SplitFinished(split) => {
                if let Head::Source(source) = &mut self.head {
                    source.split_finished(split);
                }
            }
            // the root sends the last watermark before it
            SourceEvent::EndOfInput => self.chain.push_signal(Signal::EndOfInput),
        }
    }

    async fn on_element(&mut self, channel: usize, element: StreamElement) -> Result<(), RuntimeError> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        match element {
            StreamElement::Batch(batch) => self.chain.push_batch(gate.inputs[channel], batch),
            StreamElement::Watermark(watermark) => {
                let combined = gate.valve().watermark(channel, watermark);
                self.push_combined(combined);
            }
            StreamElement::Idle(idle) => {
                let combined = gate.valve().idle(channel, idle);
                self.push_combined(combined);
            }
            StreamElement::Barrier(barrier) => {
                gate.barrier(channel, barrier, self.progress.last_barrier);
                self.snapshot_if_aligned().await?;
            }
            StreamElement::EndOfInput => {
                let combined = gate.end(channel);
                let all_ended = gate.all_ended();
                // others may have waited for this channel's barrier
                self.snapshot_if_aligned().await?;
                if all_ended {
                    self.chain.push_signal(Signal::EndOfInput);
                }
                self.push_combined(combined);
            }
        }
        Ok(())
    }

    /// What is pushed last is done first.
    fn push_combined(&mut self, combined: Combined) {
        if combined.idle {
            self.chain.push_signal(Signal::Idle(true));
        }
        if let Some(watermark) = combined.watermark {
            self.chain.push_signal(Signal::Watermark(watermark));
        }
        if combined.active {
            self.chain.push_signal(Signal::Idle(false));
        }
    }

    async fn snapshot_if_aligned(&mut self) -> Result<(), RuntimeError> {
        while let Head::Gate(gate) = &mut self.head
            && let Some(barrier) = gate.take_aligned()
        {
            self.checkpoint(barrier).await?;
        }
        Ok(())
    }

    /// Takes the cheap part of a snapshot, forwards the barrier, and leaves the rest to a task of its own.
    async fn checkpoint(&mut self, barrier: Barrier) -> Result<(), RuntimeError> {
        if self.progress.last_barrier.is_some_and(|last| barrier.id <= last.id) {
            return Ok(());
        }
        let mut snapshot = self.chain.snapshot(barrier)?;
        if let Head::Source(source) = &self.head {
            let (operator, positions) = source.snapshot();
            snapshot.source(operator, positions);
        }
        self.progress.last_barrier = Some(barrier);
        for sinks in [false, true] {
            for index in 0..self.edges.len() {
                if self.edges[index].is_sink() == sinks && !self.chain.is_edge_done(index) {
                    self.chain.at_edge(index);
                    let prepared = self.edges[index].barrier(barrier).await?;
                    report(&self.events, barrier.id, prepared).await;
                }
            }
        }
        let (task, subtask) = (self.task, self.index);
        let acknowledgement = snapshot.acknowledge(task, subtask, barrier.id, &self.env, self.events.clone());
        self.progress.acknowledgements.retain(Acknowledgement::is_pending);
        self.progress.acknowledgements.push(acknowledgement);
        Ok(())
    }

    async fn close(mut self) -> Result<(), RuntimeError> {
        for index in 0..self.edges.len() {
            if !self.chain.is_edge_done(index) {
                let prepared = self.edges[index].end().await?;
                report(&self.events, self.progress.after_last_barrier(), prepared).await;
            }
        }
        // a task that has ended has answered: its last snapshots must not come after its end
        for acknowledgement in self.progress.acknowledgements.drain(..) {
            acknowledgement.done().await;
        }
        Ok(())
    }
}

impl Progress {
    /// The first checkpoint that covers what is written after the last barrier.
    fn after_last_barrier(&self) -> CheckpointId {
        CheckpointId(self.last_barrier.map_or(0, |last| last.id.0 + 1))
    }
}

/// Tells the job what a sink has written. It comes before the acknowledgement of the checkpoint that covers it.
async fn report(events: &mpsc::Sender<JobEvent>, covered_by: CheckpointId, prepared: Option<Prepared>) {
    if let Some(Prepared { operator, committables }) = prepared {
        // without a job the subtask is about to be cancelled
        let _ = events.send(JobEvent::Prepared { covered_by, operator, committables }).await;
    }
}

/// Lets other tasks of the thread run.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
