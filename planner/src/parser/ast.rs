//! Statements as they were written. Queries and expressions are sqlparser's.

use sqlparser::ast::{Expr, Ident, ObjectName, Query};
use sqlparser::tokenizer::Span;
use std::sync::Arc;
use weir_types::{OnConflict, SqlField};

/// One statement of a script.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) kind: StatementKind,
    /// the whole script; errors point into it
    pub(crate) source: Arc<str>,
    /// bytes of `source`, without the semicolon and the blanks around
    range: (usize, usize),
    /// line of `source` where the statement starts, from 1
    line: u64,
}

impl Statement {
    pub(crate) fn new(kind: StatementKind, source: Arc<str>, range: (usize, usize), line: u64) -> Self {
        Statement { kind, source, range, line }
    }

    /// The statement as it was written, without the semicolon.
    pub fn text(&self) -> &str {
        &self.source[self.range.0..self.range.1]
    }

    /// Start and end in the script, in bytes.
    pub fn range(&self) -> (usize, usize) {
        self.range
    }

    /// The line of the script where the statement starts, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// `EXPLAIN detail` of this statement; errors point to where this statement was written.
    pub fn explained(&self, detail: ExplainDetail) -> Statement {
        let statement = Box::new(self.kind.clone());
        let kind = StatementKind::Explain(Explain { details: vec![detail], statement });
        Statement { kind, ..self.clone() }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    CreateTable(Box<CreateTable>),
    CreateView(CreateView),
    Drop(DropStatement),
    AlterTable(Box<AlterTable>),
    AlterView(AlterView),
    Database(DatabaseStatement),
    Insert(Box<Insert>),
    StatementSet(Vec<Insert>),
    Query(Box<Query>),
    /// No pairs: `SET;` shows the settings.
    Set(Vec<Property>),
    /// No key: all of them.
    Reset(Option<Text>),
    Show(Show),
    Describe(ObjectName),
    /// `DESCRIBE SELECT ..`, `DESCRIBE CHECKPOINT('path', 'state')`
    DescribeQuery(Box<Query>),
    Use(UseStatement),
    Explain(Explain),
    Client(ClientCommand),
}

/// A command that whoever runs the statements carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// `QUIT`, `EXIT`
    Quit,
    Clear,
    Help,
    /// `SHOW JOBS`
    ShowJobs,
    /// `STOP JOB 'id' [WITH [CANONICAL|NATIVE] SAVEPOINT ['directory'] [WITH DRAIN]]`
    StopJob {
        id: String,
        stop: StopMode,
    },
    /// `CREATE [CANONICAL|NATIVE] SAVEPOINT ['directory'] FOR JOB 'id'`
    CreateSavepoint {
        id: String,
        savepoint: SavepointWish,
    },
    /// `EXPLAIN CHECKPOINT 'path'`
    ExplainCheckpoint {
        path: String,
    },
    /// `EXPLAIN CHECKPOINT FOR JOB 'id' [number]`
    ExplainCheckpointOfJob {
        id: String,
        /// `None`: the newest
        number: Option<u64>,
    },
    /// `SHOW CHECKPOINTS [FOR JOB 'id']`
    ShowCheckpoints {
        id: Option<String>,
    },
    /// `DROP CHECKPOINT 'path'`
    DropCheckpoint {
        path: String,
    },
}

/// A savepoint that a statement asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavepointWish {
    /// `None`: that of the settings
    pub directory: Option<String>,
    /// as Arrow files, which every state backend opens; otherwise as checkpoints are written
    pub canonical: bool,
}

/// How a job stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// It leaves nothing behind.
    Cancel,
    /// Windows that are open stay open in the savepoint.
    Suspend(SavepointWish),
    /// `WITH DRAIN`: as if the input had ended.
    Drain(SavepointWish),
}

/// A string of the text with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub value: String,
    pub span: Span,
}

/// `'key' = 'value'`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Property {
    pub key: Text,
    pub value: Text,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateTable {
    pub name: ObjectName,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDefinition>,
    /// `(a, b) .. AS query`: the columns of the query in another order
    pub order: Vec<Ident>,
    pub watermark: Option<WatermarkDefinition>,
    pub primary_key: Option<PrimaryKey>,
    pub comment: Option<String>,
    pub partition_keys: Vec<Ident>,
    pub options: Vec<Property>,
    pub like: Option<TableLike>,
    pub query: Option<Box<Query>>,
}

