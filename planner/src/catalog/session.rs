//! Names to tables and views.

use super::{CatalogTable, CatalogView};
use crate::PlanError;
use crate::parser::split_name;
use sqlparser::ast::{self, ObjectName};
use sqlparser::tokenizer::Span;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{ConnectorCatalog, Settings};

/// What statements of one session share.
#[derive(Clone)]
pub struct Session {
    pub catalog: Catalog,
    pub settings: Settings,
    pub connectors: Arc<dyn ConnectorCatalog>,
}

/// A table or a view.
#[derive(Clone, Debug)]
pub enum CatalogEntry {
    Table(Arc<CatalogTable>),
    View(Arc<CatalogView>),
}

pub(crate) const CATALOG: &str = "default_catalog";
pub(crate) const DATABASE: &str = "default_database";

/// The tables and views of one session, in memory. Names are case-sensitive, as Flink's are.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    permanent: BTreeMap<String, CatalogEntry>,
    /// hide permanent ones of the same name
    temporary: BTreeMap<String, CatalogEntry>,
}

impl CatalogEntry {
    pub fn name(&self) -> &str {
        match self {
            CatalogEntry::Table(table) => &table.descriptor.name,
            CatalogEntry::View(view) => &view.name,
        }
    }

    pub fn schema(&self) -> &arrow::datatypes::SchemaRef {
        match self {
            CatalogEntry::Table(table) => &table.schema,
            CatalogEntry::View(view) => &view.schema,
        }
    }

    pub fn is_temporary(&self) -> bool {
        match self {
            CatalogEntry::Table(table) => table.temporary,
            CatalogEntry::View(view) => view.temporary,
        }
    }
}

impl Catalog {
    /// All that can be named, by name.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        let hidden = |name: &&String| !self.temporary.contains_key(*name);
        let mut names: Vec<&String> =
            self.permanent.keys().filter(hidden).chain(self.temporary.keys()).collect();
        names.sort();
        names.into_iter().filter_map(|name| self.get(name))
    }

    pub fn get(&self, name: &str) -> Option<&CatalogEntry> {
        self.temporary.get(name).or_else(|| self.permanent.get(name))
    }

    pub(crate) fn get_in(&self, temporary: bool, name: &str) -> Option<&CatalogEntry> {
        self.map(temporary).get(name)
    }

    pub(crate) fn insert(&mut self, entry: CatalogEntry) {
        let name = entry.name().to_string();
        self.map_mut(entry.is_temporary()).insert(name, entry);
    }

    pub(crate) fn remove(&mut self, temporary: bool, name: &str) -> Option<CatalogEntry> {
        self.map_mut(temporary).remove(name)
    }

    fn map(&self, temporary: bool) -> &BTreeMap<String, CatalogEntry> {
        if temporary { &self.temporary } else { &self.permanent }
    }

    fn map_mut(&mut self, temporary: bool) -> &mut BTreeMap<String, CatalogEntry> {
        if temporary { &mut self.temporary } else { &mut self.permanent }
    }
}

impl Session {
    pub fn new(connectors: Arc<dyn ConnectorCatalog>) -> Self {
        Session { catalog: Catalog::default(), settings: Settings::default(), connectors }
    }

    /// The table or view that `name` means: `t`, `default_database.t` or `default_catalog.default_database.t`, where
    /// `t` may carry options of a hint (the parser writes `t /*+ OPTIONS('k'='v') */` into the name).
    pub fn resolve(&self, name: &ObjectName) -> Result<CatalogEntry, PlanError> {
        let ident = local_name(name)?;
        self.resolve_local(&ident.value).map_err(|error| error.at(ident.span))
    }

    /// As [`Session::resolve`], for the last part of a name whose catalog and database are the default ones.
    pub fn resolve_local(&self, name: &str) -> Result<CatalogEntry, PlanError> {
        let (plain, hint) = match split_name(name) {
            Some((plain, hint)) => (plain, hint),
            None => (name, vec![]),
        };
        let entry = match self.catalog.get(plain) {
            Some(entry) => entry.clone(),
            None => return Err(unknown(plain, self.catalog.entries().map(CatalogEntry::name))),
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
                let message = format!("'{plain}' is a view: OPTIONS goes with a table");
                Err(PlanError::invalid(message).in_hint())
            }
        }
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> PlanError {
    PlanError::invalid(format!("table '{name}' does not exist{}", weir_types::did_you_mean(name, known)))
}

/// The last part of a name in the default catalog and database, the only ones that there are.
pub(crate) fn local_name(name: &ObjectName) -> Result<&ast::Ident, PlanError> {
    let parts: Vec<&ast::Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let (catalog, database, local) = match parts[..] {
        [local] => (None, None, local),
        [database, local] => (None, Some(database), local),
        [catalog, database, local] => (Some(catalog), Some(database), local),
        _ => return Err(PlanError::invalid(format!("'{name}' is not the name of a table"))),
    };
    if let Some(catalog) = catalog.filter(|catalog| catalog.value != CATALOG) {
        let message = format!("catalog '{}' does not exist, the only one is '{CATALOG}'", catalog.value);
        return Err(PlanError::invalid(message).at(catalog.span));
    }
    if let Some(database) = database.filter(|database| database.value != DATABASE) {
        let message = format!("database '{}' does not exist, the only one is '{DATABASE}'", database.value);
        return Err(PlanError::invalid(message).at(database.span));
    }
    Ok(local)
}

/// `name` is `[catalog.]database`, which must be the one that there is.
pub(crate) fn check_database(name: &ObjectName) -> Result<(), PlanError> {
    let mut qualified = name.clone();
    qualified.0.push(ast::ObjectNamePart::Identifier(ast::Ident::new("_")));
    local_name(&qualified).map(|_| ())
}
