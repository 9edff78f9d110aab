//! Where sockets are.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the names of sockets end in; `<pid>.sock`, or `<pid>-<n>.sock` where process ids meet that are of different worlds.
const SUFFIX: &str = ".sock";

/// The user that this process acts for.
pub fn user() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The directories that may hold sockets, the best first: a session may have `XDG_RUNTIME_DIR` where a service of the same user
/// has none.
pub fn places() -> Vec<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_session =
        named.or_else(|| Some(format!("/run/user/{}", user()).into()).filter(|path: &PathBuf| path.is_dir()));
    let temporary = std::env::temp_dir().join(format!("weir-{}", user()));
    of_session.map(|directory| directory.join("weir")).into_iter().chain([temporary]).collect()
}

/// Makes a directory that only this user can enter, or sees that it is one.
pub fn make(directory: &Path) -> Result<(), String> {
    let fail = |error: io::Error| format!("{}: {error}", directory.display());
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        _ => {}
    }
    if !is_ours(directory) {
        return Err(format!("{} is not a directory of this user", directory.display()));
    }
    fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(fail)
}

/// Whether it is a directory, itself and not by a link, that belongs to this user.
pub fn is_ours(directory: &Path) -> bool {
    fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.uid() == user())
}

/// The name of the socket of a process.
pub fn name(pid: u32, attempt: u32) -> String {
    match attempt {
        0 => format!("{pid}{SUFFIX}"),
        _ => format!("{pid}-{attempt}{SUFFIX}"),
    }
}

/// The sockets that lie in a directory, in the order of their names, with the process ids that they are called by.
pub fn sockets(directory: &Path) -> Vec<(u32, PathBuf)> {
    if !is_ours(directory) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let pid = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
        name.split('-').next()?.parse().ok()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<(u32, PathBuf)> = paths.filter_map(|path| Some((pid(&path)?, path))).collect();
    found.sort();
    found
}
