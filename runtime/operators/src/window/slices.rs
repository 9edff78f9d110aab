//! Windows cut into slices.

use crate::OperatorError;
use weir_types::WindowSpec;

/// The start of the window or slice of `size_ms` that holds `time_ms`, where windows start at `offset_ms` and
/// then each `size_ms`.
#[inline]
pub(crate) fn window_start(time_ms: i64, offset_ms: i64, size_ms: i64) -> i64 {
    time_ms.wrapping_sub(time_ms.wrapping_sub(offset_ms).rem_euclid(size_ms))
}

/// The time axis cut into slices, so that every window of TUMBLE, HOP or CUMULATE is a run of whole slices
/// and a row goes into one slice however many windows it is in. A slice and a window are named by their ends,
/// in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    spec: WindowSpec,
    width_ms: i64,
    offset_ms: i64,
}

/// Ends of windows, ascending: `first`, `first + step_ms` and so on, up to `last`; none if `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowEnds {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) step_ms: i64,
}

impl WindowEnds {
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = i64> {
        let count = if self.first > self.last { 0 } else { (self.last - self.first) / self.step_ms + 1 };
        (0..count).map(move |index| self.first + index * self.step_ms)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Slices {
    /// Refuses lengths that are not positive, a CUMULATE whose step does not divide its size, and SESSION.
    pub(crate) fn new(spec: WindowSpec) -> Result<Self, OperatorError> {
        let (size_ms, step_ms, offset_ms) = match spec {
            WindowSpec::Tumble { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
            WindowSpec::Hop { size_ms, slide_ms, offset_ms } => (size_ms, slide_ms, offset_ms),
            WindowSpec::Cumulate { max_size_ms, step_ms, offset_ms } => (max_size_ms, step_ms, offset_ms),
            WindowSpec::Session { .. } => {
                return Err(OperatorError::internal("a SESSION window has no slices"));
            }
        };
        if size_ms <= 0 || step_ms <= 0 {
            return Err(OperatorError::unsupported(format!(
                "{spec}: the size and the step of a window must be positive"
            )));
        }
        if matches!(spec, WindowSpec::Cumulate { .. }) && size_ms % step_ms != 0 {
            return Err(OperatorError::unsupported(format!(
                "{spec}: the maximal size must be a multiple of the step"
            )));
        }
        Ok(Slices { spec, width_ms: gcd(size_ms, step_ms), offset_ms })
    }

    pub(crate) fn spec(&self) -> WindowSpec {
        self.spec
    }

    /// From the start of a slice to its end.
    pub(crate) fn width_ms(&self) -> i64 {
        self.width_ms
    }

    /// From the start of a window to its end; `None` for CUMULATE, whose windows grow.
    pub(crate) fn window_ms(&self) -> Option<i64> {
        match self.spec {
            WindowSpec::Tumble { size_ms, .. } | WindowSpec::Hop { size_ms, .. } => Some(size_ms),
            WindowSpec::Cumulate { .. } | WindowSpec::Session { .. } => None,
        }
    }

    /// The end of the slice that holds `time_ms`.
    #[inline]
    pub(crate) fn slice_end(&self, time_ms: i64) -> i64 {
        window_start(time_ms, self.offset_ms, self.width_ms).wrapping_add(self.width_ms)
    }

    /// [`Slices::slice_end`] of many times. Neighbours mostly share a slice, which spares them the division.
    pub(crate) fn slice_ends(&self, times_ms: &[i64]) -> Vec<i64> {
        let (mut start, mut end) = (0, i64::MIN);
        times_ms
            .iter()
            .map(|time_ms| {
                if *time_ms < start || *time_ms >= end {
                    end = self.slice_end(*time_ms);
                    start = end.wrapping_sub(self.width_ms);
                }
                end
            })
            .collect()
    }

    /// The ends of the windows that hold the slice.
    pub(crate) fn windows_of(&self, slice_end: i64) -> WindowEnds {
        match self.spec {
            WindowSpec::Hop { size_ms, slide_ms, offset_ms } => {
                let last_start = window_start(slice_end - self.width_ms, offset_ms, slide_ms);
                let first_start = window_start(slice_end - size_ms + slide_ms - 1, offset_ms, slide_ms);
                WindowEnds { first: first_start + size_ms, last: last_start + size_ms, step_ms: slide_ms }
            }
            WindowSpec::Cumulate { max_size_ms, step_ms, offset_ms } => {
                let start = window_start(slice_end - self.width_ms, offset_ms, max_size_ms);
                WindowEnds { first: slice_end, last: start + max_size_ms, step_ms }
            }
            WindowSpec::Tumble { size_ms, .. } => {
                WindowEnds { first: slice_end, last: slice_end, step_ms: size_ms }
            }
            WindowSpec::Session { .. } => unreachable!("refused by Slices::new"),
        }
    }

    /// The start of the window that ends at `window_end`.
    #[inline]
    pub(crate) fn window_start(&self, window_end: i64) -> i64 {
        match self.spec {
            WindowSpec::Tumble { size_ms, .. } | WindowSpec::Hop { size_ms, .. } => window_end - size_ms,
            WindowSpec::Cumulate { max_size_ms, offset_ms, .. } => {
                window_start(window_end - 1, offset_ms, max_size_ms)
            }
            WindowSpec::Session { .. } => unreachable!("refused by Slices::new"),
        }
    }

    /// The end of the first slice of a window.
    pub(crate) fn first_slice_of(&self, window_end: i64) -> i64 {
        self.window_start(window_end) + self.width_ms
    }

    /// The ends of the slices of a window, the newest first.
    #[cfg(test)]
    pub(crate) fn slices_of(&self, window_end: i64) -> impl Iterator<Item = i64> {
        let start = self.window_start(window_end);
        let width_ms = self.width_ms;
        (0..(window_end - start) / width_ms).map(move |index| window_end - index * width_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(spec: WindowSpec, time_ms: i64) -> Vec<(i64, i64)> {
        let slices = Slices::new(spec).unwrap();
        slices
            .windows_of(slices.slice_end(time_ms))
            .iter()
            .map(|end| (slices.window_start(end), end))
            .collect()
    }

    #[test]
    fn a_row_is_in_one_tumbling_window() {
        let spec = WindowSpec::Tumble { size_ms: 10, offset_ms: 3 };
        assert_eq!(ends(spec, 3), [(3, 13)]);
        assert_eq!(ends(spec, 12), [(3, 13)]);
        assert_eq!(ends(spec, 2), [(-7, 3)]);
        assert_eq!(ends(spec, -8), [(-17, -7)]);
    }

    /// For every window function: the windows of a row's slice are those that hold the row, and the slices of
    /// a window tile it.
    #[test]
    fn slices_agree_with_windows() {
        for (size_ms, slide_ms) in [(10, 2), (10, 5), (10, 10), (10, 4), (10, 3), (6, 10), (4, 10)] {
            let offset_ms = 1;
            let spec = WindowSpec::Hop { size_ms, slide_ms, offset_ms };
            let slices = Slices::new(spec).unwrap();
            for time in -25..25 {
                let expected: Vec<(i64, i64)> = (-20..20)
                    .map(|index| (offset_ms + index * slide_ms, offset_ms + index * slide_ms + size_ms))
                    .filter(|(start, end)| (*start..*end).contains(&time))
                    .collect();
                assert_eq!(ends(spec, time), expected, "{spec} at {time}");
                for (start, end) in expected {
                    let parts: Vec<i64> = slices.slices_of(end).collect();
                    assert_eq!(parts.first(), Some(&end));
                    assert_eq!(parts.last(), Some(&(start + slices.width_ms)));
                    assert!(parts.contains(&slices.slice_end(time)));
                }
            }
        }
    }

    #[test]
    fn cumulating_windows_share_a_start() {
        let spec = WindowSpec::Cumulate { max_size_ms: 15, step_ms: 5, offset_ms: 0 };
        assert_eq!(ends(spec, 0), [(0, 5), (0, 10), (0, 15)]);
        assert_eq!(ends(spec, 7), [(0, 10), (0, 15)]);
        assert_eq!(ends(spec, 14), [(0, 15)]);
        assert_eq!(ends(spec, -1), [(-15, 0)]);
    }

    #[test]
    fn slice_ends_of_many_times_are_those_of_each() {
        let slices = Slices::new(WindowSpec::Tumble { size_ms: 7, offset_ms: 2 }).unwrap();
        let times: Vec<i64> = (-40..40).map(|index| (index * 37) % 41).collect();
        let one_by_one: Vec<i64> = times.iter().map(|time| slices.slice_end(*time)).collect();
        assert_eq!(slices.slice_ends(&times), one_by_one);
    }

    #[test]
    fn lengths_that_make_no_windows_are_refused() {
        for spec in [
            WindowSpec::Tumble { size_ms: 0, offset_ms: 0 },
            WindowSpec::Hop { size_ms: 10, slide_ms: -1, offset_ms: 0 },
            WindowSpec::Cumulate { max_size_ms: 10, step_ms: 4, offset_ms: 0 },
        ] {
            assert!(matches!(Slices::new(spec), Err(OperatorError::Unsupported(_))), "{spec}");
        }
    }
}
