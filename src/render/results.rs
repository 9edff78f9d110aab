//! The rows of a query, as they come or as a final table.

use super::{LiveTable, Tableau};
use crate::failure::Failure;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{StdoutLock, Write};
use weir_runtime::types::text::{RowWriter, TextStyle, TimeZone, ValueText};
use weir_runtime::types::{ChangelogBatch, RowKind, SqlType};
use weir_runtime::{JobError, JsonRows};

/// `sql-client.execution.result-mode`, or `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultMode {
    /// a drawn table with a column of row kinds; rows as they come
    Tableau,
    /// `+I[1, a]`: rows as they come, as the print connector writes them
    Changelog,
    /// the final rows in a drawn table
    Table,
    /// `{"op":"+I","row":{..}}`: rows as they come
    Json,
}

impl ResultMode {
    /// The mode of that name in Flink's settings.
    pub fn parse(name: &str) -> Option<ResultMode> {
        match name.to_lowercase().as_str() {
            "tableau" => Some(ResultMode::Tableau),
            "changelog" => Some(ResultMode::Changelog),
            "table" => Some(ResultMode::Table),
            _ => None,
        }
    }
}

/// Prints the rows of one query.
pub struct ResultPrinter {
    mode: ResultMode,
    zone: TimeZone,
    tableau: Tableau,
    headers: Vec<String>,
    max_width: usize,
    rows: u64,
    json: Option<JsonRows>,
    /// the multiset of rows of `Table` mode: cells to (count, order of first arrival)
    folded: BTreeMap<Vec<String>, (i64, u64)>,
}

/// Display columns that values of a type may need at most, as Flink's client reserves them.
fn width_of(sql_type: &SqlType, nullable: bool, max_width: usize) -> usize {
    let width = match sql_type {
        SqlType::Boolean => 5,
        SqlType::TinyInt => 4,
        SqlType::SmallInt => 6,
        SqlType::Int => 11,
        SqlType::BigInt => 20,
        SqlType::Decimal { precision, .. } => usize::from(*precision) + 3,
        SqlType::Char(length) | SqlType::Varchar(length) => (*length as usize).min(max_width),
        SqlType::Date => 10,
        SqlType::Time(0) => 8,
        SqlType::Time(precision) => 9 + usize::from(*precision),
        SqlType::Timestamp(0) | SqlType::TimestampLtz(0) => 19,
        SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) => 20 + usize::from(*precision),
        _ => max_width,
    };
    let null = if nullable { NULL.len() } else { 0 };
    width.max(null).min(max_width.max(NULL.len()))
}

/// How a drawn table shows NULL.
const NULL: &str = "<NULL>";

impl ResultPrinter {
    pub fn new(
        mode: ResultMode,
        schema: &SchemaRef,
        zone: TimeZone,
        max_width: usize,
    ) -> Result<Self, Failure> {
        let headers: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let widths = schema
            .fields()
            .iter()
            .map(|field| {
                let sql_type = SqlType::of_field(field).unwrap_or(SqlType::STRING);
                width_of(&sql_type, field.is_nullable(), max_width)
            })
            .collect::<Vec<_>>();
        let with_kind = std::iter::once("op".to_string()).chain(headers.iter().cloned()).collect();
        let tableau = Tableau::with_widths(with_kind, std::iter::once(2).chain(widths).collect());
        let json = match mode {
            ResultMode::Json => Some(JsonRows::new(schema).map_err(JobError::from)?),
            _ => None,
        };
        Ok(ResultPrinter { mode, zone, tableau, headers, max_width, rows: 0, json, folded: BTreeMap::new() })
    }

    pub fn mode(&self) -> ResultMode {
        self.mode
    }

    pub fn begin(&mut self, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
        if self.mode == ResultMode::Tableau {
            out.write_all(self.tableau.head().as_bytes())?;
        }
        Ok(())
    }

