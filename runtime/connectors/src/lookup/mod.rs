//! Tables that are asked for rows by key.
//!
//! | module | what |
//! | --- | --- |
//! | `options` | the options that start with `lookup.` |
//! | `scan` | a table that is read from its beginning to its end for each answer |
//! | `keyed_rows` | rows that are found by their keys |
//! | `full` | all rows of a table, read again now and then |
//! | `partial` | rows that were found lately |
//!
//! A connector that can answer by key itself implements [`KeySource`]; [`cached`] puts the cache in front of it that the table
//! asks for. Others are scanned.

mod full;
mod keyed_rows;
mod options;
mod partial;
mod scan;

#[cfg(test)]
mod tests;

use crate::{ConnectorError, Source};
use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use full::FullCache;
use partial::PartialCache;
use scan::Scan;
use std::sync::Arc;
use weir_types::{
    BoxFuture, Classify, ErrorKind, LookupError, LookupRows, LookupSource, RuntimeEnv, SourceSpec,
};

pub(crate) use options::{LookupCache, LookupOptions};

/// Answers without a cache.
pub(crate) trait KeySource: Send + Sync {
    /// As [`LookupSource::lookup`].
    fn find(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>>;
}

struct Uncached(Arc<dyn KeySource>);

impl LookupSource for Uncached {
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        self.0.find(keys)
    }
}

/// A bounded source that is read to its end: all of it into memory, or anew for each lookup. `keys` are places in the
/// projection of `spec`.
pub(crate) fn scanned(
    source: Arc<dyn Source>,
    spec: &SourceSpec,
    keys: &[usize],
    options: &LookupOptions,
    env: &RuntimeEnv,
) -> Result<Arc<dyn LookupSource>, ConnectorError> {
    let scan = Scan::new(source, spec, keys, options.max_retries, env)?;
    Ok(match options.cache {
        LookupCache::Full { reload } => Arc::new(FullCache::new(Arc::new(scan), reload, env)),
        LookupCache::None | LookupCache::Partial(_) => {
            let types = scan.key_types().to_vec();
            cached(Arc::new(scan), &types, options, env)?
        }
    })
}

/// The table with the cache that it asks for, if that is a partial one.
pub(crate) fn cached(
    source: Arc<dyn KeySource>,
    key_types: &[arrow::datatypes::DataType],
    options: &LookupOptions,
    env: &RuntimeEnv,
) -> Result<Arc<dyn LookupSource>, ConnectorError> {
    match &options.cache {
        LookupCache::Partial(partial) => {
            let cache = PartialCache::new(source, key_types, partial.clone(), env);
            Ok(Arc::new(cache.map_err(|error| ConnectorError::Options(error.to_string()))?))
        }
        _ => Ok(Arc::new(Uncached(source))),
    }
}

fn failed(error: &ConnectorError) -> LookupError {
    LookupError { kind: error.kind(), message: format!("look rows up: {error}") }
}

fn internal(error: impl std::fmt::Display) -> LookupError {
    LookupError { kind: ErrorKind::Internal, message: format!("look rows up: {error}") }
}

impl From<ArrowError> for ConnectorError {
    fn from(error: ArrowError) -> Self {
        ConnectorError::Internal(error.to_string())
    }
}
