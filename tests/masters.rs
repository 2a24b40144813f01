//! Several masters: what one acknowledged, no fault of a minority takes away.

use crate::cluster::{Masters, PATIENCE, eventually};
use goosefs::client::{CreateOptions, FileSystem};
use goosefs::core::error::{ErrorKind, Result};
use goosefs::core::model::{FsPath, WriteType};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Callers at work while something fails.
const CALLERS: usize = 8;

fn path(text: &str) -> FsPath {
    FsPath::parse(text).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn make(runtime: &tokio::runtime::Runtime, files: &FileSystem, name: &str) {
    runtime.block_on(files.create_dir(&path(name), &Default::default())).unwrap();
}

/// Makes a directory; renames or deletes it again in two of three turns. What is there after that.
async fn act(files: &FileSystem, name: &str, turn: usize) -> Result<Option<String>> {
    files.create_dir(&path(name), &Default::default()).await?;
    match turn % 3 {
        0 => Ok(Some(name.into())),
        1 => {
            let to = format!("{name}-renamed");
            files.rename(&path(name), &path(&to)).await?;
            Ok(Some(to))
        }
        _ => {
            files.delete(&path(name), &Default::default()).await?;
            Ok(None)
        }
    }
}

/// Callers that make, rename and delete directories until they are stopped; what must be there after
/// what was acknowledged, what must not, and the longest time that one turn took.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    gone: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<Vec<String>>>,
    longest_ms: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(runtime: &tokio::runtime::Runtime, masters: &Masters, prefix: &str) -> Load {
        let mut load = Load {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            gone: Arc::default(),
            refused: Arc::default(),
            longest_ms: Arc::default(),
            callers: Vec::new(),
        };
        for caller in 0..CALLERS {
            let files = masters.connect();
            let (stop, acknowledged) = (load.stop.clone(), load.acknowledged.clone());
            let (refused, longest_ms) = (load.refused.clone(), load.longest_ms.clone());
            let gone = load.gone.clone();
            let prefix = prefix.to_string();
            load.callers.push(runtime.spawn(async move {
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("/{prefix}-{caller}-{turn}");
                    let start = Instant::now();
                    match act(&files, &name, turn).await {
                        Ok(Some(name)) => acknowledged.lock().unwrap().push(name),
                        Ok(None) => gone.lock().unwrap().push(name),
                        Err(error) => refused.lock().unwrap().push(format!("{name}: {error}")),
                    }
                    let took_ms = start.elapsed().as_millis() as usize;
                    longest_ms.fetch_max(took_ms, Ordering::Relaxed);
                    turn += 1;
                }
            }));
        }
        load
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits for that many more acknowledgements.
    fn wait_for(&self, more: usize) {
        let target = self.count() + more;
        eventually("the callers go on", || (self.count() >= target).then_some(()));
    }

    /// Stops the callers. Nobody may have been refused, what was acknowledged must be there, and what
    /// was deleted must not. The longest turn.
    fn end(self, runtime: &tokio::runtime::Runtime, masters: &Masters) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            runtime
                .block_on(async { tokio::time::timeout(PATIENCE, caller).await })
                .unwrap()
                .unwrap();
        }
        let refused = self.refused.lock().unwrap();
        assert!(refused.is_empty(), "{} refused, first {}", refused.len(), refused[0]);
        let names = self.acknowledged.lock().unwrap().clone();
        let there = check(runtime, &masters.connect(), &names);
        let gone = self.gone.lock().unwrap();
        let back: Vec<_> = gone.iter().filter(|name| there.contains(*name)).collect();
        assert!(back.is_empty(), "{} of {} are back, first {}", back.len(), gone.len(), back[0]);
        let pause = Duration::from_millis(self.longest_ms.load(Ordering::Relaxed) as u64);
        println!("{} there, {} gone, longest turn {pause:?}", names.len(), gone.len());
        pause
    }
}

