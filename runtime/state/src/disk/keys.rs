//! Keys as they are on disk: `key group u16 ‖ [end of the window] ‖ key [‖ map key ..] [‖ number]`, all big endian and
//! ordered as they are compared. Of a timer `key group ‖ time ‖ namespace ‖ key`.
//!
//! The window stands before the key, so that all entries of one are a range in each key group: it is read in order and
//! dropped at once when it is over.

use crate::descriptor::Namespace;
use crate::segment::ByteStrings;
use crate::timers::ordered;

/// What the keys of `namespace` in a key group begin with.
pub(crate) fn push_front(group: u16, namespace: Namespace, out: &mut Vec<u8>) {
    out.extend_from_slice(&group.to_be_bytes());
    if let Namespace::Window(end_ms) = namespace {
        out.extend_from_slice(&ordered(end_ms));
    }
}

pub(crate) fn front(group: u16, namespace: Namespace) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRONT_BYTES);
    push_front(group, namespace, &mut bytes);
    bytes
}

/// Key group and window.
const FRONT_BYTES: usize = 10;

/// The length of the front of a key.
pub(crate) fn front_len(namespace: Namespace) -> usize {
    match namespace {
        Namespace::Void => 2,
        Namespace::Window(_) => FRONT_BYTES,
    }
}

/// The end of the range of keys that begin with `prefix`.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    unreachable!("a key group is below 2^15, so its first byte can be raised")
}

/// The order of `keys` by their bytes.
pub(crate) fn order_of(keys: &ByteStrings) -> Vec<u32> {
    let mut order: Vec<(u128, u32)> = (0..keys.len() as u32)
        .map(|row| {
            let key = keys.get(row as usize);
            let mut start = [0; 16];
            let length = key.len().min(16);
            start[..length].copy_from_slice(&key[..length]);
            (u128::from_be_bytes(start), row)
        })
        .collect();
    order.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| keys.get(a.1 as usize).cmp(keys.get(b.1 as usize)))
    });
    order.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_begins_with_their_prefix() {
        assert_eq!(after(&[0, 1]), [0, 2]);
        assert_eq!(after(&[0, 1, 0xff, 0xff]), [0, 2]);
        let window = front(3, Namespace::Window(-1));
        let next = front(3, Namespace::Window(0));
        assert!(window < next && after(&window) <= next);
        assert_eq!(front_len(Namespace::Window(7)), window.len());
    }

    #[test]
    fn keys_are_ordered_by_their_bytes() {
        let mut keys = ByteStrings::new();
        for key in ["b", "a", "", "a key that is longer than sixteen bytes, b", "a\0"] {
            keys.push(key.as_bytes());
        }
        keys.push(b"a key that is longer than sixteen bytes, a");
        assert_eq!(order_of(&keys), [2, 1, 4, 5, 3, 0]);
    }
}
