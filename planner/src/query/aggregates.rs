//! Aggregate functions as the binder sees them: names and result types. They are lowered to
//! [`AggregateFunction`]; none of them is ever executed by DataFusion.

use crate::query::text::qualified_text;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, not_impl_err, plan_err};
use datafusion_expr::expr::{AggregateFunction as AggregateExpr, AggregateFunctionParams};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, WindowFunctionDefinition,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{AggregateFunction, SqlField, SqlType};

/// Users' names, and what they mean.
const FUNCTIONS: [(&str, AggregateFunction); 24] = [
    ("COUNT", AggregateFunction::Count),
    ("SUM", AggregateFunction::Sum),
    ("SUM0", AggregateFunction::Sum0),
    ("AVG", AggregateFunction::Avg),
    ("MIN", AggregateFunction::Min),
    ("MAX", AggregateFunction::Max),
    ("STDDEV_POP", AggregateFunction::StddevPop),
    ("STDDEV_SAMP", AggregateFunction::StddevSamp),
    ("STDDEV", AggregateFunction::StddevSamp),
    ("VAR_POP", AggregateFunction::VarPop),
    ("VAR_SAMP", AggregateFunction::VarSamp),
    ("VARIANCE", AggregateFunction::VarSamp),
    ("FIRST_VALUE", AggregateFunction::FirstValue),
    ("LAST_VALUE", AggregateFunction::LastValue),
    ("SINGLE_VALUE", AggregateFunction::SingleValue),
    ("LISTAGG", AggregateFunction::ListAgg),
    ("COLLECT", AggregateFunction::Collect),
    ("ARRAY_AGG", AggregateFunction::ArrayAgg),
    // What the syntax of JSON_OBJECTAGG and JSON_ARRAYAGG becomes; the first of each is for those who ask for its name.
    ("JSON_OBJECTAGG", AggregateFunction::JsonObjectAgg { absent_on_null: false }),
    ("JSON_ARRAYAGG", AggregateFunction::JsonArrayAgg { absent_on_null: true }),
    ("$JSON_OBJECTAGG_N", AggregateFunction::JsonObjectAgg { absent_on_null: false }),
    ("$JSON_OBJECTAGG_A", AggregateFunction::JsonObjectAgg { absent_on_null: true }),
    ("$JSON_ARRAYAGG_N", AggregateFunction::JsonArrayAgg { absent_on_null: false }),
    ("$JSON_ARRAYAGG_A", AggregateFunction::JsonArrayAgg { absent_on_null: true }),
];

/// True for the name, in capitals, of a function that makes one value of a group's rows.
pub(super) fn is_aggregate(name: &str) -> bool {
    name == "PERCENTILE" || FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// The type of JSON made by an aggregation, as Flink has it; nothing is cut off at this length.
const JSON_TEXT: SqlType = SqlType::Varchar(2000);

/// The one value of a scalar subquery.
pub(super) fn single_value() -> AggregateUDF {
    AggregateUDF::new_from_impl(TypedAggregate::new("SINGLE_VALUE", AggregateFunction::SingleValue, false))
}

/// SUM0 of `expr`.
pub(super) fn sum_of_ones(expr: Expr) -> Expr {
    AggregateUDF::new_from_impl(TypedAggregate::new("SUM0", AggregateFunction::Sum0, false)).call(vec![expr])
}

/// All aggregate functions by their names in lower case.
pub(super) fn registry() -> BTreeMap<String, Arc<AggregateUDF>> {
    let entry = |(name, function): &(&'static str, AggregateFunction)| {
        let udf = TypedAggregate::new(name, *function, false);
        (name.to_lowercase(), Arc::new(AggregateUDF::new_from_impl(udf)))
    };
    FUNCTIONS.iter().map(entry).collect()
}

/// An aggregate function that knows its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TypedAggregate {
    name: &'static str,
    pub function: AggregateFunction,
    /// No group is ever without a row that counts, so that a result over a NOT NULL argument is NOT NULL.
    pub never_empty: bool,
    signature: Signature,
}

