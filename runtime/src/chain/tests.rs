use super::*;
use crate::simulation::Simulation;
use crate::testing::{rows, rows_of};
use arrow::array::{ArrayRef, Int64Array};
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use weir_state::{
    KeyedStateBackend, Namespace, NamespaceKind, OperatorStateBackend, Slots, SnapshotMode, StateDescriptor,
    StateId,
};
use weir_types::{BoxFuture, CheckpointId, Clock, KeyGroupRange, SqlField, SqlType, SubtaskIndex};

/// Emits its batch, then a watermark, then its batch again; owes one more batch for each watermark.
struct Echo;

impl Operator for Echo {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        output.batch(batch.clone());
        output.watermark(Watermark(rows_of(&batch)[0].1));
        output.batch(batch);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        _watermark: Watermark,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::More)
    }

    fn resume(
        &mut self,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        output.batch(rows(&[(-1, -1)]));
        Ok(Progress::Done)
    }
}

fn node(operator: Option<Box<dyn Operator>>, consumers: Vec<Consumer>) -> ChainNode {
    let keyed = KeyedStateBackend::new(KeyGroupRange::of_subtask(128, 1, 0), 128);
    let operator_state = OperatorStateBackend::new();
    let metrics = Arc::new(OperatorMetrics::default());
    let context = OperatorContext {
        subtask: SubtaskIndex(0),
        parallelism: 1,
        batch_rows: 8192,
        clock: Simulation::new(0).env().clock,
        metrics: metrics.clone(),
        keyed,
        operator_state,
    };
    let role = match operator {
        Some(operator) => Role::Operator(Box::new(OperatorRole { operator, context })),
        None => Role::PassThrough,
    };
    ChainNode::new(OperatorId::new("node"), "node".into(), metrics, role, consumers)
}

fn chain(nodes: Vec<ChainNode>, edges: usize) -> Chain {
    Chain::new(nodes, edges, Arc::default())
}

/// Runs to the end of the stack; what each edge gets.
fn run(chain: &mut Chain) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        for (edge, element) in chain.outbox.drain(..) {
            sent.push(match element {
                StreamElement::Batch(batch) => format!("{edge}: {:?}", rows_of(&batch)),
                StreamElement::Watermark(watermark) => format!("{edge}: watermark {watermark}"),
                StreamElement::EndOfInput => format!("{edge}: end"),
                other => format!("{edge}: {other:?}"),
            });
        }
        if !chain.step().expect("no error") {
            return sent;
        }
    }
}

#[test]
fn every_path_sees_the_same_order() {
    let nodes = vec![
        node(Some(Box::new(Echo)), vec![Consumer::Node(1), Consumer::Edge(0), Consumer::Node(2)]),
        node(Some(Box::new(Echo)), vec![Consumer::Edge(1)]),
        node(None, vec![Consumer::Edge(2)]),
    ];
    let mut chain = chain(nodes, 3);
    chain.push_batch(0, rows(&[(1, 7)]));
    let sent = run(&mut chain);
    let of = |edge: &str| -> Vec<&str> { sent.iter().filter_map(|line| line.strip_prefix(edge)).collect() };
    let once = ["[(1, 7)]", "watermark 7", "[(1, 7)]"];
    assert_eq!(of("0: "), once);
    assert_eq!(of("2: "), once);
    let twice = ["[(1, 7)]", "watermark 7", "[(1, 7)]", "[(-1, -1)]", "[(1, 7)]", "[(1, 7)]"];
    assert_eq!(of("1: "), twice, "what is owed for a watermark comes before what follows it");
}

#[test]
fn a_watermark_follows_what_is_owed_for_it_and_does_not_fall() {
    let mut chain = chain(vec![node(Some(Box::new(Echo)), vec![Consumer::Edge(0)])], 1);
    chain.push_signal(Signal::Watermark(Watermark(5)));
    assert_eq!(run(&mut chain), ["0: [(-1, -1)]", "0: watermark 5"]);
    chain.push_signal(Signal::Watermark(Watermark(4)));
    assert_eq!(run(&mut chain), ["0: [(-1, -1)]"]);
    chain.push_signal(Signal::EndOfInput);
    assert_eq!(run(&mut chain), ["0: watermark end of input", "0: end"]);
    assert!(chain.is_finished());
}

