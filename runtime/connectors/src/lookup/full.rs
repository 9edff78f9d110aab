//! All rows of a table in memory, read again now and then.

use super::keyed_rows::KeyedRows;
use super::options::Reload;
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
            state.due = reload.map(|reload| {
                let from = if reload.fixed_rate { started } else { clock.monotonic() };
                from + Duration::from_millis(reload.interval_ms)
            });
            Ok(rows)
        });
        load.shared()
    }
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
