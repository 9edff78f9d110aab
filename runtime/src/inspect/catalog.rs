//! What the planner checks tables against: the connectors, and the tables that checkpoints are.

use super::table::{CONNECTOR, CheckpointTable, PATH, STATE};
use std::sync::Arc;
use std::sync::mpsc;
use weir_checkpoint::Environment;
use weir_types::{
    ChangelogMode, ConnectorCatalog, OptionError, RuntimeEnv, TableCapabilities, TableDescriptor,
};

pub(crate) struct Catalog {
    pub connectors: Arc<dyn ConnectorCatalog>,
    pub env: RuntimeEnv,
    pub environment: Arc<Environment>,
}

fn error(option: Option<&str>, message: String) -> OptionError {
    OptionError { option: option.map(str::to_string), message }
}

impl ConnectorCatalog for Catalog {
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        if table.option("connector") != Some(CONNECTOR) {
            return self.connectors.check(table);
        }
        for key in [PATH, STATE] {
            if table.option(key).is_none() {
                return Err(error(None, format!("table {}: option '{key}' is missing", table.name)));
            }
        }
        let known = |key: &String| ["connector", PATH, STATE].contains(&key.as_str());
        if let Some(key) = table.options.keys().find(|key| !known(key)) {
            let message = format!("table {}: unknown option '{key}' for connector '{CONNECTOR}'", table.name);
            return Err(error(Some(key), message));
        }
        Ok(TableCapabilities {
            scan: Some(ChangelogMode::INSERT_ONLY),
            bounded: true,
            sink: None,
            sink_by_key: false,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    /// Reads on a task of the environment, and holds the calling thread meanwhile: not for a task itself.
    fn checkpoint_table(&self, path: &str, state: &str) -> Result<TableDescriptor, OptionError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (path, state) = (path.to_string(), state.to_string());
        let environment = self.environment.clone();
        let read = async move {
            let table = CheckpointTable::open(&path, &state, &environment).await;
            // nobody waits any more if the receiver has gone
            let _ = sender.send(table.map(|table| table.descriptor(&path, &state)));
        };
        self.env.spawner.spawn("read a checkpoint", Box::pin(read));
        match receiver.recv() {
            Ok(Ok(table)) => Ok(table),
            Ok(Err(failure)) => Err(error(None, failure.message)),
            Err(_) => Err(error(None, "the reader of the checkpoint has gone".to_string())),
        }
    }
}
