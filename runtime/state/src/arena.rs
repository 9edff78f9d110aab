//! Values of variable width, beside the rows.
//!
//! A row holds a handle of 16 bytes: the length, then the value itself up to 12 bytes, or its first four
//! bytes and its place. Values are appended to chunks and never changed there, so a snapshot shares chunks
//! without copying: it reads only what its rows point to. What is replaced or deleted is garbage until
//! [`Arena::sparse_chunk`] names its chunk.
//!
//! Before each value stands whose it is (`slot u32, field u32, length u32`), so that a sparse chunk can be
//! emptied by reading it alone.

use std::cell::UnsafeCell;
use std::sync::Arc;

pub(crate) const HANDLE_BYTES: usize = 16;
const INLINE_BYTES: usize = 12;
const HEADER_BYTES: usize = 12;
const SMALLEST_CHUNK: usize = 4 << 10;
const LARGEST_CHUNK: usize = 1 << 20;
/// The field number of a key.
pub(crate) const KEY_FIELD: u32 = u32::MAX;

/// A handle as it lies in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub(crate) [u8; HANDLE_BYTES]);

impl Handle {
    pub(crate) const EMPTY: Handle = Handle([0; HANDLE_BYTES]);

    fn word(self, index: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[4 * index..4 * index + 4]);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn len(self) -> usize {
        self.word(0) as usize
    }

    fn inline(value: &[u8]) -> Handle {
        let mut handle = Handle::EMPTY;
        handle.0[..4].copy_from_slice(&(value.len() as u32).to_le_bytes());
        handle.0[4..4 + value.len()].copy_from_slice(value);
        handle
    }

    fn placed(value: &[u8], chunk: u32, offset: u32) -> Handle {
        let mut handle = Handle::inline(&value[..4]);
        handle.0[..4].copy_from_slice(&(value.len() as u32).to_le_bytes());
        handle.0[8..12].copy_from_slice(&chunk.to_le_bytes());
        handle.0[12..].copy_from_slice(&offset.to_le_bytes());
        handle
    }

    /// Chunk and offset of a value that is not in the handle itself.
    pub(crate) fn place(self) -> Option<(u32, u32)> {
        (self.len() > INLINE_BYTES).then(|| (self.word(2), self.word(3)))
    }

    /// Whether `value` can be what the handle stands for, by its length and first bytes.
    #[inline]
    pub(crate) fn may_be(self, value: &[u8]) -> bool {
        let first = value.len().min(4);
        self.len() == value.len() && self.0[4..4 + first] == value[..first]
    }
}

/// The bytes of a value: its own if they are few, else those in the arena.
#[derive(Clone, Copy)]
pub struct ValueBytes<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Inline(Handle),
    Placed(&'a [u8]),
}

impl std::ops::Deref for ValueBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(handle) => &handle.0[4..4 + handle.len()],
            Repr::Placed(bytes) => bytes,
        }
    }
}

/// A chunk's bytes. The arena appends behind what has been handed out; readers, also in snapshots, read
/// before that.
pub(crate) struct ChunkBytes(Box<[UnsafeCell<u8>]>);

// SAFETY: a byte is written once, before any handle to it exists, and only read from then on.
unsafe impl Sync for ChunkBytes {}

