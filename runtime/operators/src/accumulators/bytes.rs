//! Accumulators that keep bytes per group: strings, nested values, lists and multisets.

use super::ordered::{Layout, Ordered};
use super::{Accumulator, Changes, GroupRows, Place};
use crate::OperatorError;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, ListArray, MapArray, StringArray, StructArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use std::sync::Arc;
use weir_types::{KeyEncoder, KeyError, SqlField};

/// How values of one type are written as bytes. Both ways keep the order of the values, but for NULL, which
/// raw bytes do not tell.
#[derive(Clone, Debug)]
pub(crate) enum ValueCodec {
    /// strings and bytes, as they are
    Raw(DataType),
    /// everything else as the key codec writes it
    Canonical(DataType, KeyEncoder),
}

/// The values of a column, encoded.
pub(crate) struct EncodedColumn {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    raw: Option<ArrayRef>,
    nulls: Option<NullBuffer>,
}

impl From<KeyError> for OperatorError {
    fn from(error: KeyError) -> Self {
        OperatorError::Internal(error.to_string())
    }
}

impl ValueCodec {
    pub(crate) fn new(data_type: &DataType) -> Result<Self, OperatorError> {
        match data_type {
            DataType::Utf8 | DataType::Binary => Ok(ValueCodec::Raw(data_type.clone())),
            other => match KeyEncoder::new(std::slice::from_ref(other)) {
                Ok(encoder) => Ok(ValueCodec::Canonical(other.clone(), encoder)),
                Err(error) => Err(OperatorError::Unsupported(error.to_string())),
            },
        }
    }

    pub(crate) fn encode(&self, column: &ArrayRef) -> Result<EncodedColumn, OperatorError> {
        let nulls = column.logical_nulls();
        let ValueCodec::Canonical(_, encoder) = self else {
            return Ok(EncodedColumn {
                offsets: Vec::new(),
                bytes: Vec::new(),
                raw: Some(column.clone()),
                nulls,
            });
        };
        let keys = encoder.encode(std::slice::from_ref(column), column.len())?;
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for row in 0..keys.len() {
            keys.write_canonical(row, &mut bytes);
            offsets.push(bytes.len() as u32);
        }
        Ok(EncodedColumn { offsets, bytes, raw: None, nulls })
    }

    /// A column of the values; `None` is NULL.
    pub(crate) fn decode<'a>(
        &self,
        values: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<ArrayRef, OperatorError> {
        match self {
            ValueCodec::Raw(DataType::Binary) => Ok(Arc::new(values.collect::<BinaryArray>())),
            ValueCodec::Raw(_) => strings(values),
            ValueCodec::Canonical(data_type, encoder) => {
                let null = null_encoding(data_type, encoder)?;
                let (mut offsets, mut bytes) = (vec![0], Vec::new());
                for value in values {
                    bytes.extend_from_slice(value.unwrap_or(&null));
                    offsets.push(bytes.len() as u32);
                }
                let mut columns = encoder.decode(&encoder.from_canonical(&offsets, &bytes)?)?;
                columns.pop().ok_or_else(|| OperatorError::internal("a key of one column has none"))
            }
        }
    }
}

fn null_encoding(data_type: &DataType, encoder: &KeyEncoder) -> Result<Vec<u8>, OperatorError> {
    let mut bytes = Vec::new();
    encoder.encode(&[arrow::array::new_null_array(data_type, 1)], 1)?.write_canonical(0, &mut bytes);
    Ok(bytes)
}

fn strings<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef, OperatorError> {
    let bytes: BinaryArray = values.collect();
    let text = StringArray::try_from_binary(bytes)
        .map_err(|error| OperatorError::Internal(format!("stored text is not UTF-8: {error}")))?;
    Ok(Arc::new(text))
}

impl EncodedColumn {
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(match &self.raw {
            Some(column) if *column.data_type() == DataType::Utf8 => {
                column.as_string::<i32>().value(row).as_bytes()
            }
            Some(column) => column.as_binary::<i32>().value(row),
            None => &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize],
        })
    }
}

/// Items behind one another, each behind its length; a length of `u32::MAX` is a NULL.
pub(crate) mod items {
    const NULL: u32 = u32::MAX;

    pub(crate) fn push(list: &mut Vec<u8>, item: Option<&[u8]>) {
        list.extend_from_slice(&item.map_or(NULL, |item| item.len() as u32).to_le_bytes());
        list.extend_from_slice(item.unwrap_or(&[]));
    }

    /// The item at `offset` and the offset behind it; `None` at the end. What is cut off is not seen: lists
    /// come from the state, which checks what it reads.
    pub(crate) fn next(list: &[u8], offset: usize) -> Option<(Option<&[u8]>, usize)> {
        let (length, rest) = list.get(offset..)?.split_first_chunk::<4>()?;
        match u32::from_le_bytes(*length) {
            NULL => Some((None, offset + 4)),
            length => Some((Some(rest.get(..length as usize)?), offset + 4 + length as usize)),
        }
    }

