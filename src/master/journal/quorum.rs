//! Who the masters are: how a quorum is formed, extended and repaired.
//!
//! A new cluster is formed once all masters of the list are there and none of them has a journal:
//! one that is missing might have one, and what was acknowledged is in it. A node that comes without
//! a journal to a cluster that is there is taken in by the primary, under its old name and with a new
//! number: as a learner first, then as a voter in the place of the one it was. A node that nobody
//! knows waits until someone adds it.

use super::network::client;
use super::raft::Node;
use super::{Inner, Journal, Options, SETTLE, stopped};
use crate::core::config::MasterAddress;
use crate::core::error::{
    Context, Error, Result, already_exists, deadline_exceeded, failed_precondition, not_found,
    unavailable,
};
use crate::core::proto::v1;
use crate::core::proto::v1::quorum_client::QuorumClient;
use crate::core::rpc::from_status;
use futures::future::join_all;
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// How long another master may take to say who it is.
const ASK: Duration = Duration::from_secs(1);
/// How long a new master may take to get what the others have.
const CATCH_UP: Duration = Duration::from_secs(600);
/// How long an election that was asked for may take.
const ELECTION: Duration = Duration::from_secs(10);
/// How long a primary that stops waits for the next one.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How often a master without a journal looks for the others.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// How often it says what it waits for.
pub(super) const SAY: Duration = Duration::from_secs(10);

/// One of the masters, as the primary sees it.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its journal's number.
    pub id: u64,
    /// Its name and addresses.
    pub node: Node,
    /// Whether it votes; a learner only follows.
    pub voter: bool,
    /// What it says of itself; none when it does not answer.
    pub standing: Option<v1::StandingResponse>,
}

impl Inner {
    /// Who this master is and what it knows.
    pub(super) async fn tell(&self) -> Result<v1::StandingResponse> {
        let formed = self.raft.is_initialized().await.map_err(stopped)?;
        let cluster_id = self.state.cluster_id()?.unwrap_or_default();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        Ok(v1::StandingResponse {
            id: self.identity.id,
            name: self.identity.name.clone(),
            cluster_id,
            formed,
            leader: metrics.current_leader.unwrap_or_default(),
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or_default(),
            applied: metrics.last_applied.map_or(0, |id| id.index),
            primary: metrics.state == openraft::ServerState::Leader,
            rpc: self.options.own.rpc.clone(),
            journal: self.options.own.journal.clone(),
        })
    }

    /// The masters by number, and who of them votes.
    fn membership(&self) -> (BTreeMap<u64, Node>, BTreeSet<u64>) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let nodes = membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
        (nodes, membership.voter_ids().collect())
    }

    /// Takes in a master that lost its journal, in the place of the one it was.
    pub(super) async fn take_in(&self, request: v1::JoinRequest) -> Result<()> {
        let _one = self.changing.lock().await;
        let v1::JoinRequest { id, name, rpc, journal } = request;
        let (nodes, _) = self.membership();
        if nodes.contains_key(&id) {
            return Ok(());
        }
        let old = named(&nodes, &name).ok_or_else(|| {
            not_found(format!(
                "no master of this cluster is called {name}: goosefs fsadmin journal quorum add \
                 {journal}"
            ))
        })?;
        tracing::warn!(name, "a master has lost its journal: it gets the others'");
        self.admit(id, Node { name, rpc, journal }, Some(old)).await
    }

    /// Makes `node` a voter once it has what the others have, in the place of `old`.
    async fn admit(&self, id: u64, node: Node, old: Option<u64>) -> Result<()> {
        let name = node.name.clone();
        let learn = self.raft.add_learner(id, node, true);
        let learned = tokio::time::timeout(CATCH_UP, learn).await;
        learned
            .map_err(|_| deadline_exceeded(format!("{name} did not catch up within {CATCH_UP:?}")))?
            .map_err(|error| changed(&error))?;
        let (_, mut voters) = self.membership();
        voters.insert(id);
        old.map(|old| voters.remove(&old));
        self.change(ChangeMembers::ReplaceAllVoters(voters), false).await?;
        tracing::info!(name, "is a voter now");
        Ok(())
    }

    /// Changes who the masters are. `retain` keeps voters that are taken out as learners.
    async fn change(&self, change: ChangeMembers<u64, Node>, retain: bool) -> Result<()> {
        let changes = self.raft.change_membership(change, retain);
        let in_time = tokio::time::timeout(SETTLE, changes).await.map_err(|_| {
            deadline_exceeded(format!(
                "no quorum took the change of the masters within {SETTLE:?}; it may still be carried \
                 out: see goosefs fsadmin journal quorum info"
            ))
        })?;
        in_time.map(drop).map_err(|error| changed(&error))
    }
}

