//! The sending side of an exchange: which rows go to which subtask of the consumer.

use crate::exchange::{ChannelSender, Closed};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use weir_types::{
    ChangelogBatch, KeyEncoder, KeyError, KeyGroup, KeyGroupRange, RowKind, RowKinds, StreamElement,
    key_group_of,
};

/// The share of a full batch from which on a slice for one target is sent by itself: a hop costs less than a copy.
const SLICES_OF_A_BATCH: usize = 8;

/// Where rows go.
pub(crate) enum Routing {
    /// all rows to the first target
    One,
    /// batch by batch in turn
    RoundRobin { next: usize },
    /// each row to every target
    Broadcast,
    /// by the key group of some columns
    Hash(HashRouting),
}

pub(crate) struct HashRouting {
    columns: Vec<usize>,
    encoder: KeyEncoder,
    /// per key group
    targets: Vec<u16>,
}

/// Sends the output of one subtask to the subtasks of a consumer.
pub(crate) struct ExchangeWriter {
    senders: Vec<ChannelSender>,
    routing: Routing,
    /// small slices that wait for others with the same target
    held: Vec<Held>,
    held_rows: usize,
    /// rows from which on a slice is sent
    send_rows: usize,
}

#[derive(Default)]
struct Held {
    batches: Vec<ChangelogBatch>,
    rows: usize,
}

impl ExchangeWriter {
    pub(crate) fn new(senders: Vec<ChannelSender>, routing: Routing, batch_rows: usize) -> Self {
        let held = senders.iter().map(|_| Held::default()).collect();
        let send_rows = (batch_rows / SLICES_OF_A_BATCH).max(1);
        ExchangeWriter { senders, routing, held, held_rows: 0, send_rows }
    }

    /// True once no target reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.senders.iter().all(ChannelSender::is_closed)
    }

    /// True while rows wait for [`ExchangeWriter::flush`].
    pub(crate) fn holds_rows(&self) -> bool {
        self.held_rows > 0
    }

    /// Batches go where the routing says, everything else to every target, behind the rows before it.
    pub(crate) async fn send(&mut self, element: StreamElement) -> Result<(), ArrowError> {
        let StreamElement::Batch(batch) = element else {
            self.flush().await?;
            for sender in &self.senders {
                ignore(sender.send(element.clone()).await);
            }
            return Ok(());
        };
        let target = match &mut self.routing {
            _ if self.senders.len() == 1 => 0,
            Routing::One => 0,
            Routing::RoundRobin { next } => {
                let target = *next;
                *next = (target + 1) % self.senders.len();
                target
            }
            Routing::Broadcast => {
                for sender in &self.senders {
                    ignore(sender.send(StreamElement::Batch(batch.clone())).await);
                }
                return Ok(());
            }
            Routing::Hash(routing) => {
                let targets =
                    routing.targets(&batch).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
                return self.scatter(batch, &targets).await;
            }
        };
        ignore(self.senders[target].send(StreamElement::Batch(batch)).await);
        Ok(())
    }

    /// Sends what is held.
    pub(crate) async fn flush(&mut self) -> Result<(), ArrowError> {
        if self.held_rows > 0 {
            for target in 0..self.senders.len() {
                self.flush_target(target).await?;
            }
        }
        Ok(())
    }

    async fn flush_target(&mut self, target: usize) -> Result<(), ArrowError> {
        let held = std::mem::take(&mut self.held[target]);
        if held.rows > 0 {
            self.held_rows -= held.rows;
            let batch = concat(held.batches)?;
            ignore(self.senders[target].send(StreamElement::Batch(batch)).await);
        }
        Ok(())
    }

    async fn scatter(&mut self, batch: ChangelogBatch, targets: &[u16]) -> Result<(), ArrowError> {
        let slices = split(batch, targets, self.senders.len())?;
        for (target, slice) in slices {
            let rows = slice.num_rows();
            if self.held[target].rows == 0 && rows >= self.send_rows {
                ignore(self.senders[target].send(StreamElement::Batch(slice)).await);
                continue;
            }
            self.held[target].batches.push(slice);
            self.held[target].rows += rows;
            self.held_rows += rows;
            if self.held[target].rows >= self.send_rows {
                self.flush_target(target).await?;
            }
        }
        Ok(())
    }
}

