//! The older windows: `GROUP BY TUMBLE(ts, ..)` with `TUMBLE_START` and the like beside it. They become an aggregation
//! over the windowing table function.
//!
//! While a SELECT is planned, `TUMBLE(..)` is a scalar function among the keys, and `TUMBLE_START(..)` an aggregate:
//! only so may it name a column that is no key.

use crate::Position;
use crate::query::error::position_of;
use crate::query::window_function::{WindowFunction, check_window};
use crate::query::window_planner::time_attribute;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Column, Result, ScalarValue, not_impl_err, plan_err};
use datafusion_expr::expr::{AggregateFunction as AggregateExpr, ScalarFunction};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, Aggregate, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, LogicalPlan,
    LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use weir_types::{SqlType, TimeAttribute, WindowSpec};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Tumble,
    Hop,
    Session,
}

const SHAPES: [(&str, Shape); 3] =
    [("TUMBLE", Shape::Tumble), ("HOP", Shape::Hop), ("SESSION", Shape::Session)];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Start,
    End,
    RowTime,
    ProcTime,
}

const PARTS: [(&str, Part); 4] =
    [("START", Part::Start), ("END", Part::End), ("ROWTIME", Part::RowTime), ("PROCTIME", Part::ProcTime)];

/// `TUMBLE(ts, size)` among the keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct WindowMarker {
    shape: Shape,
    name: &'static str,
    signature: Signature,
}

/// `TUMBLE_START(ts, size)` in SELECT or HAVING.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PartMarker {
    shape: Shape,
    part: Part,
    name: String,
    signature: Signature,
}

fn any_arguments() -> Signature {
    Signature::user_defined(Volatility::Immutable)
}

/// The markers that stand among keys, by name.
pub(super) fn window_markers() -> impl Iterator<Item = (String, Arc<ScalarUDF>)> {
    SHAPES.iter().map(|(name, shape)| {
        let marker = WindowMarker { shape: *shape, name, signature: any_arguments() };
        (name.to_lowercase(), Arc::new(ScalarUDF::new_from_impl(marker)))
    })
}

/// The markers that stand in SELECT and HAVING, by name.
pub(super) fn part_markers() -> impl Iterator<Item = (String, Arc<AggregateUDF>)> {
    SHAPES.iter().flat_map(|(window, shape)| {
        PARTS.iter().map(move |(suffix, part)| {
            let name = format!("{window}_{suffix}");
            let lower = name.to_lowercase();
            let marker = PartMarker { shape: *shape, part: *part, name, signature: any_arguments() };
            (lower, Arc::new(AggregateUDF::new_from_impl(marker)))
        })
    })
}

impl ScalarUDFImpl for WindowMarker {
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
        Ok(SqlType::Timestamp(3).data_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(SqlType::Timestamp(3).to_field(self.name, false)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("{} stands in GROUP BY only", self.name)
    }
}

impl AggregateUDFImpl for PartMarker {
    fn name(&self) -> &str {
        &self.name
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
        let sql_type = match (self.part, arg_fields.first()) {
            (Part::Start | Part::End, Some(_)) => Some(SqlType::Timestamp(3)),
            (Part::RowTime, Some(time)) => SqlType::of_field(time),
            (Part::ProcTime, Some(_)) => Some(SqlType::TimestampLtz(3)),
            (_, None) => None,
        };
        match sql_type {
            Some(sql_type) => Ok(Arc::new(sql_type.to_field(&self.name, false))),
            None => plan_err!("{} needs the arguments of the window in GROUP BY", self.name),
        }
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is rewritten before execution", self.name)
    }

    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        not_impl_err!("{} is rewritten before execution", self.name)
    }
}

fn window_marker(expr: &Expr) -> Option<(&WindowMarker, &ScalarFunction)> {
    match expr {
        Expr::ScalarFunction(call) => {
            call.func.inner().as_ref().downcast_ref::<WindowMarker>().map(|marker| (marker, call))
        }
        Expr::Alias(alias) => window_marker(&alias.expr),
        _ => None,
    }
}

fn part_marker(expr: &Expr) -> Option<(&PartMarker, &AggregateExpr)> {
    match expr {
        Expr::AggregateFunction(call) => {
            call.func.inner().as_ref().downcast_ref::<PartMarker>().map(|marker| (marker, call))
        }
        _ => None,
    }
}

/// Replaces an aggregation by one of the older windows; others stay as they are.
pub(super) fn rewrite_group_window(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let windows: Vec<_> = aggregate.group_expr.iter().filter_map(window_marker).collect();
    let (marker, call) = match windows[..] {
        [] => {
            return match aggregate.aggr_expr.iter().find_map(part_marker) {
                Some((part, _)) => {
                    plan_err!(
                        "{0} needs the same window in GROUP BY: {0} of {1}",
                        part.name,
                        part.shape.name()
                    )
                }
                None => Ok(None),
            };
        }
        [window] => window,
        _ => return plan_err!("GROUP BY has more than one window"),
    };
    for (part, part_call) in aggregate.aggr_expr.iter().filter_map(part_marker) {
        if part.shape != marker.shape || part_call.params.args != call.args {
            return plan_err!("{} has other arguments than {} in GROUP BY", part.name, marker.name);
        }
    }
    let spec = check_window(marker.spec(&call.args)?)?;
    let Some(time) = call.args.first() else { return plan_err!("{} needs a time attribute", marker.name) };
    let (input, time, keys) = key_columns(aggregate, time)?;
    let (attribute, time_type) = time_attribute(&input, &time)?;
    let partition = if marker.shape == Shape::Session { keys.clone() } else { vec![] };
    let node = WindowFunction::try_new(input, spec, attribute, time, time_type, partition, true)?;
    let [start, end, window_time] = node.names.clone().map(Column::new_unqualified);
    let with_time = |(part, _): (&PartMarker, _)| matches!(part.part, Part::RowTime | Part::ProcTime);
    let wants_time = aggregate.aggr_expr.iter().filter_map(part_marker).any(with_time);
    let group = keys.iter().chain([&start, &end]).chain(wants_time.then_some(&window_time));
    let group: Vec<Expr> = group.cloned().map(Expr::Column).collect();
    let calls = aggregate.aggr_expr.iter().filter(|expr| part_marker(expr).is_none()).cloned();
    let plan =
        LogicalPlanBuilder::from(node.into_plan()).aggregate(group, calls.collect::<Vec<_>>())?.build()?;
    let output = output_columns(aggregate, attribute, &[start, end, window_time])?;
    LogicalPlanBuilder::from(plan).project(output)?.build().map(Some)
}

