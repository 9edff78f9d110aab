//! Sources, sinks and operators for this room's tests. Rows are (key BIGINT, value BIGINT).

use crate::simulation::Simulation;
use crate::{Components, Engine, JobHandle, StoredCheckpoint};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_connectors::{
    Committable, Committer, ConnectorError, Connectors, ReaderContext, Sink, SinkWriter, Source, SourceEvent,
    SourceReader, SplitState, WriterContext,
};
use weir_operators::{Operator, OperatorError, create_operator};
use weir_types::{
    BoxFuture, ChangelogBatch, ChangelogMode, CheckpointId, Exchange, Input, JobGraph, JobSettings,
    LookupError, LookupRows, LookupSource, NodeIndex, OperatorId, OperatorNode, OperatorSpec, Parallelism,
    RuntimeEnv, SinkSpec, SourceSpec, SplitId, TableDescriptor,
};

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
    ]))
}

pub(crate) fn rows(rows: &[(i64, i64)]) -> ChangelogBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(key, _)| *key)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, value)| *value)));
    ChangelogBatch::insert_only(RecordBatch::try_new(schema(), vec![keys, values]).expect("two columns"))
}

pub(crate) fn rows_of(batch: &ChangelogBatch) -> Vec<(i64, i64)> {
    let column = |index| batch.rows().column(index).as_primitive::<Int64Type>().clone();
    let (keys, values) = (column(0), column(1));
    (0..keys.len()).map(|row| (keys.value(row), values.value(row))).collect()
}

fn table(name: &str) -> Arc<TableDescriptor> {
    Arc::new(TableDescriptor {
        name: name.to_string(),
        columns: Vec::new(),
        options: BTreeMap::new(),
        primary_key: Vec::new(),
        partition_keys: Vec::new(),
        watermark: None,
        comment: None,
    })
}

pub(crate) fn source_spec() -> OperatorSpec {
    source_of("source")
}

pub(crate) fn source_of(table_name: &str) -> OperatorSpec {
    OperatorSpec::Source(SourceSpec { table: table(table_name), projection: vec![0, 1], limit: None })
}

pub(crate) fn sink_of(table_name: &str) -> OperatorSpec {
    OperatorSpec::Sink(SinkSpec { table: table(table_name), overwrite: false, primary_key: Vec::new() })
}

/// Builds graphs. Nodes of kind `Union` with one input are operators that a test brings, found by their name.
#[derive(Default)]
pub(crate) struct GraphBuilder {
    pub nodes: Vec<OperatorNode>,
    pub settings: JobSettings,
}

impl GraphBuilder {
    pub(crate) fn new(parallelism: u32) -> Self {
        let settings = JobSettings { parallelism, ..JobSettings::default() };
        GraphBuilder { nodes: Vec::new(), settings }
    }

    pub(crate) fn node(&mut self, name: &str, spec: OperatorSpec, inputs: &[(usize, Exchange)]) -> usize {
        let input = |(node, exchange): &(usize, Exchange)| Input {
            node: NodeIndex(*node),
            exchange: exchange.clone(),
        };
        self.nodes.push(OperatorNode {
            id: OperatorId::new(name),
            label: name.to_string(),
            spec,
            inputs: inputs.iter().map(input).collect(),
            schema: schema(),
            changelog: ChangelogMode::INSERT_ONLY,
            parallelism: Parallelism::Default,
            state: None,
        });
        self.nodes.len() - 1
    }

    pub(crate) fn source(&mut self, name: &str) -> usize {
        self.node(name, source_of(name), &[])
    }

    pub(crate) fn operator(&mut self, name: &str, input: usize, exchange: Exchange) -> usize {
        self.node(name, OperatorSpec::Union, &[(input, exchange)])
    }

    pub(crate) fn sink(&mut self, name: &str, input: usize) -> usize {
        self.node(name, sink_of(name), &[(input, Exchange::Forward)])
    }

    pub(crate) fn build(self) -> JobGraph {
        JobGraph { name: "test".into(), nodes: self.nodes, settings: self.settings, sql: String::new() }
    }
}

/// What a test source's split does, step by step. Its position is the number of steps done.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Rows(Vec<(i64, i64)>),
    Wait(Duration),
    /// Never comes to an end.
    Forever,
    Fail(&'static str),
}

pub(crate) fn wait_ms(ms: u64) -> Step {
    Step::Wait(Duration::from_millis(ms))
}

struct TestSource {
    splits: Vec<Vec<Step>>,
}

struct TestReader {
    env: RuntimeEnv,
    /// name, steps, steps done
    splits: Vec<(SplitId, Vec<Step>, usize)>,
    /// of the split at the front
    waits_until: Option<Duration>,
}

