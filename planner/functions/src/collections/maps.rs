//! Functions of maps.

use super::super::arguments::Inputs;
use super::super::calls::{last_of_equal_keys, map_array, member_field};
use super::super::coercion::common_type;
use super::super::definition::{Call, Typed};
use super::Lists;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

pub(super) fn type_part(call: &Call<'_>) -> Result<Typed> {
    let [found @ SqlType::Map(key, value)] = call.types else { return call.refuse("a map") };
    let member = match call.name {
        "MAP_KEYS" => SqlField::new("item", key.sql_type.clone(), key.nullable),
        "MAP_VALUES" => SqlField::new("item", value.sql_type.clone(), value.nullable),
        _ => {
            let named =
                |name: &str, field: &SqlField| SqlField::new(name, field.sql_type.clone(), field.nullable);
            SqlField::new("item", SqlType::Row(vec![named("key", key), named("value", value)]), true)
        }
    };
    let result = SqlType::Array(Box::new(member));
    Ok(Typed { arguments: vec![found.clone()], result, nullable: call.any_nullable() })
}

/// Members of each map as a list.
fn part(
    inputs: &Inputs<'_>,
    members: impl Fn(&arrow::array::MapArray) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let maps = inputs.expanded(0)?;
    let maps = maps.as_map();
    let (field, nulls) = (member_field(inputs.result)?, maps.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(field, maps.offsets().clone(), members(maps)?, nulls)?))
}

pub(super) fn keys(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    part(inputs, |maps| Ok(maps.keys().clone()))
}

pub(super) fn values(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    part(inputs, |maps| Ok(maps.values().clone()))
}

pub(super) fn entries(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let field = member_field(inputs.result)?;
    let DataType::Struct(fields) = field.data_type() else { return internal_err!("MAP_ENTRIES makes rows") };
    part(inputs, |maps| {
        let columns = vec![maps.keys().clone(), maps.values().clone()];
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
    })
}

pub(super) fn type_from_arrays(call: &Call<'_>) -> Result<Typed> {
    let [SqlType::Array(key), SqlType::Array(value)] = call.types else { return call.refuse("two arrays") };
    let named = |name: &str, field: &SqlField, nullable| {
        Box::new(SqlField::new(name, field.sql_type.clone(), nullable))
    };
    let result = SqlType::Map(named("key", key, false), named("value", value, value.nullable));
    Ok(Typed { arguments: call.types.to_vec(), result, nullable: call.any_nullable() })
}

pub(super) fn from_arrays(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (keys, values) = (Lists::new(&inputs.columns[0]), Lists::new(&inputs.columns[1]));
    let (mut key_places, mut value_places) = (vec![], vec![]);
    let (mut lengths, mut valid) = (vec![], vec![]);
    for row in 0..inputs.rows {
        let (Some(a), Some(b)) = (keys.range(row), values.range(row)) else {
            lengths.push(0);
            valid.push(false);
            continue;
        };
        if a.len() != b.len() {
            return exec_err!("MAP_FROM_ARRAYS of {} keys and {} values", a.len(), b.len());
        }
        lengths.push(a.len());
        valid.push(true);
        key_places.extend(a.map(|place| place as u32));
        value_places.extend(b.map(|place| place as u32));
    }
    let keys = take(keys.values(), &UInt32Array::from(key_places), None)?;
    let values = take(values.values(), &UInt32Array::from(value_places), None)?;
    distinct_map(inputs.result, keys, values, &lengths, valid)
}

/// Maps of which `lengths` says how many entries each has; of equal keys the last one stays.
fn distinct_map(
    result: &SqlType,
    keys: ArrayRef,
    values: ArrayRef,
    lengths: &[usize],
    valid: Vec<bool>,
) -> Result<ArrayRef> {
    let ranges = OffsetBuffer::<i32>::from_lengths(lengths.iter().copied());
    let ranges = ranges.windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
    let (places, offsets) = last_of_equal_keys(&keys, ranges)?;
    let places = UInt32Array::from(places);
    let nulls = NullBuffer::from(valid);
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    map_array(result, take(&keys, &places, None)?, take(&values, &places, None)?, offsets, nulls)
}

pub(super) fn type_union(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() || !call.types.iter().all(|found| matches!(found, SqlType::Map(..))) {
        return call.refuse("maps");
    }
    let Some(result) = common_type(call.types) else { return call.refuse("maps whose types go together") };
    Ok(Typed { arguments: vec![result.clone(); call.types.len()], result, nullable: call.any_nullable() })
}

pub(super) fn union(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let maps: Vec<_> = inputs.columns.iter().map(|column| (column.array.as_map(), column.constant)).collect();
    let key_arrays: Vec<&dyn Array> = maps.iter().map(|(map, _)| map.keys().as_ref()).collect();
    let value_arrays: Vec<&dyn Array> = maps.iter().map(|(map, _)| map.values().as_ref()).collect();
    let (keys, values) = (concat(&key_arrays)?, concat(&value_arrays)?);
    let (mut places, mut lengths, mut valid) = (vec![], vec![], vec![]);
    for row in 0..inputs.rows {
        let before = places.len();
        let (mut shift, mut whole) = (0, true);
        for (map, constant) in &maps {
            let row = if *constant { 0 } else { row };
            let offsets = map.value_offsets();
            match map.is_valid(row) {
                true => {
                    places.extend((offsets[row]..offsets[row + 1]).map(|place| shift as u32 + place as u32))
                }
                false => whole = false,
            }
            shift += map.keys().len();
        }
        if !whole {
            places.truncate(before);
        }
        lengths.push(places.len() - before);
        valid.push(whole);
    }
    let places = UInt32Array::from(places);
    distinct_map(inputs.result, take(&keys, &places, None)?, take(&values, &places, None)?, &lengths, valid)
}