/// A change of who the masters are has failed.
fn changed(error: &(impl std::error::Error + 'static)) -> Error {
    unavailable(format!("the quorum was not changed: {error}"))
}

/// Asks the journal at `address` who it is.
async fn ask(address: &str) -> Result<v1::StandingResponse> {
    let call = async |mut client: QuorumClient<Channel>| {
        client.standing(v1::StandingRequest {}).await.map(Response::into_inner)
    };
    call_journal(address, ASK, call).await
}

/// Calls the journal at `address`, which may take so long.
async fn call_journal<Answer>(
    address: &str,
    patience: Duration,
    call: impl AsyncFnOnce(QuorumClient<Channel>) -> Result<Answer, Status>,
) -> Result<Answer> {
    let nobody = || unavailable(format!("nobody answers at {address}"));
    let client = client(address).ok_or_else(nobody)?;
    let answer = tokio::time::timeout(patience, call(client)).await;
    let answer = answer.map_err(|_| nobody())?;
    answer.map_err(|status| from_status(&status)).with_context(|| address.to_string())
}

/// All of `others`, by number, when all are there and none has a journal; else an error that says
/// what is in the way.
pub(super) fn newcomers(
    others: &[&MasterAddress],
    answers: &[Result<v1::StandingResponse>],
) -> Result<BTreeMap<u64, Node>> {
    let (mut members, mut missing, mut formed) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (other, answer) in others.iter().zip(answers) {
        let journal = other.journal();
        match answer {
            Err(_) => missing.push(format!("{} at {journal}", other.name)),
            Ok(answer) if answer.name != other.name => {
                let (found, name) = (&answer.name, &other.name);
                return Err(failed_precondition(format!(
                    "at {journal} answers {found}, not {name}"
                )));
            }
            Ok(answer) if answer.formed => formed.push(other.name.clone()),
            Ok(answer) => {
                let node = Node { name: other.name.clone(), rpc: other.rpc(), journal };
                members.insert(answer.id, node);
            }
        }
    }
    if !formed.is_empty() {
        let names = formed.join(", ");
        return Err(failed_precondition(format!(
            "a new cluster begins when no master has a journal, and there is one at {names}"
        )));
    }
    if !missing.is_empty() {
        return Err(unavailable(format!(
            "a new cluster begins when all masters are there; missing: {}",
            missing.join(", ")
        )));
    }
    Ok(members)
}

/// Asks all masters of the list but this one who they are.
pub(super) async fn ask_others<'a>(
    options: &'a Options,
    own: &str,
) -> (Vec<&'a MasterAddress>, Vec<Result<v1::StandingResponse>>) {
    let others = options.masters.iter().filter(|master| master.name != own);
    let others: Vec<&MasterAddress> = others.collect();
    let addresses: Vec<String> = others.iter().map(|master| master.journal()).collect();
    let answers = join_all(addresses.iter().map(|address| ask(address))).await;
    (others, answers)
}

