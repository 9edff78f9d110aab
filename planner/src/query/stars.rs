//! `SELECT *` over several tables, whose columns may share names.
//!
//! Flink numbers such names where a query ends: `id`, `id0`, `id1`. Inside of a query DataFusion tells the columns apart
//! by their tables; where it ends, at a derived table, a WITH or the statement, they get Flink's names.

use crate::parser::{bare, table_alias};
use crate::query::names::unique_name;
use crate::walk::walk_mut;
use datafusion_common::Result;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, VisitorMut};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

/// Ends the name of a column that stands beside a `*` in the list, which may have one of that name: the place follows.
const BESIDE: &str = "$*";

/// The name that a column is planned with where its list has a `*` as well.
pub(super) fn beside_star(name: &str, place: usize) -> String {
    format!("{name}{BESIDE}{place}")
}

pub(super) fn has_star(select: &Select) -> bool {
    let star =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    select.projection.iter().any(star)
}

/// The plan with columns of different names, numbered as Flink numbers them.
pub(super) fn name_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut is_changed = false;
    let mut columns = vec![];
    for (place, column) in plan.schema().columns().into_iter().enumerate() {
        let base = match column.name.split_once(BESIDE) {
            // The place of an expression counts the columns that a `*` stands for.
            Some((base, _)) if base.starts_with("EXPR$") => format!("EXPR${place}"),
            Some((base, _)) => base.to_string(),
            None => column.name.clone(),
        };
        let name = unique_name(&base, &taken.iter().map(String::as_str).collect());
        is_changed |= name != column.name;
        taken.insert(name.clone());
        columns.push(match name == column.name {
            true => Expr::Column(column),
            false => Expr::Column(column).alias(name),
        });
    }
    match is_changed {
        true => LogicalPlanBuilder::from(plan).project(columns)?.build(),
        false => Ok(plan),
    }
}

/// Gives the columns of a list with a `*` names that no column of a table has; ORDER BY and QUALIFY follow. The aliases
/// come back where the query ends.
fn alias_beside_stars(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    let SetExpr::Select(select) = body.as_mut() else { return };
    if !has_star(select) {
        return;
    }
    let mut renamed = BTreeMap::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            let name = beside_star(&alias.value, place);
            renamed.insert(std::mem::replace(&mut alias.value, name.clone()), name);
            alias.quote_style = Some('`');
        }
    }
    let mut references = References { renamed };
    let order = order_by.iter_mut().map(|order| &mut order.kind);
    for key in order.filter_map(|kind| match kind {
        OrderByKind::Expressions(keys) => Some(keys),
        OrderByKind::All(_) => None,
    }) {
        let _ = key.iter_mut().try_for_each(|key| walk_mut(&mut key.expr, &mut references));
    }
    let _ = select.qualify.iter_mut().try_for_each(|condition| walk_mut(condition, &mut references));
}

/// References to aliases that have other names now.
struct References {
    renamed: BTreeMap<String, String>,
}

impl VisitorMut for References {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Infallible> {
        if let ast::Expr::Identifier(ident) = expr
            && let Some(name) = self.renamed.get(&ident.value)
        {
            *ident = Ident { value: name.clone(), quote_style: Some('`'), span: ident.span };
        }
        ControlFlow::Continue(())
    }
}

/// True if columns of the query may share a name; with `aliased` also columns that the list gives a name to.
fn may_share_names(body: &SetExpr, aliased: bool) -> bool {
    match body {
        SetExpr::Select(select) => {
            let several = select.from.len() > 1 || select.from.iter().any(|table| !table.joins.is_empty());
            let named = |item: &&SelectItem| !aliased && matches!(item, SelectItem::ExprWithAlias { .. });
            let others = select.projection.iter().filter(|item| !named(item)).count();
            has_star(select) && (several || others > 1)
        }
        SetExpr::Query(query) => may_share_names(&query.body, aliased),
        SetExpr::SetOperation { left, .. } => may_share_names(left, aliased),
        _ => false,
    }
}

/// Makes queries whose columns may share names derived tables with a name, whose columns [`StarPlanner`] tells apart.
pub(super) struct Stars {
    nameless: usize,
    /// columns that the list gives names to may have those of columns that a `*` stands for
    aliased: bool,
}

impl Stars {
    pub fn new(aliased: bool) -> Self {
        Stars { nameless: 0, aliased }
    }

    /// With names that clash, makes the aliases beside a `*` names that do not.
    pub fn name_apart(&self, query: &mut Query) {
        if self.aliased {
            alias_beside_stars(query);
        }
    }

    /// A derived table without a name gets one.
    pub fn name_derived(&mut self, factor: &mut TableFactor) {
        if let TableFactor::Derived { subquery, alias: name @ None, .. } = factor
            && may_share_names(&subquery.body, self.aliased)
        {
            *name = Some(table_alias(bare(&format!("$query{}", self.nameless))));
            self.nameless += 1;
        }
    }

    /// `WITH a AS (query)` becomes `WITH a AS (SELECT * FROM (query) AS a)`.
    pub fn wrap_with(&mut self, query: &mut Query, select_from: impl Fn(TableFactor) -> Query) {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if may_share_names(&cte.query.body, self.aliased) {
                let inner = TableFactor::Derived {
                    lateral: false,
                    subquery: cte.query.clone(),
                    alias: Some(table_alias(cte.alias.name.clone())),
                    sample: None,
                };
                *cte.query = select_from(inner);
            }
        }
    }
}

/// Plans derived tables, with columns of different names.
#[derive(Debug)]
pub(super) struct StarPlanner;

impl RelationPlanner for StarPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Derived { lateral, subquery, alias: alias @ Some(_), sample } => {
                let nameless = TableFactor::Derived { lateral, subquery, alias: None, sample };
                let plan = name_apart(context.plan(nameless)?)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            relation => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_common::Column;
    use datafusion_expr::{col, lit};

    fn names(plan: &LogicalPlan) -> Vec<String> {
        plan.schema().columns().into_iter().map(|column| column.name).collect()
    }

    #[test]
    fn names_are_numbered_from_the_left() {
        let table = |name: &str| {
            let row = LogicalPlanBuilder::values(vec![vec![lit(1), lit(2)]]).unwrap();
            let row = row.project(vec![col("column1").alias("id"), col("column2").alias("v")]).unwrap();
            row.alias(name).unwrap()
        };
        let joined = table("a").cross_join(table("b").build().unwrap()).unwrap().build().unwrap();
        assert_eq!(names(&name_apart(joined.clone()).unwrap()), ["id", "v", "id0", "v0"]);
        let star = LogicalPlanBuilder::from(joined);
        let columns = [Expr::Column(Column::from_qualified_name("a.id")).alias(beside_star("id", 0))];
        let stars = columns.into_iter().chain(star.schema().columns().into_iter().map(Expr::Column));
        let plan = star.clone().project(stars).unwrap().build().unwrap();
        assert_eq!(names(&name_apart(plan).unwrap()), ["id", "id0", "v", "id1", "v0"]);
    }

    #[test]
    fn different_names_stay() {
        let plan = LogicalPlanBuilder::values(vec![vec![lit(1), lit(2)]]).unwrap().build().unwrap();
        assert_eq!(name_apart(plan.clone()).unwrap(), plan);
    }
}
