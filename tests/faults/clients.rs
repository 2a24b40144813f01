//! Clients at work on a few names at once, who write down what they ask for and what they are told.
//!
//! The names are in groups, each a directory; when a group has seen enough, everyone goes on to the
//! next one, so that histories stay short enough to be checked. A client that was told nothing it can
//! rely upon goes on to the next one too: what it asked for may still be done, much later.
//!
//! What is made bears a token that no other thing in its group ever has, in an attribute that it is
//! made with: so one thing is told from the next under the same name, and found twice if it is made
//! twice.

use super::history::{Answer, Event, Identities, NAMES, Name, Op, Token};
use goosefs::client::{CreateDirOptions, CreateOptions, DeleteOptions, FileSystem};
use goosefs::core::error::{Error, ErrorKind, Result};
use goosefs::core::model::{FsPath, Status, WriteType};
use rand::Rng;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Events after which a group has seen enough.
const ENOUGH: usize = 150;
/// The smallest block size of a file, to which its token is added.
const BLOCK: u64 = 1 << 20;
/// The longest that a client thinks between two operations, in milliseconds.
const THINK_MS: u64 = 8;
/// How long a client leaves alone what told it nothing.
const REST: Duration = Duration::from_millis(100);
/// How long a client that is told to stop may take.
const END: Duration = Duration::from_secs(60);

/// What is made in a group, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Files and directories of the tree alone; files bear their token as block size, directories
    /// as permission bits.
    Tree,
    /// Directories of the under store too, so that changes take several steps.
    Through,
    /// Files written to a worker and the under store; the token is their length. For one client at
    /// a time: a file is there before it is whole.
    Written,
}

impl Kind {
    /// The tokens there are.
    fn tokens(self) -> Token {
        match self {
            Kind::Tree => 0o777,
            Kind::Through => 0o77,
            Kind::Written => Token::MAX,
        }
    }

    fn token(self, status: &Status) -> u64 {
        match (self, status.folder) {
            (Kind::Tree, false) => status.block_size - BLOCK,
            (Kind::Tree, true) => u64::from(status.mode & 0o777),
            (Kind::Through, _) => u64::from(status.mode & 0o77),
            (Kind::Written, _) => status.length,
        }
    }
}

/// A directory in which clients meet, and its history.
pub struct Group {
    kind: Kind,
    dir: FsPath,
    tokens: AtomicU16,
    events: Mutex<Vec<Event>>,
    identities: Mutex<Identities>,
}

impl Group {
    fn new(kind: Kind, number: usize) -> Arc<Group> {
        let dir = FsPath::parse(&format!("/{kind:?}-{number}")).unwrap();
        let (tokens, events, identities) = Default::default();
        Arc::new(Group { kind, dir, tokens, events, identities })
    }

    /// Where it is.
    pub fn dir(&self) -> &FsPath {
        &self.dir
    }