/// Where the text has the time column of the older windows of `aggregate`.
pub(super) fn group_window_position(aggregate: &Aggregate) -> Option<Position> {
    let parts = aggregate.aggr_expr.iter().filter_map(part_marker).map(|(_, call)| &call.params.args);
    let windows = aggregate.group_expr.iter().filter_map(window_marker).map(|(_, call)| &call.args);
    let time = parts.chain(windows).filter_map(|arguments| arguments.first()?.try_as_col());
    time.filter_map(|column| column.spans().first()).map(position_of).next()
}

/// The input with the time and all keys as columns: of the input where they are, appended where they are expressions.
fn key_columns(aggregate: &Aggregate, time: &Expr) -> Result<(LogicalPlan, Column, Vec<Column>)> {
    let input = aggregate.input.as_ref().clone();
    let mut appended = vec![];
    let mut as_column = |expr: &Expr, name: String| match expr {
        Expr::Column(column) => column.clone(),
        expr => {
            appended.push(expr.clone().alias(&name));
            Column::new_unqualified(name)
        }
    };
    let time = as_column(time, "$time".to_string());
    let mut keys = vec![];
    for key in aggregate.group_expr.iter().filter(|key| window_marker(key).is_none()) {
        if let Expr::GroupingSet(_) = key {
            return not_impl_err!(
                "not supported yet: grouping sets with an older window, use the table function"
            );
        }
        keys.push(as_column(key, key.schema_name().to_string()));
    }
    if appended.is_empty() {
        return Ok((input, time, keys));
    }
    let columns = input.schema().columns().into_iter().map(Expr::Column);
    let columns: Vec<Expr> = columns.chain(appended).collect();
    Ok((LogicalPlanBuilder::from(input).project(columns)?.build()?, time, keys))
}

/// The columns of the aggregation that is replaced, under their names, but for the window among the keys.
fn output_columns(
    aggregate: &Aggregate,
    attribute: TimeAttribute,
    window: &[Column; 3],
) -> Result<Vec<Expr>> {
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let mut output = vec![];
    for (expr, (table, field)) in exprs.zip(aggregate.schema.iter()) {
        if window_marker(expr).is_some() {
            continue;
        }
        let column = match part_marker(expr) {
            None => {
                output.push(Expr::Column(Column::new(table.cloned(), field.name())));
                continue;
            }
            Some((marker, _)) => match (marker.part, attribute) {
                (Part::Start, _) => &window[0],
                (Part::End, _) => &window[1],
                (Part::RowTime, TimeAttribute::RowTime) | (Part::ProcTime, TimeAttribute::ProcTime) => {
                    &window[2]
                }
                (Part::RowTime, TimeAttribute::ProcTime) => {
                    return plan_err!(
                        "{} of a window over processing time, take {}_PROCTIME",
                        marker.name,
                        marker.shape.name()
                    );
                }
                (Part::ProcTime, TimeAttribute::RowTime) => {
                    return not_impl_err!("not supported yet: {} of a window over event time", marker.name);
                }
            },
        };
        output.push(Expr::Column(column.clone()).alias_qualified(table.cloned(), field.name()));
    }
    Ok(output)
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Tumble => "TUMBLE",
            Shape::Hop => "HOP",
            Shape::Session => "SESSION",
        }
    }
}

impl WindowMarker {
    fn spec(&self, arguments: &[Expr]) -> Result<WindowSpec> {
        let most = if let Shape::Hop = self.shape { 3 } else { 2 };
        if arguments.len() > most {
            return plan_err!(
                "{0} in GROUP BY takes no offset: write FROM TABLE({0}(TABLE t, DESCRIPTOR(ts), .., offset)) instead",
                self.name
            );
        }
        let mut lengths = vec![];
        for argument in arguments.iter().skip(1) {
            match argument {
                Expr::Literal(ScalarValue::Int64(Some(ms)), _) => lengths.push(*ms),
                Expr::Literal(ScalarValue::Int32(Some(ms)), _) => lengths.push(i64::from(*ms)),
                Expr::Negative(inner) => match inner.as_ref() {
                    Expr::Literal(ScalarValue::Int64(Some(ms)), _) => lengths.push(-*ms),
                    _ => return plan_err!("the lengths of {} must be interval literals", self.name),
                },
                _ => return plan_err!("the lengths of {} must be interval literals", self.name),
            }
        }
        match (self.shape, lengths.len()) {
            (Shape::Tumble, 1) => Ok(WindowSpec::Tumble { size_ms: lengths[0], offset_ms: 0 }),
            (Shape::Hop, 2) => {
                Ok(WindowSpec::Hop { slide_ms: lengths[0], size_ms: lengths[1], offset_ms: 0 })
            }
            (Shape::Session, 1) => Ok(WindowSpec::Session { gap_ms: lengths[0] }),
            _ => plan_err!("{} in GROUP BY takes a time attribute and the window's lengths", self.name),
        }
    }
}
