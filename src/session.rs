//! Statements carried out one after another: planned, run, shown.

mod checkpoints;

use crate::failure::Failure;
use crate::progress::{Progress, ProgressLine};
use crate::render::{LiveTable, ResultMode, ResultPrinter, job_state, print_table};
use arrow::datatypes::TimeUnit;
use std::collections::BTreeMap;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use weir_planner::{ClientCommand, Planned, Planner, SavepointStop, Statement, TextTable};
use weir_runtime::types::text::{LocalDateTime, TimeZone, UnknownTimeZone, datetime};
use weir_runtime::types::{JobGraph, OperatorSpec, RuntimeEnv};
use weir_runtime::{Connectors, Engine, Environment, JobError, JobHandle, JobOutcome, ProductionEnv, Stop};

/// How often the progress line is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Display columns of a column of text, unless `sql-client.display.max-column-width` says otherwise.
const MAX_COLUMN_WIDTH: usize = 30;

/// A planner and an engine, and the jobs that run in the background.
pub struct Session {
    production: ProductionEnv,
    env: RuntimeEnv,
    engine: Engine,
    planner: Planner,
    jobs: Vec<BackgroundJob>,
    json: bool,
    /// a person types the statements: messages are for them
    interactive: bool,
}

struct BackgroundJob {
    name: String,
    handle: JobHandle,
    ends: Ends,
    /// its failure has been told
    told: bool,
}

/// Says what has happened to a job that its owner should know.
fn tell(handle: &JobHandle, line: &mut ProgressLine) {
    for notice in handle.take_notices() {
        line.clear();
        eprintln!("warning: {notice}");
    }
}

/// Which operators of a job, in the graph's order, rows come in at and go out at.
#[derive(Debug, Clone)]
struct Ends {
    sources: Vec<usize>,
    sinks: Vec<usize>,
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

    fn progress(&self, handle: &JobHandle, elapsed: Duration) -> Progress {
        let reports = handle.metrics();
        let watermark =
            self.sinks.iter().filter_map(|place| reports.get(*place)).map(|report| report.metrics.watermark);
        Progress {
            rows_in: self
                .sources
                .iter()
                .filter_map(|place| reports.get(*place))
                .map(|report| report.metrics.rows_out)
                .sum(),
            rows_out: self
                .sinks
                .iter()
                .filter_map(|place| reports.get(*place))
                .map(|report| report.metrics.rows_in)
                .sum(),
            watermark: watermark.min().and_then(watermark_text),
            elapsed,
        }
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

/// What configures object stores, as the clouds' own tools read it, and where temporary files go.
pub fn object_store_variables() -> BTreeMap<String, String> {
    let ours = |name: &str| {
        ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix)) || name == "TMPDIR"
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| ours(name))
        .collect()
}

/// Whether more statements may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Quit,
}

