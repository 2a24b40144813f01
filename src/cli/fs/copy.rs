//! Copying trees: one walk finds the files and makes the directories, several transfers run at a
//! time behind it.
//!
//! ```text
//! walk ──(bounded queue of files)──> transfers ──> what was copied, what failed
//! ```
//!
//! Memory does not grow with the tree: the walk waits while the queue is full, and holds only the
//! directories it still has to look into. Symbolic links below a directory are copied as links, so
//! no walk goes in circles.

use super::cp::Options;
use super::walk;
use crate::cli::session::Session;
use crate::client::FileSystem;
use crate::core::error::{
    Context, Error, ErrorKind, Result, internal, invalid_argument, not_found,
};
use crate::core::model::FsPath;
use std::fmt;
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Files that wait between the walk and the transfers.
const QUEUE: usize = 1024;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// A path of this machine.
    Local(PathBuf),
    /// A path of the tree.
    Tree(FsPath),
}

impl Place {
    /// This place with one more component.
    pub fn join(&self, name: &str) -> Result<Place> {
        Ok(match self {
            Place::Local(path) => Place::Local(path.join(name)),
            Place::Tree(path) => Place::Tree(path.join(name)?),
        })
    }

    /// The last component.
    fn name(&self) -> Result<String> {
        match self {
            Place::Tree(path) => Ok(path.name().to_string()),
            Place::Local(path) => {
                // `.` and `dir/..` have names only once they are resolved.
                let path = path.canonicalize().with_context(|| path.display().to_string())?;
                let name = path.file_name().unwrap_or_default();
                walk::name_of(name)
            }
        }
    }

    /// Whether there is a directory here.
    async fn is_directory(&self, fs: &FileSystem) -> Result<bool> {
        match self {
            Place::Local(path) => {
                Ok(tokio::fs::metadata(path).await.is_ok_and(|found| found.is_dir()))
            }
            Place::Tree(path) => match fs.status(path).await {
                Ok(status) => Ok(status.folder),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Local(path) => write!(f, "file://{}", path.display()),
            Place::Tree(path) => write!(f, "{path}"),
        }
    }
}

/// Copies `sources` to `destination`, or into it when it is a directory.
///
/// # Errors
/// What keeps all of it from being copied; single failures are reported to `session`.
pub async fn copy(
    session: &mut Session,
    sources: Vec<Place>,
    destination: Place,
    options: &Options,
) -> Result<()> {
    let into = destination.is_directory(&session.fs).await?;
    if sources.len() > 1 && !into {
        return Err(invalid_argument(format!(
            "several files to copy, and {destination} is no directory to put them in"
        )));
    }
    let cancel = CancellationToken::new();
    // Ctrl-C lets the transfers under way clean up behind themselves.
    let interrupt = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            let _ = tokio::signal::ctrl_c().await;
            cancel.cancel();
        }
    });
    let mut copied = Copied::default();
    for source in sources {
        let target = if into { destination.join(&source.name()?)? } else { destination.clone() };
        match check(session, &source, &target, options).await {
            Ok(()) => tree(session, source, target, (options, &cancel), &mut copied).await?,
            Err(error) => session.fail(&error.context(format!("copying {source}"))),
        }
    }
    interrupt.abort();
    if cancel.is_cancelled() {
        let count = copied.files;
        return Err(Error::new(
            ErrorKind::Cancelled,
            format!("interrupted; {count} files were copied, nothing half copied is left"),
        ));
    }
    copied.conclude(session)
}

/// What happened so far.
#[derive(Default)]
struct Copied {
    files: u64,
    failed: u64,
}

impl Copied {
    fn one(&mut self, session: &mut Session, said: &str) -> Result<()> {
        self.files += 1;
        session.out.note(said)
    }

    fn lost(&mut self, session: &mut Session, error: &Error) {
        self.failed += 1;
        session.fail(error);
    }

    fn conclude(self, session: &mut Session) -> Result<()> {
        let (files, failed) = (self.files, self.failed);
        if failed > 0 && files + failed > 1 {
            session.out.note(format!("{files} files copied, {failed} failed"))?;
        }
        Ok(())
    }
}

/// Whether `source` can be copied to `target` at all.
async fn check(session: &Session, source: &Place, target: &Place, options: &Options) -> Result<()> {
    if let Place::Local(path) = source {
        // The plain message would not say which of the two paths it means.
        tokio::fs::metadata(path).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => not_found("there is no such file on this machine"),
            _ => Error::from(error),
        })?;
    }
    let directory = match source {
        Place::Tree(path) => session.fs.status(path).await?.folder,
        local => local.is_directory(&session.fs).await?,
    };
    if directory && !options.recursive {
        return Err(Error::new(ErrorKind::IsDirectory, "it is a directory: use -R"));
    }
    if let (Place::Tree(source), Place::Tree(target)) = (source, target)
        && target.starts_with(source)
    {
        return Err(invalid_argument(format!("{target} is the source itself or inside it")));
    }
    Ok(())
}

/// Copies `source`, whatever it is, to `target`.
async fn tree(
    session: &mut Session,
    source: Place,
    target: Place,
    (options, cancel): (&Options, &CancellationToken),
    copied: &mut Copied,
) -> Result<()> {
    let (found, mut queue) = mpsc::channel(QUEUE);
    let mut walk = JoinSet::new();
    walk.spawn(walk::walk(session.fs.clone(), source, target, found));
    let mut transfers = JoinSet::new();
    let threads = usize::from(options.threads);
    let mut walking = true;
    while walking || !transfers.is_empty() {
        tokio::select! {
            next = queue.recv(), if walking && transfers.len() < threads => match next {
                // What is still queued is dropped, and the walk ends for want of a reader.
                _ if cancel.is_cancelled() => {
                    walking = false;
                    queue.close();
                }
                Some(Ok(transfer)) => {
                    let (fs, options) = (session.fs.clone(), options.clone());
                    transfers.spawn(transfer.run(fs, options, cancel.clone()));
                }
                Some(Err(error)) => copied.lost(session, &error),
                None => walking = false,
            },
            Some(done) = transfers.join_next() => match done {
                Ok(Ok(said)) => copied.one(session, &said)?,
                Ok(Err(error)) if error.kind() == ErrorKind::Cancelled => {}
                Ok(Err(error)) => copied.lost(session, &error),
                Err(error) => return Err(internal("a transfer ended early").with_source(error)),
            },
        }
    }
    Ok(())
}
