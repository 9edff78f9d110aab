//! Tables as Flink's SQL client draws them in `tableau` mode: columns as wide as their type may need, right-aligned,
//! so that rows can be printed as they come.

use super::text::{cut, on_one_line};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The columns of a drawn table.
#[derive(Debug, Clone)]
pub struct Tableau {
    headers: Vec<String>,
    /// display columns, without the space on either side
    widths: Vec<usize>,
}

impl Tableau {
    /// Columns with the widths that rows yet unseen may need; longer values are cut.
    pub fn with_widths(headers: Vec<String>, widths: Vec<usize>) -> Self {
        let widths = headers.iter().zip(widths).map(|(header, width)| width.max(header.width())).collect();
        Tableau { headers, widths }
    }

    /// Columns as wide as `rows` need, at most `max_width`.
    pub fn fitting(headers: Vec<String>, rows: &[Vec<String>], max_width: usize) -> Self {
        let widths = (0..headers.len())
            .map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0).min(max_width))
            .collect();
        Tableau::with_widths(headers, widths)
    }

    /// `+----+-----+`, with a line feed.
    pub fn border(&self) -> String {
        let mut line = String::from("+");
        for width in &self.widths {
            line.extend(std::iter::repeat_n('-', width + 2));
            line.push('+');
        }
        line.push('\n');
        line
    }

    /// Border, headers, border.
    pub fn head(&self) -> String {
        format!("{0}{1}{0}", self.border(), self.row(&self.headers))
    }

    /// One row, with a line feed.
    pub fn row<S: AsRef<str>>(&self, cells: &[S]) -> String {
        let mut line = String::from("|");
        for (cell, width) in cells.iter().zip(&self.widths) {
            let cell = on_one_line(cell.as_ref());
            let cell = cut(&cell, *width);
            let pad = width - cell.width();
            // Writing into a String cannot fail.
            let _ = write!(line, " {:pad$}{cell} |", "");
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_as_flink_draws() {
        let table = Tableau::with_widths(vec!["op".into(), "k".into(), "c".into()], vec![2, 6, 3]);
        assert_eq!(table.head(), "+----+--------+-----+\n| op |      k |   c |\n+----+--------+-----+\n");
        assert_eq!(table.row(&["+I", "hello world", "1"]), "| +I | hel... |   1 |\n");
        assert_eq!(table.row(&["+I", "é€", "1"]), "| +I |     é€ |   1 |\n");
        assert_eq!(table.row(&["+I", "日本語日本", "1"]), "| +I |  日... |   1 |\n");
        assert_eq!(table.row(&["+I", "a\nb", "1"]), "| +I |   a\\nb |   1 |\n");
    }

    #[test]
    fn narrow_columns_hold_what_they_can() {
        let table = Tableau::with_widths(vec!["a".into()], vec![2]);
        assert_eq!(table.row(&["xyz"]), "| .. |\n");
    }
}
