//! Sources and sinks.
//!
//! Read first: [`Source`] and [`SourceReader`], [`Sink`] and [`SinkWriter`], [`Connectors`] (the registry that
//! checks a table's options and opens it).
//!
//! | module | what |
//! | --- | --- |
//! | `connector`, `registry`, `options`, `projection` | which connectors exist, how tables are read and checked |
//! | `lookup` | tables that are asked for rows by key, and their caches |
//! | `filesystem` | files and directories, local or in an object store: read, watched, and written in two phases |
//! | `nexmark`, `datagen`, over `generator` and `random` | rows that are computed from their numbers |
//! | `socket` | lines from a TCP server |
//! | `print`, `blackhole` | sinks that keep nothing |
//!
//! This room deliberately does not know key groups, operators, or whether a checkpoint completed: it hands out
//! positions and committables, and commits when it is told to. It reads no environment variable and no clock:
//! both are handed in.

mod blackhole;
mod connector;
mod datagen;
mod error;
mod filesystem;
mod generator;
mod json_rows;
mod limited;
mod lookup;
mod nexmark;
mod options;
mod print;
mod projection;
mod random;
mod registry;
mod sink;
mod socket;
mod source;

#[cfg(test)]
mod testing;

pub use error::ConnectorError;
pub use json_rows::JsonRows;
pub use registry::Connectors;
pub use sink::{Committable, Committer, Sink, SinkWriter, WriterContext};
pub use source::{ReaderContext, Source, SourceEvent, SourceReader, SplitState};