#[async_trait]
impl Source for TestSource {
    async fn splits(&self, _parallelism: u32) -> Result<Vec<SplitId>, ConnectorError> {
        Ok((0..self.splits.len()).map(|index| SplitId::new(&index.to_string())).collect())
    }

    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        let steps = |split: &SplitId| self.splits[split.0.parse::<usize>().expect("a number")].clone();
        let splits = splits.into_iter().map(|state| {
            let done = state.position.map_or(0, |position| position.parse().expect("a number"));
            (state.split.clone(), steps(&state.split), done)
        });
        Ok(Box::new(TestReader { env: context.env, splits: splits.collect(), waits_until: None }))
    }
}

#[async_trait]
impl SourceReader for TestReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        loop {
            let Some((split, steps, done)) = self.splits.first_mut() else {
                return Ok(SourceEvent::EndOfInput);
            };
            match steps.get(*done) {
                None => {
                    let split = split.clone();
                    self.splits.remove(0);
                    return Ok(SourceEvent::SplitFinished(split));
                }
                Some(Step::Rows(values)) => {
                    *done += 1;
                    return Ok(SourceEvent::Rows { split: split.clone(), batch: rows(values) });
                }
                Some(Step::Fail(message)) => return Err(ConnectorError::Record(message.to_string())),
                Some(Step::Forever) => std::future::pending::<()>().await,
                Some(Step::Wait(duration)) => {
                    let now = self.env.clock.monotonic();
                    let until = *self.waits_until.get_or_insert(now + *duration);
                    self.env.clock.sleep(until.saturating_sub(now)).await;
                    self.waits_until = None;
                    *done += 1;
                }
            }
        }
    }

    fn snapshot(&self) -> Vec<SplitState> {
        let state = |(split, _, done): &(SplitId, Vec<Step>, usize)| SplitState {
            split: split.clone(),
            position: Some(done.to_string()),
        };
        self.splits.iter().map(state).collect()
    }
}

/// What became of the rows of all test sinks.
#[derive(Debug, Default)]
pub(crate) struct SinkLog {
    pub visible: Vec<(i64, i64)>,
    pub commits: Vec<String>,
    pub aborts: Vec<String>,
    pub flushes: usize,
    /// commits of what was committed before
    pub repeated: usize,
    /// by committable
    pub prepared: BTreeMap<String, Vec<(i64, i64)>>,
    pub next: usize,
}

pub(crate) struct TestSink {
    log: Arc<Mutex<SinkLog>>,
    fail_commit: bool,
    write_pause: Duration,
    commit_pause: Option<(RuntimeEnv, Duration)>,
}

struct TestWriter {
    log: Arc<Mutex<SinkLog>>,
    rows: Vec<(i64, i64)>,
    env: RuntimeEnv,
    pause: Duration,
}

struct TestCommitter {
    log: Arc<Mutex<SinkLog>>,
    fail: bool,
    pause: Option<(RuntimeEnv, Duration)>,
}

#[async_trait]
impl Sink for TestSink {
    async fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter>, ConnectorError> {
        let (log, pause) = (self.log.clone(), self.write_pause);
        Ok(Box::new(TestWriter { log, rows: Vec::new(), env: context.env, pause }))
    }

    fn committer(&self) -> Option<Box<dyn Committer>> {
        let (log, pause) = (self.log.clone(), self.commit_pause.clone());
        Some(Box::new(TestCommitter { log, fail: self.fail_commit, pause }))
    }
}

#[async_trait]
impl SinkWriter for TestWriter {
    async fn write(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError> {
        if !self.pause.is_zero() {
            self.env.clock.sleep(self.pause).await;
        }
        self.rows.extend(rows_of(batch));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        self.log.lock().flushes += 1;
        Ok(())
    }

    async fn prepare_commit(
        &mut self,
        checkpoint: Option<CheckpointId>,
    ) -> Result<Vec<Committable>, ConnectorError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut log = self.log.lock();
        log.next += 1;
        let part = checkpoint.map_or("end".to_string(), |checkpoint| format!("chk-{checkpoint}"));
        let name = format!("{part}-{}", log.next);
        log.prepared.insert(name.clone(), rows);
        Ok(vec![Committable(name)])
    }
}

#[async_trait]
impl Committer for TestCommitter {
    async fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        if self.fail {
            return Err(ConnectorError::Unavailable("commit: the disk is full".to_string()));
        }
        for Committable(name) in committables {
            if let Some((env, pause)) = &self.pause {
                env.clock.sleep(*pause).await;
            }
            let mut log = self.log.lock();
            if let Some(rows) = log.prepared.remove(name) {
                log.visible.extend(rows);
                log.commits.push(name.clone());
            } else {
                assert!(log.commits.contains(name), "{name} was never prepared, or was aborted");
                log.repeated += 1;
            }
        }
        Ok(())
    }

    async fn abort(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        let mut log = self.log.lock();
        for Committable(name) in committables {
            log.prepared.remove(name);
            log.aborts.push(name.clone());
        }
        Ok(())
    }
}

