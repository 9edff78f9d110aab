//! Whole histories of a job in simulated worlds: storage is slow, fails, loses answers and tears files; acknowledgements
//! get lost; operators and tasks fail; the process dies at any moment and goes on at another parallelism. However it
//! goes, each sum and each pair comes once.

use super::store::FaultyStore;
use super::{joins, restores};
use crate::sabotage::{self, Sabotage};
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, TestComponents};
use futures::future::{Either, select};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use weir_checkpoint::{Environment, StoredCheckpoint};
use weir_types::{CheckpointId, CheckpointMode, RestartStrategy};

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

/// What runs in a world.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// one input, state by key
    Sums,
    /// two inputs
    Pairs,
}

/// How a world is set up.
#[derive(Clone, Copy)]
struct Rules {
    kind: Kind,
    unaligned: bool,
    /// a checkpoint begins as an aligned one
    aligned_timeout_ms: u64,
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
    checkpointing.aligned_timeout_ms = rules.aligned_timeout_ms;
    graph.settings.recovery.path = from;
    graph.settings.restart = RestartStrategy::FixedDelay { attempts: 100, delay_ms: 3 };
}

/// Runs one process in a world of its own until it ends well (true) or dies; its directory, and what became of it.
fn process(
    seed: u64,
    test: &TestComponents,
    parallelism: u32,
    rules: Rules,
    from: Option<String>,
    dies_after: Option<Duration>,
    store: &FaultyStore,
) -> (bool, String, String) {
    sabotage::lose_acknowledgements(rules.faults / 2);
    let simulation = Simulation::new(seed);
    let env = simulation.env();
    store.enter(env.clone());
    let change = |graph: &mut GraphBuilder| settings(graph, rules, from);
    let graph = match rules.kind {
        Kind::Sums => restores::graph(parallelism, change),
        Kind::Pairs => joins::graph(parallelism, change),
    };
    let commit_pause = Some((env.clone(), Duration::from_millis(seed % 4)));
    let test = TestComponents { commit_pause, ..test.clone() };
    let job = test.submit(env.clone(), graph);
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
    // reading a checkpoint back may fail, too: the process is started once more
    let error = ended.as_ref().and_then(|ended| ended.as_ref().err());
    let error = error.map_or(String::new(), |error| format!(": {error}"));
    (matches!(ended, Some(Ok(_))), directory, format!("{at:?}: {}{error}", test.seen().len()))
}

/// The newest checkpoint that is there.
fn newest(directory: &str, store: &FaultyStore) -> Option<CheckpointId> {
    let quiet = Environment::new().with_store(ROOT, store.objects.clone());
    let opened = futures::executor::block_on(StoredCheckpoint::open(directory, &quiet));
    opened.ok().map(|stored| stored.manifest.checkpoint)
}

/// One history, from the first process to the last; what happened in it.
fn history(seed: u64, rules: Rules) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let store = FaultyStore::new(rules.faults);
    let environment = Environment::new().with_store(ROOT, Arc::new(store.clone()));
    let fail_after = if dice.below(3) == 0 { -1 } else { 1 + dice.below(1200) as i64 };
    let base = match rules.kind {
        Kind::Sums => restores::test(false, fail_after),
        Kind::Pairs => joins::test(false, fail_after),
    };
    let base = TestComponents { environment: environment.clone(), ..base };
    let base = TestComponents { write_pause: Duration::from_millis(dice.below(3)), ..base };
    let mut from = None;
    let mut trace = Vec::new();
    let mut deaths = 0;
    loop {
        let parallelism = 1 + dice.below(4) as u32;
        let dies_after = (deaths < DEATHS).then(|| Duration::from_millis(1 + dice.below(150)));
        deaths += 1;
        let seen = base.seen().len();
        let (ended, directory, told) =
            process(seed ^ deaths << 32, &base, parallelism, rules, from.clone(), dies_after, &store);
        trace.push(told);
        if ended {
            break;
        }
        assert!(deaths < 50, "seed {seed}: {trace:?}");
        let newest = newest(&directory, &store);
        let completed = base.seen().split_off(seen).last().map(|stored| stored.manifest.checkpoint);
        if completed > newest {
            // it died after its end, with which its checkpoints go
            break;
        }
        from = newest.map(|_| directory).or(from);
    }
    let log = base.log.lock();
    trace.push(format!("{:?}", log.visible));
    trace.push(format!("{:?} {}", log.commits, log.repeated));
    drop(log);
    // a process that died had no time to clean up
    base.log.lock().prepared.clear();
    match rules.kind {
        Kind::Sums => restores::assert_exactly_once(&base, &format!("seed {seed}")),
        Kind::Pairs => joins::assert_exactly_once(&base, &format!("seed {seed}")),
    }
    trace
}

fn rules(seed: u64) -> Rules {
    Rules {
        kind: if seed % 4 == 3 { Kind::Pairs } else { Kind::Sums },
        unaligned: seed % 3 == 2,
        aligned_timeout_ms: if seed.is_multiple_of(2) { 0 } else { 4 },
        faults: [0, 20, 80][(seed / 3 % 3) as usize],
    }
}

/// `WEIR_SEED` picks one world, whose history is printed.
#[test]
fn a_thousand_worlds() {
    let picked = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = picked {
        println!("{:#?}", history(seed, rules(seed)));
        return;
    }
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
            let rules = Rules { kind: Kind::Sums, unaligned, aligned_timeout_ms: 0, faults: 20 };
            sabotage::set(Some(sabotage));
            let result = catch_unwind(AssertUnwindSafe(|| history(*seed, rules)));
            sabotage::set(None);
            result.is_err()
        });
        assert!(caught.is_some(), "{sabotage:?} goes unnoticed");
    }
}
