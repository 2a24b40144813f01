//! The masters that keep the journal: seen, added, removed, elected, backed up.

use super::Answered;
use crate::core::error::Result;
use crate::core::proto::v1;
use crate::core::rpc::user_of;
use crate::master::Master;
use crate::master::backup::Target;
use crate::master::file_system::Caller;
use crate::master::journal::Member;
use std::sync::Arc;
use tonic::{Request, Response};

/// What only some may do.
const CHANGE: &str = "change the masters";

/// The journal's administration.
pub struct JournalAdmin(pub Arc<Master>);

impl JournalAdmin {
    /// Only the primary looks after the journal, and only for those who may.
    fn permit<T>(&self, request: &Request<T>, what: &str) -> Result<()> {
        self.0.check_primary()?;
        let caller = Caller::of(user_of(request));
        self.0.files.permit_superuser(&caller, what)
    }
}

#[tonic::async_trait]
impl v1::journal_admin_server::JournalAdmin for JournalAdmin {
    async fn get_quorum(
        &self,
        _: Request<v1::GetQuorumRequest>,
    ) -> Answered<v1::GetQuorumResponse> {
        self.0.check_primary()?;
        let members = self.0.journal.members().await;
        let newest = members.iter().filter_map(last_log).max().unwrap_or_default();
        let own = self.0.address();
        let told = |member: Member| {
            let last_log = last_log(&member);
            v1::QuorumMember {
                id: member.id,
                role: if member.voter { "VOTER" } else { "LEARNER" }.into(),
                leader: member.node.rpc == own,
                reachable: member.standing.is_some(),
                last_log: last_log.unwrap_or_default(),
                lag: last_log.map_or(0, |last| newest - last),
                name: member.node.name,
                rpc: member.node.rpc,
                journal: member.node.journal,
            }
        };
        let members = members.into_iter().map(told).collect();
        Ok(Response::new(v1::GetQuorumResponse { members }))
    }

    async fn add_member(
        &self,
        request: Request<v1::AddMemberRequest>,
    ) -> Answered<v1::AddMemberResponse> {
        self.permit(&request, CHANGE)?;
        self.0.journal.add_member(&request.into_inner().journal).await?;
        Ok(Response::new(v1::AddMemberResponse {}))
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Answered<v1::RemoveMemberResponse> {
        self.permit(&request, CHANGE)?;
        self.0.journal.remove_member(&request.into_inner().name).await?;
        Ok(Response::new(v1::RemoveMemberResponse {}))
    }

    async fn elect_member(
        &self,
        request: Request<v1::ElectMemberRequest>,
    ) -> Answered<v1::ElectMemberResponse> {
        self.permit(&request, CHANGE)?;
        self.0.journal.elect(&request.into_inner().name).await?;
        Ok(Response::new(v1::ElectMemberResponse {}))
    }

    async fn start_backup(&self, request: Request<v1::StartBackupRequest>) -> Answered<v1::Backup> {
        self.permit(&request, "back up the masters")?;
        let v1::StartBackupRequest { id, directory, local } = request.into_inner();
        Ok(Response::new(self.0.backups.start(&id, Target { directory, local })?))
    }

    async fn get_backup(&self, request: Request<v1::GetBackupRequest>) -> Answered<v1::Backup> {
        self.permit(&request, "back up the masters")?;
        Ok(Response::new(self.0.backups.get(&request.into_inner().id)?))
    }
}

/// The last entry in a master's log, if it says so.
fn last_log(member: &Member) -> Option<u64> {
    member.standing.as_ref().map(|standing| standing.last_log)
}
