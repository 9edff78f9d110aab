//! DESCRIBE, SHOW COLUMNS, SHOW CREATE TABLE, SHOW CREATE VIEW.

use crate::PlanError;
use crate::binder::Binder;
use crate::catalog::{CatalogEntry, CatalogTable, CatalogView, Databases, ObjectPath, Session};
use crate::planner::{Planned, TextTable};
use arrow::datatypes::{Field, FieldRef};
use sqlparser::ast::{ObjectName, Query};
use std::fmt::Write;
use weir_types::{ColumnKind, SqlType, TableColumn, TableDescriptor, TimeAttribute};

pub(super) fn describe(session: &Session, name: &ObjectName) -> Result<Planned, PlanError> {
    let entry = session.resolve(name)?;
    Ok(Planned::Rows(columns_table(&entry, |_| true)))
}

/// The columns of a query's result: no key, no extras.
pub(super) fn describe_query(
    session: &Session,
    binder: &dyn Binder,
    query: &Query,
) -> Result<Planned, PlanError> {
    let schema = binder.bind_query(session, query)?.schema;
    let row = |field: &FieldRef| {
        let nullable = if field.is_nullable() { "TRUE" } else { "FALSE" };
        vec![Some(field.name().clone()), Some(type_text(field)), Some(nullable.to_string())]
    };
    let columns = ["name", "type", "null"].map(String::from).to_vec();
    Ok(Planned::Rows(TextTable { columns, rows: schema.fields().iter().map(row).collect() }))
}

/// The columns of a table or view whose names are wanted, as Flink's DESCRIBE shows them.
pub(crate) fn columns_table(entry: &CatalogEntry, wanted: impl Fn(&str) -> bool) -> TextTable {
    let table = match entry {
        CatalogEntry::Table(table) => Some(table),
        CatalogEntry::View(_) => None,
    };
    let comments =
        table.is_some_and(|table| table.descriptor.columns.iter().any(|column| column.comment.is_some()));
    let mut columns = vec!["name", "type", "null", "key", "extras", "watermark"];
    if comments {
        columns.push("comment");
    }
    let mut rows = vec![];
    for (index, field) in entry.schema().fields().iter().enumerate() {
        if !wanted(field.name()) {
            continue;
        }
        let column = table.map(|table| (&table.descriptor, &table.descriptor.columns[index]));
        let nullable = if field.is_nullable() { "TRUE" } else { "FALSE" };
        let mut row = vec![
            Some(field.name().clone()),
            Some(type_text(field)),
            Some(nullable.to_string()),
            column.and_then(|(descriptor, column)| key_text(descriptor, column)),
            column.and_then(|(_, column)| extras(column)),
            column.and_then(|(descriptor, column)| watermark_text(descriptor, column)),
        ];
        if comments {
            row.push(column.and_then(|(_, column)| column.comment.clone()));
        }
        rows.push(row);
    }
    TextTable { columns: columns.into_iter().map(String::from).collect(), rows }
}

/// `TIMESTAMP(3) *ROWTIME*`
fn type_text(field: &Field) -> String {
    let sql_type = SqlType::of_field(field)
        .map_or_else(|| field.data_type().to_string(), |sql_type| sql_type.to_string());
    match TimeAttribute::of(field) {
        Some(TimeAttribute::RowTime) => format!("{sql_type} *ROWTIME*"),
        Some(TimeAttribute::ProcTime) => format!("{sql_type} *PROCTIME*"),
        None => sql_type,
    }
}

fn key_text(descriptor: &TableDescriptor, column: &TableColumn) -> Option<String> {
    let key = &descriptor.primary_key;
    key.contains(&column.name).then(|| format!("PRI({})", key.join(", ")))
}

/// `AS PROCTIME()`, `METADATA FROM 'timestamp' VIRTUAL`
fn extras(column: &TableColumn) -> Option<String> {
    match &column.kind {
        ColumnKind::Physical => None,
        ColumnKind::Computed { expression } => Some(format!("AS {expression}")),
        ColumnKind::Metadata { key, is_virtual } => Some(metadata_text(&column.name, key, *is_virtual)),
    }
}

