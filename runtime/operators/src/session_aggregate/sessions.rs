//! Which sessions a row joins.

use weir_state::NO_SLOT;

/// Stands for the end of a key's list, and for a session that was merged into another.
const NONE: u32 = u32::MAX;

/// A session of one of the keys of a batch: `[start, end)` in milliseconds of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) start: i64,
    pub(super) end: i64,
    /// [`NO_SLOT`] until it is in the state
    pub(super) slot: u32,
    /// the time of the row that began it: its name in the state, which stays when its bounds change
    first: i64,
    next: u32,
    claimed: bool,
    changed: bool,
    gone: bool,
}

/// The sessions of the keys of one batch, a list a key.
pub(super) struct Sessions {
    all: Vec<Session>,
    /// the first session of each key
    heads: Vec<u32>,
    gap_ms: i64,
}

/// What a row finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    None,
    /// a session, now with the row in it
    One(u32),
    /// Two sessions, now one: `from` is to be added to `into`.
    Two {
        from: u32,
        into: u32,
    },
}

impl Sessions {
    pub(super) fn new(keys: usize, gap_ms: i64) -> Self {
        Sessions { all: Vec::new(), heads: vec![NONE; keys], gap_ms }
    }

    pub(super) fn get(&self, session: u32) -> &Session {
        &self.all[session as usize]
    }

    /// A session that is in the state.
    pub(super) fn add(&mut self, key: usize, start: i64, end: i64, slot: u32) -> u32 {
        let session = Session {
            start,
            end,
            slot,
            first: start,
            next: self.heads[key],
            claimed: slot != NO_SLOT,
            changed: slot == NO_SLOT,
            gone: false,
        };
        self.heads[key] = self.all.len() as u32;
        self.all.push(session);
        self.heads[key]
    }

    /// A new session of a row.
    pub(super) fn begin(&mut self, key: usize, time: i64) -> u32 {
        self.add(key, time, time.saturating_add(self.gap_ms), NO_SLOT)
    }

    /// The time of the row that began a session, for the first one who asks, if it is not in the state.
    pub(super) fn claim(&mut self, session: u32) -> Option<i64> {
        let session = &mut self.all[session as usize];
        (!std::mem::replace(&mut session.claimed, true)).then_some(session.first)
    }

    pub(super) fn set_slot(&mut self, session: u32, slot: u32) {
        self.all[session as usize].slot = slot;
    }

    /// The sessions whose bounds have changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Session> {
        self.all.iter().filter(|session| session.changed && !session.gone)
    }

    /// Lets a row of `time` join what its window overlaps or touches.
    pub(super) fn join(&mut self, key: usize, time: i64) -> Joined {
        let (start, end) = (time, time.saturating_add(self.gap_ms));
        let (mut found, mut next) = ([NONE; 2], self.heads[key]);
        while next != NONE {
            let session = &self.all[next as usize];
            if !session.gone && session.start <= end && start <= session.end {
                // Sessions of a key do not touch each other, so a window as short as a gap meets two at most.
                found[usize::from(found[0] != NONE)] = next;
            }
            next = session.next;
        }
        let [first, second] = found;
        if first == NONE {
            return Joined::None;
        }
        if second == NONE {
            self.extend(first, start, end);
            return Joined::One(first);
        }
        let (into, from) = self.merge_order(first, second);
        let other = self.all[from as usize];
        self.all[from as usize].gone = true;
        self.extend(into, start.min(other.start), end.max(other.end));
        Joined::Two { from, into }
    }

    fn extend(&mut self, session: u32, start: i64, end: i64) {
        let session = &mut self.all[session as usize];
        if start < session.start || end > session.end {
            session.start = session.start.min(start);
            session.end = session.end.max(end);
            session.changed = true;
        }
    }

    /// Which of two sessions takes up the other. Flink keeps the state of the one that its hash set of
    /// windows yields first: the lower of 16 buckets, and in the same bucket the earlier session.
    fn merge_order(&self, a: u32, b: u32) -> (u32, u32) {
        let order = |session: u32| {
            let Session { start, end, .. } = self.all[session as usize];
            (bucket(start, end), start)
        };
        if order(a) <= order(b) { (a, b) } else { (b, a) }
    }
}

/// The bucket of a window in a Java hash set of 16: the window's hash is its start plus the inverse, modulo
/// 2^32, of twice its end plus one.
fn bucket(start: i64, end: i64) -> u32 {
    let odd = (end.wrapping_shl(1) as u32).wrapping_add(1);
    // Newton's iteration: an odd number is its own inverse modulo 8, and each step doubles the bits that are
    // right.
    let mut inverse = odd;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    let hash = (start as u32).wrapping_add(inverse);
    (hash ^ hash >> 16) & 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_join_what_they_touch() {
        let mut sessions = Sessions::new(1, 10);
        assert_eq!(sessions.join(0, 0), Joined::None);
        let first = sessions.begin(0, 0);
        assert_eq!(sessions.join(0, 10), Joined::One(first));
        assert_eq!((sessions.get(first).start, sessions.get(first).end), (0, 20));
        assert_eq!(sessions.join(0, 21), Joined::None);
        assert_eq!(sessions.join(0, -10), Joined::One(first));
        assert_eq!(sessions.get(first).start, -10);
        let second = sessions.begin(0, 40);
        assert_eq!(sessions.join(0, 5), Joined::One(first));
        assert_eq!(sessions.join(0, 29), Joined::None);
        let Joined::One(_) = sessions.join(0, 20) else { panic!("touches the first alone") };
        let Joined::Two { from, into } = sessions.join(0, 30) else { panic!("touches both") };
        assert_eq!([from.min(into), from.max(into)], [first, second]);
        assert_eq!((sessions.get(into).start, sessions.get(into).end), (-10, 50));
        assert_eq!(sessions.changed().count(), 1);
        assert_eq!(sessions.join(0, 0), Joined::One(into));
    }

    /// Flink merged the session of 00:00:00 into that of 00:00:20 on 2020-01-01.
    #[test]
    fn buckets_are_those_of_flink() {
        let day = 1_577_836_800_000;
        assert_eq!(bucket(day, day + 10_000), 10);
        assert_eq!(bucket(day + 20_000, day + 30_000), 3);
    }
}
