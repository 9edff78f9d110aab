//! The catalogs of a session, their databases, and what is in them: all in memory.

use super::path::{CATALOG, DATABASE, ObjectPath};
use super::{CatalogTable, CatalogView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table or a view.
#[derive(Clone, Debug)]
pub enum CatalogEntry {
    Table(Arc<CatalogTable>),
    View(Arc<CatalogView>),
}

impl CatalogEntry {
    pub fn path(&self) -> &ObjectPath {
        match self {
            CatalogEntry::Table(table) => &table.path,
            CatalogEntry::View(view) => &view.path,
        }
    }

    pub fn name(&self) -> &str {
        &self.path().name
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

/// What is said about a database or a catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    pub comment: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// The databases of one catalog.
#[derive(Clone, Debug)]
pub(crate) struct Databases {
    /// that one is in after USE CATALOG
    pub default: String,
    pub databases: BTreeMap<String, Description>,
    pub description: Description,
}

impl Databases {
    /// One database, which is the default.
    pub fn of(default: &str, description: Description) -> Self {
        let databases = BTreeMap::from([(default.to_string(), Description::default())]);
        Databases { default: default.to_string(), databases, description }
    }
}

/// All tables and views of one session. Names are case-sensitive, as Flink's are.
#[derive(Clone, Debug)]
pub struct Catalog {
    catalogs: BTreeMap<String, Databases>,
    /// what names without a catalog and a database are in
    current: (String, String),
    permanent: BTreeMap<ObjectPath, CatalogEntry>,
    /// hide permanent ones of the same name
    temporary: BTreeMap<ObjectPath, CatalogEntry>,
}

impl Default for Catalog {
    fn default() -> Self {
        let databases = Databases::of(DATABASE, Description::default());
        Catalog {
            catalogs: BTreeMap::from([(CATALOG.to_string(), databases)]),
            current: (CATALOG.to_string(), DATABASE.to_string()),
            permanent: BTreeMap::new(),
            temporary: BTreeMap::new(),
        }
    }
}

impl Catalog {
    pub(crate) fn current_catalog(&self) -> &str {
        &self.current.0
    }

    pub(crate) fn current_database(&self) -> &str {
        &self.current.1
    }

    /// Both exist.
    pub(crate) fn set_current(&mut self, catalog: &str, database: &str) {
        self.current = (catalog.to_string(), database.to_string());
    }

    pub(crate) fn catalogs(&self) -> &BTreeMap<String, Databases> {
        &self.catalogs
    }

    pub(crate) fn catalogs_mut(&mut self) -> &mut BTreeMap<String, Databases> {
        &mut self.catalogs
    }

    /// All that can be named in the current database, by name.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.entries_of(&self.current.0, &self.current.1)
    }

    /// As [`Catalog::entries`], of any database.
    pub(crate) fn entries_of(&self, catalog: &str, database: &str) -> impl Iterator<Item = &CatalogEntry> {
        let within = |path: &&ObjectPath| path.catalog == catalog && path.database == database;
        let hidden = |path: &&ObjectPath| self.temporary.contains_key(*path);
        let permanent = self.permanent.keys().filter(within).filter(|path| !hidden(path));
        let mut paths: Vec<&ObjectPath> = permanent.chain(self.temporary.keys().filter(within)).collect();
        paths.sort();
        paths.into_iter().filter_map(|path| self.get(path))
    }

    pub fn get(&self, path: &ObjectPath) -> Option<&CatalogEntry> {
        self.temporary.get(path).or_else(|| self.permanent.get(path))
    }

    pub(crate) fn get_in(&self, temporary: bool, path: &ObjectPath) -> Option<&CatalogEntry> {
        if temporary { self.temporary.get(path) } else { self.permanent.get(path) }
    }

    pub(crate) fn insert(&mut self, entry: CatalogEntry) {
        let path = entry.path().clone();
        self.map_mut(entry.is_temporary()).insert(path, entry);
    }

    pub(crate) fn remove(&mut self, temporary: bool, path: &ObjectPath) -> Option<CatalogEntry> {
        self.map_mut(temporary).remove(path)
    }

    /// Whether a database has tables or views, temporary ones aside.
    pub(crate) fn is_empty(&self, catalog: &str, database: &str) -> bool {
        !self.permanent.keys().any(|path| path.catalog == catalog && path.database == database)
    }

    /// Takes away a database, or all of a catalog, with what is in there.
    pub(crate) fn drop_in(&mut self, catalog: &str, database: Option<&str>) {
        let dropped = |path: &ObjectPath| {
            path.catalog == catalog && database.is_none_or(|database| path.database == database)
        };
        self.permanent.retain(|path, _| !dropped(path));
        self.temporary.retain(|path, _| !dropped(path));
        match (database, self.catalogs.get_mut(catalog)) {
            (Some(database), Some(databases)) => drop(databases.databases.remove(database)),
            _ => drop(self.catalogs.remove(catalog)),
        }
    }

    fn map_mut(&mut self, temporary: bool) -> &mut BTreeMap<ObjectPath, CatalogEntry> {
        if temporary { &mut self.temporary } else { &mut self.permanent }
    }
}
