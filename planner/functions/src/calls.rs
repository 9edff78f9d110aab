//! Collections made of values, their members, and types as text.

use super::arguments::Inputs;
use super::coercion::common_type;
use super::definition::{Call, Function, Returns, Typed, Typing, call};
use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StringArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::{Result, internal_err, plan_err};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("ROW", Typing::Custom(type_row), row, "ROW(value, ..): fields EXPR$0, EXPR$1 and so on"),
    Function::new("$ARRAY", Typing::Custom(type_array), array, "ARRAY[value, ..]"),
    Function::new(
        "MAP",
        Typing::Custom(type_map),
        map,
        "MAP[key, value, ..]; of equal keys the last one counts",
    ),
    Function::new("$ITEM", Typing::Custom(type_item), item, "array[index] from 1, map[key]; NULL without it"),
    Function::new("$FIELD", Typing::Custom(type_field), field, "row.field"),
    Function::new(
        "CURRENT_DATABASE",
        Typing::Signatures(&[call(&[], Returns::Text)]),
        |inputs| Ok(Arc::new(StringArray::from(vec![inputs.context.database.as_ref(); inputs.rows]))),
        "the name of the current database",
    ),
    Function::new(
        "TYPEOF",
        Typing::Custom(type_typeof),
        super::conditional::expanded,
        "TYPEOF(value[, whole]): its type as text",
    ),
];

/// The type of a member: texts and bytes in collections have no length of their own, so that a constant collection has
/// the same Arrow type as any other.
fn member_type(found: &SqlType) -> SqlType {
    match found {
        SqlType::Char(_) | SqlType::Varchar(_) => SqlType::STRING,
        SqlType::Binary(_) | SqlType::Varbinary(_) => SqlType::BYTES,
        other => other.clone(),
    }
}

fn type_row(call: &Call<'_>) -> Result<Typed> {
    let fields = call.types.iter().zip(call.nullable).enumerate();
    let fields = fields
        .map(|(i, (found, nullable))| SqlField::new(format!("EXPR${i}"), member_type(found), *nullable));
    Ok(Typed { arguments: call.types.to_vec(), result: SqlType::Row(fields.collect()), nullable: false })
}

fn row(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = inputs.result.data_type() else {
        return internal_err!("ROW makes a struct");
    };
    let columns = (0..inputs.len()).map(|index| inputs.expanded(index)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, None, inputs.rows)?))
}

fn element(sql_type: SqlType, nullable: bool) -> Box<SqlField> {
    Box::new(SqlField::new("item", sql_type, nullable))
}

fn type_array(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() {
        return call.refuse("at least one element");
    }
    let Some(common) = common_type(call.types) else {
        return call.refuse("elements whose types go together");
    };
    let common = member_type(&common);
    let arguments = vec![common.clone(); call.types.len()];
    Ok(Typed { arguments, result: SqlType::Array(element(common, call.any_nullable())), nullable: false })
}

fn list_field(sql_type: &SqlType) -> Result<FieldRef> {
    match sql_type.data_type() {
        DataType::List(field) => Ok(field),
        other => internal_err!("{other} is no list"),
    }
}

fn array(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (rows, width) = (inputs.rows, inputs.len());
    let field = list_field(inputs.result)?;
    let offsets = OffsetBuffer::from_repeated_length(width, rows);
    if width == 0 {
        let values = arrow::array::new_empty_array(field.data_type());
        return Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?));
    }
    let columns = (0..width).map(|index| inputs.expanded(index)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ListArray::try_new(field, offsets, rows_of(&columns, rows)?, None)?))
}

/// The values of several columns row by row.
fn rows_of(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let references: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref()).collect();
    let places: Vec<_> =
        (0..rows).flat_map(|row| (0..columns.len()).map(move |column| (column, row))).collect();
    Ok(interleave(&references, &places)?)
}

