//! The driver loop of one subtask: one task, one chain of operators.
//!
//! It owns the protocol for all operators, sources and sinks: alignment of barriers over channels, the minimum
//! watermark, the end of input, timers, flushing, snapshots. Whatever it awaits may be dropped at any time: that is
//! how a job is cancelled.

use crate::RuntimeError;
use crate::alarm::Alarm;
use crate::alignment::Aligned;
use crate::chain::{Chain, Signal};
use crate::edge::{Edge, Prepared};
use crate::head::Head;
use crate::job_event::{Acknowledgement, JobEvent};
use crate::mailbox::{Mail, Mailbox, Trigger};
use crate::snapshot::{Captured, Snapshots};
use crate::valve::Combined;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::manifest::SnapshotStatistics;
use weir_connectors::SourceEvent;
use weir_types::{Barrier, CheckpointId, RuntimeEnv, StreamElement, failpoint};

/// Steps of a chain after which a task lets others run: some milliseconds of work.
const STEPS_PER_TURN: u32 = 16;
/// How often expired state is looked for, and among how many entries of each state: some tens of microseconds.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);
const SWEEP_SLOTS: u32 = 1024;

pub(crate) struct Subtask {
    pub head: Head,
    pub chain: Chain,
    pub edges: Vec<Edge>,
    pub mailbox: Arc<Mailbox>,
    pub events: mpsc::Sender<JobEvent>,
    pub env: RuntimeEnv,
    pub batch_timeout: Duration,
    pub snapshots: Snapshots,
    pub progress: Progress,
}

/// Where the loop stands.
#[derive(Default)]
pub(crate) struct Progress {
    last_barrier: Option<Barrier>,
    pub(crate) alarm: Alarm,
    steps: u32,
    acknowledgements: Vec<Acknowledgement>,
    /// the task is a source, and sends nothing more before it is told to go on
    stopped: bool,
    /// input ends here, and the last snapshot is for this barrier
    drain: Option<Barrier>,
    input_ended: bool,
    /// the newest checkpoint whose barriers may overtake though it began as an aligned one
    overtake: Option<CheckpointId>,
    /// what was taken when a barrier overtook
    overtook: Option<(Captured, SnapshotStatistics)>,
    /// when expired state is looked for next, on the monotonic clock
    next_sweep: Duration,
}

/// What a subtask waited for.
enum Happening {
    Mail(Mail),
    Alarm,
    /// what a node of the chain waits for has come
    Outside(usize),
    Element(usize, StreamElement),
    Source(SourceEvent),
}

impl Subtask {
    /// Runs until all input is processed and all output sent, or nobody wants any more. The chain is open.
    pub(crate) async fn run(mut self) -> Result<(), RuntimeError> {
        if matches!(self.head, Head::Nothing) {
            self.chain.push_signal(Signal::EndOfInput);
        }
        // satisfied from the start: LIMIT 0
        self.work().await?;
        while !self.chain.is_finished() {
            match self.next().await? {
                Happening::Mail(mail) => self.on_mail(mail).await?,
                Happening::Alarm => self.on_alarm().await?,
                Happening::Outside(node) => self.chain.on_outside(node)?,
                Happening::Element(channel, element) => self.on_element(channel, element).await?,
                Happening::Source(event) => self.on_source(event),
            }
            self.work().await?;
            self.drain_source().await?;
            self.sweep()?;
        }
        self.close().await
    }

