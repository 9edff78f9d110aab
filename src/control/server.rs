//! The side that listens.

use super::place;
use super::protocol::{self, Answer, QUESTION_BYTES, Question, Refusal};
use crate::failure::Failure;
use crate::jobs::{CheckpointDetails, CheckpointsReport, Job, JobReport, Jobs};
use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use weir_planner::SavepointWish;
use weir_runtime::types::RuntimeEnv;
use weir_runtime::{ProductionEnv, Stop};

/// Questions that are answered at a time; further ones wait.
const AT_A_TIME: u32 = 64;
/// What whoever has connected may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the process waits at its end for answers that are on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Sockets of one process id that are tried.
const NAMES: u32 = 16;

/// Answers questions about the jobs of this process until it is dropped.
pub struct Control {
    socket: PathBuf,
    production: ProductionEnv,
    answering: Arc<Semaphore>,
}

impl Control {
    /// Listens from now on. Nothing waits: questions are answered by the threads that run the jobs.
    ///
    /// Errors: why there is no place for a socket.
    pub fn open(production: &ProductionEnv, jobs: Jobs) -> Result<Control, String> {
        let mut reasons = Vec::new();
        for directory in place::places() {
            match bind(&directory) {
                Ok((listener, socket)) => {
                    let answering = Arc::new(Semaphore::new(AT_A_TIME as usize));
                    let env = production.env();
                    let listen = listen(listener, env.clone(), jobs, answering.clone());
                    env.spawner.spawn("control", Box::pin(listen));
                    return Ok(Control { socket, production: production.clone(), answering });
                }
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // whoever finds it sees that nobody answers
        let _ = std::fs::remove_file(&self.socket);
        if self.answering.available_permits() == AT_A_TIME as usize || std::thread::panicking() {
            return;
        }
        let answered = self.answering.acquire_many(AT_A_TIME);
        let clock = self.production.env().clock;
        self.production.block_on(async {
            tokio::select! {
                _ = answered => {}
                () = clock.sleep(LAST_ANSWERS) => {}
            }
        });
    }
}

/// A socket of this process. It gets its name when it can answer, so that whoever finds a socket that refuses knows it for dead.
pub(super) fn bind(directory: &Path) -> Result<(StdListener, PathBuf), String> {
    place::make(directory)?;
    let pid = std::process::id();
    let fail = |error: io::Error| format!("{}: {error}", directory.display());
    let socket = (0..NAMES).map(|attempt| directory.join(place::name(pid, attempt)));
    let socket = socket.into_iter().find(|socket| std::os::unix::net::UnixStream::connect(socket).is_err());
    let Some(socket) = socket else { return Err(format!("{}: no name is free", directory.display())) };
    let new = socket.with_extension("new");
    // of a process with this id that died before it could rename it
    let _ = std::fs::remove_file(&new);
    let listener = StdListener::bind(&new).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    std::fs::rename(&new, &socket).map_err(fail)?;
    Ok((listener, socket))
}

async fn listen(listener: StdListener, env: RuntimeEnv, jobs: Jobs, answering: Arc<Semaphore>) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // too many open files, most likely: it passes
            env.clock.sleep(PATIENCE).await;
            continue;
        };
        let Ok(permit) = answering.clone().acquire_owned().await else { return };
        let (jobs, within) = (jobs.clone(), env.clone());
        let serve = async move {
            // whoever asked may have gone
            let _ = serve(stream, &jobs, &within).await;
            drop(permit);
        };
        env.spawner.spawn("answer", Box::pin(serve));
    }
}

/// Reads one question and answers it.
async fn serve(mut stream: UnixStream, jobs: &Jobs, env: &RuntimeEnv) -> io::Result<()> {
    // the directory keeps others out, unless somebody opened it
    if stream.peer_cred()?.uid() != place::user() {
        return Ok(());
    }
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader.take(QUESTION_BYTES));
    within(env, reader.read_line(&mut line)).await?;
    let question = match line.ends_with('\n') {
        true => protocol::decode(&line),
        // whoever only looked whether anybody listens
        false if line.is_empty() => return Ok(()),
        false => Err(format!("it has more than {QUESTION_BYTES} bytes, or no end")),
    };
    let answer = match question {
        Ok(question) => {
            answer(question, jobs).await.unwrap_or_else(|failure| Answer::Refused(failure.into()))
        }
        Err(reason) => {
            let message = format!("process {}: read the question: {reason}", std::process::id());
            Answer::Refused(Refusal { user: false, message })
        }
    };
    let line = protocol::encode(answer);
    within(env, writer.write_all(line.as_bytes())).await?;
    within(env, writer.shutdown()).await
}

async fn within<T>(env: &RuntimeEnv, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        done = work => done,
        () = env.clock.sleep(PATIENCE) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn answer(question: Question, jobs: &Jobs) -> Result<Answer, Failure> {
    let find = |id: &str| -> Result<Arc<Job>, Failure> {
        let found = jobs.get(id).filter(|job| job.handle.outcome().is_none());
        found.ok_or_else(|| Failure::User(format!("job '{id}' has ended meanwhile")))
    };
    Ok(match question {
        Question::Jobs => Answer::Jobs(jobs.running().iter().map(|job| JobReport::of(job)).collect()),
        Question::Checkpoints { job } => Answer::Checkpoints(Box::new(CheckpointsReport::of(&*find(&job)?))),
        Question::CheckpointDetails { job, checkpoint } => {
            let details = CheckpointDetails::of(&*find(&job)?, checkpoint);
            let unknown = || Failure::User(format!("job '{job}' remembers no checkpoint {checkpoint}"));
            Answer::CheckpointDetails(Box::new(details.ok_or_else(unknown)?))
        }
        Question::Savepoint { job, directory, canonical } => {
            let path = find(&job)?.savepoint(&SavepointWish { directory, canonical }).await?;
            Answer::Savepoint { path }
        }
        Question::Stop { job, directory, canonical, drain } => {
            let stop = if drain { Stop::Drain } else { Stop::Suspend };
            let path = find(&job)?.stop(&SavepointWish { directory, canonical }, stop).await?;
            Answer::Savepoint { path }
        }
        Question::Cancel { job } => {
            let job = find(&job)?;
            job.cancel().await;
            Answer::Ended { status: job.handle.status().to_string() }
        }
        Question::Checkpoint { job } => {
            let (id, path) = find(&job)?.handle.checkpoint().await?;
            Answer::Checkpoint { id: id.0, path }
        }
    })
}
