//! The one door to time, randomness and concurrency.
//!
//! Rooms take a [`RuntimeEnv`]; only its production and simulated implementations may touch the ambient clock, random
//! numbers or tasks (`clippy.toml` bans them elsewhere).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Wall-clock and monotonic time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z: processing time.
    fn now_ms(&self) -> i64;
    /// Time since some fixed instant; never goes back.
    fn monotonic(&self) -> Duration;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
}

/// Random bits, for identifiers and functions such as RAND(); seeded in a simulation.
pub trait RandomSource: Send + Sync {
    fn next_u64(&self) -> u64;
}

/// Starts tasks.
pub trait Spawner: Send + Sync {
    /// Runs `task` beside the caller. A panic in it is the task's own failure: whoever waits for its result sees it.
    fn spawn(&self, name: &str, task: BoxFuture<()>);
}

/// Clock, randomness and spawning of one process or one simulation.
#[derive(Clone)]
pub struct RuntimeEnv {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn RandomSource>,
    pub spawner: Arc<dyn Spawner>,
}
