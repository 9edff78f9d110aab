//! Whether, and when, a job that failed is started again.

use std::collections::VecDeque;
use weir_types::{ErrorKind, RandomSource, RestartStrategy};

/// Counts failures against a strategy. Times are milliseconds of the monotonic clock.
#[derive(Debug)]
pub(crate) struct Restarts {
    strategy: RestartStrategy,
    /// failures that count, the oldest first
    failures: VecDeque<u64>,
    count: u64,
    backoff_ms: u64,
}

impl Restarts {
    pub(crate) fn new(strategy: RestartStrategy) -> Self {
        Restarts { strategy, failures: VecDeque::new(), count: 0, backoff_ms: 0 }
    }

    /// How long to wait before the job starts again; `None`: it is over. Errors that would come again, those of the
    /// statement and of the data, end it whatever the strategy.
    pub(crate) fn after(&mut self, kind: ErrorKind, now_ms: u64, random: &dyn RandomSource) -> Option<u64> {
        if matches!(kind, ErrorKind::UserInput | ErrorKind::Data | ErrorKind::ReaderGone) {
            return None;
        }
        match self.strategy {
            RestartStrategy::Never => None,
            RestartStrategy::FixedDelay { attempts, delay_ms } => {
                self.count += 1;
                (self.count <= attempts).then_some(delay_ms)
            }
            RestartStrategy::FailureRate { failures, interval_ms, delay_ms } => {
                self.failures.push_back(now_ms);
                while self.failures.front().is_some_and(|at| now_ms - at > interval_ms) {
                    self.failures.pop_front();
                }
                (self.failures.len() as u64 <= failures).then_some(delay_ms)
            }
            RestartStrategy::ExponentialDelay {
                initial_ms,
                max_ms,
                multiplier,
                reset_after_ms,
                jitter,
                attempts,
            } => {
                // a job that has run for so long since it was started again is as good as new
                let quiet =
                    self.failures.back().is_none_or(|last| now_ms - last >= reset_after_ms + self.backoff_ms);
                if quiet {
                    self.count = 0;
                    self.backoff_ms = initial_ms;
                } else {
                    self.backoff_ms = ((self.backoff_ms as f64 * multiplier) as u64).min(max_ms);
                }
                self.failures.clear();
                self.failures.push_back(now_ms);
                self.count += 1;
                if attempts.is_some_and(|attempts| self.count > attempts) {
                    return None;
                }
                let share = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0;
                let delay_ms = self.backoff_ms as f64 * (1.0 + jitter * share);
                Some((delay_ms as u64).min(max_ms))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Middle;

    impl RandomSource for Middle {
        fn next_u64(&self) -> u64 {
            1 << 63
        }
    }

    struct Most;

    impl RandomSource for Most {
        fn next_u64(&self) -> u64 {
            u64::MAX
        }
    }

    fn after(restarts: &mut Restarts, now_ms: u64) -> Option<u64> {
        restarts.after(ErrorKind::Unavailable, now_ms, &Middle)
    }

    #[test]
    fn a_fixed_number_of_times() {
        let mut restarts = Restarts::new(RestartStrategy::FixedDelay { attempts: 2, delay_ms: 50 });
        assert_eq!(
            [after(&mut restarts, 0), after(&mut restarts, 9), after(&mut restarts, 99)],
            [Some(50), Some(50), None]
        );
        assert_eq!(after(&mut Restarts::new(RestartStrategy::Never), 0), None);
    }

    #[test]
    fn what_would_come_again_ends_the_job() {
        for kind in [ErrorKind::UserInput, ErrorKind::Data, ErrorKind::ReaderGone] {
            let mut restarts = Restarts::new(RestartStrategy::DEFAULT_WITH_CHECKPOINTS);
            assert_eq!(restarts.after(kind, 0, &Middle), None);
        }
        let mut restarts = Restarts::new(RestartStrategy::DEFAULT_WITH_CHECKPOINTS);
        assert_eq!(restarts.after(ErrorKind::Internal, 0, &Middle), Some(1000));
    }

    #[test]
    fn as_long_as_failures_are_rare() {
        let strategy = RestartStrategy::FailureRate { failures: 2, interval_ms: 100, delay_ms: 5 };
        let mut restarts = Restarts::new(strategy);
        let delays: Vec<Option<u64>> =
            [0, 90, 150, 260, 300, 310].map(|at| after(&mut restarts, at)).to_vec();
        assert_eq!(delays, [Some(5), Some(5), Some(5), Some(5), Some(5), None]);
    }

    #[test]
    fn with_a_growing_delay() {
        let strategy = RestartStrategy::ExponentialDelay {
            initial_ms: 100,
            max_ms: 300,
            multiplier: 2.0,
            reset_after_ms: 1000,
            jitter: 0.5,
            attempts: Some(4),
        };
        let mut restarts = Restarts::new(strategy.clone());
        let delays: Vec<Option<u64>> = [0, 100, 300, 600].map(|at| after(&mut restarts, at)).to_vec();
        assert_eq!(delays, [Some(100), Some(200), Some(300), Some(300)]);
        assert_eq!(after(&mut restarts, 5000), Some(100), "after a quiet time as new");
        for at in [5001, 5002, 5003] {
            assert!(after(&mut restarts, at).is_some());
        }
        assert_eq!(after(&mut restarts, 5004), None, "four in a row");
        let mut restarts = Restarts::new(strategy);
        let longest = restarts.after(ErrorKind::Internal, 0, &Most);
        assert!(
            longest.is_some_and(|delay_ms| (149..=150).contains(&delay_ms)),
            "half of it more: {longest:?}"
        );
    }
}
