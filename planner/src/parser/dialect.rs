//! What sqlparser is told about Flink SQL.
//!
//! [`FlinkDialect`] calls itself sqlparser's generic dialect, so that branches of the parser that ask for it by type
//! stay open, and decides each property by itself. Where the grammar lacks a form, [`Dialect::parse_prefix`] reads it
//! and hands back a call that the query half knows:
//!
//! | text | expression |
//! | --- | --- |
//! | `TABLE t [PARTITION BY ..] [ORDER BY ..]`, `TABLE (query) ..` as an argument | `$TABLE((query)) OVER (..)`, see [`table_argument`] |
//! | `CAST(x AS type)`, `TRY_CAST(x AS type)` | a cast whose type is custom, see [`super::cast_type`] |
//! | `MAP['k', 1]` | `MAP('k', 1)` |
//! | `CASE x WHEN a, b THEN y END` | `CASE x WHEN a THEN y WHEN b THEN y END` |
//! | `TIMESTAMP WITH LOCAL TIME ZONE '..'` | a typed string of [`LOCAL_TIMESTAMP`] |
//! | what `crate::expressions` lists | calls of its own |
//! | `JSON_OBJECT(KEY k VALUE v ..)`, `JSON_OBJECTAGG(..)` | `JSON_OBJECT(k, v, ..)` with the NULL clause as a clause |

use super::build::{call, unnamed};
use super::types::parse_type;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    CaseWhen, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, JsonNullClause, ObjectName, OrderByExpr, Query, TypedString, WindowSpec,
    WindowType,
};
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use std::any::TypeId;

/// The name of the call that stands for a table argument.
pub(crate) const TABLE_ARGUMENT: &str = "$TABLE";

/// The type of the literal `TIMESTAMP WITH LOCAL TIME ZONE '..'`.
pub(crate) const LOCAL_TIMESTAMP: &str = "TIMESTAMP_LTZ";

/// Flink's SQL, seen from sqlparser.
#[derive(Debug)]
pub(crate) struct FlinkDialect;

impl Dialect for FlinkDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation_with_newline(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let Token::Word(word) = &parser.peek_token_ref().token else { return None };
        if word.quote_style.is_some() {
            return None;
        }
        match word.keyword {
            Keyword::TABLE => Some(parse_table_argument(parser)),
            Keyword::CAST if is_call(parser) => Some(parse_cast(parser, CastKind::Cast)),
            Keyword::TRY_CAST if is_call(parser) => Some(parse_cast(parser, CastKind::TryCast)),
            Keyword::CASE if !is_when(parser.peek_nth_token_ref(1)) => Some(parse_simple_case(parser)),
            Keyword::TIMESTAMP if is_zoned(parser) => Some(parse_zoned_timestamp(parser)),
            Keyword::MAP if parser.peek_nth_token_ref(1).token == Token::LBracket => Some(parse_map(parser)),
            _ if is_json_object(word) && is_call(parser) => Some(parse_json_object(parser)),
            _ => crate::expressions::parse_prefix(parser),
        }
    }

    /// A unit behind parentheses is none to sqlparser.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        crate::expressions::is_interval_qualifier(parser).then(|| Ok(self.prec_value(Precedence::Period)))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if parser.peek_token_ref().token == Token::DoubleColon {
            return Some(parser.expected_ref("CAST(x AS type) instead", parser.peek_token_ref()));
        }
        crate::expressions::parse_infix(parser, expr)
    }
}

fn is_call(parser: &Parser) -> bool {
    parser.peek_nth_token_ref(1).token == Token::LParen
}

fn is_json_object(word: &Word) -> bool {
    ["JSON_OBJECT", "JSON_OBJECTAGG"].iter().any(|name| word.value.eq_ignore_ascii_case(name))
}

/// A table that is handed to a table function: `TABLE t PARTITION BY k`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableArgument<'a> {
    /// `SELECT * FROM t`, or the query in parentheses
    pub query: &'a Query,
    pub partition_by: &'a [Expr],
    pub order_by: &'a [OrderByExpr],
}

/// The table argument that `expr` stands for, if it is one.
pub(crate) fn table_argument(expr: &Expr) -> Option<TableArgument<'_>> {
    let Expr::Function(function) = expr else { return None };
    let name = function.name.0.first()?.as_ident()?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)))] = &list.args[..] else {
        return None;
    };
    let Some(WindowType::WindowSpec(spec)) = &function.over else { return None };
    (name.value == TABLE_ARGUMENT).then_some(TableArgument {
        query,
        partition_by: &spec.partition_by,
        order_by: &spec.order_by,
    })
}

