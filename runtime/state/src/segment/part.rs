//! Which part of a state a segment is, if it does not stand alone.
//!
//! Segments of one table are told apart by the *places* of their entries, numbers that mean nothing but which entry of
//! one segment is which of another. A page has the entries of a range of places, and what earlier segments have of that
//! range is void; a segment of changes has the entries of some places, and says of others that no entry is there.
//!
//! Tag u8: 0 all; 1 a page, with the first and the last place u32 and a bit a place, set for those that have a row; 2
//! changes, with the first place u32 that any segment's entry may have, the places of the rows, the number of places without
//! an entry u32, and these. The bits and the places of rows rise with the rows. Places are the first of them u32 (of none 0)
//! and the distance of each from the one before, as packed numbers of 4 bytes; in version 2 a u32 each.

use super::packed;
use super::{ALONE, IN_PARTS, read_head};
use crate::StateError;
use crate::bits::Bits;
use crate::codec::{Reader, Writer};
use bytes::Bytes;
use std::ops::RangeInclusive;

const WHOLE: u8 = 0;
const PAGE: u8 = 1;
const CHANGES: u8 = 2;
/// A page has no more rows than this: a longer range is damage.
const PAGE_ROWS: u32 = 1 << 16;

/// Which kind of part a segment is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PartKind {
    Alone,
    Page,
    Changes,
}

/// The places of a segment's entries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// no other segment has what this one has
    Alone,
    Page {
        range: RangeInclusive<u32>,
        places: Vec<u32>,
    },
    Changes {
        /// entries of earlier segments at places before this are gone
        first: u32,
        places: Vec<u32>,
        freed: Vec<u32>,
    },
}

impl Part {
    /// Of rows at `places`; `first` is the first place that has an entry at all.
    pub(crate) fn new(
        kind: PartKind,
        range: RangeInclusive<u32>,
        first: u32,
        places: Vec<u32>,
        freed: Vec<u32>,
    ) -> Part {
        match kind {
            PartKind::Alone => Part::Alone,
            PartKind::Page => Part::Page { range, places },
            PartKind::Changes => Part::Changes { first, places, freed },
        }
    }

    /// How many places it says to have no entry.
    pub(crate) fn freed(&self) -> u32 {
        match self {
            Part::Changes { freed, .. } => freed.len() as u32,
            _ => 0,
        }
    }

    /// The memory of the places of rows and of those without an entry.
    pub(super) fn into_memory(self) -> (Vec<u32>, Vec<u32>) {
        match self {
            Part::Alone => (Vec::new(), Vec::new()),
            Part::Page { places, .. } => (places, Vec::new()),
            Part::Changes { places, freed, .. } => (places, freed),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Part::Alone => out.u8(WHOLE),
            Part::Page { range, places } => {
                out.u8(PAGE);
                out.u32(*range.start());
                out.u32(*range.end());
                let mut bits = vec![0_u8; range.clone().count().div_ceil(8)];
                for place in places.iter().map(|place| place - range.start()) {
                    bits[place as usize / 8] |= 1 << (place % 8);
                }
                out.raw(&bits);
            }
            Part::Changes { first, places, freed } => {
                out.u8(CHANGES);
                out.u32(*first);
                write_places(places, out);
                out.u32(freed.len() as u32);
                write_places(freed, out);
            }
        }
    }

    /// Of a segment of `version` with so many `rows`.
    pub(super) fn read(reader: &mut Reader, version: u16, rows: usize) -> Result<Part, StateError> {
        if version == ALONE {
            return Ok(Part::Alone);
        }
        let numbers = if version == IN_PARTS { numbers } else { read_places };
        match reader.u8("which part it is")? {
            WHOLE if version != IN_PARTS => Ok(Part::Alone),
            PAGE => {
                let range = reader.u32("the first place")?..=reader.u32("the last place")?;
                let length = range.end().checked_sub(*range.start()).filter(|length| *length < PAGE_ROWS);
                let length = length.ok_or_else(|| reader.corrupt("a page that is none"))? + 1;
                let bits = reader.take(length.div_ceil(8) as usize, "places")?;
                let set = |place: &u32| bits[*place as usize / 8] >> (place % 8) & 1 != 0;
                let places: Vec<u32> = (0..length).filter(set).map(|place| range.start() + place).collect();
                match places.len() == rows {
                    true => Ok(Part::Page { range, places }),
                    false => Err(reader.corrupt("another number of places than of rows")),
                }
            }
            CHANGES => {
                let first = reader.u32("the first place")?;
                let places = numbers(reader, rows)?;
                let freed = reader.u32("the number of places without an entry")? as usize;
                Ok(Part::Changes { first, places, freed: numbers(reader, freed)? })
            }
            _ => Err(reader.corrupt("an unknown part")),
        }
    }

    /// Marks in `known` the places of which this part says what is there.
    pub(crate) fn mark(&self, known: &mut Bits) {
        match self {
            Part::Alone => {}
            Part::Page { range, .. } => range.clone().for_each(|place| known.set(place)),
            Part::Changes { places, freed, .. } => {
                places.iter().chain(freed).for_each(|&place| known.set(place));
            }
        }
    }

    /// The places of the rows; none of a segment that stands alone.
    pub(crate) fn places(&self) -> &[u32] {
        match self {
            Part::Alone => &[],
            Part::Page { places, .. } | Part::Changes { places, .. } => places,
        }
    }
}

fn write_places(places: &[u32], out: &mut Writer) {
    out.u32(places.first().copied().unwrap_or(0));
    let steps = places.windows(2).map(|pair| i64::from(pair[1].wrapping_sub(pair[0]) as i32));
    packed::write_numbers(4, steps, out);
}

fn read_places(reader: &mut Reader, count: usize) -> Result<Vec<u32>, StateError> {
    if count > packed::MOST_ROWS {
        return Err(reader.corrupt("more places than a segment has"));
    }
    let mut place = reader.u32("the first of some places")?;
    let steps = packed::read_u32s(reader, count.saturating_sub(1), "places")?;
    let mut places = Vec::with_capacity(count);
    places.extend((count > 0).then_some(place));
    for step in steps {
        place = place.wrapping_add(step);
        places.push(place);
    }
    Ok(places)
}

fn numbers(reader: &mut Reader, count: usize) -> Result<Vec<u32>, StateError> {
    let bytes = reader.items(count, 4, "places")?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

/// Which part a segment is.
pub(crate) fn read_part(bytes: &Bytes, file: &str) -> Result<Part, StateError> {
    let (mut reader, version, _, _, rows) = read_head(bytes, file)?;
    Part::read(&mut reader, version, rows)
}
