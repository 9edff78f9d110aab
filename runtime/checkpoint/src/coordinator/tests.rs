//! Event scripts: what happens at which millisecond, and what the coordinator says to it.

use super::*;
use crate::handle::UploadId;
use weir_types::{OperatorId, SubtaskIndex};

fn config() -> CoordinatorConfig {
    CoordinatorConfig { interval_ms: Some(100), timeout_ms: 1000, ..CoordinatorConfig::default() }
}

fn coordinator(config: CoordinatorConfig, tasks: usize) -> CheckpointCoordinator {
    CheckpointCoordinator::new(config, (0..tasks).map(TaskId), CheckpointId(1), 0)
}

fn handle(task: usize) -> SubtaskHandle {
    SubtaskHandle {
        upload: UploadId(task as u64),
        subtask: SubtaskIndex(task as u32),
        chain: Arc::from([]),
        operators: BTreeMap::new(),
        times: Default::default(),
    }
}

fn ack(task: usize, checkpoint: u64) -> Event {
    Event::Acknowledged { task: TaskId(task), checkpoint: CheckpointId(checkpoint), handle: handle(task) }
}

fn savepoint(request: u64, stop: Option<Stop>) -> Event {
    Event::Savepoint { request: RequestId(request), stop }
}

fn prepared(covered_by: u64, name: &str) -> Event {
    let committables =
        Committables { operator: OperatorId::new("sink"), committables: vec![name.to_string()] };
    Event::Prepared { covered_by: CheckpointId(covered_by), committables }
}

fn finished(task: usize) -> Event {
    Event::TaskFinished { task: TaskId(task), last: Some(Box::new(handle(task))), passed: None }
}

