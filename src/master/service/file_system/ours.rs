//! What the official service lacks.

use super::super::admission::aside;
use super::convert::replaced;
use super::{Files, path};
use crate::core::error::{ErrorKind, Result, invalid_argument};
use crate::core::model::{BlockId, FileId, Node, NodeKind};
use crate::core::proto::v1;
use crate::core::rpc::user_of;
use crate::master::file_system::{AttributeChange, Behalf, Caller};
use crate::master::journal::entry::Attributes;
use crate::master::service::Answered;
use crate::master::watches::Watcher;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

/// Files in one question of a worker.
const MOST_FILES: usize = 100_000;
/// Pins in one answer.
const PINS_AT_ONCE: usize = 10_000;
/// The largest extended attribute, in bytes; what Linux takes.
const MAX_XATTR: usize = 64 << 10;

#[tonic::async_trait]
impl v1::file_system_server::FileSystem for Files {
    async fn set_attributes(
        &self,
        request: Request<v1::SetAttributesRequest>,
    ) -> Answered<v1::SetAttributesResponse> {
        let user = user_of(&request);
        let sent = request.into_inner();
        let operation = <[u8; 16]>::try_from(sent.operation_id.as_slice()).ok();
        if sent.set_xattrs.values().any(|value| value.len() > MAX_XATTR) {
            let text = format!("an extended attribute is at most {MAX_XATTR} bytes");
            return Err(invalid_argument(text).into());
        }
        let path = self.admit(&sent.path).await?;
        let attributes = Attributes {
            mode: sent.mode.map(|mode| mode & 0o7777),
            modified_ms: sent.modified_ms,
            accessed_ms: sent.accessed_ms,
            pinned: sent.pinned,
            ttl_ms: sent.ttl_ms.map(|ttl| (ttl >= 0).then_some(ttl)),
            ttl_action: sent.ttl_action().chosen(),
            set_xattrs: sent.set_xattrs.into_iter().collect(),
            remove_xattrs: sent.remove_xattrs,
            ..Default::default()
        };
        let change = AttributeChange { attributes, recursive: sent.recursive };
        self.files()?
            .set_attributes(&Caller { operation, ..Caller::of(user) }, &path, change)
            .await?;
        Ok(Response::new(v1::SetAttributesResponse {}))
    }

