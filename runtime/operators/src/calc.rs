//! Filter, then project.

use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMillisecondArray, UInt8Array,
};
use arrow::compute::{FilterBuilder, FilterPredicate, cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{CalcSpec, ChangelogBatch, RowKind, RowKinds, Watermark};

/// Rows where the filter is TRUE, projected. The filter is evaluated first, and the projection only over the
/// rows that it leaves: `1/x` never sees the `x = 0` that `WHERE x <> 0` removes.
pub(crate) struct Calc {
    filter: Option<Arc<dyn PhysicalExpr>>,
    projection: Option<Projection>,
    reads_watermark: bool,
    /// Where event time stands: of no operator's state, for it comes anew with the input.
    watermark: Option<Watermark>,
}

struct Projection {
    /// over the columns in `used`
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// the input's columns that the expressions read, ascending: only they are filtered
    used: Vec<usize>,
    schema: SchemaRef,
}

impl Calc {
    pub(crate) fn new(spec: &CalcSpec, schema: SchemaRef) -> Result<Self, OperatorError> {
        let projection = match &spec.projection {
            Some(expressions) => Some(Projection::new(expressions, schema)?),
            None => None,
        };
        if spec.reads_watermark && projection.is_none() {
            return Err(OperatorError::internal(
                "a filter over the watermark needs a projection that leaves it out",
            ));
        }
        let (filter, reads_watermark) = (spec.filter.clone(), spec.reads_watermark);
        Ok(Calc { filter, projection, reads_watermark, watermark: None })
    }

    /// What becomes of `rows`, with those of `marks`, one for each of them, whose rows are left.
    pub(crate) fn marked(
        &self,
        rows: RecordBatch,
        marks: Vec<u32>,
    ) -> Result<(RecordBatch, Vec<u32>), OperatorError> {
        let mut marks = marks;
        let mut predicate = None;
        if let Some(filter) = &self.filter {
            let selected = evaluate_filter(filter, &rows)?;
            if selected.true_count() < rows.num_rows() {
                let left = marks.into_iter().zip(selected.values()).filter(|(_, left)| *left);
                marks = left.map(|(mark, _)| mark).collect();
                predicate = Some(FilterBuilder::new(&selected).optimize().build());
            }
        }
        let rows = match (&self.projection, &predicate) {
            (Some(projection), predicate) => projection.apply(&rows, predicate.as_ref())?,
            (None, Some(predicate)) => filter_rows(&rows, predicate)?,
            (None, None) => rows,
        };
        Ok((rows, marks))
    }

    /// The rows with the watermark as one more column.
    fn with_watermark(&self, rows: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        let millis = self.watermark.map(|watermark| watermark.0);
        let column = TimestampMillisecondArray::from_iter(std::iter::repeat_n(millis, rows.num_rows()));
        let field = Field::new("$watermark", DataType::Timestamp(TimeUnit::Millisecond, None), true);
        let schema = rows.schema();
        let fields: Vec<_> = schema.fields().iter().cloned().chain([Arc::new(field)]).collect();
        let columns = rows.columns().iter().cloned().chain([Arc::new(column) as ArrayRef]).collect();
        batch_of(Arc::new(Schema::new(fields)), columns, rows.num_rows())
    }
}

impl Projection {
    fn new(expressions: &[Arc<dyn PhysicalExpr>], schema: SchemaRef) -> Result<Self, OperatorError> {
        let used: BTreeSet<usize> = expressions
            .iter()
            .flat_map(|expression| collect_columns(expression).into_iter().map(|column| column.index()))
            .collect();
        let used: Vec<usize> = used.into_iter().collect();
        let expressions = expressions
            .iter()
            .map(|expression| move_columns(expression.clone(), &used))
            .collect::<Result<_, _>>()?;
        Ok(Projection { expressions, used, schema })
    }

    fn apply(
        &self,
        rows: &RecordBatch,
        predicate: Option<&FilterPredicate>,
    ) -> Result<RecordBatch, OperatorError> {
        let mut rows = rows.project(&self.used)?;
        if let Some(predicate) = predicate {
            rows = filter_rows(&rows, predicate)?;
        }
        evaluate_all(&self.expressions, &rows, &self.schema)
    }
}

/// The expression with each column's place changed to its place within `used`.
pub(crate) fn move_columns(
    expression: Arc<dyn PhysicalExpr>,
    used: &[usize],
) -> Result<Arc<dyn PhysicalExpr>, OperatorError> {
    let moved = expression.transform(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        let place = used.partition_point(|index| *index < column.index());
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), place))))
    })?;
    Ok(moved.data)
}