    /// Waits for mail, the alarm, what the chain waits for outside, or input, in this order.
    async fn next(&mut self) -> Result<Happening, RuntimeError> {
        let deadline = self.deadline();
        let alarm = &mut self.progress.alarm;
        alarm.set(deadline, &*self.env.clock);
        let (mailbox, chain, stopped) = (&self.mailbox, &mut self.chain, self.progress.stopped);
        let mut first = |cx: &mut std::task::Context<'_>| {
            if let Poll::Ready(mail) = mailbox.poll(cx) {
                return Poll::Ready(Ok(Happening::Mail(mail)));
            }
            if alarm.poll(cx).is_ready() {
                return Poll::Ready(Ok(Happening::Alarm));
            }
            if stopped {
                return Poll::Pending;
            }
            chain.poll_outside(cx).map(|node| Ok(Happening::Outside(node)))
        };
        match &mut self.head {
            _ if self.progress.stopped => poll_fn(first).await,
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

    /// When an edge is to be flushed.
    pub(crate) fn flush_deadline(&self) -> Option<Duration> {
        let flush = self.edges.iter().filter_map(Edge::waiting_since).min();
        flush.map(|since| since + self.batch_timeout)
    }

    /// When the alarm is wanted, on the monotonic clock.
    fn deadline(&self) -> Option<Duration> {
        let flush = self.flush_deadline();
        let timer = self.chain.next_processing_timer().map(|timer_ms| {
            let wait_ms = timer_ms.saturating_sub(self.env.clock.now_ms()).max(0);
            self.env.clock.monotonic().saturating_add(Duration::from_millis(wait_ms as u64))
        });
        [flush, timer].into_iter().flatten().min()
    }

    /// Lets the chain do all that it owes. A barrier may pass while operators owe output.
    async fn work(&mut self) -> Result<(), RuntimeError> {
        while !self.progress.stopped {
            match self.chain.held() {
                Some(node) => self.wait_outside(node).await?,
                None if self.chain.step()? => {}
                None => break,
            }
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
            self.on_barrier(channel, barrier).await?;
        }
        Ok(())
    }

    async fn on_barrier(&mut self, channel: usize, barrier: Barrier) -> Result<(), RuntimeError> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        if gate.overtaken_arrived(channel, Some(barrier)) {
            self.finish_overtaking()
        } else {
            gate.barrier(channel, barrier, self.progress.last_barrier, now_ms(&self.env));
            self.snapshot_if_aligned().await?;
            self.overtake().await
        }
    }

    pub(crate) async fn on_mail(&mut self, mail: Mail) -> Result<(), RuntimeError> {
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
        for (operator, checkpoints) in &mail.rewrites {
            self.chain.rewrite(operator, checkpoints);
        }
        self.progress.overtake = self.progress.overtake.max(mail.overtake);
        if mail.announced || mail.overtake.is_some() {
            self.overtake().await?;
        }
        self.progress.stopped &= !mail.resume;
        self.progress.drain = self.progress.drain.or(mail.drain);
        for Trigger { barrier, stop } in mail.triggers {
            if let Head::Gate(gate) = &mut self.head {
                gate.request(barrier);
                self.snapshot_if_aligned().await?;
                self.overtake().await?;
                continue;
            }
            self.checkpoint(Aligned { barrier, first_ms: now_ms(&self.env) }, 0).await?;
            self.progress.stopped |= stop;
        }
        Ok(())
    }

    /// Ends the input of a source that was told to, once nothing of what it has read is left in the chain.
    async fn drain_source(&mut self) -> Result<(), RuntimeError> {
        if self.progress.drain.is_some()
            && matches!(self.head, Head::Source(_))
            && !std::mem::replace(&mut self.progress.input_ended, true)
        {
            self.chain.push_signal(Signal::EndOfInput);
            self.work().await?;
        }
        Ok(())
    }

    /// Drops some of the state that has expired, now and then.
    fn sweep(&mut self) -> Result<(), RuntimeError> {
        if !self.chain.has_expiry() {
            return Ok(());
        }
        let now = self.env.clock.monotonic();
        if now >= self.progress.next_sweep {
            self.progress.next_sweep = now + SWEEP_INTERVAL;
            self.chain.sweep(SWEEP_SLOTS)?;
        }
        Ok(())
    }

    async fn on_alarm(&mut self) -> Result<(), RuntimeError> {
        self.flush_late().await?;
        self.chain.push_processing_time(self.env.clock.now_ms());
        Ok(())
    }