impl Session {
    pub fn new(settings: &[(String, String)], json: bool, interactive: bool) -> Result<Session, Failure> {
        let production = ProductionEnv::default();
        let env = production.env();
        let variables = object_store_variables();
        let connectors = Connectors::with_environment(variables.clone());
        let engine = Engine::with_connectors(env.clone(), connectors)
            .with_environment(Environment::of_variables(variables));
        let mut planner = Planner::new(engine.connectors(), env.clone());
        for (key, value) in settings {
            planner.settings_mut().set(key, value).map_err(|error| Failure::User(error.to_string()))?;
        }
        Ok(Session { production, env, engine, planner, jobs: Vec::new(), json, interactive })
    }

    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// All statements of a script, until one fails or quits.
    pub fn execute_script(&mut self, text: &str) -> Result<Flow, Failure> {
        for statement in self.planner.parse(text)? {
            if self.execute(&statement)? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    pub fn execute(&mut self, statement: &Statement) -> Result<Flow, Failure> {
        if let Some(graph) = self.planner.explained_job(statement)? {
            self.print_warnings();
            self.show_state(&graph)?;
            return Ok(Flow::Continue);
        }
        let planned = self.planner.plan(statement)?;
        self.print_warnings();
        match planned {
            Planned::Done(message) => {
                if self.interactive {
                    println!("[INFO] {message}");
                }
            }
            Planned::Rows(table) => self.print_rows(&table)?,
            Planned::Text(text) => self.print_text(text.trim_end())?,
            Planned::Job(graph) => self.insert(graph)?,
            Planned::Query(graph) => self.query(graph)?,
            Planned::Client(command) => return self.client(command),
        }
        Ok(Flow::Continue)
    }

    /// A plan or the like: the only cell of a column `result`, as in Flink, where rows are JSON.
    fn print_text(&self, text: &str) -> Result<(), Failure> {
        match self.json {
            true => writeln!(std::io::stdout().lock(), "{}", serde_json::json!({ "result": text }))?,
            false => writeln!(std::io::stdout().lock(), "{text}")?,
        }
        Ok(())
    }

    fn print_warnings(&mut self) {
        for warning in self.planner.take_warnings() {
            eprintln!("warning: {warning}");
        }
    }

    /// What a job would keep, without running it.
    fn show_state(&self, graph: &JobGraph) -> Result<(), Failure> {
        let job = self.engine.describe(graph)?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&job).map_err(|error| Failure::Job(error.to_string()))?,
            false => job_state(&job),
        };
        writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
        Ok(())
    }

    fn client(&mut self, command: ClientCommand) -> Result<Flow, Failure> {
        match command {
            ClientCommand::Quit => return Ok(Flow::Quit),
            ClientCommand::Clear => print!("\x1b[2J\x1b[H"),
            ClientCommand::Help => println!("{}", crate::repl::HELP),
            ClientCommand::ShowJobs => self.show_jobs()?,
            ClientCommand::StopJob { id, savepoint } => self.stop_job(&id, savepoint)?,
            ClientCommand::CreateSavepoint { id, directory } => self.savepoint(&id, directory.as_deref())?,
            ClientCommand::ExplainCheckpoint { path } => self.explain_checkpoint(&path)?,
            ClientCommand::ExplainCheckpointOfJob { id, number } => {
                self.explain_checkpoint_of_job(&id, number)?
            }
            ClientCommand::ShowCheckpoints { id } => self.show_checkpoints(id.as_deref())?,
            ClientCommand::DropCheckpoint { path } => self.drop_checkpoint(&path)?,
        }
        Ok(Flow::Continue)
    }