fn finished_without_snapshot(task: usize) -> Event {
    Event::TaskFinished { task: TaskId(task), last: None, passed: None }
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
        Action::Trigger { barrier, tasks, stop } => {
            let tasks: Vec<usize> = tasks.iter().map(|task| task.0).collect();
            let savepoint = if barrier.kind == CheckpointKind::Savepoint { "savepoint " } else { "" };
            format!("trigger {savepoint}{} at {tasks:?}{}", barrier.id, if stop { " and stop" } else { "" })
        }
        Action::Overtake { checkpoint, tasks } => {
            format!("overtake for {checkpoint} at {:?}", tasks.iter().map(|task| task.0).collect::<Vec<_>>())
        }
        Action::Drain { barrier } => format!("drain for {}", barrier.id),
        Action::Resume => "resume".to_string(),
        Action::Store(completed) => {
            let finished: Vec<_> = completed.finished.iter().map(|task| task.0).collect();
            let earlier = names(completed.uncommitted.clone());
            let earlier =
                if earlier.is_empty() { String::new() } else { format!(" and {}", earlier.join(",")) };
            format!("store {} finished {finished:?}{earlier}", completed.id())
        }
        Action::Commit(permit) => {
            let id = permit.checkpoint().map_or("end".to_string(), |id| id.to_string());
            format!("commit {id} {}", names(permit.into_committables()).join(","))
        }
        Action::Discard { task, checkpoint, outcome, .. } => {
            format!("discard {} of {checkpoint}: {outcome:?}", task.0)
        }
        Action::Abandoned { error, .. } => format!("abandoned: {error}"),
        Action::SavepointDone { request } => format!("savepoint of {} done", request.0),
        Action::SavepointFailed { request, error } => format!("savepoint of {} failed: {error}", request.0),
        Action::FailJob(error) => format!("fail: {error}"),
        Action::Finished => "finished".to_string(),
        Action::Stopped { request } => format!("stopped for {}", request.0),
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

/// Whoever asks waits neither for the interval nor for a pause, but for what is in progress, and the interval goes on.
#[test]
fn a_checkpoint_that_somebody_asks_for() {
    let config = CoordinatorConfig { min_pause_ms: 50, ..config() };
    script(
        coordinator(config, 1),
        vec![
            (10, Event::Checkpoint, &["trigger 1 at [0]"]),
            (20, Event::Checkpoint, &[]),
            (25, Event::Checkpoint, &[]),
            (30, ack(0, 1), &["store 1 finished []"]),
            (40, stored(1), &["trigger 2 at [0]"]),
            (50, ack(0, 2), &["store 2 finished []"]),
            (55, stored(2), &[]),
            (104, Event::Tick, &[]),
            (105, Event::Tick, &["trigger 3 at [0]"]),
        ],
    );
    let never = CoordinatorConfig { interval_ms: None, ..CoordinatorConfig::default() };
    script(coordinator(never, 1), vec![(10, Event::Checkpoint, &[]), (20, Event::Tick, &[])]);
}

#[test]
fn a_checkpoint_is_complete_when_all_have_answered_and_storage_has_it() {
    script(
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
}

/// What a task leaves behind is later than a barrier that it has let pass: the two do not make one checkpoint.
#[test]
fn a_last_snapshot_is_no_answer_to_what_came_before_it() {
    let passed = |task: usize, checkpoint: u64| Event::TaskFinished {
        task: TaskId(task),
        last: Some(Box::new(handle(task))),
        passed: Some(CheckpointId(checkpoint)),
    };
    script(
        coordinator(CoordinatorConfig { max_concurrent: 2, ..config() }, 2),
        vec![
            (100, Event::Tick, &["trigger 1 at [0, 1]"]),
            (110, ack(0, 1), &[]),
            (200, Event::Tick, &["trigger 2 at [0, 1]"]),
            (
                210,
                passed(1, 1),
                &[
                    "discard 0 of 1: Stale",
                    "abandoned: checkpoint 1 failed: task 1 has ended without an answer",
                ],
            ),
            (220, ack(0, 2), &["store 2 finished [1]"]),
        ],
    );
}

/// Somebody may find a checkpoint whose manifest was perhaps written: its files stay, and nothing of it is aborted.
#[test]
fn a_checkpoint_in_doubt_keeps_what_it_needs() {
    for in_doubt in [false, true] {
        let failed = Event::StoreFailed { checkpoint: CheckpointId(1), reason: "lost".into(), in_doubt };
        let expected: &[&str] = match in_doubt {
            true => &["abandoned: checkpoint 1 failed: lost"],
            false => &["discard 0 of 1: Stale", "abandoned: checkpoint 1 failed: lost"],
        };
        let end = script(
            coordinator(CoordinatorConfig { tolerable_failures: 9, ..config() }, 1),
            vec![
                (100, Event::Tick, &["trigger 1 at [0]"]),
                (110, prepared(1, "a"), &[]),
                (110, ack(0, 1), &["store 1 finished []"]),
                (120, failed, expected),
            ],
        );
        assert_eq!(end.into_uncommitted().is_empty(), in_doubt);
    }
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
                    "discard 0 of 1: Stale",
                    "abandoned: checkpoint 1 expired after 1000 ms: no answer came from task 1",
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
            (250, finished(0), &["store 3 finished [0] and a,b"]),
            (260, Event::Committed, &[]),
            (270, stored(3), &["commit 3 c"]),
            (280, Event::Committed, &["finished"]),
        ],
    );
}

#[test]
fn failures_beyond_what_is_tolerated_fail_the_job() {
    let failed = |checkpoint| Event::StoreFailed {
        checkpoint: CheckpointId(checkpoint),
        reason: "full".into(),
        in_doubt: false,
    };
    let end = script(
        coordinator(CoordinatorConfig { tolerable_failures: 1, ..config() }, 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (100, prepared(1, "a"), &[]),
            (100, ack(0, 1), &["store 1 finished []"]),
            (110, failed(1), &["discard 0 of 1: Stale", "abandoned: checkpoint 1 failed: full"]),
            (200, Event::Tick, &["trigger 2 at [0]"]),
            (200, ack(0, 2), &["store 2 finished []"]),
            (210, failed(2), &["discard 0 of 2: Stale", "fail: checkpoint 2 failed: full"]),
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
            (1000, finished_without_snapshot(0), &[]),
            (1000, prepared(0, "b"), &[]),
            (1000, finished_without_snapshot(1), &["commit end a,b"]),
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
            (200, ack(0, 2), &["store 2 finished [] and a"]),
            (200, stored(2), &[]),
            (210, Event::Committed, &["commit 2 b"]),
        ],
    );
    assert!(end.is_waiting_for_answer());
}

