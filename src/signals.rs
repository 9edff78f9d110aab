//! What ends a run from outside: Ctrl-C, and SIGTERM.
//!
//! The first signal ends the jobs in good order, the second ends the process at once.

use crate::jobs::Jobs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use weir_runtime::types::RuntimeEnv;

/// Who wants the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person typed Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, a container or the machine stops.
    Terminate,
}

impl Signal {
    /// As a shell reports a process that the signal ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Signal::Interrupt => "interrupted",
            Signal::Terminate => "terminated",
        }
    }
}

/// Hears the signals of a run without a prompt.
pub struct Signals {
    seen: watch::Receiver<Option<Signal>>,
    /// the session waits for standard input, and not for its jobs
    reading: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen. From now on a signal ends the process no more by itself: the jobs are told to end, and the session hears
    /// of it. `socket` is removed when the process ends by the second signal.
    pub fn listen(env: &RuntimeEnv, jobs: Jobs, socket: Option<PathBuf>) -> Signals {
        let (sender, seen) = watch::channel(None);
        let reading = Arc::new(AtomicBool::new(false));
        let signals = Signals { seen, reading: reading.clone() };
        let spawner = env.spawner.clone();
        let listen = async move {
            let mut ears = Ears::new();
            let first = ears.next().await;
            sender.send_replace(Some(first));
            let second_socket = socket.clone();
            let second = async move {
                let second = ears.next().await;
                remove(second_socket);
                end_at_once(second);
            };
            spawner.spawn("second signal", Box::pin(second));
            jobs.interrupt(first).await;
            if reading.load(Ordering::Acquire) {
                remove(socket);
                say!("error: {}", first.message());
                end(first);
            }
        };
        env.spawner.spawn("signals", Box::pin(listen));
        signals
    }

    /// The signal that has come, if one has.
    pub fn seen(&self) -> Option<Signal> {
        *self.seen.borrow()
    }

    /// Waits for a signal.
    pub async fn next(&self) -> Signal {
        let mut seen = self.seen.clone();
        match seen.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(signal)) => *signal,
            // nobody listens: none will come
            _ => std::future::pending().await,
        }
    }

    /// Does something that waits for standard input; a signal ends the process meanwhile, once the jobs have ended.
    pub fn while_reading<T>(&self, read: impl FnOnce() -> T) -> T {
        self.reading.store(true, Ordering::Release);
        let result = read();
        self.reading.store(false, Ordering::Release);
        result
    }
}

fn remove(socket: Option<PathBuf>) {
    if let Some(socket) = socket {
        // whoever finds it sees that nobody answers
        let _ = std::fs::remove_file(socket);
    }
}

#[cfg(unix)]
struct Ears {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Ears {
    /// A signal that cannot be listened to does what it does without us.
    fn new() -> Ears {
        use tokio::signal::unix::{SignalKind, signal};
        Ears {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) -> Signal {
        async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            };
        }
        tokio::select! {
            () = of(&mut self.interrupt) => Signal::Interrupt,
            () = of(&mut self.terminate) => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Ears;

#[cfg(not(unix))]
impl Ears {
    fn new() -> Ears {
        Ears
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

/// Ends the process as the signal would have: whoever waits for it sees that it ended by SIGTERM as it was told to.
pub fn end(signal: Signal) -> ! {
    use std::io::Write;
    let _ = std::io::stdout().flush();
    #[cfg(unix)]
    if signal == Signal::Terminate {
        // SAFETY: both calls take a number of a signal and touch no memory of ours.
        unsafe {
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
            libc::raise(libc::SIGTERM);
        }
    }
    std::process::exit(i32::from(signal.exit_code()))
}

/// Ends the process without waiting for anything, which leaves what a killed process leaves.
fn end_at_once(signal: Signal) -> ! {
    #[cfg(unix)]
    // SAFETY: it does not return, and runs nothing of this process.
    unsafe {
        libc::_exit(i32::from(signal.exit_code()))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(signal.exit_code()))
}
