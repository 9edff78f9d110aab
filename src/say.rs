//! What is said to a person beside results: lines on standard error.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line. Whoever has stopped reading takes nothing along: no job ends because of it.
pub fn line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// As `eprintln!`, which panics where nobody reads.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say::line(format_args!($($text)*))
    };
}
