//! Functions of arrays and maps.

mod maps;
mod picks;
mod sets;

use super::arguments::{Input, Inputs};
use super::calls::member_field;
use super::coercion::common_type;
use super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_common::{Result, exec_err};
use std::ops::Range;
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

pub(super) use sets::FUNCTIONS as SET_FUNCTIONS;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "CARDINALITY",
        Typing::Signatures(&[call(&[P::Array], R::Int), call(&[P::Map], R::Int)]),
        cardinality,
        "number of elements of an array or a map",
    ),
    Function::new(
        "ELEMENT",
        Typing::Custom(type_element),
        element,
        "the one element of an array; NULL of none",
    )
    .fallible(),
    Function::new("ARRAY_REVERSE", Typing::Custom(type_same), picks::reverse, "the elements backwards"),
    Function::new(
        "ARRAY_SLICE",
        Typing::Custom(picks::type_slice),
        picks::slice,
        "ARRAY_SLICE(array, from[, to])",
    ),
    Function::new(
        "ARRAY_SORT",
        Typing::Custom(picks::type_sort),
        picks::sort,
        "ARRAY_SORT(array[, ascending[, nulls first]])",
    ),
    Function::new("ARRAY_MAX", Typing::Custom(picks::type_extreme), picks::max, "the largest element"),
    Function::new("ARRAY_MIN", Typing::Custom(picks::type_extreme), picks::min, "the smallest element"),
    Function::new(
        "ARRAY_JOIN",
        Typing::Custom(picks::type_join),
        picks::join,
        "ARRAY_JOIN(array, delimiter[, instead of NULL])",
    ),
    Function::new(
        "ARRAY_CONCAT",
        Typing::Custom(picks::type_concat),
        picks::concat,
        "the elements of all arrays",
    ),
    Function::new(
        "ARRAY_APPEND",
        Typing::Custom(type_array_first),
        picks::append,
        "with one element more behind",
    ),
    Function::new(
        "ARRAY_PREPEND",
        Typing::Custom(type_array_first),
        picks::prepend,
        "with one element more in front",
    ),
    Function::new("MAP_KEYS", Typing::Custom(maps::type_part), maps::keys, "the keys of a map as an array"),
    Function::new(
        "MAP_VALUES",
        Typing::Custom(maps::type_part),
        maps::values,
        "the values of a map as an array",
    ),
    Function::new(
        "MAP_ENTRIES",
        Typing::Custom(maps::type_part),
        maps::entries,
        "the entries of a map as rows",
    ),
    Function::new(
        "MAP_FROM_ARRAYS",
        Typing::Custom(maps::type_from_arrays),
        maps::from_arrays,
        "a map of an array of keys and one of values",
    )
    .fallible(),
    Function::new(
        "MAP_UNION",
        Typing::Custom(maps::type_union),
        maps::union,
        "the entries of all maps, later ones win",
    ),
];

/// One array in, the same type out.
fn type_same(call: &Call<'_>) -> Result<Typed> {
    match call.types {
        [found @ SqlType::Array(_)] => {
            Ok(Typed { arguments: vec![found.clone()], result: found.clone(), nullable: call.any_nullable() })
        }
        _ => call.refuse("an array"),
    }
}

/// The type of an array that holds the elements of an array and another value.
fn with_value(member: &SqlField, value: &SqlType, nullable: bool) -> Option<SqlType> {
    let common = common_type([&member.sql_type, value])?;
    Some(SqlType::Array(Box::new(SqlField::new("item", common, member.nullable || nullable))))
}

/// An array and a value that it could hold.
fn type_array_first(call: &Call<'_>) -> Result<Typed> {
    let [SqlType::Array(member), value] = call.types else { return call.refuse("an array and an element") };
    let Some(result) = with_value(member, value, call.nullable[1]) else {
        return call.refuse("an array and an element of its type");
    };
    let SqlType::Array(common) = &result else { return call.refuse("an array and an element") };
    let arguments = vec![result.clone(), common.sql_type.clone()];
    Ok(Typed { arguments, result, nullable: call.any_nullable() })
}

/// A column of lists, read row by row.
struct Lists<'a> {
    list: &'a ListArray,
    constant: bool,
}

impl<'a> Lists<'a> {
    fn new(input: &'a Input) -> Self {
        Lists { list: input.array.as_list::<i32>(), constant: input.constant }
    }

    /// Where the elements of row `row` are among all elements; `None` for NULL.
    fn range(&self, row: usize) -> Option<Range<usize>> {
        let row = if self.constant { 0 } else { row };
        let offsets = self.list.value_offsets();
        self.list.is_valid(row).then(|| offsets[row] as usize..offsets[row + 1] as usize)
    }

    fn values(&self) -> &'a ArrayRef {
        self.list.values()
    }
}

/// Values in a form that is compared byte by byte. NULLs are equal.
fn comparable(columns: &[&ArrayRef]) -> Result<Vec<Rows>> {
    let Some(first) = columns.first() else { return Ok(vec![]) };
    let converter = RowConverter::new(vec![SortField::new(first.data_type().clone())])?;
    let convert = |column: &&ArrayRef| Ok(converter.convert_columns(&[(*column).clone()])?);
    columns.iter().map(convert).collect()
}

/// Lists of elements picked from `values`, a row after another.
#[derive(Default)]
struct Picks {
    places: Vec<u32>,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Picks {
    /// Ends a row: what was picked since the last one, or NULL.
    fn end(&mut self, valid: bool) {
        self.ends.push(self.places.len() as i32);
        self.valid.push(valid);
    }

    fn lists(self, values: &ArrayRef, result: &SqlType) -> Result<ArrayRef> {
        let values = take(values, &UInt32Array::from(self.places), None)?;
        let offsets = std::iter::once(0).chain(self.ends).collect::<Vec<i32>>();
        let nulls = NullBuffer::from(self.valid);
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        Ok(Arc::new(ListArray::try_new(
            member_field(result)?,
            OffsetBuffer::new(offsets.into()),
            values,
            nulls,
        )?))
    }
}

fn cardinality(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let column = &inputs.columns[0];
    let offsets = match inputs.types[0] {
        SqlType::Array(_) => column.array.as_list::<i32>().value_offsets(),
        SqlType::Null => return Ok(arrow::array::new_null_array(&inputs.result.data_type(), inputs.rows)),
        _ => column.array.as_map().value_offsets(),
    };
    let count = |row: usize| {
        let row = if column.constant { 0 } else { row };
        column.array.is_valid(row).then(|| offsets[row + 1] - offsets[row])
    };
    Ok(Arc::new((0..inputs.rows).map(count).collect::<Int32Array>()))
}

fn type_element(call: &Call<'_>) -> Result<Typed> {
    let [found @ SqlType::Array(member)] = call.types else { return call.refuse("an array") };
    let nullable = call.nullable[0] || member.nullable;
    Ok(Typed { arguments: vec![found.clone()], result: member.sql_type.clone(), nullable })
}

fn element(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&inputs.columns[0]);
    let mut places = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        places.push(match lists.range(row) {
            Some(range) if range.len() > 1 => {
                return exec_err!("ELEMENT of an array with {} elements", range.len());
            }
            Some(range) if range.len() == 1 => Some(range.start as u32),
            _ => None,
        });
    }
    Ok(take(lists.values(), &UInt32Array::from(places), None)?)
}
