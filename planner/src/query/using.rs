//! JOIN .. USING and NATURAL JOIN as joins with ON.
//!
//! A common column has the value of the side that has a row: `COALESCE(a.k, b.k)` after a FULL JOIN. `*` gives the common
//! columns first, then the others of each table, as in Flink.

use crate::PlanError;
use crate::parser::{bare, binary, call_of, literal, table_alias};
use crate::walk::{walk, walk_mut};
use sqlparser::ast::{
    BinaryOperator, Cte, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableFactor,
    TableWithJoins, Value, Visitor, VisitorMut, WildcardAdditionalOptions,
};
use std::ops::ControlFlow;

/// Names of a table's columns, under the WITH of the queries around it.
/// Errors: what is wrong with it, which the query that reads it will say too.
pub(super) type Columns<'a> = &'a dyn Fn(&[Cte], &TableFactor) -> Result<Vec<String>, PlanError>;

/// Rewrites all queries inside `query`. Errors: a column that is not on both sides, or stands for both after a NATURAL JOIN.
pub(super) fn rewrite_using(query: &mut Query, columns: Columns<'_>) -> Result<(), PlanError> {
    walk_mut(query, &mut Queries { columns, tables: vec![], known: vec![], aliases: 0 })
}

struct Queries<'a> {
    columns: Columns<'a>,
    /// what WITH defines around this place
    tables: Vec<Cte>,
    /// how many of them there were before each query around
    known: Vec<usize>,
    /// tables that were given a name
    aliases: usize,
}