/// `TABLE t` or `TABLE (query)`, then `[PARTITION BY ..] [ORDER BY ..]`.
fn parse_table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    let table = parser.expect_keyword(Keyword::TABLE)?;
    let query = if parser.consume_token(&Token::LParen) {
        let query = parser.parse_query()?;
        parser.expect_token(&Token::RParen)?;
        query
    } else {
        select_all(parser.parse_object_name(false)?)?
    };
    // The parentheses around several columns are Flink's own form: PARTITION BY (a, b).
    let partition_by = match parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        true => flatten(parser.parse_comma_separated_columns()?),
        false => vec![],
    };
    let order_by = match parser.parse_keywords(&[Keyword::ORDER, Keyword::BY]) {
        true => parser.parse_comma_separated_order()?,
        false => vec![],
    };
    let name = Ident { value: TABLE_ARGUMENT.into(), quote_style: None, span: table.span };
    let mut function = call(name, vec![unnamed(Expr::Subquery(query))]);
    function.over = Some(WindowType::WindowSpec(WindowSpec {
        window_name: None,
        partition_by,
        order_by,
        window_frame: None,
    }));
    Ok(Expr::Function(function))
}

fn flatten(columns: Vec<Expr>) -> Vec<Expr> {
    let members = |column| match column {
        Expr::Tuple(members) => members,
        Expr::Nested(inner) => vec![*inner],
        column => vec![column],
    };
    columns.into_iter().flat_map(members).collect()
}

/// Lists inside an argument list: the comma after `PARTITION BY k` ends the argument, since a column name cannot be told
/// from the next argument, which is `DESCRIPTOR(ts)` or a named one. Several columns stand in parentheses or are
/// followed by further plain columns.
trait ArgumentLists {
    fn parse_comma_separated_columns(&mut self) -> Result<Vec<Expr>, ParserError>;
    fn parse_comma_separated_order(&mut self) -> Result<Vec<OrderByExpr>, ParserError>;
    fn another_column(&mut self) -> bool;
}

impl ArgumentLists for Parser<'_> {
    fn parse_comma_separated_columns(&mut self) -> Result<Vec<Expr>, ParserError> {
        let mut columns = vec![self.parse_expr()?];
        while self.another_column() {
            columns.push(self.parse_expr()?);
        }
        Ok(columns)
    }

    fn parse_comma_separated_order(&mut self) -> Result<Vec<OrderByExpr>, ParserError> {
        let mut columns = vec![self.parse_order_by_expr()?];
        while self.another_column() {
            columns.push(self.parse_order_by_expr()?);
        }
        Ok(columns)
    }

    /// Takes the comma if a column follows it: a name that is neither called (`DESCRIPTOR(`) nor assigned to (`SIZE =>`),
    /// nor starts an interval.
    fn another_column(&mut self) -> bool {
        let [comma, name, next] = self.peek_tokens_ref().map(|token| &token.token);
        let column = match name {
            Token::Word(word) => word.quote_style.is_some() || word.keyword != Keyword::INTERVAL,
            _ => false,
        };
        let another = *comma == Token::Comma && column && !matches!(next, Token::LParen | Token::RArrow);
        another && self.consume_token(&Token::Comma)
    }
}

/// `SELECT * FROM name`, keeping the place of the name.
fn select_all(name: ObjectName) -> Result<Box<Query>, ParserError> {
    let mut query = Parser::new(&FlinkDialect).try_with_sql("SELECT * FROM t")?.parse_query()?;
    if let Some(sqlparser::ast::TableFactor::Table { name: relation, .. }) =
        query.body.as_select_mut().and_then(|select| select.from.first_mut()).map(|from| &mut from.relation)
    {
        *relation = name;
    }
    Ok(query)
}

trait AsSelectMut {
    fn as_select_mut(&mut self) -> Option<&mut sqlparser::ast::Select>;
}

impl AsSelectMut for sqlparser::ast::SetExpr {
    fn as_select_mut(&mut self) -> Option<&mut sqlparser::ast::Select> {
        match self {
            sqlparser::ast::SetExpr::Select(select) => Some(select),
            _ => None,
        }
    }
}

/// `CAST(x AS type)` with Flink's types.
fn parse_cast(parser: &mut Parser, kind: CastKind) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let expr = Box::new(parser.parse_expr()?);
    parser.expect_keyword(Keyword::AS)?;
    let field = parse_type(parser)?;
    parser.expect_token(&Token::RParen)?;
    let text = Ident::new(field.to_string());
    let data_type = DataType::Custom(ObjectName::from(vec![text]), vec![]);
    Ok(Expr::Cast { kind, expr, data_type, array: false, format: None })
}

