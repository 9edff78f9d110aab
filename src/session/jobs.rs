//! Jobs of a session: started, watched until they end, listed, stopped.

use super::{Flow, PROGRESS_INTERVAL, Session};
#[cfg(unix)]
use crate::control::Control;
use crate::failure::Failure;
use crate::jobs::{Job, JobFacts};
use crate::progress::{Progress, ProgressLine};
use crate::render::{bytes, timestamp};
use crate::signals::{Signal, Signals};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use weir_planner::{SavepointWish, StopMode, TextTable};
use weir_runtime::types::JobGraph;
use weir_runtime::{JobOutcome, Notice, ResultReceiver, Stop};

/// The setting that `--from` makes.
pub const RECOVERY_PATH: &str = "execution.state-recovery.path";

/// Says what has happened to a job that its owner should know.
pub(super) fn tell(job: &Job, line: &mut ProgressLine) {
    for notice in job.handle.take_notices() {
        line.clear();
        match notice {
            Notice::Warning(text) => say!("warning: {text}"),
            Notice::Restored { path, checkpoint, operators, bytes: size, local_files } => {
                let s = if operators == 1 { "" } else { "s" };
                let size = bytes(size);
                let local = match local_files {
                    0 => String::new(),
                    1 => ", 1 file from its local copy".to_string(),
                    many => format!(", {many} files from their local copies"),
                };
                say!(
                    "{}: restored from {path}, checkpoint {checkpoint}, {operators} operator{s}, {size}{local}",
                    job.name
                );
            }
        }
    }
}

impl Session {
    /// Starts a job; the rows of its result, if it has one.
    pub(super) fn submit(&mut self, graph: JobGraph) -> Result<(Arc<Job>, Option<ResultReceiver>), Failure> {
        if graph.settings.changed.get(RECOVERY_PATH).is_some_and(|path| path.trim().is_empty()) {
            return Err(empty_recovery_path("SET", &format!("RESET '{RECOVERY_PATH}'")));
        }
        self.check_signals()?;
        let facts = JobFacts::of(&graph);
        let mut handle = self.engine.submit(graph)?;
        let results = handle.results();
        let job = self.jobs.add(handle, facts, self.env.clock.now_ms());
        self.listen();
        if let Some(signal) = self.seen_signal() {
            // it came before the job was among those that it ends
            job.interrupt(signal);
        }
        Ok((job, results))
    }

    /// From the first job on the process can be asked about its jobs, and hears signals.
    fn listen(&mut self) {
        if std::mem::replace(&mut self.listens, true) {
            return;
        }
        #[cfg(unix)]
        match Control::open(&self.production, self.jobs.clone()) {
            Ok(control) => self.control = Some(control),
            Err(reason) => {
                say!("warning: 'weir jobs' and its like will not find the jobs of this process: {reason}");
            }
        }
        if !self.interactive {
            let socket = None;
            #[cfg(unix)]
            let socket = socket.or(self.control.as_ref().map(|control| control.socket().to_path_buf()));
            self.signals = Some(Signals::listen(&self.env, self.jobs.clone(), socket));
        }
    }

    fn seen_signal(&self) -> Option<Signal> {
        self.signals.as_ref().and_then(Signals::seen)
    }

    /// Nothing is begun any more once a signal has come.
    pub(super) fn check_signals(&self) -> Result<(), Failure> {
        self.seen_signal().map_or(Ok(()), |signal| Err(Failure::Interrupted(signal)))
    }