impl Journal {
    /// Becomes one of the masters of the list, however long that takes: forms the cluster with them,
    /// or has itself taken in by it.
    pub(super) async fn join(&self) -> Result<()> {
        let Inner { options, raft, identity, .. } = &*self.inner;
        let mut said = None::<tokio::time::Instant>;
        while !raft.is_initialized().await.map_err(stopped)? {
            let (others, answers) = ask_others(options, &identity.name).await;
            if let Err(error) = self.consider(&others, &answers).await
                && said.is_none_or(|at| at.elapsed() > SAY)
            {
                tracing::info!(%error, "this master has no journal yet");
                said = Some(tokio::time::Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// One step on the way into the cluster, by what the others answer. An error says what it waits
    /// for.
    async fn consider(
        &self,
        others: &[&MasterAddress],
        answers: &[Result<v1::StandingResponse>],
    ) -> Result<()> {
        let Inner { options, raft, identity, .. } = &*self.inner;
        let there: Vec<_> = answers.iter().flatten().collect();
        if let Some(primary) = there.iter().find(|other| other.formed && other.primary) {
            let Node { name, rpc, journal } = options.own.clone();
            let request = v1::JoinRequest { id: identity.id, name, rpc, journal };
            let join = async |mut client: QuorumClient<Channel>| client.join(request).await;
            return call_journal(&primary.journal, CATCH_UP, join).await.map(drop);
        }
        if there.iter().any(|other| other.formed) {
            return Err(unavailable("the others have a journal and no primary yet"));
        }
        let newcomers = newcomers(others, answers)?;
        let first = options.masters.first().is_some_and(|first| first.name == identity.name);
        if !first {
            return Err(unavailable("the first master of the list begins the cluster"));
        }
        let mut members = newcomers;
        members.insert(identity.id, options.own.clone());
        let begun = raft.initialize(members).await;
        begun.map_err(|error| unavailable(format!("beginning the cluster: {error}")))
    }

    /// The masters, and what each says of itself.
    pub async fn members(&self) -> Vec<Member> {
        let inner = &self.inner;
        let (nodes, voters) = inner.membership();
        let ask_one = async |(id, node): (u64, Node)| {
            let standing = match id == inner.identity.id {
                true => inner.tell().await,
                false => ask(&node.journal).await,
            };
            // Somebody else may live at its address now.
            let standing = standing.ok().filter(|standing| standing.id == id);
            Member { voter: voters.contains(&id), id, node, standing }
        };
        let mut members: Vec<Member> = join_all(nodes.into_iter().map(ask_one)).await;
        members.sort_by(|a, b| a.node.name.cmp(&b.node.name));
        members
    }

    /// Takes in the master whose journal listens at `address`, which must not have one yet: it
    /// follows until it has what the others have, and votes from then on.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers there or this is not the primary; `AlreadyExists` when its
    /// name is taken; `FailedPrecondition` when it belongs to a cluster.
    pub async fn add_member(&self, address: &str) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        self.check_leads()?;
        let standing = ask(address).await.context("asking the new master who it is")?;
        let v1::StandingResponse { id, name, rpc, journal, formed, .. } = standing;
        let (nodes, voters) = self.inner.membership();
        if voters.contains(&id) {
            return Ok(());
        }
        if name.is_empty() {
            return Err(failed_precondition(format!(
                "the master at {address} has no name: list it in goosefs.masters and start it"
            )));
        }
        if let Some(other) =
            nodes.values().find(|node| node.name == name && node.journal != journal)
        {
            return Err(already_exists(format!("{name} is the master at {}", other.journal)));
        }
        if formed && !nodes.contains_key(&id) {
            return Err(failed_precondition(format!(
                "{name} has a journal of its own: empty its goosefs.master.journal.folder first"
            )));
        }
        let old = named(&nodes, &name).filter(|&old| old != id);
        self.inner.admit(id, Node { name, rpc, journal }, old).await
    }

    /// Removes the master of that name: it is asked no more.
    ///
    /// # Errors
    /// `NotFound` when there is none; `FailedPrecondition` for the primary, or the only one.
    pub async fn remove_member(&self, name: &str) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        self.check_leads()?;
        let (nodes, voters) = self.inner.membership();
        let id = number_of(&nodes, name)?;
        if id == self.inner.identity.id {
            return Err(failed_precondition(format!(
                "{name} is the primary: elect another first, with goosefs fsadmin journal quorum elect"
            )));
        }
        let gone = BTreeSet::from([id]);
        let change = match voters.contains(&id) {
            true => ChangeMembers::RemoveVoters(gone),
            false => ChangeMembers::RemoveNodes(gone),
        };
        self.inner.change(change, false).await?;
        tracing::info!(name, "is no master of this cluster any more");
        Ok(())
    }

    /// Makes the master of that name primary.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Unavailable` when it does not answer or has not followed;
    /// `DeadlineExceeded` when it was not elected in time.
    pub async fn elect(&self, name: &str) -> Result<()> {
        self.check_leads()?;
        let (nodes, voters) = self.inner.membership();
        let id = number_of(&nodes, name)?;
        if id == self.inner.identity.id {
            return Ok(());
        }
        if !voters.contains(&id) {
            return Err(failed_precondition(format!("{name} does not vote yet: try again later")));
        }
        ask(&nodes[&id].journal).await.with_context(|| format!("asking {name}"))?;
        let raft = &self.inner.raft;
        // From here on nothing is answered: the other one need not wait for the lease to end.
        self.inner.leaving.store(self.standing().term, Ordering::Release);
        raft.trigger().transfer_leader(id).await.map_err(stopped)?;
        let leads = |metrics: &openraft::RaftMetrics<_>| metrics.current_leader == Some(id);
        let elected = raft.wait(Some(ELECTION)).metrics(leads, "an election").await;
        elected.map_err(|_| {
            deadline_exceeded(format!("{name} was not elected within {ELECTION:?}: see its log"))
        })?;
        Ok(())
    }

    /// Lets another master be primary, if one is there: a primary that stops on purpose is followed
    /// at once, instead of after a silence.
    pub async fn hand_over(&self) {
        if !self.leads() {
            return;
        }
        let own = self.inner.identity.id;
        let able = |member: &Member| member.voter && member.id != own && member.standing.is_some();
        let others = self.members().await.into_iter().filter(able);
        let last_log = |member: &Member| member.standing.as_ref().map(|standing| standing.last_log);
        let Some(next) = others.max_by_key(last_log) else { return };
        let name = next.node.name;
        match tokio::time::timeout(HAND_OVER, self.elect(&name)).await {
            Ok(Ok(())) => tracing::info!(name, "another master is primary: this one may go"),
            Ok(Err(error)) => tracing::warn!(name, %error, "not handed over"),
            Err(_) => tracing::warn!(name, "not handed over in time"),
        }
    }

    /// The primary writes down where it is reached now, should that have changed.
    pub(super) async fn correct_own_address(&self) -> Result<()> {
        let Inner { options, identity, changing, .. } = &*self.inner;
        let _one = changing.lock().await;
        let (nodes, _) = self.inner.membership();
        if nodes.get(&identity.id).is_none_or(|known| *known == options.own) {
            return Ok(());
        }
        let own = BTreeMap::from([(identity.id, options.own.clone())]);
        let changes = self.inner.change(ChangeMembers::SetNodes(own), true).await;
        changes.context("writing down the own address")
    }

    fn check_leads(&self) -> Result<()> {
        match self.is_primary() {
            true => Ok(()),
            false => Err(unavailable("this master is not the primary: try again")),
        }
    }
}

/// The number of the master of that name.
fn named(nodes: &BTreeMap<u64, Node>, name: &str) -> Option<u64> {
    nodes.iter().find(|(_, node)| node.name == name).map(|(&id, _)| id)
}

/// The number of the master of that name or RPC address.
fn number_of(nodes: &BTreeMap<u64, Node>, name: &str) -> Result<u64> {
    let addressed = || nodes.iter().find(|(_, node)| node.rpc == name).map(|(&id, _)| id);
    named(nodes, name).or_else(addressed).ok_or_else(|| {
        let names: Vec<_> = nodes.values().map(|node| node.name.as_str()).collect();
        not_found(format!("no master is called {name}: there are {}", names.join(", ")))
    })
}
