//! Configuration as users meet it: files, the environment, `-D`, and what is wrong with them.

use crate::cluster::{goosefs, run, scratch_dir, texts};

/// Standard output, standard error and exit code of `goosefs args` with `yaml` as its file.
fn with_file(yaml: &str, args: &[&str], environment: &[(&str, &str)]) -> (String, String, i32) {
    let dir = scratch_dir();
    let file = dir.join("goosefs.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut command = goosefs();
    command.arg("--config").arg(&file).args(args).envs(environment.iter().copied());
    let output = run(&mut command);
    std::fs::remove_dir_all(&dir).unwrap();
    let (out, err) = texts(&output);
    (out.trim().to_string(), err, output.status.code().unwrap())
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file_beats_the_default() {
    let key = "goosefs.master.rpc.port";
    let yaml = "master:\n  rpc.port: 9301\n";
    let environment = [("GOOSEFS_MASTER_RPC_PORT", "9302")];
    assert_eq!(with_file("", &["getConf", key], &[]).0, "9200");
    assert_eq!(with_file(yaml, &["getConf", key], &[]).0, "9301");
    assert_eq!(with_file(yaml, &["getConf", key], &environment).0, "9302");
    let on_top = ["-D", "master.rpc.port=9303", "getConf", key];
    assert_eq!(with_file(yaml, &on_top, &environment).0, "9303");
}

#[test]
fn a_value_says_where_it_comes_from() {
    let yaml = "# ports\nmaster:\n  rpc.port: 9301\n";
    let (out, _, _) = with_file(yaml, &["getConf", "--source", "master.rpc.port"], &[]);
    assert!(out.starts_with("9301 (") && out.ends_with("goosefs.yaml:3)"), "{out}");
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_key() {
    let (_, err, code) = with_file("a: 1\n", &["checkConf"], &[]);
    assert_eq!(code, 1, "{err}");
    let (_, err, code) = with_file("x: \n\nmaster:\n  rpc.prot: 1\n", &["checkConf"], &[]);
    assert_eq!(code, 1);
    assert!(err.contains("goosefs.yaml:4") && err.contains("master.rpc.prot"), "{err}");
    assert!(err.contains("did you mean goosefs.master.rpc.port?"), "{err}");
}

#[test]
fn a_wrong_type_names_file_line_and_key() {
    let (_, err, code) = with_file("user.block.size.bytes.default: huge\n", &["checkConf"], &[]);
    assert_eq!(code, 1);
    let names = ["goosefs.yaml:1", "goosefs.user.block.size.bytes.default", "huge"];
    assert!(names.iter().all(|name| err.contains(name)), "{err}");
}

#[test]
fn tiers_that_make_no_sense_are_refused_before_and_when_a_worker_starts() {
    let dir = scratch_dir();
    let at = |name: &str| dir.join(name).display().to_string();
    let wrong = [
        (format!("worker.dirs=SSD:{}:0", at("a")), "a quota of 0 holds no block"),
        (format!("worker.dirs=SSD:{0}:9MB,HDD:{0}/b:9MB", at("a")), "lies in"),
        (format!("worker.dirs=SSD:{}:lots", at("a")), "\"lots\" is no size"),
        (format!("worker.dirs=TAPE:{}:9MB", at("a")), "MEDIUM:path:quota"),
        ("worker.watermark.high=50%".into(), "watermark.low"),
        ("worker.memory.budget=16MB".into(), "give it 60817408 or more"),
    ];
    for (setting, complaint) in wrong {
        for verb in [&["checkConf"][..], &["worker", "start"]] {
            let data = format!("data.dir={}", at("data"));
            let ports = ["-Dworker.rpc.port=0", "-Dworker.web.port=0"];
            let mut command = goosefs();
            command.args(["-D", &data, "-D", &setting]).args(ports).args(verb);
            let (_, err) = texts(&run(&mut command));
            assert!(err.contains(complaint), "{verb:?} {setting}: {err}");
        }
    }
    std::fs::remove_dir_all(&dir).ok();
}

#[test]
fn what_only_a_worker_needs_does_not_stop_other_commands() {
    let small = "worker.memory.budget: 32MB\nworker.page.size: 1MB\n";
    let (out, err, code) = with_file(small, &["getConf", "goosefs.worker.memory.budget"], &[]);
    assert_eq!((out.trim(), code), ("32MB", 0), "{err}");
    let (_, err, code) = with_file(small, &["checkConf"], &[]);
    assert!(code == 1 && err.contains("give it 60817408 or more"), "{err}");
    let (_, err, code) = with_file("worker.page.size: 4EB\n", &["checkConf"], &[]);
    assert!(code == 1 && err.contains("goosefs.worker.page.size"), "{err}");
}

#[test]
fn credentials_are_never_printed() {
    let yaml = "underfs:\n  s3.secret.key: hush\n";
    let (out, _, code) = with_file(yaml, &["getConf", "-o", "json"], &[]);
    assert_eq!(code, 0);
    assert!(out.contains("s3.secret.key") && !out.contains("hush"), "{out}");
}

#[test]
fn a_file_that_is_named_must_exist() {
    let output = run(goosefs().args(["--config", "/no/such/file.yaml", "checkConf"]));
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("/no/such/file.yaml"), "{err}");
}

#[test]
fn the_example_configurations_are_valid() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/conf");
    for entry in std::fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        let output = run(goosefs().arg("--config").arg(&file).arg("checkConf"));
        assert!(output.status.success(), "{}: {}", file.display(), texts(&output).1);
    }
}