    pub fn batch(&mut self, batch: &ChangelogBatch, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
        self.rows += batch.num_rows() as u64;
        match self.mode {
            ResultMode::Tableau => self.draw(batch, out)?,
            ResultMode::Table => self.fold(batch)?,
            ResultMode::Changelog => {
                let writer = RowWriter::new(batch).map_err(|error| Failure::Job(error.to_string()))?;
                let mut text = Vec::new();
                for row in 0..batch.num_rows() {
                    writer.append(row, &mut text);
                    text.push(b'\n');
                }
                out.write_all(&text)?;
            }
            ResultMode::Json => {
                let mut text = Vec::new();
                if let Some(json) = &mut self.json {
                    json.append(batch, &mut text).map_err(JobError::from)?;
                }
                out.write_all(&text)?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// The texts of the cells of each row, with the row's kind.
    fn cells(&self, batch: &ChangelogBatch) -> Result<Vec<(RowKind, Vec<String>)>, Failure> {
        let rows = batch.rows();
        let schema = rows.schema();
        let columns = rows
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| ValueText::new(column, field, TextStyle::Cast(self.zone)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::Job(error.to_string()))?;
        let mut buffer = Vec::new();
        let mut text = |column: &ValueText<'_>, row: usize| {
            if column.is_null(row) {
                return NULL.to_string();
            }
            buffer.clear();
            column.append(row, &mut buffer);
            String::from_utf8_lossy(&buffer).into_owned()
        };
        Ok((0..rows.num_rows())
            .map(|row| (batch.kind(row), columns.iter().map(|column| text(column, row)).collect()))
            .collect())
    }

    fn draw(&self, batch: &ChangelogBatch, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
        for (kind, mut cells) in self.cells(batch)? {
            cells.insert(0, kind.short().to_string());
            out.write_all(self.tableau.row(&cells).as_bytes())?;
        }
        Ok(())
    }

    fn fold(&mut self, batch: &ChangelogBatch) -> Result<(), Failure> {
        let arrived = self.rows;
        for (kind, cells) in self.cells(batch)? {
            let order = arrived + self.folded.len() as u64;
            let step = if kind.is_retraction() { -1 } else { 1 };
            match self.folded.entry(cells) {
                Entry::Vacant(entry) => {
                    entry.insert((step, order));
                }
                Entry::Occupied(mut entry) => {
                    entry.get_mut().0 += step;
                    if entry.get().0 == 0 {
                        entry.remove();
                    }
                }
            }
        }
        Ok(())
    }

    /// The end of the rows: by themselves, or because somebody stopped them.
    pub fn end(&mut self, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
        match self.mode {
            ResultMode::Tableau => {
                out.write_all(self.tableau.border().as_bytes())?;
                let plural = if self.rows == 1 { "row" } else { "rows" };
                writeln!(out, "Received a total of {} {plural}", self.rows)?;
            }
            ResultMode::Table => self.final_table(out)?,
            ResultMode::Changelog | ResultMode::Json => {}
        }
        out.flush()?;
        Ok(())
    }

    fn final_table(&mut self, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
        if self.folded.values().any(|(count, _)| *count < 0) {
            return Err(Failure::Job(
                "the changelog retracts a row that was never inserted; use the changelog mode".into(),
            ));
        }
        print_table(&self.headers, &self.rows_so_far(), self.max_width, out)
    }

    /// The rows of `Table` mode, those that came first at the top.
    fn rows_so_far(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<(u64, &Vec<String>)> = Vec::new();
        for (cells, (count, order)) in &self.folded {
            rows.extend(std::iter::repeat_n((*order, cells), usize::try_from(*count).unwrap_or(0)));
        }
        rows.sort();
        rows.into_iter().map(|(_, cells)| cells.clone()).collect()
    }

    /// Draws the rows so far where they were drawn before.
    pub fn draw_live(&self, live: &mut LiveTable, footer: &str) {
        live.draw(&self.headers, &self.rows_so_far(), self.max_width, footer);
    }
}

/// A table whose rows are all there, and how many there are.
pub fn print_table(
    headers: &[String],
    rows: &[Vec<String>],
    max_width: usize,
    out: &mut StdoutLock<'_>,
) -> Result<(), Failure> {
    if rows.is_empty() {
        writeln!(out, "Empty set")?;
        return Ok(());
    }
    let tableau = Tableau::fitting(headers.to_vec(), rows, max_width);
    let mut text = tableau.head();
    for row in rows {
        text.push_str(&tableau.row(row));
    }
    text.push_str(&tableau.border());
    out.write_all(text.as_bytes())?;
    writeln!(out, "{} {} in set", rows.len(), if rows.len() == 1 { "row" } else { "rows" })?;
    Ok(())
}
