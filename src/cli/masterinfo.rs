//! `goosefs masterinfo`, `goosefs fs masterInfo`, `goosefs fs leader`: who is primary, who stands by.

use super::Global;
use super::print::Output;
use super::session::Session;
use crate::core::error::{Result, unavailable};
use crate::core::proto::v1::GetMastersResponse;
use clap::Args;
use std::process::ExitCode;

/// Say who is primary master, and who stands by
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs masterinfo
  goosefs fs -o json masterInfo")]
pub struct MasterInfo {}

/// Print the host of the primary master
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ssh $(goosefs fs leader)")]
pub struct Leader {}

// Help describes it as it does `MasterInfo`.
#[derive(Args, Debug)]
pub struct MasterInfoCommand {
    #[command(flatten)]
    info: MasterInfo,
    #[command(flatten)]
    output: Output,
}

impl MasterInfoCommand {
    /// Says who is primary.
    ///
    /// # Errors
    /// When no master answers.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let info = self.info;
        Session::run(global, self.output, async |session| info.run(session).await)
    }
}

impl MasterInfo {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let masters = session.fs.masters().await?;
        if session.out.is_json() {
            return session.out.json(&value(&masters));
        }
        session.out.line(text(&masters))
    }
}

impl Leader {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let leader = session.fs.masters().await?.leader;
        if leader.is_empty() {
            return Err(unavailable("no master is primary now: try again in a few seconds"));
        }
        let host = leader.rsplit_once(':').map_or(leader.as_str(), |(host, _)| host).to_string();
        if session.out.is_json() {
            return session.out.json(&serde_json::json!({ "host": host, "address": leader }));
        }
        session.out.line(host)
    }
}

fn text(masters: &GetMastersResponse) -> String {
    let leader = if masters.leader.is_empty() { "none" } else { &masters.leader };
    let all: Vec<&str> = masters.masters.iter().map(|master| master.address.as_str()).collect();
    let mut text = format!("current leader master: {leader}\nAll masters: [{}]", all.join(", "));
    let silent = masters.masters.iter().filter(|master| master.role == "UNREACHABLE");
    let silent: Vec<&str> = silent.map(|master| master.address.as_str()).collect();
    if !silent.is_empty() {
        text.push_str(&format!("\nNot answering: [{}]", silent.join(", ")));
    }
    text
}

fn value(masters: &GetMastersResponse) -> serde_json::Value {
    let newest = masters.masters.iter().map(|master| master.applied).max().unwrap_or_default();
    let all = masters.masters.iter().map(|master| {
        serde_json::json!({
            "name": master.name,
            "behind": (master.role != "UNREACHABLE").then(|| newest - master.applied),
            "address": master.address,
            "role": master.role,
            "term": master.term,
            "applied": master.applied,
        })
    });
    serde_json::json!({
        "leader": masters.leader,
        "masters": all.collect::<Vec<_>>(),
        "clusterId": masters.cluster_id,
        "version": masters.version,
        "startMs": masters.start_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proto::v1::Master;

    #[test]
    fn masters_are_listed_in_the_words_that_scripts_know() {
        let master = |address: &str| Master { address: address.into(), ..Default::default() };
        let masters = GetMastersResponse {
            leader: "m1:9200".into(),
            masters: vec![master("m1:9200"), master("m2:9200")],
            ..Default::default()
        };
        let expected = "current leader master: m1:9200\nAll masters: [m1:9200, m2:9200]";
        assert_eq!(text(&masters), expected);
        let mut silent = masters.clone();
        silent.masters[1].role = "UNREACHABLE".into();
        assert_eq!(text(&silent), format!("{expected}\nNot answering: [m2:9200]"));
    }
}