/// Every one of `names` is there; what is.
fn check(
    runtime: &tokio::runtime::Runtime,
    files: &FileSystem,
    names: &[String],
) -> HashSet<String> {
    let listed = runtime.block_on(files.list(&FsPath::root(), &Default::default())).unwrap();
    let there: HashSet<_> = listed.iter().map(|status| status.path.to_string()).collect();
    let lost: Vec<_> = names.iter().filter(|name| !there.contains(*name)).collect();
    assert!(lost.is_empty(), "{} of {} lost, first {}", lost.len(), names.len(), lost[0]);
    there
}

#[test]
fn three_masters_agree_and_any_of_them_says_who_is_primary() {
    let masters = Masters::start(3, &[]);
    masters.wait_for_states(&[("m0", "VOTER", true), ("m1", "VOTER", true), ("m2", "VOTER", true)]);
    let runtime = runtime();
    make(&runtime, &masters.connect(), "/d");
    let address = |number: usize| format!("127.0.0.1:{}", masters.nodes[number].port);
    let primary = address(masters.wait_for_primary());
    let text = masters.ok(&["masterinfo"]);
    let all: Vec<String> = (0..3).map(address).collect();
    let expected = format!("current leader master: {primary}\nAll masters: [{}]\n", all.join(", "));
    assert_eq!(text, expected);
    for number in 0..3 {
        let only = format!("-Dmaster.rpc.addresses={}", address(number));
        assert_eq!(masters.ok(&[&only, "masterinfo"]), expected, "m{number}");
    }
}

#[test]
fn kill_of_the_primary_loses_nothing_and_callers_see_a_pause() {
    let mut masters = Masters::start(3, &[]);
    let runtime = runtime();
    let load = Load::start(&runtime, &masters, "k");
    for _ in 0..3 {
        load.wait_for(100);
        let primary = masters.wait_for_primary();
        masters.nodes[primary].kill();
        load.wait_for(100);
        masters.nodes[primary].spawn();
        masters.wait_for_states(&[
            ("m0", "VOTER", true),
            ("m1", "VOTER", true),
            ("m2", "VOTER", true),
        ]);
    }
    let pause = load.end(&runtime, &masters);
    assert!(pause < Duration::from_secs(15), "a pause of {pause:?}");
}

#[test]
fn a_primary_that_was_paused_serves_nothing_old() {
    let masters = Masters::start(3, &[]);
    let runtime = runtime();
    let files = masters.connect();
    make(&runtime, &files, "/before");
    let old = masters.wait_for_primary();
    let only = masters.connect_only(old);
    runtime.block_on(only.status(&path("/before"))).unwrap();
    masters.nodes[old].signal("-STOP");
    make(&runtime, &files, "/after");
    masters.nodes[old].signal("-CONT");
    // Refused while it believes to be primary still; later it knows better.
    let asked = runtime.block_on(only.status(&path("/after")));
    match asked {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
    }
    check(&runtime, &files, &["/before".into(), "/after".into()]);
}

