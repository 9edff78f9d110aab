//! The state backends of a job's subtasks.

use crate::RuntimeError;
use std::path::PathBuf;
use std::sync::Arc;
use weir_checkpoint::{Environment, Workspace};
use weir_state::{KeyedStateBackend, OperatorStateBackend, RocksDb};
use weir_types::{JobSettings, KeyGroupRange, RandomSource, StateBackendSettings};

/// Opens empty backends, all of one kind.
pub(crate) enum Backends {
    Heap {
        /// for files that are read while states are restored
        temporary: PathBuf,
    },
    RocksDb {
        shared: Arc<RocksDb>,
        random: Arc<dyn RandomSource>,
    },
}

impl Backends {
    /// # Errors
    /// [`RuntimeError::Settings`] if there can be no directory for files.
    pub(crate) fn of(
        settings: &JobSettings,
        environment: &Environment,
        random: &Arc<dyn RandomSource>,
    ) -> Result<Backends, RuntimeError> {
        let temporary = Workspace::of(environment).directory;
        match &settings.state_backend {
            StateBackendSettings::Heap => Ok(Backends::Heap { temporary }),
            StateBackendSettings::RocksDb(rocksdb) => {
                let shared = RocksDb::open(rocksdb, &temporary);
                let shared = shared.map_err(|error| {
                    RuntimeError::Settings(format!("setting 'state.backend.rocksdb.localdir': {error}"))
                })?;
                Ok(Backends::RocksDb { shared, random: random.clone() })
            }
        }
    }

    pub(crate) fn open(
        &self,
        range: KeyGroupRange,
        max_parallelism: u32,
    ) -> (KeyedStateBackend, OperatorStateBackend) {
        let keyed = match self {
            Backends::Heap { temporary } => {
                KeyedStateBackend::new(range, max_parallelism).with_scratch_directory(temporary)
            }
            Backends::RocksDb { shared, random } => {
                KeyedStateBackend::on_disk(range, max_parallelism, shared, random.next_u64())
            }
        };
        (keyed, OperatorStateBackend::new())
    }
}

/// Where files of state are put for a while.
pub(crate) fn workspace(settings: &JobSettings, environment: &Environment) -> Workspace {
    let default = Workspace::of(environment);
    match &settings.state_backend {
        StateBackendSettings::Heap => default,
        StateBackendSettings::RocksDb(rocksdb) => Workspace {
            directory: rocksdb.local_dir.clone().unwrap_or(default.directory),
            transfers: rocksdb.transfers as usize,
        },
    }
}
