//! One lookup: with its retries, and no longer than it may take.

use crate::OperatorError;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::error::ArrowError;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use weir_types::{BoxFuture, Clock, ErrorKind, LookupError, LookupRetry, LookupRows, LookupSource};

/// What a lookup finds, once it has been found.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<LookupRows, LookupError>> + Send>>;

/// Asks a table.
pub(super) struct Asker {
    source: Arc<dyn LookupSource>,
    /// of the table, for messages
    table: Arc<str>,
    retry: Option<LookupRetry>,
    /// 0: for ever
    timeout_ms: u64,
    clock: Option<Arc<dyn Clock>>,
}

impl Asker {
    pub fn new(
        source: Arc<dyn LookupSource>,
        table: &str,
        retry: Option<LookupRetry>,
        timeout_ms: u64,
    ) -> Self {
        Asker { source, table: table.into(), retry, timeout_ms, clock: None }
    }

    pub fn open(&mut self, clock: Arc<dyn Clock>) {
        self.clock = Some(clock);
    }

    pub fn ask(&self, keys: Vec<ArrayRef>) -> Result<Answer, OperatorError> {
        let first = self.source.lookup(keys.clone());
        let Some(clock) = self.clock.clone() else {
            return Err(OperatorError::internal("a lookup join was not opened"));
        };
        let (source, retry, timeout_ms) = (self.source.clone(), self.retry, self.timeout_ms);
        let sleep = (timeout_ms > 0).then(|| clock.sleep(Duration::from_millis(timeout_ms)));
        let answer: Answer = match retry {
            Some(retry) => Box::pin(async move { retried(first, &*source, keys, retry, &*clock).await }),
            None => first,
        };
        let Some(sleep) = sleep else { return Ok(answer) };
        let table = self.table.clone();
        Ok(Box::pin(within(answer, sleep, move || LookupError {
            kind: ErrorKind::Unavailable,
            message: format!(
                "table {table} did not answer a lookup within {timeout_ms} ms: raise 'table.exec.async-lookup.timeout'"
            ),
        })))
    }
}

async fn within(
    mut answer: Answer,
    mut sleep: BoxFuture<()>,
    late: impl FnOnce() -> LookupError,
) -> Result<LookupRows, LookupError> {
    let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    });
    match answered.await {
        Some(found) => found,
        None => Err(late()),
    }
}

/// Looks keys up again that have found nothing.
async fn retried(
    first: BoxFuture<Result<LookupRows, LookupError>>,
    source: &dyn LookupSource,
    keys: Vec<ArrayRef>,
    retry: LookupRetry,
    clock: &dyn Clock,
) -> Result<LookupRows, LookupError> {
    let mut found = first.await?;
    for _ in 0..retry.attempts {
        let missing = missing(&found, &keys);
        if missing.is_empty() {
            break;
        }
        clock.sleep(Duration::from_millis(retry.delay_ms)).await;
        let places = UInt32Array::from(missing);
        let again = keys.iter().map(|key| take(key, &places, None)).collect::<Result<Vec<_>, _>>();
        let more = source.lookup(again.map_err(internal)?).await?;
        found = together(found, more, &places).map_err(internal)?;
    }
    Ok(found)
}

/// The keys without a NULL that have found nothing.
fn missing(found: &LookupRows, keys: &[ArrayRef]) -> Vec<u32> {
    let rows = keys.first().map_or(0, |key| key.len());
    let mut has = vec![false; rows];
    found.keys.iter().for_each(|key| has[*key as usize] = true);
    let asks = |row: &usize| !has[*row] && keys.iter().all(|key| key.is_valid(*row));
    (0..rows).filter(asks).map(|row| row as u32).collect()
}

/// What was found before, and what has been found since for the keys at `places`.
fn together(before: LookupRows, since: LookupRows, places: &UInt32Array) -> Result<LookupRows, ArrowError> {
    if since.keys.is_empty() {
        return Ok(before);
    }
    let rows = concat_batches(&before.rows.schema(), [&before.rows, &since.rows])?;
    let since = since.keys.iter().map(|key| places.value(*key as usize));
    let keys: Vec<u32> = before.keys.into_iter().chain(since).collect();
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    order.sort_by_key(|place| keys[*place as usize]);
    let keys = order.iter().map(|place| keys[*place as usize]).collect();
    Ok(LookupRows { keys, rows: take_record_batch(&rows, &UInt32Array::from(order))? })
}

fn internal(error: ArrowError) -> LookupError {
    LookupError { kind: ErrorKind::Internal, message: format!("rows that a lookup found: {error}") }
}
