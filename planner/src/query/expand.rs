//! GROUPING SETS, ROLLUP and CUBE: each row once per set, then an ordinary aggregation.

use crate::query::nodes::{node_of, unordered};
use crate::query::text::expr_text;
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion_common::{
    Column, DFSchema, DFSchemaRef, Result, TableReference, internal_err, not_impl_err, plan_err,
};
use datafusion_expr::expr::AggregateFunction as AggregateExpr;
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::logical_plan::{Extension, UserDefinedLogicalNodeCore};
use datafusion_expr::utils::enumerate_grouping_sets;
use datafusion_expr::{
    Accumulator, Aggregate, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, GroupingSet, LogicalPlan,
    LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::fmt;
use std::sync::Arc;

/// Keys that sets may have where one of them is given twice; above their bits an id counts what is the same.
const KEYS_OF_TWINS: usize = 40;
/// Bits of the number that GROUP_ID gives.
const TWIN_BITS: u32 = 20;

/// The column that tells which set a row was copied for, as Flink calls it.
pub(super) const EXPAND_ID: &str = "$e";

/// Each row of the input once per grouping set: keys that the set leaves out are NULL, [`EXPAND_ID`] names the set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Expand {
    pub input: Arc<LogicalPlan>,
    pub keys: Vec<Column>,
    /// for each set the places of `keys` that are in it
    pub sets: Vec<Vec<usize>>,
    /// The number of each set: one bit a key as it was written, the first key highest, 1 where the set leaves it out; above them how
    /// many sets before it are the same.
    pub ids: Vec<i64>,
    schema: DFSchemaRef,
}

impl Expand {
    fn try_new(
        input: Arc<LogicalPlan>,
        keys: Vec<Column>,
        sets: Vec<Vec<usize>>,
        ids: Vec<i64>,
    ) -> Result<Self> {
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = vec![];
        for (table, field) in input.schema().iter() {
            let column = Column::new(table.cloned(), field.name());
            let key = keys.iter().position(|key| *key == column);
            let left_out = key.is_some_and(|key| sets.iter().any(|set| !set.contains(&key)));
            let field = match left_out {
                true => Arc::new(field.as_ref().clone().with_nullable(true)),
                false => field.clone(),
            };
            fields.push((table.cloned(), field));
        }
        fields.push((None, Arc::new(Field::new(EXPAND_ID, DataType::Int64, false))));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Expand { input, keys, sets, ids, schema })
    }

    /// The same over `input`, with only those keys at `kept`, which differ from set to set.
    pub fn without_keys(&self, kept: &[usize], input: LogicalPlan) -> Result<Expand> {
        let keys = kept.iter().map(|key| self.keys[*key].clone()).collect();
        let place = |key: &usize| kept.iter().position(|kept| kept == key);
        let sets = self.sets.iter().map(|set| set.iter().filter_map(place).collect()).collect();
        Expand::try_new(Arc::new(input), keys, sets, self.ids.clone())
    }

    pub fn of(plan: &LogicalPlan) -> Option<&Expand> {
        node_of(plan)
    }

    /// True if every set keeps `key`.
    pub fn always(&self, key: usize) -> bool {
        self.sets.iter().all(|set| set.contains(&key))
    }

    /// The column of the input that `column` hands on unchanged in every copy.
    pub fn passes(&self, column: &Column) -> Option<Column> {
        if column.relation.is_none() && column.name == EXPAND_ID {
            return None;
        }
        match self.keys.iter().position(|key| key == column) {
            Some(key) if !self.always(key) => None,
            _ => Some(column.clone()),
        }
    }
}

unordered!(Expand);

