//! Sources whose rows can be computed from their numbers alone: nexmark and datagen.
//!
//! The table's rows are numbered from 0. Split i of n has the rows i, i + n, i + 2n and so on, so that all splits
//! advance together. A position is the count of a split's rows that have been handed out.

use crate::{ConnectorError, ReaderContext, Source, SourceEvent, SourceReader, SplitState};
use arrow::array::{
    ArrayRef, PrimitiveArray, RecordBatch, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{ArrowTimestampType, DataType, TimeUnit};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use weir_types::{ChangelogBatch, RuntimeEnv, SplitId, SqlType};

/// Computes rows.
pub(crate) trait RowGenerator: Send + Sync {
    /// The number of all rows of the table; `None`: without end.
    fn rows(&self) -> Option<u64>;

    /// How many rows of the whole table a second of wall-clock time brings; `None`: as many as can be made.
    fn rate(&self) -> Option<Rate>;

    /// The `count` rows `first`, `first + step`, ..; at most 2^31 bytes a column.
    fn generate(
        &self,
        first: u64,
        step: u64,
        count: usize,
        env: &RuntimeEnv,
    ) -> Result<RecordBatch, ConnectorError>;
}

/// `rows` in `seconds`, both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub rows: u64,
    pub seconds: u64,
}

const NANOS: u128 = 1_000_000_000;

