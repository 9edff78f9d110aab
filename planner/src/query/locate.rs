//! The place of an error that came without one: the smallest part of the text that fails in the same way by itself.
//!
//! DataFusion notes places of columns and little else, and types are settled in a plan that has none. Planning costs
//! less than a millisecond, so after an error the parts of the query are planned one by one, the innermost first.

use crate::walk::walk;
use crate::{PlanError, Position};
use sqlparser::ast::{
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select,
    SelectItem, SetExpr, Spanned, TableWithJoins, Value, Visitor, With,
};
use std::ops::ControlFlow;

/// Plans a query and forgets the plan.
type Plan<'a> = &'a dyn Fn(&Query) -> Result<(), PlanError>;

/// `error`, which `plan` answers to `query`, with the place of the smallest part that it is about; as it was when it has
/// a place already or when no part fails by itself.
pub(super) fn locate(error: PlanError, query: &Query, plan: Plan) -> PlanError {
    if error.position.is_some() {
        return error;
    }
    let position = Search { message: &error.message, plan }.query(query);
    error.at_position(position)
}

/// As [`locate`], for an expression that stands by itself.
pub(super) fn locate_expr(
    error: PlanError,
    expr: &Expr,
    plan: &dyn Fn(&Expr) -> Result<(), PlanError>,
) -> PlanError {
    if error.position.is_some() {
        return error;
    }
    let fails = |part: &Expr| plan(part).is_err_and(|found| found.message == error.message);
    let position = parts_of(expr).iter().find(|part| fails(part)).and_then(place);
    error.at_position(position)
}

struct Search<'a> {
    message: &'a str,
    plan: Plan<'a>,
}

impl Search<'_> {
    fn fails(&self, query: &Query) -> bool {
        (self.plan)(query).is_err_and(|found| found.message == self.message)
    }

    /// The place inside `query`, which fails; the queries that it contains are asked first.
    fn query(&self, query: &Query) -> Option<Position> {
        let inner = self.inner_queries(query).into_iter().find(|inner| self.fails(inner));
        if let Some(inner) = inner {
            return self.query(&inner).or_else(|| Position::of(inner.span()));
        }
        let SetExpr::Select(select) = &*query.body else { return None };
        self.from(query, select)
            .or_else(|| self.clauses(query, select))
            .or_else(|| self.order_by(query, select))
            .or_else(|| self.limit(query))
    }

    /// The queries directly inside, each with the WITH clause that it sees.
    fn inner_queries(&self, query: &Query) -> Vec<Query> {
        let mut found = vec![];
        if let Some(with) = &query.with {
            for (before, table) in with.cte_tables.iter().enumerate() {
                let seen = With { cte_tables: with.cte_tables[..before].to_vec(), ..with.clone() };
                found.push(under(Some(seen), &table.query));
            }
        }
        let mut body = BodyQueries { found: vec![], outermost: true };
        let without = Query { with: None, ..query.clone() };
        let _ = walk(&without, &mut body);
        found.extend(body.found.iter().map(|inner| under(query.with.clone(), inner)));
        if let SetExpr::SetOperation { left, right, .. } = &*query.body {
            for side in [left, right] {
                found.push(Query { body: side.clone(), order_by: None, limit_clause: None, ..query.clone() });
            }
        }
        found
    }

    /// The place in FROM, when FROM fails by itself.
    fn from(&self, query: &Query, select: &Select) -> Option<Position> {
        if select.from.is_empty() || !self.fails(&probe(query, select, &select.from, literal())) {
            return None;
        }
        for table in &select.from {
            for factor in
                std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
            {
                let alone = TableWithJoins { relation: factor.clone(), joins: vec![] };
                if self.fails(&probe(query, select, &[alone], literal())) {
                    return Position::of(factor.span());
                }
            }
        }
        let free: Vec<TableWithJoins> = select.from.iter().map(without_conditions).collect();
        let joins = select.from.iter().flat_map(|table| &table.joins);
        joins.filter_map(condition).find_map(|condition| self.expr(query, select, &free, condition))
    }

    fn clauses(&self, query: &Query, select: &Select) -> Option<Position> {
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let mut exprs: Vec<&Expr> = items.collect();
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            exprs.extend(keys);
        }
        exprs.extend(select.selection.iter().chain(&select.having));
        exprs.iter().find_map(|expr| self.expr(query, select, &select.from, expr)).or_else(|| {
            // What fails only beside GROUP BY, such as a column that is not a key.
            let grouped = |expr: &&&Expr| {
                let mut grouped = probe(query, select, &select.from, (**expr).clone());
                if let SetExpr::Select(probed) = &mut *grouped.body {
                    probed.group_by = select.group_by.clone();
                }
                self.fails(&grouped)
            };
            exprs.iter().find(grouped).and_then(|expr| place(expr))
        })
    }

    fn order_by(&self, query: &Query, select: &Select) -> Option<Position> {
        let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) else {
            return None;
        };
        keys.iter().find_map(|key| self.expr(query, select, &select.from, &key.expr))
    }

    /// The place of the number of rows, when the query is right without it.
    fn limit(&self, query: &Query) -> Option<Position> {
        let clause = query.limit_clause.as_ref()?;
        let without = Query { limit_clause: None, ..query.clone() };
        let numbers = match clause {
            LimitClause::LimitOffset { limit, offset, .. } => {
                [limit.as_ref(), offset.as_ref().map(|offset| &offset.value)]
            }
            LimitClause::OffsetCommaLimit { offset, limit } => [Some(offset), Some(limit)],
        };
        let is_number =
            |number: &&Expr| matches!(number, Expr::Value(value) if matches!(value.value, Value::Number(..)));
        let wrong = numbers.into_iter().flatten().find(|number| !is_number(number))?;
        (!self.fails(&without)).then(|| place(wrong)).flatten()
    }

    /// The place of the smallest part of `expr` that fails over `from`.
    fn expr(&self, query: &Query, select: &Select, from: &[TableWithJoins], expr: &Expr) -> Option<Position> {
        let fails = |part: &Expr| self.fails(&probe(query, select, from, part.clone()));
        if !fails(expr) {
            return None;
        }
        parts_of(expr).iter().find(|part| fails(part)).and_then(place).or_else(|| place(expr))
    }
}