    type WatchStream = BoxStream<'static, Result<v1::WatchResponse, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answered<Self::WatchStream> {
        let path = path(&request.get_ref().path)?;
        let watcher = Watcher::new(path, self.files()?.state().watch());
        let stopping = self.0.stopping();
        let changes = futures::stream::try_unfold(watcher, |mut watcher| async move {
            let changes = watcher.next().await.map_err(Status::from)?;
            Ok(changes.map(|changes| (v1::WatchResponse { changes }, watcher)))
        });
        Ok(Response::new(Box::pin(futures::StreamExt::take_until(changes, Box::pin(stopping)))))
    }

    async fn check_files(
        &self,
        request: Request<v1::CheckFilesRequest>,
    ) -> Answered<v1::CheckFilesResponse> {
        let files = self.files()?;
        let ids = request.into_inner().file_ids;
        if ids.len() > MOST_FILES {
            return Err(invalid_argument(format!("ask for at most {MOST_FILES} files")).into());
        }
        let mut answer =
            v1::CheckFilesResponse { cluster_id: self.0.cluster_id()?, ..Default::default() };
        for id in ids {
            let found = match files.by_id(FileId(id)) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                found => Some(found?),
            };
            answer.mount_ids.push(found.as_ref().map_or(0, |status| status.mount_id));
            match found {
                None => answer.missing.push(id),
                Some(status) if status.is_persisted() => answer.persisted.push(id),
                Some(_) => {}
            }
        }
        Ok(Response::new(answer))
    }

    async fn get_pins(
        &self,
        request: Request<v1::GetPinsRequest>,
    ) -> Answered<v1::GetPinsResponse> {
        let after = FileId(request.into_inner().after);
        let found = self.files()?.state().pinned(Some(after), PINS_AT_ONCE)?;
        let named = found.iter().any(|(_, media)| !media.is_any());
        let media = found.iter().filter(|_| named).map(|(_, media)| u32::from(media.bits()));
        let (media, file_ids) = (media.collect(), found.iter().map(|(id, _)| id.0).collect());
        Ok(Response::new(v1::GetPinsResponse { file_ids, media }))
    }

    async fn moved_blocks(
        &self,
        request: Request<v1::MovedBlocksRequest>,
    ) -> Answered<v1::MovedBlocksResponse> {
        let files = self.files()?;
        let moved = request.into_inner();
        if moved.block_ids.len() > MOST_FILES {
            return Err(invalid_argument(format!("tell of at most {MOST_FILES} blocks")).into());
        }
        let ids = moved.block_ids.into_iter().map(BlockId);
        let block_ids = files.moved_blocks(ids, moved.to, moved.from).await?;
        let block_ids = block_ids.into_iter().map(|id| id.0).collect();
        Ok(Response::new(v1::MovedBlocksResponse { block_ids }))
    }

    async fn measure(&self, request: Request<v1::MeasureRequest>) -> Answered<v1::MeasureResponse> {
        let caller = Caller::of(user_of(&request));
        let v1::MeasureRequest { path, depth } = request.into_inner();
        self.files()?;
        let path = self.admit(&path).await?;
        Ok(Response::new(self.0.measures.measure(&caller, &path, depth).await?.into()))
    }

    async fn measure_mounts(
        &self,
        _: Request<v1::MeasureMountsRequest>,
    ) -> Answered<v1::MeasureMountsResponse> {
        self.files()?;
        let found = self.0.measures.mounts().await;
        let measured_ms = found.as_ref().map_or(0, |(_, at_ms)| *at_ms);
        let found = found.map(|(found, _)| found.into());
        Ok(Response::new(v1::MeasureMountsResponse { found, measured_ms }))
    }

    async fn make_node(
        &self,
        request: Request<v1::MakeNodeRequest>,
    ) -> Answered<v1::MakeNodeResponse> {
        let user = user_of(&request);
        let v1::MakeNodeRequest { path, kind, device, mode, owner, group, operation_id } =
            request.into_inner();
        let kind = NodeKind::named(&kind)
            .ok_or_else(|| invalid_argument(format!("{kind:?} is no kind of node")))?;
        let behalf = (!owner.is_empty()).then_some(Behalf { owner, group });
        let operation = <[u8; 16]>::try_from(operation_id.as_slice()).ok();
        let caller = Caller { user, operation, behalf };
        let path = self.admit(&path).await?;
        self.files()?.make_node(&caller, &path, Node { kind, device }, mode).await?;
        Ok(Response::new(v1::MakeNodeResponse {}))
    }

    async fn close_object(
        &self,
        request: Request<v1::CloseObjectRequest>,
    ) -> Answered<v1::CloseObjectResponse> {
        let caller = Caller::of(user_of(&request));
        let v1::CloseObjectRequest { path: at, file_id, replaces_id, give_up } =
            request.into_inner();
        let (files, path, id) = (self.files()?, path(&at)?, FileId(file_id));
        if give_up {
            files.give_up_object(&path, id)?;
        } else {
            let closed = files.close_object(&caller, &path, id, replaced(replaces_id));
            aside(closed).await??;
        }
        Ok(Response::new(v1::CloseObjectResponse {}))
    }

    async fn get_rights(
        &self,
        request: Request<v1::GetRightsRequest>,
    ) -> Answered<v1::GetRightsResponse> {
        let superuser = self.files()?.is_superuser(&Caller::of(user_of(&request)));
        Ok(Response::new(v1::GetRightsResponse { superuser }))
    }
}
