//! CREATE, DROP and ALTER: changes of the catalog.

use super::DONE;
use super::insert::bind_into;
use crate::PlanError;
use crate::binder::{Binder, BoundQuery};
use crate::catalog::{
    CatalogEntry, CatalogTable, CatalogView, Session, TableDefinition, define_table, local_name, merge_like,
    new_name,
};
use crate::parser::{
    AlterTable, AlterView, ColumnDefinition, ColumnDefinitionKind, CreateTable, CreateView, DropStatement,
    ObjectKind, TableChange, ViewChange, bare, without_places,
};
use crate::planner::Planned;
use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast::{Ident, ObjectName, Query};
use std::sync::Arc;
use weir_types::{SqlField, SqlType, TableDescriptor};

fn done() -> Planned {
    Planned::Done(DONE.into())
}

/// True if there is something of that name already and IF NOT EXISTS lets it be.
fn exists(session: &Session, name: &Ident, temporary: bool, if_not_exists: bool) -> Result<bool, PlanError> {
    match session.catalog.get_in(temporary, &name.value) {
        None => Ok(false),
        Some(_) if if_not_exists => Ok(true),
        Some(entry) => {
            let what = match entry {
                CatalogEntry::Table(_) => "table",
                CatalogEntry::View(_) => "view",
            };
            Err(PlanError::invalid(format!("{what} '{}' exists already", name.value)).at(name.span))
        }
    }
}

/// CREATE TABLE, also LIKE. With AS SELECT the INSERT that fills the table is planned as well.
pub(super) fn create_table(
    session: &mut Session,
    binder: &dyn Binder,
    create: &CreateTable,
    sql: &str,
) -> Result<(Planned, Vec<String>), PlanError> {
    let name = new_name(&create.name)?;
    if exists(session, &name, create.temporary, create.if_not_exists)? {
        return Ok((done(), vec![]));
    }
    let mut definition = TableDefinition::of(create);
    if let Some(like) = &create.like {
        let base = match session.resolve(&like.table)? {
            CatalogEntry::Table(base) => base,
            CatalogEntry::View(_) => {
                let span = local_name(&like.table)?.span;
                return Err(
                    PlanError::invalid(format!("LIKE takes a table, '{}' is a view", like.table)).at(span)
                );
            }
        };
        definition = merge_like(&base, like, definition)?;
    }
    let Some(query) = &create.query else {
        let table = define_table(session, binder, &name, create.temporary, definition)?;
        session.catalog.insert(CatalogEntry::Table(Arc::new(table)));
        return Ok((done(), vec![]));
    };
    let bound = binder.bind_query(session, query)?;
    definition.columns = columns_of_query(&name, &bound.schema, definition.columns)?;
    let table = Arc::new(define_table(session, binder, &name, create.temporary, definition)?);
    let root = bind_into(&table, &name, bound)?;
    let planned = super::lower_inserts(session, binder, vec![root], sql)?;
    session.catalog.insert(CatalogEntry::Table(table));
    Ok(planned)
}

/// The columns of CREATE TABLE AS: those of the query, then what the statement computes from them.
fn columns_of_query(
    table: &Ident,
    schema: &SchemaRef,
    declared: Vec<ColumnDefinition>,
) -> Result<Vec<ColumnDefinition>, PlanError> {
    let mut columns = vec![];
    for field in schema.fields() {
        let sql_type =
            SqlType::of_field(field).filter(|sql_type| *sql_type != SqlType::Null).ok_or_else(|| {
                let message = format!("column '{}' of the query has no type, CAST it to one", field.name());
                PlanError::invalid(message).at(table.span)
            })?;
        let field = SqlField::new(field.name(), sql_type, field.is_nullable());
        let name = Ident { span: table.span, ..bare(&field.name) };
        columns.push(ColumnDefinition {
            name,
            kind: ColumnDefinitionKind::Physical { field },
            comment: None,
        });
    }
    for column in declared {
        if let ColumnDefinitionKind::Physical { .. } = column.kind {
            let what = "physical columns in CREATE TABLE .. AS, CAST in the query instead";
            return Err(PlanError::not_supported(what).at(column.name.span));
        }
        columns.push(column);
    }
    Ok(columns)
}

