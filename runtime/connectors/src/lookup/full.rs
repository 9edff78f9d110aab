//! All rows of a table in memory, read again now and then.

use super::keyed_rows::KeyedRows;
use super::options::{DAY_MS, Reload};
use super::scan::Scan;
use arrow::array::ArrayRef;
use futures::FutureExt;
use futures::future::Shared;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use weir_types::{BoxFuture, Clock, LookupError, LookupRows, LookupSource, RuntimeEnv};

type Loaded = Result<Arc<KeyedRows>, LookupError>;

/// The first lookup after the interval reads the table again and waits for it; so rows are never older than the interval when
/// they are found, give or take how long a load takes.
pub(super) struct FullCache {
    scan: Arc<Scan>,
    reload: Option<Reload>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: Option<Arc<KeyedRows>>,
    /// when the next load is due; `None`: never
    due: Option<Duration>,
    /// the same of one at a time of the day, in milliseconds since the epoch: later ones are whole days from it
    timed_ms: Option<i64>,
    /// Whoever waits for it drives it, so that no subtask depends on another one that does something else.
    loading: Option<Shared<BoxFuture<Loaded>>>,
}

impl FullCache {
    pub fn new(scan: Arc<Scan>, reload: Option<Reload>, env: &RuntimeEnv) -> Self {
        FullCache { scan, reload, clock: env.clock.clone(), state: Arc::default() }
    }

    /// The rows, unless they are to be read first.
    fn current(&self) -> Result<Arc<KeyedRows>, Shared<BoxFuture<Loaded>>> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if let Some(rows) = &state.rows
            && state.due.is_none_or(|due| now < due)
        {
            return Ok(rows.clone());
        }
        Err(state.loading.get_or_insert_with(|| self.load(now)).clone())
    }

    fn load(&self, started: Duration) -> Shared<BoxFuture<Loaded>> {
        let (load, state) = (self.scan.load(), self.state.clone());
        let (clock, reload) = (self.clock.clone(), self.reload);
        let load: BoxFuture<Loaded> = Box::pin(async move {
            let loaded = load.await;
            let mut state = state.lock();
            state.loading = None;
            let rows = loaded?;
            state.rows = Some(rows.clone());
            state.due = match reload {
                Some(Reload::Periodic { interval_ms, fixed_rate }) => {
                    let from = if fixed_rate { started } else { clock.monotonic() };
                    Some(from + Duration::from_millis(interval_ms))
                }
                Some(Reload::Timed { at_ms, days }) => {
                    let now_ms = clock.now_ms();
                    let next_ms = next_time(state.timed_ms, at_ms, days, now_ms);
                    state.timed_ms = Some(next_ms);
                    Some(clock.monotonic() + Duration::from_millis(next_ms.abs_diff(now_ms)))
                }
                None => None,
            };
            Ok(rows)
        });
        load.shared()
    }
}

/// The first time above `now_ms` that is whole steps of `days` from `last_ms`, or without that the first at `at_ms` of a day.
fn next_time(last_ms: Option<i64>, at_ms: i64, days: u32, now_ms: i64) -> i64 {
    let (from, step) = match last_ms {
        Some(last_ms) => (last_ms, i64::from(days) * DAY_MS),
        None => (at_ms, DAY_MS),
    };
    from + ((now_ms - from).div_euclid(step) + 1) * step
}

impl LookupSource for FullCache {
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        let current = self.current();
        Box::pin(async move {
            let rows = match current {
                Ok(rows) => rows,
                Err(loading) => loading.await?,
            };
            rows.find(&keys)
        })
    }
}