    fn print_rows(&self, table: &TextTable) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if self.json {
            for row in &table.rows {
                let object: serde_json::Map<String, serde_json::Value> = table
                    .columns
                    .iter()
                    .cloned()
                    .zip(row.iter().cloned().map(serde_json::Value::from))
                    .collect();
                writeln!(out, "{}", serde_json::Value::Object(object))?;
            }
            return Ok(());
        }
        let rows: Vec<Vec<String>> = table
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.clone().unwrap_or_default()).collect())
            .collect();
        print_table(&table.columns, &rows, usize::MAX, &mut out)
    }

    /// True if every source of the job ends by itself.
    fn is_bounded(&self, graph: &JobGraph) -> bool {
        graph.nodes.iter().all(|node| match &node.spec {
            OperatorSpec::Source(source) => {
                self.engine.connectors().check(&source.table).is_ok_and(|table| table.bounded)
            }
            _ => true,
        })
    }

    /// A bounded job is waited for; an unbounded one goes on in the background, unless `table.dml-sync` is set.
    fn insert(&mut self, graph: JobGraph) -> Result<(), Failure> {
        let name = graph.name.clone();
        let waits = self.is_bounded(&graph) || self.planner.settings().dml_sync();
        let ends = Ends::of(&graph);
        let handle = self.engine.submit(graph)?;
        if let Some(directory) = handle.checkpoint_directory() {
            eprintln!("checkpoints of {name}: {directory}");
        }
        if waits {
            let production = self.production.clone();
            return production.block_on(self.watch(&handle, &ends));
        }
        if self.interactive {
            println!("[INFO] Submitted. Job ID: {}", handle.job_id());
        }
        self.jobs.push(BackgroundJob { name, handle, ends, told: false });
        Ok(())
    }

    /// Waits for a job, draws its progress, and cancels it on Ctrl-C.
    async fn watch(&self, handle: &JobHandle, ends: &Ends) -> Result<(), Failure> {
        let mut line = ProgressLine::new();
        let started = self.env.clock.monotonic();
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                result = handle.wait() => {
                    line.clear();
                    tell(handle, &mut line);
                    result?;
                    return Ok(());
                }
                _ = &mut interrupted => {
                    line.clear();
                    handle.cancel();
                    // what a cancelled job says of itself does not matter any more
                    let _ = handle.wait().await;
                    return Err(Failure::Interrupted);
                }
                () = self.env.clock.sleep(PROGRESS_INTERVAL) => {
                    tell(handle, &mut line);
                    if line.shows() {
                        line.draw(&ends.progress(handle, self.elapsed_since(started)));
                    }
                }
            }
        }
    }

    fn elapsed_since(&self, started: Duration) -> Duration {
        self.env.clock.monotonic().saturating_sub(started)
    }

    fn result_mode(&self) -> Result<ResultMode, Failure> {
        if self.json {
            return Ok(ResultMode::Json);
        }
        let name = self.planner.settings().result_mode();
        ResultMode::parse(name).ok_or_else(|| {
            Failure::User(format!(
                "'sql-client.execution.result-mode' is '{name}': expected 'tableau', 'table' or 'changelog'"
            ))
        })
    }

    fn query(&mut self, graph: JobGraph) -> Result<(), Failure> {
        let zone: TimeZone = graph
            .settings
            .time_zone
            .parse()
            .map_err(|error: UnknownTimeZone| Failure::User(error.to_string()))?;
        let width = self.planner.settings().max_column_width().unwrap_or(MAX_COLUMN_WIDTH);
        let mode = self.result_mode()?;
        let schema = graph.nodes.last().map(|node| node.schema.clone());
        let schema = schema.ok_or_else(|| Failure::Job("the query has no operators".into()))?;
        let mut printer = ResultPrinter::new(mode, &schema, zone, width)?;
        let ends = Ends::of(&graph);
        let mut handle = self.engine.submit(graph)?;
        let production = self.production.clone();
        production.block_on(self.show(&mut handle, &ends, &mut printer))
    }

    /// Prints a query's rows as they come; Ctrl-C stops the query and ends the output properly.
    async fn show(
        &self,
        handle: &mut JobHandle,
        ends: &Ends,
        printer: &mut ResultPrinter,
    ) -> Result<(), Failure> {
        let mut results = handle.results().ok_or_else(|| Failure::Job("the query has no result".into()))?;
        let mut line = ProgressLine::new();
        let mut live = LiveTable::new(printer.mode() == ResultMode::Table);
        let started = self.env.clock.monotonic();
        // rows that come more often than it is due must not put it off
        let mut due = PROGRESS_INTERVAL;
        printer.begin(&mut std::io::stdout().lock())?;
        let mut stopped = false;
        // One listener for all of the query, and asked first: a signal may come while rows are printed.
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupted => {
                    stopped = true;
                    handle.cancel();
                    break;
                }
                () = self.env.clock.sleep(due.saturating_sub(self.elapsed_since(started))),
                    if live.shows() || line.shows() =>
                {
                    let progress = ends.progress(handle, self.elapsed_since(started));
                    due = progress.elapsed + PROGRESS_INTERVAL;
                    if live.shows() {
                        printer.draw_live(&mut live, &line.text(&progress));
                    } else {
                        line.draw(&progress);
                    }
                }
                batch = results.next() => {
                    let Some(batch) = batch else { break };
                    line.clear();
                    if let Err(failure) = printer.batch(&batch, &mut std::io::stdout().lock()) {
                        handle.cancel();
                        return Err(failure);
                    }
                }
            }
        }
        line.clear();
        live.clear();
        let result = handle.wait().await;
        if !stopped {
            result?;
        }
        printer.end(&mut std::io::stdout().lock())?;
        if stopped && !self.interactive {
            return Err(Failure::Interrupted);
        }
        Ok(())
    }

    /// Waits for the jobs in the background; the first failure counts.
    pub fn wait_for_jobs(&mut self) -> Result<(), Failure> {
        let production = self.production.clone();
        let mut first = Ok(());
        for job in std::mem::take(&mut self.jobs) {
            let result = production.block_on(self.watch(&job.handle, &job.ends));
            let interrupted = matches!(result, Err(Failure::Interrupted));
            if first.is_ok() {
                first = result.map_err(|failure| match failure {
                    Failure::Job(message) => Failure::Job(format!("job {}: {message}", job.name)),
                    other => other,
                });
            }
            if interrupted {
                break;
            }
        }
        first
    }

    /// Failures of background jobs since the last call, for the prompt to tell.
    pub fn failed_jobs(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        for job in self.jobs.iter_mut().filter(|job| !job.told) {
            if let Some(Err(error)) = job.handle.outcome() {
                failures.push(format!("job {} ({}) failed: {error}", job.handle.job_id(), job.name));
                job.told = true;
            }
        }
        failures
    }

    fn show_jobs(&self) -> Result<(), Failure> {
        let row = |job: &BackgroundJob| {
            let status = match job.handle.outcome() {
                None => "RUNNING",
                Some(Err(_)) => "FAILED",
                Some(Ok(summary)) if summary.outcome == JobOutcome::Cancelled => "CANCELED",
                Some(Ok(_)) => "FINISHED",
            };
            vec![Some(job.handle.job_id().to_string()), Some(job.name.clone()), Some(status.to_string())]
        };
        let columns = ["job id", "job name", "status"].map(str::to_string).to_vec();
        self.print_rows(&TextTable { columns, rows: self.jobs.iter().map(row).collect() })
    }

    fn job(&self, action: &str, id: &str) -> Result<&BackgroundJob, Failure> {
        self.jobs.iter().find(|job| job.handle.job_id() == id).ok_or_else(|| {
            Failure::User(format!("{action} '{id}': there is no such job; SHOW JOBS lists them"))
        })
    }

    fn stop_job(&self, id: &str, savepoint: Option<SavepointStop>) -> Result<(), Failure> {
        let job = self.job("stop job", id)?;
        let Some(savepoint) = savepoint else {
            job.handle.cancel();
            // cancelled is what was asked for
            let _ = self.production.block_on(job.handle.wait());
            if self.interactive {
                println!("[INFO] Job {id} has been stopped.");
            }
            return Ok(());
        };
        let stop = match savepoint {
            SavepointStop::Suspend => Stop::Suspend,
            SavepointStop::Drain => Stop::Drain,
        };
        let written = self.production.block_on(job.handle.savepoint(None, Some(stop)));
        let path = written.map_err(|error| stopping(id, error))?;
        self.production.block_on(job.handle.wait())?;
        self.print_savepoint(path)
    }

    fn savepoint(&self, id: &str, directory: Option<&str>) -> Result<(), Failure> {
        let job = self.job("create savepoint for job", id)?;
        let path = self.production.block_on(job.handle.savepoint(directory, None))?;
        self.print_savepoint(path)
    }

    fn print_savepoint(&self, path: String) -> Result<(), Failure> {
        let columns = vec!["savepoint path".to_string()];
        self.print_rows(&TextTable { columns, rows: vec![vec![Some(path)]] })
    }
}

fn stopping(id: &str, error: JobError) -> JobError {
    error.context(format!("stop job '{id}'"))
}
