//! What the system lets a process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Has memory come in pages of 4 KiB. The allocator asks for pages of 2 MiB, of which an idle process
/// touches a few bytes each; an idle master would take more than half as much again. Processes started from here inherit it.
pub fn use_small_pages() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "the kernel decides about huge pages");
    }
}

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
