//! CREATE and DROP of tables and views.

use super::DONE;
use super::insert::bind_into;
use crate::PlanError;
use crate::binder::{Binder, BoundQuery};
use crate::catalog::{
    CatalogEntry, CatalogView, ObjectPath, Session, TableDefinition, define_table, merge_like,
};
use crate::parser::{
    ColumnDefinition, ColumnDefinitionKind, CreateTable, CreateView, DropStatement, ObjectKind, bare,
    without_places,
};
use crate::planner::Planned;
use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast::{Ident, Query};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

pub(super) fn done() -> Planned {
    Planned::Done(DONE.into())
}

/// True if there is something of that name already and IF NOT EXISTS lets it be.
pub(super) fn exists(
    session: &Session,
    (path, name): (&ObjectPath, &Ident),
    temporary: bool,
    if_not_exists: bool,
) -> Result<bool, PlanError> {
    match session.catalog.get_in(temporary, path) {
        None => Ok(false),
        Some(_) if if_not_exists => Ok(true),
        Some(entry) => {
            let what = match entry {
                CatalogEntry::Table(_) => "table",
                CatalogEntry::View(_) => "view",
            };
            Err(PlanError::invalid(format!("{what} '{}' exists already", path.short())).at(name.span))
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
    let (path, name) = session.locate(&create.name)?;
    if exists(session, (&path, name), create.temporary, create.if_not_exists)? {
        return Ok((done(), vec![]));
    }
    let mut definition = TableDefinition::of(create);
    if let Some(like) = &create.like {
        let base = match session.resolve(&like.table)? {
            CatalogEntry::Table(base) => base,
            CatalogEntry::View(_) => {
                let span = session.locate(&like.table)?.1.span;
                return Err(
                    PlanError::invalid(format!("LIKE takes a table, '{}' is a view", like.table)).at(span)
                );
            }
        };
        definition = merge_like(&base, like, definition)?;
    }
    let Some(query) = &create.query else {
        let table = define_table(session, binder, (path, name), create.temporary, definition)?;
        session.catalog.insert(CatalogEntry::Table(Arc::new(table)));
        return Ok((done(), vec![]));
    };
    let bound = binder.bind_query(session, query)?;
    let columns = columns_of_query(name, &bound.schema)?;
    definition.columns = match create.order.is_empty() {
        true => beside_declared(definition.columns, columns),
        false => in_order(&create.order, columns)?,
    };
    let table = Arc::new(define_table(session, binder, (path, name), create.temporary, definition)?);
    let root = bind_into(&table, name, bound)?;
    let planned = super::lower_inserts(session, binder, vec![root], sql)?;
    session.catalog.insert(CatalogEntry::Table(table));
    Ok(planned)
}

/// The columns of CREATE TABLE AS that its query has.
fn columns_of_query(table: &Ident, schema: &SchemaRef) -> Result<Vec<ColumnDefinition>, PlanError> {
    let column = |field: &Arc<Field>| {
        let sql_type = SqlType::of_field(field).filter(|sql_type| *sql_type != SqlType::Null);
        let Some(sql_type) = sql_type else {
            let message = format!("column '{}' of the query has no type, CAST it to one", field.name());
            return Err(PlanError::invalid(message).at(table.span));
        };
        let field = SqlField::new(field.name(), sql_type, field.is_nullable());
        let name = Ident { span: table.span, ..bare(&field.name) };
        Ok(ColumnDefinition { name, kind: ColumnDefinitionKind::Physical { field }, comment: None })
    };
    schema.fields().iter().map(column).collect()
}

/// New columns come first; a declared column of the query's takes the place that it has there.
fn beside_declared(
    mut declared: Vec<ColumnDefinition>,
    of_query: Vec<ColumnDefinition>,
) -> Vec<ColumnDefinition> {
    let mut columns = vec![];
    for column in of_query {
        let place = declared.iter().position(|known| known.name.value == column.name.value);
        columns.push(place.map_or(column, |place| declared.remove(place)));
    }
    declared.extend(columns);
    declared
}

/// The columns of the query as a list of all their names orders them.
fn in_order(
    order: &[Ident],
    mut of_query: Vec<ColumnDefinition>,
) -> Result<Vec<ColumnDefinition>, PlanError> {
    let mut columns = vec![];
    for name in order {
        let Some(place) = of_query.iter().position(|column| column.name.value == name.value) else {
            let known = of_query.iter().map(|column| column.name.value.as_str());
            let nearest = weir_types::did_you_mean(&name.value, known);
            let message = format!("the query has no other column '{}'{nearest}", name.value);
            return Err(PlanError::invalid(message).at(name.span));
        };
        columns.push(of_query.remove(place));
    }
    match (of_query.first(), order.last()) {
        (Some(missing), Some(last)) => {
            let message = format!("the list leaves out column '{}' of the query", missing.name.value);
            Err(PlanError::invalid(message).at(last.span))
        }
        _ => Ok(columns),
    }
}

pub(super) fn create_view(
    session: &mut Session,
    binder: &dyn Binder,
    create: &CreateView,
) -> Result<Planned, PlanError> {
    let (path, name) = session.locate(&create.name)?;
    if !create.or_replace && exists(session, (&path, name), create.temporary, create.if_not_exists)? {
        return Ok(done());
    }
    let replaced = session.catalog.get_in(create.temporary, &path);
    if let Some(CatalogEntry::Table(_)) = replaced {
        let message = format!("'{}' is a table, a view cannot replace it", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    let view = CatalogView {
        path,
        home: session.here(),
        schema: view_schema(session, binder, name, &create.query, &create.columns)?,
        query: without_places(create.query.clone()),
        query_text: create.query_text.clone(),
        comment: create.comment.clone(),
        temporary: create.temporary,
    };
    session.catalog.insert(CatalogEntry::View(Arc::new(view)));
    Ok(done())
}

/// The columns of a view: those of its query, with the names of its column list where it has one.
pub(super) fn view_schema(
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
    // Where the database is not there, neither is the table.
    let (path, name) = match session.locate(&drop.name) {
        Err(_) if drop.if_exists => return Ok(done()),
        located => located?,
    };
    let what = match drop.kind {
        ObjectKind::Table => "table",
        ObjectKind::View => "view",
    };
    // A temporary one hides a permanent one, and has to be dropped as such.
    let hidden = !drop.temporary && session.catalog.get_in(true, &path).is_some();
    let found = session.catalog.get_in(drop.temporary || hidden, &path);
    let matches = match found {
        None if drop.if_exists => return Ok(done()),
        None => return Err(session.unknown(&path, what).at(name.span)),
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
    session.catalog.remove(drop.temporary, &path);
    Ok(done())
}
