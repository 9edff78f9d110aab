//! Places at which a test has the process die, by name, and sources that are slow enough for it.
//!
//! Only builds with the feature `failpoints` have them, which tests ask for; elsewhere a place costs nothing.

use std::time::Duration;

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
    pub(super) static PACE: OnceLock<super::Pace> = OnceLock::new();

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

/// How sources hand over rows, so that checkpoints come between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// of a batch, at most about
    pub batch_rows: usize,
    /// after each batch of a reader
    pub pause: Duration,
}

/// The pace that a test asked for.
#[inline]
pub fn source_pace() -> Option<Pace> {
    #[cfg(feature = "failpoints")]
    return armed::PACE.get().copied();
    #[cfg(not(feature = "failpoints"))]
    None
}

/// Slows sources down: `rows/milliseconds`, rows of a batch and the pause after it. Once in a process.
///
/// # Errors
/// What is wrong with `text`, or with the build.
pub fn set_source_pace(text: &str) -> Result<(), String> {
    let parsed = text.split_once('/').and_then(|(rows, pause)| {
        let pause = Duration::from_millis(pause.parse().ok()?);
        Some(Pace { batch_rows: rows.parse().ok().filter(|rows| *rows > 0)?, pause })
    });
    let pace = parsed.ok_or_else(|| format!("'{text}' is no pace such as 500/3: rows and milliseconds"))?;
    #[cfg(feature = "failpoints")]
    return armed::PACE.set(pace).map_err(|_| "there is a pace already".to_string());
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = pace;
        Err("this build has no paces".to_string())
    }
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
