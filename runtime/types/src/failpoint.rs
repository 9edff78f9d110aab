//! Places at which a test has the process die, by name.
//!
//! Only builds with the feature `failpoints` have them, which tests ask for; elsewhere a place costs nothing.

/// The places there are, in the order in which a checkpoint comes by.
pub const FAILPOINTS: &[&str] = &[
    "before-snapshot",
    "after-snapshot",
    "before-upload",
    "after-upload",
    "before-acknowledge",
    "after-acknowledge",
    "before-manifest",
    "after-manifest",
    "before-commit",
    "after-commit",
    "before-delete",
    "before-restore-commit",
    "after-restore-commit",
];

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A place, and how often the process still comes by before it dies.
    pub(super) struct Armed {
        pub name: String,
        pub left: AtomicU64,
    }

    pub(super) static ARMED: OnceLock<Armed> = OnceLock::new();

    pub(super) fn pass(name: &str) {
        if let Some(armed) = ARMED.get()
            && armed.name == name
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            eprintln!("failpoint {name}: the process dies");
            std::process::abort();
        }
    }
}

/// The process dies here if it was told to.
#[inline]
pub fn failpoint(name: &'static str) {
    debug_assert!(FAILPOINTS.contains(&name), "{name} is in no list");
    #[cfg(feature = "failpoints")]
    armed::pass(name);
}

/// Has the process die at a place: `name`, or `name@n` for the n-th time that it comes by. Once in a process.
///
/// # Errors
/// What is wrong with `text`, or with the build.
pub fn arm_failpoint(text: &str) -> Result<(), String> {
    let (name, count) = text.split_once('@').unwrap_or((text, "1"));
    if !FAILPOINTS.contains(&name) {
        return Err(format!("there is no failpoint '{name}'; there are {}", FAILPOINTS.join(", ")));
    }
    let left = count.parse::<u64>().map_err(|error| format!("failpoint '{text}': '{count}': {error}"))?;
    #[cfg(feature = "failpoints")]
    {
        let armed = armed::Armed { name: name.to_string(), left: left.into() };
        armed::ARMED.set(armed).map_err(|_| "a failpoint is armed already".to_string())
    }
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = left;
        Err("this build has no failpoints".to_string())
    }
}
