//! The jobs of this process, shared by the session that starts them and by those who ask from outside.

mod report;

pub use report::{CheckpointDetails, CheckpointLine, CheckpointsReport, JobReport, PartLine, RestoreLine};

use crate::progress::Progress;
use crate::signals::Signal;
use arrow::datatypes::TimeUnit;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_planner::SavepointWish;
use weir_runtime::types::text::{LocalDateTime, datetime};
use weir_runtime::types::{JobGraph, OperatorSpec};
use weir_runtime::{JobError, JobHandle, SavepointFormat, Stop};

/// A job and what it is called.
pub struct Job {
    pub name: String,
    pub handle: JobHandle,
    /// `parallelism.default`
    parallelism: u32,
    /// since 1970-01-01T00:00:00Z
    since_ms: i64,
    ends: Ends,
    /// whoever started it knows how it ended
    told: AtomicBool,
}

/// What has to be known of a graph when it runs.
pub struct JobFacts {
    name: String,
    parallelism: u32,
    ends: Ends,
}

/// Which operators of a job, in the graph's order, rows come in at and go out at.
#[derive(Debug, Clone)]
struct Ends {
    sources: Vec<usize>,
    sinks: Vec<usize>,
}

impl JobFacts {
    pub fn of(graph: &JobGraph) -> JobFacts {
        JobFacts { name: graph.name.clone(), parallelism: graph.settings.parallelism, ends: Ends::of(graph) }
    }
}

impl Ends {
    fn of(graph: &JobGraph) -> Ends {
        let places = |wanted: fn(&OperatorSpec) -> bool| {
            let nodes = graph.nodes.iter().enumerate();
            nodes.filter(|(_, node)| wanted(&node.spec)).map(|(place, _)| place).collect()
        };
        Ends {
            sources: places(|spec| matches!(spec, OperatorSpec::Source(_) | OperatorSpec::Values(_))),
            sinks: places(|spec| matches!(spec, OperatorSpec::Sink(_) | OperatorSpec::Collect)),
        }
    }
}

impl Job {
    pub fn id(&self) -> &str {
        self.handle.job_id()
    }

    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// True for the first who asks: a job's end is told once.
    pub fn tell_end(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    pub fn progress(&self, elapsed: Duration) -> Progress {
        let reports = self.handle.metrics();
        let of = |places: &[usize]| -> Vec<_> {
            places.iter().filter_map(|place| reports.get(*place)).map(|report| report.metrics).collect()
        };
        let (sources, sinks) = (of(&self.ends.sources), of(&self.ends.sinks));
        let watermark = sinks.iter().map(|metrics| metrics.watermark).min();
        Progress {
            rows_in: sources.iter().map(|metrics| metrics.rows_out).sum(),
            rows_out: sinks.iter().map(|metrics| metrics.rows_in).sum(),
            watermark: watermark.and_then(watermark_text),
            elapsed,
        }
    }

    /// The path of a savepoint of the job.
    ///
    /// Errors: as [`JobHandle::savepoint`].
    pub async fn savepoint(&self, wish: &SavepointWish) -> Result<String, JobError> {
        self.handle.savepoint(wish.directory.as_deref(), format_of(wish), None).await
    }

    /// Ends the job with a savepoint: its path.
    ///
    /// Errors: as [`JobHandle::savepoint`], with the job going on, and what went wrong behind the savepoint.
    pub async fn stop(&self, wish: &SavepointWish, stop: Stop) -> Result<String, JobError> {
        let written = self.handle.savepoint(wish.directory.as_deref(), format_of(wish), Some(stop)).await;
        let path = written.map_err(|error| error.context(format!("stop job '{}'", self.id())))?;
        self.handle.wait().await?;
        Ok(path)
    }

    /// Cancels the job, and waits until it has ended.
    pub async fn cancel(&self) {
        self.handle.cancel();
        // cancelled is what was asked for; what it says of itself does not matter any more
        let _ = self.handle.wait().await;
    }

    /// Somebody ends the process: a person who typed Ctrl-C cancels the job, whoever sent SIGTERM means the process.
    pub fn interrupt(&self, signal: Signal) {
        match signal {
            Signal::Interrupt => self.handle.cancel(),
            Signal::Terminate => self.handle.suspend(),
        }
    }
}

fn format_of(wish: &SavepointWish) -> SavepointFormat {
    match wish.canonical {
        true => SavepointFormat::Canonical,
        false => SavepointFormat::Native,
    }
}

/// `2015-07-14 23:50:00.000`; `None` before the first watermark and after the last.
fn watermark_text(ms: i64) -> Option<String> {
    if ms == i64::MIN || ms == i64::MAX {
        return None;
    }
    let mut text = Vec::new();
    datetime::append_timestamp(&mut text, LocalDateTime::of_units(ms, TimeUnit::Millisecond), b' ', 3);
    String::from_utf8(text).ok()
}

/// All jobs that run in the foreground, and all that ever ran in the background.
#[derive(Clone, Default)]
pub struct Jobs(Arc<Mutex<Vec<Arc<Job>>>>);

impl Jobs {
    pub fn add(&self, handle: JobHandle, facts: JobFacts, since_ms: i64) -> Arc<Job> {
        let JobFacts { name, parallelism, ends } = facts;
        let job = Arc::new(Job { name, handle, parallelism, since_ms, ends, told: AtomicBool::new(false) });
        self.0.lock().push(job.clone());
        job
    }

    /// Forgets a job that has ended in the foreground.
    pub fn forget(&self, job: &Arc<Job>) {
        self.0.lock().retain(|other| !Arc::ptr_eq(other, job));
    }

    pub fn all(&self) -> Vec<Arc<Job>> {
        self.0.lock().clone()
    }

    pub fn running(&self) -> Vec<Arc<Job>> {
        let mut jobs = self.all();
        jobs.retain(|job| job.handle.outcome().is_none());
        jobs
    }

    /// Ends all that run, as a signal asks for, and waits until they have ended.
    pub async fn interrupt(&self, signal: Signal) {
        self.running().iter().for_each(|job| job.interrupt(signal));
        for job in self.running() {
            // how it ended does not matter any more
            let _ = job.handle.wait().await;
        }
    }

    pub fn get(&self, id: &str) -> Option<Arc<Job>> {
        self.0.lock().iter().find(|job| job.id() == id).cloned()
    }
}