impl TypedAggregate {
    fn new(name: &'static str, function: AggregateFunction, never_empty: bool) -> Self {
        TypedAggregate {
            name,
            function,
            never_empty,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// The same function over groups that have at least one row that counts.
    pub fn over_groups(&self) -> AggregateUDF {
        AggregateUDF::new_from_impl(TypedAggregate::new(self.name, self.function, true))
    }

    /// The function that puts results of this one together.
    pub fn merging(&self, function: AggregateFunction) -> AggregateUDF {
        let name = FUNCTIONS.iter().find(|(_, known)| *known == function).map_or(self.name, |(name, _)| name);
        AggregateUDF::new_from_impl(TypedAggregate::new(name, function, self.never_empty))
    }

    fn result(&self, arguments: &[SqlField]) -> Result<SqlField> {
        let (sql_type, nullable) = match (self.function, arguments) {
            (AggregateFunction::Count, [] | [_]) => (SqlType::BigInt, false),
            (AggregateFunction::Count, _) => {
                return not_impl_err!("not supported yet: COUNT with several arguments");
            }
            (AggregateFunction::ListAgg, [value] | [value, _]) if value.sql_type.is_string() => {
                (SqlType::STRING, value.nullable || !self.never_empty)
            }
            (AggregateFunction::Collect, [value]) => {
                (SqlType::Multiset(Box::new(SqlField::new("key", value.sql_type.clone(), false))), false)
            }
            (AggregateFunction::ArrayAgg, [value]) => (
                SqlType::Array(Box::new(SqlField::new("item", value.sql_type.clone(), value.nullable))),
                true,
            ),
            (AggregateFunction::JsonObjectAgg { .. }, [key, value])
                if key.sql_type.is_string() && value.sql_type.is_string() =>
            {
                (JSON_TEXT, false)
            }
            (AggregateFunction::JsonArrayAgg { .. }, [value]) if value.sql_type.is_string() => {
                (JSON_TEXT, false)
            }
            (function, [value]) => {
                let Some(sql_type) = result_type(function, &value.sql_type) else {
                    return self.refuse(arguments);
                };
                let keeps_null = value.nullable || !self.never_empty;
                (sql_type, keeps_null && function != AggregateFunction::Sum0)
            }
            _ => return self.refuse(arguments),
        };
        Ok(SqlField::new(self.name, sql_type, nullable))
    }

    fn refuse(&self, arguments: &[SqlField]) -> Result<SqlField> {
        let types: Vec<String> = arguments.iter().map(|argument| argument.sql_type.to_string()).collect();
        if let (AggregateFunction::JsonObjectAgg { .. }, [key, ..]) = (self.function, arguments) {
            return plan_err!("a key of JSON_OBJECTAGG is text, not {}: CAST(key AS STRING)", key.sql_type);
        }
        plan_err!("cannot apply {} to ({})", self.name, types.join(", "))
    }
}

/// The type of a function of one argument; `None` where it takes no such argument.
fn result_type(function: AggregateFunction, argument: &SqlType) -> Option<SqlType> {
    use AggregateFunction::*;
    match function {
        Sum | Sum0 => match argument {
            SqlType::Decimal { scale, .. } => Some(SqlType::Decimal { precision: 38, scale: *scale }),
            _ => argument.is_numeric().then(|| argument.clone()),
        },
        // Flink derives these from the type of a quotient, for variances too: STDDEV_POP of INT is INT.
        Avg | StddevPop | StddevSamp | VarPop | VarSamp => match argument {
            SqlType::Decimal { scale, .. } => {
                Some(SqlType::Decimal { precision: 38, scale: (*scale).max(6) })
            }
            _ => argument.is_numeric().then(|| argument.clone()),
        },
        Min | Max => match argument {
            SqlType::Null
            | SqlType::Binary(_)
            | SqlType::Varbinary(_)
            | SqlType::Array(_)
            | SqlType::Map(..)
            | SqlType::Multiset(_)
            | SqlType::Row(_) => None,
            _ => Some(argument.clone()),
        },
        FirstValue | LastValue | SingleValue => (*argument != SqlType::Null).then(|| argument.clone()),
        _ => None,
    }
}

impl AggregateUDFImpl for TypedAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        not_impl_err!("{} is typed by its fields", self.name)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        let mut arguments = Vec::with_capacity(arg_fields.len());
        for field in arg_fields {
            let Some(sql_type) = SqlType::of_field(field) else {
                return plan_err!("{} has no argument of type {}", self.name, field.data_type());
            };
            arguments.push(SqlField::new(field.name(), sql_type, field.is_nullable()));
        }
        let result = self.result(&arguments)?;
        Ok(Arc::new(result.sql_type.to_field(self.name, result.nullable)))
    }

