//! Catalogs and databases: CREATE, ALTER, DROP and USE.

use super::ddl::done;
use crate::PlanError;
use crate::catalog::{Databases, Description, Session};
use crate::parser::{DatabaseStatement, Property, UseStatement};
use crate::planner::Planned;
use sqlparser::ast::{Ident, ObjectName};
use std::collections::BTreeMap;
use weir_types::did_you_mean;

/// The `type` of catalogs that there is.
pub(super) const IN_MEMORY: &str = "generic_in_memory";

pub(super) fn change(session: &mut Session, statement: &DatabaseStatement) -> Result<Planned, PlanError> {
    match statement {
        DatabaseStatement::CreateCatalog { name, if_not_exists, comment, options } => {
            let exists = session.catalog.catalogs().contains_key(&name.value);
            if !is_new(exists, *if_not_exists, "catalog", name)? {
                return Ok(done());
            }
            let databases = new_catalog(name, comment.clone(), options)?;
            session.catalog.catalogs_mut().insert(name.value.clone(), databases);
        }
        DatabaseStatement::DropCatalog { name, if_exists } => drop_catalog(session, name, *if_exists)?,
        DatabaseStatement::CreateDatabase { name, if_not_exists, comment, options } => {
            let (catalog, database) = session.split_database(name)?;
            let (catalog, known) = session.catalog_of(catalog)?;
            let exists = known.databases.contains_key(&database.value);
            if is_new(exists, *if_not_exists, "database", database)? {
                let new = Description { comment: comment.clone(), options: pairs(options) };
                databases_of(session, &catalog).insert(database.value.clone(), new);
            }
        }
        DatabaseStatement::AlterDatabase { name, options } => {
            let (catalog, database) = session.locate_database(name)?;
            if let Some(description) = databases_of(session, &catalog).get_mut(&database) {
                description.options.extend(pairs(options));
            }
        }
        DatabaseStatement::DropDatabase { name, if_exists, cascade } => {
            drop_database(session, name, *if_exists, *cascade)?;
        }
    }
    Ok(done())
}

/// The databases of a catalog that is there.
fn databases_of<'a>(session: &'a mut Session, catalog: &str) -> &'a mut BTreeMap<String, Description> {
    let databases = session.catalog.catalogs_mut().entry(catalog.to_string());
    &mut databases.or_insert_with(|| Databases::of(catalog, Description::default())).databases
}

fn pairs(options: &[Property]) -> BTreeMap<String, String> {
    options.iter().map(|option| (option.key.value.clone(), option.value.value.clone())).collect()
}

/// False if it is there already and IF NOT EXISTS lets it be.
fn is_new(exists: bool, if_not_exists: bool, what: &str, name: &Ident) -> Result<bool, PlanError> {
    match exists {
        false => Ok(true),
        true if if_not_exists => Ok(false),
        true => Err(PlanError::invalid(format!("{what} '{}' exists already", name.value)).at(name.span)),
    }
}

fn new_catalog(name: &Ident, comment: Option<String>, options: &[Property]) -> Result<Databases, PlanError> {
    let mut default = "default".to_string();
    let mut kind = None;
    for option in options {
        match option.key.value.as_str() {
            "type" => kind = Some(option),
            "default-database" => default = option.value.value.clone(),
            key => {
                let nearest = did_you_mean(key, ["type", "default-database"]);
                let message = format!("catalog '{}': unknown option '{key}'{nearest}", name.value);
                return Err(PlanError::invalid(message).at(option.key.span));
            }
        }
    }
    match kind {
        Some(kind) if kind.value.value == IN_MEMORY => {
            Ok(Databases::of(&default, Description { comment, options: pairs(options) }))
        }
        Some(kind) => {
            let what = format!("catalogs of type '{}': there is '{IN_MEMORY}'", kind.value.value);
            Err(PlanError::not_supported(what).at(kind.value.span))
        }
        None => {
            let message = format!("catalog '{}' has no type: write 'type' = '{IN_MEMORY}'", name.value);
            Err(PlanError::invalid(message).at(name.span))
        }
    }
}

fn drop_catalog(session: &mut Session, name: &Ident, if_exists: bool) -> Result<(), PlanError> {
    match session.catalog_of(Some(name)) {
        Err(_) if if_exists => return Ok(()),
        found => drop(found?),
    }
    if session.catalog.current_catalog() == name.value {
        let message = format!("catalog '{}' is in use: USE CATALOG another one first", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    }
    session.catalog.drop_in(&name.value, None);
    Ok(())
}

fn drop_database(
    session: &mut Session,
    name: &ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<(), PlanError> {
    let span = session.split_database(name)?.1.span;
    let (catalog, database) = match session.locate_database(name) {
        Err(_) if if_exists => return Ok(()),
        located => located?,
    };
    if session.here() == (catalog.clone(), database.clone()) {
        let message = format!("database '{database}' is in use: USE another one first");
        return Err(PlanError::invalid(message).at(span));
    }
    if !cascade && !session.catalog.is_empty(&catalog, &database) {
        let message =
            format!("database '{database}' is not empty: DROP DATABASE .. CASCADE drops its tables too");
        return Err(PlanError::invalid(message).at(span));
    }
    session.catalog.drop_in(&catalog, Some(&database));
    Ok(())
}

pub(super) fn use_statement(session: &mut Session, name: &UseStatement) -> Result<Planned, PlanError> {
    let (catalog, database) = match name {
        UseStatement::Database(database) => session.locate_database(database)?,
        UseStatement::Catalog(catalog) => {
            let (catalog, databases) = session.catalog_of(Some(catalog))?;
            (catalog, databases.default.clone())
        }
    };
    session.catalog.set_current(&catalog, &database);
    Ok(done())
}
