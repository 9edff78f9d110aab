//! Making written files visible, once their checkpoint is complete.

use super::part::sync_directory;
use super::store::{Objects, Store, io_error, object_error};
use crate::{Committable, Committer, ConnectorError};
use async_trait::async_trait;
use object_store::ObjectStoreExt;
use object_store::multipart::PartId;
use std::io::ErrorKind;
use std::path::Path;

/// A file that is written and durable, but not visible. Version 1 of the committable.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Pending {
    Rename { hidden: String, target: String, size: u64 },
    Upload { target: String, upload: String, parts: Vec<String>, size: u64 },
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Versioned {
    version: u32,
    #[serde(flatten)]
    pending: Pending,
}

impl Pending {
    pub fn committable(self) -> Result<Committable, ConnectorError> {
        let text = serde_json::to_string(&Versioned { version: 1, pending: self });
        text.map(Committable).map_err(|error| ConnectorError::Internal(error.to_string()))
    }

    fn of(committable: &Committable) -> Result<Pending, ConnectorError> {
        let refused =
            |reason: String| ConnectorError::Record(format!("cannot commit '{}': {reason}", committable.0));
        let versioned: Versioned =
            serde_json::from_str(&committable.0).map_err(|error| refused(error.to_string()))?;
        match versioned.version {
            1 => Ok(versioned.pending),
            version => Err(refused(format!("version {version} is not known here"))),
        }
    }
}

pub(super) struct FilesystemCommitter {
    pub store: Store,
}

#[async_trait]
impl Committer for FilesystemCommitter {
    async fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        for committable in committables {
            match (Pending::of(committable)?, &self.store) {
                (Pending::Rename { hidden, target, size }, _) => rename(&hidden, &target, size)?,
                (Pending::Upload { target, upload, parts, size }, Store::Objects(objects)) => {
                    complete(objects, &target, &upload, parts, size).await?;
                }
                (Pending::Upload { target, .. }, Store::Local) => return Err(elsewhere(&target)),
            }
        }
        Ok(())
    }

    async fn abort(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        for committable in committables {
            match (Pending::of(committable)?, &self.store) {
                (Pending::Rename { hidden, .. }, _) => match std::fs::remove_file(&hidden) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(io_error("remove", &hidden, &error));
                    }
                    _ => {}
                },
                (Pending::Upload { target, upload, .. }, Store::Objects(objects)) => {
                    let aborted = objects.uploads.abort_multipart(&objects.key(&target)?, &upload).await;
                    match aborted {
                        Err(object_store::Error::NotFound { .. }) | Ok(()) => {}
                        Err(error) => return Err(object_error("remove", &target, error)),
                    }
                }
                (Pending::Upload { target, .. }, Store::Local) => return Err(elsewhere(&target)),
            }
        }
        Ok(())
    }
}

fn elsewhere(target: &str) -> ConnectorError {
    ConnectorError::Options(format!(
        "cannot commit {target}: it was written to an object store, and option 'path' is a local one now"
    ))
}

/// Done before, if the hidden file is gone and the target has its size.
fn rename(hidden: &str, target: &str, size: u64) -> Result<(), ConnectorError> {
    match std::fs::rename(hidden, target) {
        Ok(()) => sync_directory(Path::new(target)),
        Err(error) if error.kind() == ErrorKind::NotFound => match std::fs::metadata(target) {
            Ok(metadata) if metadata.len() == size => Ok(()),
            _ => Err(ConnectorError::Record(format!(
                "cannot commit {target}: neither it nor {hidden} is there as it was written; somebody \
                 removed it"
            ))),
        },
        Err(error) => Err(io_error("commit", target, &error)),
    }
}

/// Done before, if the upload is unknown and the object has its size.
async fn complete(
    objects: &Objects,
    target: &str,
    upload: &String,
    parts: Vec<String>,
    size: u64,
) -> Result<(), ConnectorError> {
    let key = objects.key(target)?;
    let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
    let Err(error) = objects.uploads.complete_multipart(&key, upload, parts).await else { return Ok(()) };
    match objects.store.head(&key).await {
        Ok(object) if object.size == size => Ok(()),
        _ => Err(object_error("commit", target, error)),
    }
}
