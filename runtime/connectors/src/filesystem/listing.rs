//! Which files a table has.

use super::partition::unescape;
use super::store::{FileEntry, Store};
use super::table::FilesystemTable;
use crate::ConnectorError;
use glob::{MatchOptions, Pattern};

/// `*` and `?` stay within one directory.
const GLOB: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Names that readers pass over, as Flink does: what is being written, and markers such as `_SUCCESS`.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// The table's files now, by name. An empty directory has none; a path or pattern that names nothing is an error.
pub(super) async fn list(
    table: &FilesystemTable,
    store: &Store,
    root: &str,
) -> Result<Vec<FileEntry>, ConnectorError> {
    let pattern = root.contains(['*', '?', '[']).then(|| Pattern::new(root));
    let pattern = match pattern {
        None => None,
        // A file may be called like a pattern.
        Some(_) if store.stat(root).await.is_ok() => None,
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(error)) => {
            return Err(ConnectorError::Options(format!(
                "table {}: option 'path': '{root}' is no pattern: {error}",
                table.name
            )));
        }
    };
    let base = if pattern.is_some() { fixed_part(root) } else { root };
    let mut files = store.list(base, is_hidden).await.map_err(|error| named(table, error))?;
    let mut may_be_empty = matches!(store, Store::Local);
    if let Some(pattern) = pattern {
        files.retain(|file| matches_glob(&pattern, base, &file.path));
        may_be_empty = false;
    }
    if files.is_empty() && !may_be_empty && table.monitor_interval_ms.is_none() {
        return Err(ConnectorError::Options(format!(
            "table {}: no file matches {root}; check option 'path'",
            table.name
        )));
    }
    if let Some(pattern) = &table.path_pattern {
        files.retain(|file| pattern.is_match(&file.path));
    }
    if !table.partition_keys.is_empty() {
        files.retain(|file| partition_values(table, file).is_some());
    }
    files.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// The directories before the first wildcard.
fn fixed_part(pattern: &str) -> &str {
    let wildcard = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    match pattern[..wildcard].rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &pattern[..slash],
    }
}

/// True if the file, or a directory that it is in, matches.
fn matches_glob(pattern: &Pattern, base: &str, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(slash, _)| slash).chain([path.len()]);
    ends.filter(|end| *end > base.len()).any(|end| pattern.matches_with(&path[..end], GLOB))
}

/// The values of the partition keys in a file's directories (`dt=2024-01-01`), unescaped; `None` if it is not in a
/// directory for each key, in their order: Flink does not see such files either.
pub(super) fn partition_values(table: &FilesystemTable, file: &FileEntry) -> Option<Vec<String>> {
    let directories: Vec<&str> =
        file.path.split('/').rev().skip(1).take(table.partition_keys.len()).collect();
    let in_order = directories.into_iter().rev().zip(&table.partition_keys);
    let values: Option<Vec<String>> = in_order
        .map(|(directory, key)| {
            let (name, value) = directory.split_once('=')?;
            (unescape(name) == key.name).then(|| unescape(value))
        })
        .collect();
    values.filter(|values| values.len() == table.partition_keys.len())
}

/// The table's name in front of an error about one of its files.
pub(super) fn named(table: &FilesystemTable, error: ConnectorError) -> ConnectorError {
    error.context(format_args!("table {}", table.name))
}