#[derive(Clone, Debug)]
pub(crate) struct ColumnDefinition {
    pub name: Ident,
    pub kind: ColumnDefinitionKind,
    pub comment: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum ColumnDefinitionKind {
    Physical { field: SqlField },
    Computed { expr: Box<Expr> },
    Metadata { field: SqlField, key: Option<Text>, is_virtual: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct WatermarkDefinition {
    pub column: Ident,
    pub expr: Expr,
}

#[derive(Clone, Debug)]
pub(crate) struct PrimaryKey {
    pub columns: Vec<Ident>,
    pub span: Span,
}

/// `LIKE t (INCLUDING OPTIONS, ..)`
#[derive(Clone, Debug)]
pub(crate) struct TableLike {
    pub table: ObjectName,
    pub options: Vec<(LikeMode, LikeFeature, Span)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LikeMode {
    Including,
    Excluding,
    Overwriting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LikeFeature {
    All,
    Constraints,
    Distribution,
    Generated,
    Metadata,
    Options,
    Partitions,
    Watermarks,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateView {
    pub name: ObjectName,
    pub temporary: bool,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub columns: Vec<Ident>,
    pub comment: Option<String>,
    pub query: Box<Query>,
    /// the query as it was written
    pub query_text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Table,
    View,
}

#[derive(Clone, Debug)]
pub(crate) struct DropStatement {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub temporary: bool,
    pub if_exists: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct AlterTable {
    pub name: ObjectName,
    pub if_exists: bool,
    pub change: TableChange,
}

#[derive(Clone, Debug)]
pub(crate) enum TableChange {
    Set(Vec<Property>),
    Reset(Vec<Text>),
    Rename(ObjectName),
    RenameColumn {
        from: Ident,
        to: Ident,
    },
    /// `ADD (..)`
    Add(AlteredElements),
    /// `MODIFY (..)`
    Modify(AlteredElements),
    DropColumns(Vec<Ident>),
    DropPrimaryKey(Span),
    DropWatermark(Span),
}

/// What ADD and MODIFY have between their parentheses.
#[derive(Clone, Debug)]
pub(crate) struct AlteredElements {
    pub columns: Vec<(ColumnDefinition, ColumnPlace)>,
    pub watermark: Option<WatermarkDefinition>,
    pub primary_key: Option<PrimaryKey>,
    /// of the word ADD or MODIFY
    pub span: Span,
}

/// Where a column goes among the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ColumnPlace {
    /// to the end if it is new, else where it is
    AsItIs,
    First,
    After(Ident),
}

#[derive(Clone, Debug)]
pub(crate) struct AlterView {
    pub name: ObjectName,
    pub change: ViewChange,
}

#[derive(Clone, Debug)]
pub(crate) enum ViewChange {
    Rename(ObjectName),
    As { query: Box<Query>, query_text: String },
}

/// Catalogs and databases.
#[derive(Clone, Debug)]
pub(crate) enum DatabaseStatement {
    CreateCatalog { name: Ident, if_not_exists: bool, comment: Option<String>, options: Vec<Property> },
    DropCatalog { name: Ident, if_exists: bool },
    CreateDatabase { name: ObjectName, if_not_exists: bool, comment: Option<String>, options: Vec<Property> },
    AlterDatabase { name: ObjectName, options: Vec<Property> },
    DropDatabase { name: ObjectName, if_exists: bool, cascade: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub table: ObjectName,
    pub overwrite: bool,
    /// `PARTITION (k = literal, ..)`
    pub partition: Vec<(Ident, Expr)>,
    pub columns: Vec<Ident>,
    pub query: Box<Query>,
    /// `ON CONFLICT DO ..`, and where it stands
    pub conflict: Option<(OnConflict, Span)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Show {
    /// `database`: `None` for the current one
    Tables {
        database: Option<ObjectName>,
        pattern: Option<Pattern>,
    },
    Views {
        database: Option<ObjectName>,
        pattern: Option<Pattern>,
    },
    Functions {
        database: Option<ObjectName>,
        pattern: Option<Pattern>,
    },
    Catalogs {
        pattern: Option<Pattern>,
    },
    /// `catalog`: `None` for the current one
    Databases {
        catalog: Option<Ident>,
        pattern: Option<Pattern>,
    },
    CurrentCatalog,
    CurrentDatabase,
    CreateTable(ObjectName),
    CreateView(ObjectName),
    CreateCatalog(Ident),
    /// `DESCRIBE CATALOG [EXTENDED] name`
    Catalog {
        name: Ident,
        extended: bool,
    },
    Columns {
        table: ObjectName,
        pattern: Option<Pattern>,
    },
}

/// `[NOT] LIKE 'pattern'`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub negated: bool,
    pub like: String,
    /// `ILIKE`
    pub ignore_case: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum UseStatement {
    /// `USE [catalog.]database`
    Database(ObjectName),
    Catalog(Ident),
}

/// What EXPLAIN shows beside the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainDetail {
    EstimatedCost,
    ChangelogMode,
    PlanAdvice,
    JsonExecutionPlan,
    /// The operators as JSON and nothing else, for programs; no statement asks for it.
    JsonAlone,
    /// `EXPLAIN CHECKPOINT <statement>`: the state that the statement will keep
    Checkpoint,
}

#[derive(Clone, Debug)]
pub(crate) struct Explain {
    pub details: Vec<ExplainDetail>,
    pub statement: Box<StatementKind>,
}
