//! Types literals, coerces operands and binds calls, from the leaves of a plan upwards.

use super::casts::cast_expr;
use super::coercion::{common_type, comparison_type, literal_value};
use super::compare;
use super::conditional;
use super::registry::FunctionRegistry;
use super::udf::FlinkFunction;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion_common::config::ConfigOptions;
use datafusion_common::metadata::FieldMetadata;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion_common::{Column, DFSchema, DFSchemaRef, Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion_expr::expr::{BinaryExpr, Case, InList, Like, ScalarFunction};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::utils::merge_schema;
use datafusion_expr::{
    Between, Cast, Expr, ExprSchemable, LogicalPlan, Operator, Projection, TryCast, Union, not,
};
use datafusion_optimizer::AnalyzerRule;
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

/// The analyzer rule that gives a plan Flink's types. It comes before DataFusion's `TypeCoercion`, which then finds
/// nothing left to coerce in expressions.
#[derive(Debug)]
pub struct FlinkAnalyzer {
    registry: FunctionRegistry,
}

impl FlinkAnalyzer {
    pub fn new(registry: FunctionRegistry) -> Self {
        FlinkAnalyzer { registry }
    }

    /// Inputs first, then the subqueries that read their columns, then the node: a column of a UNION may have got another type.
    fn analyze_tree(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let analyzed = |input: Arc<LogicalPlan>| self.analyze_tree(Arc::unwrap_or_clone(input)).map(Arc::new);
        let plan = match plan {
            LogicalPlan::Join(mut join) => {
                join.left = analyzed(join.left)?;
                // With LATERAL the right side reads columns of the left one.
                let right = read_outer(Arc::unwrap_or_clone(join.right), join.left.schema())?;
                join.right = analyzed(Arc::new(right))?;
                LogicalPlan::Join(join)
            }
            plan => plan.map_children(|input| self.analyze_tree(input).map(Transformed::yes))?.data,
        };
        let schema = merge_schema(&plan.inputs());
        let subquery = |subquery| self.analyze_tree(read_outer(subquery, &schema)?).map(Transformed::yes);
        let plan = plan.map_subqueries(subquery)?.data;
        Ok(self.analyze_node(plan)?.data)
    }

    fn analyze_node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        // The number of rows of a LIMIT stays the BIGINT that DataFusion expects.
        if matches!(plan, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(plan));
        }
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let source = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
            schema.merge(&source);
        }
        let names = NamePreserver::new(&plan);
        let mut binder = Binder { registry: &self.registry, schema: &schema };
        let projects = matches!(plan, LogicalPlan::Projection(_));
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let bound = expr.rewrite(&mut binder)?;
            let bound = if projects { bound.update_data(marked_literal) } else { bound };
            Ok(bound.update_data(|expr| name.restore(expr)))
        })?
        .map_data(|plan| match plan {
            LogicalPlan::Union(union) => self.coerce_union(union),
            plan => plan.recompute_schema(),
        })
    }

    /// Columns of all inputs in their common types.
    fn coerce_union(&self, union: Union) -> Result<LogicalPlan> {
        let first = union.inputs.first().ok_or_else(|| plan_datafusion_err!("a UNION of nothing"))?;
        let width = first.schema().fields().len();
        let mut targets = Vec::with_capacity(width);
        for column in 0..width {
            let mut types = vec![];
            for input in &union.inputs {
                let fields = input.schema().fields();
                let Some(field) = fields.get(column).filter(|_| fields.len() == width) else {
                    return plan_err!("UNION of queries with {width} and {} columns", fields.len());
                };
                types.push(SqlType::of_field(field).unwrap_or(SqlType::Null));
            }
            let Some(target) = common_type(&types) else {
                let types: Vec<_> = types.iter().map(ToString::to_string).collect();
                return plan_err!(
                    "column {} of a UNION has types that do not go together: {}",
                    column + 1,
                    types.join(", ")
                );
            };
            targets.push(target);
        }
        let inputs = union
            .inputs
            .into_iter()
            .map(|input| self.cast_columns(input, &targets))
            .collect::<Result<Vec<_>>>()?;
        let schema = union_schema(&union.schema, &inputs)?;
        Ok(LogicalPlan::Union(Union { inputs, schema }))
    }

    fn cast_columns(&self, input: Arc<LogicalPlan>, targets: &[SqlType]) -> Result<Arc<LogicalPlan>> {
        let schema = input.schema();
        let same = |(field, target): (&Arc<arrow::datatypes::Field>, &SqlType)| {
            *field.data_type() == target.data_type()
        };
        if schema.fields().iter().zip(targets).all(same) {
            return Ok(input);
        }
        let columns = schema.iter().zip(targets).map(|((qualifier, field), target)| {
            let column = Expr::Column(Column::from((qualifier, field)));
            match *field.data_type() == target.data_type() {
                true => Ok(column),
                false => {
                    let cast = cast_expr(&self.registry, column, schema, target)?;
                    Ok(cast.alias_qualified(qualifier.cloned(), field.name()))
                }
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
    }
}

/// Names and qualifiers of the union as it was, types and nullability of its inputs.
fn union_schema(before: &DFSchemaRef, inputs: &[Arc<LogicalPlan>]) -> Result<DFSchemaRef> {
    let fields = before.iter().enumerate().map(|(column, (qualifier, field))| {
        let first: &arrow::datatypes::Field = inputs[0].schema().field(column);
        let mut merged = first.clone().with_name(field.name());
        let nullable = inputs.iter().any(|input| input.schema().field(column).is_nullable());
        if inputs.iter().any(|input| input.schema().field(column).metadata() != merged.metadata()) {
            // Texts of several lengths, timestamps of several precisions: the type that they have in common.
            let types = inputs.iter().filter_map(|input| SqlType::of_field(input.schema().field(column)));
            let common = common_type(&types.collect::<Vec<_>>()).unwrap_or(SqlType::Null);
            let marked = common.to_field(field.name(), true);
            let metadata = if marked.data_type() == merged.data_type() {
                marked.metadata().clone()
            } else {
                Default::default()
            };
            merged = merged.with_metadata(metadata);
        }
        merged.set_nullable(nullable);
        (qualifier.cloned(), Arc::new(merged))
    });
    Ok(Arc::new(DFSchema::new_with_metadata(fields.collect(), before.metadata().clone())?))
}

impl AnalyzerRule for FlinkAnalyzer {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        self.analyze_tree(plan)
    }

    fn name(&self) -> &str {
        "flink_analyzer"
    }
}

/// Types, coerces and binds one expression over `schema`.
pub fn analyze_expr(registry: &FunctionRegistry, expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(expr.rewrite(&mut Binder { registry, schema })?.data)
}

/// Type and nullability of an expression over `schema`. A bound call knows its own: DataFusion would ask all below it again,
/// and for their names.
fn field_of(expr: &Expr, schema: &DFSchema) -> Result<FieldRef> {
    if let Expr::ScalarFunction(call) = expr
        && let Some(bound) = FlinkFunction::of(&call.func).and_then(|function| function.bound.as_ref())
    {
        return Ok(bound.field.clone());
    }
    Ok(expr.to_field(schema)?.1)
}

/// The type of an expression over `schema`.
pub fn type_of(expr: &Expr, schema: &DFSchema) -> Result<SqlType> {
    let field = field_of(expr, schema)?;
    SqlType::of_field(&field)
        .ok_or_else(|| plan_datafusion_err!("{} is not a SQL type: {expr}", field.data_type()))
}

/// `expr`, whose SQL type is known, as a value of `target`.
pub fn coerce(registry: &FunctionRegistry, expr: Expr, schema: &DFSchema, target: &SqlType) -> Result<Expr> {
    let data_type = target.data_type();
    let field = field_of(&expr, schema)?;
    if field.data_type() == &data_type || field.data_type().equals_datatype(&data_type) {
        return Ok(expr);
    }
    if matches!(&expr, Expr::Literal(value, _) if value.is_null()) {
        return null_of(&data_type);
    }
    cast_expr(registry, expr, schema, target)
}

/// Operands of a comparison in the type in which Flink compares them.
pub fn coerce_comparison(
    registry: &FunctionRegistry,
    left: Expr,
    op: Operator,
    right: Expr,
    schema: &DFSchema,
) -> Result<Expr> {
    let (left, right) = (typed_literal(left), typed_literal(right));
    let (left_type, right_type) = (type_of(&left, schema)?, type_of(&right, schema)?);
    // As in Flink, `<>` takes a NULL for equal to a NULL.
    if let (Operator::Eq, SqlType::Row(a), SqlType::Row(b)) = (op, &left_type, &right_type)
        && a.len() == b.len()
        && !a.is_empty()
        // A row that is there equals itself, whatever is in it, as in Flink.
        && (left != right || is_row_call(&left))
    {
        return equal_rows(registry, (&left, a), (&right, b), schema);
    }
    compared(registry, (left, &left_type), op, (right, &right_type), schema)
}

/// As [`coerce_comparison`], of operands of these types, without a look at the fields of rows.
fn compared(
    registry: &FunctionRegistry,
    (left, left_type): (Expr, &SqlType),
    op: Operator,
    (right, right_type): (Expr, &SqlType),
    schema: &DFSchema,
) -> Result<Expr> {
    let target = comparison_type(left_type, right_type).or_else(|| read_number(op, left_type, right_type));
    let Some(target) = target else {
        return plan_err!(
            "cannot compare {left_type} with {right_type}: cast one of them to the other's type"
        );
    };
    let left = to_comparable(registry, left, schema, &target)?;
    let right = to_comparable(registry, right, schema, &target)?;
    if matches!(target, DataType::Float32 | DataType::Float64)
        && let Some(name) = compare::of_floats(op)
        && left != right
    {
        let arguments = vec![left, right];
        let (function, typed) = compare::bound(registry, name, &target, &arguments, schema)?;
        return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function.bind(typed), arguments)));
    }
    Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
}

