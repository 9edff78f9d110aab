//! What rows are ordered by.

use crate::OperatorError;
use crate::partitions::order_converter;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, SchemaRef};
use arrow::row::{Row, RowConverter, Rows};
use weir_types::SortKey;

pub(super) struct KeyOrder {
    order: Vec<SortKey>,
    converter: RowConverter,
    /// a RANGE counts in the only key
    counts: bool,
}

/// The keys of some rows.
pub(super) struct Keys {
    rows: Rows,
    /// In the direction of the order; NULL is beyond all others on its side.
    values: Option<Vec<i128>>,
}

#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    row: Row<'a>,
    value: i128,
}

impl KeyOrder {
    pub(super) fn new(order: &[SortKey], counts: bool, input: &SchemaRef) -> Result<Self, OperatorError> {
        Ok(KeyOrder { order: order.to_vec(), converter: order_converter(order, input)?, counts })
    }

    /// The columns of a row that order it.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.order.iter().map(|key| key.column)
    }

    /// The keys of rows whose columns that order them are `columns`.
    pub(super) fn keys(&self, columns: &[ArrayRef]) -> Result<Keys, OperatorError> {
        let rows = self.converter.convert_columns(columns)?;
        let values = match (self.counts, columns, &self.order[..]) {
            (true, [column, ..], [key, ..]) => Some(values(column, key)?),
            _ => None,
        };
        Ok(Keys { rows, values })
    }
}

fn values(column: &ArrayRef, key: &SortKey) -> Result<Vec<i128>, OperatorError> {
    let null = if key.nulls_first { i128::MIN } else { i128::MAX };
    let directed = |value: i128| if key.descending { -value } else { value };
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>();
            values.iter().map(|value| value.map_or(null, directed)).collect()
        }
        _ => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            values.iter().map(|value| value.map_or(null, |value| directed(i128::from(value)))).collect()
        }
    })
}

impl Keys {
    pub(super) fn key(&self, row: usize) -> Key<'_> {
        let value = self.values.as_ref().map_or(0, |values| values[row]);
        Key { row: self.rows.row(row), value }
    }
}

/// `value` moved by `distance`; NULL stays NULL.
fn moved(value: i128, distance: i128) -> i128 {
    match value {
        i128::MIN | i128::MAX => value,
        value => value.saturating_add(distance).clamp(i128::MIN + 1, i128::MAX - 1),
    }
}

impl Key<'_> {
    pub(super) fn cmp(self, other: Key<'_>) -> std::cmp::Ordering {
        self.row.cmp(&other.row)
    }

    pub(super) fn is_peer(self, other: Key<'_>) -> bool {
        self.row == other.row
    }

    /// True if the key is before all that are `distance` behind `other`.
    pub(super) fn is_before(self, other: Key<'_>, distance: i128) -> bool {
        match distance {
            0 => self.row < other.row,
            distance => self.value < moved(other.value, distance),
        }
    }

    /// True if the key is behind all that are `distance` behind `other`.
    pub(super) fn is_behind(self, other: Key<'_>, distance: i128) -> bool {
        match distance {
            0 => self.row > other.row,
            distance => self.value > moved(other.value, distance),
        }
    }
}