fn metadata_text(name: &str, key: &str, is_virtual: bool) -> String {
    let from = if key == name { String::new() } else { format!(" FROM {}", quoted(key)) };
    let is_virtual = if is_virtual { " VIRTUAL" } else { "" };
    format!("METADATA{from}{is_virtual}")
}

fn watermark_text(descriptor: &TableDescriptor, column: &TableColumn) -> Option<String> {
    let (rowtime, expression) = descriptor.watermark.as_ref()?;
    (*rowtime == column.name).then(|| expression.clone())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in backticks.
fn ticked(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn ticked_list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| ticked(name)).collect::<Vec<_>>().join(", ")
}

fn qualified(path: &ObjectPath) -> String {
    format!("{}.{}.{}", ticked(&path.catalog), ticked(&path.database), ticked(&path.name))
}

/// The CREATE TABLE that makes the table again.
pub(super) fn create_table_text(table: &CatalogTable) -> String {
    let descriptor = &table.descriptor;
    let mut elements: Vec<String> = descriptor.columns.iter().map(column_definition).collect();
    if let Some((rowtime, expression)) = &descriptor.watermark {
        elements.push(format!("WATERMARK FOR {} AS {expression}", ticked(rowtime)));
    }
    if !descriptor.primary_key.is_empty() {
        let columns = ticked_list(descriptor.primary_key.iter());
        elements.push(format!("PRIMARY KEY ({columns}) NOT ENFORCED"));
    }
    let temporary = if table.temporary { "TEMPORARY " } else { "" };
    let elements = elements.iter().map(|element| format!("  {element}")).collect::<Vec<_>>().join(",\n");
    let mut text = format!("CREATE {temporary}TABLE {} (\n{elements}\n)", qualified(&table.path));
    // Writing to a String does not fail.
    if let Some(comment) = &descriptor.comment {
        let _ = write!(text, "\nCOMMENT {}", quoted(comment));
    }
    if !descriptor.partition_keys.is_empty() {
        let _ = write!(text, "\nPARTITIONED BY ({})", ticked_list(descriptor.partition_keys.iter()));
    }
    let options =
        descriptor.options.iter().map(|(key, value)| format!("  {} = {}", quoted(key), quoted(value)));
    let _ = write!(text, "\nWITH (\n{}\n)", options.collect::<Vec<_>>().join(",\n"));
    text
}

fn column_definition(column: &TableColumn) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    let mut text = match &column.kind {
        ColumnKind::Physical => format!("{} {}{not_null}", ticked(&column.name), column.sql_type),
        ColumnKind::Computed { expression } => format!("{} AS {expression}", ticked(&column.name)),
        ColumnKind::Metadata { key, is_virtual } => {
            let metadata = metadata_text(&column.name, key, *is_virtual);
            format!("{} {}{not_null} {metadata}", ticked(&column.name), column.sql_type)
        }
    };
    if let Some(comment) = &column.comment {
        let _ = write!(text, " COMMENT {}", quoted(comment));
    }
    text
}

/// The CREATE VIEW that makes the view again.
pub(super) fn create_view_text(view: &CatalogView) -> String {
    let temporary = if view.temporary { "TEMPORARY " } else { "" };
    let columns = ticked_list(view.schema.fields().iter().map(|field| field.name()));
    let comment = view.comment.as_deref().map(|comment| format!("\nCOMMENT {}", quoted(comment)));
    let comment = comment.unwrap_or_default();
    format!("CREATE {temporary}VIEW {} ({columns}){comment}\nAS {}", qualified(&view.path), view.query_text)
}

/// The CREATE CATALOG that makes the catalog again.
pub(super) fn create_catalog_text(name: &str, catalog: &Databases) -> String {
    let mut text = format!("CREATE CATALOG {}", ticked(name));
    if let Some(comment) = &catalog.description.comment {
        let _ = write!(text, "\nCOMMENT {}", quoted(comment));
    }
    let options = catalog.description.options.iter();
    let options = options.map(|(key, value)| format!("  {} = {}", quoted(key), quoted(value)));
    let options = options.collect::<Vec<_>>().join(",\n");
    if !options.is_empty() {
        let _ = write!(text, "\nWITH (\n{options}\n)");
    }
    text
}
