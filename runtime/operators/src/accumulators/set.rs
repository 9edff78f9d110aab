//! The aggregates of one operator together: what they keep, and how it travels between the state and
//! [`GroupRows`].

use super::{Accumulator, GroupRows, Place, create_accumulator};
use crate::OperatorError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::Schema;
use weir_state::{FieldKind, PinBuffer, Rows};
use weir_types::{AggregateCall, SqlField};

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
}

/// A field of the state and where its value lies in a row of [`GroupRows`].
#[derive(Clone, Copy)]
struct FieldSlot {
    kind: FieldKind,
    word: usize,
    value: usize,
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
        self.slots.push(FieldSlot { kind, word: self.words, value: self.values });
        self.fields.push(field.clone());
        match kind {
            FieldKind::Bytes => {
                self.values += 1;
                self.has_bytes = true;
            }
            FieldKind::I128 => self.words += 2,
            _ => self.words += 1,
        }
    }

    fn add_distinct(&mut self, call: &AggregateCall) -> (usize, usize) {
        let map = match self.distincts.iter().position(|spec| spec.arguments == call.arguments) {
            Some(map) => map,
            None => {
                let arguments = call.arguments.clone();
                self.distincts.push(DistinctSpec { arguments, filters: Vec::new() });
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
    pub(crate) fn load(&self, state: &Rows<'_>, slots: &[u32], rows: &mut GroupRows) {
        rows.reset(slots.len());
        let per_row = rows.words_per_row();
        for (field, place) in self.slots.iter().enumerate() {
            let words = rows.words_mut().get_mut(place.word..).unwrap_or(&mut []);
            match place.kind {
                FieldKind::I64 => {
                    let column = state.column::<i64>(field);
                    for (row, slot) in slots.iter().enumerate() {
                        words[row * per_row] = column.get(*slot) as u64;
                    }
                }
                FieldKind::F64 => {
                    let column = state.column::<f64>(field);
                    for (row, slot) in slots.iter().enumerate() {
                        words[row * per_row] = column.get(*slot).to_bits();
                    }
                }
                FieldKind::I128 => {
                    let column = state.column::<i128>(field);
                    for (row, slot) in slots.iter().enumerate() {
                        let value = column.get(*slot);
                        words[row * per_row] = value as u64;
                        words[row * per_row + 1] = (value >> 64) as u64;
                    }
                }
                FieldKind::Bytes => {
                    for (row, slot) in slots.iter().enumerate() {
                        if let Some(value) = state.bytes(*slot, field) {
                            rows.value_mut(row, place.value).extend_from_slice(&value);
                        }
                    }
                }
                other => unreachable!("accumulators keep no field of kind {other:?}"),
            }
        }
    }

    /// Makes the state at `slots` what `rows` has.
    pub(crate) fn store(&self, rows: &GroupRows, slots: &[u32], pins: &mut PinBuffer, state: &mut Rows<'_>) {
        let per_row = rows.words_per_row();
        let pinned = state.pin(slots, pins);
        for (field, place) in self.slots.iter().enumerate() {
            let words = rows.words().get(place.word..).unwrap_or(&[]);
            match place.kind {
                FieldKind::I64 => {
                    let column = pinned.column::<i64>(field);
                    for row in 0..slots.len() {
                        column.set(row, words[row * per_row] as i64);
                    }
                }
                FieldKind::F64 => {
                    let column = pinned.column::<f64>(field);
                    for row in 0..slots.len() {
                        column.set(row, f64::from_bits(words[row * per_row]));
                    }
                }
                FieldKind::I128 => {
                    let column = pinned.column::<i128>(field);
                    for row in 0..slots.len() {
                        let low = u128::from(words[row * per_row]);
                        column.set(row, (low | u128::from(words[row * per_row + 1]) << 64) as i128);
                    }
                }
                _ => {}
            }
        }
        for (field, place) in
            self.slots.iter().enumerate().filter(|(_, place)| place.kind == FieldKind::Bytes)
        {
            for (row, slot) in slots.iter().enumerate() {
                let value = rows.value(row, place.value);
                if state.bytes(*slot, field).as_deref() != Some(value) {
                    state.set_bytes(*slot, field, Some(value));
                }
            }
        }
    }

    /// True if results have no fixed width, so that a batch of them may be large.
    pub(crate) fn has_bytes(&self) -> bool {
        self.has_bytes
    }

    /// About how many bytes the widest row of results takes.
    pub(crate) fn result_bytes(&self, rows: &GroupRows) -> usize {
        let of_row = |row: usize| -> usize {
            self.members.iter().map(|member| member.accumulator.result_bytes(member.place, rows, row)).sum()
        };
        (0..rows.len()).map(of_row).max().unwrap_or(0)
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

    /// One column per aggregate: the results of `rows`.
    pub(crate) fn emit(&self, rows: &GroupRows) -> Result<Vec<ArrayRef>, OperatorError> {
        self.members.iter().map(|member| member.accumulator.emit(member.place, rows)).collect()
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
