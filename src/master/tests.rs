//! A whole master on a free port, driven by the generated clients over a directory as root store.

use super::*;
use crate::core::error::ErrorKind;
use crate::core::proto::grpc::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use crate::core::proto::grpc::file::*;
use crate::core::proto::v1;
use crate::core::rpc::{Channel, Credentials, connect, from_status};
use std::path::Path;
use tonic::Status;

type Client = FileSystemMasterClientServiceClient<Channel>;

/// A running master and a client of it.
struct Fixture {
    dir: tempfile::TempDir,
    client: Client,
    channel: Channel,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    running: Running,
}

/// A port nobody listens on, for a moment at least.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

type Running = tokio::task::JoinHandle<Result<()>>;

fn spawn(config: &Config) -> (tokio::sync::oneshot::Sender<()>, Running) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    (stop, tokio::spawn(run(config.clone(), async { drop(stopped.await) })))
}

impl Fixture {
    async fn start() -> Fixture {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ufs")).unwrap();
        Self::in_dir(dir, settings).await
    }

    async fn in_dir(dir: tempfile::TempDir, settings: &[(&str, &str)]) -> Fixture {
        let data = dir.path().join("data").display().to_string();
        let ufs = dir.path().join("ufs").display().to_string();
        let (port, journal) = (free_port().to_string(), free_port().to_string());
        let mut all = vec![
            ("goosefs.data.dir", data.as_str()),
            ("goosefs.master.mount.table.root.ufs", ufs.as_str()),
            ("goosefs.master.hostname", "127.0.0.1"),
            ("goosefs.master.rpc.port", port.as_str()),
            ("goosefs.master.embedded.journal.port", journal.as_str()),
            ("goosefs.master.web.port", "0"),
            ("goosefs.security.login.username", "ann"),
        ];
        all.extend(settings);
        let config = Config::with(&all).unwrap();
        let address = format!("127.0.0.1:{port}");
        let (mut stop, mut running) = spawn(&config);
        let mut starts = 1;
        let channel = loop {
            // The last connections of an earlier master may still be closing.
            if running.is_finished() {
                starts += 1;
                assert!(starts < 100, "the master ended: {:?}", running.await);
                (stop, running) = spawn(&config);
            }
            match connect(&address, &Credentials::of(&config)).await {
                Ok(channel) => break channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let client = Client::new(channel.clone());
        let mut fixture = Fixture { dir, client, channel, stop: Some(stop), running };
        while fixture.status("/").await.is_err() {
            assert!(!fixture.running.is_finished(), "the master ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fixture
    }

    /// Stops the master and starts another on the same directory.
    async fn restart(mut self) -> Fixture {
        // Connections hold the server's side open; they go first.
        drop((self.client, self.channel));
        self.stop.take().unwrap().send(()).unwrap();
        self.running.await.unwrap().unwrap();
        Self::in_dir(self.dir, &[]).await
    }

    fn ufs(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("ufs").join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let file = self.ufs(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    async fn status(&mut self, path: &str) -> Result<FileInfo, Status> {
        self.status_as(path, LoadMetadataPType::Once).await
    }

    async fn status_as(&mut self, path: &str, load: LoadMetadataPType) -> Result<FileInfo, Status> {
        let options =
            GetStatusPOptions { load_metadata_type: Some(load as i32), ..Default::default() };
        let request =
            GetStatusPRequest { path: Some(path.into()), options: Some(options), request_id: None };
        Ok(self.client.get_status(request).await?.into_inner().file_info.unwrap())
    }

    async fn list(&mut self, path: &str, load: LoadMetadataPType) -> Result<Vec<String>, Status> {
        let options =
            ListStatusPOptions { load_metadata_type: Some(load as i32), ..Default::default() };
        let request = ListStatusPRequest {
            path: Some(path.into()),
            options: Some(options),
            request_id: None,
        };
        let mut stream = self.client.list_status(request).await?.into_inner();
        let mut names = Vec::new();
        while let Some(message) = stream.message().await? {
            names.extend(message.file_infos.iter().map(|info| info.name().to_string()));
        }
        Ok(names)
    }

    async fn create(&mut self, path: &str, write: WritePType) -> Result<FileInfo, Status> {
        let options = CreateFilePOptions {
            recursive: Some(true),
            write_type: Some(write as i32),
            ..Default::default()
        };
        let request = CreateFilePRequest { path: Some(path.into()), options: Some(options) };
        Ok(self.client.create_file(request).await?.into_inner().file_info.unwrap())
    }

    async fn complete(&mut self, info: &FileInfo, length: i64) -> Result<(), Status> {
        let options = CompleteFilePOptions { ufs_length: Some(length), ..Default::default() };
        let request = CompleteFilePRequest {
            path: info.path.clone(),
            options: Some(options),
            inode_id: info.file_id,
        };
        self.client.complete_file(request).await.map(drop)
    }

    /// Writes a file through, as a worker and a client would.
    async fn write_through(&mut self, path: &str, text: &str) -> FileInfo {
        let info = self.create(path, WritePType::CacheThrough).await.unwrap();
        let file = info.ufs_path().strip_prefix("file://").unwrap().to_string();
        std::fs::create_dir_all(Path::new(&file).parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        self.complete(&info, text.len() as i64).await.unwrap();
        self.status(path).await.unwrap()
    }

    async fn make_dir(&mut self, path: &str) -> Result<(), Status> {
        let options = CreateDirectoryPOptions {
            recursive: Some(true),
            allow_exists: Some(true),
            ..Default::default()
        };
        let request = CreateDirectoryPRequest { path: Some(path.into()), options: Some(options) };
        self.client.create_directory(request).await.map(drop)
    }

    async fn remove(&mut self, path: &str, options: DeletePOptions) -> Result<(), Status> {
        let request = DeletePRequest { path: Some(path.into()), options: Some(options) };
        self.client.remove(request).await.map(drop)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<(), Status> {
        let request =
            RenamePRequest { path: Some(from.into()), dst_path: Some(to.into()), options: None };
        self.client.rename(request).await.map(drop)
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, Status>) -> ErrorKind {
    from_status(&result.unwrap_err()).kind()
}

fn recursive() -> DeletePOptions {
    DeletePOptions { recursive: Some(true), ..Default::default() }
}

#[tokio::test]
async fn files_are_created_completed_renamed_and_deleted() {
    let mut master = Fixture::start().await;
    assert_eq!(kind(master.status("/a/f").await), ErrorKind::NotFound);
    let info = master.create("/a/f", WritePType::MustCache).await.unwrap();
    assert_eq!((info.owner(), info.completed()), ("ann", false));
    assert_eq!(info.file_id() & 0xFF_FFFF, 0xFF_FFFF);
    assert_eq!(kind(master.create("/a/f", WritePType::MustCache).await), ErrorKind::AlreadyExists);
    master.complete(&info, 100 << 20).await.unwrap();
    let done = master.status("/a/f").await.unwrap();
    assert!(done.completed() && !done.persisted());
    assert_eq!((done.block_ids.len(), done.length()), (2, 100 << 20));

    master.rename("/a/f", "/a/g").await.unwrap();
    assert_eq!(master.status("/a/g").await.unwrap().file_id, info.file_id);
    assert_eq!(kind(master.rename("/a/f", "/a/h").await), ErrorKind::NotFound);
    assert_eq!(kind(master.rename("/a/g", "/no/h").await), ErrorKind::NotFound);
    assert_eq!(kind(master.rename("/a", "/a/b").await), ErrorKind::InvalidArgument);
    master.make_dir("/d").await.unwrap();
    assert_eq!(kind(master.rename("/a/g", "/d").await), ErrorKind::AlreadyExists);
    assert_eq!(kind(master.status("/a/g/x").await), ErrorKind::NotDirectory);

    assert_eq!(kind(master.remove("/a", DeletePOptions::default()).await), ErrorKind::NotEmpty);
    master.remove("/a", recursive()).await.unwrap();
    assert_eq!(kind(master.status("/a").await), ErrorKind::NotFound);
    assert_eq!(master.list("/", LoadMetadataPType::Once).await.unwrap(), ["d"]);
    assert!(!master.ufs("d").exists(), "a directory goes no further than its files do");
}

#[tokio::test]
async fn what_the_under_store_holds_is_found_listed_and_followed() {
    let mut master = Fixture::start().await;
    master.put("x/one", "1");
    master.put("x/two", "22");
    let one = master.status("/x/one").await.unwrap();
    assert!(one.persisted() && one.completed());
    assert_eq!((one.length(), one.block_ids.len()), (1, 1));
    assert_eq!(
        kind(master.status_as("/x/two", LoadMetadataPType::Never).await),
        ErrorKind::NotFound
    );
    assert_eq!(master.list("/x", LoadMetadataPType::Once).await.unwrap(), ["one", "two"]);

    // Changed underneath: seen when one asks to look, as another file.
    master.put("x/one", "longer");
    master.put("x/three", "3");
    std::fs::remove_file(master.ufs("x/two")).unwrap();
    assert_eq!(master.list("/x", LoadMetadataPType::Once).await.unwrap(), ["one", "two"]);
    assert_eq!(master.list("/x", LoadMetadataPType::Always).await.unwrap(), ["one", "three"]);
    let again = master.status("/x/one").await.unwrap();
    assert_eq!(again.length(), 6);
    assert_ne!(again.file_id, one.file_id);
    std::fs::remove_file(master.ufs("x/one")).unwrap();
    assert_eq!(
        kind(master.status_as("/x/one", LoadMetadataPType::Always).await),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn persisted_files_are_changed_in_the_under_store_too() {
    let mut master = Fixture::start().await;
    let info = master.write_through("/p/f", "hello").await;
    assert!(info.persisted());
    assert_eq!(info.persistence_state(), "PERSISTED");
    assert!(master.status("/p").await.unwrap().persisted());

    master.rename("/p/f", "/p/g").await.unwrap();
    assert!(!master.ufs("p/f").exists() && master.ufs("p/g").exists());
    let renamed = master.status_as("/p/g", LoadMetadataPType::Always).await.unwrap();
    assert_eq!(renamed.file_id, info.file_id, "the file is the same, and so are its blocks");

    // Deleted here only, it comes back from below, as another file.
    let here = DeletePOptions { goosefs_only: Some(true), ..Default::default() };
    master.remove("/p/g", here).await.unwrap();
    assert_eq!(kind(master.status_as("/p/g", LoadMetadataPType::Never).await), ErrorKind::NotFound);
    let back = master.status("/p/g").await.unwrap();
    assert_ne!(back.file_id, info.file_id);
    assert_eq!(back.length(), 5);

    master.remove("/p", recursive()).await.unwrap();
    assert!(!master.ufs("p").exists());
    assert_eq!(kind(master.status_as("/p", LoadMetadataPType::Always).await), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_that_is_not_below_is_not_completed_as_if_it_were() {
    let mut master = Fixture::start().await;
    let info = master.create("/f", WritePType::Through).await.unwrap();
    assert_eq!(kind(master.complete(&info, 5).await), ErrorKind::FailedPrecondition);
    assert!(!master.status("/f").await.unwrap().completed());
    master.remove("/f", DeletePOptions::default()).await.unwrap();
}

#[tokio::test]
async fn of_two_who_write_one_object_the_one_whose_bytes_are_there_is_the_file() {
    let mut master = Fixture::start().await;
    let old = master.write_through("/f", "old").await;
    let begin = |replaces| {
        let options = CreateFilePOptions {
            write_type: Some(WritePType::Through as i32),
            next: Some(true),
            replaces_id: replaces,
            ..Default::default()
        };
        CreateFilePRequest { path: Some("/f".into()), options: Some(options) }
    };
    let mut client = master.client.clone();
    let mut next = async |replaces| {
        let created = client.create_file(begin(replaces)).await?;
        Ok::<_, Status>(created.into_inner().file_info.unwrap())
    };
    let (one, other) = (next(old.file_id).await.unwrap(), next(old.file_id).await.unwrap());
    let store = format!("file://{}", master.ufs("").display());
    let store = crate::ufs::open(&store, &Default::default()).unwrap();
    let mut written = Vec::new();
    for text in ["one", "two"] {
        // Beside one another, so that they are two files of the disk.
        master.put("new", text);
        std::fs::rename(master.ufs("new"), master.ufs("f")).unwrap();
        written.push(store.status("f").await.unwrap().version);
    }
    let complete = |info: &FileInfo, version: &str| CompleteFilePRequest {
        path: Some("/f".into()),
        inode_id: info.file_id,
        options: Some(CompleteFilePOptions {
            ufs_length: Some(3),
            ufs_version: Some(version.into()),
            replaces_id: old.file_id,
            ..Default::default()
        }),
    };
    let mut client = master.client.clone();
    let refused = client.complete_file(complete(&one, &written[0])).await;
    assert_eq!(kind(refused), ErrorKind::Changed);
    assert_eq!(master.status("/f").await.unwrap().file_id, old.file_id);
    client.complete_file(complete(&other, &written[1])).await.unwrap();
    let now = master.status("/f").await.unwrap();
    assert_eq!((now.file_id, now.ufs_fingerprint()), (other.file_id, written[1].as_str()));
    // Who comes too late is told before it writes anything; whose bytes are there has replaced them.
    assert_eq!(kind(next(old.file_id).await), ErrorKind::Changed);
    client.complete_file(complete(&one, &written[1])).await.unwrap();
    assert_eq!(master.status("/f").await.unwrap().file_id, one.file_id);
}

#[tokio::test]
async fn a_retry_is_answered_and_not_repeated_also_after_a_restart() {
    let mut master = Fixture::start().await;
    let operation = FsOpPId { most_significant_bits: Some(1), least_significant_bits: Some(-2) };
    let common =
        FileSystemMasterCommonPOptions { operation_id: Some(operation), ..Default::default() };
    let options = DeletePOptions { common_options: Some(common), ..Default::default() };
    master.write_through("/f", "x").await;
    master.remove("/f", options.clone()).await.unwrap();
    master.remove("/f", options.clone()).await.unwrap();
    master.make_dir("/kept").await.unwrap();
    let mut master = master.restart().await;
    master.remove("/f", options).await.unwrap();
    assert_eq!(kind(master.remove("/f", DeletePOptions::default()).await), ErrorKind::NotFound);
    assert!(master.status("/kept").await.unwrap().folder());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_whose_caller_leaves_is_carried_to_its_end() {
    const FILES: usize = 2_000;
    let mut master = Fixture::start().await;
    for n in 0..FILES {
        master.put(&format!("d/{n}"), "x");
    }
    assert_eq!(master.list("/d", LoadMetadataPType::Once).await.unwrap().len(), FILES);
    let dir = master.ufs("d");
    let left = || std::fs::read_dir(&dir).map_or(0, Iterator::count);
    let mut client = master.client.clone();
    let options = Some(DeletePOptions { recursive: Some(true), ..Default::default() });
    let request = DeletePRequest { path: Some("/d".into()), options };
    let call = tokio::spawn(async move { client.remove(request).await.map(drop) });
    while left() == FILES {
        assert!(!call.is_finished());
        tokio::task::yield_now().await;
    }
    call.abort();
    let gone = async {
        let known = LoadMetadataPType::Never;
        while master.status_as("/d", known).await.map_err(|e| from_status(&e).kind())
            != Err(ErrorKind::NotFound)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the tree has it no more");
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn what_cannot_be_freed_yet_keeps_nothing_else_from_expiring() {
    use futures::{StreamExt, stream};
    let interval = ("goosefs.master.ttl.checker.interval", "100ms");
    let mut master = Fixture::with(&[interval]).await;
    let stuck = stream::iter(0..1_010).for_each_concurrent(64, |n| {
        let mut client = master.client.clone();
        async move {
            let options = CreateFilePOptions {
                recursive: Some(true),
                write_type: Some(WritePType::MustCache as i32),
                ..Default::default()
            };
            let path = Some(format!("/stuck/{n}"));
            let request = CreateFilePRequest { path: path.clone(), options: Some(options) };
            let info = client.create_file(request).await.unwrap().into_inner().file_info.unwrap();
            let options = Some(CompleteFilePOptions { ufs_length: Some(0), ..Default::default() });
            let request = CompleteFilePRequest { path, options, inode_id: info.file_id };
            client.complete_file(request).await.unwrap();
        }
    });
    stuck.await;
    let mut ours = v1::file_system_client::FileSystemClient::new(master.channel.clone());
    let expire = |path: &str, action: v1::TtlAction| v1::SetAttributesRequest {
        path: path.into(),
        ttl_ms: Some(1),
        ttl_action: action as i32,
        recursive: true,
        ..Default::default()
    };
    ours.set_attributes(expire("/stuck", v1::TtlAction::Free)).await.unwrap();
    master.write_through("/last", "x").await;
    ours.set_attributes(expire("/last", v1::TtlAction::Delete)).await.unwrap();
    let gone = async {
        while master.ufs("last").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it has expired");
    assert!(master.status("/stuck/0").await.is_ok());
}

#[tokio::test]
async fn of_many_renames_to_one_name_one_succeeds() {
    let mut master = Fixture::start().await;
    for n in 0..8 {
        master.write_through(&format!("/src{n}"), "x").await;
    }
    let renames = (0..8).map(|n| {
        let mut client = master.client.clone();
        async move {
            let request = RenamePRequest {
                path: Some(format!("/src{n}")),
                dst_path: Some("/dst".into()),
                options: None,
            };
            client.rename(request).await.map(drop)
        }
    });
    let results = futures::future::join_all(renames).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let lost = results.into_iter().filter(Result::is_err).map(kind);
    assert!(lost.into_iter().all(|kind| kind == ErrorKind::AlreadyExists));
    assert_eq!(master.list("/", LoadMetadataPType::Always).await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_deleted_while_it_is_made_does_not_come_back() {
    let mut master = Fixture::start().await;
    for round in 0..20 {
        let path = format!("/d{round}");
        let (mut maker, mut deleter) = (master.client.clone(), master.client.clone());
        let through = CreateDirectoryPOptions {
            write_type: Some(WritePType::CacheThrough as i32),
            ..Default::default()
        };
        let make = CreateDirectoryPRequest { path: Some(path.clone()), options: Some(through) };
        let delete = async {
            let request = || DeletePRequest { path: Some(path.clone()), options: None };
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while deleter.remove(request()).await.is_err() {
                assert!(std::time::Instant::now() < deadline, "{path} is never there");
            }
        };
        let (made, ()) = tokio::join!(maker.create_directory(make), delete);
        made.unwrap();
        assert!(!master.ufs(&path[1..]).exists(), "{path} is in the store still");
        assert_eq!(kind(master.status(&path).await), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn mounts_are_checked_before_they_are_made() {
    let mut master = Fixture::start().await;
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("inner"), "data").unwrap();
    let mut mount = async |path: &str, ufs: &str, read_only: bool| {
        let options = MountPOptions { read_only: Some(read_only), ..Default::default() };
        let request = MountPRequest {
            goosefs_path: Some(path.into()),
            ufs_path: Some(ufs.into()),
            options: Some(options),
        };
        master.client.mount(request).await.map(drop)
    };
    let address = other.path().display().to_string();
    assert_eq!(kind(mount("/m", &format!("{address}/none"), false).await), ErrorKind::NotFound);
    assert_eq!(kind(mount("/m", "nope://x", false).await), ErrorKind::InvalidArgument);
    mount("/m", &address, true).await.unwrap();
    assert_eq!(kind(mount("/m", "/tmp", false).await), ErrorKind::AlreadyExists);
    assert_eq!(kind(mount("/n", &address, false).await), ErrorKind::InvalidArgument);
    assert_eq!(master.list("/m", LoadMetadataPType::Once).await.unwrap(), ["inner"]);
    assert_eq!(kind(master.create("/m/f", WritePType::MustCache).await), ErrorKind::ReadOnly);
    assert_eq!(
        kind(master.remove("/m/inner", DeletePOptions::default()).await),
        ErrorKind::ReadOnly
    );
    assert_eq!(kind(master.remove("/m", recursive()).await), ErrorKind::InvalidArgument);
    let unmount = UnmountPRequest { goosefs_path: Some("/m".into()), options: None };
    master.client.unmount(unmount).await.unwrap();
    assert_eq!(kind(master.status("/m").await), ErrorKind::NotFound);
    assert!(other.path().join("inner").exists());
}

#[tokio::test]
async fn a_store_that_is_gone_takes_nothing_known_away() {
    let mut master = Fixture::start().await;
    master.put("d/f", "x");
    assert_eq!(master.list("/d", LoadMetadataPType::Once).await.unwrap(), ["f"]);
    let away = master.dir.path().join("away");
    std::fs::rename(master.dir.path().join("ufs"), &away).unwrap();
    std::fs::write(master.dir.path().join("ufs"), "no directory").unwrap();
    assert_eq!(master.list("/d", LoadMetadataPType::Once).await.unwrap(), ["f"]);
    assert!(master.status("/d/f").await.is_ok());
}

mod workers {
    use super::*;
    use crate::core::proto::grpc::block::worker_manager_master_client_service_client::WorkerManagerMasterClientServiceClient;
    use crate::core::proto::grpc::block::worker_manager_master_worker_service_client::WorkerManagerMasterWorkerServiceClient;
    use crate::core::proto::grpc::block::*;
    use crate::core::proto::grpc::{CommandType, WorkerNetAddress};
    use crate::core::proto::v1::jobs_client::JobsClient;
    use crate::core::proto::v1::task::Kind;

    type Reports = WorkerManagerMasterWorkerServiceClient<Channel>;

    /// A worker that is only a voice.
    async fn register(master: &Fixture) -> (Reports, i64) {
        let mut reports = Reports::new(master.channel.clone());
        let address = WorkerNetAddress {
            host: Some("127.0.0.1".into()),
            rpc_port: Some(9203),
            ..Default::default()
        };
        let ask = GetWorkerIdPRequest { worker_net_address: Some(address), options: None };
        let id = reports.get_worker_id(ask).await.unwrap().into_inner().worker_id();
        let register = RegisterWorkerPRequest {
            worker_id: Some(id),
            capacity_bytes: Some(1 << 30),
            ..Default::default()
        };
        reports.register_worker(register).await.unwrap();
        (reports, id)
    }

    async fn beat(reports: &mut Reports, id: i64) -> BlockHeartbeatPResponse {
        let beat = BlockHeartbeatPRequest { worker_id: Some(id), ..Default::default() };
        reports.block_heartbeat(beat).await.unwrap().into_inner()
    }

    /// Waits for an answer to a heartbeat that `what` accepts.
    async fn told<T>(
        reports: &mut Reports,
        id: i64,
        what: impl Fn(BlockHeartbeatPResponse) -> Option<T>,
    ) -> T {
        for _ in 0..500 {
            if let Some(found) = what(beat(reports, id).await) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the worker was not told");
    }

    #[tokio::test]
    async fn workers_register_are_listed_and_told_what_to_drop() {
        let mut master = Fixture::start().await;
        let mut stranger = Reports::new(master.channel.clone());
        let command = beat(&mut stranger, 99).await.command.unwrap();
        assert_eq!(command.command_type(), CommandType::Register);

        let (mut reports, id) = register(&master).await;
        let mut asked = WorkerManagerMasterClientServiceClient::new(master.channel.clone());
        let list = asked.get_worker_info_list(GetWorkerInfoListPOptions {}).await.unwrap();
        let list = list.into_inner().worker_infos;
        assert_eq!(list[0].id(), id);
        assert_eq!(list[0].virtual_node_num, None);

        let info = master.create("/f", WritePType::MustCache).await.unwrap();
        master.complete(&info, 10).await.unwrap();
        master.remove("/f", DeletePOptions::default()).await.unwrap();
        let dropped = told(&mut reports, id, |answer| {
            answer.command.map(|command| command.data).filter(|data| !data.is_empty())
        });
        assert_eq!(dropped.await, [info.file_id() & !0xFF_FFFF]);
    }

    #[tokio::test]
    async fn blocks_of_a_complete_file_are_not_dropped_because_its_writer_thinks_that_it_failed() {
        let mut master = Fixture::start().await;
        let (mut reports, id) = register(&master).await;
        let complete = master.create("/complete", WritePType::MustCache).await.unwrap();
        master.complete(&complete, 10).await.unwrap();
        let given_up = master.create("/given-up", WritePType::MustCache).await.unwrap();
        let first = |info: &FileInfo| info.file_id() & !0xFF_FFFF;
        let block_ids = vec![first(&complete), first(&given_up)];
        master.client.remove_blocks(RemoveBlocksPRequest { block_ids }).await.unwrap();
        let dropped = told(&mut reports, id, |answer| {
            answer.command.map(|command| command.data).filter(|data| !data.is_empty())
        });
        assert_eq!(dropped.await, [first(&given_up)]);
    }

    #[tokio::test]
    async fn a_load_reaches_the_worker_and_ends_with_its_report() {
        let master = Fixture::start().await;
        for n in 0..20 {
            master.put(&format!("data/{}/f{n}", n % 3), "some bytes");
        }
        let (_, worker) = register(&master).await;
        let mut jobs = JobsClient::new(master.channel.clone());
        let load = v1::LoadJob { path: "/data".into(), replicas: 1, ..Default::default() };
        let kind = Some(v1::submit_job_request::Kind::Load(load));
        let job = jobs.submit(v1::SubmitJobRequest { kind }).await.unwrap().into_inner().id;
        let mut reports = Vec::new();
        let job = loop {
            let exchange = v1::ExchangeRequest {
                worker_id: worker,
                reports: std::mem::take(&mut reports),
                slots: 4,
                wait_ms: 50,
            };
            for task in jobs.exchange(exchange).await.unwrap().into_inner().tasks {
                let Some(Kind::Load(load)) = task.kind else { panic!("a load was asked for") };
                assert!(load.blocks.iter().all(|block| !block.version.is_empty()));
                reports.push(v1::TaskReport {
                    task_id: task.id,
                    job_id: task.job_id,
                    finished: true,
                    done: load.blocks.iter().map(|block| block.block_id).collect(),
                    bytes_done: load.blocks.iter().map(|block| block.length).sum(),
                    ..Default::default()
                });
            }
            let now = jobs.get(v1::GetJobRequest { id: job }).await.unwrap().into_inner();
            if now.ended_ms != 0 {
                break now;
            }
        };
        assert_eq!(job.state(), v1::JobState::Done, "{job:?}");
        assert_eq!((job.files_total, job.files_done, job.bytes_done), (20, 20, 200));
        let missing = v1::LoadJob { path: "/none".into(), ..Default::default() };
        let kind = Some(v1::submit_job_request::Kind::Load(missing));
        assert_eq!(
            super::kind(jobs.submit(v1::SubmitJobRequest { kind }).await),
            ErrorKind::NotFound
        );
    }

    /// What a worker reports that has done the first task it was given.
    fn done(answer: &v1::ExchangeResponse) -> v1::TaskReport {
        v1::TaskReport {
            task_id: answer.tasks[0].id,
            finished: true,
            version: "v1".into(),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn an_async_file_is_persisted_by_a_worker_and_then_told_of() {
        let mut master = Fixture::start().await;
        let (mut reports, worker) = register(&master).await;
        let info = master.create("/f", WritePType::AsyncThrough).await.unwrap();
        master.complete(&info, 3).await.unwrap();
        assert_eq!(master.status("/f").await.unwrap().persistence_state(), "TO_BE_PERSISTED");
        let mut jobs = JobsClient::new(master.channel.clone());
        let exchange =
            |reports| v1::ExchangeRequest { worker_id: worker, reports, slots: 1, wait_ms: 10_000 };
        let answer = jobs.exchange(exchange(Vec::new())).await.unwrap().into_inner();
        let Some(Kind::Persist(task)) = answer.tasks[0].kind.clone() else { panic!("{answer:?}") };
        assert_eq!(task.blocks[0].workers, ["127.0.0.1:9203"]);
        std::fs::write(task.ufs_path.strip_prefix("file://").unwrap(), "abc").unwrap();
        let report = done(&answer);
        jobs.exchange(v1::ExchangeRequest { slots: 0, wait_ms: 0, ..exchange(vec![report]) })
            .await
            .unwrap();
        // Noted after the answer: that may have to wait for others.
        let noted = async {
            loop {
                let info = master.status("/f").await.unwrap();
                if info.persistence_state() == "PERSISTED" {
                    return info;
                }
                tokio::task::yield_now().await;
            }
        };
        let info = tokio::time::timeout(Duration::from_secs(60), noted).await.unwrap();
        assert_eq!(info.ufs_fingerprint(), "v1");
        let moved =
            told(&mut reports, worker, |answer| answer.persisted_move_blocks.first().copied());
        assert_eq!(moved.await, info.block_ids[0]);
    }

    #[tokio::test]
    async fn what_a_worker_writes_of_a_file_that_has_gone_goes_with_what_has_its_name() {
        let mut master = Fixture::start().await;
        let (_, worker) = register(&master).await;
        let info = master.create("/f", WritePType::AsyncThrough).await.unwrap();
        master.complete(&info, 3).await.unwrap();
        let mut jobs = JobsClient::new(master.channel.clone());
        let exchange =
            |reports| v1::ExchangeRequest { worker_id: worker, reports, slots: 1, wait_ms: 10_000 };
        let answer = jobs.exchange(exchange(Vec::new())).await.unwrap().into_inner();
        master.remove("/f", DeletePOptions::default()).await.unwrap();
        let info = master.create("/f", WritePType::MustCache).await.unwrap();
        master.complete(&info, 5).await.unwrap();
        master.put("f", "abc");
        let report = done(&answer);
        jobs.exchange(v1::ExchangeRequest { slots: 0, wait_ms: 0, ..exchange(vec![report]) })
            .await
            .unwrap();
        assert_eq!(master.status("/f").await.unwrap().length(), 5);
        master.remove("/f", DeletePOptions::default()).await.unwrap();
        let gone = master.status_as("/f", LoadMetadataPType::Always).await;
        assert_eq!(super::kind(gone), ErrorKind::NotFound);
        let withdrawn = async {
            while master.ufs("f").exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), withdrawn).await.unwrap();
        let gone = master.status_as("/f", LoadMetadataPType::Always).await;
        assert_eq!(super::kind(gone), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn what_a_worker_writes_of_a_file_that_has_gone_is_not_taken_for_one_of_the_store() {
        let mut master = Fixture::start().await;
        let (_, worker) = register(&master).await;
        let info = master.create("/f", WritePType::AsyncThrough).await.unwrap();
        master.complete(&info, 3).await.unwrap();
        let mut jobs = JobsClient::new(master.channel.clone());
        let exchange =
            |reports| v1::ExchangeRequest { worker_id: worker, reports, slots: 1, wait_ms: 10_000 };
        let answer = jobs.exchange(exchange(Vec::new())).await.unwrap().into_inner();
        master.put("f", "abc");
        master.put("theirs", "abc");
        master.remove("/f", DeletePOptions::default()).await.unwrap();
        let looked = master.status_as("/f", LoadMetadataPType::Always).await;
        assert_eq!(super::kind(looked), ErrorKind::NotFound);
        assert_eq!(master.list("/", LoadMetadataPType::Always).await.unwrap(), ["theirs"]);
        // Its name is free.
        let next = master.create("/f", WritePType::MustCache).await.unwrap();
        master.complete(&next, 5).await.unwrap();
        master.remove("/f", DeletePOptions::default()).await.unwrap();
        let report = done(&answer);
        jobs.exchange(v1::ExchangeRequest { slots: 0, wait_ms: 0, ..exchange(vec![report]) })
            .await
            .unwrap();
        let withdrawn = async {
            while master.ufs("f").exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), withdrawn).await.unwrap();
        // From then on the store is believed again.
        master.put("f", "from others");
        let theirs = async {
            loop {
                match master.list("/", LoadMetadataPType::Always).await.unwrap() {
                    names if names == ["f", "theirs"] => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), theirs).await.unwrap();
    }
}
