//! What reaches a subtask beside its input: the coordinator's wish for a checkpoint, and the news that nobody reads
//! one of its outputs any more.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use weir_types::{Barrier, CheckpointId};

/// One subtask's letter box. Any task may post; only the subtask reads.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// true while there may be something: the reader asks between batches, which must cost nothing
    pending: AtomicBool,
    state: Mutex<MailboxState>,
}

#[derive(Default)]
struct MailboxState {
    trigger: Option<Barrier>,
    completed: Option<CheckpointId>,
    output_closed: bool,
    waker: Option<Waker>,
}

/// What was in the letter box.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// the newest checkpoint that was asked for since the last look; older ones are void then
    pub trigger: Option<Barrier>,
    /// the newest checkpoint that completed since the last look
    pub completed: Option<CheckpointId>,
    /// a reader of an output has gone
    pub output_closed: bool,
}

impl Mailbox {
    /// Asks the subtask for a checkpoint.
    pub(crate) fn trigger(&self, barrier: Barrier) {
        self.post(|state| state.trigger = Some(barrier));
    }

    /// Tells the subtask that a checkpoint is complete.
    pub(crate) fn completed(&self, checkpoint: CheckpointId) {
        self.post(|state| state.completed = Some(checkpoint));
    }

    /// Tells the subtask that a reader of one of its outputs has gone.
    pub(crate) fn output_closed(&self) {
        self.post(|state| state.output_closed = true);
    }

    fn post(&self, write: impl FnOnce(&mut MailboxState)) {
        let mut state = self.state.lock();
        write(&mut state);
        self.pending.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has come since the last look; costs one load when nothing has.
    #[inline]
    pub(crate) fn take(&self) -> Option<Mail> {
        if !self.pending.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock();
        self.pending.store(false, Ordering::Release);
        Some(Mail {
            trigger: state.trigger.take(),
            completed: state.completed.take(),
            output_closed: std::mem::take(&mut state.output_closed),
        })
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        if let Some(mail) = self.take() {
            return Poll::Ready(mail);
        }
        self.state.lock().waker = Some(cx.waker().clone());
        // somebody may have posted between the look and the waker
        match self.take() {
            Some(mail) => Poll::Ready(mail),
            None => Poll::Pending,
        }
    }
}
