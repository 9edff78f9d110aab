//! The aggregates of one operator together: what they keep, and how it travels between the state and
//! [`GroupRows`].

use super::{Accumulator, GroupRows, Place, create_accumulator, unlike};
use crate::OperatorError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Schema};
use weir_state::{FieldKind, FieldValue, PinBuffer, Pinned, Rows, Viewed};
use weir_types::{AggregateCall, AggregateFunction, SqlField};

/// Results of one step take about so many bytes at most, where they have no fixed width. In tests so few that there are steps.
pub(crate) const RESULT_BYTES: usize = if cfg!(test) { 512 } else { 16 << 20 };

/// The bytes that the widest row of some columns takes, or about as many.
fn width<'a>(columns: impl Iterator<Item = &'a ArrayRef>) -> usize {
    let of_column = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().offsets().lengths().max().unwrap_or(0),
        DataType::Binary => column.as_binary::<i32>().offsets().lengths().max().unwrap_or(0),
        _ => column.to_data().get_slice_memory_size().unwrap_or(0) / column.len().max(1),
    };
    columns.map(|column| of_column(column) + 4).sum()
}

/// One aggregate call with its accumulator.
pub(crate) struct Member {
    pub(crate) call: AggregateCall,
    pub(crate) accumulator: Box<dyn Accumulator>,
    pub(crate) place: Place,
    /// DISTINCT: the map of seen values, and this call's bit in it
    pub(crate) distinct: Option<(usize, usize)>,
}

/// The values that some DISTINCT aggregates have seen: calls with the same arguments share them, and each
/// filter among them has a bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DistinctSpec {
    pub(crate) arguments: Vec<usize>,
    /// the filter column of each bit
    pub(crate) filters: Vec<Option<usize>>,
    /// NULL is a value among others (ARRAY_AGG)
    pub(crate) keeps_null: bool,
}

/// A field of the state and where its value lies in a row of [`GroupRows`].
#[derive(Clone, Copy)]
struct FieldSlot {
    kind: FieldKind,
    word: usize,
    value: usize,
    /// the word that is 0 where a nullable field is NULL
    seen: Option<usize>,
}

pub(crate) struct AccumulatorSet {
    members: Vec<Member>,
    distincts: Vec<DistinctSpec>,
    fields: Vec<SqlField>,
    slots: Vec<FieldSlot>,
    words: usize,
    values: usize,
    has_bytes: bool,
}

impl AccumulatorSet {
    /// The accumulators of `calls` over an input of `schema`. `leading` fields of one word each stand in
    /// front of theirs.
    pub(crate) fn new(
        calls: &[AggregateCall],
        schema: &Schema,
        retracts: bool,
        leading: Vec<SqlField>,
    ) -> Result<Self, OperatorError> {
        let mut set = AccumulatorSet {
            members: Vec::new(),
            distincts: Vec::new(),
            fields: Vec::new(),
            slots: Vec::new(),
            words: 0,
            values: 0,
            has_bytes: false,
        };
        leading.iter().for_each(|field| set.add_field(field));
        for call in calls {
            let accumulator = create_accumulator(call, schema, retracts)?;
            let place = Place { word: set.words, value: set.values };
            accumulator.fields().iter().for_each(|field| set.add_field(field));
            let distinct = call.distinct.then(|| set.add_distinct(call));
            set.members.push(Member { call: call.clone(), accumulator, place, distinct });
        }
        Ok(set)
    }

    fn add_field(&mut self, field: &SqlField) {
        let kind = FieldKind::of(&field.sql_type);
        let mut slot = FieldSlot { kind, word: self.words, value: self.values, seen: None };
        let name = unlike(field.name.clone(), self.fields.iter().map(|field| field.name.as_str()));
        self.fields.push(SqlField { name, ..field.clone() });
        match kind {
            FieldKind::Bytes => {
                self.values += 1;
                self.has_bytes = true;
            }
            FieldKind::I128 => self.words += 2,
            _ => self.words += 1,
        }
        if field.nullable {
            slot.seen = Some(self.words);
            self.words += 1;
        }
        self.slots.push(slot);
    }

