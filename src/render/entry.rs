//! An entry of a state, drawn as Flink's documents draw one of RocksDB: key group, key and namespace make the key of the
//! entry, and behind a double line stand the columns of its value. Entries that are at hand follow below. What is too
//! wide for that is listed column by column.

use super::text::{cut, on_one_line, pad, wrap};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;
use weir_runtime::{EntryColumn, NamespaceKind, StateDescription, StateKind};

/// Display columns that a cell of an entry may take.
const CELL_WIDTH: usize = 26;

/// Display columns of `2024-01-01 00:00:10`: narrower cells would cut windows.
const TIMESTAMP_WIDTH: usize = 19;

/// Part of an entry.
pub struct Section {
    title: &'static str,
    columns: Vec<Column>,
}

#[derive(Default)]
struct Column {
    name: String,
    sql_type: String,
    /// one an entry
    cells: Vec<String>,
}

/// The parts of an entry of `state`, the value last; `entries` have a cell for each of the state's columns.
pub fn sections(state: &StateDescription, entries: &[Vec<String>]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let is_timers = matches!(state.kind, StateKind::EventTimers | StateKind::ProcessingTimers);
    let void = state.namespace == NamespaceKind::Void && !is_timers;
    let mut add = |title: &'static str, column: Option<Column>| {
        if sections.last().is_none_or(|last| last.title != title) {
            sections.push(Section { title, columns: Vec::new() });
        }
        if let (Some(last), Some(column)) = (sections.last_mut(), column) {
            last.columns.push(column);
        }
    };
    let mut in_key = true;
    for (place, column) in state.columns.iter().enumerate() {
        let title = match column.part {
            EntryColumn::KeyGroup => "key group",
            EntryColumn::Time => "timer",
            EntryColumn::Key => "key",
            EntryColumn::WindowStart | EntryColumn::WindowEnd => "namespace",
            EntryColumn::MapKey { .. } => "map key",
            EntryColumn::Sequence => "list",
            EntryColumn::LastAccess => "ttl",
            EntryColumn::Value => "value",
        };
        if in_key && !matches!(column.part, EntryColumn::KeyGroup | EntryColumn::Time | EntryColumn::Key) {
            in_key = false;
            close_key(&mut add, state, void, entries.len());
        }
        let (name, sql_type) = (column.name.clone(), column.sql_type.clone());
        // Milliseconds are shown where there are any.
        let shown = |cell: &str| match sql_type.starts_with("TIMESTAMP") {
            true => on_one_line(cell.strip_suffix(".000").unwrap_or(cell)),
            false => on_one_line(cell),
        };
        let cells: Vec<String> =
            entries.iter().map(|cells| shown(cells.get(place).map_or("", String::as_str))).collect();
        add(title, Some(Column { name, sql_type, cells }));
    }
    if in_key {
        close_key(&mut add, state, void, entries.len());
    }
    add("value", None);
    for section in sections.iter_mut().filter(|section| section.columns.is_empty()) {
        section.columns.push(none("none", entries.len()));
    }
    sections
}

/// What stands behind the key's columns even if the state has no column for it.
fn close_key(
    add: &mut impl FnMut(&'static str, Option<Column>),
    state: &StateDescription,
    void: bool,
    entries: usize,
) {
    if state.columns.iter().all(|column| column.part != EntryColumn::Key) {
        add("key", Some(none("none", entries)));
    }
    if void {
        add("namespace", Some(none("VOID", entries)));
    }
}

fn none(what: &str, entries: usize) -> Column {
    Column { name: String::new(), sql_type: what.to_string(), cells: vec![String::new(); entries] }
}

/// The drawing, in lines of at most `width` display columns.
pub fn draw(sections: &[Section], width: usize) -> Vec<String> {
    let cells = [CELL_WIDTH, TIMESTAMP_WIDTH];
    cells.iter().find_map(|cell| across(sections, width, *cell)).unwrap_or_else(|| down(sections, width))
}

/// Sections side by side; `widths` has those of each section's columns.
struct Grid<'a> {
    sections: &'a [Section],
    widths: Vec<Vec<usize>>,
}

impl Grid<'_> {
    /// The character between two sections: a double line in front of the value.
    fn between(&self, section: usize, plain: char, double: char) -> char {
        if section + 1 == self.sections.len() { double } else { plain }
    }

    fn rule(&self, ends: [char; 2], inner: char, plain: char, double: char) -> String {
        let mut line = String::from(ends[0]);
        for (section, widths) in self.widths.iter().enumerate() {
            for (place, width) in widths.iter().enumerate() {
                if place > 0 {
                    line.push(inner);
                } else if section > 0 {
                    line.push(self.between(section, plain, double));
                }
                line.extend(std::iter::repeat_n('─', width + 2));
            }
        }
        line.push(ends[1]);
        line
    }

    fn row(&self, cell: impl Fn(&Column) -> &str) -> String {
        let mut line = String::from("│");
        for (index, (section, widths)) in self.sections.iter().zip(&self.widths).enumerate() {
            for (place, (column, width)) in section.columns.iter().zip(widths).enumerate() {
                if place > 0 {
                    line.push('│');
                } else if index > 0 {
                    line.push(self.between(index, '│', '║'));
                }
                // Writing to a string does not fail.
                let _ = write!(line, " {} ", pad(&cut(cell(column), *width), *width));
            }
        }
        line.push('│');
        line
    }

    fn titles(&self) -> String {
        let mut line = String::from("│");
        for (index, (section, widths)) in self.sections.iter().zip(&self.widths).enumerate() {
            if index > 0 {
                line.push(self.between(index, '│', '║'));
            }
            let _ = write!(line, " {} ", pad(section.title, spanned(widths)));
        }
        line.push('│');
        line
    }
}

