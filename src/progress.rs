//! One line on a terminal that says how a long run is doing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How far the jobs in the foreground are.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// rows that sources have read
    pub rows_in: u64,
    /// rows that sinks have taken
    pub rows_out: u64,
    /// the lowest watermark of the sources, as text; `None` before the first
    pub watermark: Option<String>,
    pub elapsed: Duration,
}

impl Progress {
    /// Of several jobs together. Watermarks are of one job: where there are several, none is told.
    pub fn of_all(parts: impl Iterator<Item = Progress>, elapsed: Duration) -> Progress {
        let add = |one: Progress, other: Progress| Progress {
            rows_in: one.rows_in + other.rows_in,
            rows_out: one.rows_out + other.rows_out,
            watermark: None,
            elapsed,
        };
        parts.reduce(add).unwrap_or_default()
    }
}

/// Draws over itself on standard error, and is gone when results are printed. Does nothing off a terminal.
#[derive(Debug)]
pub struct ProgressLine {
    shows: bool,
    drawn: bool,
    last_rows: u64,
    last_at: Duration,
    rate: f64,
}

impl ProgressLine {
    pub fn new() -> Self {
        let shows = io::stderr().is_terminal();
        ProgressLine { shows, drawn: false, last_rows: 0, last_at: Duration::ZERO, rate: 0.0 }
    }

    /// False where nothing would be seen, so that callers need not collect progress.
    pub fn shows(&self) -> bool {
        self.shows
    }

    pub fn draw(&mut self, progress: &Progress) {
        if !self.shows {
            return;
        }
        let line = self.text(progress);
        let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let line: String = line.chars().take(width.saturating_sub(1)).collect();
        self.write(&format!("\r\x1b[2K{line}"));
        self.drawn = true;
    }

    /// What the line says; rates are those since the last call.
    pub fn text(&mut self, progress: &Progress) -> String {
        let passed = progress.elapsed.saturating_sub(self.last_at).as_secs_f64();
        if passed > 0.05 {
            self.rate = (progress.rows_in.saturating_sub(self.last_rows)) as f64 / passed;
            self.last_rows = progress.rows_in;
            self.last_at = progress.elapsed;
        }
        line(progress, self.rate)
    }

    /// Takes the line away, if it is there.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write("\r\x1b[2K");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        // A terminal that went away takes the progress with it, nothing else.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(progress: &Progress, rate: f64) -> String {
    let mut line = format!(
        "{} rows in, {} out, {}, {}",
        grouped(progress.rows_in),
        grouped(progress.rows_out),
        rate_text(rate),
        elapsed_text(progress.elapsed),
    );
    if let Some(watermark) = &progress.watermark {
        line.push_str(", watermark ");
        line.push_str(watermark);
    }
    line
}

/// `1234567` as `1,234,567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2.31 M rows/s`.
pub fn rate_text(rows_per_second: f64) -> String {
    match rows_per_second {
        rate if rate >= 1e6 => format!("{:.2} M rows/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k rows/s", rate / 1e3),
        rate => format!("{rate:.0} rows/s"),
    }
}

/// `12.3 s`, `4 min 5 s`.
pub fn elapsed_text(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(rate_text(2_310_000.0), "2.31 M rows/s");
        assert_eq!(rate_text(12.0), "12 rows/s");
        assert_eq!(elapsed_text(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(elapsed_text(Duration::from_secs(245)), "4 min 5 s");
        assert_eq!(elapsed_text(Duration::from_secs(7260)), "2 h 1 min");
    }

    #[test]
    fn one_line_says_all() {
        let progress = Progress {
            rows_in: 1000,
            rows_out: 10,
            watermark: Some("2015-07-14 23:50:00.000".into()),
            elapsed: Duration::from_secs(2),
        };
        assert_eq!(
            line(&progress, 500.0),
            "1,000 rows in, 10 out, 500 rows/s, 2.0 s, watermark 2015-07-14 23:50:00.000"
        );
    }
}
