//! The file system as clients call it: the official service, and ours beside it.

mod convert;
mod official;
mod ours;

use super::admission;
use crate::core::model::FsPath;
use crate::core::proto::grpc::file::FileSystemMasterCommonPOptions;
use crate::core::rpc::user_of;
use crate::master::Master;
use crate::master::file_system::{Behalf, Caller, FileSystem};
use std::sync::Arc;
use tonic::{Request, Status};

/// Both file system services.
#[derive(Clone)]
pub struct Files(pub Arc<Master>);

/// Options that every call has.
type Common = Option<FileSystemMasterCommonPOptions>;

impl Files {
    /// The file system, if this master may answer for it.
    fn files(&self) -> Result<&FileSystem, Status> {
        self.0.check_primary()?;
        Ok(&self.0.files)
    }

    /// The path that a request is about, when it is the turn of its namespace.
    async fn admit(&self, text: &str) -> Result<FsPath, Status> {
        let path = path(text)?;
        self.admit_to(&path).await?;
        Ok(path)
    }

    async fn admit_to(&self, path: &FsPath) -> Result<(), crate::core::error::Error> {
        admission::aside(self.0.throttle.admit(&self.0.files.mounts(), path)).await?
    }
}

/// Who calls, as which operation.
fn caller<T>(request: &Request<T>, common: &Common) -> Caller {
    let id = common.as_ref().and_then(|common| common.operation_id.as_ref());
    let operation = id.map(|id| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&id.most_significant_bits().to_be_bytes());
        bytes[8..].copy_from_slice(&id.least_significant_bits().to_be_bytes());
        bytes
    });
    let behalf = common.as_ref().and_then(|common| {
        let (owner, group) = (common.owner.clone()?, common.group.clone()?);
        Some(Behalf { owner, group })
    });
    Caller { user: user_of(request), operation, behalf }
}

fn path(text: &str) -> Result<FsPath, Status> {
    FsPath::parse(text).map_err(Status::from)
}