impl VisitorMut for Queries<'_> {
    type Break = PlanError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<PlanError> {
        self.known.push(self.tables.len());
        match self.query(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<PlanError> {
        self.tables.truncate(self.known.pop().unwrap_or(0));
        ControlFlow::Continue(())
    }
}

/// A table of FROM, and its columns.
struct Relation {
    name: Ident,
    /// `None` for one that reads those before it
    columns: Option<Vec<String>>,
}

impl Relation {
    fn has(&self, name: &str) -> bool {
        self.columns.as_ref().is_some_and(|columns| columns.iter().any(|column| column == name))
    }
}

/// A column of both sides of a join.
struct Common {
    name: String,
    value: Expr,
    natural: bool,
}

impl Queries<'_> {
    fn query(&mut self, query: &mut Query) -> Result<(), PlanError> {
        if let Some(with) = &mut query.with {
            for table in &mut with.cte_tables {
                // One that is not there yet is not seen: the name means another table.
                walk_mut(table.query.as_mut(), self)?;
                self.tables.push(table.clone());
            }
        }
        let mut common = vec![];
        self.body(&mut query.body, &mut common)?;
        if let SetExpr::Select(select) = query.body.as_ref()
            && let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            common.retain(|common: &Common| !is_given(select, &common.name));
            let scope = Scope { columns: self.columns, tables: &self.tables };
            keys.iter_mut().try_for_each(|key| replace(&mut key.expr, &common, scope))?;
        }
        Ok(())
    }

    fn body(&mut self, body: &mut SetExpr, common: &mut Vec<Common>) -> Result<(), PlanError> {
        match body {
            SetExpr::Select(select) => self.select(select, common),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, &mut vec![])?;
                self.body(right, &mut vec![])
            }
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &mut Select, common: &mut Vec<Common>) -> Result<(), PlanError> {
        self.check_aliases(select)?;
        if !select.from.iter().flat_map(|from| &from.joins).any(has_common) {
            return Ok(());
        }
        let mut relations = vec![];
        for from in &mut select.from {
            self.from(from, &mut relations, common)?;
        }
        let scope = Scope { columns: self.columns, tables: &self.tables };
        let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
        let items = std::mem::take(&mut select.projection);
        for item in items {
            match is_star(&item) {
                true => select.projection.extend(all_columns(&relations, common)),
                false => select.projection.push(item),
            }
        }
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = expr_name(expr).filter(|name| common.iter().any(|one| one.name == name.value));
                    replace(expr, common, scope)?;
                    if let Some(alias) = name {
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                    }
                }
                SelectItem::ExprWithAlias { expr, .. } => replace(expr, common, scope)?,
                _ => {}
            }
        }
        let mut conditions = select.selection.iter_mut().chain(&mut select.having).chain(&mut select.qualify);
        conditions.try_for_each(|condition| replace(condition, common, scope))?;
        walk_mut(&mut select.group_by, &mut Replace { common, scope, hidden: vec![] })
    }

    /// GROUP BY and HAVING know no names that the list gives.
    fn check_aliases(&self, select: &Select) -> Result<(), PlanError> {
        let mut keys: Vec<&Expr> = vec![];
        if let GroupByExpr::Expressions(exprs, _) = &select.group_by {
            keys.extend(exprs);
        }
        let mut named = Named { aliases: &aliases(select), found: vec![], queries: 0 };
        if keys.is_empty() && select.having.is_none() || named.aliases.is_empty() {
            return Ok(());
        }
        for expr in keys.into_iter().chain(&select.having) {
            walk(expr, &mut named).unwrap_or(());
        }
        if named.found.is_empty() {
            return Ok(());
        }
        let mut known = vec![];
        for from in &select.from {
            for table in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
                // A table that reads others of its FROM has columns that cannot be told.
                let Ok(columns) = (self.columns)(&self.tables, table) else { return Ok(()) };
                known.extend(columns);
            }
        }
        match named.found.iter().find(|name| !known.contains(&name.value)) {
            Some(name) => Err(PlanError::invalid(format!(
                "column '{}' is not in any table: GROUP BY and HAVING do not know the names that the list gives, write \
                 the expression, or nest the queries",
                name.value
            ))
            .at(name.span)),
            None => Ok(()),
        }
    }

    fn from(
        &mut self,
        from: &mut TableWithJoins,
        relations: &mut Vec<Relation>,
        common: &mut Vec<Common>,
    ) -> Result<(), PlanError> {
        if !from.joins.iter().any(has_common) {
            relations.push(self.relation(&mut from.relation)?);
            for join in &mut from.joins {
                relations.push(self.relation(&mut join.relation)?);
            }
            return Ok(());
        }
        let first = relations.len();
        relations.push(self.relation(&mut from.relation)?);
        let mut here: Vec<Common> = vec![];
        for join in &mut from.joins {
            let right = self.relation(&mut join.relation)?;
            let scope = Scope { columns: self.columns, tables: &self.tables };
            join_common(join, (&relations[first..], &right), &mut here, scope)?;
            relations.push(right);
        }
        common.append(&mut here);
        Ok(())
    }

    /// The name of a table, which it gets where it has none, and its columns.
    fn relation(&mut self, table: &mut TableFactor) -> Result<Relation, PlanError> {
        let reads_others =
            matches!(table, TableFactor::UNNEST { .. } | TableFactor::Derived { lateral: true, .. });
        let columns = if reads_others { None } else { Some((self.columns)(&self.tables, &of_now(table))?) };
        Ok(Relation { name: self.name(table)?, columns })
    }

    fn name(&mut self, table: &mut TableFactor) -> Result<Ident, PlanError> {
        let unnamed = bare(&format!("$using{}", self.aliases));
        Ok(match table {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. } => alias.name.clone(),
            TableFactor::Table { name, .. } => bare_ident(name).unwrap_or(unnamed),
            // A table with a hint.
            TableFactor::NestedJoin { table_with_joins, .. } if table_with_joins.joins.is_empty() => {
                self.name(&mut table_with_joins.relation)?
            }
            TableFactor::Derived { alias, .. } | TableFactor::TableFunction { alias, .. } => {
                self.aliases += 1;
                let named = || table_alias(unnamed);
                alias.get_or_insert_with(named).name.clone()
            }
            _ => {
                let message = "USING and NATURAL beside this kind of table: write ON instead";
                return Err(PlanError::not_supported(message).at(table.span()));
            }
        })
    }
}

/// The table as it is, of whatever time it is asked for.
fn of_now(table: &TableFactor) -> TableFactor {
    let mut table = table.clone();
    if let TableFactor::Table { version, .. } = &mut table {
        *version = None;
    }
    table
}

