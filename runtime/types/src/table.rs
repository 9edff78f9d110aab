//! Tables as they were declared, and what a connector says it can do with one.

use crate::{ChangelogMode, LookupAbility, SqlType};
use std::collections::BTreeMap;
use std::fmt;

/// Where the values of a column come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Read from and written to the connector.
    Physical,
    /// `name AS expression`: computed after reading, never written.
    Computed { expression: String },
    /// `name TYPE METADATA [FROM 'key'] [VIRTUAL]`: read from the connector's metadata, written unless virtual.
    Metadata { key: String, is_virtual: bool },
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    pub kind: ColumnKind,
    pub comment: Option<String>,
}

/// A table as `CREATE TABLE` declared it, with `LIKE` and defaults resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescriptor {
    /// as the user wrote it last: `orders`, not `default_catalog.default_database.orders`
    pub name: String,
    /// in declared order
    pub columns: Vec<TableColumn>,
    /// the `WITH` clause
    pub options: BTreeMap<String, String>,
    /// column names; empty without `PRIMARY KEY .. NOT ENFORCED`
    pub primary_key: Vec<String>,
    /// column names of `PARTITIONED BY`
    pub partition_keys: Vec<String>,
    /// column and SQL text of `WATERMARK FOR column AS expression`
    pub watermark: Option<(String, String)>,
    pub comment: Option<String>,
}

impl TableDescriptor {
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    /// The columns that a connector reads or writes as its own fields, in declared order.
    pub fn physical_columns(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Physical)
    }
}

/// What a connector can do with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCapabilities {
    /// What a scan produces; `None` if the table cannot be read.
    pub scan: Option<ChangelogMode>,
    /// True if a scan ends by itself.
    pub bounded: bool,
    /// What a sink takes; `None` if the table cannot be written.
    pub sink: Option<ChangelogMode>,
    /// True if the rows that a sink takes replace each other by the table's primary key, where it has one.
    pub sink_by_key: bool,
    /// Metadata keys that a scan can deliver, with their types.
    pub metadata: Vec<(String, SqlType)>,
    /// How rows are looked up by key; `None` if they cannot be.
    pub lookup: Option<LookupAbility>,
}

/// What is wrong with a table's `WITH` clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// the option at fault, where it is one
    pub option: Option<String>,
    /// what is wrong and what to do: `unknown option 'pth' for connector 'filesystem', did you mean 'path'?`
    pub message: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OptionError {}

/// The connectors and formats that exist, seen from the planner: it checks tables without knowing any of them.
pub trait ConnectorCatalog: Send + Sync {
    /// Checks every option of the table (unknown, missing, malformed), its format and the types of its columns.
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError>;

    /// The table of the entries of `state` in the checkpoint at `path`: `CHECKPOINT('path', 'state')` in FROM. Its
    /// options say where it is, and [`ConnectorCatalog::check`] takes them. Reads the checkpoint, and waits for that.
    fn checkpoint_table(&self, path: &str, state: &str) -> Result<TableDescriptor, OptionError> {
        let message =
            format!("cannot read state '{state}' of checkpoint '{path}': no checkpoint can be read here");
        Err(OptionError { option: None, message })
    }
}
