//! Where the parts of an entry lie in its row.
//!
//! `[key words, or a handle | last access | fields, the widest first | flags]`, filled up to a multiple of 8
//! bytes, so that an update of an entry touches one or two cache lines. Flags: bit 0 live, bit 1 the key is
//! NULL, bit `2 + i` nullable field `i` is NULL.
//!
//! The last [`STAMP_BYTES`] of a row say in which interval between two snapshots it was written last.

use crate::descriptor::{FieldKind, StateKind};
use arrow::datatypes::DataType;
use weir_types::{KeyEncoder, KeyError, KeyShape, SqlField};

/// The interval of the last write, at the end of a row.
pub(crate) const STAMP_BYTES: usize = 4;

/// The form of a key inside a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKey {
    /// so many words of eight bytes
    Words(usize),
    /// a handle of 16 bytes, see `arena`
    Bytes,
}

impl RowKey {
    pub(crate) fn of(shape: KeyShape) -> RowKey {
        match shape {
            KeyShape::Word { .. } => RowKey::Words(1),
            KeyShape::Fixed2 { .. } => RowKey::Words(2),
            KeyShape::Fixed3 { .. } => RowKey::Words(3),
            KeyShape::Bytes => RowKey::Bytes,
        }
    }

    /// The key of an entry of a state of `kind`, whose keys or map keys are of `shape`.
    pub(crate) fn of_kind(kind: StateKind, shape: KeyShape) -> RowKey {
        match kind {
            StateKind::Value => RowKey::of(shape),
            StateKind::Map => RowKey::of(shape).under_parent(),
            // parent and number
            StateKind::List => RowKey::Words(2),
            // time, namespace, key
            StateKind::EventTimers | StateKind::ProcessingTimers => RowKey::Bytes,
        }
    }

    /// The key of an entry under a parent: the parent's slot is one more word, or four bytes in front.
    pub(crate) fn under_parent(self) -> RowKey {
        match self {
            RowKey::Words(words) => RowKey::Words(words + 1),
            RowKey::Bytes => RowKey::Bytes,
        }
    }

    pub(crate) fn width(self) -> usize {
        match self {
            RowKey::Words(words) => 8 * words,
            RowKey::Bytes => 16,
        }
    }
}

/// A field's place in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldPlace {
    pub(crate) kind: FieldKind,
    pub(crate) offset: usize,
    /// the flag that says NULL
    pub(crate) null_flag: Option<Flag>,
}

/// One bit of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) offset: usize,
    pub(crate) bit: u8,
}

/// Fields that are words side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordRun {
    pub(crate) offset: usize,
    pub(crate) count: usize,
}

#[derive(Debug)]
pub(crate) struct RowLayout {
    pub(crate) key: RowKey,
    /// milliseconds of the last access
    pub(crate) last_access: Option<usize>,
    pub(crate) fields: Vec<FieldPlace>,
    /// of each field its type, and for one of a nested type how it is written
    pub(crate) types: Vec<(DataType, Option<KeyEncoder>)>,
    /// all fields, in their order, if each is a number of 64 bits that cannot be NULL
    pub(crate) words: Option<WordRun>,
    pub(crate) live: Flag,
    pub(crate) null_key: Flag,
    pub(crate) stride: usize,
    /// a fresh row as far as its flags: live, nullable fields NULL, all others zero
    pub(crate) template: Vec<u8>,
}

impl RowLayout {
    /// # Errors
    /// [`KeyError::Unsupported`] for a field of a type that cannot be kept.
    pub(crate) fn new(key: RowKey, fields: &[SqlField], ttl: bool) -> Result<Self, KeyError> {
        let types = fields.iter().map(|field| {
            let data_type = field.sql_type.data_type();
            let nested = if data_type.is_nested() {
                Some(KeyEncoder::new(std::slice::from_ref(&data_type))?)
            } else {
                None
            };
            Ok((data_type, nested))
        });
        let types = types.collect::<Result<Vec<_>, _>>()?;
        let mut next = key.width();
        let mut place = |width: usize| {
            next += width;
            next - width
        };
        let last_access = ttl.then(|| place(8));
        let kinds: Vec<FieldKind> = fields.iter().map(|field| FieldKind::of(&field.sql_type)).collect();
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by_key(|&field| std::cmp::Reverse(kinds[field].width()));
        let mut offsets = vec![0; fields.len()];
        for field in order {
            offsets[field] = place(kinds[field].width());
        }
        let nullable = fields.iter().filter(|field| field.nullable).count();
        let flags = place((2 + nullable).div_ceil(8));
        let flag = |index: usize| Flag { offset: flags + index / 8, bit: 1 << (index % 8) };
        let mut next_flag = 2;
        let places = fields.iter().zip(&kinds).zip(&offsets).map(|((field, &kind), &offset)| {
            let null_flag = field.nullable.then(|| flag(next_flag));
            next_flag += usize::from(field.nullable);
            FieldPlace { kind, offset, null_flag }
        });
        let fields: Vec<FieldPlace> = places.collect();
        let stride = (next + STAMP_BYTES).next_multiple_of(8);
        let mut template = vec![0; next];
        template[flags] = 1;
        for flag in fields.iter().filter_map(|field| field.null_flag) {
            template[flag.offset] |= flag.bit;
        }
        let words = word_run(&fields);
        let (live, null_key) = (flag(0), flag(1));
        Ok(RowLayout { key, last_access, fields, types, words, live, null_key, stride, template })
    }
}

/// Fields of one width keep their order, so that those of 64 bits lie side by side.
fn word_run(fields: &[FieldPlace]) -> Option<WordRun> {
    let is_word = |place: &FieldPlace| {
        matches!(place.kind, FieldKind::I64 | FieldKind::F64) && place.null_flag.is_none()
    };
    let first = fields.first()?;
    fields.iter().all(is_word).then_some(WordRun { offset: first.offset, count: fields.len() })
}
