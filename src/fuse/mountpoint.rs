//! The directory one mounts on: what may be wrong with it before, and how to leave it after.

use crate::core::error::{
    Context, Error, ErrorKind, Result, already_exists, failed_precondition, invalid_argument,
    not_found, permission_denied,
};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The device of every FUSE mount.
const DEVICE: &str = "/dev/fuse";

/// Checks that something can be mounted on `dir`, and says what to do where it cannot.
///
/// # Errors
/// `NotFound`, `NotDirectory`, `AlreadyExists` (something is mounted there) or
/// `FailedPrecondition` (a dead mount is in the way).
pub fn check(dir: &Path) -> Result<PathBuf> {
    let shown = dir.display();
    let meta = match std::fs::metadata(dir) {
        Ok(meta) => meta,
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            return Err(failed_precondition(format!(
                "{shown} is a mount whose process is gone: run `goosefs fuse umount {shown}` first"
            )));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(not_found(format!("{shown} does not exist: make the directory first")));
        }
        Err(error) => return Err(Error::from(error).context(format!("mount point {shown}"))),
    };
    if !meta.is_dir() {
        return Err(Error::new(ErrorKind::NotDirectory, format!("{shown} is not a directory")));
    }
    let dir = dir.canonicalize().with_context(|| format!("mount point {shown}"))?;
    let parent = dir.parent().and_then(|parent| std::fs::metadata(parent).ok());
    if parent.is_some_and(|parent| parent.dev() != meta.dev()) && is_fuse(&dir) {
        return Err(already_exists(format!(
            "something is mounted on {shown} already: unmount it, or choose another directory"
        )));
    }
    Ok(dir)
}

/// Checks that this machine lets this process mount at all.
///
/// # Errors
/// `Unsupported` without FUSE in the kernel or the container, `PermissionDenied` without the right
/// to mount.
pub fn check_device() -> Result<()> {
    match std::fs::OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => {}
        Err(error) => return Err(no_device(&error)),
    }
    if nix::unistd::geteuid().is_root() && !may_mount() {
        return Err(permission_denied(
            "this process may not mount: it lacks CAP_SYS_ADMIN. In a container, run it with \
             --device /dev/fuse --cap-add SYS_ADMIN (Kubernetes: a privileged container)",
        ));
    }
    Ok(())
}

fn no_device(error: &std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    match (error.kind(), error.raw_os_error()) {
        (Io::NotFound, _) | (_, Some(libc::ENODEV | libc::ENXIO)) => Error::new(
            ErrorKind::Unsupported,
            "there is no /dev/fuse: load the kernel module (modprobe fuse), or in a container add \
             --device /dev/fuse",
        ),
        (Io::PermissionDenied, _) => permission_denied(
            "/dev/fuse may not be opened: run as root, or in a container add --device /dev/fuse \
             --cap-add SYS_ADMIN",
        ),
        _ => Error::new(ErrorKind::Unsupported, format!("opening /dev/fuse: {error}")),
    }
}

/// Whether CAP_SYS_ADMIN (bit 21) is among the effective capabilities.
fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        // A kernel that does not tell is asked by mounting.
        .is_none_or(|capabilities| capabilities & 1 << 21 != 0)
}

/// How a directory is mounted.
#[derive(Debug)]
pub struct How<'a> {
    /// What the kernel's table says is mounted.
    pub name: &'a str,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether programs on it may be run.
    pub exec: bool,
    /// Whether users other than this one may enter.
    pub others: bool,
}

/// Mounts on `dir`, as only root may: the device by which the kernel is answered.
///
/// # Errors
/// The system's own.
pub fn mount(dir: &Path, how: &How<'_>) -> std::io::Result<OwnedFd> {
    let rootmode = std::fs::metadata(dir)?.mode();
    let device = std::fs::OpenOptions::new().read(true).write(true).open(DEVICE)?;
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let others = if how.others { ",allow_other" } else { "" };
    let data = format!(
        "fd={},rootmode={rootmode:o},user_id={user},group_id={group},default_permissions{others},\
         subtype=goosefs",
        device.as_raw_fd()
    );
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOATIME;
    flags.set(MsFlags::MS_RDONLY, how.read_only);
    flags.set(MsFlags::MS_NOEXEC, !how.exec);
    nix::mount::mount(Some(how.name), dir, Some("fuse"), flags, Some(data.as_str()))?;
    Ok(device.into())
}