/// Writes the condition of one join; `here` are the common columns so far.
fn join_common(
    join: &mut Join,
    (left, right): (&[Relation], &Relation),
    here: &mut Vec<Common>,
    scope: Scope<'_>,
) -> Result<(), PlanError> {
    let (span, kind) = (join.relation.span(), Kind::of(&join.join_operator));
    let Some(constraint) = constraint(&mut join.join_operator) else { return Ok(()) };
    let natural = matches!(constraint, JoinConstraint::Natural);
    let names = match &mut *constraint {
        JoinConstraint::Using(names) => names.iter().filter_map(bare_name).collect::<Vec<_>>(),
        JoinConstraint::Natural => common_names(left, here, right),
        JoinConstraint::On(condition) => return replace(condition, here, scope),
        JoinConstraint::None => return Ok(()),
    };
    let mut conditions = vec![];
    let mut new = vec![];
    for name in names {
        let known = left_value(left, here, &name).map_err(|error| error.at(span))?;
        if !right.has(&name) {
            return Err(no_column(&name, "right").at(span));
        }
        let other = column(&right.name, &name);
        conditions.push(binary(known.clone(), BinaryOperator::Eq, other.clone()));
        let value = match kind {
            Kind::Left => known,
            Kind::Right => other,
            Kind::Full => call_of("COALESCE", vec![known, other]),
        };
        here.retain(|common| common.name != name);
        new.push(Common { name, value, natural });
    }
    let both = |left, right| binary(left, BinaryOperator::And, right);
    *constraint = JoinConstraint::On(conditions.into_iter().reduce(both).unwrap_or_else(always));
    new.append(here);
    *here = new;
    Ok(())
}

fn bare_ident(name: &ObjectName) -> Option<Ident> {
    name.0.last()?.as_ident().cloned()
}

fn bare_name(name: &ObjectName) -> Option<String> {
    Some(bare_ident(name)?.value)
}

/// Whose value a common column has.
#[derive(Clone, Copy)]
enum Kind {
    Left,
    Right,
    Full,
}

impl Kind {
    fn of(operator: &JoinOperator) -> Kind {
        match operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Kind::Right,
            JoinOperator::FullOuter(_) => Kind::Full,
            _ => Kind::Left,
        }
    }
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator::{FullOuter, Inner, Join, Left, LeftOuter, Right, RightOuter};
    match operator {
        Join(it) | Inner(it) | Left(it) | LeftOuter(it) | Right(it) | RightOuter(it) | FullOuter(it) => {
            Some(it)
        }
        _ => None,
    }
}

fn has_common(join: &Join) -> bool {
    let constraint = constraint(&mut join.join_operator.clone()).cloned();
    matches!(constraint, Some(JoinConstraint::Using(_) | JoinConstraint::Natural))
}

/// The columns that a table has in common with those before it.
fn common_names(relations: &[Relation], common: &[Common], right: &Relation) -> Vec<String> {
    let before = common.iter().map(|known| &known.name);
    let all = before.chain(relations.iter().flat_map(|relation| relation.columns.iter().flatten()));
    let mut names: Vec<String> = vec![];
    for name in all.filter(|name| right.has(name)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn no_column(name: &str, side: &str) -> PlanError {
    PlanError::invalid(format!("column '{name}' of USING is not on the {side} of the join"))
}

/// A column of what stands on the left of a join.
fn left_value(relations: &[Relation], common: &[Common], name: &str) -> Result<Expr, PlanError> {
    if let Some(known) = common.iter().find(|known| known.name == name) {
        return Ok(known.value.clone());
    }
    let mut having = relations.iter().filter(|relation| relation.has(name));
    match (having.next(), having.next()) {
        (Some(relation), None) => Ok(column(&relation.name, name)),
        (None, _) => Err(no_column(name, "left")),
        _ => Err(PlanError::invalid(format!(
            "column '{name}' is ambiguous: several tables on the left of the join have it, write ON"
        ))),
    }
}

/// What `*` gives.
fn all_columns(relations: &[Relation], common: &[Common]) -> Vec<SelectItem> {
    let named = |expr: Expr, name: &str| SelectItem::ExprWithAlias { expr, alias: bare(name) };
    let mut items: Vec<SelectItem> = common.iter().map(|one| named(one.value.clone(), &one.name)).collect();
    for relation in relations {
        let Some(columns) = &relation.columns else {
            let all =
                SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![relation.name.clone()]));
            items.push(SelectItem::QualifiedWildcard(all, WildcardAdditionalOptions::default()));
            continue;
        };
        let own = columns.iter().filter(|name| !common.iter().any(|one| one.name == **name));
        items.extend(own.map(|name| SelectItem::UnnamedExpr(column(&relation.name, name))));
    }
    items
}

