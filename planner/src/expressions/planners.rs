//! DataFusion's hooks for operators, special syntax and types.

use super::types::sql_type_of as sql_type;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DFSchema, Result, TableReference, plan_err};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr, TypePlanner};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, GetFieldAccess, Operator, lit};
use sqlparser::ast::{self, BinaryOperator};
use std::sync::Arc;
use weir_functions::{FunctionRegistry, analyze_expr, coerce_comparison, type_of};
use weir_types::SqlType;

/// Operators and special syntax as calls of Flink's functions.
#[derive(Debug)]
pub struct FlinkExprPlanner {
    registry: FunctionRegistry,
}

impl FlinkExprPlanner {
    pub fn new(registry: FunctionRegistry) -> Self {
        FlinkExprPlanner { registry }
    }

    fn planned<T>(&self, name: &str, arguments: Vec<Expr>) -> Result<PlannerResult<T>> {
        Ok(PlannerResult::Planned(self.registry.call(name, arguments)?))
    }

    /// Both sides of AND and OR are conditions.
    fn check_conditions(&self, op: &BinaryOperator, sides: [&Expr; 2], schema: &DFSchema) -> Result<()> {
        let may_be = |side: &Expr| {
            // Errors are for whoever types the expression.
            is_condition(side)
                || type_of(side, schema)
                    .map_or(true, |found| matches!(found, SqlType::Boolean | SqlType::Null))
        };
        if sides.into_iter().all(may_be) {
            return Ok(());
        }
        let mut types = vec![];
        for side in sides {
            let typed = analyze_expr(&self.registry, side.clone(), schema)?;
            types.push(type_of(&typed, schema)?.to_string());
        }
        plan_err!("cannot apply {op} to ({}): expected a BOOLEAN on both sides", types.join(", "))
    }
}

/// What is BOOLEAN by its form. The type of a deep condition takes as long to find out as it is deep.
fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            use Operator::{And, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq, Or};
            matches!(op, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
        }
        Expr::Not(_) | Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Between(_) | Expr::InList(_) => true,
        Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsNotTrue(_) | Expr::IsNotFalse(_) => true,
        Expr::Like(_) | Expr::SimilarTo(_) | Expr::Exists(_) | Expr::InSubquery(_) => true,
        _ => false,
    }
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

impl ExprPlanner for FlinkExprPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        if let Some(op) = comparison(&op) {
            let planned = coerce_comparison(&self.registry, left, op, right, schema)?;
            return Ok(PlannerResult::Planned(planned));
        }
        let name = match op {
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::StringConcat => "||",
            BinaryOperator::And | BinaryOperator::Or => {
                self.check_conditions(&op, [&left, &right], schema)?;
                return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
            }
            other => return plan_err!("unknown operator '{other}'"),
        };
        self.planned(name, vec![left, right])
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = expr;
        match field_access {
            GetFieldAccess::NamedStructField { name } => {
                let of_row = matches!(expr.get_type(schema)?, DataType::Struct(_));
                self.planned(if of_row { "$FIELD" } else { "$ITEM" }, vec![expr, Expr::Literal(name, None)])
            }
            GetFieldAccess::ListIndex { key } => self.planned("$ITEM", vec![expr, *key]),
            GetFieldAccess::ListRange { .. } => {
                plan_err!("a slice of an array is written ARRAY_SLICE(a, from, to)")
            }
        }
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, _schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        self.planned("$ARRAY", exprs)
    }

    fn plan_position(&self, mut args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        args.reverse();
        self.planned("POSITION", args)
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.planned("EXTRACT", args)
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.planned("SUBSTRING", args)
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.planned("OVERLAY", args)
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.planned("MAP", args)
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, is_named: bool) -> Result<PlannerResult<Vec<Expr>>> {
        match is_named {
            true => plan_err!("fields of a ROW are named by a cast: CAST(ROW(..) AS ROW<a INT, ..>)"),
            false => self.planned("ROW", args),
        }
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let column = Expr::from((qualifier, &Arc::new(field.clone())));
        let access = |expr, name: &String| self.registry.call("$FIELD", vec![expr, lit(name.as_str())]);
        Ok(PlannerResult::Planned(nested_names.iter().try_fold(column, access)?))
    }
}

/// The types of CAST.
#[derive(Debug, Default)]
pub struct FlinkTypePlanner;

impl TypePlanner for FlinkTypePlanner {
    fn plan_type_field(&self, data_type: &ast::DataType) -> Result<Option<FieldRef>> {
        Ok(Some(Arc::new(sql_type(data_type)?.to_field("", true))))
    }
}