impl ChunkBytes {
    fn new(capacity: usize) -> Self {
        let bytes = vec![0_u8; capacity].into_boxed_slice();
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`.
        ChunkBytes(unsafe { Box::from_raw(Box::into_raw(bytes) as *mut [UnsafeCell<u8>]) })
    }

    /// # Safety
    /// The range must have been written before.
    unsafe fn read(&self, start: usize, length: usize) -> &[u8] {
        let cells = &self.0[start..start + length];
        // SAFETY: written bytes never change.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), length) }
    }
}

struct Chunk {
    bytes: Arc<ChunkBytes>,
    used: usize,
    live: usize,
}

#[derive(Default)]
pub(crate) struct Arena {
    chunks: Vec<Option<Chunk>>,
    /// where values are appended
    current: Option<usize>,
    allocated: usize,
    live: usize,
}

/// The chunks of an arena at one moment.
#[derive(Clone, Default)]
pub(crate) struct ArenaView(Vec<Option<(Arc<ChunkBytes>, usize)>>);

impl ArenaView {
    /// The value of `handle`, which comes from a row of the same moment.
    pub(crate) fn get(&self, handle: Handle) -> ValueBytes<'_> {
        let Some((chunk, offset)) = handle.place() else { return ValueBytes(Repr::Inline(handle)) };
        let (offset, length) = (offset as usize, handle.len());
        match self.0.get(chunk as usize) {
            Some(Some((bytes, used))) if offset + length <= *used => {
                // SAFETY: below `used` all has been written.
                ValueBytes(Repr::Placed(unsafe { bytes.read(offset, length) }))
            }
            _ => ValueBytes(Repr::Placed(&[])),
        }
    }
}

impl Arena {
    pub(crate) fn bytes(&self) -> usize {
        self.allocated
    }

    pub(crate) fn clear(&mut self) {
        *self = Arena::default();
    }

    pub(crate) fn view(&self) -> ArenaView {
        let view = |chunk: &Chunk| (chunk.bytes.clone(), chunk.used);
        ArenaView(self.chunks.iter().map(|chunk| chunk.as_ref().map(view)).collect())
    }

    /// The value of `handle`, which comes from a row of the same table. Of a handle of a row that is gone:
    /// anything.
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> ValueBytes<'_> {
        let Some((chunk, offset)) = handle.place() else { return ValueBytes(Repr::Inline(handle)) };
        let (offset, length) = (offset as usize, handle.len());
        match self.chunks.get(chunk as usize) {
            Some(Some(chunk)) if offset + length <= chunk.used => {
                // SAFETY: below `used` all has been written.
                ValueBytes(Repr::Placed(unsafe { chunk.bytes.read(offset, length) }))
            }
            _ => ValueBytes(Repr::Placed(&[])),
        }
    }

    /// Keeps `value` for `field` of `slot`.
    ///
    /// # Panics
    /// If the value has 4 GiB or more.
    pub(crate) fn insert(&mut self, slot: u32, field: u32, value: &[u8]) -> Handle {
        if value.len() <= INLINE_BYTES {
            return Handle::inline(value);
        }
        let length = u32::try_from(value.len()).expect("a value has less than 4 GiB");
        let needed = HEADER_BYTES + value.len();
        let index = match self.current {
            Some(current) if self.has_room(current, needed) => current,
            _ => self.add_chunk(needed),
        };
        let chunk = self.chunks[index].as_mut().expect("the current chunk exists");
        let start = chunk.used;
        let cells = &chunk.bytes.0[start..start + needed];
        let target = cells[0].get();
        let mut header = [0; HEADER_BYTES];
        for (part, number) in header.chunks_exact_mut(4).zip([slot, field, length]) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        // SAFETY: the range was bounds-checked above, lies behind `used`, and so nobody reads it.
        unsafe {
            std::ptr::copy_nonoverlapping(header.as_ptr(), target, HEADER_BYTES);
            std::ptr::copy_nonoverlapping(value.as_ptr(), target.add(HEADER_BYTES), value.len());
        }
        chunk.used += needed;
        chunk.live += needed;
        self.live += needed;
        Handle::placed(value, index as u32, (start + HEADER_BYTES) as u32)
    }

    fn has_room(&self, index: usize, needed: usize) -> bool {
        let chunk = self.chunks[index].as_ref();
        chunk.is_some_and(|chunk| chunk.bytes.0.len() - chunk.used >= needed)
    }

    #[cold]
    fn add_chunk(&mut self, needed: usize) -> usize {
        let usual = (self.allocated / 4).next_power_of_two().clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
        let capacity = usual.max(needed);
        let chunk = Chunk { bytes: Arc::new(ChunkBytes::new(capacity)), used: 0, live: 0 };
        self.allocated += capacity;
        let index = self.chunks.iter().position(Option::is_none).unwrap_or_else(|| {
            self.chunks.push(None);
            self.chunks.len() - 1
        });
        self.chunks[index] = Some(chunk);
        if needed > usual {
            // Full with this one value.
            return index;
        }
        let last = self.current.replace(index);
        // The last one may have become garbage while it was still appended to.
        if let Some(last) =
            last.filter(|&last| self.chunks[last].as_ref().is_some_and(|chunk| chunk.live == 0))
        {
            self.drop_chunk(last);
        }
        index
    }

    /// Drops a chunk that no row points to any more.
    pub(crate) fn forget_chunk(&mut self, chunk: u32) {
        let left = self.chunks[chunk as usize].as_ref().map_or(0, |chunk| chunk.live);
        self.live -= left;
        self.drop_chunk(chunk as usize);
    }

    fn drop_chunk(&mut self, index: usize) {
        if let Some(chunk) = self.chunks[index].take() {
            self.allocated -= chunk.bytes.0.len();
        }
    }

    /// The value of `handle` is garbage now.
    pub(crate) fn remove(&mut self, handle: Handle) {
        let Some((index, _)) = handle.place() else { return };
        let index = index as usize;
        let size = HEADER_BYTES + handle.len();
        self.live -= size;
        let Some(chunk) = self.chunks[index].as_mut() else { return };
        chunk.live -= size;
        if chunk.live == 0 && self.current != Some(index) {
            self.drop_chunk(index);
        }
    }

    /// A chunk that is mostly garbage, once more than half of all memory is.
    pub(crate) fn sparse_chunk(&self) -> Option<u32> {
        if self.allocated < 2 * self.live + 4 * LARGEST_CHUNK {
            return None;
        }
        let sparse = |(index, chunk): (usize, &Option<Chunk>)| {
            let chunk = chunk.as_ref()?;
            (self.current != Some(index) && chunk.live * 2 < chunk.bytes.0.len()).then_some(index as u32)
        };
        self.chunks.iter().enumerate().find_map(sparse)
    }

    /// Slot, field and handle of everything that was ever put into `chunk`, garbage included.
    pub(crate) fn contents(&self, chunk: u32) -> Vec<(u32, u32, Handle)> {
        let mut found = Vec::new();
        let Some(Some(entry)) = self.chunks.get(chunk as usize) else { return found };
        let mut offset = 0;
        while offset < entry.used {
            // SAFETY: below `used` all has been written.
            let header = unsafe { entry.bytes.read(offset, HEADER_BYTES) };
            let number = |index: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[4 * index + byte]));
            let length = number(2) as usize;
            offset += HEADER_BYTES;
            // SAFETY: as above.
            let value = unsafe { entry.bytes.read(offset, length) };
            found.push((number(0), number(1), Handle::placed(value, chunk, offset as u32)));
            offset += length;
        }
        found
    }
}

#[cfg(test)]
mod tests;