/// Without what the first still has to make visible, a restore of the second would lose it.
#[test]
fn a_checkpoint_has_on_record_what_those_before_it_have_not_committed() {
    script(
        coordinator(config(), 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (100, prepared(1, "a"), &[]),
            (100, ack(0, 1), &["store 1 finished []"]),
            (100, stored(1), &["commit 1 a"]),
            (200, Event::Tick, &["trigger 2 at [0]"]),
            (200, prepared(2, "b"), &[]),
            (200, ack(0, 2), &["store 2 finished [] and a"]),
            (200, stored(2), &[]),
            (300, Event::Tick, &["trigger 3 at [0]"]),
            (300, ack(0, 3), &["store 3 finished [] and a,b"]),
            (310, Event::Committed, &["commit 2 b"]),
            (320, Event::Committed, &[]),
            (320, stored(3), &[]),
            (400, Event::Tick, &["trigger 4 at [0]"]),
            (400, ack(0, 4), &["store 4 finished []"]),
        ],
    );
}

#[test]
fn several_at_a_time_and_the_newer_voids_the_older() {
    let two = CoordinatorConfig { max_concurrent: 2, ..config() };
    script(
        coordinator(two.clone(), 2),
        vec![
            (100, Event::Tick, &["trigger 1 at [0, 1]"]),
            (200, Event::Tick, &["trigger 2 at [0, 1]"]),
            (300, Event::Tick, &[]),
            (310, ack(0, 1), &[]),
            (320, ack(0, 2), &[]),
            (
                330,
                ack(1, 2),
                &[
                    "discard 0 of 1: Stale",
                    "abandoned: checkpoint 1 failed: checkpoint 2 was complete before it",
                    "store 2 finished []",
                    "trigger 3 at [0, 1]",
                ],
            ),
            (340, ack(1, 1), &["discard 1 of 1: Stale"]),
            (350, stored(2), &[]),
        ],
    );
    let paused = CoordinatorConfig { min_pause_ms: 1, ..two };
    script(coordinator(paused, 1), vec![(100, Event::Tick, &["trigger 1 at [0]"]), (200, Event::Tick, &[])]);
}