/// The type in which a text is read that a number is ordered with. Flink compares them so, but for equality.
fn read_number(op: Operator, left: &SqlType, right: &SqlType) -> Option<DataType> {
    let is_order = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    match (left, right) {
        (text, other) | (other, text) if is_order && text.is_string() && other.is_numeric() => {
            Some(other.data_type())
        }
        _ => None,
    }
}

/// True for a member of an IN list that is text where a number or a truth value is looked for, or a number where text is.
fn is_read_as(member: &SqlType, found: &SqlType) -> bool {
    match member.is_string() {
        true => found.is_numeric() || *found == SqlType::Boolean,
        false => found.is_string() && member.is_numeric(),
    }
}

fn is_row_call(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.name() == "ROW")
}

/// Rows are equal if all their fields are: a NULL among them is as unknown as elsewhere.
fn equal_rows(
    registry: &FunctionRegistry,
    (left, left_fields): (&Expr, &[SqlField]),
    (right, right_fields): (&Expr, &[SqlField]),
    schema: &DFSchema,
) -> Result<Expr> {
    let field = |row: &Expr, place: usize, field: &SqlField| match row {
        Expr::ScalarFunction(call) if is_row_call(row) => Ok(call.args[place].clone()),
        row => registry.call("$FIELD", vec![row.clone(), Expr::Literal(field.name.as_str().into(), None)]),
    };
    let mut equal: Option<Expr> = None;
    for (place, (a, b)) in left_fields.iter().zip(right_fields).enumerate() {
        let (of_a, of_b) = (field(left, place, a)?, field(right, place, b)?);
        let same = match (&a.sql_type, &b.sql_type) {
            // In rows within rows a NULL equals a NULL.
            (a @ SqlType::Row(_), b @ SqlType::Row(_)) => {
                compared(registry, (of_a, a), Operator::IsNotDistinctFrom, (of_b, b), schema)?
            }
            _ => coerce_comparison(registry, of_a, Operator::Eq, of_b, schema)?,
        };
        equal = Some(match equal {
            Some(equal) => equal.and(same),
            None => same,
        });
    }
    Ok(equal.unwrap_or_else(|| Expr::Literal(ScalarValue::Boolean(Some(true)), None)))
}