    pub(crate) fn iter(list: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let (item, end) = next(list, offset)?;
            offset = end;
            Some(item)
        })
    }

    /// Removes the first item that equals `item`; false if there is none.
    pub(crate) fn remove(list: &mut Vec<u8>, item: Option<&[u8]>) -> bool {
        let mut offset = 0;
        while let Some((found, end)) = next(list, offset) {
            if found == item {
                list.drain(offset..end);
                return true;
            }
            offset = end;
        }
        false
    }
}

/// What the bytes of a result are.
#[derive(Clone, Debug)]
pub(crate) enum ResultForm {
    /// one value
    Value(ValueCodec),
    /// items: an ARRAY
    Array(ValueCodec, FieldRef),
    /// items that are value, count (4 bytes), value, count and so on: a MULTISET
    Multiset(ValueCodec, FieldRef),
}

/// Results behind one another.
#[derive(Default)]
pub(crate) struct ByteResults {
    ends: Vec<usize>,
    valid: Vec<bool>,
    bytes: Vec<u8>,
}

impl ByteResults {
    pub(crate) fn push_null(&mut self) {
        self.ends.push(self.bytes.len());
        self.valid.push(false);
    }

    pub(crate) fn push(&mut self, result: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(result));
    }

    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self.valid.push(true);
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.valid[index].then(|| &self.bytes[start..self.ends[index]])
    }

    /// Repeats the last result.
    fn repeat(&mut self) {
        let last = self.ends.len() - 1;
        let start = if last == 0 { 0 } else { self.ends[last - 1] };
        self.bytes.extend_from_within(start..self.ends[last]);
        self.ends.push(self.bytes.len());
        self.valid.push(self.valid[last]);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.ends.len()).map(|index| self.get(index))
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let valid = BooleanBuffer::from(self.valid.clone());
        self.valid.contains(&false).then(|| NullBuffer::new(valid))
    }

    /// Columns of strings and lists have offsets of 31 bits.
    fn check(&self) -> Result<(), OperatorError> {
        if self.bytes.len() <= i32::MAX as usize {
            return Ok(());
        }
        let rows = self.ends.len();
        let what = "an aggregate that keeps all values of a group has results of more than 2 GiB";
        Err(OperatorError::Evaluation(format!("{what} in {rows} rows: aggregate fewer rows in one group")))
    }

    fn finish(self, form: &ResultForm) -> Result<ArrayRef, OperatorError> {
        self.check()?;
        match form {
            ResultForm::Value(codec) => codec.decode(self.iter()),
            ResultForm::Array(codec, element) => {
                let lengths = self.iter().map(|list| list.map_or(0, |list| items::iter(list).count()));
                let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
                let values = codec.decode(self.iter().flatten().flat_map(items::iter))?;
                Ok(Arc::new(ListArray::try_new(element.clone(), offsets, values, self.nulls())?))
            }
            ResultForm::Multiset(codec, entries) => self.finish_multiset(codec, entries),
        }
    }

    fn finish_multiset(self, codec: &ValueCodec, entries: &FieldRef) -> Result<ArrayRef, OperatorError> {
        let lengths = self.iter().map(|list| list.map_or(0, |list| items::iter(list).count() / 2));
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let keys = codec.decode(self.iter().flatten().flat_map(|list| items::iter(list).step_by(2)))?;
        let counts = self.iter().flatten().flat_map(|list| items::iter(list).skip(1).step_by(2));
        let counts: ScalarBuffer<i32> = counts
            .map(|count| count.and_then(|count| count.try_into().ok()).map_or(0, i32::from_le_bytes))
            .collect();
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(OperatorError::internal("a multiset's entries are no struct"));
        };
        let columns: Vec<ArrayRef> = vec![keys, Arc::new(Int32Array::new(counts, None))];
        let values = StructArray::try_new(fields.clone(), columns, None)?;
        Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, values, self.nulls(), false)?))
    }
}

/// What an aggregate function does to one group's words and byte string.
pub(crate) trait BytesKernel: Send {
    const WORDS: usize;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>);
    /// Only called where `create_accumulator` lets this function over an input that retracts.
    fn retract(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>);
    fn result(&self, words: &[u64], held: &[u8], results: &mut ByteResults);
    fn merge(&self, words: &mut [u64], held: &mut Vec<u8>, other_words: &[u64], other: &[u8]);
    /// True if a result may become longer with each row; else it is one of the values.
    const GROWS: bool;

    /// About how many bytes the result takes.
    fn result_bytes(&self, held: &[u8]) -> usize {
        held.len()
    }

    /// Where values are held in order and the first one is the result: how, and whether it is the greatest.
    fn ordered(&self) -> Option<(Layout, bool)> {
        None
    }

    /// True if the group breaks the function's rule.
    fn is_broken(&self, _words: &[u64]) -> bool {
        false
    }
}

/// A [`BytesKernel`] over one or two argument columns.
pub(crate) struct Bytes<K> {
    pub(crate) kernel: K,
    pub(crate) fields: Vec<SqlField>,
    pub(crate) arguments: Vec<ValueCodec>,
    pub(crate) form: ResultForm,
    pub(crate) ignores_nulls: bool,
    pub(crate) rule: &'static str,
}

