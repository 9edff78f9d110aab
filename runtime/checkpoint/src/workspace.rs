//! Where files of state are put for a while.

use crate::directory::Environment;
use std::path::PathBuf;

/// A place on this machine for files of state that are fetched or looked at, and how many travel at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// in it directories may be made, which go again
    pub directory: PathBuf,
    /// files that are written or fetched at a time
    pub transfers: usize,
}

/// Files at a time where nobody says how many.
const TRANSFERS: usize = 4;

impl Workspace {
    /// The system's directory for temporary files, as `TMPDIR` says.
    pub fn of(environment: &Environment) -> Workspace {
        let directory = environment.get("TMPDIR").filter(|path| !path.is_empty());
        let directory = directory.map_or(PathBuf::from("/tmp"), PathBuf::from);
        Workspace { directory, transfers: TRANSFERS }
    }
}
