//! Makes watermarks from rows.

use crate::event_time::{rowtime_millis, to_millis};
use crate::{Operator, OperatorContext, OperatorError, Output, OutputElement, Progress};
use arrow::array::{Array, Int64Array};
use weir_types::{ChangelogBatch, Watermark, WatermarkSpec};

/// Forwards each row, then raises the watermark to the largest that a row has asked for; says so downstream
/// when it is more than the interval above the last one said, and at each tick of the clock. Both counters
/// start from 0, as in Flink: times before 1970 make no watermark.
///
/// It keeps no state: after a restart the first row makes a watermark anew, and windows remember their own.
pub(crate) struct WatermarkAssigner {
    spec: WatermarkSpec,
    rowtime_name: String,
    /// 0: after each row, exactly
    interval_ms: i64,
    /// the largest watermark that a row has asked for
    current: i64,
    /// the last one said downstream
    emitted: i64,
    /// the next tick of the clock; ticks stand at whole intervals from `open`
    next_tick_ms: i64,
    last_row_ms: i64,
    idle: bool,
}

impl WatermarkAssigner {
    pub(crate) fn new(spec: &WatermarkSpec, rowtime_name: &str) -> Self {
        let interval_ms = if spec.per_row { 0 } else { spec.interval_ms.max(0) };
        WatermarkAssigner {
            spec: spec.clone(),
            rowtime_name: rowtime_name.to_string(),
            interval_ms,
            current: 0,
            emitted: 0,
            next_tick_ms: 0,
            last_row_ms: 0,
            idle: false,
        }
    }

    /// Forwards `batch`, cut after each row that makes a watermark.
    fn forward(&mut self, batch: ChangelogBatch, watermarks: &Int64Array, output: &mut Output) {
        let largest = arrow::compute::max(watermarks).unwrap_or(i64::MIN).max(self.current);
        if largest.saturating_sub(self.emitted) <= self.interval_ms {
            self.current = largest;
            output.batch(batch);
            return;
        }
        let mut start = 0;
        let nulls = watermarks.nulls();
        for (row, watermark) in watermarks.values().iter().enumerate() {
            if *watermark <= self.current || nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            self.current = *watermark;
            if self.current.saturating_sub(self.emitted) > self.interval_ms {
                output.batch(batch.slice(start, row + 1 - start));
                start = row + 1;
                self.advance(output);
            }
        }
        if start < batch.num_rows() {
            output.batch(batch.slice(start, batch.num_rows() - start));
        }
    }

    fn advance(&mut self, output: &mut Output) {
        if self.current > self.emitted {
            self.emitted = self.current;
            output.watermark(Watermark(self.current));
        }
    }

    /// Moves the next tick to the first one after `now_ms`.
    fn schedule(&mut self, now_ms: i64) {
        if self.interval_ms > 0 && self.next_tick_ms <= now_ms {
            let missed = (now_ms - self.next_tick_ms) / self.interval_ms + 1;
            self.next_tick_ms += missed * self.interval_ms;
        }
    }

    /// When the input becomes idle if no row comes.
    fn idle_at_ms(&self) -> Option<i64> {
        let timeout_ms = self.spec.idle_timeout_ms.filter(|timeout| *timeout > 0 && !self.idle)?;
        Some(self.last_row_ms.saturating_add(timeout_ms))
    }
}

impl Operator for WatermarkAssigner {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let now_ms = context.clock.now_ms();
        self.last_row_ms = now_ms;
        self.next_tick_ms = now_ms.saturating_add(self.interval_ms);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let rows = batch.rows();
        rowtime_millis(rows.column(self.spec.rowtime), &self.rowtime_name)?;
        let watermarks = self.spec.expression.evaluate(rows)?.into_array(rows.num_rows())?;
        let watermarks = to_millis(&watermarks)?;
        self.last_row_ms = context.clock.now_ms();
        if self.current <= self.emitted {
            self.schedule(self.last_row_ms);
        }
        if self.idle {
            self.idle = false;
            output.elements.push(OutputElement::Idle(false));
        }
        self.forward(batch, &watermarks, output);
        Ok(())
    }

    fn on_processing_time(
        &mut self,
        now_ms: i64,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.next_tick_ms <= now_ms {
            self.advance(output);
            self.schedule(now_ms);
        }
        if self.idle_at_ms().is_some_and(|idle_at_ms| idle_at_ms <= now_ms) {
            self.idle = true;
            output.elements.push(OutputElement::Idle(true));
        }
        Ok(Progress::Done)
    }

    fn next_processing_timer(&self, _context: &OperatorContext) -> Option<i64> {
        let tick = (self.interval_ms > 0 && self.current > self.emitted).then_some(self.next_tick_ms);
        [tick, self.idle_at_ms()].into_iter().flatten().min()
    }

    fn makes_watermarks(&self) -> bool {
        true
    }
}
