//! CROSS JOIN UNNEST and LEFT JOIN UNNEST: a row for each element of a collection.

use crate::calc::batch_of;
use crate::window_table_function::replicate_rows;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{Int32Type, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;
use weir_types::{ChangelogBatch, SqlType, UnnestSpec};

/// The elements of a row follow one another, each beside the columns of the row and with its kind. Keeps no state.
pub(crate) struct Unnest {
    collection: Arc<dyn PhysicalExpr>,
    shape: Shape,
    columns: Vec<usize>,
    ordinality: bool,
    outer: bool,
    condition: Option<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

/// What an element is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `rows`: the elements are rows, whose fields become columns
    Array {
        rows: bool,
    },
    Map,
    /// an element comes as often as it is counted
    Multiset {
        rows: bool,
    },
}

/// All elements of a batch, and where those of each row are.
struct Elements {
    /// one column, or one a field; each as long as the others
    columns: Vec<ArrayRef>,
    /// row `i` has the elements from `offsets[i]` to `offsets[i + 1]`, unless it is NULL
    offsets: Vec<i32>,
    nulls: Option<NullBuffer>,
    /// elements that are NULL rows: they give nothing
    missing: Option<NullBuffer>,
    /// how often each element counts; `None`: once
    counts: Option<Int32Array>,
}

/// The rows to come: row `rows[i]` of the input beside element `elements[i]`.
#[derive(Default)]
struct Pairs {
    rows: Vec<u32>,
    /// `None` beside a row of an outer join that has no element
    elements: Vec<Option<u32>>,
    ordinals: Vec<Option<i32>>,
}

/// Pairs whose condition is asked at once.
const CONDITION_ROWS: usize = 8192;

impl Pairs {
    /// A row of an outer join that has no element.
    fn push_lonely(&mut self, row: usize, ordinality: bool) {
        self.rows.push(row as u32);
        self.elements.push(None);
        self.ordinals.extend(ordinality.then_some(None));
    }
}

impl Unnest {
    pub(crate) fn new(spec: &UnnestSpec, schema: SchemaRef) -> Result<Self, OperatorError> {
        let is_row = |sql_type: &SqlType| matches!(sql_type, SqlType::Row(_));
        let shape = match &spec.collection_type {
            SqlType::Array(element) => Shape::Array { rows: is_row(&element.sql_type) },
            SqlType::Map(..) => Shape::Map,
            SqlType::Multiset(element) => Shape::Multiset { rows: is_row(&element.sql_type) },
            other => return Err(OperatorError::internal(format!("UNNEST of {other}"))),
        };
        Ok(Unnest {
            collection: spec.collection.clone(),
            shape,
            columns: spec.columns.clone(),
            ordinality: spec.ordinality,
            outer: spec.outer,
            condition: spec.condition.clone(),
            schema,
        })
    }

    fn elements(&self, batch: &ChangelogBatch) -> Result<Elements, OperatorError> {
        let collection = self.collection.evaluate(batch.rows())?.into_array(batch.num_rows())?;
        let is_not = || OperatorError::internal(format!("UNNEST of {}", collection.data_type()));
        let nulls = collection.nulls().cloned();
        let mut elements = match self.shape {
            Shape::Array { .. } => {
                let lists = collection.as_list_opt::<i32>().ok_or_else(is_not)?;
                let offsets = lists.value_offsets().to_vec();
                Elements {
                    columns: vec![lists.values().clone()],
                    offsets,
                    nulls,
                    missing: None,
                    counts: None,
                }
            }
            Shape::Map | Shape::Multiset { .. } => {
                let maps = collection.as_map_opt().ok_or_else(is_not)?;
                let offsets = maps.value_offsets().to_vec();
                let (columns, counts) = match self.shape {
                    Shape::Map => (vec![maps.keys().clone(), maps.values().clone()], None),
                    _ => {
                        let counts = maps.values().as_primitive_opt::<Int32Type>().ok_or_else(is_not)?;
                        (vec![maps.keys().clone()], Some(counts.clone()))
                    }
                };
                Elements { columns, offsets, nulls, missing: None, counts }
            }
        };
        if let Shape::Array { rows: true } | Shape::Multiset { rows: true } = self.shape {
            let rows = elements.columns[0].as_struct_opt().ok_or_else(is_not)?;
            elements.missing = rows.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
            elements.columns = rows.columns().to_vec();
        }
        Ok(elements)
    }

    fn pairs(&self, elements: &Elements, rows: usize) -> Pairs {
        let mut pairs = Pairs::default();
        let all = elements.offsets.last().zip(elements.offsets.first()).map_or(0, |(end, start)| end - start);
        pairs.rows.reserve(all as usize);
        pairs.elements.reserve(all as usize);
        for row in 0..rows {
            let before = pairs.rows.len();
            if elements.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.pairs_of(elements, row, &mut pairs);
            }
            if self.outer && self.condition.is_none() && pairs.rows.len() == before {
                pairs.push_lonely(row, self.ordinality);
            }
        }
        pairs
    }

    /// The pairs for which the condition holds, and the rows that are left without one.
    fn that_match(
        &self,
        condition: &Arc<dyn PhysicalExpr>,
        batch: &ChangelogBatch,
        elements: &Elements,
        pairs: &Pairs,
    ) -> Result<Pairs, OperatorError> {
        let (all, step) = (pairs.rows.len(), CONDITION_ROWS);
        let mut matching = Pairs::default();
        let mut next = 0;
        for start in (0..all).step_by(step) {
            let len = step.min(all - start);
            let rows = self.rows(batch, elements, pairs, (start, len))?;
            let holds = condition.evaluate(rows.rows())?.into_array(len)?;
            let holds = holds
                .as_boolean_opt()
                .ok_or_else(|| OperatorError::internal("the condition of a join is no BOOLEAN"))?;
            for pair in (0..len).filter(|pair| holds.is_valid(*pair) && holds.value(*pair)) {
                let pair = start + pair;
                let row = pairs.rows[pair] as usize;
                (next..row).for_each(|lonely| matching.push_lonely(lonely, self.ordinality));
                next = row + 1;
                matching.rows.push(row as u32);
                matching.elements.push(pairs.elements[pair]);
                matching.ordinals.extend(pairs.ordinals.get(pair));
            }
        }
        (next..batch.num_rows()).for_each(|lonely| matching.push_lonely(lonely, self.ordinality));
        Ok(matching)
    }

    fn pairs_of(&self, elements: &Elements, row: usize, pairs: &mut Pairs) {
        let range = elements.offsets[row]..elements.offsets[row + 1];
        let before = pairs.rows.len();
        match (&elements.missing, &elements.counts) {
            (None, None) => {
                pairs.elements.extend(range.clone().map(|element| Some(element as u32)));
                pairs.ordinals.extend((1..=range.end - range.start).filter(|_| self.ordinality).map(Some));
            }
            (missing, counts) => {
                let mut ordinal = 0;
                for element in range.map(|element| element as usize) {
                    for _ in 0..counts.as_ref().map_or(1, |counts| counts.value(element)) {
                        ordinal += 1;
                        if missing.as_ref().is_none_or(|missing| missing.is_valid(element)) {
                            pairs.elements.push(Some(element as u32));
                            pairs.ordinals.extend(self.ordinality.then_some(Some(ordinal)));
                        }
                    }
                }
            }
        }
        let count = pairs.elements.len() - before;
        pairs.rows.extend(std::iter::repeat_n(row as u32, count));
    }

    /// The output rows of `pairs` from `start`, `len` of them.
    fn rows(
        &self,
        batch: &ChangelogBatch,
        elements: &Elements,
        pairs: &Pairs,
        (start, len): (usize, usize),
    ) -> Result<ChangelogBatch, OperatorError> {
        let range = start..start + len;
        let left = batch.rows().project(&self.columns)?;
        let places = UInt32Array::from(pairs.rows[range.clone()].to_vec());
        let (mut columns, kinds) = replicate_rows(&left, batch.kinds(), places)?;
        let wanted = &pairs.elements[range.clone()];
        match contiguous(wanted) {
            // The elements stand as they are wanted already.
            Some(first) => columns.extend(elements.columns.iter().map(|column| column.slice(first, len))),
            None => {
                let wanted: UInt32Array = wanted.iter().copied().collect();
                for column in &elements.columns {
                    columns.push(take(column, &wanted, None)?);
                }
            }
        }
        if self.ordinality {
            let ordinals: Int32Array = pairs.ordinals[range].iter().copied().collect();
            columns.push(Arc::new(ordinals));
        }
        Ok(ChangelogBatch::new(batch_of(self.schema.clone(), columns, len)?, kinds))
    }
}

/// The first of elements that follow one another; `None` if they do not.
fn contiguous(elements: &[Option<u32>]) -> Option<usize> {
    let first = (*elements.first()?)?;
    let follows = |(place, element): (usize, &Option<u32>)| *element == Some(first + place as u32);
    elements.iter().enumerate().all(follows).then_some(first as usize)
}

impl Operator for Unnest {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let elements = self.elements(&batch)?;
        let mut pairs = self.pairs(&elements, batch.num_rows());
        if let Some(condition) = &self.condition {
            pairs = self.that_match(condition, &batch, &elements, &pairs)?;
        }
        let all = pairs.rows.len();
        let step = context.batch_rows.max(1);
        for start in (0..all).step_by(step) {
            let len = step.min(all - start);
            output.batch(self.rows(&batch, &elements, &pairs, (start, len))?);
        }
        Ok(())
    }
}
