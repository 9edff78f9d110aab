//! `FROM t MATCH_RECOGNIZE (..)`.

use super::node::{Bound, MatchRecognize, OrderKey, Parts, Value, Variable};
use super::pattern::{after_match, variables};
use super::scope::{Scope, invalid};
use crate::PlanError;
use crate::parser::WITHIN;
use crate::query::bind::rewrite_windows;
use crate::query::error::{external, plan_error};
use crate::query::origin::{Origin, expr_origin};
use crate::query::syntax::length_ms;
use crate::query::window_planner::time_attribute;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Column, Result, internal_err};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use sqlparser::ast::{
    self, AfterMatchSkip, Ident, Measure, OrderByExpr, RowsPerMatch, Spanned, SymbolDefinition, TableFactor,
};
use sqlparser::tokenizer::Span;
use std::sync::Arc;
use weir_functions::FunctionRegistry;
use weir_types::{SqlType, TimeAttribute};

/// Plans MATCH_RECOGNIZE.
#[derive(Debug)]
pub(in crate::query) struct MatchPlanner {
    pub registry: FunctionRegistry,
    /// The text is a view's: its places mean nothing to the statement.
    pub in_view: bool,
}

impl RelationPlanner for MatchPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::MatchRecognize { alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let alias = alias.clone();
        let clause = Clause::of(relation)?;
        let plan = self.plan(&clause, context).map_err(|error| {
            let error = plan_error(error);
            external(if self.in_view { error.without_position() } else { error.at(clause.span) })
        })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The clause as it is written.
struct Clause {
    table: TableFactor,
    partition_by: Vec<ast::Expr>,
    order_by: Vec<OrderByExpr>,
    measures: Vec<Measure>,
    rows_per_match: Option<RowsPerMatch>,
    after_match: Option<AfterMatchSkip>,
    pattern: ast::MatchRecognizePattern,
    definitions: Vec<SymbolDefinition>,
    /// the interval of WITHIN
    within: Option<SymbolDefinition>,
    /// of the table
    span: Span,
}

/// The time that rows are ordered by, and further keys.
struct Order {
    attribute: TimeAttribute,
    time: Column,
    time_type: SqlType,
    keys: Vec<OrderKey>,
}

impl Clause {
    fn of(relation: TableFactor) -> Result<Clause> {
        let TableFactor::MatchRecognize {
            table,
            partition_by,
            order_by,
            measures,
            rows_per_match,
            after_match_skip,
            pattern,
            mut symbols,
            alias: _,
        } = relation
        else {
            return internal_err!("this is no MATCH_RECOGNIZE");
        };
        let within = match symbols.first() {
            Some(first) if first.symbol.value == WITHIN => Some(symbols.remove(0)),
            _ => None,
        };
        Ok(Clause {
            span: table.span(),
            table: *table,
            partition_by,
            order_by,
            measures,
            rows_per_match,
            after_match: after_match_skip,
            pattern,
            definitions: symbols,
            within,
        })
    }

    /// The interval of WITHIN in milliseconds.
    fn within_ms(&self) -> Result<Option<i64>, PlanError> {
        let Some(within) = &self.within else { return Ok(None) };
        let interval = &within.definition;
        match length_ms(interval).ok().flatten() {
            // Without a length there is no bound, as Flink has it.
            Some(ms) if ms > 0 => Ok(Some(ms)),
            Some(_) => Ok(None),
            None => {
                let message = format!("WITHIN takes a constant interval of days to seconds, not {interval}");
                Err(PlanError::invalid(message).at(within.symbol.span))
            }
        }
    }

