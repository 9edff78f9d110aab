//! What the processor and the kernel can be told about memory that is read at random.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The size of a huge page.
const HUGE_BYTES: usize = 2 << 20;

/// How memory of `bytes` bytes is allocated.
fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 4096).expect("a block's size is far below the limit of a layout")
}

/// `bytes` bytes, a multiple of 4096 and not 0, that are zero. A huge page or more comes from the kernel itself, aligned
/// to one and untouched: an allocator would have written its zeros page by page before anybody could ask for huge ones.
pub(crate) fn allocate(bytes: usize) -> NonNull<u8> {
    let mapped = if bytes >= HUGE_BYTES { map(bytes) } else { None };
    // SAFETY: the layout is not empty.
    let start = mapped.or_else(|| NonNull::new(unsafe { alloc_zeroed(layout(bytes)) }));
    let Some(start) = start else { handle_alloc_error(layout(bytes)) };
    start
}

/// Gives back what [`allocate`] gave.
///
/// # Safety
/// `start` is from `allocate(bytes)`, and nobody uses the memory.
pub(crate) unsafe fn free(start: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= HUGE_BYTES {
        // SAFETY: mapped by `map` with this length.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
        return;
    }
    // SAFETY: allocated with the same layout.
    unsafe { dealloc(start.as_ptr(), layout(bytes)) };
}

/// Fresh memory, aligned to huge pages.
#[cfg(target_os = "linux")]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    let all = bytes + HUGE_BYTES;
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches no memory that is there.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            all,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        handle_alloc_error(layout(bytes));
    }
    let mapped = mapped.cast::<u8>();
    let before = (mapped as usize).next_multiple_of(HUGE_BYTES) - mapped as usize;
    // SAFETY: what is unmapped are the ends of the mapping, which nobody has been given.
    let start = unsafe {
        if before > 0 {
            libc::munmap(mapped.cast(), before);
        }
        let start = mapped.add(before);
        libc::munmap(start.add(bytes).cast(), HUGE_BYTES - before);
        start
    };
    advise(start, bytes);
    NonNull::new(start)
}

#[cfg(not(target_os = "linux"))]
fn map(_bytes: usize) -> Option<NonNull<u8>> {
    None
}

/// Asks for huge pages behind `bytes` bytes at `start`: random reads in large tables spend half their time in
/// the TLB otherwise. Advice only.
pub(crate) fn advise(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        if bytes < 1 << 20 {
            return;
        }
        let address = (start as usize).next_multiple_of(PAGE);
        let length = (start as usize + bytes - address) / PAGE * PAGE;
        // SAFETY: the range lies within one allocation, and this advice changes no contents.
        unsafe { libc::madvise(address as *mut libc::c_void, length, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// Starts to load the cache line at `address`.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless.
    unsafe {
        std::arch::x86_64::_mm_prefetch(address.cast::<i8>(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
