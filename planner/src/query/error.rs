//! DataFusion's errors as errors of this room.

use crate::{PlanError, PlanErrorKind, Position};
use datafusion_common::{DataFusionError, SchemaError, Span};

/// What went wrong, in this room's words, with the place where DataFusion knows it.
pub(super) fn plan_error(error: DataFusionError) -> PlanError {
    let position = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(position_of);
    translate(&error).at_position(position)
}

/// A place in the text, as DataFusion notes it.
pub(super) fn position_of(span: Span) -> Position {
    let length = match span.start.line == span.end.line {
        true => span.end.column.saturating_sub(span.start.column).max(1),
        false => 1,
    };
    Position { line: span.start.line, column: span.start.column, length }
}

fn translate(error: &DataFusionError) -> PlanError {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<PlanError>() {
            Some(error) => error.clone(),
            None => PlanError::internal(inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => translate(inner),
        DataFusionError::Shared(inner) => translate(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => plan_error_of(first),
            None => PlanError::internal(error.to_string()),
        },
        DataFusionError::NotImplemented(message) => {
            let message = message_of(message);
            match message.strip_prefix("not supported yet: ") {
                Some(what) => PlanError::not_supported(what),
                None => PlanError::not_supported(message),
            }
        }
        DataFusionError::Plan(message) if message.starts_with("Invalid function '") => {
            unknown_function(message)
        }
        DataFusionError::Plan(message) if message.contains(NOT_GROUPED) => not_grouped(message),
        DataFusionError::Internal(message) => PlanError::internal(message_of(message)),
        DataFusionError::SchemaError(schema, _) => schema_error(schema),
        DataFusionError::ArrowError(arrow, _) => PlanError::invalid(arrow.to_string()),
        other => PlanError::invalid(message_of(&other.message())),
    }
}

fn plan_error_of(error: &DataFusionError) -> PlanError {
    let position = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(position_of);
    translate(error).at_position(position)
}

/// Without the backtrace, beginning with a small letter.
fn message_of(message: &str) -> String {
    let message = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or(message).trim();
    let message = message.trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => message.to_string(),
    }
}

/// `Invalid function 'x'.` and, on the next line, `Did you mean 'y'?`
fn unknown_function(message: &str) -> PlanError {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let name = quoted.next().unwrap_or_default();
    let known = quoted.next().map(str::to_uppercase);
    let nearest = weir_types::did_you_mean(name, known.as_deref());
    PlanError::invalid(format!("function '{}' does not exist{nearest}", name.to_uppercase()))
}

/// What DataFusion says of a column that is neither a key nor aggregated.
const NOT_GROUPED: &str = "must appear in the GROUP BY clause";

fn not_grouped(message: &str) -> PlanError {
    let quoted = message.split(NOT_GROUPED).next().and_then(|before| before.split('"').nth(1));
    let column = quoted.and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    PlanError::invalid(format!(
        "column '{column}' is neither in GROUP BY nor in an aggregation: group by it too, or say which of its values is \
         meant, as in MAX({column})"
    ))
}

fn schema_error(error: &SchemaError) -> PlanError {
    let message = match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name.as_str();
            let known = valid_fields.iter().map(|column| column.name.as_str());
            format!("column '{name}' does not exist{}", weir_types::did_you_mean(name, known))
        }
        SchemaError::AmbiguousReference { field } => {
            format!("column '{}' is ambiguous: write the table before it", field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("there are two columns '{name}': give one of them another name")
        }
    };
    PlanError::new(PlanErrorKind::Invalid, message)
}

/// An error of this room on its way through DataFusion.
pub(super) fn external(error: PlanError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
