//! What the worker learns of files and mounts: which are pinned, what mounts may take here, and whose
//! blocks are that came without a name.

use super::{FILES_AT_ONCE, Heartbeat, patiently};
use crate::core::error::Result;
use crate::core::model::{BlockId, FileId, Media, MountId};
use crate::core::proto::grpc::block::{Allowances, MountAllowance, MountUsage};
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use crate::worker::fill::run_blocking;
use crate::worker::store::{Allowance, Pins};
use std::collections::HashMap;

impl Heartbeat {
    /// Asks which files are pinned. Pins that change meanwhile have another version: they are asked
    /// for with the next beat.
    pub(super) async fn learn_pins(&self, version: i64) -> Result<()> {
        let mut pins: Vec<(FileId, Media)> = Vec::new();
        loop {
            let after = pins.last().map_or(0, |(last, _)| last.0);
            let call = self.master.call(|channel| async move {
                FileSystemClient::new(channel).get_pins(v1::GetPinsRequest { after }).await
            });
            let v1::GetPinsResponse { file_ids, media } = patiently(call).await?;
            // One that does not go on would have us ask for ever.
            if file_ids.first().is_none_or(|&first| first <= after) {
                break;
            }
            // Of a page where no file has any, none are told.
            let media = media.into_iter().chain(std::iter::repeat(0));
            let media = media.map(|bits| Media::from_bits(bits as u8));
            pins.extend(file_ids.into_iter().map(FileId).zip(media));
        }
        let known = self.pins_version.lock().is_some();
        if known || !pins.is_empty() {
            tracing::info!(files = pins.len(), "learnt what is pinned");
        }
        let store = self.store.clone();
        run_blocking(move || store.set_pins(Pins::new(pins))).await?;
        *self.pins_version.lock() = Some(version);
        Ok(())
    }

    /// Takes in what mounts may take here.
    pub(super) async fn allow(&self, told: &Allowances) -> Result<()> {
        let allowance = |told: &MountAllowance| Allowance {
            mount: told.mount_id(),
            name: told.path().into(),
            quota: told.quota_bytes.and_then(|quota| u64::try_from(quota).ok()),
            priority: told.priority().parse().unwrap_or_default(),
        };
        let allowances: Vec<Allowance> = told.mounts.iter().map(allowance).collect();
        tracing::info!(mounts = allowances.len(), "learnt what mounts may take");
        let bounded = told.mounts.iter().filter_map(|told| {
            let bytes = told.ufs_bandwidth.and_then(|bytes| u64::try_from(bytes).ok())?;
            Some((told.mount_id(), bytes))
        });
        self.mounts.bound(&bounded.collect());
        let store = self.store.clone();
        run_blocking(move || store.allow(&allowances)).await?;
        *self.allowances_version.lock() = told.version;
        Ok(())
    }

    /// Asks whose blocks are of which that is not known; with the next beat again, where there are
    /// many.
    pub(super) async fn learn_mounts(&self) -> Result<()> {
        let unknown = self.store.unknown(FILES_AT_ONCE);
        if unknown.is_empty() {
            return Ok(());
        }
        let mut file_ids: Vec<i64> = unknown.iter().map(|id| id.file().0).collect();
        file_ids.sort_unstable();
        file_ids.dedup();
        let request = v1::CheckFilesRequest { file_ids: file_ids.clone() };
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move { FileSystemClient::new(channel).check_files(request).await }
        });
        let answer = match patiently(call).await {
            Ok(answer) if answer.mount_ids.len() == file_ids.len() => answer,
            // A master of an earlier version does not say.
            Ok(_) => return Ok(()),
            Err(error) => {
                self.store.still_unknown(unknown);
                return Err(error);
            }
        };
        let mounts: HashMap<i64, MountId> = file_ids.into_iter().zip(answer.mount_ids).collect();
        let store = self.store.clone();
        run_blocking(move || {
            let owned = |id: BlockId| {
                let mount = mounts.get(&id.file().0).copied().filter(|&mount| mount > 0)?;
                Some((id, mount))
            };
            store.learn_owners(unknown.into_iter().filter_map(owned));
        })
        .await
    }

    /// Bytes of each mount in the store, as far as it is known whose blocks are.
    pub(super) fn mount_usages(&self) -> Vec<MountUsage> {
        let told = |(mount, bytes): (MountId, u64)| MountUsage {
            mount_id: Some(mount),
            used_bytes: Some(bytes as i64),
        };
        let used = self.store.usage_by_mount().into_iter();
        used.filter(|(mount, _)| *mount > 0).map(told).collect()
    }
}
