//! PERCENTILE, of the multiset that its aggregation collects.

use super::super::arguments::Inputs;
use super::super::calls::member_field;
use super::super::definition::{Call, Typed};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, MapArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

const EXPECTED: &str = "a percentage from 0 to 1, or an array of them";

pub(super) fn type_percentile(call: &Call<'_>) -> Result<Typed> {
    let [collected, percentage] = call.types else { return call.refuse(EXPECTED) };
    if let Some(Some(ScalarValue::Decimal128(Some(value), _, scale))) = call.literals.get(1)
        && !(0..=10_i128.pow(u32::from(scale.unsigned_abs()))).contains(value)
    {
        return plan_err!("PERCENTILE takes {EXPECTED}");
    }
    if call.literal_int(1).is_some_and(|value| !(0..=1).contains(&value)) {
        return plan_err!("PERCENTILE takes {EXPECTED}");
    }
    let (percentage, result) = match percentage {
        SqlType::Array(member) if member.sql_type.is_numeric() => {
            let of = |nullable| SqlType::Array(Box::new(SqlField::new("item", SqlType::Double, nullable)));
            (of(member.nullable), of(true))
        }
        number if number.is_numeric() => (SqlType::Double, SqlType::Double),
        _ => return call.refuse(EXPECTED),
    };
    Ok(Typed { arguments: vec![collected.clone(), percentage], result, nullable: true })
}

/// The numbers of one row in their order, each with how many there are up to it; NULLs and counts below 1 do not count.
fn counted(maps: &MapArray, row: usize) -> Vec<(f64, i64)> {
    let range = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
    let times = maps.values().as_primitive::<Int32Type>();
    let (numbers, weights) = match maps.keys().as_struct_opt() {
        Some(pairs) => (pairs.column(0), Some(pairs.column(1).as_primitive::<Int64Type>())),
        None => (maps.keys(), None),
    };
    let numbers = numbers.as_primitive::<Float64Type>();
    let weight = |entry: usize| match weights {
        Some(weights) if weights.is_null(entry) => 0,
        Some(weights) => weights.value(entry).max(0),
        None => 1,
    };
    let valid = range.filter(|entry| maps.keys().is_valid(*entry) && numbers.is_valid(*entry));
    let mut counted: Vec<(f64, i64)> = valid
        .map(|entry| (numbers.value(entry), i64::from(times.value(entry)).saturating_mul(weight(entry))))
        .filter(|(_, count)| *count > 0)
        .collect();
    counted.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let mut total = 0_i64;
    for (_, count) in &mut counted {
        total = total.saturating_add(*count);
        *count = total;
    }
    counted
}

/// Between two numbers the straight line counts. `numbers` are not empty.
fn at(numbers: &[(f64, i64)], percentage: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&percentage) {
        return exec_err!("PERCENTILE of {percentage}: it takes {EXPECTED}");
    }
    let total = numbers.last().map_or(0, |(_, total)| *total);
    let place = (total - 1) as f64 * percentage + 1.0;
    let number = |place: f64| {
        let found = numbers.partition_point(|(_, count)| (*count as f64) < place);
        numbers[found.min(numbers.len() - 1)].0
    };
    let (lower, part) = (number(place.floor()), place - place.floor());
    Ok(if part == 0.0 { lower } else { lower + (number(place.floor() + 1.0) - lower) * part })
}

pub(super) fn percentile(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (maps, percentages) = (inputs.expanded(0)?, inputs.expanded(1)?);
    let maps = maps.as_map();
    let numbers = |row: usize| if maps.is_null(row) { vec![] } else { counted(maps, row) };
    let Some(lists) = percentages.as_list_opt::<i32>() else {
        let percentages = percentages.as_primitive::<Float64Type>();
        let result = |row: usize| match numbers(row) {
            numbers if numbers.is_empty() || percentages.is_null(row) => Ok(None),
            numbers => at(&numbers, percentages.value(row)).map(Some),
        };
        return Ok(Arc::new((0..inputs.rows).map(result).collect::<Result<Float64Array>>()?));
    };
    let (mut values, mut lengths, mut valid) = (vec![], vec![], vec![]);
    for row in 0..inputs.rows {
        let numbers = numbers(row);
        let known = !numbers.is_empty() && lists.is_valid(row);
        let before = values.len();
        if known {
            for percentage in lists.value(row).as_primitive::<Float64Type>().iter() {
                values.push(percentage.map(|percentage| at(&numbers, percentage)).transpose()?);
            }
        }
        lengths.push(values.len() - before);
        valid.push(known);
    }
    let (field, nulls) = (member_field(inputs.result)?, NullBuffer::from(valid));
    let values: ArrayRef = Arc::new(Float64Array::from(values));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, Some(nulls))?))
}
