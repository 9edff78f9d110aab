//! A result that changes in place on a terminal.

use super::Tableau;
use crossterm::terminal;
use std::io::{self, IsTerminal, Write};

/// Lines of a drawn table that are not rows: three of its head, the border below, the line under it, the cursor's.
const LINES_AROUND: usize = 6;
/// Rows and columns of a terminal that does not tell.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The rows of a query so far, drawn over what was drawn before.
#[derive(Debug)]
pub struct LiveTable {
    shows: bool,
    /// lines on the screen that the next drawing replaces
    drawn: usize,
}

impl LiveTable {
    /// Draws if `wanted` and standard output is a terminal.
    pub fn new(wanted: bool) -> Self {
        LiveTable { shows: wanted && io::stdout().is_terminal(), drawn: 0 }
    }

    /// False where nothing would be seen.
    pub fn shows(&self) -> bool {
        self.shows
    }

    /// `rows` as they fit the screen, with `footer` under them.
    pub fn draw(&mut self, headers: &[String], rows: &[Vec<String>], max_width: usize, footer: &str) {
        let (columns, lines) = terminal::size().unwrap_or(USUAL_SIZE);
        let picture = picture(headers, rows, max_width, footer, (columns.into(), lines.into()));
        let text = format!("{}{picture}", self.over());
        self.drawn = picture.lines().count();
        write(&text);
    }

    /// Takes the table away, if it is there.
    pub fn clear(&mut self) {
        if self.drawn > 0 {
            write(&self.over());
            self.drawn = 0;
        }
    }

    /// What takes the cursor to where the last drawing began, and removes it.
    fn over(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\r\x1b[{}A\x1b[J", self.drawn) }
    }
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // A terminal that went away is noticed when the result itself is printed.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn picture(
    headers: &[String],
    rows: &[Vec<String>],
    max_width: usize,
    footer: &str,
    (columns, lines): (usize, usize),
) -> String {
    let room = lines.saturating_sub(LINES_AROUND).max(1);
    // the newest rows, for the others have been seen
    let shown = &rows[rows.len().saturating_sub(room)..];
    let tableau = Tableau::fitting(headers.to_vec(), shown, max_width);
    let mut text = tableau.head();
    shown.iter().for_each(|row| text.push_str(&tableau.row(row)));
    text.push_str(&tableau.border());
    let hidden = rows.len() - shown.len();
    let more = if hidden > 0 { format!("{hidden} rows above, ") } else { String::new() };
    text.push_str(&format!("{more}{footer}"));
    // a line that wraps would take two of the screen's
    let cut = |line: &str| line.chars().take(columns.saturating_sub(1)).collect::<String>() + "\n";
    text.lines().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<Vec<String>> {
        (0..count).map(|row| vec![row.to_string()]).collect()
    }

    #[test]
    fn fits_the_screen() {
        let text = picture(&["n".into()], &rows(3), 30, "3 rows in", (80, 24));
        assert_eq!(text, "+---+\n| n |\n+---+\n| 0 |\n| 1 |\n| 2 |\n+---+\n3 rows in\n");
        let text = picture(&["n".into()], &rows(30), 30, "30 rows in", (12, 10));
        assert_eq!(text, "+----+\n|  n |\n+----+\n| 26 |\n| 27 |\n| 28 |\n| 29 |\n+----+\n26 rows abo\n");
        assert!(text.lines().count() < 10);
    }
}
