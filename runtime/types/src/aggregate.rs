//! What an aggregation computes.

use arrow::datatypes::FieldRef;
use std::fmt;

/// The aggregate functions, by Flink's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// COUNT(*) without an argument, COUNT(x) with one (rows where it is not NULL)
    Count,
    Sum,
    /// SUM that is 0, not NULL, over no rows (Flink's `$SUM0`)
    Sum0,
    Avg,
    Min,
    Max,
    StddevPop,
    StddevSamp,
    VarPop,
    VarSamp,
    FirstValue,
    LastValue,
    /// arguments: value, optional separator (a literal column; `,` without)
    ListAgg,
    /// a multiset of the values: MAP<value, count>
    Collect,
    ArrayAgg,
    /// arguments: key, value as JSON text
    JsonObjectAgg {
        /// ABSENT ON NULL leaves members with NULL out; NULL ON NULL writes them
        absent_on_null: bool,
    },
    /// argument: value as JSON text
    JsonArrayAgg {
        absent_on_null: bool,
    },
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    BitXor,
    /// The one value of a scalar subquery; more than one row fails the job
    SingleValue,
    /// The value so many rows before, in OVER alone; arguments: value, optional value where there is no such row
    Lag {
        rows: u32,
    },
    /// The number of the first row that is ordered like the row, from 1, in OVER alone; argument: what orders, as one column
    /// of integers
    Rank,
    /// RANK without gaps
    DenseRank,
    /// The value so many rows behind, in OVER alone; arguments as those of `Lag`
    Lead {
        rows: u32,
    },
    /// The value of row `n` of the frame, from 1, NULL or not; NULL where the frame has fewer rows. In OVER alone
    NthValue {
        n: u32,
    },
    /// The number of the row's part, from 1, of so many parts that are as large as each other, in OVER alone
    Ntile {
        parts: u32,
    },
    /// (RANK - 1) / (rows of the partition - 1), 0 for one row alone, in OVER alone
    PercentRank,
    /// The share of the rows up to the last one that is ordered like the row, in OVER alone
    CumeDist,
}

impl AggregateFunction {
    pub fn name(&self) -> &'static str {
        match self {
            AggregateFunction::Count => "COUNT",
            AggregateFunction::Sum => "SUM",
            AggregateFunction::Sum0 => "$SUM0",
            AggregateFunction::Avg => "AVG",
            AggregateFunction::Min => "MIN",
            AggregateFunction::Max => "MAX",
            AggregateFunction::StddevPop => "STDDEV_POP",
            AggregateFunction::StddevSamp => "STDDEV_SAMP",
            AggregateFunction::VarPop => "VAR_POP",
            AggregateFunction::VarSamp => "VAR_SAMP",
            AggregateFunction::FirstValue => "FIRST_VALUE",
            AggregateFunction::LastValue => "LAST_VALUE",
            AggregateFunction::ListAgg => "LISTAGG",
            AggregateFunction::Collect => "COLLECT",
            AggregateFunction::ArrayAgg => "ARRAY_AGG",
            AggregateFunction::JsonObjectAgg { absent_on_null: false } => "JSON_OBJECTAGG_NULL_ON_NULL",
            AggregateFunction::JsonObjectAgg { absent_on_null: true } => "JSON_OBJECTAGG_ABSENT_ON_NULL",
            AggregateFunction::JsonArrayAgg { absent_on_null: false } => "JSON_ARRAYAGG_NULL_ON_NULL",
            AggregateFunction::JsonArrayAgg { absent_on_null: true } => "JSON_ARRAYAGG_ABSENT_ON_NULL",
            AggregateFunction::BoolAnd => "BOOL_AND",
            AggregateFunction::BoolOr => "BOOL_OR",
            AggregateFunction::BitAnd => "BIT_AND",
            AggregateFunction::BitOr => "BIT_OR",
            AggregateFunction::BitXor => "BIT_XOR",
            AggregateFunction::SingleValue => "SINGLE_VALUE",
            AggregateFunction::Lag { .. } => "LAG",
            AggregateFunction::Rank => "RANK",
            AggregateFunction::DenseRank => "DENSE_RANK",
            AggregateFunction::Lead { .. } => "LEAD",
            AggregateFunction::NthValue { .. } => "NTH_VALUE",
            AggregateFunction::Ntile { .. } => "NTILE",
            AggregateFunction::PercentRank => "PERCENT_RANK",
            AggregateFunction::CumeDist => "CUME_DIST",
        }
    }
}

/// One aggregate of an aggregation. Arguments and filter are columns of the operator's input: expressions were
/// computed by a Calc before it.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    pub function: AggregateFunction,
    /// columns of the input; empty for COUNT(*)
    pub arguments: Vec<usize>,
    pub distinct: bool,
    /// a BOOLEAN column of the input: rows where it is not TRUE do not count (`FILTER (WHERE ..)`)
    pub filter: Option<usize>,
    /// name, type and nullability of the result
    pub output: FieldRef,
}

impl fmt::Display for AggregateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let arguments: Vec<String> = self.arguments.iter().map(|column| format!("${column}")).collect();
        let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
        write!(f, "{}({distinct}{arguments})", self.function.name())?;
        match self.filter {
            Some(column) => write!(f, " FILTER ${column}"),
            None => Ok(()),
        }
    }
}
