//! `https://` stores from the static binary: certificates are checked against those of the system or
//! of `SSL_CERT_FILE`, and hosts are found by name; and a store that is not there is named soon.

use super::servers::{Server, free_port, moto, nginx_as};
use crate::cluster::{Cluster, scratch_dir};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a mount of a store that does not answer may take to be refused.
const SOON: Duration = Duration::from_secs(14);

/// A directory for one test, which goes with it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn openssl(dir: &Path, line: &str) {
    let mut command = Command::new("openssl");
    command.args(line.split(' ')).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().expect("openssl is installed").success(), "openssl {line}");
}

/// `ca.pem`, and `cert.pem` with `key.pem` of the host `localhost` that it vouches for.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests"));
    openssl(dir, &format!("req {key} -keyout key.pem -out asked.pem -subj /CN=localhost"));
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost").unwrap();
    let signed = "x509 -req -in asked.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem";
    openssl(dir, &format!("{signed} -days 2 -extfile names"));
}

/// nginx as `https://localhost:…`, with the files in `www`; `more` is added to its configuration.
fn https(dir: &Path, more: &str) -> Option<(Server, String)> {
    let at = dir.display();
    let keys = format!("ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;");
    let server = nginx_as("ssl", dir, &format!("{keys} {more}"))?;
    let url = format!("https://localhost:{}", server.port);
    Some((server, url))
}

fn prepared() -> Option<Scratch> {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: no https: openssl is not installed");
        return None;
    }
    let dir = Scratch(scratch_dir());
    certificates(&dir.0);
    std::fs::create_dir_all(dir.0.join("www/archive/deep")).unwrap();
    std::fs::write(dir.0.join("www/archive/deep/file"), vec![7; 3_000_000]).unwrap();
    Some(dir)
}

#[test]
fn an_https_archive_is_mounted_and_read_by_the_name_of_its_host() {
    let Some(dir) = prepared() else { return };
    let Some((_server, url)) = https(&dir.0, "autoindex on;") else { return };
    let trusted = dir.0.join("ca.pem").display().to_string();
    let cluster = Cluster::setup().env("SSL_CERT_FILE", &trusted).start();
    cluster.ok(&["fs", "mount", "/web", &format!("{url}/archive/")]);
    assert!(cluster.ok(&["fs", "ls", "/web/deep"]).contains("/web/deep/file"));
    let read = cluster.run(&["fs", "cat", "/web/deep/file"]);
    assert!(read.status.success() && read.stdout == vec![7; 3_000_000]);
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused_with_the_cure() {
    let Some(dir) = prepared() else { return };
    let Some((_server, url)) = https(&dir.0, "autoindex on;") else { return };
    let cluster = Cluster::start();
    let error = cluster.fails(&["fs", "mount", "/web", &format!("{url}/archive/")]);
    assert!(error.contains("certificate") && error.contains("SSL_CERT_FILE"), "{error}");
    let endpoint = format!("s3.endpoint={url}");
    let keys = ["s3.access.key=AK", "s3.secret.key=SK"];
    let error = cluster.fails(&mount_s3(&endpoint, &keys));
    assert!(error.contains("certificate") && error.contains("SSL_CERT_FILE"), "{error}");
}

#[test]
fn an_s3_store_behind_https_is_mounted_written_and_read() {
    let Some(dir) = prepared() else { return };
    let Some(store) = moto(false) else { return };
    let proxy = format!(
        "location / {{ proxy_pass {}; proxy_set_header Host $http_host; client_max_body_size 0; }}",
        store.url()
    );
    let Some((_server, url)) = https(&dir.0, &proxy) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bucket = format!("{}/bucket", store.url());
    runtime.block_on(super::s3::request(reqwest::Method::PUT, bucket));

    let trusted = dir.0.join("ca.pem").display().to_string();
    let cluster = Cluster::setup().env("SSL_CERT_FILE", &trusted).start();
    let endpoint = format!("s3.endpoint={url}");
    cluster.ok(&mount_s3(&endpoint, &["s3.access.key=AK", "s3.secret.key=SK"]));
    std::fs::write(cluster.dir().join("local"), vec![5; 200_000]).unwrap();
    cluster.ok(&["fs", "copyFromLocal", "local", "/s3/file"]);
    cluster.ok(&["fs", "free", "/s3/file"]);
    let read = cluster.run(&["fs", "cat", "/s3/file"]);
    assert!(read.status.success() && read.stdout == vec![5; 200_000]);
    let listed = format!("{}/bucket?list-type=2", store.url());
    let listed = runtime.block_on(super::s3::request(reqwest::Method::GET, listed));
    assert!(listed.contains("<Key>file</Key>"), "{listed}");
}

fn mount_s3<'a>(endpoint: &'a str, keys: &[&'a str; 2]) -> [&'a str; 10] {
    let [id, key] = *keys;
    ["fs", "mount", "/s3", "s3://bucket", "--option", endpoint, "--option", id, "--option", key]
}

#[test]
fn a_dead_endpoint_is_named_soon_whatever_way_it_is_dead() {
    let cluster = Cluster::start();
    // Refuses connections; takes them and is silent; does not even take them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (deaf, _waiting) = deaf();
    let ports =
        [free_port(), silent.local_addr().unwrap().port(), deaf.local_addr().unwrap().port()];
    for port in ports {
        let start = Instant::now();
        let endpoint = format!("s3.endpoint=http://127.0.0.1:{port}");
        let keys = ["s3.access.key=AK", "s3.secret.key=SK"];
        let error = cluster.fails(&mount_s3(&endpoint, &keys));
        assert!(start.elapsed() < SOON, "{:?}: {error}", start.elapsed());
        assert!(error.contains(&format!("http://127.0.0.1:{port}")), "{error}");
        assert!(error.contains("s3.endpoint"), "{error}");
    }
    let unknown = "s3.endpoint=http://no-such-host.invalid";
    let error = cluster.fails(&mount_s3(unknown, &["s3.access.key=AK", "s3.secret.key=SK"]));
    assert!(error.contains("no-such-host.invalid") && error.contains("s3.endpoint"), "{error}");
}

/// A listener whose queue is full, so that the kernel drops whoever comes.
fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let brief = Duration::from_millis(300);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, brief) {
        waiting.push(stream);
    }
    (listener, waiting)
}
