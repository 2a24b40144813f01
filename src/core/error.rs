//! What can go wrong.
//!
//! One error type for the whole program: a kind that code acts on, a lowercase message that people
//! read, and what caused it. Only three places translate a kind: `core::rpc::error` (gRPC status),
//! `fuse::errno` and `proxy::error`.

use std::fmt;

/// The result of almost everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is; what a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    /// The path, block, job or mount does not exist.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// The request makes no sense, whatever the state.
    InvalidArgument,
    /// The user may not.
    PermissionDenied,
    /// The caller has not said who it is, or its session is unknown.
    Unauthenticated,
    /// A directory still has children.
    NotEmpty,
    /// The file is still being written.
    Incomplete,
    /// A file was needed, the path is a directory.
    IsDirectory,
    /// A directory was needed, the path is a file.
    NotDirectory,
    /// The mount, file system or store takes no writes.
    ReadOnly,
    /// The state does not allow it now.
    FailedPrecondition,
    /// The object in the under store is not the version that was asked for.
    Changed,
    /// No space, no quota, no slot.
    ResourceExhausted,
    /// Nobody answers; trying again may help.
    Unavailable,
    /// It took too long.
    DeadlineExceeded,
    /// Lost a race; trying again may help.
    Aborted,
    /// The caller gave up.
    Cancelled,
    /// Not something this server or store can do.
    Unsupported,
    /// An offset outside the file or block.
    OutOfRange,
    /// Bytes are lost or fail their checksum.
    DataLoss,
    /// A fault of ours, or one nobody foresaw.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order declared.
    pub const ALL: [ErrorKind; 21] = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::InvalidArgument,
        ErrorKind::PermissionDenied,
        ErrorKind::Unauthenticated,
        ErrorKind::NotEmpty,
        ErrorKind::Incomplete,
        ErrorKind::IsDirectory,
        ErrorKind::NotDirectory,
        ErrorKind::ReadOnly,
        ErrorKind::FailedPrecondition,
        ErrorKind::Changed,
        ErrorKind::ResourceExhausted,
        ErrorKind::Unavailable,
        ErrorKind::DeadlineExceeded,
        ErrorKind::Aborted,
        ErrorKind::Cancelled,
        ErrorKind::Unsupported,
        ErrorKind::OutOfRange,
        ErrorKind::DataLoss,
        ErrorKind::Internal,
    ];

    /// Whether the same call may succeed a moment later, as it stands.
    pub fn is_transient(self) -> bool {
        matches!(self, ErrorKind::Unavailable | ErrorKind::DeadlineExceeded | ErrorKind::Aborted)
    }
}

/// An error: its kind, a message in lowercase without a full stop, and its cause.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that reads `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// Adds what caused it.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, without its cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Puts `what` before the message, as in "reading /a/b: no such block".
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        let mut last = self.message.clone();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat the cause in their own text; say each thing once.
            if !last.contains(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

/// Declares a constructor for each kind that code often makes.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Error {
            Error::new(ErrorKind::$kind, message)
        })*
    };
}

constructors! {
    /// An error of kind [`ErrorKind::NotFound`].
    not_found => NotFound;
    /// An error of kind [`ErrorKind::AlreadyExists`].
    already_exists => AlreadyExists;
    /// An error of kind [`ErrorKind::InvalidArgument`].
    invalid_argument => InvalidArgument;
    /// An error of kind [`ErrorKind::PermissionDenied`].
    permission_denied => PermissionDenied;
    /// An error of kind [`ErrorKind::ReadOnly`].
    read_only => ReadOnly;
    /// An error of kind [`ErrorKind::FailedPrecondition`].
    failed_precondition => FailedPrecondition;
    /// An error of kind [`ErrorKind::ResourceExhausted`].
    resource_exhausted => ResourceExhausted;
    /// An error of kind [`ErrorKind::Unavailable`].
    unavailable => Unavailable;
    /// An error of kind [`ErrorKind::DeadlineExceeded`].
    deadline_exceeded => DeadlineExceeded;
    /// An error of kind [`ErrorKind::Unsupported`].
    unsupported => Unsupported;
    /// An error of kind [`ErrorKind::DataLoss`].
    data_loss => DataLoss;
    /// An error of kind [`ErrorKind::Internal`].
    internal => Internal;
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::InvalidInput | Io::InvalidFilename => ErrorKind::InvalidArgument,
            Io::IsADirectory => ErrorKind::IsDirectory,
            Io::NotADirectory => ErrorKind::NotDirectory,
            Io::DirectoryNotEmpty => ErrorKind::NotEmpty,
            Io::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::ResourceExhausted,
            Io::TimedOut => ErrorKind::DeadlineExceeded,
            Io::ConnectionRefused
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::NotConnected
            | Io::BrokenPipe
            | Io::HostUnreachable
            | Io::NetworkUnreachable => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}

/// Adds what one was doing to an error that passes by.
pub trait Context<T> {
    /// Puts `what` before the message.
    fn context(self, what: impl fmt::Display) -> Result<T>;
    /// The same, for a text that costs something to make.
    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(what))
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().context(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_comes_before_the_message_and_the_cause_after_it() {
        let io = std::io::Error::other("disk on fire");
        let error = internal("no such luck").with_source(io).context("reading /a");
        assert_eq!(error.to_string(), "reading /a: no such luck: disk on fire");
    }

    #[test]
    fn a_cause_that_the_message_repeats_is_said_once() {
        let error: Error = std::io::Error::from(std::io::ErrorKind::NotFound).into();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "entity not found");
    }
}
