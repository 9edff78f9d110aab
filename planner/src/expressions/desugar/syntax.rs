//! One expression at a time.

use super::super::types::sql_type_of;
use super::literals;
use crate::parser::{bare, binary, call_of as function, literal, text, unnamed};
use datafusion_common::{Result, plan_err};
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, JsonNullClause, ObjectName, Select, SetExpr, TableAlias, TableFactor,
    TableFunctionArgs, TableWithJoins, UnaryOperator, Value, Values,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

/// The name of the table function that stands for VALUES.
pub(in crate::expressions) const VALUES: &str = "$VALUES";

/// The placeholder that stays behind while an expression is moved.
fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(Ident::new("")))
}

fn taken(expr: &mut Box<Expr>) -> Expr {
    take(expr)
}

/// Rewrites one expression whose parts are rewritten already.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    let rewritten = match expr {
        Expr::Cast { kind, expr, data_type, format: None, .. } => {
            let name = match kind {
                CastKind::TryCast | CastKind::SafeCast => "$TRY_CAST",
                _ => "$CAST",
            };
            function(name, vec![taken(expr), text(sql_type_of(data_type)?.to_string())])
        }
        // The character set of a string: all of them are Unicode.
        Expr::Prefixed { prefix, value } if is_character_set(&prefix.value) => taken(value),
        Expr::TypedString(literal) => literals::typed(literal)?,
        Expr::Interval(interval) => return literals::normalise_interval(interval),
        Expr::Value(value) => match literals::value(value)? {
            Some(rewritten) => rewritten,
            None => return Ok(()),
        },
        Expr::Case { operand, conditions, else_result, .. } => {
            case(operand.as_mut().map(taken), conditions, else_result.as_mut().map(taken))
        }
        Expr::Floor { expr, field } => match unit(field)? {
            Some(unit) => function("$FLOOR", vec![taken(expr), text(unit)]),
            None => return Ok(()),
        },
        Expr::Ceil { expr, field } => match unit(field)? {
            Some(unit) => function("$CEIL", vec![taken(expr), text(unit)]),
            None => return Ok(()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(_) | Expr::Interval(_) => return Ok(()),
            _ => function("$NEGATE", vec![taken(expr)]),
        },
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => overlaps(left, right)?,
        Expr::Array(array) => function("$ARRAY", std::mem::take(&mut array.elem)),
        Expr::Tuple(members) => function("ROW", std::mem::take(members)),
        Expr::CompoundFieldAccess { root, access_chain } => field_access(root, access_chain),
        Expr::Function(call) if is_called(call, "PERCENTILE") => percentile(call)?,
        Expr::Function(call) => return rewrite_call(call),
        _ => return Ok(()),
    };
    *expr = rewritten;
    Ok(())
}

/// `_UTF8'text'`
fn is_character_set(prefix: &str) -> bool {
    let sets = ["_UTF8", "_UTF16", "_UTF16LE", "_UTF16BE", "_LATIN1", "_ISO_8859_1", "_US_ASCII"];
    sets.iter().any(|set| prefix.eq_ignore_ascii_case(set))
}

/// `items[1].sku` is `$FIELD(items[1], 'sku')`. Names right behind a name may be a table and its column: they stay names.
fn field_access(root: &mut Box<Expr>, chain: &mut Vec<AccessExpr>) -> Expr {
    let mut value = taken(root);
    for access in std::mem::take(chain) {
        value = match (value, access) {
            (Expr::Identifier(first), AccessExpr::Dot(Expr::Identifier(name))) => {
                Expr::CompoundIdentifier(vec![first, name])
            }
            (Expr::CompoundIdentifier(mut names), AccessExpr::Dot(Expr::Identifier(name))) => {
                names.push(name);
                Expr::CompoundIdentifier(names)
            }
            (value, AccessExpr::Dot(Expr::Identifier(name))) => {
                function("$FIELD", vec![value, text(name.value)])
            }
            (value, access) => {
                Expr::CompoundFieldAccess { root: Box::new(value), access_chain: vec![access] }
            }
        };
    }
    value
}

fn is_called(call: &Function, name: &str) -> bool {
    matches!(&call.name.0[..], [part] if part.as_ident().is_some_and(|part| part.value.eq_ignore_ascii_case(name)))
}

