//! Flink SQL text to statements.
//!
//! `script` cuts a text into statements, `statement` finds out which it is, `ddl` and `session` read the forms that are
//! Flink's own, and sqlparser under `dialect` reads queries and expressions; `types` reads types and `hints` the hints.

mod ast;
mod build;
mod databases;
mod ddl;
mod dialect;
mod error;
mod hints;
mod lookup_hint;
mod match_recognize;
mod reserved;
mod script;
mod session;
mod state_ttl;
mod statement;
mod stored;
mod types;

#[cfg(test)]
mod tests;

pub(crate) use ast::*;
pub use ast::{ClientCommand, ExplainDetail, SavepointWish, Statement, StopMode};
pub(crate) use build::{
    all_columns, bare, binary, call, call_of, literal, nested, not, query_with_body, select_from,
    table_alias, text, unnamed,
};
#[cfg(test)]
pub(crate) use dialect::FlinkDialect;
pub(crate) use dialect::{LOCAL_TIMESTAMP, table_argument};
pub(crate) use hints::split_name;
pub(crate) use lookup_hint::{LookupHint, split_lookup};
pub(crate) use match_recognize::WITHIN;
pub use script::{Completeness, completeness};
pub(crate) use state_ttl::ttl_relation;
pub(crate) use stored::{expr_without_places, expression_text, without_places};
pub(crate) use types::{cast_type, parse_type};

use crate::PlanError;

/// The words that a statement may begin with.
pub(crate) const KEYWORDS_OF_STATEMENTS: &[&str] = &[
    "ALTER", "BEGIN", "CLEAR", "CREATE", "DESC", "DESCRIBE", "DROP", "EXECUTE", "EXIT", "EXPLAIN", "HELP",
    "INSERT", "QUIT", "RESET", "SELECT", "SET", "SHOW", "STOP", "USE", "VALUES", "WITH",
];

/// The statements of a script.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, PlanError> {
    let script = script::Script::new(text)?;
    script.statements().into_iter().map(|tokens| statement::parse(&script, tokens)).collect()
}

/// Words that a prompt may complete: those of the grammar that are not names of functions.
pub(crate) fn keywords() -> Vec<&'static str> {
    let mut words: Vec<&str> = KEYWORDS_OF_STATEMENTS.iter().chain(OTHER_KEYWORDS).copied().collect();
    words.sort_unstable();
    words
}

const OTHER_KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ARRAY",
    "AS",
    "ASC",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BY",
    "BYTES",
    "CASCADE",
    "CASE",
    "CATALOG",
    "CHANGELOG_MODE",
    "CHAR",
    "COLUMNS",
    "COMMENT",
    "CROSS",
    "CUBE",
    "DATABASE",
    "DATE",
    "DAY",
    "DECIMAL",
    "DESCRIPTOR",
    "DISTINCT",
    "DOUBLE",
    "ELSE",
    "END",
    "ENFORCED",
    "ESTIMATED_COST",
    "EXCEPT",
    "EXISTS",
    "FALSE",
    "FILTER",
    "FLOAT",
    "FOR",
    "FROM",
    "FULL",
    "FUNCTIONS",
    "GROUP",
    "GROUPING",
    "HAVING",
    "HOUR",
    "IF",
    "IN",
    "INNER",
    "INT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOBS",
    "JOIN",
    "JSON_EXECUTION_PLAN",
    "KEY",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MAP",
    "METADATA",
    "MINUTE",
    "MODIFY",
    "MONTH",
    "MULTISET",
    "NOT",
    "NULL",
    "ON",
    "OPTIONS",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "OVERWRITE",
    "PARTITION",
    "PARTITIONED",
    "PLAN",
    "PLAN_ADVICE",
    "PRIMARY",
    "RENAME",
    "REPLACE",
    "RIGHT",
    "ROLLUP",
    "ROW",
    "SECOND",
    "SETS",
    "SMALLINT",
    "STATEMENT",
    "STRING",
    "TABLE",
    "TABLES",
    "TEMPORARY",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "TINYINT",
    "TO",
    "TRUE",
    "UNION",
    "UNNEST",
    "VARBINARY",
    "VARCHAR",
    "VIEW",
    "VIEWS",
    "VIRTUAL",
    "WATERMARK",
    "WHEN",
    "WHERE",
    "YEAR",
];
