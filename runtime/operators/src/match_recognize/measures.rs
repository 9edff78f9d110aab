//! What is told of matches that were found.

use super::chunk::Chunk;
use super::matches::{Found, place_of, places_of};
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows};
use crate::calc::{batch_of, evaluate_all};
use arrow::array::{ArrayRef, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{cast, take, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use std::ops::Range;
use std::sync::Arc;
use weir_types::{MatchExpressions, MatchRow, MatchRows, MatchValue};

/// The measures of matches, for many matches at once.
pub(super) struct Measures {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    values: Vec<Value>,
    /// of the values
    schema: SchemaRef,
    /// of the measures
    results: SchemaRef,
}

enum Value {
    Row { row: MatchRow, column: usize },
    Aggregate { rows: MatchRows, set: AccumulatorSet },
    Time(FieldRef),
}

impl Measures {
    /// `results`: the columns of the measures.
    pub(super) fn new(
        measures: &MatchExpressions,
        input: &Schema,
        results: SchemaRef,
    ) -> Result<Self, OperatorError> {
        let (mut values, mut fields): (Vec<Value>, Vec<Field>) = (Vec::new(), Vec::new());
        for value in &measures.values {
            let (value, field) = match value {
                MatchValue::Row { row, column } => {
                    (Value::Row { row: *row, column: *column }, input.field(*column).clone())
                }
                MatchValue::Aggregate { rows, call } => {
                    let set = AccumulatorSet::new(std::slice::from_ref(call), input, false, Vec::new())?;
                    (Value::Aggregate { rows: *rows, set }, call.output.as_ref().clone())
                }
                MatchValue::Time(field) => (Value::Time(field.clone()), field.as_ref().clone()),
            };
            values.push(value);
            fields.push(field.with_name(format!("${}", fields.len())).with_nullable(true));
        }
        Ok(Measures {
            expressions: measures.expressions.clone(),
            values,
            schema: Arc::new(Schema::new(fields)),
            results,
        })
    }

    /// One column a measure, for the matches numbered `matches`.
    pub(super) fn of(
        &self,
        found: &Found,
        matches: Range<usize>,
        chunk: &Chunk,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let len = matches.len();
        let columns = self.values.iter().map(|value| value.of(found, matches.clone(), chunk));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let batch = batch_of(self.schema.clone(), columns, len)?;
        Ok(evaluate_all(&self.expressions, &batch, &self.results)?.columns().to_vec())
    }
}

impl Value {
    fn of(&self, found: &Found, matches: Range<usize>, chunk: &Chunk) -> Result<ArrayRef, OperatorError> {
        let each = |number: usize| (found.matches.begins(number), found.matches.runs(number));
        match self {
            Value::Row { row, column } => {
                let places = matches.map(|number| {
                    let (begins, runs) = each(number);
                    place_of(*row, begins, runs)
                });
                let places: UInt32Array = places.collect();
                Ok(take(chunk.rows.column(*column), &places, None)?)
            }
            Value::Aggregate { rows, set } => {
                let places = matches.map(|number| {
                    let (begins, runs) = each(number);
                    places_of(*rows, begins, runs)
                });
                aggregate(set, places, chunk)
            }
            Value::Time(field) => {
                let times: TimestampMillisecondArray = found.times[matches].to_vec().into();
                let times: ArrayRef = Arc::new(times);
                match field.data_type() {
                    DataType::Timestamp(_, Some(zone)) => {
                        let zoned =
                            DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some(zone.clone()));
                        // The same instants; only then the unit may change.
                        let data = times.to_data().into_builder().data_type(zoned).build()?;
                        Ok(cast(&arrow::array::make_array(data), field.data_type())?)
                    }
                    other => Ok(cast(&times, other)?),
                }
            }
        }
    }
}

/// An aggregate over the rows of each match.
fn aggregate(
    set: &AccumulatorSet,
    places: impl Iterator<Item = Range<u32>>,
    chunk: &Chunk,
) -> Result<ArrayRef, OperatorError> {
    let (mut groups, mut rows) = (Vec::new(), Vec::new());
    let mut count = 0;
    for (group, places) in places.enumerate() {
        groups.resize(groups.len() + places.len(), group as u32);
        rows.extend(places);
        count = group + 1;
    }
    let mut accumulators: GroupRows = set.new_rows();
    accumulators.reset(count);
    let rows = take_record_batch(&chunk.rows, &UInt32Array::from(rows))?;
    if rows.num_rows() > 0 {
        for member in set.members() {
            let selected = AccumulatorSet::selection(member, &rows)?;
            let changes = Changes { groups: &groups, selected, retractions: None };
            let arguments = AccumulatorSet::arguments(member, &rows);
            member.accumulator.update(member.place, &mut accumulators, &arguments, &changes)?;
        }
    }
    let mut columns = set.emit(&accumulators)?;
    columns.pop().ok_or_else(|| OperatorError::internal("one aggregate has one result"))
}