#[test]
fn the_last_snapshot_of_a_finished_task_is_part_of_all_checkpoints_to_come() {
    let mut coordinator = coordinator(config(), 2);
    coordinator.step(finished(1), 10);
    coordinator.step(Event::Tick, 100);
    let actions = coordinator.step(ack(0, 1), 110);
    let [Action::Store(completed)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(completed.handles.keys().map(|task| task.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(completed.duration_ms, 10);
}

#[test]
fn a_savepoint_waits_its_turn_and_commits_nothing() {
    let end = script(
        coordinator(config(), 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (110, savepoint(7, None), &[]),
            (120, ack(0, 1), &["store 1 finished []"]),
            (130, stored(1), &["trigger savepoint 2 at [0]"]),
            (130, prepared(2, "a"), &[]),
            (140, ack(0, 2), &["store 2 finished []"]),
            (150, stored(2), &["savepoint of 7 done"]),
        ],
    );
    assert!(end.into_uncommitted().is_empty(), "whoever restores the savepoint wants what it has on record");
    script(
        coordinator(CoordinatorConfig { interval_ms: None, ..config() }, 2),
        vec![
            (1, savepoint(1, None), &["trigger savepoint 1 at [0, 1]"]),
            (2, ack(0, 1), &[]),
            (
                1001,
                Event::Tick,
                &[
                    "discard 0 of 1: Stale",
                    "abandoned: checkpoint 1 expired after 1000 ms: no answer came from task 1",
                    "savepoint of 1 failed: checkpoint 1 expired after 1000 ms: no answer came from task 1",
                ],
            ),
            (2000, finished_without_snapshot(0), &[]),
            (
                2001,
                savepoint(2, None),
                &[
                    "savepoint of 2 failed: take a savepoint: task 0 has finished, and the job takes no checkpoints: \
                   set 'execution.checkpointing.interval'",
                ],
            ),
        ],
    );
}

#[test]
fn a_job_stops_with_a_savepoint_once_it_is_committed() {
    script(
        coordinator(config(), 1),
        vec![
            (1, savepoint(1, Some(Stop::Suspend)), &["trigger savepoint 1 at [0] and stop"]),
            (1, prepared(1, "a"), &[]),
            (100, Event::Tick, &[]),
            (110, ack(0, 1), &["store 1 finished []"]),
            (120, stored(1), &["commit 1 a"]),
            (130, savepoint(2, None), &[]),
            (
                140,
                Event::Committed,
                &[
                    "stopped for 1",
                    "savepoint of 2 failed: take a savepoint: the job has ended before it could begin",
                ],
            ),
            (200, Event::Tick, &[]),
        ],
    );
    let failed = Event::Declined { task: TaskId(0), checkpoint: CheckpointId(1), reason: "disk".to_string() };
    script(
        coordinator(config(), 1),
        vec![
            (1, savepoint(1, Some(Stop::Suspend)), &["trigger savepoint 1 at [0] and stop"]),
            (
                2,
                failed,
                &[
                    "abandoned: checkpoint 1 failed: task 0: disk",
                    "resume",
                    "savepoint of 1 failed: checkpoint 1 failed: task 0: disk",
                ],
            ),
            (100, Event::Tick, &["trigger 2 at [0]"]),
        ],
    );
}

#[test]
fn a_job_drains_into_a_savepoint_of_finished_tasks() {
    script(
        coordinator(config(), 2),
        vec![
            (100, savepoint(1, Some(Stop::Drain)), &["drain for 1"]),
            (120, finished(0), &[]),
            (130, prepared(2, "a"), &[]),
            (140, finished(1), &["store 1 finished [0, 1]"]),
            (150, stored(1), &["commit 1 a"]),
            (160, Event::Committed, &["stopped for 1"]),
        ],
    );
    let two = CoordinatorConfig { max_concurrent: 2, ..config() };
    let failed = Event::StoreFailed { checkpoint: CheckpointId(2), reason: "full".into(), in_doubt: false };
    script(
        coordinator(two, 1),
        vec![
            (100, Event::Tick, &["trigger 1 at [0]"]),
            (
                110,
                savepoint(1, Some(Stop::Drain)),
                &["abandoned: checkpoint 1 failed: the job stops with a savepoint", "drain for 2"],
            ),
            (120, ack(0, 1), &["discard 0 of 1: Stale"]),
            (140, finished(0), &["store 2 finished [0]"]),
            (
                150,
                failed,
                &[
                    "abandoned: checkpoint 2 failed: full",
                    "fail: checkpoint 2 failed: full",
                    "savepoint of 1 failed: checkpoint 2 failed: full",
                ],
            ),
        ],
    );
}

#[test]
fn a_checkpoint_that_takes_long_overtakes() {
    let config = CoordinatorConfig { mode: BarrierMode::Unaligned { after_ms: 30 }, ..config() };
    let mut late = coordinator(config.clone(), 2);
    assert_eq!(say(late.step(Event::Tick, 100)), ["trigger 1 at [0, 1]"]);
    assert_eq!(late.next_deadline(), Some(130));
    script(
        late,
        vec![
            (110, ack(0, 1), &[]),
            (130, Event::Tick, &["overtake for 1 at [1]"]),
            (140, Event::Tick, &[]),
            (150, ack(1, 1), &["store 1 finished []"]),
        ],
    );
    let at_once = CoordinatorConfig { mode: BarrierMode::Unaligned { after_ms: 0 }, ..config };
    script(coordinator(at_once, 1), vec![(100, Event::Tick, &["trigger 1 at [0]"]), (130, Event::Tick, &[])]);
}

/// People know operators, and no numbers of tasks.
#[test]
fn errors_name_what_people_know() {
    let names =
        |tasks: usize| (0..tasks).map(move |task| (TaskId(task), format!("Join ({}/{tasks})", task + 1)));
    let of = |tasks| coordinator(config(), tasks).with_names(names(tasks).collect());
    let expired = "fail: checkpoint 1 expired after 1000 ms: no answer came from Join (2/2)";
    let declined =
        Event::Declined { task: TaskId(1), checkpoint: CheckpointId(1), reason: "disk".to_string() };
    let mut late = of(2);
    late.step(Event::Tick, 100);
    late.step(ack(0, 1), 110);
    let said = say(late.step(Event::Tick, 1100));
    assert!(said.iter().any(|said| said == expired), "{said:?}");
    let mut refused = of(2);
    refused.step(Event::Tick, 100);
    assert_eq!(say(refused.step(declined, 110))[0], "fail: checkpoint 1 failed: Join (2/2): disk");
    let mut many = of(6);
    many.step(Event::Tick, 100);
    let said = say(many.step(Event::Tick, 1100));
    assert!(said[0].ends_with("from Join (1/6); Join (2/6); Join (3/6); and 3 others"), "{said:?}");
}