#[test]
fn no_barrier_passes_while_a_batch_is_between_two_operators() {
    let nodes = vec![
        node(Some(Box::new(Echo)), vec![Consumer::Node(1)]),
        node(Some(Box::new(Echo)), vec![Consumer::Edge(0)]),
    ];
    let mut chain = chain(nodes, 1);
    assert!(!chain.barrier_may_pass(), "nothing is owed: the driver is at its own place");
    chain.push_batch(0, rows(&[(1, 7)]));
    let mut passed = 0;
    while chain.step().expect("no error") {
        let between = chain.stack.iter().any(|work| matches!(work, Work::Batch { .. }));
        chain.outbox.clear();
        assert!(!(between && chain.barrier_may_pass()));
        passed += usize::from(chain.barrier_may_pass());
    }
    assert_eq!(passed, 0, "the second batch of the first operator waits behind its watermark");
    chain.push_signal(Signal::Watermark(Watermark(9)));
    chain.step().expect("no error");
    assert!(chain.barrier_may_pass(), "the first operator owes output, and nothing is under way");
}

#[test]
fn idleness_is_forwarded_when_it_changes() {
    let mut chain = chain(vec![node(None, vec![Consumer::Edge(0)])], 1);
    for idle in [false, true, true, false] {
        chain.push_signal(Signal::Idle(idle));
        run(&mut chain).iter().for_each(|line| assert_eq!(*line, format!("0: Idle({idle})")));
    }
}

/// Holds keys, and tells how many of those of a batch are new.
struct Seen {
    ttl_ms: Option<u64>,
    state: Option<StateId>,
}

impl Operator for Seen {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let key = vec![SqlField::new("k", SqlType::BigInt, false)];
        let descriptor = StateDescriptor::value("seen", key, NamespaceKind::Void, vec![]);
        self.state = Some(context.keyed.register(descriptor.with_ttl_ms(self.ttl_ms))?);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let state = self.state.expect("it is open");
        let values: Vec<i64> = rows_of(&batch).iter().map(|row| row.0).collect();
        let keys: ArrayRef = Arc::new(Int64Array::from(values));
        let keys = context.keyed.encoder(state).encode(&[keys], batch.num_rows())?;
        let mut found = Slots::default();
        context.keyed.resolve(state, Namespace::Void, &keys, &mut found);
        output.batch(rows(&[(found.created.len() as i64, 0)]));
        Ok(())
    }
}

struct At(AtomicI64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// State without a time to live is as if accessed when a job with one goes on from it.
#[test]
fn a_time_to_live_begins_when_the_chain_is_opened() {
    const NOW_MS: i64 = 1_000_000_000_000;
    let clock = Arc::new(At(AtomicI64::new(NOW_MS)));
    let seen = |ttl_ms, restored: Option<weir_state::RestoredSnapshot>| {
        let mut node = node(Some(Box::new(Seen { ttl_ms, state: None })), vec![Consumer::Edge(0)]);
        let Role::Operator(role) = &mut node.role else { unreachable!() };
        role.context.clock = clock.clone();
        role.context.keyed.restore(restored.into_iter().collect()).expect("it fits");
        let mut chain = chain(vec![node], 1);
        chain.open().expect("no error");
        chain
    };
    let mut first = seen(None, None);
    first.push_batch(0, rows(&[(1, 0), (2, 0)]));
    assert_eq!(run(&mut first), ["0: [(2, 0)]"]);
    let Role::Operator(role) = &mut first.nodes_mut()[0].role else { unreachable!() };
    let snapshot = role.context.keyed.snapshot(CheckpointId(1), SnapshotMode::Full);
    let snapshot = snapshot.fetched(&std::env::temp_dir(), "a test").expect("it is in memory");
    let mut second = seen(Some(100), Some(snapshot));
    clock.0.store(NOW_MS + 90, Ordering::Relaxed);
    second.push_batch(0, rows(&[(1, 0), (3, 0)]));
    assert_eq!(run(&mut second), ["0: [(1, 0)]"]);
    clock.0.store(NOW_MS + 110, Ordering::Relaxed);
    second.push_batch(0, rows(&[(1, 0), (2, 0)]));
    assert_eq!(run(&mut second), ["0: [(1, 0)]"], "of the two the second was not used");
}
