//! The watermark of several channels: the minimum of those that count.
//!
//! As Flink's StatusWatermarkValve: idle channels are left out; a channel that comes back from idleness counts again
//! once it has caught up with what was said; when the last active channel becomes idle, the largest watermark of all
//! is said first, since none of them holds time back any more. Unlike it, the end of one channel
//! (`Watermark::MAX`, or its end of input) does not become the watermark of all while another is merely idle: rows of
//! that one would all be late.

use weir_types::Watermark;

/// Combines the watermarks of the channels of one subtask.
pub(crate) struct WatermarkValve {
    channels: Vec<ChannelTime>,
    said: Watermark,
    idle: bool,
}

#[derive(Clone, Copy)]
struct ChannelTime {
    /// the last one before the end
    watermark: Watermark,
    state: ChannelState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChannelState {
    Active,
    /// Active again, but still behind what was said.
    CatchingUp,
    Idle,
    Ended,
}

/// What the channels say together, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// the subtask has input again
    pub active: bool,
    pub watermark: Option<Watermark>,
    /// all that have not ended are idle
    pub idle: bool,
}

impl WatermarkValve {
    pub(crate) fn new(channels: usize) -> Self {
        let channel = ChannelTime { watermark: Watermark::NONE, state: ChannelState::Active };
        WatermarkValve { channels: vec![channel; channels], said: Watermark::NONE, idle: false }
    }

    pub(crate) fn watermark(&mut self, channel: usize, watermark: Watermark) -> Combined {
        let time = &mut self.channels[channel];
        if watermark == Watermark::MAX {
            time.state = ChannelState::Ended;
        } else if time.state != ChannelState::Ended {
            time.watermark = time.watermark.max(watermark);
            if time.state == ChannelState::CatchingUp && time.watermark >= self.said {
                time.state = ChannelState::Active;
            }
        }
        self.combine()
    }

    pub(crate) fn idle(&mut self, channel: usize, idle: bool) -> Combined {
        let said = self.said;
        let time = &mut self.channels[channel];
        time.state = match (time.state, idle) {
            (ChannelState::Ended, _) => ChannelState::Ended,
            (_, true) => ChannelState::Idle,
            (ChannelState::Idle, false) if time.watermark < said => ChannelState::CatchingUp,
            (ChannelState::Idle, false) => ChannelState::Active,
            (state, false) => state,
        };
        self.combine()
    }

    pub(crate) fn ended(&mut self, channel: usize) -> Combined {
        self.channels[channel].state = ChannelState::Ended;
        self.combine()
    }

    fn combine(&mut self) -> Combined {
        let with = |state: ChannelState| {
            let channels = self.channels.iter().filter(move |channel| channel.state == state);
            channels.map(|channel| channel.watermark)
        };
        let everywhere = |state: ChannelState| self.channels.iter().all(|channel| channel.state == state);
        let all_ended = everywhere(ChannelState::Ended);
        let some_catch_up = with(ChannelState::CatchingUp).next().is_some();
        let target = match with(ChannelState::Active).min() {
            Some(minimum) => Some(minimum),
            None if all_ended => Some(Watermark::MAX),
            None if some_catch_up => None,
            None => self.channels.iter().map(|channel| channel.watermark).max(),
        };
        let is_idle = !all_ended
            && self.channels.iter().all(|c| matches!(c.state, ChannelState::Idle | ChannelState::Ended));
        let watermark = target.filter(|target| *target > self.said);
        if let Some(watermark) = watermark {
            self.said = watermark;
        }
        let was_idle = std::mem::replace(&mut self.idle, is_idle);
        Combined { active: was_idle && !is_idle, watermark, idle: is_idle && !was_idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(watermark: i64) -> Combined {
        Combined { watermark: Some(Watermark(watermark)), ..Combined::default() }
    }

    #[test]
    fn the_minimum_rises() {
        let mut valve = WatermarkValve::new(2);
        assert_eq!(valve.watermark(0, Watermark(10)), Combined::default(), "channel 1 has said nothing");
        assert_eq!(valve.watermark(1, Watermark(5)), raised(5));
        assert_eq!(valve.watermark(1, Watermark(20)), raised(10));
        assert_eq!(valve.watermark(1, Watermark(7)), Combined::default(), "watermarks do not fall");
    }

    #[test]
    fn an_ended_channel_counts_as_the_end_of_time() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        assert_eq!(valve.ended(0), Combined::default());
        assert_eq!(valve.watermark(1, Watermark(30)), raised(30));
        assert_eq!(valve.watermark(1, Watermark::MAX), raised(i64::MAX));
        assert_eq!(valve.ended(1), Combined::default(), "said already");
    }

    #[test]
    fn idle_channels_are_left_out() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        assert_eq!(valve.idle(1, true), raised(10));
        assert_eq!(valve.watermark(0, Watermark(20)), raised(20));
        assert_eq!(valve.idle(1, false), Combined::default());
        assert_eq!(valve.watermark(1, Watermark(3)), Combined::default(), "behind: catching up");
        assert_eq!(valve.watermark(0, Watermark(30)), raised(30), "who catches up holds nobody back");
        assert_eq!(valve.watermark(1, Watermark(35)), Combined::default());
        assert_eq!(valve.watermark(0, Watermark(50)), raised(35), "caught up: counts again");
    }

    #[test]
    fn when_all_are_idle_the_largest_is_said() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        valve.watermark(1, Watermark(40));
        assert_eq!(valve.idle(1, true), Combined::default());
        let all = valve.idle(0, true);
        assert_eq!(all, Combined { active: false, watermark: Some(Watermark(40)), idle: true });
        assert_eq!(valve.idle(0, false), Combined { active: true, ..Combined::default() });
    }

    #[test]
    fn the_end_of_one_is_not_the_end_of_an_idle_other() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        valve.idle(1, true);
        let ended = valve.watermark(0, Watermark::MAX);
        assert_eq!(ended, Combined { active: false, watermark: None, idle: true }, "10 was said before");
        assert_eq!(valve.idle(1, false), Combined { active: true, ..Combined::default() });
        assert_eq!(valve.watermark(1, Watermark(12)), raised(12));
        assert_eq!(valve.ended(1), raised(i64::MAX));
    }
}