    fn add_distinct(&mut self, call: &AggregateCall) -> (usize, usize) {
        let keeps_null = call.function == AggregateFunction::ArrayAgg;
        let known = |spec: &DistinctSpec| spec.arguments == call.arguments && spec.keeps_null == keeps_null;
        let map = match self.distincts.iter().position(known) {
            Some(map) => map,
            None => {
                let arguments = call.arguments.clone();
                self.distincts.push(DistinctSpec { arguments, filters: Vec::new(), keeps_null });
                self.distincts.len() - 1
            }
        };
        let filters = &mut self.distincts[map].filters;
        let bit = filters.iter().position(|filter| *filter == call.filter).unwrap_or_else(|| {
            filters.push(call.filter);
            filters.len() - 1
        });
        (map, bit)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn distincts(&self) -> &[DistinctSpec] {
        &self.distincts
    }

    /// The value fields of the state.
    pub(crate) fn fields(&self) -> &[SqlField] {
        &self.fields
    }

    pub(crate) fn new_rows(&self) -> GroupRows {
        GroupRows::new(self.words, self.values)
    }

    /// Makes `rows` what the state has at `slots`.
    pub(crate) fn load(&self, state: &Rows<'_>, slots: &[u32], pins: &mut PinBuffer, rows: &mut GroupRows) {
        rows.reset(slots.len());
        let viewed = state.view(slots, pins);
        if viewed.read_words(rows.words_mut()) {
            return;
        }
        for (field, place) in self.slots.iter().enumerate() {
            match place.kind {
                FieldKind::I64 => load::<i64>(&viewed, field, place, rows, |value| value as u64),
                FieldKind::F64 => load::<f64>(&viewed, field, place, rows, f64::to_bits),
                FieldKind::I32 => load::<i32>(&viewed, field, place, rows, |v| i64::from(v) as u64),
                FieldKind::I16 => load::<i16>(&viewed, field, place, rows, |v| i64::from(v) as u64),
                FieldKind::I8 => load::<i8>(&viewed, field, place, rows, |v| i64::from(v) as u64),
                FieldKind::Bool => load::<u8>(&viewed, field, place, rows, u64::from),
                FieldKind::F32 => load::<f32>(&viewed, field, place, rows, |v| f64::from(v).to_bits()),
                FieldKind::I128 => {
                    load::<i128>(&viewed, field, place, rows, |value| value as u64);
                    let high = FieldSlot { word: place.word + 1, ..*place };
                    load::<i128>(&viewed, field, &high, rows, |value| (value >> 64) as u64);
                }
                FieldKind::Bytes => {
                    for (row, slot) in slots.iter().enumerate() {
                        let Some(value) = state.bytes(*slot, field) else { continue };
                        rows.value_mut(row, place.value).extend_from_slice(&value);
                        if let Some(seen) = place.seen {
                            rows.part_mut(row, seen, 1)[0] = 1;
                        }
                    }
                }
            }
        }
    }

    /// Makes the state at `slots` what `rows` has.
    pub(crate) fn store(&self, rows: &GroupRows, slots: &[u32], pins: &mut PinBuffer, state: &mut Rows<'_>) {
        let pinned = state.pin(slots, pins);
        if pinned.write_words(rows.words()) {
            return;
        }
        for (field, place) in self.slots.iter().enumerate() {
            match place.kind {
                FieldKind::I64 => store::<i64>(&pinned, field, place, rows, |words| words[0] as i64),
                FieldKind::F64 => store::<f64>(&pinned, field, place, rows, |words| f64::from_bits(words[0])),
                FieldKind::I32 => store::<i32>(&pinned, field, place, rows, |words| words[0] as i32),
                FieldKind::I16 => store::<i16>(&pinned, field, place, rows, |words| words[0] as i16),
                FieldKind::I8 => store::<i8>(&pinned, field, place, rows, |words| words[0] as i8),
                FieldKind::Bool => store::<u8>(&pinned, field, place, rows, |words| u8::from(words[0] != 0)),
                FieldKind::F32 => {
                    store::<f32>(&pinned, field, place, rows, |words| f64::from_bits(words[0]) as f32);
                }
                FieldKind::I128 => store::<i128>(&pinned, field, place, rows, |words| {
                    (u128::from(words[0]) | u128::from(words[1]) << 64) as i128
                }),
                FieldKind::Bytes => {}
            }
        }
        for (field, place) in
            self.slots.iter().enumerate().filter(|(_, place)| place.kind == FieldKind::Bytes)
        {
            for (row, slot) in slots.iter().enumerate() {
                let seen = place.seen.is_none_or(|seen| rows.part(row, seen, 1)[0] != 0);
                let value = seen.then(|| rows.value(row, place.value));
                if state.bytes(*slot, field).as_deref() != value {
                    state.set_bytes(*slot, field, value);
                }
            }
        }
    }

    /// True if results have no fixed width, so that a batch of them may be large.
    pub(crate) fn has_bytes(&self) -> bool {
        self.has_bytes
    }

    /// About how many bytes the widest row of results takes.
    fn result_bytes(&self, rows: &GroupRows) -> usize {
        let of_row = |row: usize| -> usize {
            self.members.iter().map(|member| member.accumulator.result_bytes(member.place, rows, row)).sum()
        };
        (0..rows.len()).map(of_row).max().unwrap_or(0)
    }

    /// How many results that are as long as the longest of `rows` take [`RESULT_BYTES`], one at least.
    pub(crate) fn results_at_once(&self, rows: &GroupRows) -> usize {
        (RESULT_BYTES / (2 * self.result_bytes(rows).max(64))).max(1)
    }

    /// How many of `steps`, one at least, are counted in at once, so that the results before and after each take about
    /// [`RESULT_BYTES`]: all where results have a fixed width. `rows` has what was seen so far.
    pub(crate) fn steps_at_once(&self, rows: &GroupRows, steps: &RecordBatch) -> usize {
        let all = steps.num_rows();
        if !self.has_bytes || all == 0 {
            return all;
        }
        let widest = self.result_bytes(rows).max(64);
        let calls = self.members.iter().filter(|member| member.accumulator.grows());
        let grows =
            calls.map(|member| width(member.call.arguments.iter().map(|column| steps.column(*column))));
        let grows = grows.max().unwrap_or(0);
        // The results of a group that has all of the rows become longer with each.
        let bytes = |len: usize| len.saturating_mul(2 * widest).saturating_add(len * len * grows);
        let mut len = self.results_at_once(rows).min(all);
        while len > 1 && bytes(len) > RESULT_BYTES {
            len /= 2;
        }
        len
    }

    /// Which rows count for `member`, by its filter and NULL arguments; `None`: all.
    pub(crate) fn selection(
        member: &Member,
        rows: &RecordBatch,
    ) -> Result<Option<BooleanBuffer>, OperatorError> {
        let filter = member.call.filter.map(|filter| filter_bits(rows.column(filter))).transpose()?;
        if !member.accumulator.ignores_nulls() {
            return Ok(filter);
        }
        Ok(and(filter, valid_rows(&member.call.arguments, rows)))
    }

    pub(crate) fn arguments(member: &Member, rows: &RecordBatch) -> Vec<ArrayRef> {
        member.call.arguments.iter().map(|column| rows.column(*column).clone()).collect()
    }

    /// The results over no rows, one each.
    pub(crate) fn over_nothing(&self) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut rows = self.new_rows();
        rows.reset(1);
        self.emit(&rows)
    }