/// A table that has one row `(k, 100 * k)` for each key. Of some keys it knows nothing when it is first asked.
struct TestLookup {
    env: RuntimeEnv,
    delays_ms: Vec<u64>,
    asked: Mutex<usize>,
}

impl LookupSource for TestLookup {
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        let number = {
            let mut asked = self.asked.lock();
            *asked += 1;
            *asked
        };
        let sleep =
            self.env.clock.sleep(Duration::from_millis(self.delays_ms[number % self.delays_ms.len()]));
        let asked = keys[0].as_primitive::<Int64Type>().values().to_vec();
        Box::pin(async move {
            sleep.await;
            let known = (0..asked.len()).filter(|place| (asked[*place] + number as i64) % 5 != 0);
            let keys: Vec<u32> = known.map(|place| place as u32).collect();
            let found: Vec<_> =
                keys.iter().map(|place| asked[*place as usize]).map(|key| (key, 100 * key)).collect();
            Ok(LookupRows { keys, rows: rows(&found).into_parts().0 })
        })
    }
}

type OperatorFactory = Arc<dyn Fn() -> Box<dyn Operator> + Send + Sync>;

/// What a test brings, by the names of its tables and nodes; `create_operator` makes the rest.
#[derive(Clone, Default)]
pub(crate) struct TestComponents {
    pub sources: BTreeMap<String, Vec<Vec<Step>>>,
    pub operators: BTreeMap<String, OperatorFactory>,
    /// tables that are looked up: what their answers take, in turn
    pub lookups: BTreeMap<String, Vec<u64>>,
    pub log: Arc<Mutex<SinkLog>>,
    /// all that were complete
    pub checkpoints: Arc<Mutex<Vec<StoredCheckpoint>>>,
    pub fail_commit: bool,
    /// what the writing of a batch takes
    pub write_pause: Duration,
    /// what each commit takes, and by whose clock
    pub commit_pause: Option<(RuntimeEnv, Duration)>,
    /// where checkpoints can be written to besides local files
    pub environment: weir_checkpoint::Environment,
}

impl TestComponents {
    pub(crate) fn source(mut self, name: &str, splits: Vec<Vec<Step>>) -> Self {
        self.sources.insert(name.to_string(), splits);
        self
    }

    pub(crate) fn operator<O: Operator + 'static>(
        mut self,
        name: &str,
        make: impl Fn() -> O + Send + Sync + 'static,
    ) -> Self {
        self.operators.insert(name.to_string(), Arc::new(move || Box::new(make())));
        self
    }

    pub(crate) fn submit(&self, env: RuntimeEnv, graph: JobGraph) -> JobHandle {
        self.try_submit(env, graph).expect("a job that can run")
    }

    pub(crate) fn try_submit(&self, env: RuntimeEnv, graph: JobGraph) -> Result<JobHandle, crate::JobError> {
        let engine = Engine::with_components(env, Arc::new(Connectors::new()), Arc::new(self.clone()));
        let seen = self.checkpoints.clone();
        let observer = Arc::new(move |checkpoint: &StoredCheckpoint| seen.lock().push(checkpoint.clone()));
        engine.with_observer(observer).with_environment(self.environment.clone()).submit(graph)
    }

    /// The checkpoints that were complete, in their order.
    pub(crate) fn seen(&self) -> Vec<StoredCheckpoint> {
        self.checkpoints.lock().clone()
    }

    /// Runs a job to its end under a seed.
    pub(crate) fn run(&self, seed: u64, graph: JobGraph) -> Result<crate::JobSummary, crate::JobError> {
        let simulation = Simulation::new(seed);
        let job = self.submit(simulation.env(), graph);
        simulation.run(async move { job.wait().await })
    }
}

impl Components for TestComponents {
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError> {
        Ok(Arc::new(TestSource { splits: self.sources[&spec.table.name].clone() }))
    }

    fn sink(&self, _spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError> {
        let (fail_commit, write_pause) = (self.fail_commit, self.write_pause);
        let (log, commit_pause) = (self.log.clone(), self.commit_pause.clone());
        Ok(Arc::new(TestSink { log, fail_commit, write_pause, commit_pause }))
    }

    fn lookup(
        &self,
        spec: &SourceSpec,
        _keys: &[usize],
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        let delays_ms = self.lookups[&spec.table.name].clone();
        Ok(Arc::new(TestLookup { env: env.clone(), delays_ms, asked: Mutex::default() }))
    }

    fn operator(
        &self,
        node: &OperatorNode,
        inputs: &[SchemaRef],
        settings: &JobSettings,
    ) -> Result<Box<dyn Operator>, OperatorError> {
        match self.operators.get(&node.label) {
            Some(make) => Ok(make()),
            None => create_operator(node, inputs, settings),
        }
    }
}
