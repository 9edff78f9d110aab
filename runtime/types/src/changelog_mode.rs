//! Which row kinds an edge carries.

use crate::RowKind;
use std::fmt;

/// A set of row kinds: what a node produces, or what a sink accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChangelogMode(u8);

impl ChangelogMode {
    /// `[I]`
    pub const INSERT_ONLY: ChangelogMode = ChangelogMode(1);
    /// `[I,UA,D]`: updates by key, without the row as it was
    pub const UPSERT: ChangelogMode = ChangelogMode(0b1101);
    /// `[I,UB,UA,D]`
    pub const ALL: ChangelogMode = ChangelogMode(0b1111);

    /// The set of `kinds`.
    pub fn of(kinds: &[RowKind]) -> Self {
        ChangelogMode(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    pub const fn contains(self, kind: RowKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// True if every kind of `other` is in `self`.
    pub const fn contains_all(self, other: ChangelogMode) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_insert_only(self) -> bool {
        self.0 == Self::INSERT_ONLY.0
    }

    pub const fn union(self, other: ChangelogMode) -> Self {
        ChangelogMode(self.0 | other.0)
    }

    pub const fn without(self, kind: RowKind) -> Self {
        ChangelogMode(self.0 & !(1 << kind as u8))
    }
}

impl fmt::Display for ChangelogMode {
    /// As Flink's `EXPLAIN CHANGELOG_MODE` prints it: `[I,UB,UA,D]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (RowKind::Insert, "I"),
            (RowKind::UpdateBefore, "UB"),
            (RowKind::UpdateAfter, "UA"),
            (RowKind::Delete, "D"),
        ];
        let present: Vec<_> =
            names.iter().filter(|(kind, _)| self.contains(*kind)).map(|(_, name)| *name).collect();
        write!(f, "[{}]", present.join(","))
    }
}
