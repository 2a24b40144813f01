//! Attributes: owner, mode, times, policies, TTL, pins, and being persisted.

use super::{Caller, FileSystem, Walk, missing};
use crate::core::error::{Error, ErrorKind, Result, failed_precondition};
use crate::core::model::{FileId, FsPath, PersistenceState, Status};
use crate::master::journal::entry::{Attributes, Change, SetAttributes, Target};
use crate::master::stores::CALL_DEADLINE;
use crate::master::sync::Freshness;
use crate::ufs;

/// Inodes changed by one entry of a recursive change.
const BATCH: usize = 1_000;

/// A change of attributes.
#[derive(Clone, Debug, Default)]
pub struct AttributeChange {
    /// What they become.
    pub attributes: Attributes,
    /// Whether all below changes too.
    pub recursive: bool,
}

impl FileSystem {
    /// Sets attributes, in the under store too where it keeps them.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied` for who is not the owner.
    pub async fn set_attributes(
        &self,
        caller: &Caller,
        path: &FsPath,
        change: AttributeChange,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let set = self.set_now(caller, path, change).await;
        self.unless_repeated(caller, set)
    }

    async fn set_now(&self, caller: &Caller, path: &FsPath, change: AttributeChange) -> Result<()> {
        let status = self.find(path, Freshness::Known).await?.ok_or_else(|| missing(path))?;
        if change.attributes.owner.is_some() {
            self.permit_superuser(caller, "give files away")?;
        }
        self.permit_owner(caller, path)?;
        if change.recursive && status.folder {
            self.set_below(caller, path, &change.attributes).await?;
        }
        self.set_underneath(&status, &change.attributes).await?;
        let target = Target::Path(path.clone());
        let set = SetAttributes { target, attributes: change.attributes };
        self.commit_for(caller, Change::SetAttributes(set)).await.map(drop)
    }

    /// Gives a path to somebody, here and in its store, as this process itself.
    pub(in crate::master) async fn give_to(
        &self,
        path: &FsPath,
        owner: &str,
        group: &str,
    ) -> Result<()> {
        let some = |name: &str| Some(name.to_string()).filter(|name| !name.is_empty());
        let attributes =
            Attributes { owner: some(owner), group: some(group), ..Default::default() };
        let change = AttributeChange { attributes, recursive: false };
        self.set_attributes(&Caller::master(), path, change).await
    }

    /// Sets attributes of everything below `path`.
    async fn set_below(
        &self,
        caller: &Caller,
        path: &FsPath,
        attributes: &Attributes,
    ) -> Result<()> {
        let mut walk = Walk::new(self.clone(), path.clone());
        while let Some(page) = walk.next().await {
            let page = page.map_err(|(path, error)| error.context(path))?;
            for batch in page.chunks(BATCH) {
                for status in batch {
                    self.permit_owner(caller, &status.path)?;
                    self.set_underneath(status, attributes).await?;
                }
                let ids: Vec<FileId> = batch.iter().map(|status| status.id).collect();
                let target = Target::Inodes(ids);
                let set = SetAttributes { target, attributes: attributes.clone() };
                self.commit(Change::SetAttributes(set)).await?;
            }
        }
        Ok(())
    }

    /// Owner, group and mode in the under store, for what is there. The tree is what counts: a
    /// store that refuses is logged.
    async fn set_underneath(&self, status: &Status, attributes: &Attributes) -> Result<()> {
        let Attributes { owner, group, mode, .. } = attributes;
        if !status.is_persisted() || owner.is_none() && group.is_none() && mode.is_none() {
            return Ok(());
        }
        let mount = self.resolve(&status.path)?.mount;
        let ufs = self.stores.of(&mount)?;
        if mount.read_only || !ufs.capabilities().attributes {
            return Ok(());
        }
        let wanted = ufs::Attributes { owner: owner.clone(), group: group.clone(), mode: *mode };
        let relative = status.path.relative_to(&mount.path).unwrap_or_default();
        let set = ufs.set_attributes(relative, &wanted);
        if let Err(error) = self.change_store(&mount, CALL_DEADLINE, set).await {
            tracing::warn!(path = %status.path, %error, "attributes are set here only");
        }
        Ok(())
    }

    /// Has a file, or every file below a directory, persisted after `wait_ms`.
    ///
    /// # Errors
    /// `NotFound`; `Incomplete` for a file that is being written; `ReadOnly`.
    pub async fn schedule_persist(
        &self,
        caller: &Caller,
        path: &FsPath,
        wait_ms: i64,
    ) -> Result<()> {
        let status = self.here(path)?;
        super::check_writable(&self.resolve(path)?.mount, path)?;
        self.permit(caller, path, crate::core::security::Access::WRITE)?;
        if !status.folder {
            return self.schedule_one(&status, wait_ms).await;
        }
        let mut walk = Walk::new(self.clone(), path.clone());
        while let Some(page) = walk.next().await {
            for status in page.map_err(|(path, error)| error.context(path))? {
                if status.completed && !status.folder {
                    self.schedule_one(&status, wait_ms).await?;
                }
            }
        }
        Ok(())
    }

    pub(in crate::master) async fn schedule_one(
        &self,
        status: &Status,
        wait_ms: i64,
    ) -> Result<()> {
        if !status.completed {
            let text = format!("file {} is incomplete: it is being written", status.path);
            return Err(Error::new(ErrorKind::Incomplete, text));
        }
        match status.persistence {
            _ if status.is_symlink() || status.node().is_some() => return Ok(()),
            PersistenceState::Persisted | PersistenceState::ToBePersisted => return Ok(()),
            PersistenceState::Lost => {
                let text = format!("the data of {} is lost: its workers are gone", status.path);
                return Err(failed_precondition(text));
            }
            PersistenceState::NotPersisted => {}
        }
        let delay = self.config.master.persist_delay.as_millis() as i64;
        let attributes = Attributes {
            persistence: Some(PersistenceState::ToBePersisted),
            persist_at_ms: self.clock.now_ms().saturating_add(wait_ms.max(delay)),
            ..Default::default()
        };
        let set = SetAttributes { target: Target::Inodes(vec![status.id]), attributes };
        self.commit(Change::SetAttributes(set)).await.map(drop)
    }
}