fn type_map(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() || call.types.len() % 2 == 1 {
        return call.refuse("keys and values by turns");
    }
    let every = |first: usize| call.types.iter().skip(first).step_by(2);
    let (Some(key), Some(value)) = (common_type(every(0)), common_type(every(1))) else {
        return call.refuse("keys, and values, whose types go together");
    };
    let (key, value) = (member_type(&key), member_type(&value));
    let arguments =
        (0..call.types.len()).map(|i| if i % 2 == 0 { key.clone() } else { value.clone() }).collect();
    let nullable = call.nullable.iter().skip(1).step_by(2).any(|nullable| *nullable);
    let (key, value) = (SqlField::new("key", key, false), SqlField::new("value", value, nullable));
    Ok(Typed { arguments, result: SqlType::Map(Box::new(key), Box::new(value)), nullable: false })
}

/// A map array of `keys` and `values`, of which `offsets` says how many each row has.
pub(super) fn map_array(
    sql_type: &SqlType,
    keys: ArrayRef,
    values: ArrayRef,
    offsets: OffsetBuffer<i32>,
    nulls: Option<arrow::buffer::NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::Map(entries, sorted) = sql_type.data_type() else {
        return internal_err!("{sql_type} is no map");
    };
    let DataType::Struct(fields) = entries.data_type() else { return internal_err!("{sql_type} is no map") };
    if keys.null_count() > 0 {
        return datafusion_common::exec_err!("a key of a map is NULL");
    }
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, sorted)?))
}

fn map(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let columns = |first: usize| {
        (first..inputs.len()).step_by(2).map(|index| inputs.expanded(index)).collect::<Result<Vec<_>>>()
    };
    let (keys, values) = (columns(0)?, columns(1)?);
    let width = keys.len();
    let (keys, values) = (rows_of(&keys, inputs.rows)?, rows_of(&values, inputs.rows)?);
    let (places, offsets) =
        last_of_equal_keys(&keys, (0..inputs.rows).map(|row| row * width..(row + 1) * width))?;
    let places = UInt32Array::from(places);
    let (keys, values) = (take(&keys, &places, None)?, take(&values, &places, None)?);
    map_array(inputs.result, keys, values, offsets, None)
}

/// Places of the keys of each range without those that come again later in the same range, and the offsets of what is
/// left.
pub(super) fn last_of_equal_keys(
    keys: &ArrayRef,
    ranges: impl Iterator<Item = std::ops::Range<usize>>,
) -> Result<(Vec<u32>, OffsetBuffer<i32>)> {
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let encoded = converter.convert_columns(std::slice::from_ref(keys))?;
    let mut places = Vec::with_capacity(keys.len());
    let mut lengths = vec![];
    for range in ranges {
        let before = places.len();
        for place in range.clone() {
            if !(place + 1..range.end).any(|later| encoded.row(later) == encoded.row(place)) {
                places.push(place as u32);
            }
        }
        lengths.push(places.len() - before);
    }
    Ok((places, OffsetBuffer::from_lengths(lengths)))
}

fn type_item(call: &Call<'_>) -> Result<Typed> {
    let (arguments, result) = match call.types {
        [SqlType::Array(member), index] if index.is_integer() || *index == SqlType::Null => {
            if call.literal_int(1).is_some_and(|index| index < 1) {
                return plan_err!("array indexes start at 1");
            }
            (vec![call.types[0].clone(), SqlType::BigInt], member.sql_type.clone())
        }
        [SqlType::Map(key, value), index] => {
            if common_type([&key.sql_type, index]).is_none() {
                return plan_err!("keys of a {} are {}, not {index}", call.types[0], key.sql_type);
            }
            (vec![call.types[0].clone(), key.sql_type.clone()], value.sql_type.clone())
        }
        [SqlType::Row(fields), _] => {
            // Fields by their place, from 1.
            let Some(field) = call.literal_int(1).and_then(|i| fields.get(usize::try_from(i - 1).ok()?))
            else {
                return plan_err!("a field of a ROW is taken by its name: row.field");
            };
            (vec![call.types[0].clone(), SqlType::BigInt], field.sql_type.clone())
        }
        _ => return call.refuse("an array and an index, or a map and a key"),
    };
    Ok(Typed { arguments, result, nullable: true })
}

