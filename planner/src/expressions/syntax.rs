//! Expressions that sqlparser cannot read, for the statement parser's dialect.
//!
//! | text | expression |
//! | --- | --- |
//! | `x IS [NOT] JSON [VALUE\|SCALAR\|ARRAY\|OBJECT]` | `[NOT] $IS_JSON(x, 'VALUE')` |
//! | `x IS [NOT] DISTINCT FROM y` | as it stands |
//! | `(a - b) unit [TO unit]` | `$MINUS('unit', a, b)` |
//! | `x [NOT] BETWEEN SYMMETRIC a AND b` | `[NOT] (x BETWEEN a AND b OR x BETWEEN b AND a)` |
//! | `JSON_EXISTS(j, p [TRUE\|FALSE\|UNKNOWN\|ERROR ON ERROR])` | `$JSON_EXISTS(j, p, 'FALSE')` |
//! | `JSON_VALUE(j, p [RETURNING t] [.. ON EMPTY] [.. ON ERROR])` | `$JSON_VALUE(j, p, 't', 'NULL', NULL, 'NULL', NULL)` |
//! | `JSON_QUERY(j, p [RETURNING t] [.. WRAPPER] [.. ON EMPTY] [.. ON ERROR])` | `$JSON_QUERY(j, p, 'WITHOUT', 'NULL', 'NULL', 't')` |
//! | `TRIM([BOTH\|LEADING\|TRAILING] FROM s)` | `BTRIM(s)`, `LTRIM(s)`, `RTRIM(s)` |

use crate::parser::{binary, call_of as call, nested, not, parse_type, text};
use sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

/// An expression that starts here, if it is one of those that only this module knows.
pub(crate) fn parse_prefix(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let [name, open, third] = parser.peek_tokens_ref().map(|token| &token.token);
    let Token::Word(word) = name else { return None };
    if word.quote_style.is_some() || *open != Token::LParen {
        return None;
    }
    let trims = matches!(third, Token::Word(word) if is_side(&word.value));
    match word.value.to_ascii_uppercase().as_str() {
        "JSON_EXISTS" => Some(json_exists(parser)),
        "JSON_VALUE" => Some(json_value(parser)),
        "JSON_QUERY" => Some(json_query(parser)),
        "TRIM" if trims && word_at(parser, 3, "FROM") => Some(trim_from(parser)),
        _ => None,
    }
}

/// What follows `expr`, if it is one of those that only this module knows.
pub(crate) fn parse_infix(parser: &mut Parser, expr: &Expr) -> Option<Result<Expr, ParserError>> {
    if is_interval_qualifier(parser) {
        return Some(time_between(parser, expr));
    }
    if word_at(parser, 0, "IS") {
        let negated = word_at(parser, 1, "NOT");
        if word_at(parser, 1 + usize::from(negated), "JSON") {
            return Some(is_json(parser, expr.clone(), negated));
        }
        if word_at(parser, 1 + usize::from(negated), "DISTINCT") {
            return Some(is_distinct_from(parser, expr.clone(), negated));
        }
    }
    let negated = word_at(parser, 0, "NOT");
    let between = usize::from(negated);
    if word_at(parser, between, "BETWEEN") {
        if word_at(parser, between + 1, "SYMMETRIC") {
            return Some(between_symmetric(parser, expr.clone(), negated));
        }
        if word_at(parser, between + 1, "ASYMMETRIC") {
            return Some(between_asymmetric(parser, expr.clone(), negated));
        }
    }
    None
}

/// `IS [NOT] DISTINCT FROM x`, in which AND and OR do not belong to x: the parser of this crate takes a whole expression.
fn is_distinct_from(parser: &mut Parser, left: Expr, negated: bool) -> Result<Expr, ParserError> {
    for word in ["IS", "NOT", "DISTINCT", "FROM"] {
        if (word != "NOT" || negated) && !take(parser, word) {
            return parser.expected_ref(word, parser.peek_token_ref());
        }
    }
    let right = parser.parse_subexpr(GenericDialect {}.prec_value(Precedence::Is))?;
    let (left, right) = (Box::new(left), Box::new(right));
    Ok(if negated { Expr::IsNotDistinctFrom(left, right) } else { Expr::IsDistinctFrom(left, right) })
}

