//! What operators do that turn changes by key into whole changes, and changes of one key into those of another.

use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;

/// The changelog of a table whose source does not give it whole: updates come without the row before them, deletions
/// perhaps with the key alone, and events may come twice. The last row of each key says what is right.
///
/// A row that is new gives `+I`, one that differs from the kept one `-U` and `+U`, one that is the same nothing, and a
/// deletion the kept row as `-D`. Rows that come as `-U` are passed by: the `+U` that follows tells the same.
#[derive(Clone, Debug)]
pub struct ChangelogNormalizeSpec {
    /// columns of the primary key
    pub keys: Vec<usize>,
    /// BOOLEAN over the columns: a row for which it is not TRUE counts as none
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
}

/// What becomes of rows of a query that have one primary key of its sink: `ON CONFLICT DO ..`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The last of them that is still there is written, at once.
    Deduplicate,
    /// They fail the job, if they are still there when the watermark rises.
    Error,
    /// The first of them is written, if it is still there when the watermark rises; the others are forgotten.
    Nothing,
}

impl OnConflict {
    /// As in SQL.
    pub fn word(self) -> &'static str {
        match self {
            OnConflict::Deduplicate => "DEDUPLICATE",
            OnConflict::Error => "ERROR",
            OnConflict::Nothing => "NOTHING",
        }
    }

    /// True if changes are gathered until the watermark rises.
    pub fn waits(self) -> bool {
        self != OnConflict::Deduplicate
    }
}

/// The changes of a table by a primary key that is not the key by which the query updates rows: several rows of the query
/// may have one primary key.
#[derive(Clone, Debug)]
pub struct SinkMaterializeSpec {
    /// as the statement names the sink
    pub sink: String,
    /// columns of the sink's primary key
    pub keys: Vec<usize>,
    pub on_conflict: OnConflict,
    /// columns by which the query's rows are told apart; `None`: by all
    pub unique: Option<Vec<usize>>,
}
