//! Threads that carry out writes beside processing.

use crate::disk::jobs::Jobs;
use crate::disk::store::Store;
use parking_lot::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};

/// Errands that wait for a thread. Whoever finds no place, or cannot wait, carries his own out.
const WAITING: usize = 64;

/// The jobs of one store up to one of them.
pub(crate) struct Errand {
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) number: u64,
    /// a store that goes needs nothing written
    pub(crate) store: Weak<Store>,
}

/// Threads of all backends together. They end when this is dropped.
///
/// They are like those that RocksDB flushes and compacts with, and not tasks of the job: what they do shows nowhere but in when
/// rows leave memory.
pub(crate) struct Writers(SyncSender<Errand>);

impl Writers {
    pub(crate) fn start(threads: u32) -> std::io::Result<Writers> {
        let (sender, receiver) = sync_channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let receiver = receiver.clone();
            let run = move || while carry_out_next(&receiver) {};
            std::thread::Builder::new().name("weir-rocksdb".to_string()).spawn(run)?;
        }
        Ok(Writers(sender))
    }

    /// Has a thread carry it out, if that can be soon.
    pub(crate) fn send(&self, errand: Errand) {
        // Otherwise who needs it does it.
        let _ = self.0.try_send(errand);
    }
}

/// False if there will be none any more.
fn carry_out_next(receiver: &Mutex<Receiver<Errand>>) -> bool {
    let next = receiver.lock().recv();
    let Ok(Errand { jobs, number, store }) = next else { return false };
    jobs.run_beside(number, &store);
    true
}
