//! Parts of a syntax tree that no text says: what a rewrite puts in the place of what was written.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, UnaryOperator, Value, ValueWithSpan, WildcardAdditionalOptions,
    helpers::attached_token::AttachedToken,
};
use sqlparser::tokenizer::Span;

/// An identifier without a place.
pub(crate) fn bare(name: &str) -> Ident {
    Ident { value: name.into(), quote_style: Some('`'), span: Span::empty() }
}

/// The alias of a table without names of columns.
pub(crate) fn table_alias(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: vec![], at: None }
}

pub(crate) fn literal(value: Value) -> Expr {
    Expr::Value(ValueWithSpan { value, span: Span::empty() })
}

pub(crate) fn text(value: impl Into<String>) -> Expr {
    literal(Value::SingleQuotedString(value.into()))
}

pub(crate) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

pub(crate) fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

pub(crate) fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

pub(crate) fn unnamed(argument: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))
}

/// A call without any clause.
pub(crate) fn call(name: impl Into<ObjectName>, args: Vec<FunctionArg>) -> Function {
    Function {
        name: name.into(),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// A call of a function with expressions.
pub(crate) fn call_of(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(call(bare(name), arguments.into_iter().map(unnamed).collect()))
}

/// `*`
pub(crate) fn all_columns() -> SelectItem {
    SelectItem::Wildcard(WildcardAdditionalOptions::default())
}

/// `SELECT item FROM relation WHERE condition`
pub(crate) fn select_from(relation: TableFactor, item: SelectItem, condition: Option<Expr>) -> Query {
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![item],
        exclude: None,
        into: None,
        from: vec![TableWithJoins { relation, joins: vec![] }],
        lateral_views: vec![],
        prewhere: None,
        selection: condition,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    query_with_body(Box::new(SetExpr::Select(Box::new(select))))
}

/// A query of this body and no other clause.
pub(crate) fn query_with_body(body: Box<SetExpr>) -> Query {
    Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}
