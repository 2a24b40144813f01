//! Real servers, as processes of their own that end with the test.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A process that is killed when this is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts a server and waits until it listens.
    fn start(mut command: Command, port: u16) -> Server {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Server { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended: {command:?}");
            assert!(Instant::now() < deadline, "the server does not listen: {command:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An S3 server; none, said loudly, where it cannot be had. `checked` makes it look at keys.
pub fn moto(checked: bool) -> Option<Server> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(binary) = BINARY.get_or_init(install_moto) else {
        eprintln!("SKIPPED: no S3 server: PyPI's moto[server,s3] cannot be had");
        return None;
    };
    let port = free_port();
    let mut command = Command::new(binary);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    if checked {
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "0");
    }
    Some(Server::start(command, port))
}

/// The server's program, installed once for this build directory.
fn install_moto() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-5.2.5");
    let binary = venv.join("bin/moto_server");
    if !binary.exists() {
        let run = |program: &Path, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let dir = venv.to_str()?;
        let made = run(Path::new("python3"), &["-m", "venv", dir])
            && run(&venv.join("bin/pip"), &["install", "-q", "moto[server,s3]==5.2.5"]);
        if !made {
            std::fs::remove_dir_all(&venv).ok();
        }
    }
    binary.exists().then_some(binary)
}

/// A web server of the files in `root`, with what `locations` adds to its configuration; none,
/// said loudly, where nginx is not installed.
pub fn nginx(root: &Path, locations: &str) -> Option<Server> {
    nginx_as("", root, locations)
}

/// The same, listening as `how` says, such as `ssl`.
pub fn nginx_as(how: &str, root: &Path, locations: &str) -> Option<Server> {
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
    let Some(binary) = found.iter().find(|path| Path::new(path).exists()) else {
        eprintln!("SKIPPED: no web server: nginx is not installed");
        return None;
    };
    let port = free_port();
    let dir = root.display();
    let configuration = format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
        events {{}}
        http {{
          types {{ text/html html; application/json json; }} access_log off;
          client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
          uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
          server {{ listen 127.0.0.1:{port} {how}; root {dir}/www; {locations} }}
        }}"
    );
    let file = root.join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(binary);
    command.arg("-c").arg(file).arg("-p").arg(root);
    Some(Server::start(command, port))
}
