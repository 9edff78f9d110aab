//! CROSS JOIN UNNEST and LEFT JOIN UNNEST.
//!
//! While a FROM is planned, `UNNEST(t.items)` is a relation of its own whose argument names a column of the outer query.
//! Once the join stands, the two become one node over the join's left side, whose columns the argument then reads.

use crate::PlanError;
use crate::query::error::{external, plan_error};
use crate::query::nodes::{node_of, unordered};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{
    Column, DFSchema, DFSchemaRef, Result, ScalarValue, internal_err, not_impl_err, plan_err,
};
use datafusion_expr::logical_plan::{Extension, Join, UserDefinedLogicalNodeCore};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, Spanned, TableFactor};
use sqlparser::tokenizer::Span;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use weir_functions::{FunctionRegistry, analyze_expr};
use weir_types::{SqlField, SqlType};

/// The column that WITH ORDINALITY adds, as Flink calls it.
const ORDINALITY: &str = "ORDINALITY";

/// Each row of the input once for each element of a collection of it, with the element's columns appended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Unnest {
    pub input: Arc<LogicalPlan>,
    /// an ARRAY, MAP or MULTISET over the input
    pub collection: Expr,
    pub collection_type: SqlType,
    pub ordinality: bool,
    /// LEFT JOIN
    pub outer: bool,
    /// what the appended columns are called
    names: Vec<Column>,
    schema: DFSchemaRef,
}

/// The columns of an element; `None` for what is no collection.
fn element_fields(collection: &SqlType) -> Option<Vec<SqlField>> {
    let members = |element: &SqlField| match &element.sql_type {
        SqlType::Row(fields) => fields.clone(),
        _ => vec![SqlField { name: "EXPR$0".to_string(), ..element.clone() }],
    };
    Some(match collection {
        SqlType::Array(element) | SqlType::Multiset(element) => members(element),
        SqlType::Map(key, value) => vec![
            SqlField { name: "KEY".to_string(), nullable: true, ..key.as_ref().clone() },
            SqlField { name: "VALUE".to_string(), ..value.as_ref().clone() },
        ],
        _ => return None,
    })
}

impl Unnest {
    /// The columns that are appended get the names of `names`, or without them those that Flink gives.
    pub fn try_new(
        input: Arc<LogicalPlan>,
        collection: Expr,
        (ordinality, outer): (bool, bool),
        names: Option<Vec<Column>>,
    ) -> Result<Self> {
        let field = collection.to_field(input.schema())?.1;
        let sql_type = SqlType::of_field(&field).unwrap_or(SqlType::Null);
        let Some(mut elements) = element_fields(&sql_type) else {
            return plan_err!("UNNEST takes an ARRAY, a MAP or a MULTISET, not {sql_type}");
        };
        elements.extend(ordinality.then(|| SqlField::new(ORDINALITY, SqlType::Int, false)));
        let names = names.unwrap_or_else(|| {
            elements.iter().map(|element| Column::new_unqualified(&element.name)).collect()
        });
        if names.len() != elements.len() {
            return internal_err!("{} names for {} columns of UNNEST", names.len(), elements.len());
        }
        let appended = names.iter().zip(&elements).map(|(name, element)| {
            let field = element.sql_type.to_field(&name.name, element.nullable || outer);
            (name.relation.clone(), Arc::new(field))
        });
        let fields = input.schema().iter().map(|(table, field)| (table.cloned(), field.clone()));
        let fields = fields.chain(appended).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Unnest { input, collection, collection_type: sql_type, ordinality, outer, names, schema })
    }

    pub fn of(plan: &LogicalPlan) -> Option<&Unnest> {
        node_of(plan)
    }

    /// The columns that are appended.
    pub fn appended(&self) -> &[Column] {
        &self.names
    }

    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

unordered!(Unnest);

impl UserDefinedLogicalNodeCore for Unnest {
    fn name(&self) -> &str {
        "Unnest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.collection.clone()]
    }

    /// A condition on the row may go before; one on the element cannot.
    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        self.names.iter().map(|name| name.name.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.outer { "left" } else { "inner" };
        let ordinality = if self.ordinality { " WITH ORDINALITY" } else { "" };
        write!(f, "Unnest: {}{ordinality}, join={kind}", self.collection)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(collection), Some(input)) = (exprs.into_iter().next(), inputs.into_iter().next()) else {
            return internal_err!("UNNEST has one collection and one input");
        };
        let collection = collection.unalias_nested().data;
        let flags = (self.ordinality, self.outer);
        Unnest::try_new(Arc::new(input), collection, flags, Some(self.names.clone()))
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < inputs).collect()])
    }
}

