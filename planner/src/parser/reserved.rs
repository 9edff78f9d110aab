//! Words that Flink's grammar keeps for itself: as a name they stand in backticks.

use super::ast::{
    ColumnDefinition, ColumnDefinitionKind, CreateTable, DatabaseStatement, Insert, StatementKind,
    TableChange, ViewChange,
};
use crate::PlanError;
use crate::walk::walk;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select,
    SelectItem, TableAlias, TableFactor, Visit, Visitor,
};
use std::ops::ControlFlow;

/// Refuses reserved words where the statement uses them as names without quotes.
pub(super) fn check_names(statement: &StatementKind) -> Result<(), PlanError> {
    match statement {
        StatementKind::CreateTable(create) => create_table(create),
        StatementKind::CreateView(create) => {
            object(&create.name)?;
            create.columns.iter().try_for_each(name)?;
            query(&create.query)
        }
        StatementKind::Drop(drop) => object(&drop.name),
        StatementKind::AlterTable(alter) => {
            object(&alter.name)?;
            match &alter.change {
                TableChange::Rename(to) => object(to),
                TableChange::RenameColumn { from, to } => name(from).and_then(|()| name(to)),
                TableChange::Add(elements) | TableChange::Modify(elements) => {
                    elements.columns.iter().try_for_each(|(added, _)| column(added))
                }
                TableChange::DropColumns(columns) => columns.iter().try_for_each(name),
                TableChange::Set(_)
                | TableChange::Reset(_)
                | TableChange::DropPrimaryKey(_)
                | TableChange::DropWatermark(_) => Ok(()),
            }
        }
        StatementKind::AlterView(alter) => {
            object(&alter.name)?;
            match &alter.change {
                ViewChange::Rename(to) => object(to),
                ViewChange::As { query: body, .. } => query(body),
            }
        }
        StatementKind::Database(statement) => match statement {
            DatabaseStatement::CreateCatalog { name: catalog, .. }
            | DatabaseStatement::DropCatalog { name: catalog, .. } => name(catalog),
            DatabaseStatement::CreateDatabase { name, .. }
            | DatabaseStatement::AlterDatabase { name, .. }
            | DatabaseStatement::DropDatabase { name, .. } => object(name),
        },
        StatementKind::Insert(insert) => self::insert(insert),
        StatementKind::StatementSet(inserts) => inserts.iter().try_for_each(self::insert),
        StatementKind::Query(body) | StatementKind::DescribeQuery(body) => query(body),
        StatementKind::Explain(explain) => check_names(&explain.statement),
        StatementKind::Describe(table) => object(table),
        StatementKind::Set(_)
        | StatementKind::Reset(_)
        | StatementKind::Show(_)
        | StatementKind::Use(_)
        | StatementKind::Client(_) => Ok(()),
    }
}

fn name(ident: &Ident) -> Result<(), PlanError> {
    if ident.quote_style == Some('\'') {
        let message =
            "a string is no name: names stand in backticks, and a string goes on in the next line only";
        return Err(PlanError::syntax(message).at(ident.span));
    }
    if ident.quote_style.is_some()
        || RESERVED.binary_search(&ident.value.to_ascii_uppercase().as_str()).is_err()
    {
        return Ok(());
    }
    let message = format!("'{0}' is a reserved word: as a name it is written `{0}`", ident.value);
    Err(PlanError::syntax(message).at(ident.span))
}

fn object(table: &ObjectName) -> Result<(), PlanError> {
    table.0.iter().filter_map(|part| part.as_ident()).try_for_each(name)
}

fn create_table(create: &CreateTable) -> Result<(), PlanError> {
    object(&create.name)?;
    create.columns.iter().try_for_each(column)?;
    create.order.iter().try_for_each(name)?;
    if let Some(watermark) = &create.watermark {
        name(&watermark.column)?;
        visit(&watermark.expr)?;
    }
    create.primary_key.iter().flat_map(|key| &key.columns).try_for_each(name)?;
    create.partition_keys.iter().try_for_each(name)?;
    create.like.iter().try_for_each(|like| object(&like.table))?;
    create.query.iter().try_for_each(|body| query(body))
}

fn column(column: &ColumnDefinition) -> Result<(), PlanError> {
    name(&column.name)?;
    match &column.kind {
        ColumnDefinitionKind::Computed { expr } => visit(expr.as_ref()),
        _ => Ok(()),
    }
}

