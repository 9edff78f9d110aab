//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Flink SQL in one binary: no cluster, no JVM.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 the statement, an option or a file is wrong, 2 a job failed or was cancelled."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the statements of .sql files, in order and in one session
    Run(RunArguments),
    /// Open a SQL prompt
    Sql(SqlArguments),
    /// Show how a statement would run: its plan, its operators and the state that they keep
    Explain(ExplainArguments),
    /// List the jobs of this user that are running, whichever process runs them
    Jobs(JobsArguments),
    /// Stop a running job with a savepoint, and print where that is
    Stop(StopArguments),
    /// Cancel a running job, without a savepoint
    Cancel(JobArgument),
    /// Look at checkpoints and savepoints where they lie: no job, no cluster; or have a running job take one
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Take savepoints of running jobs, and rewrite them
    #[command(subcommand)]
    Savepoint(SavepointCommand),
}

/// A running job.
#[derive(Debug, Args)]
pub struct JobArgument {
    /// The job: its id or the beginning of it, or its name; may be left out where only one is running
    pub job: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct JobsArguments {
    #[command(subcommand)]
    pub command: Option<JobsCommand>,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Show one job with its checkpoints, as SHOW CHECKPOINTS does
    Show(ShowJobArguments),
}

#[derive(Debug, Args)]
pub struct ShowJobArguments {
    #[command(flatten)]
    pub job: JobArgument,
    /// Show one of its checkpoints, complete or not, with what each subtask has answered
    #[arg(long, value_name = "NUMBER")]
    pub checkpoint: Option<u64>,
}

#[derive(Debug, Args)]
pub struct SavepointArguments {
    /// The job: its id or the beginning of it, or its name; may be left out where only one is running
    pub job: Option<String>,
    /// A directory or URL below which it is written; 'execution.checkpointing.savepoint-dir' of the job if left out
    pub path: Option<String>,
    /// Write Arrow files with SQL names and types, which every state backend opens, instead of segments
    #[arg(long)]
    pub canonical: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StopArguments {
    /// The job: its id or the beginning of it, or its name; may be left out where only one is running
    pub job: Option<String>,
    /// A directory or URL below which the savepoint is written; 'execution.checkpointing.savepoint-dir' of the job if left
    /// out. There is a savepoint in any case
    #[arg(short = 'p', long, value_name = "PATH", num_args = 0..=1, default_missing_value = "")]
    pub savepoint: Option<String>,
    /// End the input first, as if nothing came any more: windows fire. The job is over then
    #[arg(short = 'd', long)]
    pub drain: bool,
    /// Write Arrow files with SQL names and types, which every state backend opens, instead of segments
    #[arg(long)]
    pub canonical: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// List the checkpoints of a directory: of one job, or of all
    Ls {
        /// A directory or a URL: what 'execution.checkpointing.dir' names, or a job's directory below it
        path: String,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a checkpoint holds: operators, states, sizes, entries, positions, durations
    Show {
        /// The directory of a checkpoint, its _metadata, or a job's directory for its newest
        path: String,
        /// Entries of each state to show
        #[arg(long, default_value_t = 3)]
        samples: usize,
        /// Print all of it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read everything that a checkpoint consists of, and say what is wrong with it
    Fsck {
        /// The directory of a checkpoint, or of a job, or of several: all checkpoints below are read
        path: String,
    },
    /// Have a running job take a checkpoint now, and print where it is
    Trigger(JobArgument),
    /// Remove checkpoints, with those of their files that no other checkpoint of the job needs
    Rm {
        /// Directories of checkpoints
        #[arg(required = true)]
        paths: Vec<String>,
        /// Also where it is not known what else belongs to it: of one with a damaged manifest all shared files of the job
        /// that no checkpoint names, beside a damaged one only what is in its own directory
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum SavepointCommand {
    /// Have a running job write a savepoint, wait until it is complete, and print where it is
    Create(SavepointArguments),
    /// Write a checkpoint or savepoint as a savepoint in another directory, in another format
    Convert {
        /// The directory of a checkpoint or savepoint
        from: String,
        /// A directory that is not there yet, or empty
        to: String,
        /// How the state is written
        #[arg(long, value_enum, default_value_t = FormatArgument::Canonical)]
        format: FormatArgument,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum FormatArgument {
    /// Arrow files with SQL names and types, which every state backend opens
    Canonical,
    /// segments, which restore fastest
    Native,
}

/// Settings and variables that every command takes.
#[derive(Debug, Args)]
pub struct SessionArguments {
    /// Value of ${NAME} in the SQL text; ${NAME:-default} has a default
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE")]
    pub define: Vec<String>,
    /// A setting, as SET 'KEY' = 'VALUE' would make it
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// Files to run; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub session: SessionArguments,
    /// Begin with a checkpoint or savepoint: the directory of one, such as DIR/JOB-ID/chk-7, or DIR/JOB-ID for the
    /// newest; as SET 'execution.state-recovery.path' would
    #[arg(long, value_name = "PATH")]
    pub from: Option<String>,
    /// Print results as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SqlArguments {
    /// Files to run before the prompt appears
    #[arg(short = 'i', long = "init", value_name = "FILE")]
    pub init: Vec<PathBuf>,
    /// Run these statements instead of opening a prompt
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    pub execute: Option<String>,
    #[command(flatten)]
    pub session: SessionArguments,
    /// Print results as JSON lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Files with statements; each query and INSERT is explained, the others are executed. `-` reads standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A statement to explain, after those of the files
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    pub execute: Option<String>,
    #[command(flatten)]
    pub session: SessionArguments,
    /// Show the state that each statement will keep, as EXPLAIN CHECKPOINT does
    #[arg(long)]
    pub checkpoint: bool,
    /// Print the operators, or their states, as JSON
    #[arg(long)]
    pub json: bool,
}