/// A reader that has gone wants nothing: the driver hears of it through the mailbox.
fn ignore(sent: Result<(), Closed>) {
    let _ = sent;
}

impl HashRouting {
    /// By the key group of `columns` of `schema` to `parallelism` subtasks, at most `max_parallelism`.
    pub(crate) fn new(
        columns: &[usize],
        schema: &Schema,
        max_parallelism: u32,
        parallelism: u32,
    ) -> Result<Self, KeyError> {
        let types: Vec<DataType> =
            columns.iter().map(|column| schema.field(*column).data_type().clone()).collect();
        let target = |group| KeyGroupRange::subtask_of(KeyGroup(group), max_parallelism, parallelism) as u16;
        let targets = (0..max_parallelism as u16).map(target).collect();
        Ok(HashRouting { columns: columns.to_vec(), encoder: KeyEncoder::new(&types)?, targets })
    }

    /// The target of each row.
    pub(crate) fn targets(&self, batch: &ChangelogBatch) -> Result<Vec<u16>, KeyError> {
        let rows = batch.rows();
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| rows.column(*column).clone()).collect();
        let keys = self.encoder.encode(&columns, rows.num_rows())?;
        let max_parallelism = self.targets.len() as u32;
        let target = |hash: &u64| self.targets[usize::from(key_group_of(*hash, max_parallelism).0)];
        Ok(keys.hashes().iter().map(target).collect())
    }
}

/// Cuts `batch` into the rows of each target, in their order; targets without rows are left out.
fn split(
    batch: ChangelogBatch,
    targets: &[u16],
    count: usize,
) -> Result<Vec<(usize, ChangelogBatch)>, ArrowError> {
    let mut sizes = vec![0_usize; count];
    for target in targets {
        sizes[usize::from(*target)] += 1;
    }
    if let Some(only) = sizes.iter().position(|size| *size == targets.len()) {
        return Ok(vec![(only, batch)]);
    }
    let mut rows_of: Vec<Vec<u32>> = sizes.iter().map(|size| Vec::with_capacity(*size)).collect();
    for (row, target) in targets.iter().enumerate() {
        rows_of[usize::from(*target)].push(row as u32);
    }
    let mut slices = Vec::with_capacity(count);
    for (target, rows) in rows_of.into_iter().enumerate() {
        if !rows.is_empty() {
            slices.push((target, take_rows(&batch, UInt32Array::from(rows))?));
        }
    }
    Ok(slices)
}

fn take_rows(batch: &ChangelogBatch, rows: UInt32Array) -> Result<ChangelogBatch, ArrowError> {
    let columns: Result<Vec<ArrayRef>, ArrowError> =
        batch.rows().columns().iter().map(|column| take(column, &rows, None)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let taken = RecordBatch::try_new_with_options(batch.schema(), columns?, &options)?;
    let kinds = batch.kinds().map(|kinds| rows.values().iter().map(|row| kinds.get(*row as usize)).collect());
    Ok(ChangelogBatch::new(taken, kinds))
}

/// One batch of the rows of all; `batches` is not empty.
fn concat(mut batches: Vec<ChangelogBatch>) -> Result<ChangelogBatch, ArrowError> {
    if batches.len() == 1 {
        return Ok(batches.remove(0));
    }
    let rows = concat_batches(&batches[0].schema(), batches.iter().map(ChangelogBatch::rows))?;
    let kinds: Option<RowKinds> = batches.iter().any(|batch| batch.kinds().is_some()).then(|| {
        let kinds_of = |batch: &ChangelogBatch| -> Vec<RowKind> {
            (0..batch.num_rows()).map(|row| batch.kind(row)).collect()
        };
        batches.iter().flat_map(kinds_of).collect()
    });
    Ok(ChangelogBatch::new(rows, kinds))
}

#[cfg(test)]
mod tests;
