//! INSERT: which column of the query goes where, and whether its type fits.

use crate::PlanError;
use crate::binder::{Binder, BoundQuery, JobRoot, SinkValue};
use crate::catalog::{CatalogEntry, CatalogTable, Session};
use crate::parser::Insert;
use arrow::datatypes::{Field, FieldRef};
use sqlparser::ast::Ident;
use std::sync::Arc;
use weir_functions::is_implicitly_castable;
use weir_types::SqlType;

pub(super) fn bind_insert(
    session: &Session,
    binder: &dyn Binder,
    insert: &Insert,
) -> Result<JobRoot, PlanError> {
    let (_, name) = session.locate(&insert.table)?;
    let CatalogEntry::Table(table) = session.resolve(&insert.table)? else {
        let message = format!("cannot INSERT INTO '{}': it is a view", name.value);
        return Err(PlanError::invalid(message).at(name.span));
    };
    let target = Target::of(&table, insert, name)?;
    let query = binder.bind_query(session, &insert.query)?;
    let values = target.filled(&table, name, &query)?;
    let (overwrite, conflict) = (insert.overwrite, insert.conflict);
    Ok(JobRoot::Sink { table, place: name.span, overwrite, conflict, query, values })
}

/// CREATE TABLE AS: every column of the query into the column of its name.
pub(super) fn bind_into(
    table: &Arc<CatalogTable>,
    name: &Ident,
    query: BoundQuery,
) -> Result<JobRoot, PlanError> {
    check_writable(table, name)?;
    let places = table.persisted_columns();
    let values = vec![SinkValue::Null; places.len()];
    let mut wanted = vec![];
    for field in query.schema.fields() {
        let column = Ident { span: name.span, ..Ident::new(field.name()) };
        wanted.push(find(table, &places, &column)?);
    }
    let target = Target { places, values, wanted };
    target.check_missing(table, &vec![false; target.places.len()], name)?;
    let values = target.filled(table, name, &query)?;
    Ok(JobRoot::Sink {
        table: table.clone(),
        place: name.span,
        overwrite: false,
        conflict: None,
        query,
        values,
    })
}

fn check_writable(table: &CatalogTable, name: &Ident) -> Result<(), PlanError> {
    if table.capabilities.sink.is_some() {
        return Ok(());
    }
    let connector = table.descriptor.option("connector").unwrap_or_default();
    let message = format!(
        "cannot INSERT INTO '{}': connector '{connector}' cannot be written to",
        table.descriptor.name
    );
    Err(PlanError::invalid(message).at(name.span))
}

/// What an INSERT says about the sink's columns.
struct Target {
    /// the persisted columns, as places in the table
    places: Vec<usize>,
    /// one entry a persisted column: a literal of PARTITION, or NULL
    values: Vec<SinkValue>,
    /// the persisted columns that the query's columns go to, in the query's order
    wanted: Vec<usize>,
}

impl Target {
    fn of(table: &CatalogTable, insert: &Insert, name: &Ident) -> Result<Target, PlanError> {
        check_writable(table, name)?;
        let places = table.persisted_columns();
        let mut values = vec![SinkValue::Null; places.len()];
        let mut fixed = vec![false; places.len()];
        for (column, literal) in &insert.partition {
            let place = find(table, &places, column)?;
            if !table.descriptor.partition_keys.contains(&column.value) {
                let message = format!("'{}' is not a partition column of '{}'", column.value, name.value);
                return Err(PlanError::invalid(message).at(column.span));
            }
            if std::mem::replace(&mut fixed[place], true) {
                let message = format!("PARTITION names '{}' twice", column.value);
                return Err(PlanError::invalid(message).at(column.span));
            }
            values[place] = SinkValue::Literal(Box::new(literal.clone()));
        }
        let mut wanted = vec![];
        if insert.columns.is_empty() {
            wanted.extend((0..places.len()).filter(|place| !fixed[*place]));
        }
        for column in &insert.columns {
            let place = find(table, &places, column)?;
            if fixed[place] || wanted.contains(&place) {
                let message = format!("column '{}' gets two values", column.value);
                return Err(PlanError::invalid(message).at(column.span));
            }
            wanted.push(place);
        }
        let target = Target { places, values, wanted };
        target.check_missing(table, &fixed, name)?;
        Ok(target)
    }

