//! A file being written under a hidden name.

use super::owners::Owners;
use super::{Attributes, TEMPORARY, UfsStatus, UfsWriter};
use super::{apply, blocking, flush_dir, io_error, make_dirs_in, special, status_of};
use crate::core::error::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a file shall be, and whose.
pub struct Place {
    pub root: PathBuf,
    pub full: PathBuf,
    pub path: String,
    pub attributes: Attributes,
    pub owners: Arc<Owners>,
}

impl Place {
    fn dir(&self) -> &Path {
        self.full.parent().unwrap_or(&self.root)
    }
}

/// The hidden file, which is removed when this is dropped.
struct Hidden(Option<PathBuf>);

impl Drop for Hidden {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else { return };
        let remove = move || {
            if let Err(error) = std::fs::remove_file(&path) {
                let path = path.display();
                tracing::warn!(%path, %error, "an unfinished file stays behind; remove it");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

pub struct Writer {
    place: Place,
    file: Arc<File>,
    hidden: Hidden,
    failed: bool,
}

impl Writer {
    pub fn new(place: Place) -> Result<Writer> {
        make_dirs_in(&place.root, place.dir())?;
        if place.full.is_dir() {
            let message = format!("{} is a directory", place.full.display());
            return Err(Error::new(ErrorKind::IsDirectory, message));
        }
        let hidden = place.dir().join(format!("{TEMPORARY}{}", uuid::Uuid::new_v4().simple()));
        // Never more open than it will be.
        let mode = place.attributes.mode.unwrap_or(0o666) & 0o666;
        let file = File::options().write(true).create_new(true).mode(mode).open(&hidden);
        let file = file.map_err(|e| io_error(e, &place.full))?;
        Ok(Writer { place, file: Arc::new(file), hidden: Hidden(Some(hidden)), failed: false })
    }
}

#[async_trait]
impl UfsWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let (file, path) = (self.file.clone(), self.place.full.clone());
        // A write that is given up half-way may still append; such a file must not be published.
        let failed = std::mem::replace(&mut self.failed, true);
        blocking(move || (&*file).write_all(&bytes).map_err(|e| io_error(e, &path))).await?;
        self.failed = failed;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<UfsStatus> {
        let Writer { place, file, mut hidden, failed } = *self;
        if failed {
            let message = format!("{} was not written whole", place.full.display());
            return Err(Error::new(ErrorKind::Aborted, message));
        }
        blocking(move || {
            let path = hidden.0.as_deref().expect("kept until the rename below");
            apply(&place.owners, path, &place.attributes)?;
            file.sync_all().map_err(|e| io_error(e, &place.full))?;
            std::fs::rename(path, &place.full).map_err(|e| io_error(e, &place.full))?;
            hidden.0.take();
            flush_dir(place.dir())?;
            let meta = file.metadata().map_err(|e| io_error(e, &place.full))?;
            let found = status_of(&place.owners, place.path.clone(), &meta);
            found.ok_or_else(|| special(&place.full))
        })
        .await
    }
}
