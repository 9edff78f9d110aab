//! What MATCH_RECOGNIZE computes.

use crate::{AggregateCall, SortKey};
use arrow::datatypes::FieldRef;
use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;

/// Sequences of rows, one right behind the other in order of time, that follow a pattern. The input only inserts.
///
/// Output: the columns of `partition`, then the measures, one row a match.
#[derive(Clone, Debug)]
pub struct MatchSpec {
    /// columns of the input; none: one partition
    pub partition: Vec<usize>,
    /// the rowtime column; `None`: processing time
    pub rowtime: Option<usize>,
    /// orders rows of the same time
    pub order: Vec<SortKey>,
    /// the variables of the pattern, at least one, in the order in which their rows come
    pub variables: Vec<PatternVariable>,
    pub after: AfterMatch,
    /// milliseconds: the last row of a match comes less than that after the first
    pub within_ms: Option<i64>,
    /// one expression a measure
    pub measures: MatchExpressions,
}

/// A variable with its quantifier: so many rows, one behind the other.
#[derive(Clone, Debug)]
pub struct PatternVariable {
    pub name: String,
    pub min: u32,
    /// `None`: any number; otherwise at least 1 and at least `min`
    pub max: Option<u32>,
    /// A row that the variable can take does not go to the next one. Says nothing where `min` is `max`, or of `?`.
    pub greedy: bool,
    /// one BOOLEAN expression: which rows the variable takes; `None`: any
    pub condition: Option<MatchExpressions>,
}

impl PatternVariable {
    /// With its quantifier, as Flink prints it: `A{1,3}?`.
    pub fn text(&self) -> String {
        let quantifier = match (self.min, self.max) {
            (1, Some(1)) => String::new(),
            (0, Some(1)) => "?".to_string(),
            (0, None) => "*".to_string(),
            (1, None) => "+".to_string(),
            (min, None) => format!("{{{min},}}"),
            (min, Some(max)) if min == max => format!("{{{min}}}"),
            (min, Some(max)) => format!("{{{min},{max}}}"),
        };
        let fixed = self.max == Some(self.min) || (self.min, self.max) == (0, Some(1));
        let reluctant = if self.greedy || fixed { "" } else { "?" };
        format!("{}{quantifier}{reluctant}", self.name)
    }
}

/// Where the next match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterMatch {
    /// behind the last row of the match
    SkipPastLastRow,
    /// at the row behind the first of the match
    SkipToNextRow,
    /// at the first row of a variable; fails if the match has none, or if it is the first row of the match
    SkipToFirst(usize),
    /// at the last row of a variable; fails likewise
    SkipToLast(usize),
}

/// Expressions over values of a match.
#[derive(Clone, Debug)]
pub struct MatchExpressions {
    /// the columns that the expressions read
    pub values: Vec<MatchValue>,
    pub expressions: Vec<Arc<dyn PhysicalExpr>>,
}

/// A value of a match. In the condition of a variable, the row that it is to take counts as its last one already.
#[derive(Clone, Debug)]
pub enum MatchValue {
    /// A column of one row; NULL if the match has no such row.
    Row { row: MatchRow, column: usize },
    /// An aggregate over all of the rows.
    Aggregate { rows: MatchRows, call: AggregateCall },
    /// When the match was found: milliseconds of event time, as TIMESTAMP or TIMESTAMP_LTZ. That of the last row, or later
    /// where an earlier match had to be ruled out first.
    Time(FieldRef),
}

/// Rows of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchRows {
    All,
    /// those of a variable
    Variable(usize),
}

/// One of the rows of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatchRow {
    pub rows: MatchRows,
    /// counted from the first row, otherwise from the last
    pub from_first: bool,
    pub offset: u32,
}
