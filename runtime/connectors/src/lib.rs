//! Sources and sinks.
//!
//! Read first: [`Source`] and [`SourceReader`], [`Sink`] and [`SinkWriter`], [`Connectors`] (the registry that checks
//! a table's options and opens it).
//!
//! This room deliberately does not know key groups, operators, or whether a checkpoint completed: it hands out
//! positions and committables, and commits when it is told to.

mod error;
mod registry;
mod sink;
mod source;

pub use error::ConnectorError;
pub use registry::Connectors;
pub use sink::{Committable, Committer, Sink, SinkWriter, WriterContext};
pub use source::{ReaderContext, Source, SourceEvent, SourceReader, SplitState};
