//! The official Python wheel, run by `suite.py`. Skipped with a loud line where neither Python nor
//! the package can be had.

use crate::cluster::{Cluster, eventually, run, run_for, texts};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The version of the package that the suite is written for.
const PACKAGE: &str = "goosefs==0.2.2";

/// How long each step of its installation may take.
const INSTALL: Duration = Duration::from_secs(300);

/// A Python that has the package: a virtual environment below the target directory, made once.
fn python() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = dir.join("bin/python");
    let has_package = |python: &Path| {
        let probe = Command::new(python).args(["-c", "import goosefs"]).output();
        probe.is_ok_and(|output| output.status.success())
    };
    if !has_package(&python) {
        run_for(INSTALL, Command::new("python3").args(["-m", "venv"]).arg(&dir));
        run_for(INSTALL, Command::new(&python).args(["-m", "pip", "install", "-q", PACKAGE]));
    }
    has_package(&python).then_some(python)
}

fn suite(python: &Path, cluster: &Cluster, part: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official/suite.py");
    let mut command = Command::new(python);
    command.arg(script).arg(part).arg(cluster.root_ufs());
    command.env("GOOSEFS_MASTER_ADDR", cluster.master_address());
    let output = run(&mut command);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{part}: {out}{err}");
}

#[test]
fn the_python_wheel_works_and_finds_its_files_after_a_restart() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: {PACKAGE} cannot be installed here");
        return;
    };
    let mut cluster = Cluster::start();
    suite(&python, &cluster, "work");
    cluster.workers[0].kill();
    cluster.master.kill();
    cluster.master.start();
    cluster.workers[0].start();
    eventually("the worker is listed again", || {
        cluster.ok(&["fsadmin", "report", "capacity"]).contains("127.0.0.1").then_some(())
    });
    suite(&python, &cluster, "after-restart");
}
