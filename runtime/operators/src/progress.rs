//! How far an operator has come, in the operator state.

use crate::OperatorContext;
use bytes::Bytes;
use weir_state::Redistribution;
use weir_types::Watermark;

fn state_name(operator: &str) -> String {
    format!("{operator}/watermark")
}

/// What was saved: after a change of the parallelism the least of all subtasks, so that no row becomes late
/// by it.
pub(crate) fn load_progress(operator: &str, context: &OperatorContext) -> i64 {
    let entries = context.operator_state.entries(&state_name(operator));
    let times = entries.iter().filter_map(|entry| Some(i64::from_le_bytes(entry[..].try_into().ok()?)));
    times.min().unwrap_or(Watermark::NONE.0)
}

pub(crate) fn save_progress(operator: &str, progress_ms: i64, context: &mut OperatorContext) {
    let entry = Bytes::copy_from_slice(&progress_ms.to_le_bytes());
    context.operator_state.set(&state_name(operator), Redistribution::Union, vec![entry]);
}

/// The count that was saved under `state`, by an operator of one subtask; 0 without.
pub(crate) fn load_count(state: &str, context: &OperatorContext) -> u64 {
    let entry = context.operator_state.entries(state).first();
    entry.and_then(|entry| Some(u64::from_le_bytes(entry[..].try_into().ok()?))).unwrap_or(0)
}

pub(crate) fn save_count(state: &str, count: u64, context: &mut OperatorContext) {
    let entry = Bytes::copy_from_slice(&count.to_le_bytes());
    context.operator_state.set(state, Redistribution::EvenSplit, vec![entry]);
}
