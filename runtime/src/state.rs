//! The state backends of one operator's subtask.

use weir_state::{KeyedStateBackend, OperatorStateBackend};
use weir_types::KeyGroupRange;

/// Opens empty backends.
pub(crate) fn open(range: KeyGroupRange, max_parallelism: u32) -> (KeyedStateBackend, OperatorStateBackend) {
    (KeyedStateBackend::new(range, max_parallelism), OperatorStateBackend::new())
}
