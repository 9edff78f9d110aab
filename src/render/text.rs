//! Text in so many columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Display columns of what is drawn for people, results of queries aside.
pub const WIDTH: usize = 100;

/// What stands under an operator is indented so far.
pub const INDENT: &str = "     ";

/// A blank behind which [`indented`] cuts no line.
pub const NO_BREAK: &str = "\u{a0}";

/// Adds a line, wrapped, under an operator.
pub fn indented(text: &mut String, line: &str) {
    for line in wrap(line, WIDTH - INDENT.len()) {
        text.push_str(&format!("{INDENT}{}\n", line.replace(NO_BREAK, " ")));
    }
}

/// Adds a table without lines under an operator: columns two blanks apart, numbers on the right. The last column takes
/// what room is left.
pub fn grid(text: &mut String, titles: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = titles
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
            cells.max().unwrap_or(0).max(title.width())
        })
        .collect();
    let is_number = |cell: &str| cell.starts_with(|first: char| first.is_ascii_digit());
    let numeric: Vec<bool> = (0..titles.len())
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).all(|cell| cell.is_empty() || is_number(cell))
        })
        .collect();
    let mut line = |cells: &[&str]| {
        let mut line = String::from(INDENT);
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            line.push_str(&if numeric[column] { format!("{gap}{cell}") } else { format!("{cell}{gap}") });
        }
        text.push_str(cut(line.trim_end(), WIDTH).as_str());
        text.push('\n');
    };
    line(titles);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// `text` filled up with blanks to `width` display columns.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(text.width()))
}

/// `text` in lines of at most `width` display columns, cut behind blanks, commas and slashes where there are any; at
/// least one line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > width.max(1) {
        let mut used = 0;
        let mut fits = 0;
        let mut good = 0;
        for (place, letter) in rest.char_indices() {
            used += letter.width().unwrap_or(0);
            if used > width.max(1) {
                break;
            }
            fits = place + letter.len_utf8();
            if matches!(letter, ' ' | ',' | '/') && !rest[fits..].starts_with(NO_BREAK) {
                good = fits;
            }
        }
        let end = if good > fits / 2 { good } else { fits };
        // A letter that is wider than a line goes on one of its own.
        let end = if end == 0 { rest.chars().next().map_or(rest.len(), char::len_utf8) } else { end };
        lines.push(rest[..end].trim_end().to_string());
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest.to_string());
    }
    lines
}

/// Control characters would break a drawing: they are shown as escapes.
pub fn on_one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_string();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// `text` in at most `width` display columns; what is cut ends in `...`.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let dots = "...";
    let room = width.saturating_sub(dots.len());
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        cut.push(c);
    }
    cut.push_str(&dots[..dots.len().min(width)]);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_behind_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
    }
}
