//! Text in so many columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Display columns of what is drawn for people, results of queries aside.
pub const WIDTH: usize = 100;

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
            if matches!(letter, ' ' | ',' | '/') {
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