impl Rate {
    /// How many rows are due after `elapsed`: the first at once.
    fn due(self, elapsed: Duration) -> u64 {
        let due = elapsed.as_nanos() * u128::from(self.rows) / (NANOS * u128::from(self.seconds));
        u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// When row `row`, from 0, is due.
    fn time_of(self, row: u64) -> Duration {
        let nanos = (u128::from(row) * NANOS * u128::from(self.seconds)).div_ceil(u128::from(self.rows));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A generated table opened for reading.
pub(crate) struct GeneratorSource {
    /// for messages
    pub table: String,
    pub generator: Arc<dyn RowGenerator>,
}

/// What a split is called and what a position says; version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    index: u64,
    of: u64,
    /// rows of the share that have been handed out
    done: u64,
}

impl Share {
    fn split(&self) -> SplitId {
        SplitId::new(&format!("share-{}-of-{}", self.index, self.of))
    }

    fn position(&self) -> String {
        format!("1:{}", self.done)
    }

    fn parse(state: &SplitState) -> Option<Share> {
        let (index, of) = state.split.0.strip_prefix("share-")?.split_once("-of-")?;
        let (index, of) = (index.parse().ok()?, of.parse().ok()?);
        let done = match &state.position {
            None => 0,
            Some(position) => position.strip_prefix("1:")?.parse().ok()?,
        };
        (index < of).then_some(Share { index, of, done })
    }

    /// The number, in the whole table, of the next row.
    fn next_row(&self) -> u64 {
        self.done.saturating_mul(self.of).saturating_add(self.index)
    }

    /// The share's rows among the first `rows` of the table.
    fn rows_below(&self, rows: u64) -> u64 {
        rows.saturating_sub(self.index).div_ceil(self.of)
    }
}

#[async_trait]
impl Source for GeneratorSource {
    async fn splits(&self, parallelism: u32) -> Result<Vec<SplitId>, ConnectorError> {
        let of = u64::from(parallelism.max(1));
        Ok((0..of).map(|index| Share { index, of, done: 0 }.split()).collect())
    }

    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        let shares = splits.iter().map(|state| {
            Share::parse(state).ok_or_else(|| {
                ConnectorError::Record(format!(
                    "cannot resume table {}: '{}' at {:?} is not a share of a generator; was the \
                     checkpoint taken by \
                     another version or with another connector?",
                    self.table, state.split, state.position
                ))
            })
        });
        let shares = shares.collect::<Result<Vec<_>, _>>()?;
        Ok(Box::new(GeneratorReader {
            generator: Arc::clone(&self.generator),
            start: None,
            last_batch: None,
            round: 0,
            context,
            shares,
        }))
    }
}

/// Generates the rows of some shares, in the order of the table.
struct GeneratorReader {
    generator: Arc<dyn RowGenerator>,
    context: ReaderContext,
    shares: Vec<Share>,
    /// when the first row was asked for, and its number in the table: a rate counts from there
    start: Option<(Duration, u64)>,
    /// when the last batch was handed out
    last_batch: Option<Duration>,
    /// rows of the table below it were due when a batch went out, and need not gather any more
    round: u64,
}

impl GeneratorReader {
    /// How many rows `share` may hand out now, at least 1; waits until there is one. Nothing changes while it
    /// waits, so that the wait can be given up.
    async fn await_due(&mut self, share: Share) -> u64 {
        let Some(rate) = self.generator.rate() else { return u64::MAX };
        let clock = Arc::clone(&self.context.env.clock);
        let (start, first_row) = *self.start.get_or_insert_with(|| (clock.monotonic(), share.next_row()));
        let batch_time = Duration::from_millis(self.context.batch_timeout_ms);
        loop {
            let now = clock.monotonic();
            let due_row = first_row.saturating_add(rate.due(now.saturating_sub(start)));
            let due = share.rows_below(due_row).saturating_sub(share.done);
            let full = due >= self.context.batch_rows as u64;
            // The first rows after a pause go out at once, later ones gather until the batch's time is over.
            let gathered = self.last_batch.is_none_or(|last| now >= last + batch_time);
            // the other shares of a reader go along with the first
            let along = share.next_row() < self.round;
            if due > 0 && (full || gathered || along) {
                self.round = self.round.max(due_row);
                return due;
            }
            let row_due = start + rate.time_of(share.next_row() - first_row);
            let batch_due = self.last_batch.map_or(now, |last| last + batch_time);
            let wake = row_due.max(batch_due).saturating_sub(now);
            clock.sleep(wake.max(Duration::from_micros(100))).await;
        }
    }
}

impl GeneratorReader {
    /// The next rows of all shares below the row `bound` of the table, in the order of the table. After a restore with fewer
    /// subtasks a reader has several shares: what one of them held back would be late when it came, for there is one
    /// watermark for all.
    fn rows_below(&mut self, bound: u64) -> Result<RecordBatch, ConnectorError> {
        let (mut batches, mut taken) = (Vec::new(), Vec::new());
        for share in &mut self.shares {
            let count = share.rows_below(bound).saturating_sub(share.done);
            if count == 0 {
                continue;
            }
            batches.push(self.generator.generate(
                share.next_row(),
                share.of,
                count as usize,
                &self.context.env,
            )?);
            taken.push((*share, count));
            share.done += count;
        }
        if let [_] = &batches[..] {
            return Ok(batches.remove(0));
        }
        let rows = taken.iter().enumerate().flat_map(|(batch, (share, count))| {
            (0..*count).map(move |row| (share.next_row() + row * share.of, batch, row as usize))
        });
        let mut order: Vec<(u64, usize, usize)> = rows.collect();
        order.sort_unstable();
        let places: Vec<(usize, usize)> = order.into_iter().map(|(_, batch, row)| (batch, row)).collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        interleave_record_batch(&batches, &places)
            .map_err(|error| ConnectorError::Internal(format!("shares of a generator: {error}")))
    }
}

#[async_trait]
impl SourceReader for GeneratorReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        let Some(index) = (0..self.shares.len()).min_by_key(|index| self.shares[*index].next_row()) else {
            return Ok(SourceEvent::EndOfInput);
        };
        let share = self.shares[index];
        let left = match self.generator.rows() {
            Some(rows) => share.rows_below(rows).saturating_sub(share.done),
            None => u64::MAX,
        };
        if left == 0 {
            self.shares.remove(index);
            return Ok(SourceEvent::SplitFinished(share.split()));
        }
        let due = self.await_due(share).await;
        // About a batch of rows, of all shares together.
        let most = (self.context.batch_rows / self.shares.len()).max(1) as u64;
        let rows = due.min(left).min(most).saturating_mul(share.of);
        let rows = self.rows_below(
            share.next_row().saturating_add(rows).min(self.generator.rows().unwrap_or(u64::MAX)),
        )?;
        if self.generator.rate().is_some() {
            self.last_batch = Some(self.context.env.clock.monotonic());
        }
        Ok(SourceEvent::Rows { split: share.split(), batch: ChangelogBatch::insert_only(rows) })
    }

    fn snapshot(&self) -> Vec<SplitState> {
        let state = |share: &Share| SplitState { split: share.split(), position: Some(share.position()) };
        self.shares.iter().map(state).collect()
    }
}

/// Milliseconds as an array of `sql_type`, a TIMESTAMP or TIMESTAMP_LTZ of any precision.
pub(crate) fn timestamps(ms: Vec<i64>, sql_type: &SqlType) -> ArrayRef {
    fn zoned<T: ArrowTimestampType>(array: PrimitiveArray<T>, ltz: bool) -> ArrayRef {
        let zone = ltz.then_some(SqlType::LTZ_ZONE);
        Arc::new(array.with_timezone_opt(zone))
    }
    let ltz = matches!(sql_type, SqlType::TimestampLtz(_));
    let scaled = |factor: i64| ms.iter().map(|ms| ms.saturating_mul(factor)).collect::<Vec<_>>();
    match sql_type.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            let seconds = ms.iter().map(|ms| ms.div_euclid(1000)).collect::<Vec<_>>();
            zoned(TimestampSecondArray::from(seconds), ltz)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            zoned(TimestampMicrosecondArray::from(scaled(1000)), ltz)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            zoned(TimestampNanosecondArray::from(scaled(1_000_000)), ltz)
        }
        _ => zoned(TimestampMillisecondArray::from(ms), ltz),
    }
}

#[cfg(test)]
mod tests;
