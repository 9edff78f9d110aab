//! The names of an object's members, and the order in which records have them.

use super::cursor::{Cursor, Parsed};
use crate::columns::{Column, Values};
use std::collections::BTreeMap;

/// Keys that are remembered of one object, at most.
const MAX_REMEMBERED: usize = 256;

/// What is known about the JSON of a column besides its type.
pub(super) enum Shape {
    Scalar,
    Object(ObjectShape),
    /// of the elements of an ARRAY
    Elements(Box<Shape>),
    /// of the values of a MAP
    Entries(Box<Shape>),
}

impl Shape {
    pub(super) fn of(column: &Column) -> Shape {
        match &column.values {
            Values::List { element, .. } => Shape::Elements(Box::new(Shape::of(element))),
            Values::Map { entries, .. } => Shape::Entries(Box::new(Shape::of(&entries[1]))),
            Values::Row { members, .. } => Shape::Object(ObjectShape::of(members)),
            _ => Shape::Scalar,
        }
    }
}

/// Names of members and their columns.
pub(super) struct ObjectShape {
    places: BTreeMap<Box<[u8]>, usize>,
    /// in the order of the records so far, keys that are not wanted too
    remembered: Vec<Remembered>,
    pub(super) members: Vec<Shape>,
}

/// A key as it stands in the records, and whose it is.
struct Remembered {
    /// with its quotes
    key: Box<[u8]>,
    /// the first and the last eight bytes of a key of 8 to 16
    ends: Option<(u64, u64)>,
    place: Option<usize>,
}

impl Remembered {
    fn new(key: &[u8], place: Option<usize>) -> Self {
        let ends = match key.len() {
            8..=16 => key.first_chunk::<8>().zip(key.last_chunk::<8>()),
            _ => None,
        };
        let ends = ends.map(|(first, last)| (u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)));
        Remembered { key: key.into(), ends, place }
    }

    /// True if `rest` begins with the key. Two loads for the usual length rather than a call.
    #[inline]
    fn begins(&self, rest: &[u8]) -> bool {
        match self.ends {
            Some((first, last)) => match rest.get(..self.key.len()) {
                Some(key) => {
                    let (head, tail) = (key.first_chunk::<8>(), key.last_chunk::<8>());
                    head.is_some_and(|head| u64::from_ne_bytes(*head) == first)
                        && tail.is_some_and(|tail| u64::from_ne_bytes(*tail) == last)
                }
                None => false,
            },
            None => rest.starts_with(&self.key),
        }
    }
}

/// Where in the remembered order an object is.
#[derive(Clone, Copy, Default)]
pub(super) struct Expected(usize);

impl ObjectShape {
    pub(super) fn of(columns: &[Column]) -> ObjectShape {
        let names = columns.iter().enumerate();
        ObjectShape {
            places: names.map(|(place, column)| (column.field.name().as_bytes().into(), place)).collect(),
            remembered: Vec::new(),
            members: columns.iter().map(Shape::of).collect(),
        }
    }

    /// Reads a key, at its opening quote, and the colon after it: the column that it names, if it is a wanted one.
    #[inline]
    pub(super) fn key(&mut self, cursor: &mut Cursor<'_>, expected: &mut Expected) -> Parsed<Option<usize>> {
        let rest = &cursor.bytes[cursor.at..];
        if let Some(remembered) = self.remembered.get(expected.0)
            && remembered.begins(rest)
        {
            expected.0 += 1;
            cursor.at += remembered.key.len();
            cursor.expect(b':', "':'")?;
            return Ok(remembered.place);
        }
        self.unexpected_key(cursor, expected)
    }

    #[cold]
    fn unexpected_key(&mut self, cursor: &mut Cursor<'_>, expected: &mut Expected) -> Parsed<Option<usize>> {
        let rest = &cursor.bytes[cursor.at..];
        // A record that lacks members, or has them in another order, is still one that was seen.
        let from = expected.0.min(self.remembered.len());
        let known = self.remembered[from..].iter().position(|remembered| remembered.begins(rest));
        if let Some(found) = known {
            let remembered = &self.remembered[from + found];
            expected.0 = from + found + 1;
            cursor.at += remembered.key.len();
            cursor.expect(b':', "':'")?;
            return Ok(remembered.place);
        }
        let begin = cursor.at;
        let raw = cursor.string()?;
        let name = cursor.unescape(raw)?;
        let place = self.places.get(name.as_ref()).copied();
        if !raw.escaped && self.remembered.len() < MAX_REMEMBERED {
            self.remembered.insert(from, Remembered::new(&cursor.bytes[begin..cursor.at], place));
            expected.0 = from + 1;
        }
        cursor.expect(b':', "':'")?;
        Ok(place)
    }
}