    /// Flushes the edges whose rows have waited long enough.
    pub(crate) async fn flush_late(&mut self) -> Result<(), RuntimeError> {
        let now = self.env.clock.monotonic();
        for index in 0..self.edges.len() {
            if self.edges[index].waiting_since().is_some_and(|since| since + self.batch_timeout <= now) {
                self.chain.at_edge(index);
                self.edges[index].flush().await?;
            }
        }
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
            SourceEvent::EndOfInput => {
                self.progress.input_ended = true;
                self.chain.push_signal(Signal::EndOfInput);
            }
        }
    }

    async fn on_element(&mut self, channel: usize, element: StreamElement) -> Result<(), RuntimeError> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        match element {
            StreamElement::Batch(batch) => {
                gate.copy_overtaken(channel, &batch);
                self.chain.push_batch(gate.inputs[channel], batch);
            }
            StreamElement::Watermark(watermark) => {
                let combined = gate.valve().watermark(channel, watermark);
                self.push_combined(combined);
            }
            StreamElement::Idle(idle) => {
                let combined = gate.valve().idle(channel, idle);
                self.push_combined(combined);
            }
            StreamElement::Barrier(barrier) => self.on_barrier(channel, barrier).await?,
            StreamElement::EndOfInput => {
                gate.overtaken_arrived(channel, None);
                let combined = gate.end(channel);
                let all_ended = gate.all_ended();
                // others may have waited for this channel's barrier
                self.snapshot_if_aligned().await?;
                self.finish_overtaking()?;
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
            && let Some((aligned, waited)) = gate.take_aligned(now_ms(&self.env))
        {
            self.checkpoint(aligned, waited).await?;
        }
        Ok(())
    }

    /// Takes the snapshot of a barrier that has come or been asked for.
    async fn checkpoint(&mut self, aligned: Aligned, alignment_bytes: usize) -> Result<(), RuntimeError> {
        let Aligned { barrier, first_ms } = aligned;
        if self.progress.last_barrier.is_some_and(|last| barrier.id <= last.id) {
            return Ok(());
        }
        // what an older one overtook is of no use any more
        self.progress.overtook = None;
        let (captured, mut times) = self.pass(barrier, first_ms).await?;
        times.alignment_bytes = alignment_bytes as u64;
        self.acknowledge(captured, barrier, times);
        Ok(())
    }

    /// Lets a barrier overtake that may.
    async fn overtake(&mut self) -> Result<(), RuntimeError> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        gate.catch_up_overtaking();
        self.finish_overtaking()?;
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        let (last, allowed) = (self.progress.last_barrier, self.progress.overtake);
        let Some(barrier) = gate.begin_overtaking(last, allowed, now_ms(&self.env)) else { return Ok(()) };
        let first_ms = gate.overtaking.as_ref().map_or(0, |overtaking| overtaking.first_ms);
        // nothing that goes before the barrier waits for room
        self.mailbox.set_hurry(true);
        let passed = self.pass(barrier, first_ms).await;
        self.mailbox.set_hurry(false);
        let (captured, times) = passed?;
        self.progress.overtook = Some((captured, SnapshotStatistics { unaligned: true, ..times }));
        self.finish_overtaking()
    }

    /// Acknowledges the snapshot of a barrier that overtook, once all that it overtook has been seen.
    fn finish_overtaking(&mut self) -> Result<(), RuntimeError> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        let Some(overtaken) = gate.take_overtaken() else { return Ok(()) };
        let Some((mut captured, mut times)) = self.progress.overtook.take() else { return Ok(()) };
        times.alignment_ms = now_ms(&self.env).saturating_sub(overtaken.first_ms);
        captured.in_flight(self.chain.root(), overtaken.batches)?;
        self.acknowledge(captured, overtaken.barrier, times);
        Ok(())
    }

    /// Takes the cheap part of a snapshot and forwards the barrier.
    async fn pass(
        &mut self,
        barrier: Barrier,
        first_ms: u64,
    ) -> Result<(Captured, SnapshotStatistics), RuntimeError> {
        let started_ms = now_ms(&self.env);
        failpoint("before-snapshot");
        let mut captured = self.chain.snapshot(barrier)?;
        if let Head::Source(source) = &self.head {
            let (operator, positions) = source.snapshot();
            captured.source(operator, positions);
        }
        failpoint("after-snapshot");
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
        let times = SnapshotStatistics {
            start_delay_ms: first_ms.saturating_sub(barrier.triggered_ms),
            alignment_ms: started_ms.saturating_sub(first_ms),
            sync_ms: now_ms(&self.env).saturating_sub(started_ms),
            ..SnapshotStatistics::default()
        };
        Ok((captured, times))
    }

    /// Leaves the rest of a snapshot to a task of its own.
    fn acknowledge(&mut self, captured: Captured, barrier: Barrier, times: SnapshotStatistics) {
        let acknowledgement = self.snapshots.acknowledge(captured, barrier, times, self.events.clone());
        self.progress.acknowledgements.retain(Acknowledgement::is_pending);
        self.progress.acknowledgements.push(acknowledgement);
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
        let last = match self.progress.drain {
            Some(barrier) => Some(barrier),
            None => {
                self.snapshots.wanted_at_the_end().then(|| Barrier::of(self.progress.after_last_barrier()))
            }
        };
        if let Some(barrier) = last {
            let mut captured = self.chain.snapshot(barrier)?;
            if let Head::Source(source) = &self.head {
                let (operator, positions) = source.snapshot();
                captured.source(operator, positions);
            }
            let passed = self.progress.last_barrier.map(|barrier| barrier.id);
            self.snapshots.last(captured, barrier, passed, &self.events).await?;
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

/// Milliseconds of the monotonic clock.
pub(crate) fn now_ms(env: &RuntimeEnv) -> u64 {
    env.clock.monotonic().as_millis() as u64
}

/// Lets other tasks of the thread run.
async fn yield_now() {
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
