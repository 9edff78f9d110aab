//! What the driver loop asks of an operator.

use crate::OperatorError;
use std::sync::Arc;
use std::task::{Context, Poll};
use weir_state::{KeyedStateBackend, OperatorStateBackend};
use weir_types::{ChangelogBatch, Clock, OperatorMetrics, SubtaskIndex, Watermark};

/// What an operator emits, in order.
#[derive(Clone, Debug)]
pub enum OutputElement {
    Batch(ChangelogBatch),
    /// From operators that make watermarks themselves; the driver forwards all others.
    Watermark(Watermark),
    Idle(bool),
}

/// Collects what an operator emits during one call.
#[derive(Debug, Default)]
pub struct Output {
    pub elements: Vec<OutputElement>,
}

impl Output {
    /// Empty batches are dropped.
    pub fn batch(&mut self, batch: ChangelogBatch) {
        if !batch.is_empty() {
            self.elements.push(OutputElement::Batch(batch));
        }
    }

    pub fn watermark(&mut self, watermark: Watermark) {
        self.elements.push(OutputElement::Watermark(watermark));
    }
}

/// Whether an operator has more to emit for the event that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// Call `resume` until it says `Done`; a barrier may pass in between, and the state is consistent then.
    More,
}

/// What an operator waits for outside of the job: answers to lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    Nothing,
    /// it takes input meanwhile
    Open,
    /// it takes nothing before something has come
    Full,
    /// the same, and no snapshot has what it holds: no barrier may pass
    Blocked,
}

/// What surrounds an operator in its subtask. The driver owns it.
pub struct OperatorContext {
    pub subtask: SubtaskIndex,
    pub parallelism: u32,
    pub batch_rows: usize,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<OperatorMetrics>,
    /// keyed state and timers of this subtask
    pub keyed: KeyedStateBackend,
    /// list states of this subtask that do not belong to a key
    pub operator_state: OperatorStateBackend,
}

impl OperatorContext {
    /// The driver is about to open the operator: state that is restored is loaded while it registers its own.
    pub fn before_open(&mut self) {
        self.keyed.open_at(self.clock.now_ms());
    }

    /// The driver is about to call the operator.
    pub fn before_call(&mut self) {
        self.keyed.set_time(self.clock.now_ms());
        self.keyed.trim();
    }

    /// The operator has returned. On an error what it emitted is void.
    ///
    /// # Errors
    /// If state on this machine's disk could not be read or written.
    pub fn after_call(&mut self) -> Result<(), OperatorError> {
        Ok(self.keyed.check()?)
    }
}

/// One operator of one subtask. Synchronous: it never waits.
///
/// The driver guarantees: calls come one at a time; `open` comes first, after state was restored into
/// `context`; a watermark is the minimum over all inputs and rises; no batch is empty; while an operator owes
/// `resume` it gets no other call but `snapshot`. The operator guarantees: everything that a restart needs is
/// in the context's state backends when `snapshot` returns; it keeps nothing else that later calls depend on, and no
/// slots of the keyed state from call to call.
pub trait Operator: Send {
    /// Registers states and timers with their descriptors, and reads operator state that was restored.
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError>;

    fn on_batch(
        &mut self,
        input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError>;

    /// Event time has reached `watermark`. The driver forwards the watermark once this is `Done`, unless
    /// [`Operator::makes_watermarks`].
    fn on_watermark(
        &mut self,
        _watermark: Watermark,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }

    /// The clock has reached the time that [`Operator::next_processing_timer`] named.
    fn on_processing_time(
        &mut self,
        _now_ms: i64,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }

    /// Emits the next part of what the last event owes.
    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }

    /// Milliseconds since the epoch at which `on_processing_time` is wanted.
    fn next_processing_timer(&self, _context: &OperatorContext) -> Option<i64> {
        None
    }

    /// No input has anything more; comes after the last watermark. Flush what is still held. An operator
    /// without inputs (VALUES) gets this call at once, and emits all it has.
    fn on_end_of_input(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }

    /// True if the operator emits watermarks itself and swallows those of its input, but for
    /// [`Watermark::MAX`].
    fn makes_watermarks(&self) -> bool {
        false
    }

    /// True if the operator does not hold back that its input is idle.
    fn passes_idleness(&self) -> bool {
        !self.makes_watermarks()
    }

    /// True if it may ever wait for something outside.
    fn asks_outside(&self) -> bool {
        false
    }

    /// What it waits for outside. While that is [`Outside::Full`] or [`Outside::Blocked`] it gets no call but
    /// `poll_outside`, `on_outside`, `in_flight` and `snapshot`.
    fn outside(&self) -> Outside {
        Outside::Nothing
    }

    /// Ready once `on_outside` has something to emit.
    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Emits what has come.
    fn on_outside(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        Ok(())
    }

    /// Rows of the first input that were taken and are not done with, in their order. They belong to a snapshot as rows
    /// do that are on their way to the operator, which gets them again after a restore.
    fn in_flight(&self) -> Vec<ChangelogBatch> {
        Vec::new()
    }

    /// True once the operator wants no more input (a LIMIT that is full): the driver may end the job early.
    fn is_satisfied(&self) -> bool {
        false
    }

    /// Writes whatever is held outside the state backends into them. The driver snapshots the backends right
    /// after.
    fn snapshot(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }
}
