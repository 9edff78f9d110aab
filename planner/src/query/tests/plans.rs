//! What EXPLAIN says, kept as files.

use super::Script;
use super::harness::{expect_file, nexmark};

/// The plan of a Nexmark query.
fn nexmark_plan(name: &str) {
    let mut script = Script::new();
    script.run("DROP TABLE bid");
    script.run(&nexmark("tables.sql"));
    script.run(&nexmark(&format!("{name}.sql")).replace("INSERT INTO", "EXPLAIN CHANGELOG_MODE INSERT INTO"));
    expect_file(&format!("nexmark_{name}.txt"), &script.output);
}

/// The plans of a script of this folder.
fn plan_file(name: &str) {
    let path = format!("{}/src/query/tests/plans/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    let mut script = Script::new();
    script.run(&std::fs::read_to_string(path).unwrap());
    expect_file(&format!("{name}.txt"), &script.output);
}

#[test]
fn nexmark_queries() {
    let names = [
        "q0",
        "q1",
        "q2",
        "q3",
        "q4",
        "q5",
        "q7",
        "q8",
        "q9",
        "q13",
        "q18",
        "q19",
        "q20",
        "q5_counts",
        "q5_max",
        "q7_max",
        "q11",
        "q11_legacy",
        "q12",
        "q14",
        "q15",
        "q16",
        "q17",
        "q21",
        "q22",
    ];
    names.into_iter().for_each(nexmark_plan);
}

#[test]
fn joins_that_time_bounds() {
    plan_file("timed_joins");
}

#[test]
fn windows() {
    plan_file("windows");
}

#[test]
fn group_windows() {
    plan_file("group_windows");
}

#[test]
fn groups() {
    plan_file("groups");
}

#[test]
fn relations() {
    plan_file("relations");
}

#[test]
fn shared_parts() {
    plan_file("shared_parts");
}

#[test]
fn changelogs() {
    plan_file("changelogs");
}

#[test]
fn hints_and_mini_batches() {
    plan_file("tuning");
}

#[test]
fn unnest() {
    plan_file("unnest");
}

#[test]
fn sessions() {
    plan_file("sessions");
}

#[test]
fn watermarks() {
    plan_file("watermarks");
}

#[test]
fn costs() {
    plan_file("costs");
}

#[test]
fn joins() {
    plan_file("joins");
}

#[test]
fn ranks() {
    plan_file("ranks");
}

#[test]
fn over() {
    plan_file("over");
}

#[test]
fn matches() {
    plan_file("matches");
}