fn to_comparable(
    registry: &FunctionRegistry,
    expr: Expr,
    schema: &DFSchema,
    target: &DataType,
) -> Result<Expr> {
    match SqlType::of_data_type(target) {
        Some(sql_type) => coerce(registry, expr, schema, &sql_type),
        None => Ok(Expr::Cast(Cast::new(Box::new(expr), target.clone()))),
    }
}

/// `plan` with the columns of the query around it, whose schema is `outer`, as they are there.
fn read_outer(plan: LogicalPlan, outer: &DFSchema) -> Result<LogicalPlan> {
    let read = |expr: Expr| match expr {
        Expr::OuterReferenceColumn(before, column) => match outer.qualified_field_from_column(&column) {
            Ok((_, field)) => Ok(Transformed::yes(Expr::OuterReferenceColumn(field.clone(), column))),
            Err(_) => Ok(Transformed::no(Expr::OuterReferenceColumn(before, column))),
        },
        expr => Ok(Transformed::no(expr)),
    };
    Ok(plan.transform_up_with_subqueries(|plan| plan.map_expressions(|expr| expr.transform_up(read)))?.data)
}

/// A literal with Flink's type; anything else as it is.
pub(super) fn typed_literal(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, metadata) => match literal_value(&value) {
            Some(typed) => Expr::Literal(typed, metadata),
            None => Expr::Literal(value, metadata),
        },
        expr => expr,
    }
}

