//! Where a chain ends: an exchange, a sink, or whoever runs the job. Awaits stand here.

use crate::RuntimeError;
use crate::partition::ExchangeWriter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_connectors::{Committable, SinkWriter};
use weir_types::{
    Barrier, ChangelogBatch, CheckpointId, Clock, ErrorKind, OperatorId, OperatorMetrics, StreamElement,
};

/// One way out of a chain.
pub(crate) struct Edge {
    /// the operator that the edge belongs to: the sink, or the producer of an exchange
    pub label: Arc<str>,
    target: Target,
    /// since when rows wait to be flushed, on the monotonic clock
    waiting_since: Option<Duration>,
}

enum Target {
    Exchange(ExchangeWriter),
    Sink {
        operator: OperatorId,
        writer: Box<dyn SinkWriter>,
        metrics: Arc<OperatorMetrics>,
    },
    Collect {
        sender: mpsc::Sender<ChangelogBatch>,
        metrics: Arc<OperatorMetrics>,
    },
    /// It has sent its last element.
    Ended,
}

/// What a sink wrote that waits for a checkpoint.
pub(crate) struct Prepared {
    pub operator: OperatorId,
    pub committables: Vec<Committable>,
}

impl Edge {
    pub(crate) fn exchange(label: Arc<str>, writer: ExchangeWriter) -> Self {
        Edge { label, target: Target::Exchange(writer), waiting_since: None }
    }

    pub(crate) fn sink(
        label: Arc<str>,
        operator: OperatorId,
        writer: Box<dyn SinkWriter>,
        metrics: Arc<OperatorMetrics>,
    ) -> Self {
        Edge { label, target: Target::Sink { operator, writer, metrics }, waiting_since: None }
    }

    pub(crate) fn collect(
        label: Arc<str>,
        sender: mpsc::Sender<ChangelogBatch>,
        metrics: Arc<OperatorMetrics>,
    ) -> Self {
        Edge { label, target: Target::Collect { sender, metrics }, waiting_since: None }
    }

    /// True once nobody reads what is sent here.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.target {
            Target::Exchange(writer) => writer.is_closed(),
            Target::Collect { sender, .. } => sender.is_closed(),
            Target::Sink { .. } => false,
            Target::Ended => true,
        }
    }

    pub(crate) fn is_sink(&self) -> bool {
        matches!(self.target, Target::Sink { .. })
    }

    /// Since when rows wait for [`Edge::flush`].
    pub(crate) fn waiting_since(&self) -> Option<Duration> {
        self.waiting_since
    }

    /// Sends a batch, a watermark or idleness; waits for room.
    pub(crate) async fn send(
        &mut self,
        element: StreamElement,
        clock: &dyn Clock,
    ) -> Result<(), RuntimeError> {
        if let StreamElement::Batch(batch) = &element
            && let Some(metrics) = self.metrics()
        {
            OperatorMetrics::add(&metrics.rows_in, batch.num_rows());
        }
        let waits = match &mut self.target {
            Target::Exchange(writer) => {
                let sent = writer.send(element).await;
                sent.map_err(|error| exchange_error(&self.label, &error))?;
                writer.holds_rows()
            }
            Target::Sink { writer, .. } => match element {
                StreamElement::Batch(batch) => {
                    let written = writer.write(&batch).await;
                    written.map_err(|source| connector_error(&self.label, source))?;
                    true
                }
                _ => self.waiting_since.is_some(),
            },
            Target::Collect { sender, .. } => {
                if let StreamElement::Batch(batch) = element {
                    // without a receiver the chain ends at its next look
                    let _ = sender.send(batch).await;
                }
                false
            }
            Target::Ended => false,
        };
        match (waits, self.waiting_since) {
            (true, None) => self.waiting_since = Some(clock.monotonic()),
            (false, _) => self.waiting_since = None,
            (true, Some(_)) => {}
        }
        Ok(())
    }

    /// Hands on the rows that wait.
    pub(crate) async fn flush(&mut self) -> Result<(), RuntimeError> {
        self.waiting_since = None;
        match &mut self.target {
            Target::Exchange(writer) => {
                writer.flush().await.map_err(|error| exchange_error(&self.label, &error))
            }
            Target::Sink { writer, .. } => {
                writer.flush().await.map_err(|source| connector_error(&self.label, source))
            }
            Target::Collect { .. } | Target::Ended => Ok(()),
        }
    }

    /// Forwards a barrier, or has the sink close what belongs to its checkpoint.
    pub(crate) async fn barrier(&mut self, barrier: Barrier) -> Result<Option<Prepared>, RuntimeError> {
        self.waiting_since = None;
        match &mut self.target {
            Target::Exchange(writer) => {
                let sent = writer.send(StreamElement::Barrier(barrier)).await;
                sent.map_err(|error| exchange_error(&self.label, &error))?;
                Ok(None)
            }
            Target::Sink { .. } => self.prepare(Some(barrier.id)).await,
            Target::Collect { .. } | Target::Ended => Ok(None),
        }
    }

    /// Nothing follows: exchanges and collectors say so, the sink closes what it has written.
    pub(crate) async fn end(&mut self) -> Result<Option<Prepared>, RuntimeError> {
        self.waiting_since = None;
        let prepared = match &mut self.target {
            Target::Exchange(writer) => {
                let sent = writer.send(StreamElement::EndOfInput).await;
                sent.map_err(|error| exchange_error(&self.label, &error))?;
                None
            }
            Target::Sink { .. } => self.prepare(None).await?,
            Target::Collect { .. } | Target::Ended => None,
        };
        self.target = Target::Ended;
        Ok(prepared)
    }

    async fn prepare(&mut self, checkpoint: Option<CheckpointId>) -> Result<Option<Prepared>, RuntimeError> {
        let Target::Sink { operator, writer, .. } = &mut self.target else { return Ok(None) };
        let prepared = writer.prepare_commit(checkpoint).await;
        let committables = prepared.map_err(|source| connector_error(&self.label, source))?;
        let prepared = Prepared { operator: operator.clone(), committables };
        Ok((!prepared.committables.is_empty()).then_some(prepared))
    }

    fn metrics(&self) -> Option<&OperatorMetrics> {
        match &self.target {
            Target::Sink { metrics, .. } | Target::Collect { metrics, .. } => Some(metrics),
            Target::Exchange(_) | Target::Ended => None,
        }
    }
}

fn connector_error(label: &Arc<str>, source: weir_connectors::ConnectorError) -> RuntimeError {
    RuntimeError::Connector { operator: label.to_string(), source }
}

fn exchange_error(label: &Arc<str>, error: &arrow::error::ArrowError) -> RuntimeError {
    let (operator, message) = (label.to_string(), error.to_string());
    RuntimeError::Exchange { operator, kind: ErrorKind::Internal, message }
}
