//! What the processor and the kernel can be told about memory that is read at random.

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
