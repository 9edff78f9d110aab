//! Windows of event or processing time. All lengths are milliseconds.

use std::fmt;

/// How rows are assigned to windows. Windows are half-open: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowSpec {
    /// Windows of `size_ms` that tile the time axis from `offset_ms`.
    Tumble { size_ms: i64, offset_ms: i64 },
    /// Windows of `size_ms`, one each `slide_ms`.
    Hop { size_ms: i64, slide_ms: i64, offset_ms: i64 },
    /// Windows that start each `max_size_ms` and grow by `step_ms` up to `max_size_ms`.
    Cumulate { max_size_ms: i64, step_ms: i64, offset_ms: i64 },
    /// A window per key and burst of activity: it ends `gap_ms` after its last row. Touching sessions merge.
    Session { gap_ms: i64 },
}

impl WindowSpec {
    /// TUMBLE, HOP, CUMULATE or SESSION.
    pub fn name(&self) -> &'static str {
        match self {
            WindowSpec::Tumble { .. } => "TUMBLE",
            WindowSpec::Hop { .. } => "HOP",
            WindowSpec::Cumulate { .. } => "CUMULATE",
            WindowSpec::Session { .. } => "SESSION",
        }
    }
}

/// `90000` ms as `1 min 30 s`: lengths in plans and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Millis(pub i64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)] {
            let count = rest / ms;
            if count != 0 {
                write!(f, "{separator}{count} {unit}")?;
                separator = " ";
            }
            rest %= ms;
        }
        if separator.is_empty() { f.write_str("0 s") } else { Ok(()) }
    }
}

impl fmt::Display for WindowSpec {
    /// As Flink's plans print windows: `HOP(size=[10 s], slide=[2 s])`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = match *self {
            WindowSpec::Tumble { size_ms, offset_ms } => {
                write!(f, "TUMBLE(size=[{}]", Millis(size_ms))?;
                offset_ms
            }
            WindowSpec::Hop { size_ms, slide_ms, offset_ms } => {
                write!(f, "HOP(size=[{}], slide=[{}]", Millis(size_ms), Millis(slide_ms))?;
                offset_ms
            }
            WindowSpec::Cumulate { max_size_ms, step_ms, offset_ms } => {
                write!(f, "CUMULATE(max_size=[{}], step=[{}]", Millis(max_size_ms), Millis(step_ms))?;
                offset_ms
            }
            WindowSpec::Session { gap_ms } => {
                write!(f, "SESSION(gap=[{}]", Millis(gap_ms))?;
                0
            }
        };
        if offset != 0 {
            write!(f, ", offset=[{}]", Millis(offset))?;
        }
        f.write_str(")")
    }
}