/// A column that is a text or bytes literal, marked with its length: CHAR(n), BINARY(n).
fn marked_literal(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(marked_literal(*alias.expr));
            Expr::Alias(alias)
        }
        Expr::Literal(value, None) => {
            let sql_type = match &value {
                ScalarValue::Utf8(Some(text)) => SqlType::Char(text.chars().count() as u32),
                ScalarValue::Binary(Some(bytes)) => SqlType::Binary(bytes.len() as u32),
                _ => return Expr::Literal(value, None),
            };
            let metadata = FieldMetadata::from(sql_type.to_field("", false).metadata().clone());
            Expr::Literal(value, Some(metadata))
        }
        expr => expr,
    }
}

/// True if evaluating `expr` may fail the job.
pub(super) fn is_fallible(expr: &Expr) -> bool {
    let mut fallible = false;
    // The visitor never returns an error.
    let _ = expr.apply(|expr| {
        if let Expr::ScalarFunction(ScalarFunction { func, args }) = expr
            && let Some(function) = FlinkFunction::of(func)
        {
            let second = args.get(1).and_then(|second| match second {
                Expr::Literal(value, _) => Some(value),
                _ => None,
            });
            if function.may_fail(second, || args.iter().any(Expr::any_column_refs)) {
                fallible = true;
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    fallible
}

struct Binder<'a> {
    registry: &'a FunctionRegistry,
    schema: &'a DFSchema,
}

impl TreeNodeRewriter for Binder<'_> {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let bound = match expr {
            Expr::Literal(..) => typed_literal(expr),
            Expr::BinaryExpr(binary) => self.binary(binary)?,
            Expr::Negative(inner) => self.call("$NEGATE", vec![*inner])?,
            Expr::Between(between) => self.between(between)?,
            Expr::InList(list) => self.in_list(list)?,
            Expr::Like(like) => self.like(if like.case_insensitive { "$ILIKE" } else { "$LIKE" }, like)?,
            Expr::SimilarTo(like) => self.like("$SIMILAR", like)?,
            Expr::Case(case) => self.case(case)?,
            Expr::Cast(Cast { expr, field }) if is_user_cast(&field) => self.cast(*expr, &field, "$CAST")?,
            Expr::TryCast(TryCast { expr, field }) => self.cast(*expr, &field, "$TRY_CAST")?,
            Expr::ScalarFunction(call) => return self.bind(call),
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(bound))
    }
}

/// A cast that the SQL text has, as [`super::FlinkTypePlanner`] types it: casts that DataFusion inserts have no mark.
fn is_user_cast(field: &arrow::datatypes::FieldRef) -> bool {
    field.metadata().contains_key(weir_types::TYPE_KEY)
}