    fn is_nullable(&self) -> bool {
        !matches!(self.function, AggregateFunction::Count | AggregateFunction::Sum0)
    }

    /// What a correlated subquery over no rows gives: COUNT has 0.
    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match self.function {
            AggregateFunction::Count => Ok(ScalarValue::Int64(Some(0))),
            _ => ScalarValue::try_from(data_type),
        }
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        Ok(call_name(self.name, params))
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        Ok(call_name(self.name, params))
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is executed by the operators", self.name)
    }

    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        not_impl_err!("{} is executed by the operators", self.name)
    }
}

/// `COUNT(DISTINCT t.a) FILTER (WHERE (t.b > 1))`: the name of the column.
fn call_name(name: &str, params: &AggregateFunctionParams) -> String {
    let arguments: Vec<String> = params.args.iter().map(qualified_text).collect();
    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
    let distinct = if params.distinct { "DISTINCT " } else { "" };
    let filter = params.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", qualified_text(filter)));
    format!("{name}({distinct}{arguments}){}", filter.unwrap_or_default())
}

/// Gives COUNT(*) and COUNT of a constant no argument: both count rows.
#[derive(Debug)]
pub(super) struct AggregatePlanner;

impl ExprPlanner for AggregatePlanner {
    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if !counts_rows(&raw.func, &raw.args) || raw.distinct {
            return Ok(PlannerResult::Original(raw));
        }
        let RawAggregateExpr { func, filter, order_by, null_treatment, .. } = raw;
        let call = AggregateExpr::new_udf(func, vec![], false, filter, order_by, null_treatment);
        Ok(PlannerResult::Planned(Expr::AggregateFunction(call)))
    }

    fn plan_window(&self, mut raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if let WindowFunctionDefinition::AggregateUDF(function) = &raw.func_def
            && counts_rows(function, &raw.args)
            && !raw.distinct
        {
            raw.args = vec![];
        }
        Ok(PlannerResult::Original(raw))
    }
}

/// COUNT of a star or of a constant.
fn counts_rows(function: &AggregateUDF, arguments: &[Expr]) -> bool {
    let typed = function.inner().as_ref().downcast_ref::<TypedAggregate>();
    let is_count = typed.is_some_and(|typed| typed.function == AggregateFunction::Count);
    #[expect(deprecated, reason = "what the SQL planner makes of a star")]
    let constant = match arguments {
        [Expr::Wildcard { .. }] => true,
        [Expr::Literal(value, _)] => !value.is_null(),
        _ => false,
    };
    is_count && constant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(name: &str, argument: SqlType, nullable: bool) -> Option<(String, bool)> {
        let function = registry()[name].clone();
        let field = function.return_field(&[Arc::new(argument.to_field("x", nullable))]).ok()?;
        Some((SqlType::of_field(&field).unwrap().to_string(), field.is_nullable()))
    }

    #[test]
    fn results_have_the_types_of_flink() {
        let decimal = SqlType::Decimal { precision: 10, scale: 2 };
        assert_eq!(typed("avg", SqlType::Int, true), Some(("INT".into(), true)));
        assert_eq!(typed("avg", decimal.clone(), true), Some(("DECIMAL(38, 6)".into(), true)));
        assert_eq!(typed("sum", decimal, true), Some(("DECIMAL(38, 2)".into(), true)));
        assert_eq!(typed("sum", SqlType::TinyInt, false), Some(("TINYINT".into(), true)));
        assert_eq!(typed("count", SqlType::STRING, true), Some(("BIGINT".into(), false)));
        assert_eq!(typed("max", SqlType::Varchar(7), true), Some(("VARCHAR(7)".into(), true)));
        assert_eq!(typed("collect", SqlType::Int, true), Some(("MULTISET<INT NOT NULL>".into(), false)));
        assert_eq!(typed("sum", SqlType::STRING, true), None);
    }

    #[test]
    fn groups_that_are_never_empty_give_not_null() {
        let sum = TypedAggregate::new("SUM", AggregateFunction::Sum, false).over_groups();
        let of = |nullable| sum.return_field(&[Arc::new(SqlType::Int.to_field("x", nullable))]).unwrap();
        assert!(!of(false).is_nullable());
        assert!(of(true).is_nullable());
    }
}