    /// What is made in it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// All that happened in it.
    pub fn history(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    fn path(&self, name: Name) -> FsPath {
        self.dir.join(&name.to_string()).unwrap()
    }

    /// Something to do.
    fn choose(&self) -> Op {
        let mut random = rand::rng();
        let name = random.random_range(0..NAMES);
        let other = (name + random.random_range(1..NAMES)) % NAMES;
        match random.random_range(0..100) {
            0..35 => match self.tokens.fetch_add(1, Ordering::Relaxed) + 1 {
                token if token <= self.kind.tokens() => Op::Create(name, token),
                _ => Op::List,
            },
            35..50 => Op::Rename(name, other),
            50..70 => Op::Delete(name),
            70..90 => Op::Stat(name),
            _ => Op::List,
        }
    }

    async fn create(&self, files: &FileSystem, path: &FsPath, token: Token) -> Result<()> {
        if self.kind == Kind::Through || (self.kind == Kind::Tree && token % 2 == 1) {
            let (high, write_type) = match self.kind {
                Kind::Tree => (0, WriteType::MustCache),
                _ => (0o700, WriteType::CacheThrough),
            };
            let options = CreateDirOptions {
                recursive: true,
                mode: Some(high | u32::from(token)),
                write_type: Some(write_type),
                ..Default::default()
            };
            return files.create_dir(path, &options).await;
        }
        let (block_size, write_type) = match self.kind {
            Kind::Written => (None, WriteType::Through),
            _ => (Some(BLOCK + u64::from(token)), WriteType::MustCache),
        };
        let write_type = Some(write_type);
        let options =
            CreateOptions { recursive: true, block_size, write_type, ..Default::default() };
        let mut writer = files.create(path, &options).await?;
        if self.kind == Kind::Written {
            writer.write(vec![token as u8; usize::from(token)]).await?;
            return writer.finish().await;
        }
        // A writer that is dropped removes its file.
        std::mem::forget(writer);
        Ok(())
    }

    /// Which thing `status` is, if it is one that can be here.
    fn identify(&self, status: &Status) -> Result<Token, String> {
        let token = self.kind.token(status);
        let known =
            Token::try_from(token).ok().filter(|token| (1..=self.kind.tokens()).contains(token));
        let token = known.ok_or_else(|| format!("nobody made {status:?}"))?;
        match self.identities.lock().unwrap().agree(token, status.id.0) {
            true => Ok(token),
            false => Err(format!("made twice: {status:?}")),
        }
    }

    /// What is under each name.
    pub async fn list(&self, files: &FileSystem) -> Result<Result<[Option<Token>; NAMES], String>> {
        let mut all = [None; NAMES];
        let listed = match files.list(&self.dir, &Default::default()).await {
            // It comes with the first thing in it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ok(all)),
            listed => listed?,
        };
        for status in listed {
            let name = status.path.name().parse::<Name>().ok().filter(|name| *name < NAMES);
            match (name, self.identify(&status)) {
                (Some(name), Ok(token)) => all[name] = Some(token),
                (None, _) => return Ok(Err(format!("nobody made {status:?}"))),
                (_, Err(wrong)) => return Ok(Err(wrong)),
            }
        }
        Ok(Ok(all))
    }

    /// Does it. An error within says that the answer can never be right.
    async fn act(&self, files: &FileSystem, op: Op) -> Result<Result<Answer, String>> {
        let answer = match op {
            Op::Create(name, token) => {
                self.create(files, &self.path(name), token).await.map(|()| Answer::Done)
            }
            Op::Rename(from, to) => {
                files.rename(&self.path(from), &self.path(to)).await.map(|()| Answer::Done)
            }
            Op::Delete(name) => {
                // A directory that nobody puts anything into.
                let options = DeleteOptions::default();
                files.delete(&self.path(name), &options).await.map(|()| Answer::Done)
            }
            Op::Stat(name) => match files.status(&self.path(name)).await {
                Ok(status) => match self.identify(&status) {
                    Ok(token) => Ok(Answer::Is(Some(token))),
                    Err(wrong) => return Ok(Err(wrong)),
                },
                Err(error) => Err(error),
            },
            Op::List => match self.list(files).await? {
                Ok(all) => Ok(Answer::All(all)),
                Err(wrong) => return Ok(Err(wrong)),
            },
        };
        answer.or_else(|error| refusal(op, error)).map(Ok)
    }
}

/// What a refusal says of the tree; the error itself when that is nothing.
fn refusal(op: Op, error: Error) -> Result<Answer> {
    match (op, error.kind()) {
        (Op::Create(..) | Op::Rename(..), ErrorKind::AlreadyExists) => Ok(Answer::Exists),
        (Op::Rename(..) | Op::Delete(..), ErrorKind::NotFound) => Ok(Answer::Missing),
        (Op::Stat(..), ErrorKind::NotFound) => Ok(Answer::Is(None)),
        _ => Err(error),
    }
}

/// Whether an error says nothing of the tree: nobody knows what came of the operation.
fn is_unknown(op: Op, error: &Error) -> bool {
    let kind = error.kind();
    // Made, and removed by another client before the answer that was lost could be told again.
    let gone = matches!(op, Op::Create(..)) && kind == ErrorKind::NotFound;
    let told = [ErrorKind::Cancelled, ErrorKind::ResourceExhausted, ErrorKind::Unauthenticated];
    gone || kind.is_transient() || told.contains(&kind)
}

/// What clients and those who watch them share.
pub struct Shared {
    stop: AtomicBool,
    start: Instant,
    /// Operations that were answered.
    pub answered: AtomicUsize,
    /// Operations that were not.
    pub unknown: AtomicUsize,
    longest_ms: AtomicU64,
    groups: Mutex<Vec<Arc<Group>>>,
    /// Answers that can never be right.
    wrong: Mutex<Vec<String>>,
}

impl Shared {
    fn group(&self, kind: Kind) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap();
        let group = Group::new(kind, groups.len());
        groups.push(group.clone());
        group
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// Where some clients are at work now.
struct Lane {
    shared: Arc<Shared>,
    group: Mutex<Arc<Group>>,
}

impl Lane {
    fn new(shared: &Arc<Shared>, kind: Kind) -> Arc<Lane> {
        let group = Mutex::new(shared.group(kind));
        Arc::new(Lane { shared: shared.clone(), group })
    }

    fn current(&self) -> Arc<Group> {
        self.group.lock().unwrap().clone()
    }