    /// EXPLAIN's text, behind the keys.
    fn text(&self, variables: &[Variable]) -> String {
        let join = |texts: Vec<String>| texts.join(", ");
        let measures =
            self.measures.iter().map(|measure| format!("{} AS {}", measure.expr, measure.alias.value));
        let measures = join(measures.collect());
        let after = match &self.after_match {
            None | Some(AfterMatchSkip::ToNextRow) => "SKIP TO NEXT ROW".to_string(),
            Some(AfterMatchSkip::PastLastRow) => "SKIP PAST LAST ROW".to_string(),
            Some(AfterMatchSkip::ToFirst(name)) => format!("SKIP TO FIRST {name}"),
            Some(AfterMatchSkip::ToLast(name)) => format!("SKIP TO LAST {name}"),
        };
        let pattern: Vec<String> = variables.iter().map(Variable::text).collect();
        let within = self
            .within
            .as_ref()
            .map_or_else(String::new, |within| format!(", within=[{}]", within.definition));
        let define = self
            .definitions
            .iter()
            .map(|definition| format!("{} AS {}", definition.symbol.value, definition.definition));
        format!(
            "measures=[{measures}], rowsPerMatch=[ONE ROW PER MATCH], after=[{after}], pattern=[({})]{within}, define=[{}]",
            pattern.join(" "),
            join(define.collect())
        )
    }
}

impl MatchPlanner {
    fn plan(&self, clause: &Clause, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let pattern = variables(&clause.pattern).map_err(external)?;
        let after = after_match(clause.after_match.as_ref(), &pattern).map_err(external)?;
        let within_ms = clause.within_ms().map_err(external)?;
        if let Some(RowsPerMatch::AllRows(_)) = clause.rows_per_match {
            let error = PlanError::not_supported("ALL ROWS PER MATCH, ONE ROW PER MATCH is");
            return Err(external(error));
        }
        // The input may group by an older window, whose time is a time attribute only once it is rewritten.
        let input = rewrite_windows(context.plan(clause.table.clone())?)?;
        let partition = partition(&clause.partition_by, &input, context)?;
        let order = order(clause, &input, context)?;
        let names: Vec<(String, bool)> =
            pattern.iter().map(|(name, quantifier)| (name.value.clone(), quantifier.min > 0)).collect();
        // Processing time has no type here: MATCH_ROWTIME is refused by it.
        let time_type = match order.attribute {
            TimeAttribute::RowTime => order.time_type.clone(),
            TimeAttribute::ProcTime => SqlType::Null,
        };
        check_definitions(clause, &names)?;
        let mut variables = vec![];
        for (place, (name, quantifier)) in pattern.iter().enumerate() {
            let scope = Scope {
                context,
                registry: &self.registry,
                input: input.schema(),
                variables: &names,
                time_type: &time_type,
                defines: Some(place),
                bound: Bound::default(),
            };
            let condition =
                definition(clause, name)?.map(|definition| condition(definition, scope)).transpose()?;
            variables.push(Variable { name: name.value.clone(), quantifier: *quantifier, condition });
        }
        let scope = Scope {
            context,
            registry: &self.registry,
            input: input.schema(),
            variables: &names,
            time_type: &time_type,
            defines: None,
            bound: Bound::default(),
        };
        let (measures, results) = measures(clause, scope)?;
        check_names(clause, &partition)?;
        let text = clause.text(&variables);
        let Order { attribute, time, keys, .. } = order;
        let parts = Parts {
            input,
            attribute,
            time,
            partition,
            order: keys,
            variables,
            after,
            within_ms,
            measures,
            results,
            text,
            span: if self.in_view { Span::empty() } else { clause.span },
        };
        Ok(MatchRecognize::try_new(parts)?.into_plan())
    }
}

/// What is defined is in the pattern.
fn check_definitions(clause: &Clause, variables: &[(String, bool)]) -> Result<()> {
    for definition in &clause.definitions {
        let name = &definition.symbol;
        if !variables.iter().any(|(variable, _)| *variable == name.value) {
            let nearest = weir_types::did_you_mean(
                &name.value,
                variables.iter().map(|(variable, _)| variable.as_str()),
            );
            let message = format!("DEFINE has '{}', which PATTERN does not have{nearest}", name.value);
            return invalid(message, name.span);
        }
    }
    Ok(())
}

/// The definition of a variable, if it has one.
fn definition<'c>(clause: &'c Clause, name: &Ident) -> Result<Option<&'c SymbolDefinition>> {
    let mut own = clause.definitions.iter().filter(|definition| definition.symbol.value == name.value);
    let first = own.next();
    match own.next() {
        Some(second) => {
            invalid(format!("pattern variable '{}' is defined twice", name.value), second.symbol.span)
        }
        None => Ok(first),
    }
}

/// The condition of a definition.
fn condition(definition: &SymbolDefinition, mut scope: Scope<'_, '_>) -> Result<Bound> {
    let condition = scope.bind(&definition.definition)?;
    let data_type = condition.get_type(&scope.bound.schema()?)?;
    if !matches!(data_type, DataType::Boolean | DataType::Null) {
        let found = SqlType::of_data_type(&data_type)
            .map_or_else(|| data_type.to_string(), |sql_type| sql_type.to_string());
        let name = &definition.symbol.value;
        let message = format!("DEFINE {name} AS takes a condition, not a value of type {found}");
        return invalid(message, definition.definition.span());
    }
    Ok(Bound { expressions: vec![condition], ..scope.bound })
}