#[test]
fn a_minority_answers_nobody_and_goes_on_when_the_others_return() {
    let mut masters = Masters::start(3, &[("user.rpc.retry.max.duration", "3s")]);
    let runtime = runtime();
    let files = masters.connect();
    make(&runtime, &files, "/d");
    let primary = masters.wait_for_primary();
    let others: Vec<usize> = (0..3).filter(|&number| number != primary).collect();
    others.iter().for_each(|&number| masters.nodes[number].kill());
    let error = runtime.block_on(files.create_dir(&path("/e"), &Default::default())).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::DeadlineExceeded),
        "{error}"
    );
    let error = runtime.block_on(masters.connect_only(primary).status(&path("/d"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    others.iter().for_each(|&number| masters.nodes[number].spawn());
    masters.wait_for_primary();
    let files = masters.connect();
    eventually("a directory is made again", || {
        runtime.block_on(files.create_dir(&path("/f"), &Default::default())).ok()
    });
    check(&runtime, &files, &["/d".into(), "/f".into()]);
}

#[test]
fn an_emptied_master_gets_all_from_the_others_and_is_relied_upon_again() {
    // The log is cut often, so what is missing comes as an image.
    let mut masters = Masters::start(3, &[("master.journal.checkpoint.period.entries", "100")]);
    let runtime = runtime();
    let load = Load::start(&runtime, &masters, "e");
    load.wait_for(500);
    let primary = masters.wait_for_primary();
    let victim = (primary + 1) % 3;
    masters.nodes[victim].kill();
    masters.empty(victim);
    load.wait_for(100);
    masters.nodes[victim].spawn();
    let voters = [("m0", "VOTER", true), ("m1", "VOTER", true), ("m2", "VOTER", true)];
    masters.wait_for_states(&voters);
    // Now the emptied one is needed for a quorum.
    masters.nodes[primary].kill();
    load.wait_for(100);
    load.end(&runtime, &masters);
    assert!(masters.nodes[victim].log_text().contains("took over the state"), "{}", masters.logs());
}

#[test]
fn one_master_becomes_three_and_one_again_while_it_serves() {
    let mut masters = Masters::new(3, &[]);
    let runtime = runtime();
    // The first is alone, as if the others had not been thought of.
    let mut all = masters.config().master.masters.0.clone();
    let journal: Vec<String> = all.iter().map(|master| master.journal()).collect();
    all.truncate(1);
    let only = format!(
        "name=m0 host=127.0.0.1 rpc_port={} journal_port={}",
        all[0].rpc_port, all[0].journal_port
    );
    masters.nodes[0].set("masters", &only);
    masters.nodes[0].spawn();
    masters.wait_for_primary();
    let load = Load::start(&runtime, &masters, "g");
    load.wait_for(100);
    for (number, journal) in journal.iter().enumerate().skip(1) {
        masters.nodes[number].spawn();
        let args = ["fsadmin", "journal", "quorum", "add", journal];
        eventually("a master is added", || masters.run(&args).0.then_some(()));
    }
    masters.wait_for_states(&[("m0", "VOTER", true), ("m1", "VOTER", true), ("m2", "VOTER", true)]);
    load.wait_for(100);
    masters.ok(&["fsadmin", "journal", "quorum", "elect", "m1"]);
    assert_eq!(masters.wait_for_primary(), 1);
    load.wait_for(100);
    for name in ["m0", "m2"] {
        masters.ok(&["fsadmin", "journal", "quorum", "remove", name]);
    }
    masters.wait_for_states(&[("m1", "VOTER", true)]);
    load.wait_for(100);
    load.end(&runtime, &masters);
    let (success, _, error) = masters.run(&["fsadmin", "journal", "quorum", "remove", "m9"]);
    assert!(!success && error.contains("m9"), "{error}");
}

#[test]
fn a_worker_and_its_blocks_stay_when_the_primary_goes() {
    let mut masters = Masters::start(3, &[]);
    masters.add_worker();
    let runtime = runtime();
    let files = masters.connect();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    // Nowhere else than in the worker.
    let options = CreateOptions { write_type: Some(WriteType::MustCache), ..Default::default() };
    runtime.block_on(async {
        let mut writer = files.create(&path("/f"), &options).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.close().await.unwrap();
    });
    for _ in 0..2 {
        let primary = masters.wait_for_primary();
        masters.nodes[primary].kill();
        masters.wait_for_primary();
        let files = masters.connect();
        let read = async {
            let reader = files.open(&path("/f"), &Default::default()).await?;
            reader.read_at(0, bytes.len() as u64).await
        };
        assert!(runtime.block_on(read).unwrap() == bytes, "the same bytes");
        masters.nodes[primary].spawn();
        masters.wait_for_states(&[
            ("m0", "VOTER", true),
            ("m1", "VOTER", true),
            ("m2", "VOTER", true),
        ]);
    }
}
