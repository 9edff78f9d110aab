//! What bounds the state of an operator, in words.

use weir_types::{Millis, StateNote};

/// The note of a state that `clause` does not bound. `inputs`: what the hint STATE_TTL says of each.
pub(super) fn hinted_state(keeps: &str, clause: String, inputs: &[(&str, Option<u64>)]) -> StateNote {
    let never = format!("never dropped: {clause} bounds no time");
    let lives = |ttl_ms: u64| {
        let after = Millis(i64::try_from(ttl_ms).unwrap_or(i64::MAX));
        format!("dropped {after} after its last use: STATE_TTL")
    };
    let bounded = inputs.iter().all(|(_, ttl_ms)| ttl_ms.is_some_and(|ttl_ms| ttl_ms > 0));
    let bound = match inputs {
        [(_, Some(ttl_ms))] if *ttl_ms > 0 => lives(*ttl_ms),
        inputs if inputs.iter().all(|(_, ttl_ms)| ttl_ms.is_none()) => never,
        inputs => {
            let one = |(name, ttl_ms): &(&str, Option<u64>)| match ttl_ms.filter(|ttl_ms| *ttl_ms > 0) {
                Some(ttl_ms) => format!("{name} {}", lives(ttl_ms)),
                None => format!("{name} {never}"),
            };
            inputs.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    };
    StateNote { keeps: keeps.to_string(), bound, unbounded_clause: (!bounded).then_some(clause) }
}
