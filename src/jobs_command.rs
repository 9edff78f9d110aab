//! `weir jobs`, `weir savepoint create`, `weir stop`, `weir cancel` and `weir checkpoint trigger`: jobs of other processes.

use crate::arguments::{
    JobArgument, JobsArguments, JobsCommand, SavepointArguments, ShowJobArguments, StopArguments,
};
use crate::control::{Answer, Process, Question, Silence, processes};
use crate::failure::Failure;
use crate::jobs::JobReport;
use crate::render::{
    CHECKPOINT_COLUMNS, JOB_COLUMNS, checkpoint_counts, checkpoint_details, checkpoint_row, job_row,
    print_table,
};
use serde_json::json;
use std::io::Write;

pub fn jobs(arguments: &JobsArguments) -> Result<(), Failure> {
    if let Some(JobsCommand::Show(job)) = &arguments.command {
        return show(job);
    }
    let reports: Vec<JobReport> = running().into_iter().map(|(_, report)| report).collect();
    if arguments.json {
        return print_json(&reports);
    }
    let mut out = std::io::stdout().lock();
    if reports.is_empty() {
        writeln!(out, "No jobs are running.")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = reports.iter().map(job_row).collect();
    print_table(&JOB_COLUMNS.map(str::to_string), &rows, usize::MAX, &mut out)
}

/// The checkpoints of a job.
fn show(arguments: &ShowJobArguments) -> Result<(), Failure> {
    let ShowJobArguments { job: argument, checkpoint } = arguments;
    let (process, report) = find("show job", argument.job.as_deref())?;
    if let Some(checkpoint) = *checkpoint {
        let question = Question::CheckpointDetails { job: report.id.clone(), checkpoint };
        let answer = ask("show job", &process, &report, question)?;
        let Answer::CheckpointDetails(details) = answer else { return Err(unexpected(&process)) };
        return match argument.json {
            true => print_json(&details),
            false => print_line(checkpoint_details(&details).trim_end()),
        };
    }
    let answer = ask("show job", &process, &report, Question::Checkpoints { job: report.id.clone() })?;
    let Answer::Checkpoints(checkpoints) = answer else { return Err(unexpected(&process)) };
    if argument.json {
        return print_json(&json!({ "job": report, "checkpoints": checkpoints }));
    }
    let mut out = std::io::stdout().lock();
    print_table(&JOB_COLUMNS.map(str::to_string), &[job_row(&report)], usize::MAX, &mut out)?;
    let rows: Vec<Vec<String>> =
        checkpoints.history.iter().map(|line| checkpoint_row(&report.id, line)).collect();
    print_table(&CHECKPOINT_COLUMNS.map(str::to_string), &rows, usize::MAX, &mut out)?;
    writeln!(out, "{}", checkpoint_counts(&checkpoints))?;
    Ok(())
}

/// Has a job write a savepoint, as the question to it says, and prints where it is.
fn savepoint(
    action: &str,
    (job, path): (Option<&str>, Option<&str>),
    json: bool,
    question: impl FnOnce(String, Option<String>) -> Question,
) -> Result<(), Failure> {
    let (process, report, directory) = find_with_path(action, job, path)?;
    let question = question(report.id.clone(), directory);
    let Answer::Savepoint { path } = ask(action, &process, &report, question)? else {
        return Err(unexpected(&process));
    };
    match json {
        true => print_json(&json!({ "job": report.id, "path": path })),
        false => print_line(&path),
    }
}

pub fn create_savepoint(arguments: &SavepointArguments) -> Result<(), Failure> {
    let SavepointArguments { job, path, canonical, json } = arguments;
    let question = |job, directory| Question::Savepoint { job, directory, canonical: *canonical };
    savepoint("take a savepoint", (job.as_deref(), path.as_deref()), *json, question)
}

pub fn stop(arguments: &StopArguments) -> Result<(), Failure> {
    let StopArguments { job, savepoint: path, drain, canonical, json } = arguments;
    // `--savepoint` by itself stands for the directory of the job's settings
    let path = path.as_deref().filter(|path| !path.is_empty());
    let (drain, canonical) = (*drain, *canonical);
    let question = |job, directory| Question::Stop { job, directory, canonical, drain };
    savepoint("stop", (job.as_deref(), path), *json, question)
}

pub fn cancel(argument: &JobArgument) -> Result<(), Failure> {
    let (process, report) = find("cancel", argument.job.as_deref())?;
    let question = Question::Cancel { job: report.id.clone() };
    let Answer::Ended { status } = ask("cancel", &process, &report, question)? else {
        return Err(unexpected(&process));
    };
    match argument.json {
        true => print_json(&json!({ "job": report.id, "status": status })),
        false => print_line(&format!("{} ({}): {status}", report.id, report.name)),
    }
}

pub fn trigger_checkpoint(argument: &JobArgument) -> Result<(), Failure> {
    let action = "take a checkpoint";
    let (process, report) = find(action, argument.job.as_deref())?;
    let question = Question::Checkpoint { job: report.id.clone() };
    let Answer::Checkpoint { id, path } = ask(action, &process, &report, question)? else {
        return Err(unexpected(&process));
    };
    match (argument.json, path) {
        (true, path) => print_json(&json!({ "job": report.id, "checkpoint": id, "path": path })),
        (false, Some(path)) => print_line(&path),
        (false, None) => print_line(&format!("checkpoint {id}, in memory")),
    }
}

/// All jobs of this user that run, the longest-running first. A process that does not answer is told of.
fn running() -> Vec<(Process, JobReport)> {
    let mut running = Vec::new();
    for process in processes() {
        match process.ask(&Question::Jobs) {
            Ok(Answer::Jobs(jobs)) => running.extend(jobs.into_iter().map(|job| (process.clone(), job))),
            Ok(_) => say!("warning: {}", unexpected(&process)),
            Err(Silence::Gone) => {}
            Err(Silence::Failed(reason)) => say!("warning: {reason}"),
        }
    }
    running.sort_by(|(_, one), (_, other)| (one.since_ms, &one.id).cmp(&(other.since_ms, &other.id)));
    running
}

/// The job that `word` means: an id, a name, the beginning of an id, or nothing where only one runs.
fn find(action: &str, word: Option<&str>) -> Result<(Process, JobReport), Failure> {
    pick(action, word, running())
}

/// A job and where its savepoint goes. A single word with a `/` in it that is no job is the place.
fn find_with_path(
    action: &str,
    job: Option<&str>,
    path: Option<&str>,
) -> Result<(Process, JobReport, Option<String>), Failure> {
    let running = running();
    let is_job = |word: &str| !matching(word, &running).is_empty();
    let (job, path) = match (job, path) {
        (Some(word), None) if word.contains('/') && !is_job(word) => (None, Some(word)),
        (None, Some(word)) if !word.contains('/') && is_job(word) => (Some(word), None),
        given => given,
    };
    let (process, report) = pick(action, job, running)?;
    let directory = path.map(absolute).transpose()?;
    Ok((process, report, directory))
}

/// The other process works in another directory.
fn absolute(path: &str) -> Result<String, Failure> {
    if path.contains("://") || path.starts_with("file:") {
        return Ok(path.to_string());
    }
    let absolute = std::path::absolute(path).ok().and_then(|path| path.to_str().map(str::to_string));
    absolute.ok_or_else(|| Failure::User(format!("'{path}': it has no absolute path in UTF-8")))
}

/// The places of the jobs that a word may mean: an id is one before a name, and a name before the beginning of an id.
fn matching(word: &str, running: &[(Process, JobReport)]) -> Vec<usize> {
    let by = |fits: &dyn Fn(&JobReport) -> bool| -> Vec<usize> {
        running.iter().enumerate().filter(|(_, (_, job))| fits(job)).map(|(place, _)| place).collect()
    };
    let rules: [&dyn Fn(&JobReport) -> bool; 3] =
        [&|job| job.id == word, &|job| job.name == word, &|job| !word.is_empty() && job.id.starts_with(word)];
    rules.into_iter().map(by).find(|found| !found.is_empty()).unwrap_or_default()
}

fn pick(
    action: &str,
    word: Option<&str>,
    mut running: Vec<(Process, JobReport)>,
) -> Result<(Process, JobReport), Failure> {
    let all: Vec<usize> = (0..running.len()).collect();
    let found = word.map_or_else(|| all.clone(), |word| matching(word, &running));
    if let [place] = found[..] {
        return Ok(running.swap_remove(place));
    }
    let asked = word.map_or_else(|| action.to_string(), |word| format!("{action} '{word}'"));
    let (problem, listed) = match (found.is_empty(), word) {
        _ if running.is_empty() => ("no job of this user is running", vec![]),
        (true, Some(_)) => ("there is no such job; these are running:", all),
        (false, Some(_)) => ("it means several jobs, name one by more of its id:", found),
        (_, None) => ("name the job, as several are running:", all),
    };
    let listed = listed.into_iter().map(|place| &running[place].1);
    let listed: String =
        listed.map(|job| format!("\n  {}  {}  process {}", job.id, job.name, job.pid)).collect();
    Err(Failure::User(format!("{asked}: {problem}{listed}")))
}

fn ask(action: &str, process: &Process, job: &JobReport, question: Question) -> Result<Answer, Failure> {
    match process.ask(&question) {
        Ok(Answer::Refused(refusal)) => Err(refusal.into()),
        Ok(answer) => Ok(answer),
        Err(Silence::Gone) => Err(Failure::Job(format!(
            "{action} '{}': its process {} has ended without an answer",
            job.id, process.pid
        ))),
        Err(Silence::Failed(reason)) => Err(Failure::Job(format!("{action} '{}': {reason}", job.id))),
    }
}

fn unexpected(process: &Process) -> Failure {
    Failure::Job(format!("process {} answered something else than was asked", process.pid))
}

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Job(error.to_string()))?;
    print_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, name: &str) -> (Process, JobReport) {
        let report = JobReport {
            id: id.to_string(),
            name: name.to_string(),
            pid: 7,
            status: "RUNNING".to_string(),
            parallelism: 1,
            since_ms: 0,
            rows_in: 0,
            rows_out: 0,
            watermark: None,
            restored: None,
            checkpoint: None,
            savepoint: None,
        };
        (Process::for_tests(7), report)
    }

    fn picked(word: Option<&str>, jobs: &[(&str, &str)]) -> Result<String, String> {
        let running = jobs.iter().map(|(id, name)| report(id, name)).collect();
        pick("stop", word, running).map(|(_, job)| job.id).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_job_by_its_id_or_name_or_alone() {
        let jobs = [("abc1", "counts"), ("abd2", "sums"), ("c0", "ab")];
        assert_eq!(picked(Some("abc1"), &jobs).as_deref(), Ok("abc1"));
        assert_eq!(picked(Some("abd"), &jobs).as_deref(), Ok("abd2"));
        assert_eq!(picked(Some("sums"), &jobs).as_deref(), Ok("abd2"));
        assert_eq!(picked(Some("ab"), &jobs).as_deref(), Ok("c0"), "a name before the beginning of an id");
        assert_eq!(picked(None, &jobs[..1]).as_deref(), Ok("abc1"));
    }

    #[test]
    fn who_cannot_be_meant_is_listed() {
        let jobs = [("abc1", "counts"), ("abd2", "counts")];
        for word in ["ab", "counts"] {
            let error = picked(Some(word), &jobs).expect_err("ambiguous");
            assert!(
                error.contains("several jobs") && error.contains("abc1") && error.contains("abd2"),
                "{error}"
            );
        }
        let error = picked(None, &jobs).expect_err("which");
        assert!(error.starts_with("stop: name the job") && error.contains("abd2  counts"), "{error}");
        let error = picked(Some("x"), &jobs).expect_err("none");
        assert!(error.contains("'x': there is no such job") && error.contains("abc1"), "{error}");
        assert!(picked(Some(""), &jobs[..1]).is_err(), "an unset variable means nothing");
        assert_eq!(picked(None, &[]).expect_err("none"), "stop: no job of this user is running");
    }
}
