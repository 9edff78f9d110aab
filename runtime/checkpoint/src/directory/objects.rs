//! Objects of a store.

use super::FileError;
use crate::checksums::{FileChecksums, Summing};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a part of an upload; a smaller file goes in one piece.
const UPLOAD_PART: usize = 8 << 20;
/// Parts of one file that are on their way at a time.
const CONCURRENT_PARTS: usize = 4;

/// The store of `url`, `s3://bucket`, and the path in it.
pub(super) fn open(
    url: &str,
    variables: &BTreeMap<String, String>,
) -> Result<(Arc<dyn ObjectStore>, String, String), String> {
    let parsed = url::Url::parse(url).map_err(|error| error.to_string())?;
    let prefix = match parsed.scheme() {
        "s3" | "s3a" => "AWS_",
        "gs" => "GOOGLE_",
        "az" | "azure" | "abfs" | "abfss" | "adl" => "AZURE_",
        other => {
            return Err(format!(
                "no file system has the scheme '{other}://': use a local path, file://, s3://, gs:// or az://"
            ));
        }
    };
    let options = variables.iter().filter(|(key, _)| key.starts_with(prefix));
    let options = options.map(|(key, value)| (key.to_ascii_lowercase(), value.clone()));
    let (store, path) = object_store::parse_url_opts(&parsed, options).map_err(|error| error.to_string())?;
    let base = url.find("://").map_or(url, |scheme| {
        let end = url[scheme + 3..].find('/').map_or(url.len(), |slash| scheme + 3 + slash);
        &url[..end]
    });
    Ok((Arc::from(store), base.to_string(), path.to_string()))
}

pub(super) fn key(path: &str) -> ObjectPath {
    ObjectPath::from(path)
}

pub(super) async fn create(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    contents: Bytes,
) -> Result<(), FileError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&key(path), PutPayload::from_bytes(contents), options).await {
        Ok(_) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. }) => {
            Err(FileError::Other("it exists already".to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn upload(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    from: PathBuf,
) -> Result<(u64, FileChecksums), FileError> {
    let mut source = std::fs::File::open(&from).map_err(|error| local(&from, error))?;
    let bytes = source.metadata().map_err(|error| local(&from, error))?.len();
    if bytes <= UPLOAD_PART as u64 {
        let mut contents = Vec::with_capacity(bytes as usize);
        source.read_to_end(&mut contents).map_err(|error| local(&from, error))?;
        let checksums = FileChecksums::of(&contents);
        create(store, path, contents.into()).await?;
        return Ok((bytes, checksums));
    }
    let mut writer = WriteMultipart::new_with_chunk_size(store.put_multipart(&key(path)).await?, UPLOAD_PART);
    let mut summing = Summing::default();
    loop {
        let mut part = Vec::with_capacity(UPLOAD_PART);
        let read = (&mut source).take(UPLOAD_PART as u64).read_to_end(&mut part);
        if read.map_err(|error| local(&from, error))? == 0 {
            break;
        }
        summing.add(&part);
        writer.wait_for_capacity(CONCURRENT_PARTS).await?;
        writer.put(part.into());
    }
    writer.finish().await?;
    Ok((bytes, summing.finish()))
}

/// The bytes of an object and their checksums.
pub(super) async fn checksums(
    store: &Arc<dyn ObjectStore>,
    path: &str,
) -> Result<(u64, FileChecksums), FileError> {
    let mut stream = store.get(&key(path)).await?.into_stream();
    let (mut summing, mut bytes) = (Summing::default(), 0);
    while let Some(part) = stream.next().await {
        let part = part?;
        summing.add(&part);
        bytes += part.len() as u64;
    }
    Ok((bytes, summing.finish()))
}

pub(super) async fn download(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    to: PathBuf,
) -> Result<(u64, FileChecksums), FileError> {
    let answer = store.get(&key(path)).await?;
    let mut target = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&to)
        .map_err(|error| local(&to, error))?;
    let mut stream = answer.into_stream();
    let (mut summing, mut bytes) = (Summing::default(), 0);
    while let Some(part) = stream.next().await {
        let part = part?;
        target.write_all(&part).map_err(|error| local(&to, error))?;
        summing.add(&part);
        bytes += part.len() as u64;
    }
    Ok((bytes, summing.finish()))
}

/// Of a local file, whose absence says nothing of the object.
fn local(path: &std::path::Path, error: std::io::Error) -> FileError {
    FileError::Other(format!("{}: {error}", path.display()))
}

pub(super) async fn read(store: &Arc<dyn ObjectStore>, path: &str) -> Result<Bytes, FileError> {
    Ok(store.get(&key(path)).await?.bytes().await?)
}

/// Fewer bytes than asked for at the end of the object.
pub(super) async fn read_range(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    offset: u64,
    length: u64,
) -> Result<Bytes, FileError> {
    let Some(end) = offset.checked_add(length) else { return Ok(Bytes::new()) };
    match store.get_range(&key(path), offset..end).await {
        Ok(bytes) => Ok(bytes),
        Err(error @ object_store::Error::NotFound { .. }) => Err(error.into()),
        // a range that begins behind the end is an error to some stores
        Err(error) => match store.head(&key(path)).await {
            Ok(object) if object.size <= offset => Ok(Bytes::new()),
            _ => Err(error.into()),
        },
    }
}

pub(super) async fn size(store: &Arc<dyn ObjectStore>, path: &str) -> Result<u64, FileError> {
    Ok(store.head(&key(path)).await?.size)
}

pub(super) async fn delete(store: &Arc<dyn ObjectStore>, path: &str) -> Result<(), FileError> {
    Ok(store.delete(&key(path)).await?)
}

pub(super) async fn list(store: &Arc<dyn ObjectStore>, path: &str) -> Result<Vec<String>, FileError> {
    let listed = store.list_with_delimiter(Some(&key(path))).await?;
    let names = listed.common_prefixes.iter().filter_map(|prefix| prefix.filename());
    let files = listed.objects.iter().filter_map(|object| object.location.filename());
    Ok(names.chain(files).map(str::to_string).collect())
}