impl UserDefinedLogicalNodeCore for Expand {
    fn name(&self) -> &str {
        "Expand"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.keys.iter().cloned().map(Expr::Column).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let set = |set: &Vec<usize>| {
            let names: Vec<&str> = set.iter().map(|key| self.keys[*key].name.as_str()).collect();
            format!("({})", names.join(", "))
        };
        let sets: Vec<String> = self.sets.iter().map(set).collect();
        write!(f, "Expand: sets=[{}]", sets.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut keys = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match expr {
                Expr::Column(column) => keys.push(column),
                other => return internal_err!("keys of grouping sets are columns, not {other}"),
            }
        }
        match inputs.into_iter().next() {
            Some(input) => Expand::try_new(Arc::new(input), keys, self.sets.clone(), self.ids.clone()),
            None => internal_err!("grouping sets have an input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < inputs).collect()])
    }
}

/// GROUPING, GROUPING_ID and GROUP_ID until the aggregation is rewritten: shaped as an aggregate, so that its arguments
/// need not be keys of the result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GroupingMarker {
    name: &'static str,
    signature: Signature,
}

pub(super) fn grouping_markers() -> impl Iterator<Item = (String, Arc<AggregateUDF>)> {
    ["GROUPING", "GROUPING_ID", "GROUP_ID"].into_iter().map(|name| {
        let signature = match name {
            "GROUP_ID" => Signature::nullary(Volatility::Immutable),
            _ => Signature::user_defined(Volatility::Immutable),
        };
        let marker = GroupingMarker { name, signature };
        (name.to_lowercase(), Arc::new(AggregateUDF::new_from_impl(marker)))
    })
}

impl AggregateUDFImpl for GroupingMarker {
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
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is rewritten before execution", self.name)
    }

    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        not_impl_err!("{} is rewritten before execution", self.name)
    }
}

/// Picks bits out of [`EXPAND_ID`]: the value of GROUPING and GROUPING_ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GroupingBits {
    /// bits of the id, the highest of the result first
    bits: Vec<u32>,
    /// tells calls apart wherever only their text is looked at
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for GroupingBits {
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
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Int64, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let pick = |id: i64| self.bits.iter().fold(0i64, |picked, bit| picked << 1 | (id >> bit & 1));
        let ids = args.args[0].to_array(args.number_rows)?;
        let Some(ids) = ids.as_primitive_opt::<Int64Type>() else {
            return internal_err!("the id of a grouping set is a BIGINT");
        };
        let picked: Int64Array = ids.unary(pick);
        Ok(ColumnarValue::Array(Arc::new(picked)))
    }
}

/// Replaces grouping sets, and GROUPING over ordinary keys; other aggregations stay as they are.
pub(super) fn rewrite_grouping_sets(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let marks = aggregate.aggr_expr.iter().any(|expr| marker(expr).is_some());
    let grouped = enumerate_grouping_sets(aggregate.group_expr.clone())?;
    let (keys, sets): (Vec<Expr>, Vec<Vec<Expr>>) = match &grouped[..] {
        [Expr::GroupingSet(set)] => {
            let keys = set.distinct_expr().into_iter().cloned().collect();
            match enumerate_sets(set)? {
                Some(sets) => (keys, sets),
                None => return not_impl_err!("not supported yet: these grouping sets"),
            }
        }
        keys if marks => (keys.to_vec(), vec![keys.to_vec()]),
        _ => return Ok(None),
    };
    if keys.len() > 62 {
        return not_impl_err!("not supported yet: grouping sets of more than 62 keys");
    }
    // The schema of the aggregation is its keys, an id where there are sets, and its aggregates.
    let aggregates_at = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let places =
        |set: &Vec<Expr>| -> Vec<usize> { (0..keys.len()).filter(|key| set.contains(&keys[*key])).collect() };
    let sets: Vec<Vec<usize>> = sets.iter().map(places).collect();
    let twins = (1..sets.len()).any(|set| sets[..set].contains(&sets[set]));
    if twins && (keys.len() > KEYS_OF_TWINS || sets.len() >= 1 << TWIN_BITS) {
        return not_impl_err!(
            "not supported yet: a grouping set that is given twice, of more than {KEYS_OF_TWINS} keys"
        );
    }
    let expand = expand(aggregate, &keys, sets)?;
    let id = Expr::Column(Column::new_unqualified(EXPAND_ID));
    let group = expand.keys.iter().cloned().map(Expr::Column).chain([id.clone()]).collect::<Vec<_>>();
    let calls = aggregate.aggr_expr.iter().filter(|expr| marker(expr).is_none()).cloned();
    let grouped =
        LogicalPlanBuilder::from(LogicalPlan::Extension(Extension { node: Arc::new(expand.clone()) }))
            .aggregate(group, calls.collect::<Vec<_>>())?
            .build()?;
    let mut output = vec![];
    for (place, key) in expand.keys.iter().enumerate() {
        let (table, field) = aggregate.schema.qualified_field(place);
        output.push(Expr::Column(key.clone()).alias_qualified(table.cloned(), field.name()));
    }
    for (place, expr) in aggregate.aggr_expr.iter().enumerate() {
        let (table, field) = aggregate.schema.qualified_field(aggregates_at + place);
        output.push(match marker(expr) {
            Some(call) => grouping(call, &keys, &id)?.alias_qualified(table.cloned(), field.name()),
            None => Expr::Column(Column::new(table.cloned(), field.name())),
        });
    }
    LogicalPlanBuilder::from(grouped).project(output)?.build().map(Some)
}

