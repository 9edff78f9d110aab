//! Something that becomes true once, and many wait for.
//!
//! Those who wait are woken in the order in which they began to: a simulation is the same in every run, which a
//! channel that spreads its waiters by chance would not be.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// False until somebody raises it.
#[derive(Clone, Default)]
pub(crate) struct Flag(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    raised: bool,
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

/// Completes when the flag is raised.
pub(crate) struct Raised {
    flag: Flag,
    /// the place in the queue, once it has been polled
    place: Option<u64>,
}

impl Flag {
    pub(crate) fn raise(&self) {
        let mut state = self.0.lock();
        state.raised = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.lock().raised
    }

    pub(crate) fn raised(&self) -> Raised {
        Raised { flag: self.clone(), place: None }
    }
}

impl Future for Raised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let flag = self.flag.clone();
        let mut state = flag.0.lock();
        if state.raised {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.waiting.insert(place, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.flag.0.lock().waiting.remove(&place);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use std::time::Duration;

    #[test]
    fn all_who_wait_hear_of_it() {
        for seed in 0..5 {
            let simulation = Simulation::new(seed);
            let (env, flag) = (simulation.env(), Flag::default());
            let heard = Arc::new(Mutex::new(0));
            for _ in 0..4 {
                let (flag, heard) = (flag.clone(), heard.clone());
                let wait = async move {
                    flag.raised().await;
                    *heard.lock() += 1;
                };
                env.spawner.spawn("waiting", Box::pin(wait));
            }
            let count = heard.clone();
            simulation.run(async move {
                env.clock.sleep(Duration::from_millis(1)).await;
                assert_eq!(*count.lock(), 0);
                flag.raise();
                flag.raised().await;
                env.clock.sleep(Duration::from_millis(1)).await;
            });
            assert_eq!(*heard.lock(), 4);
        }
    }
}
