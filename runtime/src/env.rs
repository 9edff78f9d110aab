//! The production environment: the machine's clock, the system's random numbers, and a tokio runtime for tasks.
//!
//! This module and [`crate::simulation`] are the only ones that may touch the ambient clock, randomness and tasks.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where the ambient clock, randomness and tasks are wrapped"
)]

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Builder, Runtime};
use weir_types::{BoxFuture, Clock, RandomSource, RuntimeEnv, Spawner};

/// Tasks that run on one worker before it looks for events of sockets and timers. A task holds its worker for some
/// batches, about a millisecond each, so tokio's default of 61 would make timers late by seconds under load.
const EVENT_INTERVAL: u32 = 4;

/// Clock, randomness and tasks of this process. Its threads start with the first task; dropping it stops them.
#[derive(Clone)]
pub struct ProductionEnv {
    lazy: Arc<LazyRuntime>,
}

struct LazyRuntime {
    worker_threads: usize,
    started: Instant,
    runtime: OnceLock<Runtime>,
}

impl ProductionEnv {
    /// An environment of `worker_threads` threads: at least one, at most one for each core; `None`: one for each.
    pub fn new(worker_threads: Option<usize>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let worker_threads = worker_threads.unwrap_or(cores).clamp(1, cores);
        let lazy = LazyRuntime { worker_threads, started: Instant::now(), runtime: OnceLock::new() };
        ProductionEnv { lazy: Arc::new(lazy) }
    }

    /// The environment as rooms take it.
    pub fn env(&self) -> RuntimeEnv {
        RuntimeEnv { clock: self.lazy.clone(), random: self.lazy.clone(), spawner: self.lazy.clone() }
    }

    /// Runs `future` on the calling thread, beside the tasks.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.lazy.runtime().block_on(future)
    }
}

impl Default for ProductionEnv {
    fn default() -> Self {
        ProductionEnv::new(None)
    }
}

impl LazyRuntime {
    /// # Panics
    /// If the system refuses to start threads: nothing can run then.
    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(self.worker_threads)
                .thread_name("weir-worker")
                .event_interval(EVENT_INTERVAL)
                .enable_all()
                .build()
                .unwrap_or_else(|error| panic!("start {} worker threads: {error}", self.worker_threads))
        })
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // the last owner may be a task of the runtime itself, which cannot wait for its own end
            runtime.shutdown_background();
        }
    }
}

impl Clock for LazyRuntime {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // made inside the async block: tokio's timer looks for its runtime when it is created
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

impl RandomSource for LazyRuntime {
    fn next_u64(&self) -> u64 {
        rand::random()
    }
}

impl Spawner for LazyRuntime {
    fn spawn(&self, _name: &str, task: BoxFuture<()>) {
        drop(self.runtime().spawn(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn tasks_run_and_timers_fire() {
        let production = ProductionEnv::new(Some(1));
        let env = production.env();
        let (send, receive) = oneshot::channel();
        let clock = env.clock.clone();
        env.spawner.spawn(
            "test",
            Box::pin(async move {
                let before = clock.monotonic();
                clock.sleep(Duration::from_millis(2)).await;
                send.send(clock.monotonic() - before).expect("the test waits");
            }),
        );
        let slept = production.block_on(receive).expect("the task ends");
        assert!(slept >= Duration::from_millis(2));
        assert!(env.clock.now_ms() > 1_600_000_000_000);
        assert_ne!(env.random.next_u64(), env.random.next_u64());
    }

    #[test]
    fn an_environment_that_ran_nothing_started_no_thread() {
        let production = ProductionEnv::new(None);
        let _env = production.env();
        assert!(production.lazy.runtime.get().is_none());
    }
}
