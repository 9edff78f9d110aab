//! SHOW.

use super::describe::{columns_table, create_table_text, create_view_text};
use crate::PlanError;
use crate::binder::Binder;
use crate::catalog::{CATALOG, CatalogEntry, DATABASE, Session};
use crate::parser::{Pattern, Show};
use crate::planner::{Planned, TextTable};

pub(super) fn show(session: &Session, binder: &dyn Binder, show: &Show) -> Result<Planned, PlanError> {
    let wanted =
        |name: &str, pattern: &Option<Pattern>| pattern.as_ref().is_none_or(|pattern| pattern.accepts(name));
    let entries = || session.catalog.entries();
    let table = match show {
        Show::Tables { pattern } => {
            // As in Flink, views count as tables.
            list(
                "table name",
                entries().map(|entry| entry.name().to_string()).filter(|name| wanted(name, pattern)),
            )
        }
        Show::Views { pattern } => {
            let views = entries().filter(|entry| matches!(entry, CatalogEntry::View(_)));
            list("view name", views.map(|view| view.name().to_string()).filter(|name| wanted(name, pattern)))
        }
        Show::Functions { pattern } => {
            let mut names: Vec<String> =
                binder.function_names().iter().map(|name| name.to_lowercase()).collect();
            names.sort();
            names.dedup();
            list("function name", names.into_iter().filter(|name| wanted(name, pattern)))
        }
        Show::Catalogs => list("catalog name", [CATALOG.to_string()].into_iter()),
        Show::Databases => list("database name", [DATABASE.to_string()].into_iter()),
        Show::CurrentCatalog => list("current catalog name", [CATALOG.to_string()].into_iter()),
        Show::CurrentDatabase => list("current database name", [DATABASE.to_string()].into_iter()),
        Show::Columns { table, pattern } => {
            columns_table(&session.resolve(table)?, |name| wanted(name, pattern))
        }
        Show::CreateTable(name) => match session.resolve(name)? {
            CatalogEntry::Table(table) => return Ok(Planned::Text(create_table_text(&table))),
            CatalogEntry::View(_) => return Err(not_a(name, "table", "VIEW")),
        },
        Show::CreateView(name) => match session.resolve(name)? {
            CatalogEntry::View(view) => return Ok(Planned::Text(create_view_text(&view))),
            CatalogEntry::Table(_) => return Err(not_a(name, "view", "TABLE")),
        },
    };
    Ok(Planned::Rows(table))
}

fn not_a(name: &sqlparser::ast::ObjectName, expected: &str, other: &str) -> PlanError {
    let span =
        crate::catalog::local_name(name).map_or(sqlparser::tokenizer::Span::empty(), |ident| ident.span);
    PlanError::invalid(format!("'{name}' is not a {expected}: use SHOW CREATE {other}")).at(span)
}

fn list(column: &str, names: impl Iterator<Item = String>) -> TextTable {
    TextTable { columns: vec![column.into()], rows: names.map(|name| vec![Some(name)]).collect() }
}

impl Pattern {
    /// `%` is any text, `_` any character, `\` takes the next one as it is.
    fn accepts(&self, name: &str) -> bool {
        let fold = |text: &str| -> Vec<char> {
            if self.ignore_case { text.to_lowercase().chars().collect() } else { text.chars().collect() }
        };
        like(&fold(&self.like), &fold(name)) != self.negated
    }
}

fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(rest, &text[skipped..])),
        ['_', rest @ ..] => text.split_first().is_some_and(|(_, text)| like(rest, text)),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.split_first().is_some_and(|(first, text)| first == literal && like(rest, text))
        }
    }
}
