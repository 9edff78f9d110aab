//! Statements carried out one after another: planned, run, shown.

mod checkpoints;
mod jobs;

pub use jobs::{RECOVERY_PATH, empty_recovery_path};

#[cfg(unix)]
use crate::control::Control;
use crate::failure::Failure;
use crate::jobs::{Job, Jobs};
use crate::progress::ProgressLine;
use crate::render::{LiveTable, ResultMode, ResultPrinter, job_state, print_table};
use crate::signals::Signals;
use std::collections::BTreeMap;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use weir_planner::{ClientCommand, Planned, Planner, Statement, TextTable};
use weir_runtime::types::text::{TimeZone, UnknownTimeZone};
use weir_runtime::types::{JobGraph, OperatorSpec, RuntimeEnv};
use weir_runtime::{Connectors, Engine, Environment, JobOutcome, ProductionEnv, ResultReceiver};

/// How often the progress line is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Display columns of a column of text, unless `sql-client.display.max-column-width` says otherwise.
const MAX_COLUMN_WIDTH: usize = 30;

/// A planner and an engine, and the jobs that run.
pub struct Session {
    /// answers those who ask for the jobs; it goes first, so that it answers as long as there are threads
    #[cfg(unix)]
    control: Option<Control>,
    signals: Option<Signals>,
    /// there has been a job, and with it these two
    listens: bool,
    production: ProductionEnv,
    env: RuntimeEnv,
    engine: Engine,
    planner: Planner,
    jobs: Jobs,
    json: bool,
    /// a person types the statements: messages are for them
    interactive: bool,
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
        Ok(Session {
            #[cfg(unix)]
            control: None,
            signals: None,
            listens: false,
            production,
            env,
            engine,
            planner,
            jobs: Jobs::default(),
            json,
            interactive,
        })
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
        self.check_signals()?;
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
            Planned::Text(text) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", text.trim_end())?;
            }
            Planned::Job(graph) => return self.insert(graph),
            Planned::Query(graph) => return self.query(graph),
            Planned::Client(command) => return self.client(command),
        }
        Ok(Flow::Continue)
    }

    fn print_warnings(&mut self) {
        for warning in self.planner.take_warnings() {
            say!("warning: {warning}");
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
            ClientCommand::StopJob { id, stop } => self.stop_job(&id, &stop)?,
            ClientCommand::CreateSavepoint { id, savepoint } => self.savepoint(&id, &savepoint)?,
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

    fn query(&mut self, graph: JobGraph) -> Result<Flow, Failure> {
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
        let (job, results) = self.submit(graph)?;
        let results = results.ok_or_else(|| Failure::Job("the query has no result".into()))?;
        let production = self.production.clone();
        let shown = production.block_on(self.show(&job, results, &mut printer));
        self.jobs.forget(&job);
        match shown? {
            Some(outcome) => self.after(&job, outcome),
            None => Ok(Flow::Continue),
        }
    }

    /// Prints a query's rows as they come; a signal stops the query and ends the output properly. How the query ended;
    /// `None` if it was stopped at the prompt.
    async fn show(
        &self,
        job: &Job,
        mut results: ResultReceiver,
        printer: &mut ResultPrinter,
    ) -> Result<Option<JobOutcome>, Failure> {
        let mut line = ProgressLine::new();
        let mut live = LiveTable::new(printer.mode() == ResultMode::Table);
        let started = self.env.clock.monotonic();
        // rows that come more often than it is due must not put it off
        let mut due = PROGRESS_INTERVAL;
        printer.begin(&mut std::io::stdout().lock())?;
        let mut stopped = None;
        // One listener for all of the query, and asked first: a signal may come while rows are printed.
        let mut signal = pin!(self.signal());
        loop {
            tokio::select! {
                biased;
                signal = &mut signal => {
                    stopped = Some(signal);
                    job.interrupt(signal);
                    break;
                }
                () = self.env.clock.sleep(due.saturating_sub(self.elapsed_since(started))),
                    if live.shows() || line.shows() =>
                {
                    jobs::tell(job, &mut line);
                    let progress = job.progress(self.elapsed_since(started));
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
                        job.handle.cancel();
                        return Err(failure);
                    }
                }
            }
        }
        line.clear();
        live.clear();
        let result = job.handle.wait().await;
        jobs::tell(job, &mut line);
        let outcome = match stopped {
            Some(_) => None,
            None => Some(result?.outcome),
        };
        printer.end(&mut std::io::stdout().lock())?;
        match stopped {
            Some(signal) if !self.interactive => Err(Failure::Interrupted(signal)),
            _ => self.check_signals().map(|()| outcome),
        }
    }
}
