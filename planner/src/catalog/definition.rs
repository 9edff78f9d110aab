//! CREATE TABLE to a table: columns, keys, watermark and options checked, types resolved.

use super::{CatalogTable, ColumnSource, ObjectPath, Session, TableWatermark};
use crate::PlanError;
use crate::binder::Binder;
use crate::parser::{
    ColumnDefinition, ColumnDefinitionKind, CreateTable, PrimaryKey, Property, Text, WatermarkDefinition,
    bare, expr_without_places, expression_text,
};
use arrow::datatypes::{Field, Schema};
use sqlparser::ast::Ident;
use sqlparser::tokenizer::Span;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ColumnKind, SqlField, SqlType, TableCapabilities, TableColumn, TableDescriptor, TimeAttribute,
};

/// The largest precision of a time attribute.
const TIME_ATTRIBUTE_PRECISION: u8 = 3;

/// A table's definition with LIKE merged in; what came from the other table has no places.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableDefinition {
    pub columns: Vec<ColumnDefinition>,
    pub watermark: Option<WatermarkDefinition>,
    pub primary_key: Option<PrimaryKey>,
    pub comment: Option<String>,
    pub partition_keys: Vec<Ident>,
    pub options: Vec<Property>,
}

impl TableDefinition {
    pub fn of(create: &CreateTable) -> TableDefinition {
        TableDefinition {
            columns: create.columns.clone(),
            watermark: create.watermark.clone(),
            primary_key: create.primary_key.clone(),
            comment: create.comment.clone(),
            partition_keys: create.partition_keys.clone(),
            options: create.options.clone(),
        }
    }
}

impl TableDefinition {
    /// What would make the table again.
    pub fn of_table(table: &CatalogTable) -> TableDefinition {
        let descriptor = &table.descriptor;
        let columns = descriptor.columns.iter().zip(&table.sources);
        let watermark = table.watermark.as_ref().map(|watermark| WatermarkDefinition {
            column: bare(&descriptor.columns[watermark.column].name),
            expr: watermark.expr.clone(),
        });
        let primary_key = (!descriptor.primary_key.is_empty()).then(|| PrimaryKey {
            columns: descriptor.primary_key.iter().map(|name| bare(name)).collect(),
            span: Span::empty(),
        });
        let text = |value: &String| Text { value: value.clone(), span: Span::empty() };
        let options = descriptor.options.iter();
        TableDefinition {
            columns: columns.map(|(column, source)| column_definition(column, source)).collect(),
            watermark,
            primary_key,
            comment: descriptor.comment.clone(),
            partition_keys: descriptor.partition_keys.iter().map(|key| bare(key)).collect(),
            options: options.map(|(key, value)| Property { key: text(key), value: text(value) }).collect(),
        }
    }
}

fn column_definition(column: &TableColumn, source: &ColumnSource) -> ColumnDefinition {
    let field = SqlField::new(column.name.clone(), column.sql_type.clone(), column.nullable);
    let kind = match (&column.kind, source) {
        (ColumnKind::Metadata { key, is_virtual }, _) => {
            let key = Some(Text { value: key.clone(), span: Span::empty() });
            ColumnDefinitionKind::Metadata { field, key, is_virtual: *is_virtual }
        }
        (_, ColumnSource::Computed(expr)) => ColumnDefinitionKind::Computed { expr: expr.clone() },
        _ => ColumnDefinitionKind::Physical { field },
    };
    ColumnDefinition { name: bare(&column.name), kind, comment: column.comment.clone() }
}

/// The table that `definition` means.
pub(crate) fn define_table(
    session: &Session,
    binder: &dyn Binder,
    (path, name): (ObjectPath, &Ident),
    temporary: bool,
    definition: TableDefinition,
) -> Result<CatalogTable, PlanError> {
    check_names(&definition.columns)?;
    let primary_key = check_primary_key(&definition)?;
    let mut columns = Columns::default();
    for column in &definition.columns {
        columns.add_declared(column, primary_key.contains(&column.name.value));
    }
    columns.bind_computed(session, binder, &definition.columns)?;
    let watermark = match &definition.watermark {
        Some(watermark) => Some(columns.bind_watermark(session, binder, watermark)?),
        None => None,
    };
    for key in &definition.partition_keys {
        find(&definition.columns, key, "PARTITIONED BY")?;
    }
    let descriptor = TableDescriptor {
        name: path.short(),
        columns: columns.columns,
        options: options(&definition.options),
        primary_key,
        partition_keys: definition.partition_keys.iter().map(|key| key.value.clone()).collect(),
        watermark: definition
            .watermark
            .as_ref()
            .map(|watermark| (watermark.column.value.clone(), expression_text(&watermark.expr))),
        comment: definition.comment.clone(),
    };
    let capabilities = check_options(session, &descriptor, &definition.options, name.span)?;
    check_metadata(&descriptor, &capabilities, &definition.columns)?;
    Ok(CatalogTable {
        path,
        descriptor: Arc::new(descriptor),
        schema: Arc::new(Schema::new(columns.fields)),
        sources: columns.sources,
        watermark,
        capabilities,
        temporary,
    })
}

