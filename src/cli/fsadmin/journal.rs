//! `fsadmin journal`: the masters that keep the journal.

use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::proto::v1::QuorumMember;
use clap::{Args, Subcommand};

/// Look after the journal
///
/// A new master is listed in goosefs.masters and started first; it waits until it is added. Then it
/// follows, and votes as soon as it has what the others have. One that has lost its journal is
/// taken in again by itself, under its old name.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct Journal {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Quorum(Quorum),
}

/// See and change which masters keep the journal
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs fsadmin journal quorum info
  goosefs fsadmin journal quorum add master-3:9202
  goosefs fsadmin journal quorum elect master-1
  goosefs fsadmin journal quorum remove master-3")]
pub struct Quorum {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the masters, who is primary, and how far each has followed
    Info,
    /// Take in a master that waits for it
    Add {
        /// Host and port of its journal
        #[arg(value_name = "HOST:PORT")]
        journal: String,
    },
    /// Take a master out for good
    Remove {
        /// Its name in goosefs.masters
        name: String,
    },
    /// Make a master primary
    Elect {
        /// Its name in goosefs.masters
        name: String,
    },
}

impl Journal {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let Verb::Quorum(quorum) = self.verb;
        match quorum.action {
            Action::Info => info(session).await,
            Action::Add { journal } => {
                session.fs.add_master(&journal).await?;
                session.out.line(format!("The master at {journal} is one of the quorum"))
            }
            Action::Remove { name } => {
                session.fs.remove_master(&name).await?;
                session.out.line(format!("{name} is not one of the quorum any more"))
            }
            Action::Elect { name } => {
                session.fs.elect_master(&name).await?;
                session.out.line(format!("{name} is primary"))
            }
        }
    }
}

async fn info(session: &mut Session) -> Result<()> {
    let members = session.fs.quorum().await?;
    let rows = members.iter().map(|member| {
        let state = match (member.reachable, member.leader, member.role.as_str()) {
            (false, ..) => "does not answer",
            (true, true, _) => "primary",
            (true, false, "VOTER") => "standby",
            _ => "learning",
        };
        let behind = if member.reachable { member.lag.to_string() } else { "-".into() };
        let last = member.last_log.to_string();
        let texts = [&member.name, &member.rpc, &member.journal].map(String::clone);
        texts.into_iter().chain([state.into(), last, behind]).collect()
    });
    let heads = ["Name", "RPC", "Journal", "State", "Last entry", "Behind"];
    let all: Vec<_> = members.iter().map(value).collect();
    session.out.table(&heads, rows.collect(), &serde_json::json!({ "members": all }))
}

fn value(member: &QuorumMember) -> serde_json::Value {
    serde_json::json!({
        "name": member.name,
        "rpc": member.rpc,
        "journal": member.journal,
        "role": member.role,
        "leader": member.leader,
        "reachable": member.reachable,
        "lastEntry": member.last_log,
        "behind": member.lag,
    })
}
