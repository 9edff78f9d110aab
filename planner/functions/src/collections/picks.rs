//! Arrays of elements of other arrays, and single elements.

use super::super::arguments::Inputs;
use super::super::calls::joined;
use super::super::coercion::common_type;
use super::super::definition::{Call, Typed};
use super::super::strings::written;
use super::{Lists, Picks, comparable};
use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int32Type;
use datafusion_common::Result;
use weir_types::SqlType;

pub(super) fn reverse(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&inputs.columns[0]);
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let range = lists.range(row);
        picks.places.extend(range.clone().into_iter().flatten().rev().map(|place| place as u32));
        picks.end(range.is_some());
    }
    picks.lists(lists.values(), inputs.result)
}

pub(super) fn type_slice(call: &Call<'_>) -> Result<Typed> {
    let integer = |found: &SqlType| found.is_integer() || *found == SqlType::Null;
    match call.types {
        [found @ SqlType::Array(_), rest @ ..]
            if (1..=2).contains(&rest.len()) && rest.iter().all(integer) =>
        {
            let mut arguments = vec![found.clone()];
            arguments.extend(rest.iter().map(|_| SqlType::Int));
            Ok(Typed { arguments, result: found.clone(), nullable: call.any_nullable() })
        }
        _ => call.refuse("an array, where to start and where to end"),
    }
}

/// Places count from 1, negative ones from the end; those outside of the array are its ends.
pub(super) fn slice(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (lists, starts) = (Lists::new(&inputs.columns[0]), inputs.primitives::<Int32Type>(1)?);
    let ends = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let end = ends.as_ref().map_or(Some(i32::MAX), |ends| ends.get(row));
        let (Some(range), Some(start), Some(end)) = (lists.range(row), starts.get(row), end) else {
            picks.end(false);
            continue;
        };
        let length = range.len() as i64;
        let from_end = |place: i32| if place < 0 { i64::from(place) + length + 1 } else { i64::from(place) };
        let start = from_end(start).max(1);
        let end = if end == 0 { 1 } else { from_end(end).min(length) };
        picks.places.extend((start..=end.min(length)).map(|place| range.start as u32 + place as u32 - 1));
        picks.end(true);
    }
    picks.lists(lists.values(), inputs.result)
}

pub(super) fn type_sort(call: &Call<'_>) -> Result<Typed> {
    match call.types {
        [found @ SqlType::Array(_), flags @ ..]
            if flags.len() <= 2
                && flags.iter().all(|flag| matches!(flag, SqlType::Boolean | SqlType::Null)) =>
        {
            let mut arguments = vec![found.clone()];
            arguments.extend(flags.iter().map(|_| SqlType::Boolean));
            Ok(Typed { arguments, result: found.clone(), nullable: call.any_nullable() })
        }
        _ => call.refuse("an array, whether it ascends, and whether NULL comes first"),
    }
}

pub(super) fn sort(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&inputs.columns[0]);
    let flags = (1..inputs.len()).map(|index| inputs.booleans(index)).collect::<Result<Vec<_>>>()?;
    let values = lists.values();
    let encoded = comparable(&[values])?.remove(0);
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let ascending = flags.first().map_or(Some(true), |flag| flag.get(row));
        let nulls_first = flags.get(1).map_or(ascending, |flag| flag.get(row));
        let (Some(range), Some(ascending), Some(nulls_first)) = (lists.range(row), ascending, nulls_first)
        else {
            picks.end(false);
            continue;
        };
        let (nulls, mut rest): (Vec<usize>, Vec<usize>) = range.partition(|place| values.is_null(*place));
        rest.sort_by(|a, b| encoded.row(*a).cmp(&encoded.row(*b)));
        if !ascending {
            rest.reverse();
        }
        let ordered = if nulls_first { [nulls, rest] } else { [rest, nulls] };
        picks.places.extend(ordered.into_iter().flatten().map(|place| place as u32));
        picks.end(true);
    }
    picks.lists(values, inputs.result)
}

pub(super) fn type_extreme(call: &Call<'_>) -> Result<Typed> {
    match call.types {
        [found @ SqlType::Array(member)] => {
            Ok(Typed { arguments: vec![found.clone()], result: member.sql_type.clone(), nullable: true })
        }
        _ => call.refuse("an array"),
    }
}

pub(super) fn max(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    extreme(inputs, true)
}

pub(super) fn min(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    extreme(inputs, false)
}

