//! The binary seen from outside: SQL in, results out.

mod cli;
mod goldens;
mod oracle;
mod process;
mod semantics;
mod slt;