/// `CASE x WHEN a[, b ..] THEN y .. [ELSE z] END`: several values before one THEN are several branches.
fn parse_simple_case(parser: &mut Parser) -> Result<Expr, ParserError> {
    let case_token = AttachedToken(parser.next_token());
    let operand = Some(Box::new(parser.parse_expr()?));
    parser.expect_keyword(Keyword::WHEN)?;
    let mut conditions = vec![];
    loop {
        let values = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_keyword(Keyword::THEN)?;
        let result = parser.parse_expr()?;
        let branch = |condition| CaseWhen { condition, result: result.clone() };
        conditions.extend(values.into_iter().map(branch));
        if !parser.parse_keyword(Keyword::WHEN) {
            break;
        }
    }
    let else_result = match parser.parse_keyword(Keyword::ELSE) {
        true => Some(Box::new(parser.parse_expr()?)),
        false => None,
    };
    parser.expect_keyword(Keyword::END)?;
    let end_token = AttachedToken(parser.get_current_token().clone());
    Ok(Expr::Case { case_token, end_token, operand, conditions, else_result })
}

fn is_when(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == Keyword::WHEN)
}

const ZONED: [&str; 5] = ["TIMESTAMP", "WITH", "LOCAL", "TIME", "ZONE"];

fn is_zoned(parser: &Parser) -> bool {
    ZONED.iter().enumerate().all(|(place, expected)| {
        matches!(&parser.peek_nth_token_ref(place).token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    })
}

/// `TIMESTAMP WITH LOCAL TIME ZONE '..'`
fn parse_zoned_timestamp(parser: &mut Parser) -> Result<Expr, ParserError> {
    ZONED.iter().for_each(|_| parser.advance_token());
    let value = parser.parse_value()?;
    let name = ObjectName::from(vec![Ident::new(LOCAL_TIMESTAMP)]);
    let data_type = DataType::Custom(name, vec![]);
    Ok(Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }))
}

/// `MAP['k', 1, ..]`
fn parse_map(parser: &mut Parser) -> Result<Expr, ParserError> {
    let name = parser.parse_identifier()?;
    parser.expect_token(&Token::LBracket)?;
    let entries = parser.parse_comma_separated0(Parser::parse_expr, Token::RBracket)?;
    parser.expect_token(&Token::RBracket)?;
    Ok(Expr::Function(call(name, entries.into_iter().map(unnamed).collect())))
}

/// `JSON_OBJECT([[KEY] k VALUE v [, ..]] [NULL|ABSENT ON NULL])`, likewise `JSON_OBJECTAGG`.
fn parse_json_object(parser: &mut Parser) -> Result<Expr, ParserError> {
    let name = parser.parse_identifier()?;
    parser.expect_token(&Token::LParen)?;
    let mut arguments = vec![];
    let mut clauses = vec![];
    loop {
        let null_clause = parser.parse_one_of_keywords(&[Keyword::NULL, Keyword::ABSENT]);
        if let Some(keyword) = null_clause {
            parser.expect_keywords(&[Keyword::ON, Keyword::NULL])?;
            clauses.push(FunctionArgumentClause::JsonNullClause(match keyword {
                Keyword::NULL => JsonNullClause::NullOnNull,
                _ => JsonNullClause::AbsentOnNull,
            }));
        }
        if parser.consume_token(&Token::RParen) {
            break;
        }
        if null_clause.is_some() || (!arguments.is_empty() && !parser.consume_token(&Token::Comma)) {
            return parser.expected_ref("`,` or `)`", parser.peek_token_ref());
        }
        // `KEY` may itself be a column's name: it is the keyword only before something that starts an expression.
        if parser.peek_keyword(Keyword::KEY)
            && matches!(parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_) | Token::Word(_))
            && !matches!(&parser.peek_nth_token_ref(1).token, Token::Word(word) if word.keyword == Keyword::VALUE)
        {
            parser.advance_token();
        }
        arguments.push(unnamed(parser.parse_expr()?));
        if !parser.consume_token(&Token::Comma) && !parser.consume_token(&Token::Colon) {
            parser.expect_keyword(Keyword::VALUE)?;
        }
        arguments.push(unnamed(parser.parse_expr()?));
        // A trailing `NULL ON NULL` follows without a comma: `continue` reads it.
    }
    let mut function = call(name, arguments);
    if let FunctionArguments::List(list) = &mut function.args {
        list.clauses = clauses;
    }
    if parser.parse_keyword(Keyword::FILTER) {
        parser.expect_token(&Token::LParen)?;
        parser.expect_keyword(Keyword::WHERE)?;
        function.filter = Some(Box::new(parser.parse_expr()?));
        parser.expect_token(&Token::RParen)?;
    }
    Ok(Expr::Function(function))
}
