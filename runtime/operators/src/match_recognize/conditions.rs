//! Whether a variable takes a row.
//!
//! A condition reads the row itself and other rows of the match. Where those lie, seen from the row, is all that it
//! depends on: `B.price > A.price` with A one row before B is the same question for every row. So each such
//! constellation is evaluated for a block of rows at once, as an expression over columns that are shifted against each
//! other, when it is first asked for; answers for the rows of the block are then at hand.

use super::chunk::Chunk;
use super::matches::{place_of, places_of};
use super::running::Running;
use crate::OperatorError;
use crate::calc::batch_of;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{MatchExpressions, MatchRow, MatchRows, MatchSpec, MatchValue};

/// Rows that are evaluated at once.
const BLOCK: u32 = 256;

/// Stands for a row that the match does not have.
const NO_ROW: u32 = u32::MAX;

/// The conditions of all variables, over the rows of a chunk.
pub(super) struct Conditions<'a> {
    conditions: &'a mut [Option<Condition>],
    chunk: &'a Chunk,
}

/// The condition of one variable.
pub(super) struct Condition {
    variable: usize,
    predicate: Arc<dyn PhysicalExpr>,
    /// of the values
    schema: SchemaRef,
    values: Vec<Value>,
    /// rows other than the current one that values are of
    rows: Vec<MatchRow>,
    aggregates: bool,
    answers: Answers,
    /// for each of `rows` how far it lies before the current one, or [`NO_ROW`]
    distances: Vec<u32>,
    runs: Vec<u32>,
}

enum Value {
    /// a column of the row that is to be taken
    Current(usize),
    /// a column of one of [`Condition::rows`]
    Other {
        row: usize,
        column: usize,
    },
    Aggregate(Box<Running>),
}

/// What was evaluated already, by the distances of the rows that are read.
#[derive(Default)]
struct Answers {
    known: BTreeMap<Box<[u32]>, usize>,
    blocks: Vec<Vec<Block>>,
    /// the distances that were asked for last, and where they are
    last: (Vec<u32>, Option<usize>),
}

#[derive(Clone, Default)]
enum Block {
    #[default]
    Unknown,
    /// from this place on
    Known(u32, BooleanBuffer),
    /// Some row of the block fails, maybe one that is never asked for: each is evaluated by itself.
    Single,
}

/// The conditions of the variables of a pattern.
pub(super) fn conditions(spec: &MatchSpec, input: &Schema) -> Result<Vec<Option<Condition>>, OperatorError> {
    let condition = |(number, variable): (usize, &weir_types::PatternVariable)| {
        variable.condition.as_ref().map(|condition| Condition::new(number, condition, input)).transpose()
    };
    spec.variables.iter().enumerate().map(condition).collect()
}

impl<'a> Conditions<'a> {
    /// Forgets what is known of another chunk.
    pub(super) fn new(conditions: &'a mut [Option<Condition>], chunk: &'a Chunk) -> Self {
        for condition in conditions.iter_mut().flatten() {
            condition.forget();
        }
        Conditions { conditions, chunk }
    }

    /// Whether `variable` takes the row at `place` behind those of a match.
    #[inline]
    pub(super) fn takes(
        &mut self,
        variable: u32,
        begins: u32,
        runs: &[u32],
        place: u32,
    ) -> Result<bool, OperatorError> {
        match &mut self.conditions[variable as usize] {
            Some(condition) => condition.holds(self.chunk, begins, runs, place),
            None => Ok(true),
        }
    }
}

impl Condition {
    fn new(variable: usize, condition: &MatchExpressions, input: &Schema) -> Result<Self, OperatorError> {
        let [predicate] = &condition.expressions[..] else {
            return Err(OperatorError::internal("a variable of a pattern has one condition"));
        };
        let mut rows: Vec<MatchRow> = Vec::new();
        let (mut values, mut fields) = (Vec::new(), Vec::new());
        for value in &condition.values {
            match value {
                MatchValue::Row { row, column } => {
                    fields.push(input.field(*column).clone().with_nullable(true));
                    values.push(if is_current(row, variable) {
                        Value::Current(*column)
                    } else {
                        let known = rows.iter().position(|known| known == row);
                        let place = known.unwrap_or_else(|| {
                            rows.push(*row);
                            rows.len() - 1
                        });
                        Value::Other { row: place, column: *column }
                    });
                }
                MatchValue::Aggregate { rows, call } => {
                    fields.push(call.output.as_ref().clone().with_nullable(true));
                    values.push(Value::Aggregate(Box::new(Running::new(*rows, call, input)?)));
                }
                MatchValue::Time(_) => {
                    return Err(OperatorError::internal("a condition of a pattern has no time of a match"));
                }
            }
        }
        // Names tell nothing here: expressions find columns by their places.
        let fields: Vec<Field> =
            fields.into_iter().enumerate().map(|(n, field)| field.with_name(format!("${n}"))).collect();
        Ok(Condition {
            variable,
            predicate: predicate.clone(),
            schema: Arc::new(Schema::new(fields)),
            aggregates: values.iter().any(|value| matches!(value, Value::Aggregate(_))),
            values,
            rows,
            answers: Answers::default(),
            distances: Vec::new(),
            runs: Vec::new(),
        })
    }

