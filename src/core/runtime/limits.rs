//! What the system lets a process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of files this process may have open to the most it may ask for: block files,
/// lent descriptors and connections soon outnumber the usual 1,024.
pub fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(soft, hard, %error, "cannot raise the number of open files");
    }
}
