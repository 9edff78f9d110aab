//! Distinct split: an aggregation over DISTINCT in two steps, by buckets of the values and then of all buckets, so that the rows of
//! a key that many have are counted by several subtasks.
//!
//! ```text
//! SELECT k, COUNT(DISTINCT v), SUM(w) FROM t GROUP BY k
//! SELECT k, SUM(n), SUM(s) FROM (SELECT k, COUNT(DISTINCT v) AS n, SUM(w) AS s FROM t GROUP BY k, bucket of v) GROUP BY k
//! ```

use super::Lowering;
use super::calc::unaliased;
use crate::query::aggregates::TypedAggregate;
use crate::query::state_ttl::ttl_of;
use arrow::array::Int32Array;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::expr::{AggregateFunction as AggregateExpr, AggregateFunctionParams};
use datafusion_expr::{
    Aggregate, ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use weir_types::{AggregateFunction, KeyEncoder, key_group_of};

const ENABLED: &str = "table.optimizer.distinct-agg.split.enabled";
const BUCKETS: &str = "table.optimizer.distinct-agg.split.bucket-num";
const BUCKET: &str = "$BUCKET";

impl Lowering<'_> {
    /// The two steps of an aggregation without a window; `None` where one is as well: without several subtasks, without
    /// DISTINCT, or where what two buckets have seen cannot be put together.
    pub(super) fn split(&self, aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
        let settings = &self.session.settings;
        let enabled = settings.boolean(ENABLED) && settings.job_settings().parallelism > 1;
        if !enabled || is_step(aggregate) || ttl_of(&aggregate.input).is_some() {
            return Ok(None);
        }
        let Some(value) = distinct_value(aggregate) else { return Ok(None) };
        let Some(merging) = aggregate.aggr_expr.iter().map(merging).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let buckets = settings.integer(BUCKETS).and_then(|count| u32::try_from(count).ok()).unwrap_or(1024);
        let signature = Signature::user_defined(Volatility::Immutable);
        let bucket =
            ScalarUDF::new_from_impl(Bucket { buckets, signature }).call(vec![value]).alias("$bucket");
        let keys = aggregate.group_expr.iter().cloned().chain([bucket]);
        let partial = |(place, expr): (usize, &Expr)| unaliased(expr).clone().alias(format!("$p{place}"));
        let partial: Vec<Expr> = aggregate.aggr_expr.iter().enumerate().map(partial).collect();
        let first = LogicalPlanBuilder::from(aggregate.input.as_ref().clone());
        let first = first.aggregate(keys.collect::<Vec<_>>(), partial)?.build()?;
        let columns = first.schema().columns();
        let (keys, partial) = columns.split_at(aggregate.group_expr.len() + 1);
        let keys: Vec<Expr> = keys[..aggregate.group_expr.len()].iter().cloned().map(Expr::Column).collect();
        let merged = partial.iter().zip(merging).map(|(column, function)| {
            let arguments = vec![Expr::Column(column.clone())];
            Expr::AggregateFunction(AggregateExpr::new_udf(function, arguments, false, None, vec![], None))
        });
        let merged: Vec<Expr> = merged.collect();
        let second = LogicalPlanBuilder::from(first).aggregate(keys, merged)?.build()?;
        let named = second.schema().columns().into_iter().zip(aggregate.schema.iter());
        let named = named.map(|(column, (table, field))| {
            Expr::Column(column).alias_qualified(table.cloned(), field.name())
        });
        let named: Vec<Expr> = named.collect();
        LogicalPlanBuilder::from(second).project(named)?.build().map(Some)
    }

    /// True for the second step, where it is not to begin in front of the exchange.
    pub(super) fn takes_buckets_whole(&self, aggregate: &Aggregate) -> bool {
        let is_second = matches!(aggregate.input.as_ref(), LogicalPlan::Aggregate(first) if is_step(first));
        is_second && !self.session.settings.boolean("table.optimizer.incremental-agg-enabled")
    }
}

/// True for an aggregation by buckets.
fn is_step(aggregate: &Aggregate) -> bool {
    let by_bucket = |key: &Expr| match unaliased(key) {
        Expr::ScalarFunction(call) => call.func.name() == BUCKET,
        _ => false,
    };
    aggregate.group_expr.last().is_some_and(by_bucket)
}

fn params(expr: &Expr) -> Option<(&TypedAggregate, &AggregateFunctionParams)> {
    let Expr::AggregateFunction(call) = unaliased(expr) else { return None };
    Some((call.func.inner().as_ref().downcast_ref::<TypedAggregate>()?, &call.params))
}

/// What all calls over DISTINCT are over: buckets of it have no value in common.
fn distinct_value(aggregate: &Aggregate) -> Option<Expr> {
    let calls = aggregate.aggr_expr.iter().map(params).collect::<Option<Vec<_>>>()?;
    let mut distinct = calls.iter().filter(|(_, params)| params.distinct);
    let [value] = &distinct.next()?.1.args[..] else { return None };
    distinct.all(|(_, params)| params.args == [value.clone()]).then(|| value.clone())
}

/// What puts the results of buckets together.
fn merging(expr: &Expr) -> Option<Arc<datafusion_expr::AggregateUDF>> {
    let typed = params(expr)?.0;
    let function = match typed.function {
        AggregateFunction::Count | AggregateFunction::Sum0 => AggregateFunction::Sum0,
        function @ (AggregateFunction::Sum | AggregateFunction::Min | AggregateFunction::Max) => function,
        _ => return None,
    };
    Some(Arc::new(typed.merging(function)))
}

/// Which bucket a value is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bucket {
    buckets: u32,
    signature: Signature,
}

impl ScalarUDFImpl for Bucket {
    fn name(&self) -> &str {
        BUCKET
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        let failed = |error| exec_datafusion_err!("a bucket of values: {error}");
        let encoder = KeyEncoder::new(&[values.data_type().clone()]).map_err(failed)?;
        let keys = encoder.encode(&[values], args.number_rows).map_err(failed)?;
        // The upper half of a hash says which subtask a key belongs to: the lower one is still even within it.
        let bucket = |hash: &u64| i32::from(key_group_of(hash << 32, self.buckets).0);
        Ok(ColumnarValue::Array(Arc::new(keys.hashes().iter().map(bucket).collect::<Int32Array>())))
    }
}
