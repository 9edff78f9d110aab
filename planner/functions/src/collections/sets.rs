//! Arrays as sets: elements are found by their value, and NULL is one.

use super::super::arguments::Inputs;
use super::super::calls::joined;
use super::super::coercion::common_type;
use super::super::definition::{Call, Function, Typed, Typing};
use super::{Lists, Picks, comparable, type_same};
use arrow::array::{ArrayRef, BooleanArray, Int32Array};
use datafusion_common::Result;
use std::sync::Arc;
use weir_types::SqlType;

pub(in super::super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "ARRAY_CONTAINS",
        Typing::Custom(type_contains),
        contains,
        "TRUE if the array has the element",
    ),
    Function::new(
        "ARRAY_POSITION",
        Typing::Custom(type_position),
        position,
        "where the element is; 0 without it",
    ),
    Function::new(
        "ARRAY_REMOVE",
        Typing::Custom(type_remove),
        remove,
        "without the elements that equal a value",
    ),
    Function::new("ARRAY_DISTINCT", Typing::Custom(type_same), distinct, "each element once"),
    Function::new("ARRAY_UNION", Typing::Custom(type_pair), union, "the elements of both arrays, each once"),
    Function::new(
        "ARRAY_EXCEPT",
        Typing::Custom(type_pair),
        except,
        "the elements of the first and not of the second",
    ),
    Function::new("ARRAY_INTERSECT", Typing::Custom(type_pair), intersect, "the elements of both arrays"),
];

/// An array and a value, in the common type of its elements and the value.
fn search(call: &Call<'_>, result: impl Fn(&SqlType) -> SqlType, nullable: bool) -> Result<Typed> {
    let [SqlType::Array(member), value] = call.types else { return call.refuse("an array and an element") };
    let Some(common) = common_type([&member.sql_type, value]) else {
        return call.refuse("an array and an element of its type");
    };
    let list = SqlType::Array(Box::new(weir_types::SqlField::new("item", common.clone(), member.nullable)));
    let result = result(&list);
    Ok(Typed { arguments: vec![list, common], result, nullable })
}

fn type_contains(call: &Call<'_>) -> Result<Typed> {
    search(call, |_| SqlType::Boolean, call.nullable.first().is_some_and(|nullable| *nullable))
}

fn type_position(call: &Call<'_>) -> Result<Typed> {
    search(call, |_| SqlType::Int, call.any_nullable())
}

fn type_remove(call: &Call<'_>) -> Result<Typed> {
    search(call, SqlType::clone, call.nullable.first().is_some_and(|nullable| *nullable))
}

fn contains(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (lists, wanted) = (Lists::new(&inputs.columns[0]), inputs.any(1));
    let encoded = comparable(&[lists.values(), &inputs.columns[1].array])?;
    let found = |row: usize| {
        let value = encoded[1].row(wanted.index(row));
        lists.range(row).map(|mut range| range.any(|place| encoded[0].row(place) == value))
    };
    Ok(Arc::new((0..inputs.rows).map(found).collect::<BooleanArray>()))
}

fn position(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (lists, wanted) = (Lists::new(&inputs.columns[0]), inputs.any(1));
    let encoded = comparable(&[lists.values(), &inputs.columns[1].array])?;
    let found = |row: usize| {
        if wanted.is_null(row) {
            return None;
        }
        let value = encoded[1].row(wanted.index(row));
        lists.range(row).map(|mut range| {
            range.position(|place| encoded[0].row(place) == value).map_or(0, |place| place as i32 + 1)
        })
    };
    Ok(Arc::new((0..inputs.rows).map(found).collect::<Int32Array>()))
}

fn remove(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (lists, unwanted) = (Lists::new(&inputs.columns[0]), inputs.any(1));
    let encoded = comparable(&[lists.values(), &inputs.columns[1].array])?;
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let value = encoded[1].row(unwanted.index(row));
        let range = lists.range(row);
        let kept = range.clone().into_iter().flatten().filter(|place| encoded[0].row(*place) != value);
        picks.places.extend(kept.map(|place| place as u32));
        picks.end(range.is_some());
    }
    picks.lists(lists.values(), inputs.result)
}

fn distinct(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&inputs.columns[0]);
    let encoded = comparable(&[lists.values()])?.remove(0);
    let mut picks = Picks::default();
    let mut seen = std::collections::BTreeSet::new();
    for row in 0..inputs.rows {
        seen.clear();
        let range = lists.range(row);
        let kept = range.clone().into_iter().flatten().filter(|place| seen.insert(encoded.row(*place)));
        picks.places.extend(kept.map(|place| place as u32));
        picks.end(range.is_some());
    }
    picks.lists(lists.values(), inputs.result)
}

fn type_pair(call: &Call<'_>) -> Result<Typed> {
    let [left @ SqlType::Array(a), right @ SqlType::Array(b)] = call.types else {
        return call.refuse("two arrays");
    };
    let Some(common) = common_type([left, right]) else {
        return call.refuse("two arrays whose types go together");
    };
    let result = match (call.name, &common) {
        ("ARRAY_UNION", _) => common.clone(),
        // Elements come from the first array alone; those of both are NULL only if both have NULLs.
        (name, SqlType::Array(member)) => {
            let nullable = a.nullable && (name == "ARRAY_EXCEPT" || b.nullable);
            let _ = nullable;
            SqlType::Array(Box::new(weir_types::SqlField::new(
                "item",
                member.sql_type.clone(),
                a.nullable || b.nullable,
            )))
        }
        _ => common.clone(),
    };
    Ok(Typed { arguments: vec![common.clone(), common], result, nullable: call.any_nullable() })
}

fn union(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&inputs.columns[0]), Lists::new(&inputs.columns[1]));
    let values = joined(left.values(), right.values())?;
    let encoded = comparable(&[&values])?.remove(0);
    let shift = left.values().len();
    let mut picks = Picks::default();
    let mut seen = std::collections::BTreeSet::new();
    for row in 0..inputs.rows {
        seen.clear();
        if let (Some(a), Some(b)) = (left.range(row), right.range(row)) {
            let kept =
                a.chain(b.start + shift..b.end + shift).filter(|place| seen.insert(encoded.row(*place)));
            picks.places.extend(kept.map(|place| place as u32));
            picks.end(true);
        } else {
            picks.end(false);
        }
    }
    picks.lists(&values, inputs.result)
}

fn except(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    sifted(inputs, false)
}

fn intersect(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    sifted(inputs, true)
}

/// The elements of the first array that are, or are not, in the second.
fn sifted(inputs: &Inputs<'_>, wanted: bool) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&inputs.columns[0]), Lists::new(&inputs.columns[1]));
    let encoded = comparable(&[left.values(), right.values()])?;
    let mut picks = Picks::default();
    let mut others = std::collections::BTreeSet::new();
    for row in 0..inputs.rows {
        let (Some(a), Some(b)) = (left.range(row), right.range(row)) else {
            picks.end(false);
            continue;
        };
        others.clear();
        others.extend(b.map(|place| encoded[1].row(place)));
        let mut seen = std::collections::BTreeSet::new();
        let kept = a.filter(|place| {
            let value = encoded[0].row(*place);
            others.contains(&value) == wanted && seen.insert(value)
        });
        picks.places.extend(kept.map(|place| place as u32));
        picks.end(true);
    }
    picks.lists(left.values(), inputs.result)
}
