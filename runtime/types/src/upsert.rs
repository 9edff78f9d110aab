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

/// The changes of a table by a primary key that is not the key by which the query updates rows: several rows of the query
/// may have one primary key, and the last of them that is still there is the one to be written.
#[derive(Clone, Debug)]
pub struct SinkMaterializeSpec {
    /// columns of the sink's primary key
    pub keys: Vec<usize>,
    /// columns by which the query's rows are told apart; `None`: by all
    pub unique: Option<Vec<usize>>,
}
