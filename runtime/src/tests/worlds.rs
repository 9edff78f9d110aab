//! Whole histories of a job in simulated worlds: storage is slow, fails, loses answers and tears files; operators and
//! tasks fail; the process dies at any moment and goes on at another parallelism. However it goes, each sum comes once.

use super::restores::{KEYS, assert_exactly_once, graph, test};
use super::store::FaultyStore;
use crate::sabotage::{self, Sabotage};
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, TestComponents};
use futures::future::{Either, select};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use weir_checkpoint::{Environment, StoredCheckpoint};
use weir_types::{CheckpointMode, RestartStrategy};

const ROOT: &str = "world://objects";
/// Worlds in one run of the tests.
const SEEDS: u64 = 1000;
/// Times that a process dies before it is left alone.
const DEATHS: u64 = 3;

/// What a seed decides.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// How a world is set up.
#[derive(Clone, Copy)]
struct Rules {
    unaligned: bool,
    /// of a thousand calls of storage so many fail
    faults: u64,
}

fn settings(graph: &mut GraphBuilder, rules: Rules, from: Option<String>) {
    let checkpointing = &mut graph.settings.checkpointing;
    checkpointing.dir = Some(format!("{ROOT}/jobs"));
    checkpointing.inline_bytes = 150;
    checkpointing.tolerable_failures = 1000;
    checkpointing.timeout_ms = 60;
    checkpointing.mode = CheckpointMode::ExactlyOnce;
    checkpointing.unaligned = rules.unaligned;
    graph.settings.recovery.path = from;
    graph.settings.restart = RestartStrategy::FixedDelay { attempts: 100, delay_ms: 3 };
}

/// Runs one process in a world of its own until it ends (true) or dies.
fn process(
    seed: u64,
    test: &TestComponents,
    parallelism: u32,
    rules: Rules,
    from: Option<String>,
    dies_after: Option<Duration>,
    store: &FaultyStore,
    trace: &mut Vec<String>,
) -> (bool, String) {
    let simulation = Simulation::new(seed);
    let env = simulation.env();
    store.enter(env.clone());
    let job = test.submit(env.clone(), graph(parallelism, |graph| settings(graph, rules, from)));
    let directory = job.checkpoint_directory().expect("in files").to_string();
    let (ended, at) = simulation.run(async move {
        let ended = match dies_after {
            None => Some(job.wait().await),
            Some(after) => match select(pin!(env.clock.sleep(after)), pin!(job.wait())).await {
                Either::Left(_) => None,
                Either::Right((ended, _)) => Some(ended),
            },
        };
        (ended, env.clock.monotonic())
    });
    trace.push(format!("{at:?}: {}", test.seen().len()));
    if let Some(Err(error)) = &ended {
        // reading a checkpoint back may fail, too: the process is started once more
        trace.push(error.to_string());
    }
    (matches!(ended, Some(Ok(_))), directory)
}

/// The directory if a checkpoint is there.
fn complete(environment: &Environment, directory: String, store: &FaultyStore) -> Option<String> {
    let quiet = Environment::new().with_store(ROOT, store.objects.clone());
    let opened = futures::executor::block_on(StoredCheckpoint::open(&directory, &quiet));
    let _ = environment;
    opened.ok().map(|_| directory)
}

/// One history, from the first process to the last; what happened in it.
fn history(seed: u64, rules: Rules) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let store = FaultyStore::new(rules.faults);
    let environment = Environment::new().with_store(ROOT, Arc::new(store.clone()));
    let fail_after = if dice.below(3) == 0 { -1 } else { 1 + dice.below(1200) as i64 };
    let base = test(false, fail_after);
    let base = TestComponents { environment: environment.clone(), ..base };
    let base = TestComponents { write_pause: Duration::from_millis(dice.below(3)), ..base };
    let mut from = None;
    let mut trace = Vec::new();
    let mut deaths = 0;
    loop {
        let parallelism = 1 + dice.below(4) as u32;
        let dies_after = (deaths < DEATHS).then(|| Duration::from_millis(1 + dice.below(150)));
        deaths += 1;
        let (ended, directory) = process(
            seed ^ deaths << 32,
            &base,
            parallelism,
            rules,
            from.clone(),
            dies_after,
            &store,
            &mut trace,
        );
        if ended {
            break;
        }
        assert!(deaths < 50, "seed {seed}: {trace:?}");
        from = complete(&environment, directory, &store).or(from);
    }
    let log = base.log.lock();
    trace.push(format!("{:?}", log.visible));
    trace.push(format!("{:?} {}", log.commits, log.repeated));
    drop(log);
    // a process that died had no time to clean up
    base.log.lock().prepared.clear();
    assert_exactly_once(&base, &format!("seed {seed}"));
    trace
}

fn rules(seed: u64) -> Rules {
    Rules { unaligned: seed % 3 == 2, faults: [0, 20, 80][(seed / 3 % 3) as usize] }
}

#[test]
fn a_thousand_worlds() {
    for seed in 0..SEEDS {
        let trace = history(seed, rules(seed));
        if seed % 50 == 0 {
            assert_eq!(
                trace,
                history(seed, rules(seed)),
                "seed {seed}: the same seed gives the same history"
            );
        }
    }
    assert!(KEYS > 1);
}

/// What is broken is seen, within a number of worlds that the tests always run.
#[test]
fn a_broken_protocol_is_caught() {
    for (sabotage, unaligned) in [
        (Sabotage::CommitEarly, false),
        (Sabotage::NoAlignment, false),
        (Sabotage::ForgetOvertaken, true),
        (Sabotage::NoSecondCommit, false),
        (Sabotage::ForgetPositions, false),
    ] {
        let caught = (0..SEEDS).find(|seed| {
            let rules = Rules { unaligned, faults: 20 };
            sabotage::set(Some(sabotage));
            let result = catch_unwind(AssertUnwindSafe(|| history(*seed, rules)));
            sabotage::set(None);
            result.is_err()
        });
        assert!(caught.is_some(), "{sabotage:?} goes unnoticed");
    }
}
