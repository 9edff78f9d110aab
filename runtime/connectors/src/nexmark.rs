//! The `nexmark` connector: persons, auctions and bids of an online auction, generated.
//!
//! The rules are those of the public Nexmark generator: of each 50 events 1 is a person, 3 are auctions and 46
//! bids; ids start at 1000; half of the bids go to the one hot auction of each hundred, three of four sellers
//! and bidders are hot; prices are `round(10^(6u) * 100)`. Every event is a function of the seed and its
//! number, so that any subtask can start anywhere, and a seed always gives the same rows, whatever the
//! parallelism.

mod columns;
mod disorder;
mod event;
mod layout;
mod options;
mod text;

#[cfg(test)]
mod tests;

use crate::connector::{Connector, Environment, not_writable};
use crate::generator::{GeneratorSource, Rate, RowGenerator};
use crate::options::TableOptions;
use crate::projection::{projected, scan_schema};
use crate::{ConnectorError, Sink, Source};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use columns::Column;
use event::Events;
use layout::Layout;
use options::NexmarkOptions;
use std::sync::Arc;
use text::Vocabulary;
use weir_types::{
    ChangelogMode, OptionError, RuntimeEnv, SinkSpec, SourceSpec, TableCapabilities, TableDescriptor,
};

pub(crate) struct Nexmark;

fn read(table: &TableDescriptor) -> Result<(NexmarkOptions, Layout), OptionError> {
    let options = TableOptions::new(table, "nexmark");
    options.scan()?;
    let nexmark = NexmarkOptions::read(&options)?;
    let layout = Layout::of(table, &options)?;
    options.finish()?;
    Ok((nexmark, layout))
}

impl Connector for Nexmark {
    fn name(&self) -> &'static str {
        "nexmark"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let (options, _) = read(table)?;
        Ok(TableCapabilities {
            scan: Some(ChangelogMode::INSERT_ONLY),
            bounded: options.events.is_some(),
            sink: None,
            sink_by_key: false,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    fn source(&self, spec: &SourceSpec, _: &Environment) -> Result<Arc<dyn Source>, ConnectorError> {
        let (options, layout) = read(&spec.table)?;
        let columns = projected(spec).map(|column| layout.column(&column.name, &column.sql_type));
        let generator = NexmarkGenerator {
            columns: columns.collect::<Option<_>>().ok_or_else(|| {
                ConnectorError::Internal(format!("table {}: a column passed unchecked", spec.table.name))
            })?,
            schema: scan_schema(spec),
            vocabulary: Vocabulary::of_seed(options.seed),
            layout,
            options,
        };
        Ok(Arc::new(GeneratorSource { table: spec.table.name.clone(), generator: Arc::new(generator) }))
    }

    fn sink(&self, spec: &SinkSpec, _: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        Err(not_writable(&spec.table))
    }
}

struct NexmarkGenerator {
    options: NexmarkOptions,
    layout: Layout,
    columns: Vec<Column>,
    schema: SchemaRef,
    vocabulary: Arc<Vocabulary>,
}

impl RowGenerator for NexmarkGenerator {
    fn rows(&self) -> Option<u64> {
        self.options.events.map(|events| self.layout.rows_among(events, &self.options.proportions))
    }

    fn rate(&self) -> Option<Rate> {
        let (rows, events) = self.layout.share(&self.options.proportions);
        let rate = || Rate { rows: self.options.rate.saturating_mul(rows), seconds: events };
        self.options.throttle.then(rate)
    }

    fn generate(
        &self,
        first: u64,
        step: u64,
        count: usize,
        _: &RuntimeEnv,
    ) -> Result<RecordBatch, ConnectorError> {
        let disorder = disorder::Disorder::new(&self.options, &self.layout, self.rows());
        let rows = (0..count as u64).map(|k| disorder.row_at(first + k * step));
        let events = Events::new(rows, &self.layout, &self.options);
        let columns = self.columns.iter().map(|column| column.generate(&events, &self.vocabulary));
        let row_count = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &row_count)
            .map_err(|error| ConnectorError::Internal(format!("nexmark: {error}")))
    }
}