/// What the columns of a section span.
fn spanned(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 3 * widths.len().saturating_sub(1)
}

/// Sections side by side, each over its columns; `None` if that is too wide.
fn across(sections: &[Section], room: usize, cell_width: usize) -> Option<Vec<String>> {
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|cell| cell.width().min(cell_width)).max().unwrap_or(0);
        cells.max(column.name.width()).max(column.sql_type.width())
    };
    let mut widths: Vec<Vec<usize>> =
        sections.iter().map(|section| section.columns.iter().map(width).collect()).collect();
    for (section, widths) in sections.iter().zip(&mut widths) {
        let missing = section.title.width().saturating_sub(spanned(widths));
        widths.last_mut().into_iter().for_each(|last| *last += missing);
    }
    if widths.iter().flatten().map(|width| width + 3).sum::<usize>() + 1 > room {
        return None;
    }
    let grid = Grid { sections, widths };
    let mut lines = vec![
        grid.rule(['┌', '┐'], '─', '┬', '╥'),
        grid.titles(),
        grid.rule(['├', '┤'], '┬', '┼', '╫'),
        grid.row(|column| &column.name),
        grid.row(|column| &column.sql_type),
    ];
    let entries = entry_count(sections);
    if entries > 0 {
        lines.push(grid.rule(['├', '┤'], '┼', '┼', '╫'));
    }
    lines.extend((0..entries).map(|entry| grid.row(|column| &column.cells[entry])));
    lines.push(grid.rule(['└', '┘'], '┴', '┴', '╨'));
    Some(lines)
}

fn entry_count(sections: &[Section]) -> usize {
    sections.iter().flat_map(|section| &section.columns).map(|column| column.cells.len()).min().unwrap_or(0)
}

/// A line for each column, then the entries: `(1, K1, Window(10, 20)) -> (v1)`.
fn down(sections: &[Section], room: usize) -> Vec<String> {
    let columns = || sections.iter().flat_map(|section| &section.columns);
    let title = sections.iter().map(|section| section.title.width()).max().unwrap_or(0);
    let kind = columns().map(|column| column.sql_type.width()).max().unwrap_or(0).min(30);
    let taken = title + kind + 10;
    let name = columns().map(|column| column.name.width()).max().unwrap_or(0).min(room.saturating_sub(taken));
    let widths = [title, name, kind];
    let rule = |ends: [char; 2], middle: char, line: char| {
        let parts: Vec<String> = widths.iter().map(|width| line.to_string().repeat(width + 2)).collect();
        format!("{}{}{}", ends[0], parts.join(&middle.to_string()), ends[1])
    };
    let mut lines = vec![rule(['┌', '┐'], '┬', '─')];
    for (index, section) in sections.iter().enumerate() {
        if index > 0 {
            let is_value = index + 1 == sections.len();
            lines.push(if is_value {
                rule(['╞', '╡'], '╪', '═')
            } else {
                rule(['├', '┤'], '┼', '─')
            });
        }
        for (place, column) in section.columns.iter().enumerate() {
            let (names, types) = (wrap(&column.name, name), wrap(&column.sql_type, kind));
            for part in 0..names.len().max(types.len()) {
                let of = |lines: &[String]| lines.get(part).cloned().unwrap_or_default();
                let title = if place == 0 && part == 0 { section.title } else { "" };
                let cells = [title.to_string(), of(&names), of(&types)];
                let padded: Vec<String> =
                    cells.iter().zip(widths).map(|(cell, width)| pad(cell, width)).collect();
                lines.push(format!("│ {} │", padded.join(" │ ")));
            }
        }
    }
    lines.push(rule(['└', '┘'], '┴', '─'));
    lines.extend((0..entry_count(sections)).flat_map(|entry| wrap(&entry_text(sections, entry), room)));
    lines
}

/// `(61, 198964, Window(2024-01-01 00:00:00, 2024-01-01 00:00:10)) -> (8, 48391331)`
fn entry_text(sections: &[Section], entry: usize) -> String {
    let Some((value, key)) = sections.split_last() else { return String::new() };
    let cells = |section: &Section| -> Vec<String> {
        let named = section.columns.iter().filter(|column| !column.name.is_empty());
        named.map(|column| cut(&column.cells[entry], CELL_WIDTH)).collect()
    };
    let mut parts = Vec::new();
    for section in key {
        match (section.title, cells(section)) {
            ("namespace", bounds) if !bounds.is_empty() => {
                let is_slice = section.columns.iter().any(|column| column.name == "slice_end");
                let what = if is_slice { "Slice" } else { "Window" };
                parts.push(format!("{what}({})", bounds.join(", ")))
            }
            (_, cells) => parts.extend(cells),
        }
    }
    format!("({}) -> ({})", parts.join(", "), cells(value).join(", "))
}
