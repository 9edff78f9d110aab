//! The side that asks.

use super::place;
use super::protocol::{self, ANSWER_BYTES, Answer, Question};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// What a process may take to answer what it knows by heart.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that seems to listen.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The process has ended.
    Gone,
    /// It is there, and something is wrong.
    Failed(String),
}

/// All processes of this user that seem to listen.
pub fn processes() -> Vec<Process> {
    let sockets = place::places().into_iter().flat_map(|directory| place::sockets(&directory));
    sockets.map(|(pid, socket)| Process { pid, socket }).collect()
}

impl Process {
    /// One that never was.
    #[cfg(test)]
    pub fn for_tests(pid: u32) -> Process {
        Process { pid, socket: PathBuf::new() }
    }

    /// Asks, and waits for the answer: for as long as it takes where something is to be done. The socket of a process that
    /// is dead is removed.
    ///
    /// Errors: [`Silence`].
    pub fn ask(&self, question: &Question) -> Result<Answer, Silence> {
        let at_once = matches!(
            question,
            Question::Jobs | Question::Checkpoints { .. } | Question::CheckpointDetails { .. }
        );
        let mut stream = match UnixStream::connect(&self.socket) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                // somebody else may have been faster
                let _ = std::fs::remove_file(&self.socket);
                return Err(Silence::Gone);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Silence::Gone),
            Err(error) => return Err(self.failed("connect", &error)),
        };
        let mut answer = String::new();
        let mut exchange = || -> io::Result<()> {
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_read_timeout(at_once.then_some(PATIENCE))?;
            stream.write_all(protocol::encode(question).as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            (&mut stream).take(ANSWER_BYTES).read_to_string(&mut answer)?;
            Ok(())
        };
        match exchange() {
            Ok(()) if answer.ends_with('\n') => {
                let decoded = protocol::decode(&answer);
                decoded.map_err(|reason| {
                    Silence::Failed(format!("process {}: read its answer: {reason}", self.pid))
                })
            }
            Ok(()) => Err(Silence::Gone),
            Err(error) => match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Silence::Gone),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(Silence::Failed(format!(
                    "process {} does not answer within {} s",
                    self.pid,
                    PATIENCE.as_secs()
                ))),
                _ => Err(self.failed("ask", &error)),
            },
        }
    }

    fn failed(&self, action: &str, error: &io::Error) -> Silence {
        Silence::Failed(format!("{action} process {} at {}: {error}", self.pid, self.socket.display()))
    }
}
