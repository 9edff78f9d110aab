//! What was begun to be written, carried out one job after the other, by whoever comes first. A snapshot's job writes deletions
//! and then links the files; until the jobs that were begun are done no others are.

use crate::StateError;
use crate::disk::flush::StateWrites;
use crate::disk::store::Store;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What is to be written, and the checkpoint to make after that.
pub(crate) struct Job {
    pub(crate) states: Vec<StateWrites>,
    /// where the checkpoint is to be, if anybody still wants it
    pub(crate) checkpoint: Weak<LinkPlace>,
}

/// Where a snapshot has links to the files.
pub(crate) struct LinkPlace {
    pub(crate) path: PathBuf,
    made: OnceLock<Result<(), StateError>>,
}

/// Jobs that were begun and wait for somebody to carry them out.
#[derive(Default)]
pub(crate) struct Jobs {
    waiting: Mutex<Waiting>,
    /// held by whoever carries them out, one after the other
    working: Mutex<()>,
    /// held by a thread that does so beside processing, as long as it holds the store
    beside: Mutex<()>,
    /// the number of the last job that is done
    done: AtomicU64,
    /// the backend is gone: nobody is to hold its store beside processing
    abandoned: AtomicBool,
    #[cfg(test)]
    pub(crate) switches: Switches,
}

/// What a test decides.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Switches {
    /// no thread of the writers is sent for
    pub(crate) held: AtomicBool,
    /// happens once, between a job's writes and its links
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// the number of the last job that was begun
    last: u64,
    failed: Option<StateError>,
}

impl LinkPlace {
    pub(crate) fn new(path: PathBuf) -> LinkPlace {
        LinkPlace { path, made: OnceLock::new() }
    }

    /// What came of making the links.
    ///
    /// # Errors
    /// [`StateError::Storage`], also if nobody has tried.
    pub(crate) fn made(&self) -> Result<(), StateError> {
        let missing = || StateError::Storage(format!("nobody linked files to {}", self.path.display()));
        self.made.get().cloned().unwrap_or_else(|| Err(missing()))
    }
}

impl Jobs {
    /// Adds a job behind the others; returns its number.
    pub(crate) fn push(&self, job: Job) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.jobs.push_back(job);
        waiting.last += 1;
        waiting.last
    }

    /// The number of the last job that was begun.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> u64 {
        self.waiting.lock().last
    }

    /// The number of the last job that is done. Does not wait.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Why no more jobs will be done, if one has failed: the disk lacks what it should have.
    pub(crate) fn failure(&self) -> Option<StateError> {
        self.waiting.lock().failed.clone()
    }

    /// Returns once the jobs up to `number` are done, by whom ever.
    ///
    /// # Errors
    /// That of the first job that failed, whoever carried it out.
    pub(crate) fn run_until(&self, number: u64, store: &Store) -> Result<(), StateError> {
        let _working = self.working.lock();
        while self.done() < number {
            let job = self.next()?;
            if let Err(error) = self.carry_out(job, store) {
                self.waiting.lock().failed = Some(error.clone());
                return Err(error);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// As [`Jobs::run_until`], for others: they are told of errors.
    pub(crate) fn run_beside(&self, number: u64, store: &Weak<Store>) {
        let _beside = self.beside.lock();
        if self.done() < number
            && !self.abandoned.load(Ordering::Acquire)
            && let Some(store) = store.upgrade()
        {
            // It is kept for them.
            let _ = self.run_until(number, &store);
        }
    }

    /// The backend is gone: what no snapshot waits for is not carried out any more. Returns once nobody holds the store beside
    /// processing, nor will.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        {
            let mut waiting = self.waiting.lock();
            // Snapshots need what was written before them.
            while waiting.jobs.back().is_some_and(|job| job.checkpoint.strong_count() == 0) {
                waiting.jobs.pop_back();
            }
        }
        drop(self.beside.lock());
    }

    fn next(&self) -> Result<Job, StateError> {
        let mut waiting = self.waiting.lock();
        match &waiting.failed {
            Some(failed) => Err(failed.clone()),
            None => waiting.jobs.pop_front().ok_or_else(|| {
                StateError::Storage("a write of entries was begun and is given up".to_string())
            }),
        }
    }

    /// What a job would have written is lost with it: a panic is its failure, whoever carries it out for whomever.
    fn carry_out(&self, job: Job, store: &Store) -> Result<(), StateError> {
        match catch_unwind(AssertUnwindSafe(|| self.run(job, store))) {
            Ok(result) => result,
            Err(panic) => {
                let what = message_of(&*panic);
                // what it says when it is dropped does not matter, but it may panic again
                std::mem::forget(panic);
                Err(StateError::Storage(format!(
                    "write entries to database {}: panicked: {what}",
                    store.name
                )))
            }
        }
    }

    fn run(&self, job: Job, store: &Store) -> Result<(), StateError> {
        for state in &job.states {
            state.write(store)?;
        }
        let place = job.checkpoint.upgrade();
        #[cfg(test)]
        if let Some(meanwhile) = self.switches.meanwhile.lock().take() {
            meanwhile();
        }
        let Some(place) = place else { return Ok(()) };
        // Without links a snapshot fails, and nothing else.
        let made = store.checkpoint(&place.path);
        if Arc::strong_count(&place) == 1 {
            // Who wanted them has gone meanwhile, and could not remove them.
            let _ = std::fs::remove_dir_all(&place.path);
        }
        let _ = place.made.set(made);
        Ok(())
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