/// `PERCENTILE(x, p)` is `$PERCENTILE(COLLECT($PERCENTILE_OF(x)), p)`, with a third argument that says how often each value
/// counts `$PERCENTILE(COLLECT(ROW($PERCENTILE_OF(x), CAST(n AS BIGINT))), p)`: a multiset takes rows back.
fn percentile(call: &mut Function) -> Result<Expr> {
    let FunctionArguments::List(list) = &mut call.args else {
        return plan_err!(
            "PERCENTILE takes a number, a percentage from 0 to 1, and how often the number counts"
        );
    };
    let plain = |argument: FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    };
    let plain: Option<Vec<Expr>> = std::mem::take(&mut list.args).into_iter().map(plain).collect();
    let (value, percentage, frequency) = match plain.map(<[Expr; 2]>::try_from) {
        Some(Ok([value, percentage])) => (value, percentage, None),
        Some(Err(three)) => match <[Expr; 3]>::try_from(three) {
            Ok([value, percentage, frequency]) => (value, percentage, Some(frequency)),
            Err(_) => return plan_err!("PERCENTILE takes two or three arguments"),
        },
        None => return plan_err!("PERCENTILE takes numbers"),
    };
    let value = function("$PERCENTILE_OF", vec![value]);
    let collected = match frequency {
        None => value,
        Some(frequency) => function("ROW", vec![value, function("$CAST", vec![frequency, text("BIGINT")])]),
    };
    list.args = vec![unnamed(collected)];
    call.name = ObjectName::from(vec![bare("COLLECT")]);
    Ok(function("$PERCENTILE", vec![Expr::Function(call.clone()), percentage]))
}

/// `CASE x WHEN a ..` is `CASE WHEN x = a ..`.
fn case(operand: Option<Expr>, conditions: &mut Vec<CaseWhen>, otherwise: Option<Expr>) -> Expr {
    let mut arguments = Vec::with_capacity(conditions.len() * 2 + 1);
    for CaseWhen { condition, result } in std::mem::take(conditions) {
        arguments.push(match &operand {
            Some(operand) => binary(operand.clone(), BinaryOperator::Eq, condition),
            None => condition,
        });
        arguments.push(result);
    }
    arguments.push(otherwise.unwrap_or_else(|| literal(Value::Null)));
    function("$CASE", arguments)
}

fn unit(kind: &CeilFloorKind) -> Result<Option<String>> {
    match kind {
        CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => Ok(None),
        CeilFloorKind::DateTimeField(unit) => Ok(Some(unit.to_string().to_uppercase())),
        CeilFloorKind::Scale(_) => {
            plan_err!("CEIL and FLOOR take one number: CEIL(x), or a unit: CEIL(t TO DAY)")
        }
    }
}

fn arguments(call: &mut Function) -> Option<&mut FunctionArgumentList> {
    match &mut call.args {
        FunctionArguments::List(list) => Some(list),
        _ => None,
    }
}

/// The arguments of a call, moved out, if all of them are plain.
fn plain_arguments(expr: &mut Expr) -> Option<Vec<Expr>> {
    let Expr::Function(call) = expr else { return None };
    let list = arguments(call)?;
    let plain = |argument: FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    };
    std::mem::take(&mut list.args).into_iter().map(plain).collect()
}

fn overlaps(left: &mut Expr, right: &mut Expr) -> Result<Expr> {
    // The periods are tuples, and those are calls of ROW by now.
    let periods = (plain_arguments(left), plain_arguments(right));
    let (Some(mut first), Some(second)) = periods else {
        return plan_err!("OVERLAPS takes two periods: (start, end) OVERLAPS (start, end)");
    };
    first.extend(second);
    match first.len() {
        4 => Ok(function("$OVERLAPS", first)),
        _ => plan_err!("OVERLAPS takes two periods: (start, end) OVERLAPS (start, end)"),
    }
}

/// Calls whose first argument is a unit, or that have clauses.
fn rewrite_call(call: &mut Function) -> Result<()> {
    let [part] = &call.name.0[..] else { return Ok(()) };
    let Some(name) = part.as_ident().map(|name| name.value.to_uppercase()) else { return Ok(()) };
    match name.as_str() {
        "TIMESTAMPADD" | "TIMESTAMPDIFF" => {
            let first = arguments(call).and_then(|list| list.args.first_mut());
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = first
                && let Expr::Identifier(unit) = expr
            {
                *expr = text(unit.value.to_uppercase());
            }
        }
        "JSON_OBJECT" | "JSON_ARRAY" => json_constructor(call, &name)?,
        "JSON_OBJECTAGG" | "JSON_ARRAYAGG" => json_aggregate(call, &name)?,
        _ => {}
    }
    Ok(())
}

/// True for calls whose result is JSON, which goes into other JSON as it is.
fn is_json(argument: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call))) = argument else { return false };
    let name = call.name.0.first().and_then(|part| part.as_ident());
    name.is_some_and(|name| matches!(name.value.as_str(), "$JSON_OBJECT" | "$JSON_ARRAY" | "$JSON"))
}

