//! Event scripts: what happens at which millisecond, and what the coordinator says to it.

use super::*;
use weir_types::{OperatorId, SubtaskIndex};

fn config() -> CoordinatorConfig {
    CoordinatorConfig { interval_ms: Some(100), timeout_ms: 1000, min_pause_ms: 0, tolerable_failures: 0 }
}

fn coordinator(config: CoordinatorConfig, tasks: usize) -> CheckpointCoordinator {
    CheckpointCoordinator::new(config, (0..tasks).map(TaskId), CheckpointId(1), 0)
}

fn ack(task: usize, checkpoint: u64) -> Event {
    let snapshot = SubtaskSnapshot { subtask: SubtaskIndex(task as u32), operators: BTreeMap::new() };
    Event::Acknowledged { task: TaskId(task), checkpoint: CheckpointId(checkpoint), snapshot }
}

fn prepared(covered_by: u64, name: &str) -> Event {
    let committables =
        Committables { operator: OperatorId::new("sink"), committables: vec![name.to_string()] };
    Event::Prepared { covered_by: CheckpointId(covered_by), committables }
}

fn finished(task: usize) -> Event {
    Event::TaskFinished { task: TaskId(task) }
}

fn stored(checkpoint: u64) -> Event {
    Event::Stored { checkpoint: CheckpointId(checkpoint) }
}

/// Actions in few words.
fn say(actions: Vec<Action>) -> Vec<String> {
    let names = |list: Vec<Committables>| -> Vec<String> {
        list.into_iter().flat_map(|committables| committables.committables).collect()
    };
    let words = |action| match action {
        Action::Trigger { barrier, tasks } => {
            format!("trigger {} at {:?}", barrier.id, tasks.iter().map(|task| task.0).collect::<Vec<_>>())
        }
        Action::Store(checkpoint) => {
            let finished: Vec<_> = checkpoint.finished.iter().map(|task| task.0).collect();
            format!("store {} finished {finished:?}", checkpoint.id)
        }
        Action::Commit(permit) => {
            let id = permit.checkpoint().map_or("end".to_string(), |id| id.to_string());
            format!("commit {id} {}", names(permit.into_committables()).join(","))
        }
        Action::Discard { task, checkpoint, outcome, .. } => {
            format!("discard {} of {checkpoint}: {outcome:?}", task.0)
        }
        Action::Abandoned(error) => format!("abandoned: {error}"),
        Action::FailJob(error) => format!("fail: {error}"),
        Action::Finished => "finished".to_string(),
    };
    actions.into_iter().map(words).collect()
}

/// Runs (time, event, what the coordinator says).
fn script(
    mut coordinator: CheckpointCoordinator,
    steps: Vec<(u64, Event, &[&str])>,
) -> CheckpointCoordinator {
    for (index, (now_ms, event, expected)) in steps.into_iter().enumerate() {
        let text = format!("step {index}: {event:?}");
        assert_eq!(say(coordinator.step(event, now_ms)), expected, "{text}");
    }
    coordinator
}

#[test]
fn a_checkpoint_is_complete_when_all_have_answered_and_storage_has_it() {
    let end = script(
        coordinator(config(), 2),
        vec![
            (99, Event::Tick, &[]),
            (100, Event::Tick, &["trigger 1 at [0, 1]"]),
            (110, prepared(1, "a"), &[]),
            (110, ack(0, 1), &[]),
            (120, ack(1, 1), &["store 1 finished []"]),
            (130, Event::Tick, &[]),
            (140, stored(1), &["commit 1 a"]),
            (150, Event::Committed, &[]),
            (200, Event::Tick, &["trigger 2 at [0, 1]"]),
        ],
    );
    assert_eq!(end.completed().map(|completed| completed.id), Some(CheckpointId(1)));
}

#[test]
fn answers_that_nobody_waits_for_are_discarded() {
    script(
        coordinator(CoordinatorConfig { tolerable_failures: 9, ..config() }, 2),
        vec![
            (5, ack(0, 1), &["discard 0 of 1: Unknown"]),
            (100, Event::Tick, &["trigger 1 at [0, 1]"]),
            (101, ack(0, 1), &[]),
            (102, ack(0, 1), &["discard 0 of 1: Duplicate"]),
            (103, ack(7, 1), &["discard 7 of 1: Unknown"]),
            (104, ack(1, 2), &["discard 1 of 2: Unknown"]),
            (
                1100,
                Event::Tick,
                &[
                    "abandoned: checkpoint 1 expired after 1000 ms: tasks [1] have not answered",
                    "trigger 2 at [0, 1]",
                ],
            ),
            (1101, ack(1, 1), &["discard 1 of 1: Stale"]),
            (1102, ack(1, 2), &[]),
            (1103, ack(0, 2), &["store 2 finished []"]),
            (1104, ack(0, 2), &["discard 0 of 2: Stale"]),
        ],
    );
}

