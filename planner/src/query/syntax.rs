//! The syntax tree of a query made ready for DataFusion's SQL planner: columns get the names that Flink gives them,
//! lengths of windows become milliseconds, a bare VALUES becomes a query over a table.

use crate::PlanError;
use crate::parser::{all_columns, bare, binary, call, nested, query_with_body, select_from, table_alias};
use crate::walk::walk_mut;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Cte, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Interval, LimitClause, Query, Select, SelectItem, SetExpr, Spanned, TableAlias,
    TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitorMut, With,
    helpers::attached_token::AttachedToken,
};
use sqlparser::tokenizer::Span;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::query::named_windows::write_windows_out;
use crate::query::names::unique_name;
use crate::query::stars::{Stars, beside_star, has_star};

/// Functions that assign rows to windows.
const WINDOW_FUNCTIONS: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

/// The last part of a function's name, in capitals.
pub(super) fn function_name(function: &Function) -> String {
    let part = function.name.0.last().and_then(|part| part.as_ident());
    part.map_or_else(String::new, |ident| ident.value.to_ascii_uppercase())
}

pub(super) fn is_window_function(function: &Function) -> bool {
    WINDOW_FUNCTIONS.contains(&function_name(function).as_str())
}

/// A call of the older syntax, in GROUP BY: `TUMBLE(ts, INTERVAL '1' HOUR)`.
pub(super) struct GroupWindowCall;

impl GroupWindowCall {
    pub fn of(expr: &Expr) -> Option<&Function> {
        match expr {
            Expr::Function(function) if is_window_function(function) => Some(function),
            _ => None,
        }
    }
}

/// True for `TUMBLE`, `TUMBLE_START` and the like, whose intervals are lengths of windows.
fn takes_lengths(function: &Function) -> bool {
    let name = function_name(function);
    let base = name.split('_').next().unwrap_or("");
    let auxiliary = ["_START", "_END", "_ROWTIME", "_PROCTIME"].iter().any(|suffix| name.ends_with(suffix));
    WINDOW_FUNCTIONS.contains(&name.as_str()) || (auxiliary && WINDOW_FUNCTIONS.contains(&base))
}

/// Rewrites `query` in place; with `aliases_clash` columns of a list may have the names of columns that its `*` stands for.
pub(super) fn normalize(query: &mut Query, aliases_clash: bool) -> Result<(), PlanError> {
    name_values(query);
    walk_mut(query, &mut Normalizer { stars: Stars::new(aliases_clash) })
}

struct Normalizer {
    stars: Stars,
}