/// What the last NULL ON NULL or ABSENT ON NULL says, without one `default`.
fn null_on_null(list: &mut FunctionArgumentList, name: &str, default: bool) -> Result<bool> {
    let mut null_on_null = default;
    for clause in std::mem::take(&mut list.clauses) {
        match clause {
            FunctionArgumentClause::JsonNullClause(JsonNullClause::NullOnNull) => null_on_null = true,
            FunctionArgumentClause::JsonNullClause(JsonNullClause::AbsentOnNull) => null_on_null = false,
            clause => return plan_err!("{name} does not take '{clause}'"),
        }
    }
    Ok(null_on_null)
}

/// `$JSON_OBJECTAGG_N(k, v)` and the like: N or A for NULL or ABSENT ON NULL, the value as JSON.
fn json_aggregate(call: &mut Function, name: &str) -> Result<()> {
    let Some(list) = arguments(call) else { return Ok(()) };
    let expected = if name == "JSON_OBJECTAGG" { 2 } else { 1 };
    if list.args.len() != expected {
        let form = if expected == 2 { "KEY key VALUE value" } else { "value" };
        return plan_err!("{name} takes {form}, and NULL ON NULL or ABSENT ON NULL");
    }
    let nulls = if null_on_null(list, name, name == "JSON_OBJECTAGG")? { 'N' } else { 'A' };
    if let Some(value) = list.args.last_mut()
        && !is_json(value)
        && let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = value
    {
        *expr = function("JSON_STRING", vec![take(expr)]);
    }
    call.name = ObjectName::from(vec![bare(&format!("${name}_{nulls}"))]);
    Ok(())
}

/// `$JSON_OBJECT('flags', k, v, ..)`, `$JSON_ARRAY('flags', v, ..)`; the flags are explained where they are read.
fn json_constructor(call: &mut Function, name: &str) -> Result<()> {
    call.name = ObjectName::from(vec![bare(&format!("${name}"))]);
    let Some(list) = arguments(call) else { return Ok(()) };
    let null_on_null = null_on_null(list, name, name == "JSON_OBJECT")?;
    let mut plain = vec![];
    for argument in std::mem::take(&mut list.args) {
        match argument {
            FunctionArg::Named { name, arg, .. } => {
                plain.push(unnamed(Expr::Identifier(name)));
                plain.push(FunctionArg::Unnamed(arg));
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                plain.push(unnamed(name));
                plain.push(FunctionArg::Unnamed(arg));
            }
            plain_argument => plain.push(plain_argument),
        }
    }
    let step = if name == "JSON_OBJECT" { 2 } else { 1 };
    for value in plain.iter_mut().skip(step - 1).step_by(step) {
        // JSON(text) stands here and nowhere else.
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call))) = value
            && is_called(call, "JSON")
        {
            call.name = ObjectName::from(vec![bare("$JSON")]);
        }
    }
    let mut flags = String::from(if null_on_null { "N" } else { "A" });
    flags.extend(
        plain.iter().skip(step - 1).step_by(step).map(|value| if is_json(value) { 'j' } else { 'v' }),
    );
    plain.insert(0, unnamed(text(flags)));
    list.args = plain;
    Ok(())
}

/// VALUES, here or in the branches of a set operation, as a select from the call that stands for it.
pub(super) fn values_to_call(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            values_to_call(left)?;
            values_to_call(right)
        }
        SetExpr::Values(Values { rows, .. }) => {
            let rows = std::mem::take(rows).into_iter().map(|row| Expr::Tuple(row.content)).collect();
            *body = SetExpr::Select(Box::new(select_from_call(rows)?));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `SELECT * FROM $VALUES(row, ..)`
fn select_from_call(rows: Vec<Expr>) -> Result<Select> {
    let parsed =
        Parser::new(&GenericDialect {}).try_with_sql("SELECT * FROM t").and_then(|mut p| p.parse_select());
    let mut select = parsed.map_err(|error| datafusion_common::DataFusionError::Plan(error.to_string()))?;
    let mut factor = TableFactor::Table {
        name: ObjectName::from(vec![bare(VALUES)]),
        alias: None::<TableAlias>,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    };
    if let TableFactor::Table { args, .. } = &mut factor {
        *args = Some(TableFunctionArgs { args: rows.into_iter().map(unnamed).collect(), settings: None });
    }
    select.from = vec![TableWithJoins { relation: factor, joins: vec![] }];
    select.group_by = GroupByExpr::Expressions(vec![], vec![]);
    Ok(select)
}