fn partition(
    keys: &[ast::Expr],
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<Vec<Column>> {
    let mut partition: Vec<Column> = vec![];
    for key in keys {
        match context.sql_to_expr(key.clone(), input.schema())? {
            Expr::Column(column) if partition.contains(&column) => {
                return invalid(format!("PARTITION BY has column '{}' twice", column.name), key.span());
            }
            Expr::Column(column) => partition.push(column),
            _ => {
                let message = format!(
                    "PARTITION BY of MATCH_RECOGNIZE takes columns, not {key}: compute it in a query in its place, \
                     FROM (SELECT ..) MATCH_RECOGNIZE (..)"
                );
                return invalid(message, key.span());
            }
        }
    }
    // Flink gives them in the order of the table, whatever the clause says.
    partition.sort_by_key(|column| input.schema().maybe_index_of_column(column));
    Ok(partition)
}

fn order(clause: &Clause, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<Order> {
    let message = "MATCH_RECOGNIZE is ordered by a time attribute first, ascending: declare WATERMARK FOR it in its table, or \
                   take PROCTIME()";
    let Some(first) = clause.order_by.first() else {
        return invalid(message.to_string(), clause.span);
    };
    let key = context.sql_to_expr(first.expr.clone(), input.schema())?;
    let is_time = match expr_origin(input, &key) {
        Some(Origin::Time(_)) => true,
        Some(Origin::Window { part, .. }) => part == 2,
        None => false,
    };
    let (Expr::Column(time), true, true) = (key, is_time, first.options.asc != Some(false)) else {
        return invalid(message.to_string(), first.expr.span());
    };
    let (attribute, time_type) = time_attribute(input, &time)?;
    let mut keys = vec![];
    for key in &clause.order_by[1..] {
        let Expr::Column(column) = context.sql_to_expr(key.expr.clone(), input.schema())? else {
            return invalid(
                format!("ORDER BY of MATCH_RECOGNIZE takes columns, not {}", key.expr),
                key.expr.span(),
            );
        };
        let descending = key.options.asc == Some(false);
        // NULL is the least value.
        let nulls_first = key.options.nulls_first.unwrap_or(!descending);
        keys.push(OrderKey { column, descending, nulls_first });
    }
    Ok(Order { attribute, time, time_type, keys })
}

type Results = Vec<(FieldRef, Option<TimeAttribute>)>;

/// The measures and their columns.
fn measures(clause: &Clause, mut scope: Scope<'_, '_>) -> Result<(Bound, Results)> {
    if clause.measures.is_empty() {
        return invalid(
            "MATCH_RECOGNIZE without MEASURES has nothing to tell of a match".to_string(),
            clause.span,
        );
    }
    let (mut expressions, mut results) = (vec![], vec![]);
    for measure in &clause.measures {
        let expr = scope.bind(&measure.expr)?;
        let field = expr.to_field(&scope.bound.schema()?)?.1;
        let time = match &expr {
            Expr::Column(column) => {
                let place = scope.bound.fields.iter().position(|field| *field.name() == column.name);
                place
                    .filter(|place| scope.bound.values[*place] == Value::Time)
                    .map(|_| TimeAttribute::RowTime)
            }
            Expr::ScalarFunction(call) if call.func.name().eq_ignore_ascii_case("PROCTIME") => {
                Some(TimeAttribute::ProcTime)
            }
            _ => None,
        };
        let field = field.as_ref().clone().with_name(&measure.alias.value);
        results.push((Arc::new(TimeAttribute::mark(time, &field)), time));
        expressions.push(expr);
    }
    let bound = Bound { expressions, ..scope.bound };
    Ok((bound, results))
}

/// Columns of the result have different names.
fn check_names(clause: &Clause, partition: &[Column]) -> Result<()> {
    let mut taken: Vec<&str> = partition.iter().map(|column| column.name.as_str()).collect();
    for measure in &clause.measures {
        let name = measure.alias.value.as_str();
        if taken.contains(&name) {
            let message = format!("there are two columns '{name}': give the measure another name");
            return invalid(message, measure.alias.span);
        }
        taken.push(name);
    }
    Ok(())
}

impl Variable {
    /// With its quantifier.
    fn text(&self) -> String {
        let (min, max, greedy) = (self.quantifier.min, self.quantifier.max, self.quantifier.greedy);
        let name = self.name.clone();
        weir_types::PatternVariable { name, min, max, greedy, condition: None }.text()
    }
}
