//! A directory of checkpoints: local, or below a prefix of an object store.

mod local;
mod mirror;
mod objects;
mod occupied;
#[cfg(test)]
mod tests;
mod writer;

pub use occupied::Occupied;
pub(crate) use writer::FileWriter;

use crate::CheckpointError;
use crate::checksums::FileChecksums;
use crate::manifest::FileRecord;
use bytes::Bytes;
pub use mirror::CopiesRead;
use mirror::Mirror;
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_types::CheckpointId;

/// What it takes to open a URL.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    stores: BTreeMap<String, Arc<dyn ObjectStore>>,
}

impl Environment {
    /// Nothing but local files, and stores that need no configuration.
    pub fn new() -> Self {
        Environment::default()
    }

    /// Variables that configure object stores: `AWS_*`, `GOOGLE_*`, `AZURE_*`, as the clouds' own tools read them.
    pub fn of_variables(variables: BTreeMap<String, String>) -> Self {
        Environment { variables, ..Environment::default() }
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The same, and a store for URLs that begin with `base`, such as `test://bucket`.
    pub fn with_store(mut self, base: &str, store: Arc<dyn ObjectStore>) -> Self {
        self.stores.insert(base.to_string(), store);
        self
    }

    /// The store of a URL that was given, with its base and the path in it.
    fn store(&self, url: &str) -> Option<(Arc<dyn ObjectStore>, &str, String)> {
        self.stores.iter().find_map(|(base, store)| {
            let path = url.strip_prefix(base.as_str())?;
            (path.is_empty() || path.starts_with('/'))
                .then(|| (store.clone(), base.as_str(), path.trim_matches('/').to_string()))
        })
    }
}

/// A directory. Files below it are named by relative paths, in which `..` goes up.
#[derive(Clone, Debug)]
pub struct Directory {
    store: Store,
    /// no `/` at its ends: `data/checkpoints`
    path: String,
    /// second copies of the files of this directory and of those around it
    mirror: Option<Mirror>,
}

#[derive(Clone, Debug)]
enum Store {
    Local,
    /// the store, and what is shown before a path: `s3://bucket`
    Objects(Arc<dyn ObjectStore>, Arc<str>),
}

impl Directory {
    /// A local path, or a URL: `file:///..`, `s3://..`, `gs://..`, `az://..`.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] for what is none of them.
    pub fn open(url: &str, environment: &Environment) -> Result<Directory, CheckpointError> {
        let fail = |reason: String| CheckpointError::Location(format!("cannot open '{url}': {reason}"));
        if let Some((store, base, path)) = environment.store(url) {
            return Ok(Directory { store: Store::Objects(store, base.into()), path, mirror: None });
        }
        let local = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
                Some(rest.strip_prefix("localhost").unwrap_or(rest))
            }
            Some(_) => None,
            None => Some(url.strip_prefix("file:").unwrap_or(url)),
        };
        let Some(local) = local else {
            let (store, base, path) = objects::open(url, &environment.variables).map_err(fail)?;
            return Ok(Directory { store: Store::Objects(store, base.into()), path, mirror: None });
        };
        if local.is_empty() {
            return Err(fail("the path is empty".to_string()));
        }
        let absolute = std::path::absolute(local).map_err(|error| fail(error.to_string()))?;
        let text = absolute.to_str().ok_or_else(|| fail("it is not UTF-8".to_string()))?;
        Ok(Directory { store: Store::Local, path: text.trim_matches('/').to_string(), mirror: None })
    }

    /// Whether files can be made here, as far as that can be told before there are any.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] if a file stands where this directory, or one above it, has to be.
    pub fn can_be_made(&self) -> Result<(), CheckpointError> {
        let Store::Local = self.store else { return Ok(()) };
        let path = Path::new("/").join(&self.path);
        let standing = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        match standing.filter(|part| !part.is_dir()) {
            None => Ok(()),
            Some(part) => {
                let (path, part) = (path.display(), part.display());
                Err(CheckpointError::Location(format!(
                    "cannot write checkpoints to '{path}': '{part}' is not a directory: remove it, or name another"
                )))
            }
        }
    }

    /// False if it is known that there is no such directory; an object store has none of which that could be said.
    pub fn may_exist(&self) -> bool {
        !self.is_local() || Path::new("/").join(&self.path).is_dir()
    }

    /// A prefix of any store; `base` is shown before paths.
    pub fn of_store(store: Arc<dyn ObjectStore>, base: &str, prefix: &str) -> Directory {
        let path = prefix.trim_matches('/').to_string();
        Directory { store: Store::Objects(store, base.into()), path, mirror: None }
    }

    /// A name for a checkpoint that is in memory only. There are no files in it.
    pub(crate) fn nowhere(checkpoint: CheckpointId) -> Directory {
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        Directory::of_store(store, "memory:", &checkpoint_name(checkpoint.0))
    }

    /// True if files of one can be named relative to the other.
    pub(crate) fn same_store(&self, other: &Directory) -> bool {
        match (&self.store, &other.store) {
            (Store::Local, Store::Local) => true,
            (Store::Objects(_, base), Store::Objects(_, other)) => base == other,
            _ => false,
        }
    }

    /// What `name` in this directory is called in `base`, which is of the same store.
    pub(crate) fn relative_to(&self, base: &Directory, name: &str) -> String {
        let parts = |path: &str| -> Vec<String> {
            path.split('/').filter(|part| !part.is_empty()).map(str::to_string).collect()
        };
        let (here, there) = (parts(&self.path), parts(&base.path));
        let shared = here.iter().zip(&there).take_while(|(here, there)| here == there).count();
        let up = std::iter::repeat_n("..", there.len() - shared);
        let down = here[shared..].iter().map(String::as_str);
        up.chain(down).chain([name]).collect::<Vec<_>>().join("/")
    }

    /// The directory at `relative`; it need not exist.
    pub fn join(&self, relative: &str) -> Directory {
        Directory { path: self.resolve(relative), ..self.clone() }
    }

    /// The same directory, with second copies of files of state below `roots`, directories of this machine, which are read
    /// first: each file has one, in one of them. Without a root there are none.
    pub fn mirrored(self, roots: &[PathBuf]) -> Directory {
        let mirror = (!roots.is_empty()).then(|| Mirror::new(roots, &self.path));
        Directory { mirror, ..self }
    }

    /// What was read of second copies since the last call: at the end of a restore, all that it read.
    pub fn copies_read(&self) -> CopiesRead {
        self.mirror.as_ref().map_or(CopiesRead::default(), Mirror::settle)
    }

    /// The second copy of a file, if it is whole.
    pub(crate) async fn copy_of(&self, file: &FileRecord) -> Option<PathBuf> {
        self.mirror.as_ref()?.whole(&self.resolve(&file.path), file).await
    }

    /// `length` bytes of a file from `offset` on, from its second copy if that is whole.
    ///
    /// # Errors
    /// As [`Directory::read_range`].
    pub(crate) async fn read_range_of(
        &self,
        file: &FileRecord,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, CheckpointError> {
        if let Some(copy) = self.copy_of(file).await
            && let Some(bytes) = Mirror::read_range(copy, offset, length).await
        {
            return Ok(bytes);
        }
        self.read_range(&file.path, offset, length).await
    }

    /// Deletes all second copies.
    pub async fn clear_mirror(&self) {
        if let Some(mirror) = &self.mirror {
            mirror.clear().await;
        }
    }

    /// The name of a file as people write it: an absolute path or a URL.
    pub fn show(&self, relative: &str) -> String {
        let path = self.resolve(relative);
        match &self.store {
            Store::Local => format!("/{path}"),
            Store::Objects(_, base) if path.is_empty() => base.to_string(),
            Store::Objects(_, base) => format!("{base}/{path}"),
        }
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// True if its files are files of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.store, Store::Local)
    }

    /// Writes a file that is not there yet; it is durable afterwards, and nobody sees a part of it.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`], also if the file exists.
    pub async fn create(&self, relative: &str, contents: Bytes) -> Result<(), CheckpointError> {
        let path = self.resolve(relative);
        let created = match &self.store {
            Store::Local => local::blocking(move || local::create(&local::absolute(&path), &contents)).await,
            Store::Objects(store, _) => objects::create(store, &path, contents).await,
        };
        created.map_err(|error| self.error("write", relative, error))
    }

    /// Copies a local file, which nobody writes to any more, to one that is not there yet; it is durable afterwards. Gives
    /// its bytes, and their checksums unless they are `known`. A file of the same file system is linked, and read for its
    /// checksums.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`], also if the file exists.
    pub async fn upload(
        &self,
        relative: &str,
        from: &Path,
        known: Option<FileChecksums>,
    ) -> Result<(u64, FileChecksums), CheckpointError> {
        let (path, from) = (self.resolve(relative), PathBuf::from(from));
        let copied = match &self.store {
            Store::Local => {
                let (from, path) = (from.clone(), path.clone());
                local::blocking(move || local::link_or_copy(&from, &local::absolute(&path), known)).await
            }
            Store::Objects(store, _) => objects::upload(store, &path, from.clone()).await,
        };
        if let (Some(mirror), Ok(_)) = (&self.mirror, &copied) {
            mirror.take(&path, &from).await;
        }
        copied.map_err(|error| self.error("write", relative, error))
    }

    /// The bytes of a file and their checksums; `None` if there is no such file.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`].
    pub async fn checksums(&self, relative: &str) -> Result<Option<(u64, FileChecksums)>, CheckpointError> {
        let path = self.resolve(relative);
        let summed = match &self.store {
            Store::Local => local::blocking(move || local::checksums(&local::absolute(&path))).await,
            Store::Objects(store, _) => objects::checksums(store, &path).await,
        };
        self.if_there(relative, summed)
    }

    /// Copies a file to a local one that is not there yet; its bytes and their checksums.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] and [`CheckpointError::Storage`].
    pub async fn download(&self, relative: &str, to: &Path) -> Result<(u64, FileChecksums), CheckpointError> {
        let (path, to) = (self.resolve(relative), PathBuf::from(to));
        let copied = match &self.store {
            Store::Local => local::blocking(move || local::copy(&local::absolute(&path), &to)).await,
            Store::Objects(store, _) => objects::download(store, &path, to).await,
        };
        copied.map_err(|error| self.error("read", relative, error))
    }

    /// A whole file.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] and [`CheckpointError::Storage`].
    pub async fn read(&self, relative: &str) -> Result<Bytes, CheckpointError> {
        let path = self.resolve(relative);
        let read = match &self.store {
            Store::Local => local::blocking(move || local::read(&local::absolute(&path))).await,
            Store::Objects(store, _) => objects::read(store, &path).await,
        };
        read.map_err(|error| self.error("read", relative, error))
    }

    /// `length` bytes of a file from `offset` on.
    ///
    /// # Errors
    /// As [`Directory::read`], and [`CheckpointError::Truncated`] if the file ends before.
    pub async fn read_range(
        &self,
        relative: &str,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, CheckpointError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let path = self.resolve(relative);
        let read = match &self.store {
            Store::Local => {
                local::blocking(move || local::read_range(&local::absolute(&path), offset, length)).await
            }
            Store::Objects(store, _) => objects::read_range(store, &path, offset, length).await,
        };
        let bytes = read.map_err(|error| self.error("read", relative, error))?;
        if (bytes.len() as u64) < length {
            return Err(CheckpointError::Truncated {
                file: self.show(relative),
                offset: offset + bytes.len() as u64,
                what: format!("{length} bytes from offset {offset} on are expected"),
            });
        }
        Ok(bytes)
    }

    /// The size of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`].
    pub async fn size(&self, relative: &str) -> Result<Option<u64>, CheckpointError> {
        let path = self.resolve(relative);
        let size = match &self.store {
            Store::Local => local::blocking(move || local::size(&local::absolute(&path))).await,
            Store::Objects(store, _) => objects::size(store, &path).await,
        };
        self.if_there(relative, size)
    }

    /// What was read of a file; `None` if there is no such file.
    fn if_there<T>(&self, relative: &str, read: Result<T, FileError>) -> Result<Option<T>, CheckpointError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(FileError::NotFound) => Ok(None),
            Err(error) => Err(self.error("read", relative, error)),
        }
    }

    /// Deletes a file; one that is not there is as good.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`].
    pub async fn delete(&self, relative: &str) -> Result<(), CheckpointError> {
        let path = self.resolve(relative);
        if let Some(mirror) = &self.mirror {
            mirror.delete(&path).await;
        }
        let deleted = match &self.store {
            Store::Local => local::blocking(move || local::delete(&local::absolute(&path))).await,
            Store::Objects(store, _) => objects::delete(store, &path).await,
        };
        match deleted {
            Err(FileError::NotFound) | Ok(()) => Ok(()),
            Err(error) => Err(self.error("delete", relative, error)),
        }
    }

    /// Removes the directory itself where there are such things and it is empty.
    pub async fn remove_if_empty(&self) {
        if let Store::Local = self.store {
            let path = self.path.clone();
            // a directory that holds something stays, and so does one that somebody else removed
            let _ =
                local::blocking(move || std::fs::remove_dir(local::absolute(&path)).map_err(FileError::from))
                    .await;
        }
    }

    /// The names of files and directories right in it, sorted; none if it does not exist. For people who look for
    /// something: nothing is ever deleted because a listing has it or lacks it.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`].
    pub async fn list(&self) -> Result<Vec<String>, CheckpointError> {
        let path = self.path.clone();
        let listed = match &self.store {
            Store::Local => local::blocking(move || local::list(&local::absolute(&path))).await,
            Store::Objects(store, _) => objects::list(store, &path).await,
        };
        match listed {
            Ok(mut names) => {
                names.sort_unstable();
                Ok(names)
            }
            Err(FileError::NotFound) => Ok(Vec::new()),
            Err(error) => Err(self.error("list", "", error)),
        }
    }

    fn resolve(&self, relative: &str) -> String {
        let mut parts: Vec<&str> = self.path.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    fn error(&self, action: &str, relative: &str, error: FileError) -> CheckpointError {
        let file = self.show(relative);
        match error {
            FileError::NotFound if action == "read" => {
                CheckpointError::Missing { file, needed_by: String::new() }
            }
            FileError::NotFound => CheckpointError::Storage {
                what: format!("{action} {file}"),
                reason: "its directory is not there, or a file stands in its place".to_string(),
            },
            FileError::Other(reason) => CheckpointError::Storage { what: format!("{action} {file}"), reason },
        }
    }
}

/// The name of the directory of a checkpoint in that of its job.
pub(crate) fn checkpoint_name(number: u64) -> String {
    format!("chk-{number}")
}

/// The number of the checkpoint in the directory `name`, if that is the name of one.
pub(crate) fn checkpoint_number(name: &str) -> Option<u64> {
    name.strip_prefix("chk-")?.parse().ok()
}

/// Runs `work` where it may block.
///
/// # Errors
/// [`CheckpointError::Storage`] if it was not run to its end.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CheckpointError> {
    let done = local::blocking(move || Ok(work())).await;
    done.map_err(|error| {
        let reason = match error {
            FileError::NotFound => "it is not there".to_string(),
            FileError::Other(reason) => reason,
        };
        CheckpointError::Storage { what: "work on files of state".to_string(), reason }
    })
}

/// What went wrong with a file.
#[derive(Debug)]
enum FileError {
    NotFound,
    Other(String),
}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // below a file there is nothing
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => FileError::NotFound,
            _ => FileError::Other(error.to_string()),
        }
    }
}

impl From<object_store::Error> for FileError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => FileError::NotFound,
            other => FileError::Other(other.to_string()),
        }
    }
}
