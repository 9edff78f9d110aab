//! Whole jobs under the simulated environment.

mod checkpoints;
mod endings;
mod flow;
mod joins;
mod lookups;
mod operators;
mod restores;
mod savepoints;
mod store;
mod worlds;
