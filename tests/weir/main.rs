//! The binary seen from outside: SQL in, results out.

mod goldens;
mod process;
mod semantics;
