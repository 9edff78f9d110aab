//! `SELECT /*+ LOOKUP('table'='dim', ..) */`: how a lookup join asks its table.
//!
//! The hint is written into the time of the table that it names: `` FOR SYSTEM_TIME AS OF `$LOOKUP`(o.proc, 'k', 'v', ..) ``.

use super::ast::Property;
use super::build::{call_of, text};
use crate::PlanError;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Select, TableFactor, TableVersion, Value,
    ValueWithSpan,
};
use sqlparser::tokenizer::Span;
use weir_types::parse_duration_ms;

const CALL: &str = "$LOOKUP";
const RETRY: [&str; 4] = ["retry-predicate", "retry-strategy", "fixed-delay", "max-attempts"];

/// What a hint asks for; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LookupHint {
    pub asynchronous: Option<bool>,
    pub unordered: Option<bool>,
    pub capacity: Option<u32>,
    pub timeout_ms: Option<u64>,
    /// delay and lookups after the first
    pub retry: Option<(u64, u32)>,
}

impl LookupHint {
    /// The hint and the table that it is for.
    pub fn read(options: &[Property], span: Span) -> Result<(String, LookupHint), PlanError> {
        let mut hint = LookupHint::default();
        let (mut table, mut delay_ms, mut attempts) = (None, None, None);
        let mut given = vec![];
        for Property { key, value } in options {
            let text = value.value.as_str();
            let wrong = |expected: &str| {
                let message = format!("option '{}' of hint LOOKUP is {expected}, not '{text}'", key.value);
                PlanError::invalid(message).at(value.span)
            };
            if given.contains(&key.value.as_str()) {
                return Err(PlanError::invalid(format!("hint LOOKUP has '{}' twice", key.value)).at(key.span));
            }
            given.push(key.value.as_str());
            match key.value.as_str() {
                "table" => table = Some(text.to_string()),
                "async" => {
                    let parsed = text.to_ascii_lowercase().parse();
                    hint.asynchronous = Some(parsed.map_err(|_| wrong("'true' or 'false'"))?);
                }
                "output-mode" => {
                    hint.unordered = Some(match text.to_ascii_lowercase().as_str() {
                        "ordered" => false,
                        "allow_unordered" => true,
                        _ => return Err(wrong("'ordered' or 'allow_unordered'")),
                    });
                }
                "capacity" => hint.capacity = Some(positive(text).ok_or_else(|| wrong("a number above 0"))?),
                "timeout" => hint.timeout_ms = Some(duration(text).ok_or_else(|| wrong("a time above 0"))?),
                "retry-predicate" if text.eq_ignore_ascii_case("lookup_miss") => {}
                "retry-predicate" => return Err(wrong("'lookup_miss'")),
                "retry-strategy" if text.eq_ignore_ascii_case("fixed_delay") => {}
                "retry-strategy" => return Err(wrong("'fixed_delay'")),
                "fixed-delay" => delay_ms = Some(duration(text).ok_or_else(|| wrong("a time above 0"))?),
                "max-attempts" => attempts = Some(positive(text).ok_or_else(|| wrong("a number above 0"))?),
                "shuffle" => {
                    return Err(PlanError::not_supported("option 'shuffle' of hint LOOKUP").at(key.span));
                }
                other => {
                    let message = format!("hint LOOKUP has no option '{other}'");
                    return Err(PlanError::invalid(message).at(key.span));
                }
            }
        }
        let retries = RETRY.iter().filter(|key| given.contains(key)).count();
        if retries > 0 && retries < RETRY.len() {
            let message = format!("hint LOOKUP retries with all of '{}', or with none", RETRY.join("', '"));
            return Err(PlanError::invalid(message).at(span));
        }
        hint.retry = delay_ms.zip(attempts);
        match table {
            Some(table) => Ok((table, hint)),
            None => {
                Err(PlanError::invalid("hint LOOKUP needs 'table': the table that is looked up").at(span))
            }
        }
    }

    /// Writes the hint into the time of its table in FROM; false if there is none that is looked up.
    pub fn write_into(&self, table: &str, select: &mut Select) -> bool {
        let mut written = false;
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            let TableFactor::Table { name, alias, version, .. } = &mut join.relation else { continue };
            // A table that has an alias goes by it alone.
            let called = match alias {
                Some(alias) => alias.name.value == table,
                None => {
                    name.0.last().and_then(|part| part.as_ident()).is_some_and(|part| part.value == table)
                }
            };
            if let Some(TableVersion::ForSystemTimeAsOf(time)) = version
                && called
                && split_lookup(time).is_none()
            {
                *time = self.call(time.clone());
                written = true;
            }
        }
        written
    }

    fn call(&self, time: Expr) -> Expr {
        let options = [
            ("async", self.asynchronous.map(|value| value.to_string())),
            ("unordered", self.unordered.map(|value| value.to_string())),
            ("capacity", self.capacity.map(|value| value.to_string())),
            ("timeout", self.timeout_ms.map(|value| value.to_string())),
            ("delay", self.retry.map(|(delay_ms, _)| delay_ms.to_string())),
            ("attempts", self.retry.map(|(_, attempts)| attempts.to_string())),
        ];
        let options = options.into_iter().filter_map(|(key, value)| Some([text(key), text(value?)]));
        let arguments = [time].into_iter().chain(options.flatten());
        call_of(CALL, arguments.collect())
    }
}

/// The time and the hint that was written into it.
pub(crate) fn split_lookup(time: &Expr) -> Option<(Expr, LookupHint)> {
    let Expr::Function(call) = time else { return None };
    if call.name.0.last()?.as_ident()?.value != CALL {
        return None;
    }
    let FunctionArguments::List(list) = &call.args else { return None };
    let mut arguments = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    let time = arguments.next()?.clone();
    let texts: Vec<&str> = arguments
        .filter_map(|argument| match argument {
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let mut hint = LookupHint::default();
    let (mut delay_ms, mut attempts) = (None, None);
    for pair in texts.chunks_exact(2) {
        match pair[0] {
            "async" => hint.asynchronous = pair[1].parse().ok(),
            "unordered" => hint.unordered = pair[1].parse().ok(),
            "capacity" => hint.capacity = pair[1].parse().ok(),
            "timeout" => hint.timeout_ms = pair[1].parse().ok(),
            "delay" => delay_ms = pair[1].parse().ok(),
            _ => attempts = pair[1].parse().ok(),
        }
    }
    hint.retry = delay_ms.zip(attempts);
    Some((time, hint))
}

fn positive(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

fn duration(text: &str) -> Option<u64> {
    parse_duration_ms(text).ok().filter(|ms| *ms > 0)
}