fn insert(insert: &Insert) -> Result<(), PlanError> {
    object(&insert.table)?;
    insert.partition.iter().try_for_each(|(column, _)| name(column))?;
    insert.columns.iter().try_for_each(name)?;
    query(&insert.query)
}

fn query(body: &Query) -> Result<(), PlanError> {
    visit(body)
}

fn visit(node: &impl Visit) -> Result<(), PlanError> {
    walk(node, &mut Names::default())
}

#[derive(Default)]
struct Names {
    /// Units such as DAY, which are arguments to the eye only.
    units: Vec<*const Expr>,
}

type Flow = ControlFlow<PlanError>;

fn flow(result: Result<(), PlanError>) -> Flow {
    result.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

fn alias(alias: &TableAlias) -> Result<(), PlanError> {
    name(&alias.name)?;
    alias.columns.iter().try_for_each(|column| name(&column.name))
}

impl Visitor for Names {
    type Break = PlanError;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        flow(with.map(|table| &table.alias).try_for_each(alias))
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        let aliases = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            _ => None,
        });
        flow(aliases.into_iter().try_for_each(name))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        let (table, given) = match factor {
            TableFactor::Table { name, alias, .. } => (Some(name), alias),
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::MatchRecognize { alias, .. } => (None, alias),
            _ => return ControlFlow::Continue(()),
        };
        flow(table.into_iter().try_for_each(object).and_then(|()| given.iter().try_for_each(alias)))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            _ if self.units.contains(&std::ptr::from_ref(expr)) => ControlFlow::Continue(()),
            Expr::Identifier(ident) => flow(name(ident)),
            Expr::CompoundIdentifier(parts) => flow(parts.iter().try_for_each(name)),
            Expr::Function(call) => {
                self.units.extend(unit(call));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The unit of TIMESTAMPADD(DAY, ..) and TIMESTAMPDIFF.
fn unit(call: &Function) -> Option<*const Expr> {
    let called = call.name.0.last()?.as_ident()?;
    let takes_unit =
        ["TIMESTAMPADD", "TIMESTAMPDIFF"].iter().any(|name| called.value.eq_ignore_ascii_case(name));
    let FunctionArguments::List(list) = &call.args else { return None };
    match list.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(unit))) if takes_unit => {
            Some(std::ptr::from_ref(unit))
        }
        _ => None,
    }
}

