//! What belongs to our user alone.
//!
//! Somebody else who can write where we stage could have us publish any file that we may read, or make us
//! write over one: by a record of theirs, or by a link in the place of a file of ours.

use crate::core::error::{Context, Error, Result, failed_precondition};
use nix::libc::O_NOFOLLOW;
use nix::unistd::{Whence, geteuid, lseek};
use std::fs::{File, Metadata, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Write permission of others than the owner.
const OTHERS: u32 = 0o022;
/// Of a directory: only who owns a name there may remove it.
const STICKY: u32 = 0o1000;
/// Bytes copied at a time.
const COPIED: usize = 1 << 20;

/// Opens a file of our user; no link is followed.
///
/// # Errors
/// `FailedPrecondition` for what belongs to another user, or is no file; what the disk says.
pub fn open(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let shown = || path.display().to_string();
    // A pipe would have us wait for its other end.
    let file = options.custom_flags(O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path);
    let file = file.map_err(Error::from).with_context(shown)?;
    check_file(path, &file.metadata()?)?;
    Ok(file)
}

/// Copies `file`, holes as holes, to a new file at `path` that is durable when this returns.
///
/// # Errors
/// What the disk says.
pub fn copy(file: &File, path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW);
    let copy = options.open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while let Some(start) = next(file, at, Whence::SeekData)? {
        at = next(file, start, Whence::SeekHole)?.unwrap_or(length);
        copy_range(file, &copy, start..at)?;
    }
    copy.set_len(length)?;
    copy.sync_all()
}

/// Where what is sought comes next; none beyond the end.
fn next(file: &File, at: u64, what: Whence) -> std::io::Result<Option<u64>> {
    match lseek(file, at as i64, what) {
        Ok(found) => Ok(Some(found as u64)),
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn copy_range(from: &File, to: &File, mut range: Range<u64>) -> std::io::Result<()> {
    let mut buffer = vec![0; COPIED];
    while !range.is_empty() {
        let piece = buffer.len().min((range.end - range.start) as usize);
        let count = from.read_at(&mut buffer[..piece], range.start)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..count], range.start)?;
        range.start += count as u64;
    }
    Ok(())
}

/// What stat(2) says of a file of our user; no link is followed.
///
/// # Errors
/// As [`open`].
pub fn metadata(path: &Path) -> Result<Metadata> {
    let found = path.symlink_metadata().map_err(Error::from);
    let meta = found.with_context(|| path.display().to_string())?;
    check_file(path, &meta)?;
    Ok(meta)
}

fn check_file(path: &Path, meta: &Metadata) -> Result<()> {
    match meta.is_file() && is_ours(meta) {
        true => Ok(()),
        false => Err(foreign(path, "is no file of this user's own")),
    }
}

/// The directory of a process belongs to our user, and nobody else can write there.
///
/// # Errors
/// `FailedPrecondition` where that is not so; what the disk says.
pub fn check_dir(dir: &Path) -> Result<()> {
    let found = dir.symlink_metadata().map_err(Error::from);
    let meta = found.with_context(|| dir.display().to_string())?;
    match meta.is_dir() && is_ours(&meta) && meta.mode() & OTHERS == 0 {
        true => Ok(()),
        false => Err(foreign(dir, "is no directory of this user's alone")),
    }
}

/// Nobody else can put anything into the place of what we stage in the directory `above`.
///
/// # Errors
/// `FailedPrecondition` where somebody can; what the disk says.
pub fn check_shared(above: &Path) -> Result<()> {
    let meta = above.metadata().map_err(Error::from);
    let meta = meta.with_context(|| above.display().to_string())?;
    let owned = is_ours(&meta) || meta.uid() == 0;
    match owned && (meta.mode() & OTHERS == 0 || meta.mode() & STICKY != 0) {
        true => Ok(()),
        false => Err(foreign(above, "can be written by others: chmod go-w, or give another")),
    }
}

fn is_ours(meta: &Metadata) -> bool {
    meta.uid() == geteuid().as_raw()
}

fn foreign(path: &Path, what: &str) -> Error {
    failed_precondition(format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn links_and_what_others_may_write_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (file, link) = (temp.path().join("file"), temp.path().join("link"));
        std::fs::write(&file, "secret").unwrap();
        symlink(&file, &link).unwrap();
        open(&file, File::options().read(true)).unwrap();
        assert!(open(&link, File::options().read(true)).is_err());
        assert!(metadata(&link).is_err() && metadata(temp.path()).is_err());
        assert!(open(Path::new("/dev/null"), File::options().read(true)).is_err());
        let (dir, other) = (temp.path().join("dir"), temp.path().join("other"));
        std::fs::create_dir(&dir).unwrap();
        symlink(&dir, &other).unwrap();
        check_dir(&dir).unwrap();
        assert!(check_dir(&other).is_err() && check_dir(&file).is_err());
        for (bits, alone, shared) in
            [(0o755, true, true), (0o777, false, false), (0o1777, false, true)]
        {
            mode(&dir, bits);
            let found = (check_dir(&dir).is_ok(), check_shared(&dir).is_ok());
            assert_eq!(found, (alone, shared), "{bits:o}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "theirs").unwrap();
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        assert!(open(&file, File::options().read(true)).is_err());
        std::os::unix::fs::chown(temp.path(), Some(65_534), None).unwrap();
        assert!(check_dir(temp.path()).is_err() && check_shared(temp.path()).is_err());
    }
}