    /// Columns that get no value are NULL, which they must allow.
    fn check_missing(&self, table: &CatalogTable, fixed: &[bool], name: &Ident) -> Result<(), PlanError> {
        for (place, column) in self.places.iter().enumerate() {
            let column = &table.descriptor.columns[*column];
            if !fixed[place] && !self.wanted.contains(&place) && !column.nullable {
                let message =
                    format!("column '{}' of '{}' is NOT NULL and gets no value", column.name, name.value);
                return Err(PlanError::invalid(message).at(name.span));
            }
        }
        Ok(())
    }

    /// What goes into each column when `query` gives the others.
    fn filled(
        mut self,
        table: &CatalogTable,
        name: &Ident,
        query: &BoundQuery,
    ) -> Result<Vec<SinkValue>, PlanError> {
        let sink: Vec<&Field> =
            self.wanted.iter().map(|place| table.schema.field(self.places[*place])).collect();
        let columns = query.schema.fields();
        if columns.len() != sink.len() {
            return Err(mismatch(table, name, "Different number of columns.", columns, &sink));
        }
        for (index, (from, to)) in columns.iter().zip(&sink).enumerate() {
            let fits = SqlType::of_field(from).zip(SqlType::of_field(to));
            if !fits.is_some_and(|(from, to)| is_implicitly_castable(&from, &to)) {
                let cause =
                    format!("Incompatible types for sink column '{}' at position {index}.", to.name());
                return Err(mismatch(table, name, &cause, columns, &sink));
            }
        }
        for (index, place) in self.wanted.iter().enumerate() {
            self.values[*place] = SinkValue::Column(index);
        }
        Ok(self.values)
    }
}

fn find(table: &CatalogTable, places: &[usize], column: &Ident) -> Result<usize, PlanError> {
    let columns = &table.descriptor.columns;
    if let Some(place) = places.iter().position(|place| columns[*place].name == column.value) {
        return Ok(place);
    }
    let table = &table.descriptor.name;
    let message = match columns.iter().any(|known| known.name == column.value) {
        true => format!("column '{}' of '{table}' is not stored: it cannot be written", column.value),
        false => {
            let nearest = weir_types::did_you_mean(
                &column.value,
                places.iter().map(|place| columns[*place].name.as_str()),
            );
            format!("table '{table}' has no column '{}'{nearest}", column.value)
        }
    };
    Err(PlanError::invalid(message).at(column.span))
}

/// Flink's words, and both sides in full.
fn mismatch(
    table: &CatalogTable,
    sink: &Ident,
    cause: &str,
    query: &[FieldRef],
    columns: &[&Field],
) -> PlanError {
    let list = |fields: &mut dyn Iterator<Item = &Field>| {
        let describe = |field: &Field| {
            let sql_type =
                SqlType::of_field(field).map_or_else(|| field.data_type().to_string(), |t| t.to_string());
            format!("{}: {sql_type}{}", field.name(), if field.is_nullable() { "" } else { " NOT NULL" })
        };
        fields.map(describe).collect::<Vec<_>>().join(", ")
    };
    let query = list(&mut query.iter().map(|field| field.as_ref()));
    // Flink does not look at the sink's NOT NULL here: a NULL fails the job when it comes.
    let columns = list(&mut columns.iter().copied());
    let message = format!(
        "Column types of query result and sink for '{}' do not match.\nCause: {cause}\n\nQuery schema: [{query}]\nSink schema:  [{columns}]",
        table.path.full(),
    );
    PlanError::invalid(message).at(sink.span)
}
