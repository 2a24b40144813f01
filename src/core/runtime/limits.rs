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

/// Has the allocator give memory back that is not in use: few arenas, and large pieces from the
/// system each. Costs system calls, and is for a process that may have little.
pub fn give_memory_back() {
    const LARGE: libc::c_int = 256 << 10;
    // SAFETY: mallopt(3) changes numbers inside the allocator, under its own lock, and takes any.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Bytes of memory that the control group of this process may have; none where it has no limit.
pub fn memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let number = |path: String| -> Option<u64> {
        let text = std::fs::read_to_string(path).ok()?;
        // "max" where there is none; the first version writes a number near 2^63.
        text.trim().parse().ok().filter(|&bytes| bytes < 1 << 62)
    };
    let limits = groups.lines().filter_map(|line| {
        // hierarchy:controllers:path, cgroups(7).
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_end_matches('/'));
        // In a container the path may be the host's, and the own group is mounted at the root.
        match controllers {
            "" => number(format!("/sys/fs/cgroup{path}/memory.max"))
                .or_else(|| number("/sys/fs/cgroup/memory.max".into())),
            _ if controllers.split(',').any(|name| name == "memory") => {
                number(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
                    .or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes".into()))
            }
            _ => None,
        }
    });
    limits.min()
}