const UNITS: [&str; 6] = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];

/// A unit right behind a parenthesis that closes: `(a - b) DAY`. It is no name: units are reserved words.
pub(crate) fn is_interval_qualifier(parser: &Parser) -> bool {
    parser.get_current_token().token == Token::RParen && UNITS.iter().any(|unit| word_at(parser, 0, unit))
}

fn time_between(parser: &mut Parser, expr: &Expr) -> Result<Expr, ParserError> {
    let difference = match expr {
        Expr::Nested(inner) => match inner.as_ref() {
            Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => Some((left, right)),
            _ => None,
        },
        _ => None,
    };
    let Some((left, right)) = difference else {
        return parser.expected_ref("(time - time) before a unit", parser.peek_token_ref());
    };
    let Some(unit) = take_unit(parser)? else {
        return parser.expected_ref("a unit", parser.peek_token_ref());
    };
    if take(parser, "TO") && take_unit(parser)?.is_none() {
        return parser.expected_ref("a unit", parser.peek_token_ref());
    }
    Ok(call("$MINUS", vec![text(unit), left.as_ref().clone(), right.as_ref().clone()]))
}

/// `DAY`, `DAY(3)`: digits change nothing.
fn take_unit(parser: &mut Parser) -> Result<Option<&'static str>, ParserError> {
    let unit = UNITS.into_iter().find(|unit| take(parser, unit));
    if unit.is_some() && parser.consume_token(&Token::LParen) {
        parser.parse_literal_uint()?;
        parser.expect_token(&Token::RParen)?;
    }
    Ok(unit)
}