fn extreme(inputs: &Inputs<'_>, largest: bool) -> Result<ArrayRef> {
    let lists = Lists::new(&inputs.columns[0]);
    let values = lists.values();
    let encoded = comparable(&[values])?.remove(0);
    let place = |row: usize| {
        let candidates = lists.range(row)?.filter(|place| values.is_valid(*place));
        let place = match largest {
            true => candidates.max_by(|a, b| encoded.row(*a).cmp(&encoded.row(*b))),
            false => candidates.min_by(|a, b| encoded.row(*a).cmp(&encoded.row(*b))),
        };
        place.map(|place| place as u32)
    };
    Ok(take(values, &(0..inputs.rows).map(place).collect::<UInt32Array>(), None)?)
}

pub(super) fn type_join(call: &Call<'_>) -> Result<Typed> {
    let text = |found: &SqlType| found.is_string() || *found == SqlType::Null;
    match call.types {
        [found @ SqlType::Array(member), rest @ ..]
            if text(&member.sql_type) && (1..=2).contains(&rest.len()) && rest.iter().all(text) =>
        {
            let mut arguments = vec![found.clone()];
            arguments.extend(rest.iter().map(|_| SqlType::STRING));
            Ok(Typed { arguments, result: SqlType::STRING, nullable: call.any_nullable() })
        }
        _ => call.refuse("an array of texts, a delimiter and a text instead of NULL"),
    }
}

pub(super) fn join(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (lists, delimiters) = (Lists::new(&inputs.columns[0]), inputs.texts(1)?);
    let instead = if inputs.len() == 3 { Some(inputs.texts(2)?) } else { None };
    let elements = lists.values().as_string::<i32>();
    written(inputs.rows, inputs.rows * 32, |row, out| {
        let (Some(range), Some(delimiter)) = (lists.range(row), delimiters.get(row)) else {
            return Ok(false);
        };
        let instead = match &instead {
            Some(instead) => match instead.get(row) {
                Some(instead) => Some(instead),
                None => return Ok(false),
            },
            None => None,
        };
        let mut first = true;
        for place in range {
            let valid = arrow::array::Array::is_valid(elements, place);
            let Some(text) = (if valid { Some(elements.value(place)) } else { instead }) else { continue };
            if !std::mem::take(&mut first) {
                out.push_str(delimiter);
            }
            out.push_str(text);
        }
        Ok(true)
    })
}

pub(super) fn type_concat(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() || !call.types.iter().all(|found| matches!(found, SqlType::Array(_))) {
        return call.refuse("arrays");
    }
    let Some(result) = common_type(call.types) else { return call.refuse("arrays whose types go together") };
    Ok(Typed { arguments: vec![result.clone(); call.types.len()], result, nullable: call.any_nullable() })
}

pub(super) fn concat(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let lists: Vec<_> = inputs.columns.iter().map(Lists::new).collect();
    let arrays: Vec<&dyn arrow::array::Array> = lists.iter().map(|list| list.values().as_ref()).collect();
    let values = arrow::compute::concat(&arrays)?;
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let before = picks.places.len();
        let mut shift = 0;
        let mut valid = true;
        for list in &lists {
            match list.range(row) {
                Some(range) => picks.places.extend(range.map(|place| (shift + place) as u32)),
                None => valid = false,
            }
            shift += list.values().len();
        }
        if !valid {
            picks.places.truncate(before);
        }
        picks.end(valid);
    }
    picks.lists(&values, inputs.result)
}

pub(super) fn append(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    with_one(inputs, false)
}

pub(super) fn prepend(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    with_one(inputs, true)
}

fn with_one(inputs: &Inputs<'_>, front: bool) -> Result<ArrayRef> {
    let (lists, elements) = (Lists::new(&inputs.columns[0]), inputs.any(1));
    let values = joined(lists.values(), &inputs.columns[1].array)?;
    let shift = lists.values().len();
    let mut picks = Picks::default();
    for row in 0..inputs.rows {
        let Some(range) = lists.range(row) else {
            picks.end(false);
            continue;
        };
        let one = (shift + elements.index(row)) as u32;
        let rest = range.map(|place| place as u32);
        match front {
            true => picks.places.extend(std::iter::once(one).chain(rest)),
            false => picks.places.extend(rest.chain(std::iter::once(one))),
        }
        picks.end(true);
    }
    picks.lists(&values, inputs.result)
}