/// `SELECT expr FROM from`, with the WITH clause of `query`.
fn probe(query: &Query, select: &Select, from: &[TableWithJoins], expr: Expr) -> Query {
    let probe = Select {
        projection: vec![SelectItem::ExprWithAlias { expr, alias: Ident::new("probed") }],
        from: from.to_vec(),
        selection: None,
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        having: None,
        distinct: None,
        ..select.clone()
    };
    Query {
        body: Box::new(SetExpr::Select(Box::new(probe))),
        order_by: None,
        limit_clause: None,
        ..query.clone()
    }
}

fn literal() -> Expr {
    Expr::Value(Value::Boolean(true).into())
}

/// `inner` under the tables that `with` names, its own behind them.
fn under(with: Option<With>, inner: &Query) -> Query {
    let mut inner = inner.clone();
    inner.with = match (with, inner.with.take()) {
        (Some(mut outer), Some(own)) => {
            outer.cte_tables.extend(own.cte_tables);
            Some(outer)
        }
        (outer, own) => outer.filter(|with| !with.cte_tables.is_empty()).or(own),
    };
    inner
}

fn without_conditions(table: &TableWithJoins) -> TableWithJoins {
    let crossed =
        |join: &Join| Join { join_operator: JoinOperator::CrossJoin(JoinConstraint::None), ..join.clone() };
    TableWithJoins { relation: table.relation.clone(), joins: table.joins.iter().map(crossed).collect() }
}

fn condition(join: &Join) -> Option<&Expr> {
    let constraint = match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => constraint,
        _ => return None,
    };
    match constraint {
        JoinConstraint::On(condition) => Some(condition),
        _ => None,
    }
}

fn place(expr: &Expr) -> Option<Position> {
    Position::of(expr.span())
}

/// The expressions inside `expr` outside of subqueries, the inner ones before those that contain them, itself last.
fn parts_of(expr: &Expr) -> Vec<Expr> {
    let mut parts = Parts::default();
    let _ = walk(expr, &mut parts);
    parts.found
}

#[derive(Default)]
struct Parts {
    found: Vec<Expr>,
    depth: usize,
}

impl Visitor for Parts {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            self.found.push(expr.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The outermost queries of a query's body: derived tables and subqueries.
struct BodyQueries {
    found: Vec<Query>,
    outermost: bool,
}

impl Visitor for BodyQueries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        match self.outermost {
            true => self.outermost = false,
            false => self.found.push(query.clone()),
        }
        ControlFlow::Continue(())
    }
}
