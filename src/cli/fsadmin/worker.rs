//! `fsadmin decommission`, `recommission`, `forget-worker`, `update-worker`: who takes part.

use crate::cli::session::Session;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::size::parse_duration;
use crate::core::model::{WorkerInfo, WorkerState};
use clap::Args;
use std::time::{Duration, Instant};

/// How often the master is asked how far a worker is.
const LOOK: Duration = Duration::from_millis(500);

/// Have workers give away what they hold, and leave
///
/// Blocks go to the workers that they will belong to, at goosefs.worker.migration.bandwidth; reads
/// go on meanwhile. What is nowhere else goes first to another worker's disk, and a worker has only
/// drained when nothing such is left on it. Then it can be stopped. Name several that leave
/// together in one command: their blocks move once. A worker with goosefs.worker.stop.drain does
/// the same when it is stopped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin decommission worker-3:9203
  goosefs fsadmin decommission worker-3 worker-4 --detach
  goosefs fsadmin report migration")]
pub struct Decommission {
    /// Workers, as host:port, or as a host that has one
    #[arg(required = true, value_name = "WORKER")]
    workers: Vec<String>,
    /// Do not wait until they have drained
    #[arg(long)]
    detach: bool,
    /// How long to wait; they go on draining after that
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    timeout: Duration,
}

impl Decommission {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        for worker in &self.workers {
            session.fs.decommission(worker).await?;
            session.out.note(format!("{worker} is leaving"))?;
        }
        if self.detach {
            return Ok(());
        }
        let deadline = Instant::now() + self.timeout;
        for name in &self.workers {
            while !has_drained(&session.fs.worker_report().await?, name)? {
                if Instant::now() > deadline {
                    return Err(Error::new(
                        ErrorKind::DeadlineExceeded,
                        format!(
                            "{name} has not drained yet; it goes on: `goosefs fsadmin report migration`"
                        ),
                    ));
                }
                tokio::time::sleep(LOOK).await;
            }
            session.out.line(format!("{name} has drained and can be stopped"))?;
        }
        Ok(())
    }
}

/// Whether the worker holds nothing any more that anybody needs.
fn has_drained(workers: &[WorkerInfo], name: &str) -> Result<bool> {
    let named =
        |worker: &&WorkerInfo| worker.address.to_string() == name || worker.address.host == name;
    match workers.iter().find(named) {
        Some(worker) if !worker.live => Err(Error::new(
            ErrorKind::Unavailable,
            format!("{name} was lost before it had drained: start it again, and it goes on"),
        )),
        Some(worker) => Ok(worker.state == WorkerState::Drained),
        None => Err(Error::new(ErrorKind::NotFound, format!("{name} is not known any more"))),
    }
}

/// Take workers back that were told to leave, or in before they are warm
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin recommission worker-3:9203
  goosefs fsadmin recommission --warming")]
pub struct Recommission {
    /// Workers, as host:port, or as a host that has one
    #[arg(required_unless_present = "warming", value_name = "WORKER")]
    workers: Vec<String>,
    /// All that warm up, as warm as they are
    #[arg(long, conflicts_with = "workers")]
    warming: bool,
}

impl Recommission {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if self.warming {
            let count = session.fs.activate_warming().await?;
            return session.out.line(format!("{count} workers are active now"));
        }
        for worker in &self.workers {
            session.fs.recommission(worker).await?;
            session.out.line(format!("{worker} is active"))?;
        }
        Ok(())
    }
}

/// Forget lost workers for good
///
/// Files that were on these workers only are lost then, and say so. Without this a lost worker is
/// waited for: it may come back with its disks.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin forget-worker worker-3:9203")]
pub struct ForgetWorker {
    /// Workers, as host:port, or as a host that had one
    #[arg(required = true, value_name = "WORKER")]
    workers: Vec<String>,
}

impl ForgetWorker {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        for worker in &self.workers {
            session.fs.forget_worker(worker).await?;
            session.out.line(format!("{worker} is forgotten"))?;
        }
        Ok(())
    }
}

/// Change what a worker takes: writes, and its share of blocks
///
/// The change outlives restarts of masters and of the worker.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin update-worker worker-3:9203 --forbid-write true
  goosefs fsadmin update-worker worker-3:9203 --virtual-nodes 2500")]
pub struct UpdateWorker {
    /// The worker, as host:port, or as a host that has one
    worker: String,
    /// Whether it takes no new data that is nowhere else
    #[arg(long, value_name = "true|false")]
    forbid_write: Option<bool>,
    /// Points on the ring: more points, more blocks
    #[arg(long, value_name = "N", required_unless_present = "forbid_write")]
    virtual_nodes: Option<u32>,
}

impl UpdateWorker {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.fs.update_worker(&self.worker, self.forbid_write, self.virtual_nodes).await?;
        session.out.line(format!("{} is changed", self.worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::WorkerAddress;

    #[test]
    fn a_worker_has_drained_when_the_master_says_so_and_not_when_it_is_lost() {
        let address = WorkerAddress { host: "w".into(), rpc_port: 1, ..Default::default() };
        let mut worker = WorkerInfo { address, live: true, ..Default::default() };
        assert!(!has_drained(&[worker.clone()], "w:1").unwrap());
        worker.state = WorkerState::Drained;
        assert!(has_drained(&[worker.clone()], "w").unwrap());
        worker.live = false;
        assert_eq!(has_drained(&[worker], "w").unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(has_drained(&[], "w").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