    fn forget(&mut self) {
        self.answers = Answers::default();
        for value in &mut self.values {
            if let Value::Aggregate(running) = value {
                running.forget();
            }
        }
    }

    fn holds(&mut self, chunk: &Chunk, begins: u32, runs: &[u32], place: u32) -> Result<bool, OperatorError> {
        if self.aggregates || !self.rows.is_empty() {
            self.runs.clear();
            self.runs.extend_from_slice(runs);
            self.runs[self.variable] += 1;
        }
        self.distances.clear();
        for row in &self.rows {
            let other = place_of(*row, begins, &self.runs);
            self.distances.push(other.map_or(NO_ROW, |other| place - other));
        }
        if self.aggregates {
            let result = self.evaluate(chunk, place..place + 1, Some(begins))?;
            return Ok(result.value(0));
        }
        let entry = self.answers.entry(&self.distances, chunk.rows.num_rows());
        let block = (place / BLOCK) as usize;
        match &self.answers.blocks[entry][block] {
            Block::Known(start, answers) => return Ok(answers.value((place - start) as usize)),
            Block::Single => return Ok(self.evaluate(chunk, place..place + 1, None)?.value(0)),
            Block::Unknown => {}
        }
        // Before the furthest of the rows there is none for the first rows of the chunk.
        let furthest = self.distances.iter().copied().filter(|distance| *distance != NO_ROW).max();
        let start = (place / BLOCK * BLOCK).max(furthest.unwrap_or(0));
        let end = ((place / BLOCK + 1) * BLOCK).min(chunk.rows.num_rows() as u32);
        match self.evaluate(chunk, start..end, None) {
            Ok(answers) => {
                let answer = answers.value((place - start) as usize);
                self.answers.blocks[entry][block] = Block::Known(start, answers);
                Ok(answer)
            }
            Err(_) => {
                self.answers.blocks[entry][block] = Block::Single;
                Ok(self.evaluate(chunk, place..place + 1, None)?.value(0))
            }
        }
    }

    /// The condition for the rows at `places`, with the other rows at the distances at hand. Aggregates only for one row,
    /// of a match that begins at `begins`.
    fn evaluate(
        &mut self,
        chunk: &Chunk,
        places: std::ops::Range<u32>,
        begins: Option<u32>,
    ) -> Result<BooleanBuffer, OperatorError> {
        let len = (places.end - places.start) as usize;
        let start = places.start as usize;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.values.len());
        for (value, field) in self.values.iter_mut().zip(self.schema.fields()) {
            columns.push(match value {
                Value::Current(column) => chunk.rows.column(*column).slice(start, len),
                Value::Other { row, column } => match self.distances[*row] {
                    NO_ROW => new_null_array(field.data_type(), len),
                    distance => chunk.rows.column(*column).slice(start - distance as usize, len),
                },
                Value::Aggregate(running) => {
                    let begins = begins.unwrap_or(places.start);
                    running.over(places_of(running.rows(), begins, &self.runs), chunk)?
                }
            });
        }
        let batch = batch_of(self.schema.clone(), columns, len)?;
        let result = self.predicate.evaluate(&batch)?.into_array(len)?;
        let Some(result) = result.as_boolean_opt() else {
            return Err(OperatorError::internal("a condition of a pattern is not BOOLEAN"));
        };
        Ok(match result.null_count() {
            0 => result.values().clone(),
            _ => prep_null_mask_filter(result).values().clone(),
        })
    }
}

/// The last row of the variable whose condition it is, or the last one of all, is the row that is to be taken.
fn is_current(row: &MatchRow, variable: usize) -> bool {
    let own = match row.rows {
        MatchRows::All => true,
        MatchRows::Variable(other) => other == variable,
    };
    own && !row.from_first && row.offset == 0
}

impl Answers {
    /// The blocks of a constellation.
    fn entry(&mut self, distances: &[u32], rows: usize) -> usize {
        let (last, entry) = &self.last;
        if let Some(entry) = entry
            && last == distances
        {
            return *entry;
        }
        let entry = match self.known.get(distances) {
            Some(entry) => *entry,
            None => {
                self.blocks.push(vec![Block::Unknown; rows / BLOCK as usize + 1]);
                self.known.insert(distances.into(), self.blocks.len() - 1);
                self.blocks.len() - 1
            }
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(distances);
        self.last.1 = Some(entry);
        entry
    }
}
