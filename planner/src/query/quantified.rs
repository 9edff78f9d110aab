//! IN, EXISTS, ANY and ALL where a join cannot stand for them: in SELECT, in CASE, NOT IN under OR, comparisons other than
//! `= ANY` and `<> ALL`. They become comparisons with counts and extremes of their subqueries, with SQL's third value:
//!
//! | text | is |
//! | --- | --- |
//! | `EXISTS (Q)` | `n > 0`, n rows of Q |
//! | `x IN (Q)` | TRUE if a row equals x; FALSE if there is no row; NULL if x is NULL or a row is; else FALSE |
//! | `x > ANY (Q)` | the same with `x > MIN(Q)` for the first test |
//! | `x > ALL (Q)` | TRUE if there is no row; FALSE if `x > MAX(Q)` is; NULL if x is NULL or a row is; else TRUE |
//!
//! The scalar subqueries that this takes are joins like those that are written.

use crate::parser::{
    bare, binary, call, call_of, literal, nested, not, query_with_body, select_from, table_alias,
};
use crate::walk::walk_mut;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Query, Select, SelectItem,
    SetExpr, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitorMut,
    helpers::attached_token::AttachedToken,
};
use std::ops::ControlFlow;

/// Rewrites all queries inside `query`.
pub(super) fn rewrite_quantified(query: &mut Query) {
    // The visitor never breaks.
    let _ = walk_mut(query, &mut Selects);
}

struct Selects;

impl VisitorMut for Selects {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                rewrite_all(expr);
            }
        }
        for condition in select.selection.iter_mut().chain(&mut select.having).chain(&mut select.qualify) {
            rewrite_condition(condition, false, false);
        }
        ControlFlow::Continue(())
    }
}

/// A condition of rows: joins stand for IN and EXISTS, but for NOT IN under OR, and for NOT IN of a value that reads no column,
/// which is no key of a join. `negated`: it stands under NOT, where AND is an OR.
fn rewrite_condition(expr: &mut Expr, under_or: bool, negated: bool) {
    let is_joined = |value: &Expr, is_not: bool| {
        // What is unknown is as good as FALSE unless it is turned round.
        is_not == negated || (!under_or && reads_columns(value))
    };
    match expr {
        Expr::Nested(inner) => rewrite_condition(inner, under_or, negated),
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let under_or = under_or || (*op == BinaryOperator::Or) != negated;
            rewrite_condition(left, under_or, negated);
            rewrite_condition(right, under_or, negated);
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => rewrite_condition(expr, under_or, !negated),
        Expr::InSubquery { expr, negated: is_not, .. } if is_joined(expr, *is_not) => {}
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, .. } if is_joined(left, false) => {}
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, .. } if is_joined(left, true) => {}
        Expr::Exists { .. } => {}
        other => rewrite_all(other),
    }
}

fn reads_columns(value: &Expr) -> bool {
    let mut names = Names { plain: false, tables: vec![] };
    let _ = walk_mut(&mut value.clone(), &mut names);
    names.plain || !names.tables.is_empty()
}

/// Everything inside `expr`, but for the queries inside it.
fn rewrite_all(expr: &mut Expr) {
    let _ = walk_mut(expr, &mut Inside { queries: 0 });
}

struct Inside {
    /// around this place
    queries: u32,
}

impl VisitorMut for Inside {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries == 0
            && let Some(rewritten) = replaced(expr)
        {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }
}

fn replaced(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Exists { subquery, negated } => {
            let rows = count(subquery);
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            Some(nested(binary(rows, op, number("0"))))
        }
        Expr::InSubquery { expr, subquery, negated } if !matches!(expr.as_ref(), Expr::Tuple(_)) => {
            let found = any_equal(expr, subquery);
            Some(if *negated { not(found) } else { found })
        }
        Expr::AnyOp { left, compare_op, right, .. } => compare_any(left, compare_op, query_of(right)?),
        Expr::AllOp { left, compare_op, right } => {
            // x > ALL (Q) is NOT x <= ANY (Q), and so on.
            Some(not(compare_any(left, &opposite(compare_op)?, query_of(right)?)?))
        }
        _ => None,
    }
}

fn query_of(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => query_of(inner),
        _ => None,
    }
}

fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        _ => return None,
    })
}

fn compare_any(value: &Expr, op: &BinaryOperator, query: &Query) -> Option<Expr> {
    let of = |function: &str| binary(value.clone(), op.clone(), aggregate(function, query));
    let found = match op {
        BinaryOperator::Eq => return Some(any_equal(value, query)),
        // A row differs unless all are the same.
        BinaryOperator::NotEq => nested(binary(of("MIN"), BinaryOperator::Or, of("MAX"))),
        BinaryOperator::Gt | BinaryOperator::GtEq => of("MIN"),
        BinaryOperator::Lt | BinaryOperator::LtEq => of("MAX"),
        _ => return None,
    };
    Some(three_valued(found, value, query))
}

fn any_equal(value: &Expr, query: &Query) -> Expr {
    let equals = |column: Expr| binary(column, BinaryOperator::Eq, nested(value.clone()));
    let rows = count_where(query, stands_inside(value, query), equals);
    let found = binary(rows, BinaryOperator::Gt, number("0"));
    three_valued(found, value, query)
}

