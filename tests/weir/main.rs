//! The binary seen from outside: SQL in, results out.

mod goldens;
mod oracle;
mod process;
mod semantics;
