//! The binary seen from outside: SQL in, results out.

mod checkpoint_fixture;
mod cli;
#[cfg(unix)]
mod control;
mod damage;
mod explain_checkpoint;
mod goldens;
mod kill;
mod local_copies;
mod oracle;
mod oracle_over;
mod oracle_random;
mod process;
mod rocksdb;
mod semantics;
mod show_checkpoints;
mod slt;
mod upserts;
mod wordcount;