fn item(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let collection = &inputs.columns[0];
    let place_of = |row: usize| if collection.constant { 0 } else { row };
    let array = &collection.array;
    match &inputs.types[0] {
        SqlType::Array(_) => {
            let (list, indexes) = (array.as_list::<i32>(), inputs.primitives::<Int64Type>(1)?);
            let offsets = list.value_offsets();
            let place = |row: usize| {
                let list_row = place_of(row);
                let index = indexes.get(row).filter(|_| list.is_valid(list_row))?;
                let (start, end) = (i64::from(offsets[list_row]), i64::from(offsets[list_row + 1]));
                let place = start.checked_add(index)? - 1;
                (index >= 1 && place < end).then_some(place as u32)
            };
            let places: UInt32Array = (0..inputs.rows).map(place).collect();
            Ok(take(list.values(), &places, None)?)
        }
        SqlType::Map(..) => {
            let map = array.as_map();
            let keys = inputs.expanded(1)?;
            let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
            let known = converter.convert_columns(&[map.keys().clone()])?;
            let wanted = converter.convert_columns(std::slice::from_ref(&keys))?;
            let offsets = map.value_offsets();
            let place = |row: usize| {
                let map_row = place_of(row);
                if map.is_null(map_row) || keys.is_null(row) {
                    return None;
                }
                let (start, end) = (offsets[map_row] as usize, offsets[map_row + 1] as usize);
                (start..end).find(|place| known.row(*place) == wanted.row(row)).map(|place| place as u32)
            };
            let places: UInt32Array = (0..inputs.rows).map(place).collect();
            Ok(take(map.values(), &places, None)?)
        }
        SqlType::Row(_) => {
            let Some(Some(index)) = inputs.primitives::<Int64Type>(1)?.constant() else {
                return internal_err!("a field's place is a literal");
            };
            member(inputs, index as usize - 1)
        }
        other => internal_err!("an item of {other}"),
    }
}

fn type_field(call: &Call<'_>) -> Result<Typed> {
    let (Some(name), [SqlType::Row(fields), _]) = (call.literal_text(1), call.types) else {
        return plan_err!("{} has no fields", call.types.first().unwrap_or(&SqlType::Null));
    };
    let Some(field) = fields.iter().find(|field| field.name == name) else {
        let known = fields.iter().map(|field| field.name.as_str());
        return plan_err!("there is no field '{name}'{}", weir_types::did_you_mean(name, known));
    };
    Ok(Typed {
        arguments: vec![call.types[0].clone(), SqlType::STRING],
        result: field.sql_type.clone(),
        nullable: call.nullable[0] || field.nullable,
    })
}

fn field(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (SqlType::Row(fields), Some(Some(name))) = (&inputs.types[0], inputs.texts(1)?.constant()) else {
        return internal_err!("a field of {}", inputs.types[0]);
    };
    match fields.iter().position(|field| field.name == name) {
        Some(index) => member(inputs, index),
        None => internal_err!("field '{name}' of {}", inputs.types[0]),
    }
}

/// A field of a row, NULL where the row is.
fn member(inputs: &Inputs<'_>, index: usize) -> Result<ArrayRef> {
    let rows = inputs.expanded(0)?;
    let rows = rows.as_struct();
    let column = rows.column(index);
    Ok(match rows.nulls() {
        Some(nulls) => {
            arrow::compute::nullif(column, &arrow::array::BooleanArray::new(!nulls.inner(), None))?
        }
        None => column.clone(),
    })
}

fn type_typeof(call: &Call<'_>) -> Result<Typed> {
    if !matches!(call.types, [_] | [_, SqlType::Boolean]) {
        return call.refuse("a value");
    }
    // The answer is a literal as soon as the call is bound.
    Ok(Typed { arguments: call.types.to_vec(), result: SqlType::STRING, nullable: false })
}

/// Values of two arrays of the same type, one behind the other.
pub(super) fn joined(first: &ArrayRef, second: &ArrayRef) -> Result<ArrayRef> {
    Ok(concat(&[first.as_ref(), second.as_ref()])?)
}

/// The field that a list of this type has for its members.
pub(super) fn member_field(result: &SqlType) -> Result<Arc<Field>> {
    list_field(result)
}
