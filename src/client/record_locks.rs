//! Locks on files, on behalf of one session: one function a call.

use super::FileSystem;
use crate::core::error::Result;
use crate::core::proto::v1;
use crate::core::proto::v1::record_locks_client::RecordLocksClient;
use crate::core::rpc::MAX_MESSAGE;
use std::time::Duration;

impl FileSystem {
    /// Renews the session `session`, which this begins with `begin`: how long it lasts, and whether the
    /// master is to be told its locks.
    ///
    /// # Errors
    /// `NotFound` for one that has ended.
    pub async fn renew_locks(&self, session: &[u8; 16], begin: bool) -> Result<(Duration, bool)> {
        let request = v1::RenewLocksRequest { session: session.to_vec(), begin };
        let answer = self
            .primary
            .call(|channel| {
                let request = request.clone();
                async move { RecordLocksClient::new(channel).renew(request).await }
            })
            .await?;
        Ok((Duration::from_millis(u64::from(answer.lease_ms)), answer.reassert))
    }

    /// Tells a new primary all locks of a session.
    ///
    /// # Errors
    /// `NotFound` for one that has ended.
    pub async fn reassert_locks(
        &self,
        session: &[u8; 16],
        locks: Vec<v1::RecordLock>,
    ) -> Result<()> {
        let request = v1::ReassertLocksRequest { session: session.to_vec(), locks };
        self.primary
            .call(|channel| {
                let request = request.clone();
                async move {
                    RecordLocksClient::new(channel)
                        .max_encoding_message_size(MAX_MESSAGE)
                        .reassert(request)
                        .await
                }
            })
            .await
            .map(drop)
    }

    /// Ends a session; its locks are free.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn end_locks(&self, session: &[u8; 16]) -> Result<()> {
        let request = v1::EndLocksRequest { session: session.to_vec() };
        self.primary
            .call(|channel| {
                let request = request.clone();
                async move { RecordLocksClient::new(channel).end(request).await }
            })
            .await
            .map(drop)
    }

    /// Takes a lock, or gives up its range with `unlock`: what is in its way, if anything is.
    ///
    /// # Errors
    /// `NotFound` for a session that has ended; `ResourceExhausted` for too many locks.
    pub async fn set_lock(
        &self,
        session: &[u8; 16],
        lock: v1::RecordLock,
        unlock: bool,
    ) -> Result<Option<v1::RecordLock>> {
        let request = v1::SetLockRequest { session: session.to_vec(), lock: Some(lock), unlock };
        let answer = self
            .primary
            .call(|channel| {
                let request = request.clone();
                async move { RecordLocksClient::new(channel).set(request).await }
            })
            .await?;
        Ok(answer.conflict)
    }

    /// What is in the way of a lock, once nothing is or `wait` is over.
    ///
    /// # Errors
    /// `NotFound` for a session that has ended.
    pub async fn test_lock(
        &self,
        session: &[u8; 16],
        lock: v1::RecordLock,
        wait: Duration,
    ) -> Result<Option<v1::RecordLock>> {
        let wait_ms = wait.as_millis() as u32;
        let request = v1::TestLockRequest { session: session.to_vec(), lock: Some(lock), wait_ms };
        let answer = self
            .primary
            .call(|channel| {
                let request = request.clone();
                async move { RecordLocksClient::new(channel).test(request).await }
            })
            .await?;
        Ok(answer.conflict)
    }
}
