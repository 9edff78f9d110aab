//! INTERSECT ALL and EXCEPT ALL: rows counted on both sides, then given as often as is left.

use crate::query::aggregates::sum_of_ones;
use crate::query::unnest::Unnest;
use arrow::array::{ArrayRef, AsArray, Int32Array, MapArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion_common::{Column, NullEquality, Result, internal_err};
use datafusion_expr::logical_plan::{Distinct, Join};
use datafusion_expr::{
    ColumnarValue, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit, when,
};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

/// The rows of INTERSECT ALL and EXCEPT ALL; `None` for other joins. The SQL planner makes semi and anti joins of set
/// operations, in which NULLs are equal, over distinct rows where ALL is not there: only those are right as they are.
pub(super) fn rewrite_set_operation(join: &Join) -> Result<Option<LogicalPlan>> {
    let is_distinct = matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_)));
    if join.null_equality != NullEquality::NullEqualsNull || is_distinct {
        return Ok(None);
    }
    let intersects = match join.join_type {
        JoinType::LeftSemi => true,
        JoinType::LeftAnti => false,
        _ => return Ok(None),
    };
    let counted = |plan: &Arc<LogicalPlan>, (left, right): (i64, i64)| {
        let columns = plan.schema().columns().into_iter().enumerate();
        let mut exprs: Vec<Expr> =
            columns.map(|(place, column)| Expr::Column(column).alias(name(place))).collect();
        exprs.push(lit(left).alias("$left"));
        exprs.push(lit(right).alias("$right"));
        LogicalPlanBuilder::from(plan.as_ref().clone()).project(exprs)?.build()
    };
    let both = LogicalPlanBuilder::from(counted(&join.left, (1, 0))?).union(counted(&join.right, (0, 1))?)?;
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let keys: Vec<Expr> = (0..join.schema.fields().len()).map(|place| column(&name(place))).collect();
    let sums = ["$left", "$right"].map(|side| sum_of_ones(column(side)).alias(format!("{side}s")));
    let groups = both.aggregate(keys.clone(), sums)?.build()?;
    let (left, right) = (column("$lefts"), column("$rights"));
    let times = match intersects {
        true => when(left.clone().lt(right.clone()), left).otherwise(right)?,
        false => left - right,
    };
    let repeat =
        ScalarUDF::new_from_impl(Repeat { signature: Signature::user_defined(Volatility::Immutable) });
    let copies = vec![Column::new_unqualified("$copy")];
    let repeated = Unnest::try_new(Arc::new(groups), repeat.call(vec![times]), (false, false), Some(copies))?
        .into_plan();
    let output = keys.into_iter().enumerate().map(|(place, key)| {
        let (table, field) = join.schema.qualified_field(place);
        key.alias_qualified(table.cloned(), field.name())
    });
    LogicalPlanBuilder::from(repeated).project(output.collect::<Vec<_>>())?.build().map(Some)
}

fn name(place: usize) -> String {
    format!("$c{place}")
}

/// `$REPEAT(n)`: a multiset of n equal elements, empty where n is not positive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Repeat {
    signature: Signature,
}

fn multiset() -> SqlType {
    SqlType::Multiset(Box::new(SqlField::new("key", SqlType::Int, false)))
}

impl ScalarUDFImpl for Repeat {
    fn name(&self) -> &str {
        "$REPEAT"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(multiset().data_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(multiset().to_field(self.name(), false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = cast(&args.args[0].to_array(args.number_rows)?, &DataType::Int64)?;
        let Some(times) = times.as_primitive_opt::<Int64Type>() else {
            return internal_err!("how often a row is repeated is a BIGINT");
        };
        let DataType::Map(entries, ordered) = multiset().data_type() else {
            return internal_err!("a multiset is a map");
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return internal_err!("the entries of a multiset are rows");
        };
        let counts = times.iter().flatten().filter(|times| *times > 0);
        let counts: Int32Array = counts.map(|times| i32::try_from(times).unwrap_or(i32::MAX)).collect();
        let lengths = times.iter().map(|times| usize::from(times.is_some_and(|times| times > 0)));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let keys: ArrayRef = Arc::new(Int32Array::from(vec![0; counts.len()]));
        let entry = StructArray::try_new(fields.clone(), vec![keys, Arc::new(counts)], None)?;
        let map = MapArray::try_new(entries.clone(), offsets, entry, None, ordered)?;
        Ok(ColumnarValue::Array(Arc::new(map)))
    }
}
