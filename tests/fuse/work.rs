//! Programs that people use, at work in the mounted directory.

use super::{Mounted, mount};
use crate::cluster::Cluster;
use std::process::Command;

/// Runs a shell script in the mounted directory, which must succeed.
fn shell(mounted: &Mounted, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(mounted.path("")).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}{errors}");
    said
}

/// Whether this machine has a program.
fn has(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: this machine has no {program}");
    }
    there
}

#[test]
fn an_editor_saves() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    // As vim does: the old file aside, a new one in its place, synced, and the old one gone.
    let script = "printf 'one\ntwo\n' > text && chmod 640 text && mv text text~ && \
                  printf 'one\n2\n' > text && sync text && chmod 640 text && rm text~ && cat text && \
                  stat -c %a text";
    assert_eq!(shell(&mounted, script), "one\n2\n640\n");
    // As others do: a new file, renamed over the old one.
    let script = "printf 'three\n' > .text.new && sync .text.new && mv .text.new text && cat text";
    assert_eq!(shell(&mounted, script), "three\n");
    // In its place.
    assert_eq!(
        shell(
            &mounted,
            "printf 'th' | dd of=text conv=notrunc,fsync 2>/dev/null; sed -i s/three/four/ text; cat text"
        ),
        "four\n"
    );
    if has("vim") {
        let script = "vim -u NONE -es -c 's/four/five/' -c 'wq' text; cat text; ls -A";
        assert_eq!(shell(&mounted, script), "five\ntext\n");
    }
}

#[test]
fn sqlite_keeps_a_database() {
    if !has("python3") {
        return;
    }
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let script = r#"
import sqlite3, sys
mode = sys.argv[1]
name = mode + ".db"
a = sqlite3.connect(name)
a.execute("pragma journal_mode=" + mode)
a.execute("create table t (n integer primary key, s text)")
for n in range(300):
    a.execute("insert into t values (?, ?)", (n, "row %d " % n * 20))
    if n % 50 == 49:
        a.commit()
a.execute("update t set s = 'short' where n % 3 = 0")
a.execute("delete from t where n % 7 = 0")
a.commit()
b = sqlite3.connect(name)
assert b.execute("select count(*) from t").fetchone()[0] == 257
a.execute("vacuum")
assert b.execute("pragma integrity_check").fetchone()[0] == "ok"
a.close(); b.close()
c = sqlite3.connect(name)
print(c.execute("select count(*) from t where s = 'short'").fetchone()[0])
"#;
    let file = mounted.cluster().dir().join("db.py");
    std::fs::write(&file, script).unwrap();
    for mode in ["delete", "truncate", "persist", "wal"] {
        let said = shell(&mounted, &format!("python3 {} {mode}", file.display()));
        assert_eq!(said, "85\n", "{mode}");
    }
    // What is underneath is a database too.
    let below = mounted.cluster().root_ufs().join("delete.db");
    let check = "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('pragma integrity_check').fetchone()[0])";
    let output = Command::new("python3").args(["-c", check]).arg(below).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
}

#[test]
fn git_clones_commits_and_packs() {
    if !has("git") {
        return;
    }
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let source = mounted.cluster().dir().join("source.git");
    let make = format!(
        "git init -q {0} && cd {0} && git config user.email a@b.c && git config user.name n && \
         for i in $(seq 40); do mkdir -p d$((i % 7)) && seq $((i * 50)) > d$((i % 7))/f$i; done && \
         git add . && git commit -qm one && seq 9 > g && git add g && git commit -qm two",
        source.display()
    );
    let made = Command::new("sh").args(["-ec", &make]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let script = format!(
        "git clone -q --no-hardlinks {} work && cd work && git fsck --strict 2>&1 && \
         git config user.email a@b.c && git config user.name n && echo changed >> g && \
         git commit -qam three && git gc -q && git fsck --strict 2>&1 && git log --oneline | wc -l && \
         git status --porcelain",
        source.display()
    );
    assert_eq!(shell(&mounted, &script).trim(), "3");
    let mut diff = Command::new("diff");
    diff.args(["-r", "-x", ".git", "-x", "g"]).arg(&source).arg(mounted.path("work"));
    assert!(diff.status().unwrap().success());
}
