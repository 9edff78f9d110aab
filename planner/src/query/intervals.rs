//! How many digits the literal of an interval may have: two for its first unit unless it says otherwise, as in Flink.

use crate::PlanError;
use sqlparser::ast::{DateTimeField, Expr, Interval, UnaryOperator};

/// Digits of the first unit, and of the fraction of a second, where the literal does not say.
const LEADING_DIGITS: u64 = 2;
const FRACTION_DIGITS: u64 = 6;

/// Refuses literals whose numbers are longer than their units take, or go on in the unit before. What is no literal, or
/// not of the form that the units ask for, is left to others.
pub(super) fn check_interval(interval: &Interval) -> Result<(), PlanError> {
    let literal = match interval.value.as_ref() {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => expr.as_ref(),
        expr => expr,
    };
    let (Expr::Value(value), Some(leading)) = (literal, &interval.leading_field) else { return Ok(()) };
    let Some(written) = value.clone().into_string() else { return Ok(()) };
    let invalid = |message: String| Err(PlanError::invalid(message).at(value.span));
    let last = interval.last_field.as_ref().map_or_else(String::new, |last| format!(" TO {last}"));
    let digits = written.trim().trim_start_matches(['-', '+']);
    let (digits, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut parts = digits.split(['-', ' ', ':']);
    let first = parts.next().unwrap_or_default();
    let taken = interval.leading_precision.unwrap_or(LEADING_DIGITS);
    if first.trim_start_matches('0').len() as u64 > taken {
        let enough = first.trim_start_matches('0').len();
        return invalid(format!(
            "'{written}' has more than the {taken} digits that {leading} takes: write {leading}({enough}){last}"
        ));
    }
    if fraction.len() as u64 > interval.fractional_seconds_precision.unwrap_or(FRACTION_DIGITS) {
        return invalid(format!(
            "'{written}' has more digits behind its point than an interval of {leading}{last} takes"
        ));
    }
    for (part, limit) in parts.zip(limits_behind(leading)) {
        if part.parse::<u64>().is_ok_and(|number| number > *limit) {
            return invalid(format!(
                "'{written}' is not an interval of {leading}{last}: {part} is above {limit}"
            ));
        }
    }
    Ok(())
}

/// The greatest numbers of the units behind the first.
fn limits_behind(leading: &DateTimeField) -> &'static [u64] {
    use DateTimeField as F;
    match leading {
        F::Year | F::Years => &[11],
        F::Day | F::Days => &[23, 59, 59],
        F::Hour | F::Hours => &[59, 59],
        F::Minute | F::Minutes => &[59],
        _ => &[],
    }
}
