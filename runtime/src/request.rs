//! What somebody wants of a running job: checkpoints, savepoints, and that it stops.

use crate::flag::{Flag, Raised};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use weir_checkpoint::{CheckpointError, Directory, RequestId, SavepointFormat, Stop};
use weir_types::{CheckpointId, JobError};

/// A wish.
pub(crate) enum Request {
    Savepoint(SavepointRequest),
    Checkpoint(CheckpointRequest),
}

pub(crate) struct SavepointRequest {
    pub directory: Directory,
    pub format: SavepointFormat,
    /// the job is to end with it
    pub stop: Option<Stop>,
    /// the path of the savepoint
    pub answer: oneshot::Sender<Result<String, JobError>>,
}

/// A wish for a checkpoint before the next is due.
pub(crate) struct CheckpointRequest {
    /// its number, and its path unless it is in memory
    pub answer: oneshot::Sender<Result<(CheckpointId, Option<String>), JobError>>,
}

/// The wishes of a job, open and to come; they outlive its attempts.
pub(crate) struct Requests {
    receiver: mpsc::Receiver<Request>,
    stop: Flag,
    stopped: Raised,
    open: BTreeMap<RequestId, Open>,
    /// granted in the order of their coming
    waiting: VecDeque<RequestId>,
    next: u64,
    /// with the checkpoint that serves them, once it has begun
    checkpoints: Vec<(Option<CheckpointId>, CheckpointRequest)>,
}

struct Open {
    request: SavepointRequest,
    checkpoint: Option<CheckpointId>,
    path: Option<String>,
}

impl Requests {
    pub(crate) fn new(receiver: mpsc::Receiver<Request>, stop: Flag) -> Self {
        let stopped = stop.raised();
        Requests {
            receiver,
            stop,
            stopped,
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            next: 0,
            checkpoints: Vec::new(),
        }
    }

    /// The next wish; `None`: the job is to stop. While `quiet`, nothing comes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, quiet: bool) -> Poll<Option<Request>> {
        if quiet {
            return Poll::Pending;
        }
        if Pin::new(&mut self.stopped).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        match self.receiver.poll_recv(cx) {
            Poll::Ready(Some(request)) => Poll::Ready(Some(request)),
            // nobody can ask any more
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Completes when the job is to stop.
    pub(crate) fn stopped(&self) -> Raised {
        self.stop.raised()
    }

    /// Takes note of a wish for a savepoint.
    pub(crate) fn open(&mut self, request: SavepointRequest) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.open.insert(id, Open { request, checkpoint: None, path: None });
        self.waiting.push_back(id);
        id
    }

    /// Takes note of a wish for a checkpoint.
    pub(crate) fn open_checkpoint(&mut self, request: CheckpointRequest) {
        self.checkpoints.push((None, request));
    }

    /// A checkpoint of the job's own begins: it serves whoever waits for one.
    pub(crate) fn begin_checkpoint(&mut self, checkpoint: CheckpointId) {
        for (served_by, _) in &mut self.checkpoints {
            served_by.get_or_insert(checkpoint);
        }
    }

    /// The next savepoint that is wished for is this checkpoint: where it goes, and how it is written.
    pub(crate) fn begin(&mut self, checkpoint: CheckpointId) -> (Directory, SavepointFormat) {
        let open = loop {
            let id = self.waiting.pop_front().expect("savepoints are granted in the order of their requests");
            // one that could not be granted has been answered
            if let Some(open) = self.open.get_mut(&id) {
                break open;
            }
        };
        open.checkpoint = Some(checkpoint);
        (open.request.directory.clone(), open.request.format)
    }

    /// A checkpoint has been written, perhaps for a wish.
    pub(crate) fn stored(&mut self, checkpoint: CheckpointId, path: Option<String>) {
        self.answer_checkpoints(checkpoint, || Ok((checkpoint, path.clone())));
        if let Some(open) = self.open.values_mut().find(|open| open.checkpoint == Some(checkpoint)) {
            open.path = path;
        }
    }

    /// A checkpoint does not come about.
    pub(crate) fn abandoned(&mut self, checkpoint: CheckpointId, error: &CheckpointError) {
        self.answer_checkpoints(checkpoint, || Err(JobError::from(error.clone())));
    }

    fn answer_checkpoints(
        &mut self,
        checkpoint: CheckpointId,
        answer: impl Fn() -> Result<(CheckpointId, Option<String>), JobError>,
    ) {
        let served = |(by, _): &mut (Option<CheckpointId>, _)| *by == Some(checkpoint);
        for (_, request) in self.checkpoints.extract_if(.., served) {
            // whoever asked may have gone
            let _ = request.answer.send(answer());
        }
    }

    pub(crate) fn done(&mut self, request: RequestId) {
        let Some(open) = self.open.remove(&request) else { return };
        let answer = open.path.ok_or_else(|| JobError::internal("a savepoint was written to no place"));
        // whoever asked may have gone
        let _ = open.request.answer.send(answer);
    }

    pub(crate) fn failed(&mut self, request: RequestId, error: CheckpointError) {
        if let Some(open) = self.open.remove(&request) {
            let _ = open.request.answer.send(Err(error.into()));
        }
    }

    /// Nothing comes of the wishes that are open.
    pub(crate) fn refuse_open(&mut self, reason: &str) {
        self.waiting.clear();
        for (_, open) in std::mem::take(&mut self.open) {
            let error = JobError::unavailable(format!("take a savepoint: {reason}"));
            let _ = open.request.answer.send(Err(error));
        }
        for (_, request) in self.checkpoints.drain(..) {
            let error = JobError::unavailable(format!("take a checkpoint: {reason}"));
            let _ = request.answer.send(Err(error));
        }
    }
}
