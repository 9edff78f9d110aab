//! One timer for all that a subtask waits for.

use std::task::{Context, Poll};
use std::time::Duration;
use weir_types::{BoxFuture, Clock};

/// Rings at a time or a little before; whoever hears it looks at the clock. Setting it to a later time costs nothing,
/// which is the common case: each batch moves a deadline.
#[derive(Default)]
pub(crate) struct Alarm {
    armed: Option<(Duration, BoxFuture<()>)>,
}

impl Alarm {
    /// Rings at `deadline` on the monotonic clock at the latest; `None` leaves it as it is.
    pub(crate) fn set(&mut self, deadline: Option<Duration>, clock: &dyn Clock) {
        let Some(deadline) = deadline else { return };
        if self.armed.as_ref().is_none_or(|(armed, _)| deadline < *armed) {
            let sleep = clock.sleep(deadline.saturating_sub(clock.monotonic()));
            self.armed = Some((deadline, sleep));
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((_, sleep)) = &mut self.armed else { return Poll::Pending };
        let poll = sleep.as_mut().poll(cx);
        if poll.is_ready() {
            self.armed = None;
        }
        poll
    }
}