pub(super) fn create_view(
    session: &mut Session,
    binder: &dyn Binder,
    create: &CreateView,
) -> Result<Planned, PlanError> {
    let name = new_name(&create.name)?;
    if !create.or_replace && exists(session, &name, create.temporary, create.if_not_exists)? {
        return Ok(done());
    }
    let replaced = session.catalog.get_in(create.temporary, &name.value);
    if let Some(CatalogEntry::Table(_)) = replaced {
        let message = format!("'{}' is a table, a view cannot replace it", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    let view = CatalogView {
        name: name.value.clone(),
        schema: view_schema(session, binder, &name, &create.query, &create.columns)?,
        query: without_places(create.query.clone()),
        query_text: create.query_text.clone(),
        comment: create.comment.clone(),
        temporary: create.temporary,
    };
    session.catalog.insert(CatalogEntry::View(Arc::new(view)));
    Ok(done())
}

/// The columns of a view: those of its query, with the names of its column list where it has one.
fn view_schema(
    session: &Session,
    binder: &dyn Binder,
    view: &Ident,
    query: &Query,
    names: &[Ident],
) -> Result<SchemaRef, PlanError> {
    let BoundQuery { schema, .. } = binder.bind_query(session, query)?;
    if !names.is_empty() && names.len() != schema.fields().len() {
        let (names, columns) = (names.len(), schema.fields().len());
        let message = format!("view '{}' names {names} columns, but its query has {columns}", view.value);
        return Err(PlanError::invalid(message).at(view.span));
    }
    let renamed = |(index, field): (usize, &Arc<Field>)| match names.get(index) {
        Some(name) => field.as_ref().clone().with_name(&name.value),
        None => field.as_ref().clone(),
    };
    let fields: Vec<Field> = schema.fields().iter().enumerate().map(renamed).collect();
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].iter().any(|other| other.name() == field.name()) {
            let message = format!("view '{}' has two columns named '{}'", view.value, field.name());
            return Err(PlanError::invalid(message).at(names.get(index).map_or(view.span, |name| name.span)));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

pub(super) fn drop_entry(session: &mut Session, drop: &DropStatement) -> Result<Planned, PlanError> {
    let name = local_name(&drop.name)?;
    let what = match drop.kind {
        ObjectKind::Table => "table",
        ObjectKind::View => "view",
    };
    // A temporary one hides a permanent one, and has to be dropped as such.
    let hidden = !drop.temporary && session.catalog.get_in(true, &name.value).is_some();
    let found = session.catalog.get_in(drop.temporary || hidden, &name.value);
    let matches = match found {
        None if drop.if_exists => return Ok(done()),
        None => {
            let known = session.catalog.entries().map(CatalogEntry::name);
            let message = format!(
                "{what} '{}' does not exist{}",
                name.value,
                weir_types::did_you_mean(&name.value, known)
            );
            return Err(PlanError::invalid(message).at(name.span));
        }
        Some(CatalogEntry::Table(_)) => drop.kind == ObjectKind::Table,
        Some(CatalogEntry::View(_)) => drop.kind == ObjectKind::View,
    };
    if !matches {
        let other = if drop.kind == ObjectKind::Table { "VIEW" } else { "TABLE" };
        let message = format!("'{}' is not a {what}: use DROP {other}", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    if hidden {
        let capitals = what.to_uppercase();
        let message = format!("{what} '{}' is temporary: use DROP TEMPORARY {capitals}", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    session.catalog.remove(drop.temporary, &name.value);
    Ok(done())
}

pub(super) fn alter_table(session: &mut Session, alter: &AlterTable) -> Result<Planned, PlanError> {
    let name = local_name(&alter.name)?;
    if alter.if_exists && session.catalog.get(&name.value).is_none() {
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
                    let nearest = weir_types::did_you_mean(&key.value, options.keys().map(String::as_str));
                    let message = format!("table '{}' has no option '{}'{nearest}", name.value, key.value);
                    return Err(PlanError::invalid(message).at(key.span));
                }
            }
            table.with_options(session, options, &[], name.span)?
        }
        TableChange::Rename(new) => {
            let new = free_name(session, new, table.temporary)?;
            let descriptor = TableDescriptor { name: new.value, ..table.descriptor.as_ref().clone() };
            session.catalog.remove(table.temporary, &name.value);
            CatalogTable { descriptor: Arc::new(descriptor), ..table.as_ref().clone() }
        }
        TableChange::RenameColumn { from, to } => {
            let what = format!("ALTER TABLE .. RENAME {from} TO {to}");
            return Err(PlanError::not_supported(what).at(from.span));
        }
    };
    session.catalog.insert(CatalogEntry::Table(Arc::new(changed)));
    Ok(done())
}

fn free_name(session: &Session, name: &ObjectName, temporary: bool) -> Result<Ident, PlanError> {
    let name = new_name(name)?;
    exists(session, &name, temporary, false)?;
    Ok(name)
}

pub(super) fn alter_view(
    session: &mut Session,
    binder: &dyn Binder,
    alter: &AlterView,
) -> Result<Planned, PlanError> {
    let name = local_name(&alter.name)?;
    let CatalogEntry::View(view) = session.resolve(&alter.name)? else {
        let message = format!("'{}' is a table: use ALTER TABLE", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    };
    let changed = match &alter.change {
        ViewChange::Rename(new) => {
            let new = free_name(session, new, view.temporary)?;
            session.catalog.remove(view.temporary, &name.value);
            CatalogView { name: new.value, ..view.as_ref().clone() }
        }
        ViewChange::As { query, query_text } => CatalogView {
            schema: view_schema(session, binder, name, query, &[])?,
            query: without_places(query.clone()),
            query_text: query_text.clone(),
            ..view.as_ref().clone()
        },
    };
    session.catalog.insert(CatalogEntry::View(Arc::new(changed)));
    Ok(done())
}