impl VisitorMut for Normalizer {
    type Break = PlanError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<PlanError> {
        // FETCH FIRST n ROWS ONLY, to which no LIMIT has come
        if let Some(quantity) = query.fetch.take().and_then(|fetch| fetch.quantity) {
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset,
                _ => None,
            };
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(quantity), offset, limit_by: vec![] });
        }
        self.stars.name_apart(query);
        self.stars.wrap_with(query, |table| all_of(&[], &table));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<PlanError> {
        name_columns(select);
        match write_windows_out(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<PlanError> {
        self.stars.name_derived(factor);
        bare_window_call(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<PlanError> {
        in_subquery(expr);
        if let Expr::Function(function) = expr
            && takes_lengths(function)
            && let FunctionArguments::List(list) = &mut function.args
        {
            for argument in &mut list.args {
                let (FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))
                | FunctionArg::Named { arg: FunctionArgExpr::Expr(argument), .. }) = argument
                else {
                    continue;
                };
                match length_ms(argument) {
                    // Milliseconds stand for intervals from here on: a number that was written is none.
                    _ if matches!(argument, Expr::Value(value) if matches!(value.value, Value::Number(..))) =>
                    {
                        let message = format!(
                            "a length of a window is an interval such as INTERVAL '10' SECOND, not {argument}"
                        );
                        return ControlFlow::Break(PlanError::invalid(message).at(argument.span()));
                    }
                    Ok(Some(ms)) => *argument = number(ms, argument.span()),
                    Ok(None) => {}
                    Err(error) => return ControlFlow::Break(error.at(argument.span())),
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// `FROM TUMBLE(TABLE t, ..)` is `FROM TABLE(TUMBLE(TABLE t, ..))`.
fn bare_window_call(factor: &mut TableFactor) {
    let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor else { return };
    let call = call(name.clone(), arguments.args.clone());
    if is_window_function(&call) {
        *factor = TableFactor::TableFunction { expr: Expr::Function(call), alias: alias.take() };
    }
}

/// `x = ANY (SELECT ..)` is `x IN (SELECT ..)`, `x <> ALL (SELECT ..)` its negation, and
/// `(x, y) [NOT] IN (SELECT ..)` asks whether a row exists.
fn in_subquery(expr: &mut Expr) {
    let (left, right, is_negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        Expr::InSubquery { expr: row, subquery, negated } => {
            if let Expr::Tuple(values) = row.as_ref()
                && output_columns(subquery) == Some(values.len())
            {
                let (subquery, negated) = (one_that_equals(values, subquery, *negated), *negated);
                *expr = Expr::Exists { subquery: Box::new(subquery), negated };
            }
            return;
        }
        _ => return,
    };
    if let Expr::Subquery(subquery) = right.as_ref() {
        let (left, subquery) = (left.clone(), subquery.clone());
        *expr = Expr::InSubquery { expr: left, subquery, negated: is_negated };
    }
}

/// How many columns a query has, where its list says so.
pub(super) fn output_columns(query: &Query) -> Option<usize> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let named =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    select.projection.iter().all(named).then_some(select.projection.len())
}

/// `SELECT * FROM (query) AS $in ($in0, ..) WHERE $in0 = value ..`; for NOT IN a row that may be equal, for all that is known:
/// `WHERE ($in0 = value) IS NOT FALSE ..`
fn one_that_equals(values: &[Expr], query: &Query, or_may: bool) -> Query {
    let name = |index: usize| bare(&format!("$in{index}"));
    let equal = values.iter().enumerate().map(|(index, value)| {
        let equal = binary(Expr::Identifier(name(index)), BinaryOperator::Eq, value.clone());
        if or_may { Expr::IsNotFalse(Box::new(nested(equal))) } else { equal }
    });
    let column = |index| TableAliasColumnDef { name: name(index), data_type: None };
    let columns = (0..values.len()).map(column).collect();
    let alias = TableAlias { columns, ..table_alias(bare("$in")) };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query.clone()),
        alias: Some(alias),
        sample: None,
    };
    let condition = equal.reduce(|left, right| binary(left, BinaryOperator::And, right));
    select_from(relation, all_columns(), condition)
}

/// A bare `VALUES ..` becomes `SELECT * FROM (VALUES ..)`.
fn name_values(query: &mut Query) {
    let SetExpr::Values(values) = query.body.as_ref() else { return };
    let columns = values.rows.first().map_or(0, |row| row.content.len());
    let table = values_table(query.body.clone(), columns);
    query.body = select_from(table, all_columns(), None).body;
}

fn number(value: i64, span: Span) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_span(span))
}

/// `WITH .. SELECT * FROM table`
pub(super) fn all_of(tables: &[Cte], table: &TableFactor) -> Query {
    let with = With { with_token: AttachedToken::empty(), recursive: false, cte_tables: tables.to_vec() };
    let with = (!tables.is_empty()).then_some(with);
    Query { with, ..select_from(table.clone(), all_columns(), None) }
}

/// `(VALUES ..) AS VALUES(EXPR$0, ..)`
fn values_table(values: Box<SetExpr>, columns: usize) -> TableFactor {
    let column = |index| TableAliasColumnDef { name: Ident::new(format!("EXPR${index}")), data_type: None };
    let columns = (0..columns).map(column).collect();
    let alias = TableAlias { columns, ..table_alias(Ident::new("VALUES")) };
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query_with_body(values)),
        alias: Some(alias),
        sample: None,
    }
}