fn is_side(word: &str) -> bool {
    ["BOTH", "LEADING", "TRAILING"].iter().any(|side| word.eq_ignore_ascii_case(side))
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn word_at(parser: &Parser, place: usize, expected: &str) -> bool {
    is_word(&parser.peek_nth_token_ref(place).token, expected)
}

/// Takes a word if it is the next one.
fn take(parser: &mut Parser, expected: &str) -> bool {
    let found = word_at(parser, 0, expected);
    if found {
        parser.advance_token();
    }
    found
}

fn expect(parser: &mut Parser, expected: &str) -> Result<(), ParserError> {
    match take(parser, expected) {
        true => Ok(()),
        false => parser.expected_ref(expected, parser.peek_token_ref()),
    }
}

fn negated_if(negated: bool, expr: Expr) -> Expr {
    if negated { not(expr) } else { expr }
}

fn is_json(parser: &mut Parser, expr: Expr, negated: bool) -> Result<Expr, ParserError> {
    for _ in 0..2 + usize::from(negated) {
        parser.advance_token();
    }
    let kind = ["VALUE", "SCALAR", "ARRAY", "OBJECT"].into_iter().find(|kind| take(parser, kind));
    Ok(negated_if(negated, call("$IS_JSON", vec![expr, text(kind.unwrap_or("VALUE"))])))
}

fn bounds(parser: &mut Parser, negated: bool) -> Result<(Expr, Expr), ParserError> {
    for _ in 0..2 + usize::from(negated) {
        parser.advance_token();
    }
    let precedence = GenericDialect {}.prec_value(Precedence::Between);
    let low = parser.parse_subexpr(precedence)?;
    expect(parser, "AND")?;
    Ok((low, parser.parse_subexpr(precedence)?))
}

fn between(expr: Expr, low: Expr, high: Expr) -> Expr {
    Expr::Between { expr: Box::new(expr), negated: false, low: Box::new(low), high: Box::new(high) }
}

fn between_symmetric(parser: &mut Parser, expr: Expr, negated: bool) -> Result<Expr, ParserError> {
    let (low, high) = bounds(parser, negated)?;
    let either = binary(
        between(expr.clone(), low.clone(), high.clone()),
        BinaryOperator::Or,
        between(expr, high, low),
    );
    Ok(negated_if(negated, nested(either)))
}

fn between_asymmetric(parser: &mut Parser, expr: Expr, negated: bool) -> Result<Expr, ParserError> {
    let (low, high) = bounds(parser, negated)?;
    Ok(negated_if(negated, between(expr, low, high)))
}

fn trim_from(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.advance_token();
    let name = match () {
        () if take(parser, "LEADING") => "LTRIM",
        () if take(parser, "TRAILING") => "RTRIM",
        () => {
            parser.advance_token();
            "BTRIM"
        }
    };
    expect(parser, "FROM")?;
    let argument = parser.parse_expr()?;
    parser.expect_token(&Token::RParen)?;
    Ok(call(name, vec![argument]))
}

fn null() -> Expr {
    Expr::Value(ValueWithSpan { value: Value::Null, span: Span::empty() })
}

/// The name of the call and its parenthesis, then the document and the path.
fn document_and_path(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let document = parser.parse_expr()?;
    parser.expect_token(&Token::Comma)?;
    Ok(vec![document, parser.parse_expr()?])
}

fn json_exists(parser: &mut Parser) -> Result<Expr, ParserError> {
    let mut arguments = document_and_path(parser)?;
    let behavior = ["TRUE", "FALSE", "UNKNOWN", "ERROR"].into_iter().find(|word| take(parser, word));
    if behavior.is_some() {
        expect(parser, "ON")?;
        expect(parser, "ERROR")?;
    }
    parser.expect_token(&Token::RParen)?;
    arguments.push(text(behavior.unwrap_or("FALSE")));
    Ok(call("$JSON_EXISTS", arguments))
}

/// `EMPTY` or `ERROR` behind `ON`.
fn on_empty(parser: &mut Parser) -> Result<bool, ParserError> {
    expect(parser, "ON")?;
    match take(parser, "EMPTY") {
        true => Ok(true),
        false => expect(parser, "ERROR").map(|()| false),
    }
}

/// The text of the type behind RETURNING; STRING without.
fn returning(parser: &mut Parser) -> Result<String, ParserError> {
    if !take(parser, "RETURNING") {
        return Ok("STRING".to_string());
    }
    Ok(parse_type(parser)?.sql_type.to_string())
}

fn json_value(parser: &mut Parser) -> Result<Expr, ParserError> {
    let mut arguments = document_and_path(parser)?;
    let returning = returning(parser)?;
    let (mut empty, mut error) = (("NULL", null()), ("NULL", null()));
    loop {
        let behavior = match () {
            () if take(parser, "NULL") => ("NULL", null()),
            () if take(parser, "ERROR") => ("ERROR", null()),
            () if take(parser, "DEFAULT") => ("DEFAULT", parser.parse_expr()?),
            () => break,
        };
        match on_empty(parser)? {
            true => empty = behavior,
            false => error = behavior,
        }
    }
    parser.expect_token(&Token::RParen)?;
    arguments.extend([text(returning), text(empty.0), empty.1, text(error.0), error.1]);
    Ok(call("$JSON_VALUE", arguments))
}

fn json_query(parser: &mut Parser) -> Result<Expr, ParserError> {
    let mut arguments = document_and_path(parser)?;
    let returning = returning(parser)?;
    let mut wrapper = "WITHOUT";
    if take(parser, "WITHOUT") {
        take(parser, "ARRAY");
        expect(parser, "WRAPPER")?;
    } else if take(parser, "WITH") {
        wrapper = if take(parser, "CONDITIONAL") { "CONDITIONAL" } else { "UNCONDITIONAL" };
        take(parser, "UNCONDITIONAL");
        take(parser, "ARRAY");
        expect(parser, "WRAPPER")?;
    }
    let (mut empty, mut error) = ("NULL", "NULL");
    loop {
        let behavior = match () {
            () if take(parser, "NULL") => "NULL",
            () if take(parser, "ERROR") => "ERROR",
            () if word_at(parser, 0, "EMPTY") => {
                parser.advance_token();
                match take(parser, "ARRAY") {
                    true => "EMPTY ARRAY",
                    false => expect(parser, "OBJECT").map(|()| "EMPTY OBJECT")?,
                }
            }
            () => break,
        };
        match on_empty(parser)? {
            true => empty = behavior,
            false => error = behavior,
        }
    }
    parser.expect_token(&Token::RParen)?;
    arguments.extend([text(wrapper), text(empty), text(error), text(returning)]);
    Ok(call("$JSON_QUERY", arguments))
}
