//! A source that stops early, for queries that want the first rows only.

use crate::{ConnectorError, ReaderContext, Source, SourceEvent, SourceReader, SplitState};
use async_trait::async_trait;
use std::sync::Arc;
use weir_types::SplitId;

/// Each reader ends after `rows` rows: more are never wanted, whichever reader they come from. The LIMIT above
/// counts.
pub(crate) struct LimitedSource {
    pub source: Arc<dyn Source>,
    pub rows: u64,
}

#[async_trait]
impl Source for LimitedSource {
    async fn splits(&self, parallelism: u32) -> Result<Vec<SplitId>, ConnectorError> {
        self.source.splits(parallelism).await
    }

    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        // A batch larger than the limit would only be cut.
        let batch_rows = usize::try_from(self.rows).unwrap_or(usize::MAX).clamp(1, context.batch_rows.max(1));
        let reader = self.source.reader(ReaderContext { batch_rows, ..context }, splits).await?;
        Ok(Box::new(LimitedReader { reader, left: self.rows }))
    }
}

struct LimitedReader {
    reader: Box<dyn SourceReader>,
    left: u64,
}

#[async_trait]
impl SourceReader for LimitedReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        if self.left == 0 {
            return Ok(SourceEvent::EndOfInput);
        }
        match self.reader.next().await? {
            SourceEvent::Rows { split, batch } => {
                let rows = batch.num_rows().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= rows as u64;
                Ok(SourceEvent::Rows { split, batch: batch.slice(0, rows) })
            }
            event => Ok(event),
        }
    }

    fn snapshot(&self) -> Vec<SplitState> {
        self.reader.snapshot()
    }
}