impl<K: BytesKernel> Bytes<K> {
    fn encode(&self, arguments: &[ArrayRef]) -> Result<Vec<EncodedColumn>, OperatorError> {
        self.arguments.iter().zip(arguments).map(|(codec, column)| codec.encode(column)).collect()
    }

    fn check(&self, place: Place, rows: &GroupRows) -> Result<(), OperatorError> {
        let broken = !self.rule.is_empty()
            && (0..rows.len()).any(|row| self.kernel.is_broken(rows.part(row, place.word, K::WORDS)));
        if broken { Err(OperatorError::Evaluation(self.rule.to_string())) } else { Ok(()) }
    }

    /// Counts row `row` in, or out.
    fn change(
        &self,
        place: Place,
        rows: &mut GroupRows,
        columns: &[EncodedColumn],
        changes: &Changes<'_>,
        row: usize,
    ) {
        let group = changes.groups[row] as usize;
        let (words, held) = rows.both_mut(group, place.word, K::WORDS, place.value);
        let value = columns.first().and_then(|column| column.get(row));
        let second = columns.get(1).and_then(|column| column.get(row));
        if changes.retractions.is_some_and(|retractions| retractions.retracts[row]) {
            self.kernel.retract(words, held, value, second);
        } else {
            self.kernel.add(words, held, value, second);
        }
    }

    fn reset(&self, place: Place, rows: &mut GroupRows, changes: &Changes<'_>, row: usize) {
        if changes.retractions.is_some_and(|retractions| retractions.resets[row]) {
            let group = changes.groups[row] as usize;
            let (words, held) = rows.both_mut(group, place.word, K::WORDS, place.value);
            words.fill(0);
            held.clear();
        }
    }

    fn push_result(&self, place: Place, rows: &GroupRows, group: usize, results: &mut ByteResults) {
        let words = rows.part(group, place.word, K::WORDS);
        self.kernel.result(words, rows.value(group, place.value), results);
    }
}

fn is_selected(changes: &Changes<'_>, row: usize) -> bool {
    changes.selected.as_ref().is_none_or(|selected| selected.value(row))
}

impl<K: BytesKernel> Accumulator for Bytes<K> {
    fn fields(&self) -> &[SqlField] {
        &self.fields
    }

    fn ignores_nulls(&self) -> bool {
        self.ignores_nulls
    }

    fn result_bytes(&self, place: Place, rows: &GroupRows, row: usize) -> usize {
        self.kernel.result_bytes(rows.value(row, place.value))
    }

    fn grows(&self) -> bool {
        K::GROWS
    }

    fn ordered(&self) -> Option<Ordered<'_>> {
        let ((layout, greatest), codec) = (self.kernel.ordered()?, self.arguments.first()?);
        Some(Ordered { codec, layout, greatest })
    }

    fn update(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
    ) -> Result<(), OperatorError> {
        let columns = self.encode(arguments)?;
        for row in 0..changes.groups.len() {
            if is_selected(changes, row) {
                self.change(place, rows, &columns, changes, row);
            }
            self.reset(place, rows, changes, row);
        }
        self.check(place, rows)
    }

    fn trace(
        &self,
        place: Place,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
        changed: &mut [bool],
    ) -> Result<ArrayRef, OperatorError> {
        let columns = self.encode(arguments)?;
        let mut results = ByteResults::default();
        for (row, changed) in changed.iter_mut().enumerate() {
            let group = changes.groups[row] as usize;
            self.push_result(place, rows, group, &mut results);
            if is_selected(changes, row) {
                self.change(place, rows, &columns, changes, row);
                self.push_result(place, rows, group, &mut results);
                *changed |= results.get(2 * row) != results.get(2 * row + 1);
            } else {
                results.repeat();
            }
            results.check()?;
            self.reset(place, rows, changes, row);
        }
        self.check(place, rows)?;
        results.finish(&self.form)
    }

    fn merge(
        &self,
        place: Place,
        rows: &mut GroupRows,
        into: &[u32],
        from: &GroupRows,
    ) -> Result<(), OperatorError> {
        for (row, into) in into.iter().enumerate() {
            let (words, held) = rows.both_mut(*into as usize, place.word, K::WORDS, place.value);
            let other = from.part(row, place.word, K::WORDS);
            self.kernel.merge(words, held, other, from.value(row, place.value));
        }
        self.check(place, rows)
    }

    fn emit(&self, place: Place, rows: &GroupRows) -> Result<ArrayRef, OperatorError> {
        let mut results = ByteResults::default();
        for row in 0..rows.len() {
            self.push_result(place, rows, row, &mut results);
            results.check()?;
        }
        results.finish(&self.form)
    }
}

/// The field of a list's elements, or of a map's entries.
pub(crate) fn inner_field(data_type: &DataType) -> Result<FieldRef, OperatorError> {
    match data_type {
        DataType::List(inner) | DataType::Map(inner, _) => Ok(inner.clone()),
        other => Err(OperatorError::Internal(format!(
            "a collection is {other}: {}",
            Field::LIST_FIELD_DEFAULT_NAME
        ))),
    }
}
