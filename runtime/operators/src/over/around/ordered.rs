//! Rows in their order, and where frames begin and end among them.

use super::keys::{Key, Keys};
use super::reach::{Extent, Sides};
use std::ops::Range;
use weir_types::{Frame, FrameUnits};

/// Rows of one partition that follow each other. Rows are numbers of the table that `keys` are of.
#[derive(Clone, Copy)]
pub(super) struct Ordered<'a> {
    pub(super) items: &'a [u32],
    pub(super) keys: &'a Keys,
}

impl<'a> Ordered<'a> {
    pub(super) fn key(&self, place: usize) -> Key<'a> {
        self.keys.key(self.items[place] as usize)
    }

    fn key_of(&self, item: u32) -> Key<'a> {
        self.keys.key(item as usize)
    }

    /// The first row that is not before the key moved by `distance`.
    pub(super) fn start_of(&self, key: Key<'_>, distance: i128) -> usize {
        self.items.partition_point(|item| self.key_of(*item).is_before(key, distance))
    }

    /// Behind the last row that is not behind the key moved by `distance`.
    pub(super) fn end_of(&self, key: Key<'_>, distance: i128) -> usize {
        self.items.partition_point(|item| !self.key_of(*item).is_behind(key, distance))
    }

    /// The rows that are ordered like the one at `place`.
    pub(super) fn peers(&self, place: usize) -> Range<usize> {
        self.start_of(self.key(place), 0)..self.end_of(self.key(place), 0)
    }

    /// Where the frame of the row at `place` is: from the first on (`None`: from before these rows), up to one.
    pub(super) fn frame(&self, frame: &Frame, place: usize) -> Range<usize> {
        let len = self.items.len();
        let moved =
            |offset: i128| usize::try_from((place as i128 + offset).max(0)).unwrap_or(usize::MAX).min(len);
        let start = match (frame.start, frame.units) {
            (None, _) => 0,
            (Some(offset), FrameUnits::Rows) => moved(offset),
            (Some(offset), FrameUnits::Range) => self.start_of(self.key(place), offset),
        };
        let end = match (frame.end, frame.units) {
            (None, _) => len,
            (Some(offset), FrameUnits::Rows) => moved(offset.saturating_add(1)),
            (Some(offset), FrameUnits::Range) => self.end_of(self.key(place), offset),
        };
        start..end.max(start)
    }

    /// The row at `place` with what is so far around it.
    pub(super) fn around(&self, place: usize, sides: &Sides) -> Range<usize> {
        let len = self.items.len();
        let rows = |extent: &Extent| usize::try_from(extent.rows).unwrap_or(usize::MAX);
        let Sides { before, behind } = sides;
        let mut start = if before.all { 0 } else { place.saturating_sub(rows(before)) };
        if let Some(distance) = before.key {
            start = start.min(self.start_of(self.key(place), -distance));
        }
        let mut end =
            if behind.all { len } else { place.saturating_add(rows(behind)).saturating_add(1).min(len) };
        if let Some(distance) = behind.key {
            end = end.max(self.end_of(self.key(place), distance));
        }
        start..end
    }
}
