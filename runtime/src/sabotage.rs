//! Ways to break the protocol on purpose, in tests of this room: a test that cannot see them broken is worth nothing.

use std::cell::Cell;
use weir_types::RuntimeEnv;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Output becomes visible before its checkpoint is complete.
    CommitEarly,
    /// Channels do not wait for each other's barriers.
    NoAlignment,
    /// Rows that a barrier overtook are not kept.
    ForgetOvertaken,
    /// After a restore nothing is committed again.
    NoSecondCommit,
    /// Sources begin anew after a restore.
    ForgetPositions,
}

thread_local! {
    static CURRENT: Cell<Option<Sabotage>> = const { Cell::new(None) };
    static LOST_OF_1000: Cell<u64> = const { Cell::new(0) };
}

/// Breaks the protocol for this thread until the next call.
pub(crate) fn set(sabotage: Option<Sabotage>) {
    CURRENT.set(sabotage);
}

pub(crate) fn is(sabotage: Sabotage) -> bool {
    CURRENT.get() == Some(sabotage)
}

/// Of a thousand acknowledgements of this thread's tasks so many get lost on their way, which the protocol has to bear.
pub(crate) fn lose_acknowledgements(of_1000: u64) {
    LOST_OF_1000.set(of_1000);
}

pub(crate) fn acknowledgement_is_lost(env: &RuntimeEnv) -> bool {
    let of_1000 = LOST_OF_1000.get();
    of_1000 > 0 && env.random.next_u64() % 1000 < of_1000
}