/// Plans `UNNEST(..)` in FROM.
#[derive(Debug)]
pub(super) struct UnnestPlanner {
    registry: FunctionRegistry,
    /// how many had no name of their own
    unnamed: AtomicUsize,
    /// The text is a view's: its places mean nothing to the statement.
    in_view: bool,
}

impl UnnestPlanner {
    pub fn new(registry: FunctionRegistry, in_view: bool) -> Self {
        UnnestPlanner { registry, unnamed: AtomicUsize::new(0), in_view }
    }

    fn plan(
        &self,
        argument: ast::Expr,
        ordinality: bool,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let input = LogicalPlanBuilder::empty(true).build()?;
        let empty = DFSchema::empty();
        let collection = context.sql_to_expr(argument, &empty)?;
        let collection = analyze_expr(&self.registry, collection, &empty)?;
        Ok(Unnest::try_new(Arc::new(input), collection, (ordinality, false), None)?.into_plan())
    }

    /// The alias that the relation has, or one that nothing else has, so that its columns clash with no others.
    fn alias(&self, alias: Option<ast::TableAlias>, plan: &LogicalPlan) -> Result<ast::TableAlias> {
        match alias {
            Some(mut alias) => {
                let (columns, names) = (plan.schema().fields().len(), alias.columns.len());
                if names > 0 && names != columns {
                    return plan_err!(
                        "UNNEST gives {columns} columns here, and {names} names stand for them"
                    );
                }
                // A relation of one column lends it its name.
                if alias.columns.is_empty() && plan.schema().fields().len() == 1 {
                    let name = alias.name.clone();
                    alias.columns.push(ast::TableAliasColumnDef { name, data_type: None });
                }
                Ok(alias)
            }
            None => {
                let number = self.unnamed.fetch_add(1, Memory::Relaxed);
                let name = ast::Ident::new(format!("$UNNEST{number}"));
                Ok(ast::TableAlias { explicit: false, name, columns: vec![], at: None })
            }
        }
    }
}

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let span = if self.in_view { Span::empty() } else { relation.span() };
        let (alias, arguments, ordinality) = match relation {
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                (alias, array_exprs, with_ordinality)
            }
            relation => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let located = |error| external(plan_error(error).at(span));
        let [argument] = <[ast::Expr; 1]>::try_from(arguments).map_err(|arguments| {
            let message = format!("UNNEST takes one collection, not {}", arguments.len());
            external(PlanError::invalid(message).at(span))
        })?;
        let plan = self.plan(argument, ordinality, context).map_err(located)?;
        let alias = self.alias(alias, &plan).map_err(located)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
    }
}

/// The UNNEST on the right of a join, below names only.
fn right_side(plan: &LogicalPlan) -> Option<&Unnest> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => right_side(&alias.input),
        LogicalPlan::Subquery(subquery) => right_side(&subquery.subquery),
        LogicalPlan::Projection(projection) => {
            let renames = |expr: &Expr| expr.clone().unalias_nested().data.try_as_col().is_some();
            right_side(&projection.input).filter(|_| projection.expr.iter().all(renames))
        }
        LogicalPlan::Extension(_) => {
            Unnest::of(plan).filter(|node| matches!(node.input.as_ref(), LogicalPlan::EmptyRelation(_)))
        }
        _ => None,
    }
}

/// The join with an UNNEST on its right as one node; `None` for other joins.
pub(super) fn rewrite_join(join: &Join) -> Result<Option<LogicalPlan>> {
    let Some(node) = right_side(&join.right) else { return Ok(None) };
    let outer_columns = |expr: Expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => {
                if !join.left.schema().has_column(&column) {
                    return not_impl_err!(
                        "not supported yet: UNNEST of '{}', which is not of the tables that it is joined with",
                        column.name
                    );
                }
                Transformed::yes(Expr::Column(column))
            }
            expr => Transformed::no(expr),
        })
    };
    let collection = node.collection.clone().transform_up(outer_columns)?.data;
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = conjunction(keys.chain(join.filter.clone()).filter(|expr| !is_true(expr)));
    let outer = match (join.join_type, &condition) {
        (JoinType::Inner, _) => false,
        (JoinType::Left, None) => true,
        (JoinType::Left, Some(_)) => {
            return not_impl_err!(
                "not supported yet: a condition of LEFT JOIN UNNEST, only ON TRUE is: filter the collection, or \
                 write CROSS JOIN UNNEST and a WHERE"
            );
        }
        (other, _) => return plan_err!("UNNEST is joined by CROSS JOIN or LEFT JOIN, not by {other} JOIN"),
    };
    let names = join.right.schema().columns();
    let unnest = Unnest::try_new(join.left.clone(), collection, (node.ordinality, outer), Some(names))?;
    let plan = unnest.into_plan();
    Ok(Some(match condition {
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?),
        None => plan,
    }))
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}