    /// Everyone goes on from `group`, if nobody has said so yet.
    fn leave(&self, group: &Arc<Group>) {
        let mut current = self.group.lock().unwrap();
        if Arc::ptr_eq(&current, group) {
            *current = self.shared.group(group.kind);
        }
    }

    async fn work(self: Arc<Self>, client: usize, files: FileSystem) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let group = self.current();
            if !self.turn(client, &files, &group).await {
                self.leave(&group);
                tokio::time::sleep(REST).await;
            }
            let think = rand::rng().random_range(0..=THINK_MS);
            tokio::time::sleep(Duration::from_millis(think)).await;
        }
    }

    /// One operation; whether it was answered.
    async fn turn(&self, client: usize, files: &FileSystem, group: &Arc<Group>) -> bool {
        let shared = &self.shared;
        let op = group.choose();
        let start_ns = shared.now_ns();
        let answer = group.act(files, op).await;
        let end_ns = shared.now_ns();
        let took_ms = (end_ns - start_ns) / 1_000_000;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(wrong)) => {
                shared.wrong.lock().unwrap().push(format!("{op:?} in {}: {wrong}", group.dir));
                Answer::Unknown
            }
            Err(error) if is_unknown(op, &error) => Answer::Unknown,
            Err(error) => {
                let wrong = format!("{op:?} in {}: {:?} {error}", group.dir, error.kind());
                shared.wrong.lock().unwrap().push(wrong);
                Answer::Unknown
            }
        };
        shared.longest_ms.fetch_max(took_ms, Ordering::Relaxed);
        let known = answer != Answer::Unknown;
        let count = if known { &shared.answered } else { &shared.unknown };
        count.fetch_add(1, Ordering::Relaxed);
        let mut events = group.events.lock().unwrap();
        // A question that nobody answered has changed nothing.
        if known || !matches!(op, Op::Stat(_) | Op::List) {
            events.push(Event { client, op, answer, start_ns, end_ns });
        }
        let enough = events.len() >= ENOUGH;
        drop(events);
        if enough {
            self.leave(group);
        }
        known
    }
}

/// Clients at work, until they are told to stop.
pub struct Clients {
    pub shared: Arc<Shared>,
    tree: Arc<Lane>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

/// What clients have seen.
pub struct Seen {
    pub groups: Vec<Arc<Group>>,
    pub wrong: Vec<String>,
    pub answered: usize,
    pub unknown: usize,
    pub longest: Duration,
}

impl Clients {
    /// Ten of them, each with a connection of its own: four meet in the tree, four in the under
    /// store, and two write files, if there is a worker.
    pub fn start(
        runtime: &tokio::runtime::Runtime,
        connect: impl Fn() -> FileSystem,
        written: bool,
    ) -> Clients {
        let shared = Arc::new(Shared {
            stop: Default::default(),
            start: Instant::now(),
            answered: Default::default(),
            unknown: Default::default(),
            longest_ms: Default::default(),
            groups: Default::default(),
            wrong: Default::default(),
        });
        let (tree, through) = (Lane::new(&shared, Kind::Tree), Lane::new(&shared, Kind::Through));
        let mut clients = Clients { shared: shared.clone(), tree: tree.clone(), clients: vec![] };
        let mut lanes = Vec::new();
        for _ in 0..4 {
            lanes.extend([tree.clone(), through.clone()]);
        }
        if written {
            lanes.extend((0..2).map(|_| Lane::new(&shared, Kind::Written)));
        }
        for lane in lanes {
            clients.spawn(runtime, lane, connect());
        }
        clients
    }

    fn spawn(&mut self, runtime: &tokio::runtime::Runtime, lane: Arc<Lane>, files: FileSystem) {
        let client = self.clients.len();
        self.clients.push(runtime.spawn(lane.work(client, files)));
    }

    /// One more client among those in the tree.
    pub fn add(&mut self, runtime: &tokio::runtime::Runtime, files: FileSystem) {
        self.spawn(runtime, self.tree.clone(), files);
    }

    /// Stops them; what they have seen.
    pub fn end(self, runtime: &tokio::runtime::Runtime) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            let ended = runtime.block_on(async { tokio::time::timeout(END, client).await });
            ended.expect("a client ends").expect("a client does not panic");
        }
        let shared = self.shared;
        Seen {
            groups: std::mem::take(&mut *shared.groups.lock().unwrap()),
            wrong: std::mem::take(&mut *shared.wrong.lock().unwrap()),
            answered: shared.answered.load(Ordering::Relaxed),
            unknown: shared.unknown.load(Ordering::Relaxed),
            longest: Duration::from_millis(shared.longest_ms.load(Ordering::Relaxed)),
        }
    }
}
