//! Locks on files.

use super::Answered;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::RecordLock;
use crate::core::proto::v1;
use crate::master::Master;
use crate::master::record_locks::{Owner, Session};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response};

/// The longest name of what is locked, in bytes.
const MAX_NAME: usize = 8 << 10;

/// The service of locks.
pub struct Locks(pub Arc<Master>);

fn session(sent: &[u8]) -> Result<Session> {
    sent.try_into().map_err(|_| invalid_argument("the id of a session has 16 bytes"))
}

/// A lock as it was sent, and what it is on.
fn taken(session: Session, sent: Option<v1::RecordLock>) -> Result<(String, RecordLock<Owner>)> {
    let sent = sent.ok_or_else(|| invalid_argument("there is no lock in the request"))?;
    let v1::RecordLock { file, owner, pid, exclusive, start, end } = sent;
    if file.is_empty() || file.len() > MAX_NAME || start > end {
        return Err(invalid_argument("a lock is on something named, from a byte to a later one"));
    }
    Ok((file, RecordLock { owner: (session, owner), pid, exclusive, start, end }))
}

fn told(lock: RecordLock<Owner>) -> v1::RecordLock {
    let RecordLock { owner: (_, owner), pid, exclusive, start, end } = lock;
    v1::RecordLock { file: String::new(), owner, pid, exclusive, start, end }
}

#[tonic::async_trait]
impl v1::record_locks_server::RecordLocks for Locks {
    async fn renew(
        &self,
        request: Request<v1::RenewLocksRequest>,
    ) -> Answered<v1::RenewLocksResponse> {
        self.0.check_primary()?;
        let v1::RenewLocksRequest { session: id, begin } = request.into_inner();
        let reassert = self.0.locks.renew(session(&id)?, begin).await?;
        let lease_ms = self.0.locks.lease().as_millis() as u32;
        Ok(Response::new(v1::RenewLocksResponse { lease_ms, reassert }))
    }

    async fn reassert(
        &self,
        request: Request<v1::ReassertLocksRequest>,
    ) -> Answered<v1::ReassertLocksResponse> {
        self.0.check_primary()?;
        let v1::ReassertLocksRequest { session: id, locks } = request.into_inner();
        let id = session(&id)?;
        let locks = locks.into_iter().map(|lock| taken(id, Some(lock))).collect::<Result<_>>()?;
        self.0.locks.reassert(id, locks)?;
        Ok(Response::new(v1::ReassertLocksResponse {}))
    }

    async fn end(&self, request: Request<v1::EndLocksRequest>) -> Answered<v1::EndLocksResponse> {
        self.0.check_primary()?;
        self.0.locks.end(session(&request.into_inner().session)?).await?;
        Ok(Response::new(v1::EndLocksResponse {}))
    }

    async fn set(&self, request: Request<v1::SetLockRequest>) -> Answered<v1::SetLockResponse> {
        self.0.check_primary()?;
        let v1::SetLockRequest { session: id, lock, unlock } = request.into_inner();
        let (file, lock) = taken(session(&id)?, lock)?;
        let conflict = self.0.locks.set(&file, lock, unlock)?.map(told);
        Ok(Response::new(v1::SetLockResponse { conflict }))
    }

    async fn test(&self, request: Request<v1::TestLockRequest>) -> Answered<v1::TestLockResponse> {
        self.0.check_primary()?;
        let v1::TestLockRequest { session: id, lock, wait_ms } = request.into_inner();
        let (file, lock) = taken(session(&id)?, lock)?;
        let wait = Duration::from_millis(u64::from(wait_ms));
        let conflict = self.0.locks.test(&file, &lock, wait).await?.map(told);
        Ok(Response::new(v1::TestLockResponse { conflict }))
    }
}