/// Flink's names for columns without one: the last part of a name, `EXPR$<place>` for an expression, numbered where
/// they would clash.
fn name_columns(select: &mut Select) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { alias, .. } = item
            && !taken.insert(alias.value.clone())
        {
            let unique = unique_name(&alias.value, &taken.iter().map(String::as_str).collect());
            *alias = Ident { value: unique.clone(), quote_style: Some('`'), span: alias.span };
            taken.insert(unique);
        }
    }
    let is_star = has_star(select);
    for (place, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let name = match &*expr {
            Expr::Identifier(ident) => ident.value.clone(),
            Expr::CompoundIdentifier(parts) => {
                parts.last().map_or_else(String::new, |part| part.value.clone())
            }
            Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
                Some(AccessExpr::Dot(Expr::Identifier(field))) => field.value.clone(),
                _ => format!("EXPR${place}"),
            },
            _ => format!("EXPR${place}"),
        };
        let unique = match is_star {
            true => beside_star(&name, place),
            false => unique_name(&name, &taken.iter().map(String::as_str).collect()),
        };
        taken.insert(unique.clone());
        if matches!(expr, Expr::Identifier(_)) && unique == name {
            continue;
        }
        let alias = Ident { value: unique, quote_style: Some('`'), span: expr.span() };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

/// Milliseconds of an interval of days to seconds; `None` if the expression is no interval.
pub(super) fn length_ms(expr: &Expr) -> Result<Option<i64>, PlanError> {
    match expr {
        Expr::Nested(inner) => length_ms(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(length_ms(expr)?.map(|ms| -ms)),
        Expr::Interval(interval) => interval_ms(interval).map(Some),
        _ => Ok(None),
    }
}

fn interval_ms(interval: &Interval) -> Result<i64, PlanError> {
    let malformed = || PlanError::invalid(format!("{interval} is not the length of a window"));
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.trim(),
            _ => return Err(malformed()),
        },
        _ => return Err(malformed()),
    };
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let first = interval.leading_field.as_ref().and_then(unit).ok_or_else(|| {
        PlanError::invalid(format!(
            "the length of a window is an interval of days to seconds, not {interval}"
        ))
    })?;
    let last = match &interval.last_field {
        Some(field) => unit(field).ok_or_else(malformed)?,
        None => first,
    };
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    if last < first || parts.len() != last - first + 1 {
        return Err(malformed());
    }
    let mut total: i64 = 0;
    for (part, unit) in parts.iter().zip(first..) {
        let ms = match unit {
            3 => seconds_ms(part),
            _ => part.parse::<i64>().ok().and_then(|count| count.checked_mul(UNIT_MS[unit])),
        };
        total = ms.and_then(|ms| total.checked_add(ms)).ok_or_else(malformed)?;
    }
    Ok(if negative { -total } else { total })
}

/// Days, hours, minutes, seconds.
const UNIT_MS: [i64; 4] = [86_400_000, 3_600_000, 60_000, 1_000];

/// Place in [`UNIT_MS`]; `None` for months and years, and for what Flink does not know.
fn unit(field: &DateTimeField) -> Option<usize> {
    match field {
        DateTimeField::Day | DateTimeField::Days => Some(0),
        DateTimeField::Hour | DateTimeField::Hours => Some(1),
        DateTimeField::Minute | DateTimeField::Minutes => Some(2),
        DateTimeField::Second | DateTimeField::Seconds => Some(3),
        _ => None,
    }
}

/// `1.5` as 1500: digits after the third are cut.
fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let ms = fraction.parse::<i64>().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::GenericDialect;
    use sqlparser::parser::Parser;

    fn length(text: &str) -> Option<i64> {
        let expr = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
        length_ms(&expr).ok().flatten()
    }

    #[test]
    fn intervals_become_milliseconds() {
        assert_eq!(length("INTERVAL '10' SECOND"), Some(10_000));
        assert_eq!(length("INTERVAL '1.0625' SECOND"), Some(1_062));
        assert_eq!(length("INTERVAL '2' DAY"), Some(172_800_000));
        assert_eq!(length("INTERVAL '1:30' MINUTE TO SECOND"), Some(90_000));
        assert_eq!(length("INTERVAL '1 00:00:01' DAY TO SECOND"), Some(86_401_000));
        assert_eq!(length("-INTERVAL '8' HOUR"), Some(-28_800_000));
        assert_eq!(length("INTERVAL '-8' HOUR"), Some(-28_800_000));
        assert_eq!(length("INTERVAL '1' MONTH"), None);
        assert_eq!(length("INTERVAL '1:30' SECOND"), None);
        assert_eq!(length("INTERVAL 'x' SECOND"), None);
    }
}