/// True if a list has a column of that name.
fn is_given(select: &Select, name: &str) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.value == name,
        SelectItem::UnnamedExpr(expr) => expr_name(expr).is_some_and(|given| given.value == name),
        _ => false,
    })
}

fn expr_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        _ => None,
    }
}

/// Names that a list gives to other things than columns of that name.
fn aliases(select: &Select) -> Vec<String> {
    let alias = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            let same = match expr {
                Expr::Identifier(name) => name.value == alias.value,
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| name.value == alias.value),
                _ => false,
            };
            (!same).then(|| alias.value.clone())
        }
        _ => None,
    };
    select.projection.iter().filter_map(alias).collect()
}

/// Bare names that are among some, outside of queries.
struct Named<'a> {
    aliases: &'a [String],
    found: Vec<Ident>,
    queries: u32,
}

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.queries == 0
            && self.aliases.contains(&name.value)
        {
            self.found.push(name.clone());
        }
        ControlFlow::Continue(())
    }
}

fn replace(expr: &mut Expr, common: &[Common], scope: Scope<'_>) -> Result<(), PlanError> {
    walk_mut(expr, &mut Replace { common, scope, hidden: vec![] })
}

/// Puts values in the place of bare names of common columns; inside a query only of those that its own tables do not have.
struct Replace<'a> {
    common: &'a [Common],
    scope: Scope<'a>,
    /// what the tables of the queries around this place have; `None` where that cannot be told
    hidden: Vec<Option<Vec<String>>>,
}

/// Where names are looked up.
#[derive(Clone, Copy)]
struct Scope<'a> {
    columns: Columns<'a>,
    tables: &'a [Cte],
}

impl Scope<'_> {
    /// The columns of all tables of a query.
    fn columns_of(self, query: &Query) -> Option<Vec<String>> {
        let SetExpr::Select(select) = query.body.as_ref() else { return None };
        let mut tables = self.tables.to_vec();
        tables.extend(query.with.iter().flat_map(|with| with.cte_tables.iter().cloned()));
        let mut found = vec![];
        for from in &select.from {
            for table in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
                found.extend((self.columns)(&tables, &of_now(table)).ok()?);
            }
        }
        Some(found)
    }
}

impl VisitorMut for Replace<'_> {
    type Break = PlanError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<PlanError> {
        self.hidden.push(self.scope.columns_of(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<PlanError> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<PlanError> {
        let Expr::Identifier(name) = expr else { return ControlFlow::Continue(()) };
        let Some(common) = self.common.iter().find(|known| known.name == name.value) else {
            return ControlFlow::Continue(());
        };
        let hides = |columns: &Option<Vec<String>>| {
            columns.as_ref().is_none_or(|columns| columns.contains(&name.value))
        };
        if self.hidden.iter().any(hides) {
            return ControlFlow::Continue(());
        }
        if common.natural {
            let message = format!(
                "column '{name}' is ambiguous, for both sides of the NATURAL JOIN have it: say of which table it is, or \
                 write JOIN .. USING ({name})"
            );
            return ControlFlow::Break(PlanError::invalid(message).at(name.span));
        }
        *expr = common.value.clone();
        ControlFlow::Continue(())
    }
}

fn column(table: &Ident, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![table.clone(), bare(name)])
}

fn always() -> Expr {
    literal(Value::Boolean(true))
}
