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
    /// a barrier wants to overtake: the subtask's sends do not wait for room until it has looked at its mail
    hurry: AtomicBool,
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
    /// a barrier stands in a queue of the subtask that may overtake what is before it
    pub announced: bool,
    /// barriers of this checkpoint overtake from now on
    pub overtake: Option<CheckpointId>,
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

    /// The same, and has the subtask come to a point where a barrier can pass as soon as it can.
    pub(crate) fn post_urgently(&self, write: impl FnOnce(&mut Mail)) {
        self.hurry.store(true, Ordering::Release);
        self.post(write);
    }

    /// True while sends of the subtask are not to wait.
    pub(crate) fn hurries(&self) -> bool {
        self.hurry.load(Ordering::Acquire)
    }

    /// While a barrier is being sent that overtakes, nothing that goes before it waits for room.
    pub(crate) fn set_hurry(&self, hurry: bool) {
        self.hurry.store(hurry, Ordering::Release);
    }

    /// Has whoever waits woken by the next mail.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.state.lock().waker = Some(cx.waker().clone());
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
        self.hurry.store(false, Ordering::Release);
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