/// Says why mounting on `dir` failed.
pub fn mount_failed(error: std::io::Error, dir: &Path) -> Error {
    let shown = dir.display();
    let text = error.to_string();
    let no_helper = error.kind() == std::io::ErrorKind::NotFound;
    let refused = error.kind() == std::io::ErrorKind::PermissionDenied;
    if no_helper || refused || text.contains("EPERM") || text.contains("EACCES") {
        let what =
            if no_helper { "; a user other than root needs fusermount3 (fuse3)" } else { "" };
        return permission_denied(format!(
            "mounting on {shown} is not permitted{what}. In a container, run it with --device \
             /dev/fuse --cap-add SYS_ADMIN"
        ))
        .with_source(error);
    }
    Error::from(error).context(format!("mounting on {shown}"))
}

/// Unmounts `dir`, also when the process behind it is dead or files on it are open: those keep
/// working until they are closed.
///
/// # Errors
/// `InvalidArgument` when nothing of FUSE is mounted there, `PermissionDenied` when this user may
/// not unmount it.
pub fn unmount(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let mut absolute = std::path::absolute(dir).with_context(|| format!("mount point {shown}"))?;
    // Only the parent: the directory itself would ask the process behind it, which may be dead.
    if let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name())
        && let Ok(parent) = parent.canonicalize()
    {
        absolute = parent.join(name);
    }
    if !is_fuse(&absolute) {
        return Err(invalid_argument(format!("no FUSE file system is mounted on {shown}")));
    }
    match nix::mount::umount2(&absolute, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => unmount_by_helper(&absolute),
        Err(_) => nix::mount::umount2(&absolute, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .map_err(std::io::Error::from)
            .with_context(|| format!("unmounting {shown}")),
    }
}

/// A user other than root unmounts through the setuid helper.
fn unmount_by_helper(dir: &Path) -> Result<()> {
    for helper in ["fusermount3", "fusermount"] {
        if let Ok(output) = Command::new(helper).args(["-u", "-z", "--"]).arg(dir).output() {
            if output.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(permission_denied(format!(
                "unmounting {}: {}",
                dir.display(),
                said.trim()
            )));
        }
    }
    Err(permission_denied(format!(
        "unmounting {} takes root, or fusermount3 (package fuse3)",
        dir.display()
    )))
}

/// Whether the topmost mount on `dir` is one of FUSE, by the kernel's own table.
pub fn is_fuse(dir: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(mounted).rfind(|(on, _)| on == dir).is_some_and(|(_, fuse)| fuse)
}

/// The device number, as `0:46`, of the topmost mount on `dir`.
pub fn device(dir: &Path) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().rfind(|line| mounted(line).is_some_and(|(on, _)| on == dir))?;
    line.split(' ').nth(2).map(String::from)
}

/// Where a line of mountinfo mounts something, and whether that is FUSE.
fn mounted(line: &str) -> Option<(PathBuf, bool)> {
    let (left, right) = line.split_once(" - ")?;
    let on = left.split(' ').nth(4)?;
    let kind = right.split(' ').next()?;
    Some((PathBuf::from(unescape(on)), kind == "fuse" || kind.starts_with("fuse.")))
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = text.to_string();
    for (code, letter) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(code, letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_is_read() {
        let line = "40 25 0:46 / /mnt/a\\040b rw,nosuid - fuse.goosefs goosefs rw";
        assert_eq!(mounted(line), Some((PathBuf::from("/mnt/a b"), true)));
        assert_eq!(mounted("1 2 3:4 / / rw - ext4 /dev/vda rw"), Some(("/".into(), false)));
        assert_eq!(mounted("nonsense"), None);
    }

    #[test]
    fn what_cannot_be_mounted_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = check(&dir.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(check(&file).unwrap_err().kind(), ErrorKind::NotDirectory);
        assert!(check(dir.path()).is_ok());
        assert_eq!(unmount(dir.path()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}
