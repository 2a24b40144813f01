//! The journal: the one way by which the master's state changes.
//!
//! [`Journal::commit`] answers when the entry is safe and applied, never before.

pub mod entry;

pub use entry::{Change, Entry, Outcome, Refusal};

use crate::core::config::Master;
use crate::core::error::{Error, Result, internal};
use crate::master::state::State;

/// The open journal and the state it feeds. Clones share it.
#[derive(Clone)]
pub struct Journal {
    state: State,
    address: String,
}

/// Where the journal stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether this master is the primary.
    pub primary: bool,
    /// `host:port` of the primary's RPC service, while there is one.
    pub leader: Option<String>,
    /// The election it is of.
    pub term: u64,
    /// The last entry applied.
    pub applied: u64,
}

impl Journal {
    /// Opens the journal in `config.journal_dir`, makes it a cluster of one if it is new, and
    /// brings the state up to its end.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds is damaged.
    pub async fn open(config: &Master) -> Result<Journal> {
        let (dir, memory) = (config.journal_dir.join("state"), config.metastore_cache);
        let address = format!("{}:{}", config.hostname, config.rpc_port);
        let open = move || {
            std::fs::create_dir_all(&dir)?;
            State::open(&dir, memory)
        };
        let state =
            tokio::task::spawn_blocking(open).await.map_err(|e| internal(e.to_string()))??;
        Ok(Journal { state, address })
    }

    /// The state, to be read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes `entry` safe, applies it and gives its outcome.
    ///
    /// # Errors
    /// The refusal, if the state does not allow it; `Unavailable` when this master is not the
    /// primary or cannot say in time whether the entry is safe: the same operation id may then be
    /// sent again; `ResourceExhausted` when the disk is full.
    pub async fn commit(&self, entry: Entry) -> Result<Outcome> {
        let mut outcomes = self.commit_many(vec![entry]).await?;
        outcomes.pop().ok_or_else(|| internal("the journal gave no outcome"))?
    }

    /// The same for several entries at once, each with its own outcome. They are applied in order;
    /// others may come between them.
    ///
    /// # Errors
    /// As [`Journal::commit`], for all of them.
    pub async fn commit_many(&self, entries: Vec<Entry>) -> Result<Vec<Result<Outcome>>> {
        let state = self.state.clone();
        let apply = move || {
            let outcomes = state.apply(&entries.iter().collect::<Vec<_>>(), None)?;
            state.checkpoint()?;
            Ok::<_, Error>(outcomes)
        };
        let outcomes = tokio::task::spawn_blocking(apply).await;
        let outcomes = outcomes.map_err(|e| internal(e.to_string()))??;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(Error::from)).collect())
    }

    /// Whether this master is the primary: only then it answers clients.
    pub fn is_primary(&self) -> bool {
        self.standing().primary
    }

    /// Where the journal stands.
    pub fn standing(&self) -> Standing {
        Standing { primary: true, leader: Some(self.address.clone()), term: 1, applied: 0 }
    }

    /// Stops, with everything applied safely on disk.
    ///
    /// # Errors
    /// When the disk fails. Nothing acknowledged is lost even then.
    pub async fn close(&self) -> Result<()> {
        let state = self.state.clone();
        let sync = move || state.checkpoint();
        tokio::task::spawn_blocking(sync).await.map_err(|e| internal(e.to_string()))?
    }
}
