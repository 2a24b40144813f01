//! One file of a copy.
//!
//! Data streams in pieces, a few in flight, whatever the file's size. A target on this machine is
//! written under another name and renamed when it is whole; a target in the tree appears when it is
//! closed. So nobody ever finds half a file.

use super::copy::Place;
use super::cp::Options;
use crate::client::{CreateOptions, FileSystem, OpenOptions, SetAttributes};
use crate::core::error::{Context, Error, ErrorKind, Result, internal};
use crate::core::model::{FsPath, Status};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::fs::{FileTimes, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Bytes read from a file of this machine at once.
const PIECE: usize = 1 << 20;
/// Pieces in flight between disk and network.
const PIECES: usize = 4;

/// What is to be copied.
#[derive(Debug)]
pub enum Source {
    /// A file, directory or link of this machine.
    Local(PathBuf, Metadata),
    /// A path of the tree.
    Tree(Box<Status>),
}

impl Source {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        match self {
            Source::Local(_, found) => found.is_dir(),
            Source::Tree(status) => status.folder,
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        match self {
            Source::Local(path, _) => Place::Local(path.clone()),
            Source::Tree(status) => Place::Tree(status.path.clone()),
        }
    }

    /// What its link says; none for a file.
    fn link(&self) -> Result<Option<String>> {
        match self {
            Source::Local(path, found) if found.is_symlink() => {
                let target = std::fs::read_link(path)?;
                super::walk::name_of(target.as_os_str()).map(Some)
            }
            Source::Local(..) => Ok(None),
            Source::Tree(status) => Ok(status.is_symlink().then(|| status.symlink.clone())),
        }
    }

    fn mode(&self) -> u32 {
        match self {
            Source::Local(_, found) => found.permissions().mode() & 0o777,
            Source::Tree(status) => status.mode & 0o777,
        }
    }

    fn modified_ms(&self) -> i64 {
        match self {
            Source::Local(_, found) => found.mtime() * 1000 + found.mtime_nsec() / 1_000_000,
            Source::Tree(status) => status.modified_ms,
        }
    }

    /// Whose it is; none for a file of this machine, whose users are others.
    fn owner(&self) -> Option<(String, String)> {
        match self {
            Source::Local(..) => None,
            Source::Tree(status) => Some((status.owner.clone(), status.group.clone())),
        }
    }
}

/// One file and where it goes.
#[derive(Debug)]
pub struct Transfer {
    /// What is copied.
    pub source: Source,
    /// Where to.
    pub target: Place,
}

impl Transfer {
    /// Copies the file and says so.
    ///
    /// # Errors
    /// What went wrong, naming the file; `Cancelled` when `cancel` was. Either way nothing is left.
    pub async fn run(
        self,
        fs: FileSystem,
        options: Options,
        cancel: CancellationToken,
    ) -> Result<String> {
        let (from, to) = (self.source.place(), self.target.clone());
        let copied = match (self.source.link(), &self.target) {
            (Err(error), _) => Err(error),
            (Ok(Some(link)), target) => make_link(&fs, &link, target, options.overwrite).await,
            (Ok(None), Place::Local(path)) => self.to_local(&fs, path, &options, &cancel).await,
            (Ok(None), Place::Tree(path)) => self.to_tree(&fs, path, &options, &cancel).await,
        };
        copied.with_context(|| format!("copying {from} to {to}"))?;
        Ok(format!("Copied {from} to {to}"))
    }

    async fn to_tree(
        &self,
        fs: &FileSystem,
        path: &FsPath,
        options: &Options,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if !options.overwrite {
            return self.copy_into_tree_at(fs, path, options, cancel).await.map_err(overwritable);
        }
        match fs.status(path).await {
            Ok(old) if old.folder => Err(Error::new(ErrorKind::IsDirectory, "it is a directory")),
            // The tree never replaces on rename: the old file goes when the new one is whole.
            Ok(_) => {
                let parent = path.parent().unwrap_or_else(FsPath::root);
                let hidden = parent.join(&format!(".goosefs-{}", uuid::Uuid::new_v4()))?;
                self.copy_into_tree_at(fs, &hidden, options, cancel).await?;
                fs.delete(path, &Default::default()).await?;
                fs.rename(&hidden, path).await
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.copy_into_tree_at(fs, path, options, cancel).await
            }
            Err(error) => Err(error),
        }
    }

    async fn copy_into_tree_at(
        &self,
        fs: &FileSystem,
        path: &FsPath,
        options: &Options,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let create =
            CreateOptions { recursive: true, mode: Some(self.source.mode()), ..Default::default() };
        let mut pieces = self.pieces(fs)?;
        let mut writer = fs.create(path, &create).await?;
        let written: Result<()> = async {
            while let Some(piece) = next(&mut pieces, cancel).await? {
                writer.write(piece).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = written {
            // The first error says why; one of cleaning up would only hide it.
            writer.cancel().await;
            return Err(error);
        }
        writer.close().await?;
        if !options.preserve {
            return Ok(());
        }
        let (owner, group) = self.source.owner().unzip();
        let modified_ms = Some(self.source.modified_ms());
        let kept = SetAttributes { owner, group, modified_ms, ..Default::default() };
        fs.set_attributes(path, &kept).await
    }

    async fn to_local(
        &self,
        fs: &FileSystem,
        path: &Path,
        options: &Options,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if !options.overwrite && tokio::fs::symlink_metadata(path).await.is_ok() {
            return Err(overwritable(Error::new(ErrorKind::AlreadyExists, "it exists already")));
        }
        let target = LocalTarget {
            path: path.to_path_buf(),
            mode: self.source.mode(),
            modified_ms: options.preserve.then(|| self.source.modified_ms()),
            overwrite: options.overwrite,
        };
        let mut pieces = self.pieces(fs)?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let file = spawn_blocking(move || target.write(receiver));
        let sent: Result<()> = async {
            while let Some(piece) = next(&mut pieces, cancel).await? {
                if sender.send(Piece::Data(piece)).await.is_err() {
                    // The writer has failed and knows why.
                    return Ok(());
                }
            }
            let _ = sender.send(Piece::End).await;
            Ok(())
        }
        .await;
        // Without the end the writer drops what it has.
        drop(sender);
        let written = file.await.map_err(|e| internal("the writer ended early").with_source(e))?;
        sent.and(written)
    }

    /// The contents of the source, piece by piece.
    fn pieces(&self, fs: &FileSystem) -> Result<BoxStream<'static, Result<Bytes>>> {
        match &self.source {
            Source::Local(path, _) => {
                let (sender, receiver) = mpsc::channel(PIECES);
                let path = path.clone();
                spawn_blocking(move || read_local(&path, &sender));
                Ok(ReceiverStream::new(receiver).boxed())
            }
            Source::Tree(status) => {
                let reader = fs.open_status((**status).clone(), &OpenOptions::default())?;
                Ok(reader.stream_all().into_stream().boxed())
            }
        }
    }
}

/// The next piece; an error when there is one or the copy was interrupted.
async fn next(
    pieces: &mut BoxStream<'static, Result<Bytes>>,
    cancel: &CancellationToken,
) -> Result<Option<Bytes>> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(ErrorKind::Cancelled, "interrupted")),
        piece = pieces.try_next() => piece,
    }
}

