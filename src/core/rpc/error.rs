//! Errors on the wire: one kind, one gRPC status.
//!
//! Official clients look at the code and three substrings of the message only (protocol, section
//! 4). Between our own processes the kind itself travels in a metadata entry, since several kinds
//! share a code.

use crate::core::error::{Error, ErrorKind};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata entry that carries the kind.
const KIND: &str = "goosefs-error-kind";

/// The status for an error.
pub fn to_status(error: &Error) -> Status {
    let text = error.to_string();
    let (code, text) = match error.kind() {
        ErrorKind::NotFound => (Code::NotFound, text),
        ErrorKind::AlreadyExists => (Code::AlreadyExists, text),
        ErrorKind::InvalidArgument | ErrorKind::NotDirectory => (Code::InvalidArgument, text),
        ErrorKind::PermissionDenied => (Code::PermissionDenied, text),
        ErrorKind::Unauthenticated => (Code::Unauthenticated, text),
        ErrorKind::NotEmpty => (Code::FailedPrecondition, containing(text, "is not empty")),
        ErrorKind::Incomplete => (Code::FailedPrecondition, containing(text, "is incomplete")),
        ErrorKind::IsDirectory => (Code::FailedPrecondition, containing(text, "Is a directory")),
        ErrorKind::ReadOnly | ErrorKind::FailedPrecondition | ErrorKind::Changed => {
            (Code::FailedPrecondition, text)
        }
        ErrorKind::ResourceExhausted => (Code::ResourceExhausted, text),
        ErrorKind::Unavailable => (Code::Unavailable, text),
        ErrorKind::DeadlineExceeded => (Code::DeadlineExceeded, text),
        ErrorKind::Aborted => (Code::Aborted, text),
        ErrorKind::Cancelled => (Code::Cancelled, text),
        ErrorKind::Unsupported => (Code::Unimplemented, text),
        ErrorKind::OutOfRange => (Code::OutOfRange, text),
        ErrorKind::DataLoss => (Code::DataLoss, text),
        ErrorKind::Internal => (Code::Internal, text),
    };
    let mut status = Status::new(code, text);
    if let Ok(kind) = MetadataValue::try_from(format!("{:?}", error.kind())) {
        status.metadata_mut().insert(KIND, kind);
    }
    status
}

/// `text` with `phrase` in it, as official clients look for it.
fn containing(text: String, phrase: &str) -> String {
    if text.contains(phrase) { text } else { format!("{text} ({phrase})") }
}

/// The error a status stands for.
pub fn from_status(status: &Status) -> Error {
    let sent = status.metadata().get(KIND).and_then(|kind| kind.to_str().ok());
    let kind = sent
        .and_then(|sent| ErrorKind::ALL.into_iter().find(|kind| format!("{kind:?}") == sent))
        .unwrap_or_else(|| kind_of(status));
    let text = status.message();
    Error::new(kind, if text.is_empty() { format!("{:?}", status.code()) } else { text.into() })
}

/// Whether one of our servers said this, not the transport on the way to it.
pub(super) fn is_answer(status: &Status) -> bool {
    status.metadata().contains_key(KIND)
}

/// The kind a bare code stands for, from a server that sends no kind or from the transport.
fn kind_of(status: &Status) -> ErrorKind {
    match status.code() {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::InvalidArgument => ErrorKind::InvalidArgument,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::ResourceExhausted => ErrorKind::ResourceExhausted,
        Code::Unavailable => ErrorKind::Unavailable,
        // A connection that breaks mid-call surfaces as UNKNOWN, or as INTERNAL where HTTP/2 sees
        // it first, with a transport source. What a server said has no source.
        Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => {
            ErrorKind::Unavailable
        }
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        Code::Aborted => ErrorKind::Aborted,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::DataLoss => ErrorKind::DataLoss,
        _ => ErrorKind::Internal,
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        to_status(&error)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        from_status(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            let back = from_status(&to_status(&Error::new(kind, "x")));
            assert_eq!(back.kind(), kind);
        }
    }

    #[test]
    fn official_clients_find_the_phrases_they_look_for() {
        let phrases = [
            (ErrorKind::NotEmpty, "is not empty"),
            (ErrorKind::Incomplete, "is incomplete"),
            (ErrorKind::IsDirectory, "Is a directory"),
        ];
        for (kind, phrase) in phrases {
            let status = to_status(&Error::new(kind, "/a"));
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert!(status.message().contains(phrase), "{}", status.message());
        }
    }
}