/// In capitals, sorted: the reserved words of Flink 2.2.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "ABS", "ALL", "ALLOCATE", "ALLOW", "ALTER", "AND", "ANY", "ARE", "ARRAY", "ARRAY_CONCAT_AGG",
    "ARRAY_MAX_CARDINALITY", "AS", "ASENSITIVE", "ASYMMETRIC", "AT", "ATOMIC", "AUTHORIZATION", "AVG",
    "BEGIN", "BEGIN_FRAME", "BEGIN_PARTITION", "BETWEEN", "BIGINT", "BINARY", "BIT", "BLOB", "BOOLEAN",
    "BOTH", "BUCKETS", "BY", "BYTES", "CALL", "CALLED", "CARDINALITY", "CASCADED", "CASE", "CAST",
    "CATALOGS", "CEIL", "CEILING", "CHAR", "CHARACTER", "CHARACTER_LENGTH", "CHAR_LENGTH", "CHECK",
    "CLASSIFIER", "CLOB", "CLOSE", "COALESCE", "COLLATE", "COLLECT", "COLUMN", "COMMENT", "COMMIT",
    "CONDITION", "CONNECT", "CONSTRAINT", "CONTAINS", "CONTAINS_SUBSTR", "CONTINUOUS", "CONVERT", "CORR",
    "CORRESPONDING", "COUNT", "COVAR_POP", "COVAR_SAMP", "CREATE", "CROSS", "CUBE", "CUME_DIST", "CURRENT",
    "CURRENT_CATALOG", "CURRENT_DATE", "CURRENT_DEFAULT_TRANSFORM_GROUP", "CURRENT_PATH", "CURRENT_ROLE",
    "CURRENT_ROW", "CURRENT_SCHEMA", "CURRENT_TIME", "CURRENT_TIMESTAMP",
    "CURRENT_TRANSFORM_GROUP_FOR_TYPE", "CURRENT_USER", "CURSOR", "CYCLE", "DATABASES", "DATE", "DATETIME",
    "DATETIME_TRUNC", "DATE_TRUNC", "DAY", "DEALLOCATE", "DEC", "DECIMAL", "DECLARE", "DEFAULT", "DEFINE",
    "DELETE", "DENSE_RANK", "DEREF", "DESCRIBE", "DETERMINISTIC", "DISALLOW", "DISCONNECT", "DISTINCT",
    "DISTRIBUTED", "DISTRIBUTION", "DOT", "DOUBLE", "DROP", "DYNAMIC", "EACH", "ELEMENT", "ELSE", "EMPTY",
    "END", "END_FRAME", "END_PARTITION", "EQUALS", "ESCAPE", "EVERY", "EXCEPT", "EXEC", "EXECUTE", "EXISTS",
    "EXP", "EXPLAIN", "EXTEND", "EXTENDED", "EXTERNAL", "EXTRACT", "FALSE", "FETCH", "FILTER",
    "FIRST_VALUE", "FLOAT", "FLOOR", "FOR", "FOREIGN", "FRAME_ROW", "FREE", "FRESHNESS", "FRIDAY", "FROM",
    "FULL", "FUNCTION", "FUNCTIONS", "FUSION", "GET", "GLOBAL", "GRANT", "GROUP", "GROUPING", "GROUPS",
    "GROUP_CONCAT", "HASH", "HAVING", "HOLD", "HOUR", "IDENTITY", "ILIKE", "IMPORT", "IN", "INCLUDE",
    "INDICATOR", "INITIAL", "INNER", "INOUT", "INSENSITIVE", "INSERT", "INT", "INTEGER", "INTERSECT",
    "INTERSECTION", "INTERVAL", "INTO", "IS", "JOIN", "JSON_ARRAY", "JSON_ARRAYAGG", "JSON_EXISTS",
    "JSON_OBJECT", "JSON_OBJECTAGG", "JSON_QUERY", "JSON_SCOPE", "JSON_VALUE", "LAG", "LANGUAGE", "LARGE",
    "LAST_VALUE", "LATERAL", "LEAD", "LEADING", "LEFT", "LIKE", "LIKE_REGEX", "LIMIT", "LN", "LOCAL",
    "LOCALTIME", "LOCALTIMESTAMP", "LOWER", "MATCH", "MATCHES", "MATCH_NUMBER", "MATCH_RECOGNIZE",
    "MATERIALIZED", "MAX", "MEASURES", "MEMBER", "MERGE", "METHOD", "MIN", "MINUS", "MINUTE", "MOD",
    "MODELS", "MODIFIES", "MODIFY", "MODULE", "MODULES", "MONDAY", "MONTH", "MULTISET", "NATIONAL",
    "NATURAL", "NCHAR", "NCLOB", "NEW", "NEXT", "NO", "NONE", "NORMALIZE", "NOT", "NTH_VALUE", "NTILE",
    "NULL", "NULLIF", "NUMERIC", "OCCURRENCES_REGEX", "OCTET_LENGTH", "OF", "OFFSET", "OLD", "OMIT", "ON",
    "ONE", "ONLY", "OPEN", "OR", "ORDER", "ORDINAL", "OUT", "OUTER", "OVER", "OVERLAPS", "OVERLAY",
    "PARAMETER", "PARTITION", "PATTERN", "PER", "PERCENT", "PERCENTILE_CONT", "PERCENTILE_DISC",
    "PERCENT_RANK", "PERIOD", "PERMUTE", "PIVOT", "PORTION", "POSITION", "POSITION_REGEX", "POWER",
    "PRECEDES", "PRECISION", "PREPARE", "PREV", "PRIMARY", "PROCEDURE", "PROCEDURES", "QUALIFY", "QUARTERS",
    "RANGE", "RANK", "RAW", "READS", "REAL", "RECURSIVE", "REF", "REFERENCES", "REFERENCING", "REFRESH",
    "REFRESH_MODE", "REGR_AVGX", "REGR_AVGY", "REGR_COUNT", "REGR_INTERCEPT", "REGR_R2", "REGR_SLOPE",
    "REGR_SXX", "REGR_SXY", "REGR_SYY", "RELEASE", "RENAME", "RESET", "RESULT", "RESUME", "RETURN",
    "RETURNS", "REVOKE", "RIGHT", "RLIKE", "ROLLBACK", "ROLLUP", "ROW", "ROWS", "ROW_NUMBER", "RUNNING",
    "SAFE_CAST", "SAFE_OFFSET", "SAFE_ORDINAL", "SATURDAY", "SAVEPOINT", "SCALA", "SCOPE", "SCROLL",
    "SEARCH", "SECOND", "SEEK", "SELECT", "SENSITIVE", "SEPARATOR", "SESSION_USER", "SET", "SHOW",
    "SIMILAR", "SKIP", "SMALLINT", "SOME", "SPECIFIC", "SPECIFICTYPE", "SQL", "SQLEXCEPTION", "SQLSTATE",
    "SQLWARNING", "SQRT", "START", "STATEMENT", "STATIC", "STDDEV_POP", "STDDEV_SAMP", "STREAM", "STRING",
    "STRING_AGG", "STRUCTURED", "SUBMULTISET", "SUBSET", "SUBSTRING", "SUBSTRING_REGEX", "SUCCEEDS", "SUM",
    "SUNDAY", "SUSPEND", "SYMMETRIC", "SYSTEM", "SYSTEM_TIME", "SYSTEM_USER", "TABLE", "TABLES",
    "TABLESAMPLE", "THEN", "THURSDAY", "TIME", "TIMESTAMP", "TIMESTAMP_DIFF", "TIMESTAMP_LTZ",
    "TIMESTAMP_TRUNC", "TIMEZONE_HOUR", "TIMEZONE_MINUTE", "TIME_DIFF", "TIME_TRUNC", "TINYINT", "TO",
    "TRAILING", "TRANSLATE", "TRANSLATE_REGEX", "TRANSLATION", "TREAT", "TRIGGER", "TRIM", "TRIM_ARRAY",
    "TRUE", "TRUNCATE", "TRY_CAST", "TUESDAY", "UESCAPE", "UNION", "UNIQUE", "UNKNOWN", "UNNEST", "UNPIVOT",
    "UPDATE", "UPPER", "UPSERT", "USE", "USER", "USING", "VALUE", "VALUES", "VALUE_OF", "VARBINARY",
    "VARCHAR", "VARIANT", "VARYING", "VAR_POP", "VAR_SAMP", "VERSIONING", "VIEWS", "WATERMARK",
    "WATERMARKS", "WEDNESDAY", "WEEKS", "WHEN", "WHENEVER", "WHERE", "WIDTH_BUCKET", "WINDOW", "WITH",
    "WITHIN", "WITHOUT", "YEAR",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    /// The words after which Flink's parser stopped, and those that it took.
    #[test]
    fn names_are_refused_where_flink_refuses_them() {
        for word in
            ["value", "year", "count", "user", "position", "timestamp", "result", "date", "day", "hour"]
        {
            let sql = format!("SELECT 1 AS {word}");
            let error = parse(&sql).expect_err(&sql);
            assert!(error.message.contains("reserved word"), "{sql}: {}", error.message);
            assert_eq!(error.position.map(|position| position.column), Some(13), "{sql}");
        }
        for word in ["`value`", "name", "type", "key", "text"] {
            let sql = format!("SELECT 1 AS {word}");
            assert!(parse(&sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn a_string_is_no_name() {
        for sql in ["SELECT 'a' 'b'", "SELECT 1 AS 'b'", "SELECT 1 FROM t AS 'b'"] {
            assert!(parse(sql).is_err_and(|error| error.message.starts_with("a string is no name")), "{sql}");
        }
        let statements = parse("SELECT 'a'\n 'b'\n'c'").unwrap();
        assert!(format!("{:?}", statements[0].kind).contains("SingleQuotedString(\"abc\")"));
    }

    #[test]
    fn every_kind_of_name_is_looked_at() {
        let refused = [
            "SELECT value FROM t",
            "SELECT t.value FROM t",
            "SELECT 1 FROM t AS result",
            "SELECT 1 FROM (VALUES (1)) AS t(value)",
            "WITH day AS (SELECT 1) SELECT * FROM day",
            "CREATE TABLE t (value INT) WITH ('connector' = 'print')",
            "CREATE TABLE t (a INT, b AS value + 1) WITH ('connector' = 'print')",
            "CREATE VIEW result AS SELECT 1",
            "INSERT INTO t (value) SELECT 1",
        ];
        for sql in refused {
            assert!(parse(sql).is_err_and(|error| error.message.contains("reserved word")), "{sql}");
        }
        let taken = [
            "SELECT TIMESTAMPDIFF(DAY, a, b), YEAR(a), EXTRACT(HOUR FROM a), CURRENT_DATE FROM t",
            "SELECT a + INTERVAL '1' DAY, FLOOR(a TO HOUR), COUNT(*) FROM t",
            "SELECT t.`value` FROM t",
        ];
        for sql in taken {
            assert!(parse(sql).is_ok(), "{sql}: {:?}", parse(sql).err());
        }
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(RESERVED.is_sorted());
    }
}
