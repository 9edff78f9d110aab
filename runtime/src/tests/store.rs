//! An object store that takes its time and does not always do as it is told.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use weir_types::RuntimeEnv;

/// Objects outlive the worlds that write them.
#[derive(Clone)]
pub(super) struct FaultyStore {
    pub objects: Arc<InMemory>,
    env: Arc<Mutex<Option<RuntimeEnv>>>,
    /// of a thousand calls so many fail
    faults: u64,
}

#[derive(PartialEq, Eq)]
enum Fate {
    Good,
    /// Nothing happens, and an error is the answer.
    Refused,
    /// It happens, and an error is the answer.
    AnswerLost,
    /// A part of it happens, and an error is the answer.
    Torn,
}

impl FaultyStore {
    pub(super) fn new(faults: u64) -> Self {
        FaultyStore { objects: Arc::new(InMemory::new()), env: Arc::default(), faults }
    }

    /// The world whose clock and chance the store goes by from now on.
    pub(super) fn enter(&self, env: RuntimeEnv) {
        *self.env.lock() = Some(env);
    }

    async fn fate(&self) -> Fate {
        let Some(env) = self.env.lock().clone() else { return Fate::Good };
        let random = env.random.next_u64();
        // mostly quick, now and then slow
        let latency_ms = if random % 10 == 0 { random >> 8 & 31 } else { random >> 8 & 3 };
        env.clock.sleep(Duration::from_millis(latency_ms)).await;
        if (random >> 16) % 1000 >= self.faults {
            return Fate::Good;
        }
        match (random >> 40) % 3 {
            0 => Fate::Refused,
            1 => Fate::AnswerLost,
            _ => Fate::Torn,
        }
    }
}

fn failure() -> Error {
    Error::Generic { store: "faulty", source: "a fault was injected".into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.fate().await {
            Fate::Good => self.objects.put_opts(location, payload, options).await,
            Fate::Refused => Err(failure()),
            // what makes a checkpoint is placed whole or not at all
            Fate::Torn if !location.as_ref().ends_with("_metadata") => {
                let whole: Bytes = payload.into();
                let torn = PutPayload::from_bytes(whole.slice(..whole.len() / 2));
                self.objects.put_opts(location, torn, options).await?;
                Err(failure())
            }
            Fate::AnswerLost | Fate::Torn => {
                self.objects.put_opts(location, payload, options).await?;
                Err(failure())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fate().await {
            Fate::Good => self.objects.get_opts(location, options).await,
            _ => Err(failure()),
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let fate = store.fate().await;
                if fate != Fate::Refused {
                    object_store::ObjectStoreExt::delete(&*store.objects, &location).await?;
                }
                if fate == Fate::Good { Ok(location) } else { Err(failure()) }
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
