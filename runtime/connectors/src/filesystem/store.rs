//! Local files and objects behind one face.

use crate::ConnectorError;
use crate::connector::Environment;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Bytes of one read of a local file: few enough to be in the second-level cache when they are decoded.
const LOCAL_READ: usize = 256 << 10;

/// Where a table's files are.
#[derive(Clone)]
pub(super) enum Store {
    Local,
    Objects(Objects),
}

/// A bucket or container.
#[derive(Clone)]
pub(super) struct Objects {
    pub store: Arc<dyn ObjectStore>,
    /// the same, for writing in two phases
    pub uploads: Arc<dyn MultipartStore>,
    /// `s3://bucket`
    pub base: String,
}

/// A file that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// an absolute local path, or a URL; names the file in positions and messages
    pub path: String,
    pub size: u64,
    pub modified_ms: i64,
}

impl FileEntry {
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The store of `path`, and the path as files below it are named: absolute, or `s3://bucket/key`.
pub(super) fn locate(path: &str, environment: &Environment) -> Result<(Store, String), String> {
    let Some((scheme, rest)) = path.split_once("://") else {
        // `file:/data`, which Java's paths become, is as good as `file:///data`.
        return Ok((Store::Local, absolute(path.strip_prefix("file:").unwrap_or(path))?));
    };
    if scheme.eq_ignore_ascii_case("file") {
        let local = rest.strip_prefix("localhost").unwrap_or(rest);
        if !local.starts_with('/') {
            return Err(format!("'{path}' names a host: local files are written file:///directory/file"));
        }
        return Ok((Store::Local, absolute(local)?));
    }
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let base = format!("{scheme}://{authority}");
    let objects = open_objects(&scheme.to_ascii_lowercase(), base, environment)?;
    Ok((Store::Objects(objects), path.trim_end_matches('/').to_string()))
}

fn absolute(path: &str) -> Result<String, String> {
    let absolute = std::path::absolute(path).map_err(|error| format!("'{path}': {error}"))?;
    let text = absolute.to_str().ok_or_else(|| format!("'{path}' is not UTF-8"))?;
    Ok(if text.len() > 1 { text.trim_end_matches('/').to_string() } else { text.to_string() })
}

fn open_objects(scheme: &str, base: String, environment: &Environment) -> Result<Objects, String> {
    fn objects<S: ObjectStore + MultipartStore>(
        store: object_store::Result<S>,
        base: String,
    ) -> Result<Objects, String> {
        let store = Arc::new(store.map_err(|error| format!("cannot open {base}: {error}"))?);
        Ok(Objects { store: Arc::clone(&store) as _, uploads: store, base })
    }
    let settings = |prefix: &'static str| {
        let ours = environment.iter().filter(move |(key, _)| key.starts_with(prefix));
        ours.map(|(key, value)| (key.to_ascii_lowercase(), value.clone()))
    };
    match scheme {
        "s3" | "s3a" => {
            let mut builder = AmazonS3Builder::new().with_url(base.clone());
            for (key, value) in settings("AWS_") {
                if let Ok(key) = key.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            objects(builder.build(), base)
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::new().with_url(base.clone());
            for (key, value) in settings("GOOGLE_") {
                if let Ok(key) = key.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            objects(builder.build(), base)
        }
        "az" | "azure" | "abfs" | "abfss" | "adl" => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(base.clone());
            for (key, value) in settings("AZURE_") {
                if let Ok(key) = key.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            objects(builder.build(), base)
        }
        other => Err(format!(
            "no file system has the scheme '{other}://': use a local path, file://, s3://, gs:// or az://"
        )),
    }
}

impl Objects {
    /// The key of an object's URL.
    pub fn key(&self, path: &str) -> Result<ObjectPath, ConnectorError> {
        let key = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        ObjectPath::parse(key.trim_matches('/'))
            .map_err(|error| ConnectorError::Options(format!("'{path}' is no name of an object: {error}")))
    }
}

impl Store {
    /// All files at or below `path`, in no order. An object store has no empty directories: a path that is not
    /// there has no files. Directories and files for which `hidden` holds are left out.
    pub async fn list(&self, path: &str, hidden: fn(&str) -> bool) -> Result<Vec<FileEntry>, ConnectorError> {
        match self {
            Store::Local => list_local(Path::new(path), hidden),
            Store::Objects(objects) => list_objects(objects, path, hidden).await,
        }
    }

    /// The file at `path`.
    pub async fn stat(&self, path: &str) -> Result<FileEntry, ConnectorError> {
        match self {
            Store::Local => {
                let metadata = std::fs::metadata(path).map_err(|error| io_error("read", path, &error))?;
                Ok(local_entry(path.to_string(), &metadata))
            }
            Store::Objects(objects) => {
                let head = objects.store.head(&objects.key(path)?).await;
                let meta = head.map_err(|error| object_error("read", path, error))?;
                let modified_ms = meta.last_modified.timestamp_millis();
                Ok(FileEntry { path: path.to_string(), size: meta.size, modified_ms })
            }
        }
    }

    /// The bytes of a file from `offset` on.
    pub async fn read(&self, file: &FileEntry, offset: u64) -> Result<RawBytes, ConnectorError> {
        match self {
            Store::Local => {
                let mut local =
                    File::open(&file.path).map_err(|error| io_error("read", &file.path, &error))?;
                if offset > 0 {
                    local
                        .seek(SeekFrom::Start(offset))
                        .map_err(|error| io_error("read", &file.path, &error))?;
                }
                Ok(RawBytes::Local(local))
            }
            // A range that begins at the end is an error to some stores.
            Store::Objects(_) if offset >= file.size => {
                Ok(RawBytes::Objects(futures::stream::empty().boxed()))
            }
            Store::Objects(objects) => {
                let range = (offset > 0).then_some(GetRange::Offset(offset));
                let options = GetOptions { range, ..GetOptions::default() };
                let answer = objects.store.get_opts(&objects.key(&file.path)?, options).await;
                let answer = answer.map_err(|error| object_error("read", &file.path, error))?;
                Ok(RawBytes::Objects(answer.into_stream()))
            }
        }
    }
}

/// The bytes of one file, as they come.
pub(super) enum RawBytes {
    Local(File),
    Objects(BoxStream<'static, object_store::Result<Bytes>>),
}

impl RawBytes {
    /// True if asking for more may wait for a network.
    pub fn may_wait(&self) -> bool {
        matches!(self, RawBytes::Objects(_))
    }

    /// Appends some bytes; none at the end. A call that is given up loses nothing. Local files are read in place,
    /// since a thread for each read costs more than the read.
    pub async fn append(&mut self, path: &str, out: &mut Vec<u8>) -> Result<usize, ConnectorError> {
        match self {
            RawBytes::Local(file) => loop {
                let start = out.len();
                out.resize(start + LOCAL_READ, 0);
                let read = file.read(&mut out[start..]);
                out.truncate(start + read.as_ref().copied().unwrap_or(0));
                match read {
                    Ok(count) => return Ok(count),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(io_error("read", path, &error)),
                }
            },
            RawBytes::Objects(stream) => loop {
                match stream.next().await {
                    None => return Ok(0),
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => {
                        out.extend_from_slice(&bytes);
                        return Ok(bytes.len());
                    }
                    Some(Err(error)) => return Err(object_error("read", path, error)),
                }
            },
        }
    }
}

fn local_entry(path: String, metadata: &std::fs::Metadata) -> FileEntry {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.map_or(0, |since| since.as_millis() as i64);
    FileEntry { path, size: metadata.len(), modified_ms }
}

fn list_local(root: &Path, hidden: fn(&str) -> bool) -> Result<Vec<FileEntry>, ConnectorError> {
    let mut files = Vec::new();
    let mut directories: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(path) = directories.pop() {
        let shown = path.to_string_lossy().into_owned();
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Gone since its directory was listed.
            Err(error) if error.kind() == ErrorKind::NotFound && path != root => continue,
            Err(error) => return Err(io_error("list", &shown, &error)),
        };
        if !metadata.is_dir() {
            files.push(local_entry(shown, &metadata));
            continue;
        }
        let children = std::fs::read_dir(&path).map_err(|error| io_error("list", &shown, &error))?;
        for child in children {
            let child = child.map_err(|error| io_error("list", &shown, &error))?;
            let name = child.file_name();
            let Some(name) = name.to_str() else {
                return Err(ConnectorError::Options(format!(
                    "a file in {shown} has a name that is not UTF-8: {name:?}"
                )));
            };
            if !hidden(name) {
                directories.push(child.path());
            }
        }
    }
    Ok(files)
}

async fn list_objects(
    objects: &Objects,
    path: &str,
    hidden: fn(&str) -> bool,
) -> Result<Vec<FileEntry>, ConnectorError> {
    let prefix = objects.key(path)?;
    let mut files = Vec::new();
    let mut listing = objects.store.list(Some(&prefix));
    while let Some(meta) = listing.next().await {
        let meta = meta.map_err(|error| object_error("list", path, error))?;
        let Some(mut below) = meta.location.prefix_match(&prefix) else { continue };
        if below.any(|part| hidden(part.as_ref())) {
            continue;
        }
        let modified_ms = meta.last_modified.timestamp_millis();
        let path = format!("{}/{}", objects.base, meta.location);
        files.push(FileEntry { path, size: meta.size, modified_ms });
    }
    // Listing goes by directories: a path that names one object is asked for by itself.
    if files.is_empty() && !prefix.as_ref().is_empty() {
        match objects.store.head(&prefix).await {
            Ok(meta) => {
                let modified_ms = meta.last_modified.timestamp_millis();
                files.push(FileEntry { path: path.to_string(), size: meta.size, modified_ms });
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(object_error("list", path, error)),
        }
    }
    Ok(files)
}

/// What went wrong with a local file, and what to do.
pub(super) fn io_error(action: &str, path: impl Display, error: &std::io::Error) -> ConnectorError {
    match error.kind() {
        ErrorKind::NotFound => ConnectorError::Options(format!(
            "cannot {action} {path}: there is no such file or directory; check option 'path'"
        )),
        ErrorKind::PermissionDenied => {
            ConnectorError::Options(format!("cannot {action} {path}: permission denied; grant access to it"))
        }
        _ => ConnectorError::Unavailable(format!("cannot {action} {path}: {error}")),
    }
}

/// What went wrong with an object, and what to do.
pub(super) fn object_error(action: &str, path: impl Display, error: object_store::Error) -> ConnectorError {
    match error {
        object_store::Error::NotFound { .. } => ConnectorError::Options(format!(
            "cannot {action} {path}: there is no such object; check option 'path'"
        )),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ConnectorError::Options(format!(
                "cannot {action} {path}: access denied ({error}); check the credentials in the environment"
            ))
        }
        error => ConnectorError::Unavailable(format!("cannot {action} {path}: {error}")),
    }
}