fn options(properties: &[Property]) -> BTreeMap<String, String> {
    properties.iter().map(|property| (property.key.value.clone(), property.value.value.clone())).collect()
}

/// Asks the connectors, and points at the option that they object to.
pub(crate) fn check_options(
    session: &Session,
    descriptor: &TableDescriptor,
    written: &[Property],
    name: Span,
) -> Result<TableCapabilities, PlanError> {
    session.connectors.check(descriptor).map_err(|error| {
        let option = error.option.as_deref();
        let property = written.iter().find(|property| Some(property.key.value.as_str()) == option);
        let span = property.map_or(name, |property| property.key.span);
        PlanError::invalid(error.message).at(span)
    })
}

fn check_names(columns: &[ColumnDefinition]) -> Result<(), PlanError> {
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name.value == column.name.value) {
            let message = format!("duplicate column '{}'", column.name.value);
            return Err(PlanError::invalid(message).at(column.name.span));
        }
    }
    Ok(())
}

fn find<'a>(
    columns: &'a [ColumnDefinition],
    name: &Ident,
    clause: &str,
) -> Result<&'a ColumnDefinition, PlanError> {
    columns.iter().find(|column| column.name.value == name.value).ok_or_else(|| {
        let known = columns.iter().map(|column| column.name.value.as_str());
        let nearest = weir_types::did_you_mean(&name.value, known);
        let message = format!("{clause}: the table has no column '{}'{nearest}", name.value);
        PlanError::invalid(message).at(name.span)
    })
}

/// Names of the key's columns: physical ones, each once.
fn check_primary_key(definition: &TableDefinition) -> Result<Vec<String>, PlanError> {
    let Some(key) = &definition.primary_key else { return Ok(vec![]) };
    let mut names: Vec<String> = vec![];
    for ident in &key.columns {
        let column = find(&definition.columns, ident, "PRIMARY KEY")?;
        if !matches!(column.kind, ColumnDefinitionKind::Physical { .. }) {
            let message = format!("PRIMARY KEY: '{}' is not a physical column", ident.value);
            return Err(PlanError::invalid(message).at(ident.span));
        }
        if names.contains(&ident.value) {
            let message = format!("PRIMARY KEY: column '{}' is there twice", ident.value);
            return Err(PlanError::invalid(message).at(ident.span));
        }
        names.push(ident.value.clone());
    }
    Ok(names)
}

fn check_metadata(
    descriptor: &TableDescriptor,
    capabilities: &TableCapabilities,
    definitions: &[ColumnDefinition],
) -> Result<(), PlanError> {
    for (column, definition) in descriptor.columns.iter().zip(definitions) {
        let ColumnKind::Metadata { key, .. } = &column.kind else { continue };
        let span = match &definition.kind {
            ColumnDefinitionKind::Metadata { key: Some(key), .. } => key.span,
            _ => definition.name.span,
        };
        let known = || capabilities.metadata.iter().map(|(key, _)| key.as_str());
        let Some((_, delivered)) = capabilities.metadata.iter().find(|(known, _)| known == key) else {
            let list = known().collect::<Vec<_>>().join("', '");
            let list = match list.is_empty() {
                true => "it has none".to_string(),
                false => format!("it has '{list}'"),
            };
            let connector = descriptor.option("connector").unwrap_or_default();
            let message = format!("connector '{connector}' has no metadata '{key}': {list}");
            return Err(PlanError::invalid(message).at(span));
        };
        if *delivered != column.sql_type {
            let (name, declared) = (&column.name, &column.sql_type);
            let message =
                format!("metadata '{key}' is of type {delivered}: declare '{name}' so, not {declared}");
            return Err(PlanError::invalid(message).at(definition.name.span));
        }
    }
    Ok(())
}

/// The columns of a table as their types become known, all in declared order.
#[derive(Default)]
struct Columns {
    columns: Vec<TableColumn>,
    fields: Vec<Field>,
    sources: Vec<ColumnSource>,
}