    /// One column per aggregate: the results of `rows`.
    pub(crate) fn emit(&self, rows: &GroupRows) -> Result<Vec<ArrayRef>, OperatorError> {
        self.members.iter().map(|member| member.accumulator.emit(member.place, rows)).collect()
    }
}

/// Reads field `field` of the entries into a word of each row, and into another whether it is NULL.
#[inline(always)]
fn load<T: FieldValue>(
    viewed: &Viewed<'_>,
    field: usize,
    place: &FieldSlot,
    rows: &mut GroupRows,
    word: impl Fn(T) -> u64,
) {
    let per_row = rows.words_per_row().max(1);
    let all = rows.words_mut().chunks_exact_mut(per_row);
    match place.seen {
        None => {
            all.zip(viewed.values::<T>(field)).for_each(|(words, value)| words[place.word] = word(value));
        }
        Some(seen) => {
            for (words, value) in all.zip(viewed.options::<T>(field)) {
                if let Some(value) = value {
                    words[place.word] = word(value);
                    words[seen] = 1;
                }
            }
        }
    }
}

/// The reverse of [`load`].
#[inline(always)]
fn store<T: FieldValue>(
    pinned: &Pinned<'_>,
    field: usize,
    place: &FieldSlot,
    rows: &GroupRows,
    value: impl Fn(&[u64]) -> T,
) {
    let column = pinned.column::<T>(field);
    let all = rows.words().chunks_exact(rows.words_per_row().max(1)).enumerate();
    match place.seen {
        None => all.for_each(|(row, words)| column.set(row, value(&words[place.word..]))),
        Some(seen) => all.for_each(|(row, words)| {
            column.set_option(row, (words[seen] != 0).then(|| value(&words[place.word..])));
        }),
    }
}

