//! SHOW.

use super::databases::IN_MEMORY;
use super::describe::{columns_table, create_catalog_text, create_table_text, create_view_text};
use crate::PlanError;
use crate::binder::Binder;
use crate::catalog::{CatalogEntry, Databases, Session};
use crate::parser::{Pattern, Show};
use crate::planner::{Planned, TextTable};
use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Span;

pub(super) fn show(session: &Session, binder: &dyn Binder, show: &Show) -> Result<Planned, PlanError> {
    let wanted =
        |name: &str, pattern: &Option<Pattern>| pattern.as_ref().is_none_or(|pattern| pattern.accepts(name));
    let entries = |database: &Option<ObjectName>| -> Result<Vec<&CatalogEntry>, PlanError> {
        let (catalog, database) = match database {
            Some(database) => session.locate_database(database)?,
            None => session.here(),
        };
        Ok(session.catalog.entries_of(&catalog, &database).collect())
    };
    let table = match show {
        Show::Tables { database, pattern } => {
            // As in Flink, views count as tables.
            let names = entries(database)?.into_iter().map(|entry| entry.name().to_string());
            list("table name", names.filter(|name| wanted(name, pattern)))
        }
        Show::Views { database, pattern } => {
            let views = entries(database)?.into_iter().filter(|entry| matches!(entry, CatalogEntry::View(_)));
            list("view name", views.map(|view| view.name().to_string()).filter(|name| wanted(name, pattern)))
        }
        Show::Functions { database, pattern } => {
            entries(database)?;
            let mut names: Vec<String> =
                binder.function_names().iter().map(|name| name.to_lowercase()).collect();
            names.sort();
            names.dedup();
            list("function name", names.into_iter().filter(|name| wanted(name, pattern)))
        }
        Show::Catalogs { pattern } => {
            let names = session.catalog.catalogs().keys().cloned();
            list("catalog name", names.filter(|name| wanted(name, pattern)))
        }
        Show::Databases { catalog, pattern } => {
            let names = session.catalog_of(catalog.as_ref())?.1.databases.keys().cloned();
            list("database name", names.filter(|name| wanted(name, pattern)))
        }
        Show::CurrentCatalog => list("current catalog name", [session.here().0].into_iter()),
        Show::CurrentDatabase => list("current database name", [session.here().1].into_iter()),
        Show::Columns { table, pattern } => {
            columns_table(&session.resolve(table)?, |name| wanted(name, pattern))
        }
        Show::Catalog { name, extended } => {
            let (name, catalog) = session.catalog_of(Some(name))?;
            catalog_table(&name, catalog, *extended)
        }
        Show::CreateCatalog(name) => {
            let (name, catalog) = session.catalog_of(Some(name))?;
            return Ok(Planned::Text(create_catalog_text(&name, catalog)));
        }
        Show::CreateTable(name) => match session.resolve(name)? {
            CatalogEntry::Table(table) => return Ok(Planned::Text(create_table_text(&table))),
            CatalogEntry::View(_) => return Err(not_a(session, name, "table", "VIEW")),
        },
        Show::CreateView(name) => match session.resolve(name)? {
            CatalogEntry::View(view) => return Ok(Planned::Text(create_view_text(&view))),
            CatalogEntry::Table(_) => return Err(not_a(session, name, "view", "TABLE")),
        },
    };
    Ok(Planned::Rows(table))
}

/// What DESCRIBE CATALOG tells.
fn catalog_table(name: &str, catalog: &Databases, extended: bool) -> TextTable {
    let comment = catalog.description.comment.clone();
    let mut rows = vec![
        vec![Some("name".to_string()), Some(name.to_string())],
        vec![Some("type".to_string()), Some(IN_MEMORY.to_string())],
        vec![Some("comment".to_string()), comment],
    ];
    let options = catalog.description.options.iter().filter(|(key, _)| extended && *key != "type");
    rows.extend(options.map(|(key, value)| vec![Some(format!("option:{key}")), Some(value.clone())]));
    TextTable { columns: vec!["info name".into(), "info value".into()], rows }
}

fn not_a(session: &Session, name: &ObjectName, expected: &str, other: &str) -> PlanError {
    let span = session.locate(name).map_or(Span::empty(), |(_, ident)| ident.span);
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
