//! What OVER keeps, and what bounds it, as EXPLAIN says it.

use weir_types::{Millis, OverFrame, OverPartitionSpec, OverSpec, StateNote};

pub(super) fn over_state(spec: &OverSpec, partition: &str) -> StateNote {
    let waits = match (spec.rowtime, spec.frame) {
        (Some(_), _) => "rows until the watermark reaches them",
        (None, OverFrame::Range(_)) => "rows until the clock leaves their millisecond",
        (None, _) => "",
    };
    let distinct = match spec.aggregates.iter().any(|call| call.distinct) {
        true => ", the distinct values of each partition",
        false => "",
    };
    let keeps = match spec.frame {
        _ if spec.aggregates.is_empty() || spec.ends => String::new(),
        OverFrame::Unbounded { .. } => format!("one row of accumulators per partition{distinct}"),
        OverFrame::Rows(rows) => format!("the last {rows} rows of each partition"),
        OverFrame::Range(ms) => format!("the rows of the last {} of each partition", Millis(ms)),
    };
    let separate = if keeps.is_empty() || waits.is_empty() { "" } else { ", and " };
    let forgets = spec.ends
        || spec.aggregates.is_empty()
        || (spec.partition.is_empty() && distinct.is_empty())
        || matches!(spec.frame, OverFrame::Range(_));
    let clause = (!forgets).then(|| clause(partition, distinct));
    let bounded = || match spec.rowtime {
        Some(_) => "bounded by the frame and the watermark".to_string(),
        None => "bounded by the frame and the clock".to_string(),
    };
    StateNote {
        keeps: format!("{keeps}{separate}{waits}"),
        bound: clause
            .as_ref()
            .map_or_else(bounded, |clause| format!("never dropped: {clause} bounds no time")),
        unbounded_clause: clause,
    }
}

fn clause(partition: &str, distinct: &str) -> String {
    match (partition.is_empty(), distinct.is_empty()) {
        (false, _) => format!("OVER (PARTITION BY {partition})"),
        (true, false) => "DISTINCT .. OVER".to_string(),
        (true, true) => "OVER".to_string(),
    }
}

/// Of OVER that is not ordered by time: any row may come between two others.
pub(super) fn any_order_state(partition: &str, order: &str) -> StateNote {
    let by = if partition.is_empty() { String::new() } else { format!("PARTITION BY {partition} ") };
    let clause = format!("OVER ({by}ORDER BY {order})");
    StateNote {
        keeps: "all rows of each partition, and one row of accumulators for it".to_string(),
        bound: format!("never dropped: {clause} bounds no time"),
        unbounded_clause: Some(clause),
    }
}

/// Of OVER whose functions look at any rows of a partition.
pub(super) fn partition_state(spec: &OverPartitionSpec, partition: &str, order: &str) -> StateNote {
    let mut words = vec![];
    if !partition.is_empty() {
        words.push(format!("PARTITION BY {partition}"));
    }
    if !order.is_empty() {
        words.push(format!("ORDER BY {order}"));
    }
    let clause = format!("OVER ({})", words.join(" "));
    let names: Vec<&str> = spec.calls.iter().map(|framed| framed.call.function.name()).collect();
    StateNote {
        keeps: format!(
            "all rows of each partition in their order, for later ones may change {}",
            names.join(", ")
        ),
        bound: format!("never dropped: {clause} bounds no time"),
        unbounded_clause: Some(clause),
    }
}