#[test]
fn what_was_prepared_outlives_its_checkpoint() {
    script(
        coordinator(CoordinatorConfig { tolerable_failures: 1, ..config() }, 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (110, prepared(1, "a"), &[]),
            (
                120,
                Event::Declined { task: TaskId(0), checkpoint: CheckpointId(1), reason: "disk".to_string() },
                &["abandoned: checkpoint 1 failed: task 0: disk"],
            ),
            (200, Event::Tick, &["trigger 2 at [0]"]),
            (210, prepared(2, "b"), &[]),
            (220, prepared(3, "c"), &[]),
            (230, ack(0, 2), &["store 2 finished []"]),
            (240, stored(2), &["commit 2 a,b"]),
            (250, finished(0), &["store 3 finished [0]"]),
            (260, Event::Committed, &[]),
            (270, stored(3), &["commit 3 c"]),
            (280, Event::Committed, &["finished"]),
        ],
    );
}

#[test]
fn failures_beyond_what_is_tolerated_fail_the_job() {
    let failed =
        |checkpoint| Event::StoreFailed { checkpoint: CheckpointId(checkpoint), reason: "full".into() };
    let end = script(
        coordinator(CoordinatorConfig { tolerable_failures: 1, ..config() }, 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (100, prepared(1, "a"), &[]),
            (100, ack(0, 1), &["store 1 finished []"]),
            (110, failed(1), &["abandoned: checkpoint 1 failed: full"]),
            (200, Event::Tick, &["trigger 2 at [0]"]),
            (200, ack(0, 2), &["store 2 finished []"]),
            (210, failed(2), &["fail: checkpoint 2 failed: full"]),
            (300, Event::Tick, &[]),
        ],
    );
    assert_eq!(end.into_uncommitted().len(), 1, "what was prepared is to be aborted");
}

#[test]
fn one_at_a_time_with_a_pause_between() {
    script(
        coordinator(CoordinatorConfig { min_pause_ms: 50, ..config() }, 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (230, Event::Tick, &[]),
            (240, ack(0, 1), &["store 1 finished []"]),
            (250, stored(1), &[]),
            (260, Event::Tick, &[]),
            (299, Event::Tick, &[]),
            (300, Event::Tick, &["trigger 2 at [0]"]),
        ],
    );
}

#[test]
fn finished_tasks_need_not_answer() {
    script(
        coordinator(config(), 3),
        vec![
            (10, finished(0), &[]),
            (100, Event::Tick, &["trigger 1 at [1, 2]"]),
            (110, ack(2, 1), &[]),
            (120, finished(1), &["store 1 finished [0, 1]"]),
            (130, stored(1), &[]),
            (140, finished(2), &["finished"]),
        ],
    );
}

#[test]
fn the_end_commits_once_without_checkpoints() {
    let quiet = CoordinatorConfig { interval_ms: None, ..config() };
    let end = script(
        coordinator(quiet.clone(), 2),
        vec![
            (1000, Event::Tick, &[]),
            (1000, prepared(0, "a"), &[]),
            (1000, finished(0), &[]),
            (1000, prepared(0, "b"), &[]),
            (1000, finished(1), &["commit end a,b"]),
            (1010, Event::Committed, &["finished"]),
            (1020, Event::Tick, &[]),
        ],
    );
    assert!(end.into_uncommitted().is_empty());
    script(coordinator(quiet, 1), vec![(5, finished(0), &["finished"]), (6, Event::Tick, &[])]);
}

#[test]
fn permits_are_used_one_after_the_other() {
    let end = script(
        coordinator(config(), 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (100, prepared(1, "a"), &[]),
            (100, ack(0, 1), &["store 1 finished []"]),
            (100, stored(1), &["commit 1 a"]),
            (200, Event::Tick, &["trigger 2 at [0]"]),
            (200, prepared(2, "b"), &[]),
            (200, ack(0, 2), &["store 2 finished []"]),
            (200, stored(2), &[]),
            (210, Event::Committed, &["commit 2 b"]),
        ],
    );
    assert!(end.is_waiting_for_answer());
}
