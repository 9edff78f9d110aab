//! A bounded source, read from its beginning to its end.

use super::keyed_rows::KeyedRows;
use super::{KeySource, failed, internal};
use crate::projection::scan_schema;
use crate::{ConnectorError, ReaderContext, Source, SourceEvent, SplitState};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use std::sync::Arc;
use std::time::Duration;
use weir_types::{
    BoxFuture, Classify, ErrorKind, KeyEncoder, LookupError, LookupRows, OperatorMetrics, RuntimeEnv,
    SourceSpec, SubtaskIndex,
};

const BATCH_ROWS: usize = 8192;
/// Before the first retry; the second waits twice as long, and so on.
const RETRY_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Scan {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Source>,
    /// for messages
    table: String,
    schema: SchemaRef,
    keys: Vec<usize>,
    key_types: Vec<DataType>,
    max_retries: u32,
    env: RuntimeEnv,
}

impl Scan {
    pub fn new(
        source: Arc<dyn Source>,
        spec: &SourceSpec,
        keys: &[usize],
        max_retries: u32,
        env: &RuntimeEnv,
    ) -> Result<Self, ConnectorError> {
        let schema = scan_schema(spec);
        let key_types: Vec<DataType> =
            keys.iter().map(|key| schema.field(*key).data_type().clone()).collect();
        KeyEncoder::new(&key_types).map_err(|error| {
            ConnectorError::Options(format!("table {}: look rows up: {error}", spec.table.name))
        })?;
        let inner = Inner {
            source,
            table: spec.table.name.clone(),
            schema,
            keys: keys.to_vec(),
            key_types,
            max_retries,
            env: env.clone(),
        };
        Ok(Scan { inner: Arc::new(inner) })
    }

    pub fn key_types(&self) -> &[DataType] {
        &self.inner.key_types
    }

    /// All rows as they are now.
    pub fn load(&self) -> BoxFuture<Result<Arc<KeyedRows>, LookupError>> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.load().await.map(Arc::new) })
    }
}

impl Inner {
    async fn load(&self) -> Result<KeyedRows, LookupError> {
        let mut failures = 0;
        let rows = loop {
            match self.read().await {
                Ok(rows) => break rows,
                Err(error) if error.kind() == ErrorKind::Unavailable && failures < self.max_retries => {
                    failures += 1;
                    self.env.clock.sleep(RETRY_DELAY * failures).await;
                }
                Err(error) => return Err(failed(&error)),
            }
        };
        KeyedRows::new(rows, &self.keys)
    }

    async fn read(&self) -> Result<RecordBatch, ConnectorError> {
        let splits = self.source.splits(1).await?;
        let splits = splits.into_iter().map(|split| SplitState { split, position: None }).collect();
        let context = ReaderContext {
            subtask: SubtaskIndex(0),
            parallelism: 1,
            batch_rows: BATCH_ROWS,
            batch_timeout_ms: u64::MAX / 2,
            env: self.env.clone(),
            metrics: Arc::new(OperatorMetrics::default()),
        };
        let mut reader = self.source.reader(context, splits).await?;
        let mut batches = Vec::new();
        loop {
            match reader.next().await? {
                SourceEvent::Rows { batch, .. } if batch.kinds().is_some() => {
                    let message =
                        format!("table {}: it gives changes, which cannot be looked up", self.table);
                    return Err(ConnectorError::Record(message));
                }
                SourceEvent::Rows { batch, .. } => batches.push(batch.into_parts().0),
                SourceEvent::SplitFinished(_) => {}
                SourceEvent::EndOfInput => break,
            }
        }
        Ok(concat_batches(&self.schema, &batches)?)
    }
}

impl KeySource for Scan {
    fn find(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>> {
        let load = self.load();
        Box::pin(async move { load.await?.find(&keys).map_err(internal) })
    }
}