/// Reads the file at `path` until its end or until nobody takes more.
fn read_local(path: &Path, pieces: &mpsc::Sender<Result<Bytes>>) {
    let read = || -> Result<()> {
        let mut file = std::fs::File::open(path)?;
        loop {
            let mut piece = Vec::new();
            let length = file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if length == 0 || pieces.blocking_send(Ok(piece.into())).is_err() {
                return Ok(());
            }
        }
    };
    if let Err(error) = read() {
        // Nobody takes it: the copy has ended otherwise.
        let _ = pieces.blocking_send(Err(error));
    }
}

/// What the writer of a local file is given.
enum Piece {
    Data(Bytes),
    End,
}

/// A file of this machine to be written.
struct LocalTarget {
    path: PathBuf,
    mode: u32,
    modified_ms: Option<i64>,
    overwrite: bool,
}

impl LocalTarget {
    /// Writes all pieces beside the path and moves the file there once the end has come; removes
    /// it when the end does not come.
    fn write(self, mut pieces: mpsc::Receiver<Piece>) -> Result<()> {
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".goosefs-")
            .permissions(std::fs::Permissions::from_mode(self.mode | 0o200))
            .tempfile_in(directory)
            .with_context(|| format!("writing in {}", directory.display()))?;
        loop {
            match pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => std::io::Write::write_all(&mut file, &bytes)?,
                Some(Piece::End) => break,
                None => return Ok(()),
            }
        }
        if let Some(modified_ms) = self.modified_ms.and_then(|ms| u64::try_from(ms).ok()) {
            let modified = UNIX_EPOCH + Duration::from_millis(modified_ms);
            file.as_file().set_times(FileTimes::new().set_modified(modified))?;
        }
        let kept = if self.overwrite {
            file.persist(&self.path)
        } else {
            file.persist_noclobber(&self.path)
        };
        kept.map(drop).map_err(|e| Error::from(e.error))
    }
}

async fn make_link(fs: &FileSystem, link: &str, target: &Place, overwrite: bool) -> Result<()> {
    match target {
        Place::Tree(path) => {
            if overwrite && fs.status(path).await.is_ok_and(|old| !old.folder) {
                fs.delete(path, &Default::default()).await?;
            }
            fs.symlink(path, link).await.map_err(overwritable)
        }
        Place::Local(path) => {
            if overwrite && tokio::fs::symlink_metadata(path).await.is_ok_and(|old| !old.is_dir()) {
                tokio::fs::remove_file(path).await?;
            }
            tokio::fs::symlink(link, path).await.map_err(|e| overwritable(e.into()))
        }
    }
}

/// The error with the way out, where something is there already.
fn overwritable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => Error::new(
            ErrorKind::AlreadyExists,
            "something is there already: remove it first, or replace it with --overwrite",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: PathBuf, overwrite: bool) -> LocalTarget {
        LocalTarget { path, mode: 0o640, modified_ms: Some(5_000), overwrite }
    }

    fn pieces(given: impl IntoIterator<Item = Piece>) -> mpsc::Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(8);
        for piece in given {
            assert!(sender.try_send(piece).is_ok());
        }
        receiver
    }

    #[test]
    fn a_local_file_appears_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let data = || Piece::Data(Bytes::from_static(b"hello"));
        target(path.clone(), false).write(pieces([data(), data(), Piece::End])).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hellohello");
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.mtime()), (0o640, 5));
    }

    #[test]
    fn a_local_file_whose_end_never_comes_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        target(path, false).write(pieces([Piece::Data(Bytes::from_static(b"half"))])).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_local_file_is_replaced_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let error = target(path.clone(), false).write(pieces([Piece::End])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        target(path.clone(), true).write(pieces([Piece::End])).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
