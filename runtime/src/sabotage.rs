//! Ways to break the protocol on purpose, in tests of this room: a test that cannot see them broken is worth nothing.

use std::cell::Cell;

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
}

/// Breaks the protocol for this thread until the next call.
pub(crate) fn set(sabotage: Option<Sabotage>) {
    CURRENT.set(sabotage);
}

pub(crate) fn is(sabotage: Sabotage) -> bool {
    CURRENT.get() == Some(sabotage)
}
