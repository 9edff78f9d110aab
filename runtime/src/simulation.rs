//! A deterministic environment for tests: one thread, a clock that moves only when nothing else can run, and a seed
//! that decides which of the ready tasks runs next. The same seed gives the same run.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use weir_types::{BoxFuture, Clock, RandomSource, RuntimeEnv, Spawner};

/// Processing time at the start of a simulation: 2024-01-01T00:00:00Z.
pub const START_MS: i64 = 1_704_067_200_000;

/// Polls after which a simulation is taken for one that goes round in circles.
const MAX_POLLS: u64 = 20_000_000;

/// Runs futures in an order that its seed decides.
pub struct Simulation {
    world: Arc<World>,
}

struct World {
    state: Mutex<State>,
}

struct State {
    now: Duration,
    random: u64,
    /// what is spawned and has not ended; `None` while it is being polled
    tasks: Vec<Option<BoxFuture<()>>>,
    names: Vec<String>,
    /// tasks that were woken, each once
    ready: Vec<usize>,
    timers: BTreeMap<(Duration, u64), Waker>,
    next_timer: u64,
}

impl Simulation {
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d,
            tasks: Vec::new(),
            names: Vec::new(),
            ready: Vec::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
        };
        Simulation { world: Arc::new(World { state: Mutex::new(state) }) }
    }

    pub fn env(&self) -> RuntimeEnv {
        let door = Arc::new(Door(self.world.clone()));
        RuntimeEnv { clock: door.clone(), random: door.clone(), spawner: door }
    }

    /// Runs `main` and everything that it spawns until `main` ends.
    ///
    /// # Panics
    /// If nothing can run any more and no timer is set: somebody waits for what never comes.
    pub fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        self.world.start("main", Box::pin(async move { *slot.lock() = Some(main.await) }));
        for _ in 0..MAX_POLLS {
            if let Some(result) = result.lock().take() {
                return result;
            }
            self.step();
        }
        panic!("the simulation does not come to an end");
    }

    fn step(&self) {
        let (index, mut task) = loop {
            let mut state = self.world.state.lock();
            if state.ready.is_empty() {
                let Some(((at, _), waker)) = state.timers.pop_first() else {
                    let waiting: Vec<_> = (0..state.tasks.len())
                        .filter(|index| state.tasks[*index].is_some())
                        .map(|index| state.names[index].clone())
                        .collect();
                    drop(state);
                    panic!("deadlock: {waiting:?} wait for what never comes");
                };
                state.now = state.now.max(at);
                drop(state);
                waker.wake();
                continue;
            }
            let pick = (state.next_random() % state.ready.len() as u64) as usize;
            let index = state.ready.swap_remove(pick);
            if let Some(task) = state.tasks[index].take() {
                break (index, task);
            }
        };
        let waker = Waker::from(Arc::new(TaskWaker { world: self.world.clone(), index }));
        let poll = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        if poll.is_pending() {
            self.world.state.lock().tasks[index] = Some(task);
        }
    }
}

impl Drop for Simulation {
    /// Tasks hold wakers that hold the world that holds the tasks: cut the circle.
    fn drop(&mut self) {
        let mut state = self.world.state.lock();
        let tasks = std::mem::take(&mut state.tasks);
        let timers = std::mem::take(&mut state.timers);
        drop(state);
        drop(timers);
        drop(tasks);
    }
}

impl State {
    /// xorshift64*
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

struct TaskWaker {
    world: Arc<World>,
    index: usize,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.world.state.lock();
        if !state.ready.contains(&self.index) {
            state.ready.push(self.index);
        }
    }
}

struct Sleep {
    world: Arc<World>,
    until: Duration,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut state = world.state.lock();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let id = *self.timer.get_or_insert_with(|| {
            state.next_timer += 1;
            state.next_timer
        });
        state.timers.insert((self.until, id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.timer {
            let waker = self.world.state.lock().timers.remove(&(self.until, id));
            drop(waker);
        }
    }
}

impl World {
    fn start(&self, name: &str, task: BoxFuture<()>) {
        let mut state = self.state.lock();
        let index = state.tasks.len();
        state.tasks.push(Some(task));
        state.names.push(name.to_string());
        state.ready.push(index);
    }
}

/// The simulated world as rooms see it.
struct Door(Arc<World>);

impl Clock for Door {
    fn now_ms(&self) -> i64 {
        START_MS + self.0.state.lock().now.as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.state.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let until = self.0.state.lock().now + duration;
        Box::pin(Sleep { world: self.0.clone(), until, timer: None })
    }
}

impl RandomSource for Door {
    fn next_u64(&self) -> u64 {
        self.0.state.lock().next_random()
    }
}

impl Spawner for Door {
    fn spawn(&self, name: &str, task: BoxFuture<()>) {
        self.0.start(name, task);
    }
}