fn filter_rows(rows: &RecordBatch, predicate: &FilterPredicate) -> Result<RecordBatch, OperatorError> {
    let columns =
        rows.columns().iter().map(|column| predicate.filter(column)).collect::<Result<Vec<ArrayRef>, _>>()?;
    batch_of(rows.schema(), columns, predicate.count())
}

/// A batch whose columns agree with `schema` in all but the names within nested types.
pub(crate) fn batch_of(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows)).with_match_field_names(false);
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| OperatorError::Internal(format!("a batch does not fit its schema: {error}")))
}

/// Rows with their kinds, which are left out where all are inserts.
pub(crate) fn changes_of(rows: RecordBatch, kinds: &[RowKind]) -> ChangelogBatch {
    let all_inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
    ChangelogBatch::new(rows, (!all_inserts).then(|| RowKinds::from(kinds.to_vec())))
}

/// One column of the result per expression.
pub(crate) fn evaluate_all(
    expressions: &[Arc<dyn PhysicalExpr>],
    rows: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, OperatorError> {
    let columns = expressions
        .iter()
        .zip(schema.fields())
        .map(|(expression, field)| {
            let column = expression.evaluate(rows)?.into_array(rows.num_rows())?;
            conform(column, field.data_type())
        })
        .collect::<Result<Vec<ArrayRef>, OperatorError>>()?;
    batch_of(schema.clone(), columns, rows.num_rows())
}

/// The column in the one representation that its SQL type has here: some functions give views of strings, or
/// a zone by another name.
fn conform(column: ArrayRef, data_type: &DataType) -> Result<ArrayRef, OperatorError> {
    let same_values = match (column.data_type(), data_type) {
        (DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
        (DataType::BinaryView | DataType::LargeBinary, DataType::Binary) => true,
        (DataType::Timestamp(from, Some(one)), DataType::Timestamp(to, Some(other))) => {
            from == to && one != other
        }
        _ => false,
    };
    Ok(if same_values { cast(&column, data_type)? } else { column })
}

/// The kinds of the rows that `predicate` leaves; `None` once all are `+I`.
fn filter_kinds(kinds: &RowKinds, predicate: &FilterPredicate) -> Result<Option<RowKinds>, OperatorError> {
    let bytes = UInt8Array::new(kinds.clone().into_buffer(), None);
    let left = predicate.filter(&bytes)?;
    let left = left.as_any().downcast_ref::<UInt8Array>().map(|left| left.values().clone());
    let left: RowKinds = left
        .iter()
        .flat_map(|bytes| bytes.iter())
        .map(|byte| RowKind::from_u8(*byte).unwrap_or(RowKind::Insert))
        .collect();
    Ok(left.as_bytes().iter().any(|byte| *byte != RowKind::Insert as u8).then_some(left))
}

/// The filter's answer for each row, NULL made FALSE.
pub(crate) fn evaluate_filter(
    filter: &Arc<dyn PhysicalExpr>,
    rows: &RecordBatch,
) -> Result<BooleanArray, OperatorError> {
    let selected = filter.evaluate(rows)?.into_array(rows.num_rows())?;
    let selected = selected.as_any().downcast_ref::<BooleanArray>().ok_or_else(|| {
        OperatorError::Internal(format!("filter {filter} is {}, not BOOLEAN", selected.data_type()))
    })?;
    Ok(if selected.null_count() > 0 { prep_null_mask_filter(selected) } else { selected.clone() })
}

impl Operator for Calc {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let extended = self.reads_watermark.then(|| self.with_watermark(batch.rows())).transpose()?;
        let input = extended.as_ref().unwrap_or(batch.rows());
        let mut predicate = None;
        if let Some(filter) = &self.filter {
            let selected = evaluate_filter(filter, input)?;
            match selected.true_count() {
                0 => return Ok(()),
                all if all == batch.num_rows() => {}
                _ => predicate = Some(FilterBuilder::new(&selected).optimize().build()),
            }
        }
        let rows = match (&self.projection, &predicate) {
            (Some(projection), predicate) => projection.apply(input, predicate.as_ref())?,
            (None, Some(predicate)) => filter_rows(batch.rows(), predicate)?,
            (None, None) => {
                output.batch(batch);
                return Ok(());
            }
        };
        let kinds = match (batch.kinds(), &predicate) {
            (Some(kinds), Some(predicate)) => filter_kinds(kinds, predicate)?,
            (kinds, _) => kinds.cloned(),
        };
        output.batch(ChangelogBatch::new(rows, kinds));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        _context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.watermark = Some(watermark);
        Ok(Progress::Done)
    }
}