/// The rows where none of `columns` is NULL; `None`: all.
pub(crate) fn valid_rows(columns: &[usize], rows: &RecordBatch) -> Option<BooleanBuffer> {
    let nulls = columns.iter().filter_map(|column| rows.column(*column).logical_nulls());
    nulls
        .filter(|nulls| nulls.null_count() > 0)
        .fold(None, |valid, nulls: NullBuffer| and(valid, Some(nulls.inner().clone())))
}

/// Both, where `None` is all.
pub(crate) fn and(left: Option<BooleanBuffer>, right: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (left, right) {
        (Some(left), Some(right)) => Some(&left & &right),
        (left, right) => left.or(right),
    }
}

/// The rows where a filter column is TRUE.
pub(crate) fn filter_bits(column: &ArrayRef) -> Result<BooleanBuffer, OperatorError> {
    let filter = column.as_boolean_opt().ok_or_else(|| {
        OperatorError::Internal(format!("the filter of an aggregate is {}, not BOOLEAN", column.data_type()))
    })?;
    Ok(if filter.null_count() > 0 {
        prep_null_mask_filter(filter).values().clone()
    } else {
        filter.values().clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accumulators::Changes;
    use crate::event_script::schema;
    use crate::tests::call;
    use arrow::array::StringArray;
    use std::sync::Arc;
    use weir_types::SqlType;

    /// Rows of 20 bytes that all go into one text.
    #[test]
    fn steps_are_as_many_as_their_results_have_room() {
        let input = schema("v STRING");
        let list = call(AggregateFunction::ListAgg, &[0], SqlType::STRING);
        let set = AccumulatorSet::new(&[list], &input, false, Vec::new()).unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["01234567890123456789"; 100]));
        let steps = RecordBatch::try_new(input, vec![texts]).unwrap();
        let mut rows = set.new_rows();
        rows.reset(1);
        assert!(set.steps_at_once(&rows, &steps) > 1, "the first results are short");
        let groups = [0; 100];
        let mut start = 0;
        while start < 100 {
            let len = set.steps_at_once(&rows, &steps.slice(start, 100 - start));
            let arguments = [steps.column(0).slice(start, len)];
            let changes = Changes { groups: &groups[..len], selected: None, retractions: None };
            let Member { accumulator, place, .. } = &set.members()[0];
            let results = accumulator.trace(*place, &mut rows, &arguments, &changes, &mut vec![false; len]);
            let bytes = results.unwrap().as_string::<i32>().value_data().len();
            assert!(bytes <= RESULT_BYTES || len == 1, "{bytes} bytes of {len} steps");
            start += len;
        }
        assert_eq!(set.steps_at_once(&rows, &steps), 1);
    }
}
