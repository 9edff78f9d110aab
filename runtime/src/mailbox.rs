//! What reaches a subtask beside its input: wishes of the coordinator, and the news that nobody reads one of its
//! outputs any more.

use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use weir_types::{Barrier, CheckpointId, OperatorId};

/// One subtask's letter box. Any task may post; only the subtask reads.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// true while there may be something: the reader asks between batches, which must cost nothing
    pending: AtomicBool,
    state: Mutex<MailboxState>,
}

#[derive(Default)]
struct MailboxState {
    mail: Mail,
    waker: Option<Waker>,
}

/// What was in the letter box.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mail {
    /// checkpoints that were asked for since the last look
    pub triggers: VecDeque<Trigger>,
    /// a source goes on after a barrier that stopped it
    pub resume: bool,
    /// the input ends here, and the last snapshot belongs to this barrier
    pub drain: Option<Barrier>,
    /// the newest checkpoint that completed since the last look
    pub completed: Option<CheckpointId>,
    /// what the next snapshot is to write anew: what these checkpoints wrote of an operator
    pub rewrites: Vec<(OperatorId, BTreeSet<CheckpointId>)>,
    /// a reader of an output has gone
    pub output_closed: bool,
}

/// A wish for a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub barrier: Barrier,
    /// a source sends nothing after the barrier
    pub stop: bool,
}

impl Mailbox {
    /// Changes what the subtask will find.
    pub(crate) fn post(&self, write: impl FnOnce(&mut Mail)) {
        let mut state = self.state.lock();
        write(&mut state.mail);
        self.pending.store(true, Ordering::Release);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells the subtask that a reader of one of its outputs has gone.
    pub(crate) fn output_closed(&self) {
        self.post(|mail| mail.output_closed = true);
    }

    /// What has come since the last look; costs one load when nothing has.
    #[inline]
    pub(crate) fn take(&self) -> Option<Mail> {
        if !self.pending.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock();
        self.pending.store(false, Ordering::Release);
        Some(std::mem::take(&mut state.mail))
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
