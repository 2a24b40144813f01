//! Pipes, sockets and devices: names in the tree, and nothing in any under store.

use super::{Caller, FileSystem, check_writable};
use crate::core::error::Result;
use crate::core::model::{FsPath, Node, node};
use crate::master::journal::entry::{Change, CreateNode};

impl FileSystem {
    /// Makes a file without bytes.
    ///
    /// # Errors
    /// As [`FileSystem::create_file`].
    pub async fn make_node(
        &self,
        caller: &Caller,
        path: &FsPath,
        node: Node,
        mode: u32,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let made = self.make_node_now(caller, path, node, mode).await;
        self.unless_repeated(caller, made)
    }

    async fn make_node_now(
        &self,
        caller: &Caller,
        path: &FsPath,
        node: Node,
        mode: u32,
    ) -> Result<()> {
        let _shared = self.locks.shared(path).await?;
        check_writable(&self.resolve(path)?.mount, path)?;
        self.permit_parent(caller, path)?;
        self.check_vacant(path, false).await?;
        let change = CreateNode {
            path: path.clone(),
            ownership: self.ownership(caller, mode),
            xattrs: [(node::ATTRIBUTE.to_string(), node.value())].into(),
        };
        self.commit_for(caller, Change::CreateNode(change)).await?;
        self.sync.appeared(path);
        Ok(())
    }
}