/// `found`, unless it cannot be known.
fn three_valued(found: Expr, value: &Expr, query: &Query) -> Expr {
    let is_null = |expr: Expr| Expr::IsNull(Box::new(expr));
    let unknown = binary(
        is_null(nested(value.clone())),
        BinaryOperator::Or,
        binary(count_where(query, true, is_null), BinaryOperator::Gt, number("0")),
    );
    let no_rows = binary(count(query), BinaryOperator::Eq, number("0"));
    let boolean = |value: bool| literal(Value::Boolean(value));
    let null = Expr::Cast {
        kind: sqlparser::ast::CastKind::Cast,
        expr: Box::new(literal(Value::Null)),
        data_type: sqlparser::ast::DataType::Boolean,
        array: false,
        format: None,
    };
    let when = |condition: Expr, result: Expr| CaseWhen { condition, result };
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![when(found, boolean(true)), when(no_rows, boolean(false)), when(unknown, null)],
        else_result: Some(Box::new(boolean(false))),
    }
}

/// Rows of a query; 0 without any, where a stream has no row yet.
fn count(query: &Query) -> Expr {
    let rows = all_rows();
    or_zero(match plain(query, true) {
        Some((select, _)) => aggregated(select, rows, None),
        None => derived(query, rows, None, false),
    })
}

/// Rows of a query for whose column `condition` is TRUE; `inside`: it may stand among the tables of the query.
fn count_where(query: &Query, inside: bool, condition: impl Fn(Expr) -> Expr) -> Expr {
    let rows = all_rows();
    or_zero(match plain(query, false).filter(|_| inside) {
        Some((select, Some(value))) => aggregated(select, rows, Some(condition(nested(value)))),
        _ => derived(query, rows, Some(condition(column())), true),
    })
}

/// An aggregate of the column of a query.
fn aggregate(function: &str, query: &Query) -> Expr {
    let of = |value: Expr| call_of(function, vec![value]);
    let query = match plain(query, false) {
        Some((select, Some(value))) => aggregated(select, of(value), None),
        _ => derived(query, of(column()), None, true),
    };
    Expr::Subquery(Box::new(query))
}

/// `COUNT(*)`
fn all_rows() -> Expr {
    Expr::Function(call(bare("COUNT"), vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]))
}

fn or_zero(query: Query) -> Expr {
    call_of("COALESCE", vec![Expr::Subquery(Box::new(query)), number("0")])
}

const TABLE: &str = "$q";
const COLUMN: &str = "$c";

fn column() -> Expr {
    Expr::CompoundIdentifier(vec![bare(TABLE), bare(COLUMN)])
}

/// A query that only filters rows of its tables, with its column. What compares it with the tables around it stands in its WHERE
/// then, where it can become the condition of a join. `any`: whatever columns it has.
fn plain(query: &Query, any: bool) -> Option<(&Select, Option<Expr>)> {
    let only_selects = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let groups = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let calls = select.projection.iter().any(|item| {
        let mut found = Calls(false);
        let _ = walk_mut(&mut item.clone(), &mut found);
        found.0
    });
    let filters = select.distinct.is_none()
        && !groups
        && !calls
        && select.having.is_none()
        && select.qualify.is_none()
        && !select.from.is_empty();
    if !only_selects || !filters {
        return None;
    }
    match &select.projection[..] {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => {
            Some((select, Some(expr.clone())))
        }
        _ => any.then_some((select, None)),
    }
}

/// Whether a function is called: it may be an aggregate.
struct Calls(bool);

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.0 |= matches!(expr, Expr::Function(_));
        ControlFlow::Continue(())
    }
}

/// Whether names of `value` mean the same among the tables of `query`: they say of which table they are, and it has none of that
/// name.
fn stands_inside(value: &Expr, query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let mut names = Names { plain: false, tables: vec![] };
    let _ = walk_mut(&mut value.clone(), &mut names);
    let relations = select.from.iter().flat_map(|from| {
        [&from.relation].into_iter().chain(from.joins.iter().map(|join| &join.relation)).map(table_name)
    });
    let hidden = |name: Option<String>| name.is_none_or(|name| names.tables.contains(&name));
    !names.plain && !relations.into_iter().any(hidden)
}

fn table_name(table: &TableFactor) -> Option<String> {
    match table {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.value.clone())
        }
        TableFactor::Table { name, .. } => Some(name.0.last()?.as_ident()?.value.clone()),
        _ => None,
    }
}

struct Names {
    /// a name without a table
    plain: bool,
    tables: Vec<String>,
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) => self.plain = true,
            Expr::CompoundIdentifier(parts) => {
                self.tables.extend(parts.first().map(|part| part.value.clone()))
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `SELECT item` of the rows that `select` has and for which `condition` is TRUE.
fn aggregated(select: &Select, item: Expr, condition: Option<Expr>) -> Query {
    let mut select = select.clone();
    select.projection = vec![SelectItem::UnnamedExpr(item)];
    let both = select.selection.take().map(nested).into_iter().chain(condition.map(nested));
    select.selection = both.reduce(|left, right| binary(left, BinaryOperator::And, right));
    query(select)
}

/// `SELECT item FROM (query) AS $q($c) WHERE condition`; without `named` a query of several columns keeps their names.
fn derived(of: &Query, item: Expr, condition: Option<Expr>, named: bool) -> Query {
    let columns = match named {
        true => vec![TableAliasColumnDef { name: bare(COLUMN), data_type: None }],
        false => vec![],
    };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(of.clone()),
        alias: Some(TableAlias { columns, ..table_alias(bare(TABLE)) }),
        sample: None,
    };
    select_from(relation, SelectItem::UnnamedExpr(item), condition)
}

fn query(select: Select) -> Query {
    query_with_body(Box::new(SetExpr::Select(Box::new(select))))
}

fn number(text: &str) -> Expr {
    literal(Value::Number(text.to_string(), false))
}