/// The sets of GROUPING SETS, ROLLUP and CUBE, in the order in which they are written or rolled up.
fn enumerate_sets(set: &GroupingSet) -> Result<Option<Vec<Vec<Expr>>>> {
    let prefix = |keys: &[Expr], len: usize| keys[..len].to_vec();
    Ok(Some(match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(keys) => (0..=keys.len()).rev().map(|len| prefix(keys, len)).collect(),
        GroupingSet::Cube(keys) if keys.len() <= 12 => {
            let chosen = |bits: u32| {
                let kept = |place: &usize| bits & (1 << (keys.len() - 1 - place)) == 0;
                (0..keys.len()).filter(kept).map(|place| keys[place].clone()).collect()
            };
            (0..1u32 << keys.len()).map(chosen).collect()
        }
        GroupingSet::Cube(_) => return Ok(None),
    }))
}

/// The marker that `expr` calls.
fn marker(expr: &Expr) -> Option<&AggregateExpr> {
    match expr {
        Expr::AggregateFunction(call) => {
            call.func.inner().as_ref().downcast_ref::<GroupingMarker>().map(|_| call)
        }
        _ => None,
    }
}

/// The input with the keys as columns of their own, then one copy a set.
fn expand(aggregate: &Aggregate, keys: &[Expr], sets: Vec<Vec<usize>>) -> Result<Expand> {
    let mut columns: Vec<Expr> = aggregate.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut names = vec![];
    for (place, key) in keys.iter().enumerate() {
        let name = format!("$g{place}");
        columns.push(key.clone().alias(&name));
        names.push(Column::new_unqualified(name));
    }
    let input = LogicalPlanBuilder::from(aggregate.input.as_ref().clone()).project(columns)?.build()?;
    let bit = |key: usize| 1i64 << (keys.len() - 1 - key);
    let bits = |set: &Vec<usize>| (0..keys.len()).filter(|key| !set.contains(key)).map(bit).sum::<i64>();
    let twins = |place: usize| sets[..place].iter().filter(|set| **set == sets[place]).count() as i64;
    let ids = sets.iter().enumerate().map(|(place, set)| bits(set) | twins(place) << KEYS_OF_TWINS).collect();
    Expand::try_new(Arc::new(input), names, sets, ids)
}

fn grouping(call: &AggregateExpr, keys: &[Expr], id: &Expr) -> Result<Expr> {
    let mut bits = vec![];
    for argument in &call.params.args {
        let Some(key) = keys.iter().position(|key| key == argument) else {
            let (argument, name) = (expr_text(argument), call.func.name());
            return plan_err!("the argument {argument} of {name} is no key of GROUP BY");
        };
        bits.push((keys.len() - 1 - key) as u32);
    }
    if call.func.name() == "GROUP_ID" && keys.len() <= KEYS_OF_TWINS {
        bits = (KEYS_OF_TWINS as u32..KEYS_OF_TWINS as u32 + TWIN_BITS).rev().collect();
    }
    if bits.is_empty() {
        return plan_err!("{} takes keys of GROUP BY", call.func.name());
    }
    let signature = Signature::user_defined(Volatility::Immutable);
    let name = format!("$GROUPING{bits:?}");
    let udf = ScalarUDF::new_from_impl(GroupingBits { bits, name, signature });
    Ok(udf.call(vec![id.clone()]))
}
