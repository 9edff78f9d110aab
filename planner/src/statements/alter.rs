//! ALTER TABLE and ALTER VIEW.

use super::ddl::{done, exists, view_schema};
use crate::PlanError;
use crate::binder::Binder;
use crate::catalog::{
    CatalogEntry, CatalogTable, CatalogView, ObjectPath, Session, TableDefinition, define_table,
};
use crate::parser::{
    AlterTable, AlterView, AlteredElements, ColumnDefinition, ColumnDefinitionKind, ColumnPlace, TableChange,
    Text, ViewChange, without_places,
};
use crate::planner::Planned;
use crate::walk::walk;
use sqlparser::ast::{Expr, Ident, ObjectName, Visitor};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;
use std::sync::Arc;
use weir_types::{TableDescriptor, did_you_mean};

pub(super) fn alter_table(
    session: &mut Session,
    binder: &dyn Binder,
    alter: &AlterTable,
) -> Result<Planned, PlanError> {
    let (path, name) = match session.locate(&alter.name) {
        Err(_) if alter.if_exists => return Ok(done()),
        located => located?,
    };
    if alter.if_exists && session.catalog.get(&path).is_none() {
        return Ok(done());
    }
    let CatalogEntry::Table(table) = session.resolve(&alter.name)? else {
        let message = format!("'{}' is a view: use ALTER VIEW", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    };
    let mut options = table.descriptor.options.clone();
    let changed = match &alter.change {
        TableChange::Set(properties) => {
            let pairs =
                properties.iter().map(|property| (property.key.value.clone(), property.value.value.clone()));
            options.extend(pairs);
            table.with_options(session, options, properties, name.span)?
        }
        TableChange::Reset(keys) => {
            for key in keys {
                if options.remove(&key.value).is_none() {
                    return Err(no_option(name, key, options.keys().map(String::as_str)));
                }
            }
            table.with_options(session, options, &[], name.span)?
        }
        TableChange::Rename(new) => {
            let path = free_name(session, &table.path, new, table.temporary)?;
            let descriptor = TableDescriptor { name: path.short(), ..table.descriptor.as_ref().clone() };
            session.catalog.remove(table.temporary, &table.path);
            CatalogTable { path, descriptor: Arc::new(descriptor), ..table.as_ref().clone() }
        }
        change => {
            let mut definition = TableDefinition::of_table(&table);
            change_definition(&mut definition, change)?;
            let changed = define_table(session, binder, (path, name), table.temporary, definition);
            changed.map_err(|error| error.at(name.span))?
        }
    };
    session.catalog.insert(CatalogEntry::Table(Arc::new(changed)));
    Ok(done())
}

fn no_option<'a>(table: &Ident, key: &Text, known: impl Iterator<Item = &'a str>) -> PlanError {
    let nearest = did_you_mean(&key.value, known);
    let message = format!("table '{}' has no option '{}'{nearest}", table.value, key.value);
    PlanError::invalid(message).at(key.span)
}

/// The new path of `old`, in the same database, where nothing is.
fn free_name(
    session: &Session,
    old: &ObjectPath,
    name: &ObjectName,
    temporary: bool,
) -> Result<ObjectPath, PlanError> {
    let (path, ident) = match name.0.len() {
        1 => session.at(&(old.catalog.clone(), old.database.clone())).locate(name)?,
        _ => session.locate(name)?,
    };
    if path.beside(&old.name) != *old {
        let message = format!("RENAME TO '{name}': a new name is one in the same database");
        return Err(PlanError::invalid(message).at(ident.span));
    }
    exists(session, (&path, ident), temporary, false)?;
    Ok(path)
}

/// Changes columns, key and watermark; the others are changed without their definition.
fn change_definition(definition: &mut TableDefinition, change: &TableChange) -> Result<(), PlanError> {
    match change {
        TableChange::Add(elements) => add(definition, elements),
        TableChange::Modify(elements) => modify(definition, elements),
        TableChange::RenameColumn { from, to } => rename(definition, from, to),
        TableChange::DropColumns(names) => names.iter().try_for_each(|name| drop_column(definition, name)),
        TableChange::DropPrimaryKey(span) => taken(definition.primary_key.take(), "PRIMARY KEY", *span),
        TableChange::DropWatermark(span) => taken(definition.watermark.take(), "WATERMARK", *span),
        TableChange::Set(_) | TableChange::Reset(_) | TableChange::Rename(_) => Ok(()),
    }
}

fn taken<T>(what: Option<T>, name: &str, span: Span) -> Result<(), PlanError> {
    match what {
        Some(_) => Ok(()),
        None => Err(PlanError::invalid(format!("the table has no {name}")).at(span)),
    }
}

/// The place of a column. Errors: there is none of that name.
fn find(definition: &TableDefinition, name: &Ident) -> Result<usize, PlanError> {
    let columns = &definition.columns;
    columns.iter().position(|column| column.name.value == name.value).ok_or_else(|| {
        let nearest = did_you_mean(&name.value, columns.iter().map(|column| column.name.value.as_str()));
        PlanError::invalid(format!("the table has no column '{}'{nearest}", name.value)).at(name.span)
    })
}

fn put(
    definition: &mut TableDefinition,
    column: &ColumnDefinition,
    place: &ColumnPlace,
    otherwise: usize,
) -> Result<(), PlanError> {
    let at = match place {
        ColumnPlace::AsItIs => otherwise,
        ColumnPlace::First => 0,
        ColumnPlace::After(name) => find(definition, name)? + 1,
    };
    definition.columns.insert(at, column.clone());
    Ok(())
}

