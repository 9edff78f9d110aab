//! What an operator counts while it runs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of one operator's subtasks; written by them with relaxed stores, read by whoever reports.
#[derive(Debug)]
pub struct OperatorMetrics {
    pub rows_in: AtomicU64,
    pub rows_out: AtomicU64,
    pub bytes_in: AtomicU64,
    /// rows dropped because every window they belong to had been emitted (Flink's `numLateRecordsDropped`)
    pub late_rows: AtomicU64,
    /// records that a format could not read and was told to skip
    pub skipped_records: AtomicU64,
    /// current watermark in milliseconds, `i64::MIN` before the first
    pub watermark: AtomicI64,
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        OperatorMetrics {
            rows_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            late_rows: AtomicU64::new(0),
            skipped_records: AtomicU64::new(0),
            watermark: AtomicI64::new(i64::MIN),
        }
    }
}

/// [`OperatorMetrics`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorMetricsSnapshot {
    pub rows_in: u64,
    pub rows_out: u64,
    pub bytes_in: u64,
    pub late_rows: u64,
    pub skipped_records: u64,
    pub watermark: i64,
}

impl OperatorMetrics {
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> OperatorMetricsSnapshot {
        OperatorMetricsSnapshot {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            late_rows: self.late_rows.load(Ordering::Relaxed),
            skipped_records: self.skipped_records.load(Ordering::Relaxed),
            watermark: self.watermark.load(Ordering::Relaxed),
        }
    }
}
