//! JOIN .. FOR SYSTEM_TIME AS OF a processing time: each row beside those that a table outside has for its keys.
//!
//! A lookup is for a batch of rows. What is answered at once, as by a table that lies in memory, is given at once. Otherwise the
//! operator either blocks until the answer comes, or queues the batch and takes more (`queue`). Queued rows are no state: a
//! snapshot has them as rows that are on their way to the operator, and a restore looks them up again.

mod ask;
mod pairs;
mod queue;

use crate::calc::Calc;
use crate::{Operator, OperatorContext, OperatorError, Output, Outside, Progress};
use arrow::datatypes::SchemaRef;
use ask::Asker;
use pairs::Pairs;
use queue::Queue;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use weir_types::{ChangelogBatch, LookupJoinSpec, LookupMode, LookupRows, LookupSource, Watermark};

pub(crate) struct LookupJoin {
    asker: Asker,
    left_keys: Vec<usize>,
    /// what becomes of the rows found
    calcs: Vec<Calc>,
    pairs: Pairs,
    mode: LookupMode,
    /// What is under way, in the order of the input.
    queue: Queue,
    /// The input has ended: nothing follows what is queued.
    draining: bool,
}

impl LookupJoin {
    pub(crate) fn new(
        spec: &LookupJoinSpec,
        source: Arc<dyn LookupSource>,
        schema: SchemaRef,
    ) -> Result<Self, OperatorError> {
        let calcs = spec.calcs.iter().map(|(calc, schema)| Calc::new(calc, schema.clone()));
        let (timeout_ms, ordered) = match spec.mode {
            LookupMode::Blocking => (0, true),
            LookupMode::Async { timeout_ms, ordered, .. } => (timeout_ms, ordered),
        };
        Ok(LookupJoin {
            asker: Asker::new(source, spec.source.table.name.as_str(), spec.retry, timeout_ms),
            left_keys: spec.left_keys.clone(),
            calcs: calcs.collect::<Result<_, _>>()?,
            pairs: Pairs::new(spec, schema),
            mode: spec.mode,
            queue: Queue::new(ordered),
            draining: false,
        })
    }

    fn emit(
        &self,
        batch: &ChangelogBatch,
        found: LookupRows,
        (batch_rows, output): (usize, &mut Output),
    ) -> Result<(), OperatorError> {
        let (mut rows, mut keys) = (found.rows, found.keys);
        for calc in &self.calcs {
            (rows, keys) = calc.marked(rows, keys)?;
        }
        self.pairs.emit(batch, &keys, &rows, batch_rows, output)
    }

    fn is_async(&self) -> bool {
        matches!(self.mode, LookupMode::Async { .. })
    }

    /// Waits for all that is queued.
    fn drain(&mut self) -> Progress {
        self.draining = !self.queue.is_empty();
        if self.draining { Progress::More } else { Progress::Done }
    }
}

impl Operator for LookupJoin {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.asker.open(context.clock.clone());
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let keys = self.left_keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let mut answer = self.asker.ask(keys)?;
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) if self.queue.is_empty() => {
                self.emit(&batch, found?, (context.batch_rows, output))
            }
            Poll::Ready(found) => {
                self.queue.answered(batch, found?);
                Ok(())
            }
            Poll::Pending => {
                self.queue.asked(batch, answer);
                Ok(())
            }
        }
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if !self.is_async() {
            return Ok(Progress::Done);
        }
        if watermark == Watermark::MAX {
            return Ok(self.drain());
        }
        if self.queue.is_empty() {
            output.watermark(watermark);
        } else {
            self.queue.watermark(watermark);
        }
        Ok(Progress::Done)
    }

    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(self.drain())
    }

    fn on_end_of_input(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(self.drain())
    }

    /// A watermark must not come before the rows that it came after.
    fn makes_watermarks(&self) -> bool {
        self.is_async()
    }

    fn passes_idleness(&self) -> bool {
        true
    }

    fn asks_outside(&self) -> bool {
        true
    }

    fn outside(&self) -> Outside {
        match self.mode {
            _ if self.queue.is_empty() => Outside::Nothing,
            LookupMode::Blocking => Outside::Blocked,
            LookupMode::Async { capacity, .. } if self.draining || self.queue.lookups() >= capacity => {
                Outside::Full
            }
            LookupMode::Async { .. } => Outside::Open,
        }
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.queue.poll(cx)
    }

    fn on_outside(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        while let Some(next) = self.queue.next() {
            match next {
                queue::Next::Rows(batch, found) => {
                    self.emit(&batch, found?, (context.batch_rows, output))?;
                }
                queue::Next::Watermark(watermark) => output.watermark(watermark),
            }
        }
        Ok(())
    }

    fn in_flight(&self) -> Vec<ChangelogBatch> {
        self.queue.batches()
    }
}

#[cfg(test)]
mod tests;