fn add(definition: &mut TableDefinition, elements: &AlteredElements) -> Result<(), PlanError> {
    for (column, place) in &elements.columns {
        if find(definition, &column.name).is_ok() {
            let message = format!("the table has a column '{}' already: use MODIFY", column.name.value);
            return Err(PlanError::invalid(message).at(column.name.span));
        }
        let end = definition.columns.len();
        put(definition, column, place, end)?;
    }
    let already = |what: &str| format!("the table has a {what} already: use MODIFY");
    put_clauses(definition, elements, false, already)
}

fn modify(definition: &mut TableDefinition, elements: &AlteredElements) -> Result<(), PlanError> {
    for (column, place) in &elements.columns {
        let at = find(definition, &column.name)?;
        definition.columns.remove(at);
        put(definition, column, place, at)?;
    }
    let none = |what: &str| format!("the table has no {what} to modify: use ADD");
    put_clauses(definition, elements, true, none)
}

/// Puts in the watermark and the key that are written. Errors: there is none where there has to be (`replaces`), or one where
/// there must not.
fn put_clauses(
    definition: &mut TableDefinition,
    elements: &AlteredElements,
    replaces: bool,
    message: impl Fn(&str) -> String,
) -> Result<(), PlanError> {
    let check = |was_there: bool, what: &str| match was_there == replaces {
        true => Ok(()),
        false => Err(PlanError::invalid(message(what)).at(elements.span)),
    };
    if let Some(watermark) = &elements.watermark {
        check(definition.watermark.replace(watermark.clone()).is_some(), "WATERMARK")?;
    }
    if let Some(key) = &elements.primary_key {
        check(definition.primary_key.replace(key.clone()).is_some(), "PRIMARY KEY")?;
    }
    Ok(())
}

/// Errors: a computed column, the watermark or the partitions need the column as it is.
fn check_unused(definition: &TableDefinition, name: &Ident, change: &str) -> Result<(), PlanError> {
    let computed = definition.columns.iter().find(|column| match &column.kind {
        ColumnDefinitionKind::Computed { expr } => reads(expr, &name.value),
        _ => false,
    });
    let user = match (computed, &definition.watermark) {
        (Some(computed), _) => format!("computed column '{}' is made of it", computed.name.value),
        (None, Some(watermark))
            if watermark.column.value == name.value || reads(&watermark.expr, &name.value) =>
        {
            "the watermark is made of it".to_string()
        }
        _ if definition.partition_keys.iter().any(|key| key.value == name.value) => {
            "the table is partitioned by it".to_string()
        }
        _ => return Ok(()),
    };
    Err(PlanError::invalid(format!("cannot {change} column '{}': {user}", name.value)).at(name.span))
}

/// True if the expression has a column of that name.
fn reads(expr: &Expr, name: &str) -> bool {
    struct Columns<'a>(&'a str);
    impl Visitor for Columns<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let found = match expr {
                Expr::Identifier(ident) => ident.value == self.0,
                Expr::CompoundIdentifier(parts) => parts.iter().any(|part| part.value == self.0),
                _ => false,
            };
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    walk(expr, &mut Columns(name)).is_err()
}

fn drop_column(definition: &mut TableDefinition, name: &Ident) -> Result<(), PlanError> {
    let at = find(definition, name)?;
    check_unused(definition, name, "drop")?;
    let key = definition.primary_key.as_ref();
    if key.is_some_and(|key| key.columns.iter().any(|column| column.value == name.value)) {
        let message = format!("cannot drop column '{}': it is in the primary key", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    definition.columns.remove(at);
    match definition.columns.is_empty() {
        true => Err(PlanError::invalid("a table keeps one column at least").at(name.span)),
        false => Ok(()),
    }
}

fn rename(definition: &mut TableDefinition, from: &Ident, to: &Ident) -> Result<(), PlanError> {
    let at = find(definition, from)?;
    if find(definition, to).is_ok() {
        let message = format!("the table has a column '{}' already", to.value);
        return Err(PlanError::invalid(message).at(to.span));
    }
    check_unused(definition, from, "rename")?;
    let column = &mut definition.columns[at];
    column.name = to.clone();
    match &mut column.kind {
        ColumnDefinitionKind::Physical { field } | ColumnDefinitionKind::Metadata { field, .. } => {
            field.name = to.value.clone();
        }
        ColumnDefinitionKind::Computed { .. } => {}
    }
    let keys = definition.primary_key.iter_mut().flat_map(|key| &mut key.columns);
    for key in keys.filter(|key| key.value == from.value) {
        *key = to.clone();
    }
    Ok(())
}

pub(super) fn alter_view(
    session: &mut Session,
    binder: &dyn Binder,
    alter: &AlterView,
) -> Result<Planned, PlanError> {
    let (_, name) = session.locate(&alter.name)?;
    let CatalogEntry::View(view) = session.resolve(&alter.name)? else {
        let message = format!("'{}' is a table: use ALTER TABLE", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    };
    let changed = match &alter.change {
        ViewChange::Rename(new) => {
            let path = free_name(session, &view.path, new, view.temporary)?;
            session.catalog.remove(view.temporary, &view.path);
            CatalogView { path, ..view.as_ref().clone() }
        }
        ViewChange::As { query, query_text } => CatalogView {
            schema: view_schema(session, binder, name, query, &[])?,
            query: without_places(query.clone()),
            query_text: query_text.clone(),
            home: session.here(),
            ..view.as_ref().clone()
        },
    };
    session.catalog.insert(CatalogEntry::View(Arc::new(changed)));
    Ok(done())
}
