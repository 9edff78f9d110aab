//! How the process asks the system for memory.

/// Keeps freed memory for the next batch. Batches are larger than what the allocator of glibc keeps by default: it would
/// hand their pages back, and the system would clear them anew for each batch, a tenth of a small query's time.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The largest that glibc takes.
        const MAP_FROM_BYTES: libc::c_int = 32 << 20;
        const KEEP_BYTES: libc::c_int = 256 << 20;
        const GROW_BYTES: libc::c_int = 16 << 20;
        // SAFETY: parameters of the allocator, set before there is a second thread. One that it does not take it
        // leaves as it was.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAP_FROM_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP_BYTES);
            libc::mallopt(libc::M_TOP_PAD, GROW_BYTES);
        }
    }
}
