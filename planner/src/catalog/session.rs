//! Names to tables and views.

use super::databases::{Catalog, CatalogEntry, Databases};
use super::path::ObjectPath;
use crate::PlanError;
use crate::parser::split_name;
use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Span;
use std::borrow::Cow;
use std::sync::Arc;
use weir_types::{ConnectorCatalog, Settings, did_you_mean};

/// What statements of one session share.
#[derive(Clone)]
pub struct Session {
    pub catalog: Catalog,
    pub settings: Settings,
    pub connectors: Arc<dyn ConnectorCatalog>,
}

/// A catalog and one of its databases, by name.
pub(crate) type DatabasePath = (String, String);

impl Session {
    pub fn new(connectors: Arc<dyn ConnectorCatalog>) -> Self {
        Session { catalog: Catalog::default(), settings: Settings::default(), connectors }
    }

    /// The session with names meaning what they mean in another database: for the query of a view, which keeps its meaning
    /// wherever it is used.
    pub(crate) fn at(&self, (catalog, database): &DatabasePath) -> Cow<'_, Session> {
        if self.catalog.current_catalog() == catalog && self.catalog.current_database() == database {
            return Cow::Borrowed(self);
        }
        let mut session = self.clone();
        session.catalog.set_current(catalog, database);
        Cow::Owned(session)
    }

    /// The current catalog and database.
    pub(crate) fn here(&self) -> DatabasePath {
        (self.catalog.current_catalog().to_string(), self.catalog.current_database().to_string())
    }

    /// The object that `name` means, there or not: `t`, `db.t` or `cat.db.t`; with the last part of the name. Errors: there
    /// is no such catalog or database.
    pub(crate) fn locate<'a>(&self, name: &'a ObjectName) -> Result<(ObjectPath, &'a Ident), PlanError> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let (database, local) = match parts[..] {
            [local] => (None, local),
            [database, local] => (Some((None, database)), local),
            [catalog, database, local] => (Some((Some(catalog), database)), local),
            _ => return Err(PlanError::invalid(format!("'{name}' is not the name of a table"))),
        };
        let (catalog, database) = match database {
            None => (self.catalog.current_catalog().into(), self.catalog.current_database().into()),
            Some((catalog, database)) => self.database(catalog, database)?,
        };
        Ok((ObjectPath { catalog, database, name: local.value.clone() }, local))
    }

    /// The database that `[catalog.]database` names.
    pub(crate) fn locate_database(&self, name: &ObjectName) -> Result<DatabasePath, PlanError> {
        let (catalog, database) = self.split_database(name)?;
        self.database(catalog, database)
    }

    /// The parts of `[catalog.]database`, there or not.
    pub(crate) fn split_database<'a>(
        &self,
        name: &'a ObjectName,
    ) -> Result<(Option<&'a Ident>, &'a Ident), PlanError> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match parts[..] {
            [database] => Ok((None, database)),
            [catalog, database] => Ok((Some(catalog), database)),
            _ => Err(PlanError::invalid(format!("'{name}' is not the name of a database"))),
        }
    }

    fn database(&self, catalog: Option<&Ident>, database: &Ident) -> Result<DatabasePath, PlanError> {
        let (catalog, databases) = self.catalog_of(catalog)?;
        if databases.databases.contains_key(&database.value) {
            return Ok((catalog, database.value.clone()));
        }
        let nearest = did_you_mean(&database.value, databases.databases.keys().map(String::as_str));
        let message = format!("database '{}' does not exist in catalog '{catalog}'{nearest}", database.value);
        Err(PlanError::invalid(message).at(database.span))
    }

    /// A catalog, the current one without a name, and its databases.
    pub(crate) fn catalog_of(&self, name: Option<&Ident>) -> Result<(String, &Databases), PlanError> {
        let (value, span) = match name {
            Some(name) => (name.value.as_str(), name.span),
            None => (self.catalog.current_catalog(), Span::empty()),
        };
        match self.catalog.catalogs().get(value) {
            Some(databases) => Ok((value.to_string(), databases)),
            None => {
                let nearest = did_you_mean(value, self.catalog.catalogs().keys().map(String::as_str));
                Err(PlanError::invalid(format!("catalog '{value}' does not exist{nearest}")).at(span))
            }
        }
    }

    /// The table or view that `name` means, where `t` may carry options of a hint (the parser writes
    /// `t /*+ OPTIONS('k'='v') */` into the name).
    pub fn resolve(&self, name: &ObjectName) -> Result<CatalogEntry, PlanError> {
        let (path, ident) = self.locate(name)?;
        self.find(path).map_err(|error| error.at(ident.span))
    }

    fn find(&self, path: ObjectPath) -> Result<CatalogEntry, PlanError> {
        let (path, hint) = match split_name(&path.name) {
            Some((plain, hint)) => (path.beside(plain), hint),
            None => (path, vec![]),
        };
        let entry = match self.catalog.get(&path) {
            Some(entry) => entry.clone(),
            None => return Err(self.unknown(&path, "table")),
        };
        match entry {
            entry if hint.is_empty() => Ok(entry),
            CatalogEntry::Table(table) => {
                let mut options = table.descriptor.options.clone();
                options.extend(hint);
                let table = table.with_options(self, options, &[], Span::empty());
                let table = table.map_err(|error| error.context("hint OPTIONS").in_hint())?;
                Ok(CatalogEntry::Table(Arc::new(table)))
            }
            CatalogEntry::View(_) => {
                let message = format!("'{}' is a view: OPTIONS goes with a table", path.name);
                Err(PlanError::invalid(message).in_hint())
            }
        }
    }

    /// There is no `what` at `path`.
    pub(crate) fn unknown(&self, path: &ObjectPath, what: &str) -> PlanError {
        let known = self.catalog.entries_of(&path.catalog, &path.database).map(CatalogEntry::name);
        let nearest = did_you_mean(&path.name, known);
        PlanError::invalid(format!("{what} '{}' does not exist{nearest}", path.short()))
    }
}
