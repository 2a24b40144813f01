//! What an object store's refusals mean, and what to do about them.

use super::About;
use crate::core::error::{Error, ErrorKind};
use crate::ufs::http::{CERTIFICATES, is_distrust};
use ::opendal::ErrorKind as Kind;
use std::error::Error as _;

/// The store that is spoken of.
pub struct Store(pub About);

/// Words of a store that it does not know us, whatever the status they come with.
const UNKNOWN: [&str; 6] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
    "AccessDenied",
    "ExpiredToken",
    "InvalidToken",
];

impl Store {
    /// An operator's error, with the thing and the cure named.
    pub fn error(&self, error: ::opendal::Error) -> Error {
        let text = one_line(&error);
        let About { address, bucket, endpoint, setting, keys } = &self.0;
        let (kind, message) = match error.kind() {
            _ if text.contains("NoSuchBucket") => {
                (ErrorKind::NotFound, format!("no bucket {bucket} at {endpoint}"))
            }
            _ if UNKNOWN.iter().any(|word| text.contains(word)) => {
                let cure = format!("{address} refuses the credentials: set {keys} of the mount");
                (ErrorKind::PermissionDenied, cure)
            }
            Kind::PermissionDenied => {
                let cure = format!("{address} refuses: set {keys} of the mount, and its rights");
                (ErrorKind::PermissionDenied, cure)
            }
            Kind::Unexpected if text.contains("signing http request") => {
                (ErrorKind::PermissionDenied, format!("no credentials for {address}: set {keys}"))
            }
            Kind::NotFound => (ErrorKind::NotFound, format!("not in {address}")),
            Kind::ConfigInvalid => (ErrorKind::InvalidArgument, format!("mounting {address}")),
            Kind::RateLimited => (ErrorKind::Unavailable, format!("{endpoint} says: slow down")),
            Kind::ConditionNotMatch => {
                (ErrorKind::Changed, format!("an object of {address} was changed in the store"))
            }
            Kind::RangeNotSatisfied => (ErrorKind::OutOfRange, "behind the end".into()),
            Kind::Conflict => (ErrorKind::Aborted, format!("a conflict in {address}")),
            Kind::Unsupported => (ErrorKind::Unsupported, format!("{address} cannot do that")),
            Kind::AlreadyExists => (ErrorKind::AlreadyExists, format!("exists in {address}")),
            _ if is_distrust(&error) => {
                (ErrorKind::Unavailable, format!("{endpoint} is not trusted ({CERTIFICATES})"))
            }
            _ if error.is_temporary() || error.is_persistent() => {
                let cure = format!("is it up, and is {setting} of the mount right?");
                let message = format!("no good answer from {endpoint} ({address}): {cure}");
                (ErrorKind::Unavailable, message)
            }
            _ => (ErrorKind::Internal, address.clone()),
        };
        Error::new(kind, format!("{message}: {text}"))
    }
}

/// Message and causes in one line; the operator's own text has many.
fn one_line(error: &::opendal::Error) -> String {
    let mut text = error.message().to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