    /// Waits for the signal that ends what is being done: at a prompt, Ctrl-C.
    pub(super) async fn signal(&self) -> Signal {
        match &self.signals {
            Some(signals) => signals.next().await,
            None => match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Interrupt,
                // none can come
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Does something that waits for standard input. A signal meanwhile ends the process.
    pub fn while_reading<T>(&self, read: impl FnOnce() -> T) -> Result<T, Failure> {
        let Some(signals) = &self.signals else { return Ok(read()) };
        let result = signals.while_reading(|| self.check_signals().map(|()| read()))?;
        self.check_signals().map(|()| result)
    }

    /// A bounded job is waited for; an unbounded one goes on in the background, unless `table.dml-sync` is set.
    pub(super) fn insert(&mut self, graph: JobGraph) -> Result<Flow, Failure> {
        let waits = self.is_bounded(&graph) || self.planner.settings().dml_sync();
        let (job, _) = self.submit(graph)?;
        if let Some(directory) = job.handle.checkpoint_directory() {
            say!("checkpoints of {}: {directory}", job.name);
        }
        if waits {
            let production = self.production.clone();
            let ended = production.block_on(self.watch(&job));
            self.jobs.forget(&job);
            return self.after(&job, ended?);
        }
        if self.interactive {
            println!("[INFO] Submitted. Job ID: {}", job.id());
        }
        Ok(Flow::Continue)
    }

    /// How a script goes on behind a job that somebody else may have ended.
    pub(super) fn after(&self, job: &Job, outcome: JobOutcome) -> Result<Flow, Failure> {
        match outcome {
            JobOutcome::Finished => Ok(Flow::Continue),
            JobOutcome::Cancelled => Err(cancelled(job)),
            JobOutcome::Stopped => {
                tell_stopped(job);
                // what follows was to begin when the job had done all its work
                Ok(if self.interactive { Flow::Continue } else { Flow::Quit })
            }
        }
    }

    /// Waits for a job, draws its progress, and ends it when a signal comes.
    async fn watch(&self, job: &Job) -> Result<JobOutcome, Failure> {
        let mut line = ProgressLine::new();
        let started = self.env.clock.monotonic();
        let mut signal = pin!(self.signal());
        loop {
            tokio::select! {
                result = job.handle.wait() => {
                    line.clear();
                    tell(job, &mut line);
                    self.check_signals()?;
                    return Ok(result?.outcome);
                }
                signal = &mut signal => {
                    line.clear();
                    job.interrupt(signal);
                    // what a cancelled job says of itself does not matter any more
                    let _ = job.handle.wait().await;
                    return Err(Failure::Interrupted(signal));
                }
                () = self.env.clock.sleep(PROGRESS_INTERVAL) => {
                    tell(job, &mut line);
                    if line.shows() {
                        line.draw(&job.progress(self.elapsed_since(started)));
                    }
                }
            }
        }
    }

    pub(super) fn elapsed_since(&self, started: Duration) -> Duration {
        self.env.clock.monotonic().saturating_sub(started)
    }

    /// The end of a session without a prompt: its jobs are waited for, unless something went wrong before.
    pub fn finish(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        let production = self.production.clone();
        let result = result.and_then(|()| production.block_on(self.watch_all()));
        if let Err(Failure::Interrupted(signal)) = &result {
            production.block_on(self.jobs.interrupt(*signal));
        }
        result
    }

    /// Waits for the jobs in the background; the first failure counts, and is told when it happens.
    async fn watch_all(&self) -> Result<(), Failure> {
        let mut line = ProgressLine::new();
        let started = self.env.clock.monotonic();
        let mut left = self.jobs.all();
        let mut result = Ok(());
        loop {
            left.iter().for_each(|job| tell(job, &mut line));
            let ended: Vec<Arc<Job>> = left.extract_if(.., |job| job.handle.outcome().is_some()).collect();
            self.check_signals()?;
            for job in ended {
                line.clear();
                match ending(&job) {
                    Ok(()) => {}
                    Err(failure @ Failure::ReaderGone) => result = result.and(Err(failure)),
                    Err(failure) if left.is_empty() && result.is_ok() => result = Err(failure),
                    Err(failure) => {
                        say!("error: {failure}");
                        result = result.and(Err(Failure::Told(failure.exit_code())));
                    }
                }
            }
            let Some(first) = left.first() else { return result };
            tokio::select! {
                _ = first.handle.wait() => {}
                signal = self.signal() => return Err(Failure::Interrupted(signal)),
                () = self.env.clock.sleep(PROGRESS_INTERVAL) => {
                    if line.shows() {
                        let elapsed = self.elapsed_since(started);
                        line.draw(&Progress::of_all(left.iter().map(|job| job.progress(elapsed)), elapsed));
                    }
                }
            }
        }
    }

    /// What has happened to background jobs since the last call, for the prompt to tell.
    pub fn tell_news(&mut self) {
        let mut line = ProgressLine::new();
        for job in self.jobs.all() {
            tell(&job, &mut line);
            match job.handle.outcome() {
                Some(Err(error)) if job.tell_end() => {
                    say!("error: job {} ({}) failed: {error}", job.id(), job.name);
                }
                Some(Ok(_)) => {
                    if let Err(failure) = ending(&job) {
                        say!("error: {failure}");
                    }
                }
                _ => {}
            }
        }
    }

    /// `SHOW JOBS`
    pub(super) fn show_jobs(&self) -> Result<(), Failure> {
        let row = |job: &Arc<Job>| {
            let status = job.handle.status().to_string();
            [job.id().to_string(), job.name.clone(), status, timestamp(job.since_ms())].map(Some).to_vec()
        };
        let columns = ["job id", "job name", "status", "start time"].map(str::to_string).to_vec();
        self.print_rows(&TextTable { columns, rows: self.jobs.all().iter().map(row).collect() })
    }

    pub(super) fn job(&self, action: &str, id: &str) -> Result<Arc<Job>, Failure> {
        self.jobs.get(id).ok_or_else(|| {
            Failure::User(format!("{action} '{id}': there is no such job; SHOW JOBS lists them"))
        })
    }

    /// `STOP JOB 'id' ..`
    pub(super) fn stop_job(&self, id: &str, mode: &StopMode) -> Result<(), Failure> {
        let job = self.job("stop job", id)?;
        let (wish, stop) = match mode {
            StopMode::Cancel => {
                self.production.block_on(job.cancel());
                job.tell_end();
                if self.interactive {
                    println!("[INFO] Job {id} has been stopped.");
                }
                return Ok(());
            }
            StopMode::Suspend(wish) => (wish, Stop::Suspend),
            StopMode::Drain(wish) => (wish, Stop::Drain),
        };
        let path = self.production.block_on(job.stop(wish, stop))?;
        job.tell_end();
        self.print_savepoint(path)
    }

    /// `CREATE SAVEPOINT .. FOR JOB 'id'`
    pub(super) fn savepoint(&self, id: &str, wish: &SavepointWish) -> Result<(), Failure> {
        let job = self.job("create savepoint for job", id)?;
        let path = self.production.block_on(job.savepoint(wish))?;
        self.print_savepoint(path)
    }

    fn print_savepoint(&self, path: String) -> Result<(), Failure> {
        let columns = vec!["savepoint path".to_string()];
        self.print_rows(&TextTable { columns, rows: vec![vec![Some(path)]] })
    }
}

/// How a background job has ended, the first time that it is asked for; `Ok` if nobody needs to be told, or has been.
fn ending(job: &Job) -> Result<(), Failure> {
    let Some(outcome) = job.handle.outcome() else { return Ok(()) };
    if !job.tell_end() {
        return Ok(());
    }
    match outcome {
        Ok(summary) => match summary.outcome {
            JobOutcome::Finished => Ok(()),
            JobOutcome::Cancelled => Err(cancelled(job)),
            JobOutcome::Stopped => {
                tell_stopped(job);
                Ok(())
            }
        },
        Err(error) => Err(match Failure::from(error) {
            Failure::Job(message) => Failure::Job(format!("job {}: {message}", job.name)),
            other => other,
        }),
    }
}

fn cancelled(job: &Job) -> Failure {
    Failure::Job(format!("job {} ({}) was cancelled", job.name, job.id()))
}

/// Somebody has stopped the job with a savepoint.
fn tell_stopped(job: &Job) {
    let savepoint = crate::jobs::JobReport::of(job).savepoint.and_then(|savepoint| savepoint.path);
    say!("{}: stopped with savepoint {}", job.name, savepoint.unwrap_or_default());
}

/// An empty path is most likely a variable that was not set; to begin with nothing would lose all state without a word.
pub fn empty_recovery_path(what: &str, otherwise: &str) -> Failure {
    Failure::User(format!(
        "{what}: the path of the checkpoint to begin with is empty: name one, or write {otherwise} to begin without state"
    ))
}