impl Columns {
    /// A column, as far as its declaration tells: a computed one has no type yet. Columns of a primary key are NOT NULL.
    fn add_declared(&mut self, definition: &ColumnDefinition, in_key: bool) {
        let name = definition.name.value.clone();
        let comment = definition.comment.clone();
        let (sql_type, nullable, kind, source) = match &definition.kind {
            ColumnDefinitionKind::Physical { field } => {
                let nullable = field.nullable && !in_key;
                (field.sql_type.clone(), nullable, ColumnKind::Physical, ColumnSource::Connector)
            }
            ColumnDefinitionKind::Metadata { field, key, is_virtual } => {
                let key = key.as_ref().map_or(name.clone(), |key| key.value.clone());
                let kind = ColumnKind::Metadata { key, is_virtual: *is_virtual };
                (field.sql_type.clone(), field.nullable, kind, ColumnSource::Connector)
            }
            ColumnDefinitionKind::Computed { expr } => {
                let kind = ColumnKind::Computed { expression: expression_text(expr) };
                (
                    SqlType::Null,
                    true,
                    kind,
                    ColumnSource::Computed(Box::new(expr_without_places(expr.as_ref().clone()))),
                )
            }
        };
        self.fields.push(sql_type.to_field(&name, nullable));
        self.sources.push(source);
        self.columns.push(TableColumn { name, sql_type, nullable, kind, comment });
    }

    /// Computed columns see physical and metadata columns only, as in Flink.
    fn bind_computed(
        &mut self,
        session: &Session,
        binder: &dyn Binder,
        definitions: &[ColumnDefinition],
    ) -> Result<(), PlanError> {
        let read = self.fields.iter().zip(&self.sources);
        let read = read.filter(|(_, source)| matches!(source, ColumnSource::Connector));
        let schema = Schema::new(read.map(|(field, _)| field.clone()).collect::<Vec<_>>());
        for (index, definition) in definitions.iter().enumerate() {
            let ColumnDefinitionKind::Computed { expr } = &definition.kind else { continue };
            let name = &definition.name;
            let context = format!("computed column '{}'", name.value);
            let bound = binder.bind_expr(session, &schema, expr);
            let (_, field) = bound.map_err(|error| error.context(&context).at(name.span))?;
            let sql_type = SqlType::of_field(&field).filter(|sql_type| *sql_type != SqlType::Null);
            let Some(sql_type) = sql_type else {
                let message = format!("{context}: its type is not known, CAST it to one");
                return Err(PlanError::invalid(message).at(name.span));
            };
            let typed = sql_type.to_field(&name.value, field.is_nullable());
            self.fields[index] = TimeAttribute::mark(TimeAttribute::of(&field), &typed);
            self.columns[index].sql_type = sql_type;
            self.columns[index].nullable = field.is_nullable();
        }
        Ok(())
    }

    /// Marks the rowtime column. The watermark's expression sees all columns.
    fn bind_watermark(
        &mut self,
        session: &Session,
        binder: &dyn Binder,
        watermark: &WatermarkDefinition,
    ) -> Result<TableWatermark, PlanError> {
        let name = &watermark.column;
        let place = self.columns.iter().position(|column| column.name == name.value).ok_or_else(|| {
            let nearest =
                weir_types::did_you_mean(&name.value, self.columns.iter().map(|column| column.name.as_str()));
            let message = format!("WATERMARK FOR: the table has no column '{}'{nearest}", name.value);
            PlanError::invalid(message).at(name.span)
        })?;
        let rowtime = &self.columns[place].sql_type;
        if time_precision(rowtime).is_none_or(|precision| precision > TIME_ATTRIBUTE_PRECISION) {
            let message = format!(
                "WATERMARK FOR: '{}' is of type {rowtime}, but event time is a TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p from 0 to 3",
                name.value
            );
            return Err(PlanError::invalid(message).at(name.span));
        }
        let schema = Schema::new(self.fields.clone());
        let bound = binder.bind_expr(session, &schema, &watermark.expr);
        let (_, field) = bound.map_err(|error| error.context("watermark").at(name.span))?;
        let produced = SqlType::of_field(&field);
        let same_kind = produced
            .as_ref()
            .is_some_and(|produced| std::mem::discriminant(produced) == std::mem::discriminant(rowtime));
        if !same_kind {
            let produced = produced.map_or("an unknown type".to_string(), |produced| produced.to_string());
            let message = format!(
                "the watermark is of type {produced}, but '{}', which it is for, of {rowtime}",
                name.value
            );
            return Err(PlanError::invalid(message).at(name.span));
        }
        self.fields[place] = TimeAttribute::mark(Some(TimeAttribute::RowTime), &self.fields[place]);
        Ok(TableWatermark { column: place, expr: expr_without_places(watermark.expr.clone()) })
    }
}

fn time_precision(sql_type: &SqlType) -> Option<u8> {
    match sql_type {
        SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) => Some(*precision),
        _ => None,
    }
}

impl CatalogTable {
    /// The same table with other options: ALTER TABLE, or an OPTIONS hint. `written` are the options that the statement
    /// has in its text.
    pub(crate) fn with_options(
        &self,
        session: &Session,
        options: BTreeMap<String, String>,
        written: &[Property],
        name: Span,
    ) -> Result<CatalogTable, PlanError> {
        let descriptor = TableDescriptor { options, ..self.descriptor.as_ref().clone() };
        let capabilities = check_options(session, &descriptor, written, name)?;
        Ok(CatalogTable { descriptor: Arc::new(descriptor), capabilities, ..self.clone() })
    }
}
