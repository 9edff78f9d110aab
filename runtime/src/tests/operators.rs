//! Operators that tests bring.

use crate::testing::rows_of;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_operators::{Operator, OperatorContext, OperatorError, Output, Progress};
use weir_state::Redistribution;
use weir_types::{ChangelogBatch, Watermark};

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Passes everything on and writes down what it sees; counts rows and keeps the number in its operator state.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub log: Log,
    pub rows: i64,
    pub panic_at: Option<i64>,
    pub fail_at: Option<i64>,
}

impl Probe {
    pub(crate) fn logging(log: &Log) -> Self {
        Probe { log: log.clone(), ..Probe::default() }
    }
}

impl Operator for Probe {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.rows += batch.num_rows() as i64;
        assert!(self.panic_at.is_none_or(|at| self.rows < at), "row {} is too many", self.rows);
        if self.fail_at.is_some_and(|at| self.rows >= at) {
            return Err(OperatorError::Evaluation("division by zero".to_string()));
        }
        self.log.lock().push(format!("{input}: {:?}", rows_of(&batch)));
        output.batch(batch);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.log.lock().push(format!("watermark {watermark}"));
        Ok(Progress::Done)
    }

    fn on_end_of_input(
        &mut self,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.log.lock().push("end".to_string());
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let count = Bytes::copy_from_slice(&self.rows.to_be_bytes());
        context.operator_state.set("rows", Redistribution::EvenSplit, vec![count]);
        Ok(())
    }
}

/// The value of the last row of each batch is the watermark.
pub(crate) struct LastValue;

impl Operator for LastValue {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let last = rows_of(&batch).last().map(|(_, value)| *value);
        output.batch(batch);
        if let Some(last) = last {
            output.watermark(Watermark(last));
        }
        Ok(())
    }

    fn makes_watermarks(&self) -> bool {
        true
    }
}

/// The sum of the values of each key, all at the end, one batch a key.
#[derive(Default)]
pub(crate) struct Sum {
    sums: BTreeMap<i64, i64>,
}

impl Operator for Sum {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        assert!(batch.num_rows() <= 2 * context.batch_rows);
        for (key, value) in rows_of(&batch) {
            *self.sums.entry(key).or_default() += value;
        }
        Ok(())
    }

    fn on_end_of_input(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.resume(context, output)
    }

    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        match self.sums.pop_first() {
            None => Ok(Progress::Done),
            Some(sum) => {
                output.batch(crate::testing::rows(&[sum]));
                Ok(Progress::More)
            }
        }
    }
}

/// Owes `owed` batches for the first watermark; the number it still owes is its operator state.
pub(crate) struct Burst {
    pub owed: i64,
    pub left: i64,
}

impl Operator for Burst {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        _batch: ChangelogBatch,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        assert_eq!(self.left, 0, "no input while output is owed");
        Ok(())
    }

    fn on_watermark(
        &mut self,
        _watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.owed == 0 {
            return Ok(Progress::Done);
        }
        self.left = std::mem::take(&mut self.owed);
        self.resume(context, output)
    }

    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.left -= 1;
        output.batch(crate::testing::rows(&[(0, self.left)]));
        Ok(if self.left > 0 { Progress::More } else { Progress::Done })
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let left = Bytes::copy_from_slice(&self.left.to_be_bytes());
        context.operator_state.set("rows", Redistribution::EvenSplit, vec![left]);
        Ok(())
    }
}