impl Binder<'_> {
    fn call(&self, name: &str, arguments: Vec<Expr>) -> Result<Expr> {
        let call = self.registry.call(name, arguments)?;
        match call {
            Expr::ScalarFunction(call) => Ok(self.bind(call)?.data),
            other => Ok(other),
        }
    }

    /// A call whose arguments are analyzed.
    fn bind(&self, call: ScalarFunction) -> Result<Transformed<Expr>> {
        let ScalarFunction { func, args } = call;
        let unbound = match FlinkFunction::of(&func) {
            Some(function) if function.bound.is_none() => function,
            _ => return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
        };
        let fields = args.iter().map(|arg| field_of(arg, self.schema)).collect::<Result<Vec<_>>>()?;
        let literals: Vec<_> = args
            .iter()
            .map(|arg| if let Expr::Literal(value, _) = arg { Some(value) } else { None })
            .collect();
        let typed = unbound.type_call(&fields, &literals)?;
        let mut arguments = Vec::with_capacity(args.len());
        for (argument, target) in args.into_iter().zip(&typed.arguments) {
            arguments.push(coerce(self.registry, argument, self.schema, target)?);
        }
        if let Some(expr) =
            conditional::expand(self.registry, unbound.function.name, &arguments, &typed, self.schema)?
        {
            return Ok(Transformed::yes(expr));
        }
        let bound = ScalarFunction::new_udf(unbound.bind(typed), arguments);
        Ok(Transformed::yes(Expr::ScalarFunction(bound)))
    }

    fn binary(&self, binary: BinaryExpr) -> Result<Expr> {
        let BinaryExpr { left, op, right } = binary;
        let name = match op {
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::StringConcat => "||",
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => {
                return coerce_comparison(self.registry, *left, op, *right, self.schema);
            }
            _ => return Ok(Expr::BinaryExpr(BinaryExpr { left, op, right })),
        };
        self.call(name, vec![*left, *right])
    }

    fn between(&self, between: Between) -> Result<Expr> {
        let Between { expr, negated, low, high } = between;
        let compare =
            |op, bound: Expr| coerce_comparison(self.registry, (*expr).clone(), op, bound, self.schema);
        let low = compare(Operator::GtEq, *low)?;
        let high = compare(Operator::LtEq, *high)?;
        let both = low.and(high);
        Ok(if negated { not(both) } else { both })
    }

    fn in_list(&self, list: InList) -> Result<Expr> {
        let InList { expr, list, negated } = list;
        let expr = typed_literal(*expr);
        let found = type_of(&expr, self.schema)?;
        if matches!(found, SqlType::Row(_)) {
            let equal =
                |member| coerce_comparison(self.registry, expr.clone(), Operator::Eq, member, self.schema);
            let equal = list.into_iter().map(equal).collect::<Result<Vec<_>>>()?;
            let any = equal.into_iter().reduce(Expr::or);
            let any = any.unwrap_or_else(|| Expr::Literal(ScalarValue::Boolean(Some(false)), None));
            return Ok(if negated { not(any) } else { any });
        }
        let members = list.iter().map(|member| type_of(member, self.schema)).collect::<Result<Vec<_>>>()?;
        if members.iter().all(|member| is_read_as(member, &found)) {
            // Text among numbers, or the reverse: the members become what is looked for, as in Flink.
            let member = |member| coerce(self.registry, member, self.schema, &found);
            let list = list.into_iter().map(member).collect::<Result<Vec<_>>>()?;
            return Ok(Expr::InList(InList { expr: Box::new(expr), list, negated }));
        }
        let mut target = found.data_type();
        for member in &list {
            let found = SqlType::of_data_type(&target).unwrap_or(SqlType::Null);
            let member = type_of(member, self.schema)?;
            target = match comparison_type(&found, &member) {
                Some(target) => target,
                None => return plan_err!("cannot look for {found} IN a list with {member}"),
            };
        }
        let expr = to_comparable(self.registry, expr, self.schema, &target)?;
        let list = list
            .into_iter()
            .map(|member| to_comparable(self.registry, member, self.schema, &target))
            .collect::<Result<Vec<_>>>()?;
        Ok(Expr::InList(InList { expr: Box::new(expr), list, negated }))
    }

    fn like(&self, name: &str, like: Like) -> Result<Expr> {
        let Like { negated, expr, pattern, escape_char, .. } = like;
        let mut arguments = vec![*expr, *pattern];
        if let Some(escape) = escape_char {
            arguments.push(Expr::Literal(ScalarValue::from(escape.to_string()), None));
        }
        let call = self.call(name, arguments)?;
        Ok(if negated { not(call) } else { call })
    }

    /// A CASE that did not pass through desugaring.
    fn case(&self, case: Case) -> Result<Expr> {
        let Case { expr, when_then_expr, else_expr } = case;
        let mut values: Vec<SqlType> = vec![];
        for (_, value) in &when_then_expr {
            values.push(type_of(value, self.schema)?);
        }
        if let Some(value) = &else_expr {
            values.push(type_of(value, self.schema)?);
        }
        let Some(target) = common_type(&values) else {
            return plan_err!("the results of a CASE have types that do not go together");
        };
        let value = |value: Box<Expr>| -> Result<Box<Expr>> {
            Ok(Box::new(coerce(self.registry, *value, self.schema, &target)?))
        };
        let branches = when_then_expr
            .into_iter()
            .map(|(condition, result)| Ok((condition, value(result)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Expr::Case(Case::new(expr, branches, else_expr.map(value).transpose()?)))
    }

    fn cast(&self, expr: Expr, field: &arrow::datatypes::FieldRef, name: &str) -> Result<Expr> {
        let Some(target) = SqlType::of_field(field) else {
            return plan_err!("cannot cast to {}", field.data_type());
        };
        let text = Expr::Literal(ScalarValue::from(target.to_string()), None);
        self.call(name, vec![expr, text])
    }
}

/// The schema of no columns, for expressions that read none.
pub fn no_columns() -> DFSchema {
    DFSchema::from_unqualified_fields(Schema::empty().fields, Default::default())
        .unwrap_or_else(|_| DFSchema::empty())
}

/// A typed NULL.
pub(crate) fn null_of(data_type: &DataType) -> Result<Expr> {
    Ok(Expr::Literal(ScalarValue::try_from(data_type)?, None))
}
