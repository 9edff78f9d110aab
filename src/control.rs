//! How processes of one user reach each other's jobs: each that runs jobs listens on a Unix socket in a private directory.
//!
//! [`Control`] is the side that listens, [`processes`] finds those that do. A connection carries one question and one
//! answer, a line of JSON each (`protocol.rs`). The directory lets nobody else in, and whoever connects is asked for its
//! user. A socket whose process was killed answers nobody; whoever meets it removes it.

mod client;
mod place;
mod protocol;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Process, Silence, processes};
pub use protocol::{Answer, Question};
pub use server::Control;
