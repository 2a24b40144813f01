//! What clients ask of the master at the same time, kept to what its memory may hold.
//!
//! With a memory budget (`goosefs.master.memory.budget`) a question about the tree, or a change of it,
//! waits for room: the budget, without the metastore's cache and write buffers, is shared out. What a
//! request takes it has until the last byte of its answer has gone to the kernel: HTTP/2 keeps up to
//! 400 KB of each answer that is read slowly. Where requests wait, a client that reads nothing of an
//! answer loses its connection, as there is no other way to have that memory back.
//!
//! What masters and workers tell each other never waits: who waits for room may depend on it. Nobody
//! who has room waits for another's, so there is no circle; who waits for its namespace's turn, for an under
//! store or for a lock does so without any.

use crate::core::config;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::rpc::Cut;
use crate::core::runtime::limits;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::service::Routes;

/// What room is counted in, in bytes.
const UNIT: u64 = 64 << 10;
/// What a question with a long answer may take: a page of a listing as the tree has it (1 KiB an entry),
/// as the message has it (2 KiB), and as it goes out (400 KiB, and as much that HTTP/2 keeps).
const LONG: u32 = 64;
/// What any other takes.
const SHORT: u32 = 4;
/// Those with long answers: entries of a directory, or the blocks of a file.
const LONG_ANSWERS: [&str; 6] = [
    "/GetStatus",
    "/GetStatusBatch",
    "/ListStatus",
    "/GetMountTable",
    "/Measure",
    "/MeasureMounts",
];
/// How long a question waits for room.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one that waits looks for answers that nobody reads.
const LOOK: Duration = Duration::from_secs(1);
/// How long the reader of an answer may read nothing while others wait.
const STALLED_MS: u64 = 10_000;
/// Questions that may wait for each long one that has room: the others are told to come again. Each
/// may have sent us 32 KiB, its window.
const WAITING: usize = 64;
/// What waits for room: these services.
const SERVICES: [&str; 2] = ["FileSystemMasterClientService/", "v1.FileSystem/"];
/// But not these methods of them: a stream that never ends, and what workers say.
const OTHERS: [&str; 4] = ["/Watch", "/CheckFiles", "/GetPins", "/MovedBlocks"];

tokio::task_local! {
    /// What the request that is being answered takes.
    static TAKEN: Arc<Taken>;
}

/// Lets in as many as there is memory for. Clones share it.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    begun: Instant,
    /// Those that have room; some have ended.
    taken: Mutex<Vec<Weak<Taken>>>,
}

/// What one request takes, until its answer and everything of it on the way are gone.
#[derive(Debug)]
struct Taken {
    /// None while the request waits for something else.
    room: Mutex<Option<OwnedSemaphorePermit>>,
    units: u32,
    admission: Admission,
    connection: Option<Cut>,
    /// Milliseconds of the admission's life at which its reader last took something; 0 while it is we
    /// whom the answer waits for.
    read_ms: AtomicU64,
}

impl Taken {
    fn at_work(&self) {
        self.read_ms.store(0, Ordering::Relaxed);
    }

    fn was_read(&self) {
        self.read_ms.store(self.admission.now_ms(), Ordering::Relaxed);
    }

    /// A part has gone. It does not tell that its reader is to read on: there may be nothing yet.
    fn has_gone(&self) {
        let now = self.admission.now_ms();
        let unless_at_work = |read| (read > 0).then_some(now);
        self.read_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unless_at_work).ok();
    }

    fn is_stalled(&self) -> bool {
        let read = self.read_ms.load(Ordering::Relaxed);
        read > 0 && self.admission.now_ms().saturating_sub(read) > STALLED_MS
    }
}

/// A part of an answer on its way.
struct Part {
    bytes: Bytes,
    taken: Arc<Taken>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.taken.has_gone();
    }
}

/// An answer whose parts hold what it takes.
struct Answer {
    body: Body,
    taken: Arc<Taken>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(task);
        match polled.is_pending() {
            true => self.taken.at_work(),
            false => self.taken.was_read(),
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| Bytes::from_owner(Part { bytes, taken: self.taken.clone() }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nothing is worked on any more; what is left of it is on its way.
        self.taken.was_read();
    }
}

/// One that waits, counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that questions may take; none where nothing bounds them.
///
/// # Errors
/// `InvalidArgument` for a budget that cannot hold its parts.
pub fn share(config: &config::Master) -> Result<Option<u64>> {
    config.check_memory()?;
    let budget = match config.memory_budget.0 {
        0 => limits::memory().map(|limit| limit / 2),
        budget => Some(budget),
    };
    // In a small container without a word about it: as good as it gets.
    let least = config.least_memory() - config.metastore_memory();
    Ok(budget.map(|budget| budget.saturating_sub(config.metastore_memory()).max(least)))
}

impl Admission {
    /// Lets in as many as `bytes` hold.
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX);
        let units = units.clamp(LONG as usize, Semaphore::MAX_PERMITS);
        let at_once = units / LONG as usize;
        limits::give_memory_back();
        tracing::info!(bytes, at_once, "memory is bounded");
        Admission(Arc::new(Shared {
            room: Arc::new(Semaphore::new(units)),
            waiting: AtomicUsize::new(0),
            most_waiting: at_once.saturating_mul(WAITING),
            begun: Instant::now(),
            taken: Mutex::default(),
        }))
    }

    /// Has what asks about the tree in `routes` wait for room.
    pub fn guard(self, routes: Routes) -> Routes {
        let layer = axum::middleware::from_fn(move |request: Request, next: Next| {
            let admission = self.clone();
            async move {
                let Some(units) = units_of(request.uri().path()) else {
                    return next.run(request).await;
                };
                let room = match admission.room(units).await {
                    Ok(room) => room,
                    Err(error) => return Status::from(error).into_http(),
                };
                let taken = admission.take(room, units, request.extensions().get().cloned());
                let answer = TAKEN.scope(taken.clone(), next.run(request)).await;
                let (head, body) = answer.into_parts();
                taken.was_read();
                Response::from_parts(head, Body::new(Answer { body, taken }))
            }
        });
        Routes::from(routes.into_axum_router().layer(layer))
    }

    /// Since it began, and never 0.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    async fn room(&self, units: u32) -> Result<OwnedSemaphorePermit> {
        let shared = &self.0;
        if let Ok(room) = shared.room.clone().try_acquire_many_owned(units) {
            return Ok(room);
        }
        let waiting = Waiting(&shared.waiting);
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= shared.most_waiting {
            return Err(busy());
        }
        // One place in the queue, however often it looks.
        let room = shared.room.clone().acquire_many_owned(units);
        tokio::pin!(room);
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            if let Ok(room) = tokio::time::timeout(LOOK, &mut room).await {
                drop(waiting);
                return room.map_err(|_| busy());
            }
            self.cut_stalled();
        }
        Err(busy())
    }

    fn take(&self, room: OwnedSemaphorePermit, units: u32, connection: Option<Cut>) -> Arc<Taken> {
        let taken = Arc::new(Taken {
            room: Mutex::new(Some(room)),
            units,
            admission: self.clone(),
            connection,
            read_ms: AtomicU64::new(0),
        });
        let mut all = self.0.taken.lock();
        if all.len() == all.capacity() {
            all.retain(|one| one.strong_count() > 0);
            let room = all.len().max(64);
            all.reserve(room);
        }
        all.push(Arc::downgrade(&taken));
        taken
    }

    /// Ends the connections of those who read nothing of what they asked for.
    fn cut_stalled(&self) {
        let all: Vec<_> = self.0.taken.lock().iter().filter_map(Weak::upgrade).collect();
        for stalled in all.iter().filter(|taken| taken.is_stalled()) {
            if let Some(connection) = &stalled.connection {
                tracing::warn!("a client does not read what it asked for: ending its connection");
                connection.now();
            }
        }
    }
}

/// What a request takes; none for one that never waits.
fn units_of(path: &str) -> Option<u32> {
    let asks_of_the_tree = SERVICES.iter().any(|service| path.contains(service));
    if !asks_of_the_tree || OTHERS.iter().any(|method| path.ends_with(method)) {
        return None;
    }
    let long = LONG_ANSWERS.iter().any(|method| path.ends_with(method));
    Some(if long { LONG } else { SHORT })
}

/// What the request that is being answered takes, if anything bounds it.
pub struct Room(Option<Arc<Taken>>);

impl Room {
    /// That of the request whose handler asks.
    pub fn of_this_request() -> Self {
        Room(TAKEN.try_with(Arc::clone).ok())
    }

    /// Waits for something without the room meanwhile, unless it is there at once.
    ///
    /// # Errors
    /// `Unavailable` when there is no room afterwards.
    pub async fn aside<T>(&self, wait: impl Future<Output = T>) -> Result<T> {
        let mut wait = std::pin::pin!(wait);
        if let Poll::Ready(done) = futures::poll!(&mut wait) {
            return Ok(done);
        }
        let Some(taken) = &self.0 else { return Ok(wait.await) };
        drop(taken.room.lock().take());
        let done = wait.await;
        let room = taken.admission.room(taken.units).await?;
        *taken.room.lock() = Some(room);
        Ok(done)
    }
}

/// The same for the request whose handler asks.
///
/// # Errors
/// As [`Room::aside`].
pub async fn aside<T>(wait: impl Future<Output = T>) -> Result<T> {
    Room::of_this_request().aside(wait).await
}

fn busy() -> Error {
    let text = "the master has more requests than its memory may hold: try again; \
                goosefs.master.memory.budget bounds it";
    Error::new(ErrorKind::Unavailable, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn small() -> Admission {
        Admission::new(UNIT * u64::from(LONG))
    }

    #[tokio::test]
    async fn one_that_waits_for_its_turn_elsewhere_leaves_its_room_to_others() {
        let admission = small();
        let taken = admission.take(admission.room(LONG).await.unwrap(), LONG, None);
        assert!(admission.0.room.clone().try_acquire_owned().is_err(), "all is taken");
        let (go_on, told) = tokio::sync::oneshot::channel::<()>();
        let waits = tokio::spawn(TAKEN.scope(taken.clone(), async { aside(told).await.is_ok() }));
        let other = admission.room(LONG).await.unwrap();
        go_on.send(()).unwrap();
        drop(other);
        assert!(waits.await.unwrap());
        assert!(admission.0.room.clone().try_acquire_owned().is_err(), "it has its room again");
        drop(taken);
        assert!(admission.room(LONG).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_holds_its_room_until_its_last_byte_is_gone() {
        let admission = small();
        let taken = admission.take(admission.room(LONG).await.unwrap(), LONG, None);
        let mut answer = Answer { body: Body::from("bytes"), taken };
        let frame = std::future::poll_fn(|task| Pin::new(&mut answer).poll_frame(task)).await;
        let bytes = frame.unwrap().unwrap().into_data().unwrap();
        drop(answer);
        assert!(admission.0.room.clone().try_acquire_owned().is_err(), "{bytes:?}");
        drop(bytes);
        assert!(admission.0.room.clone().try_acquire_many_owned(LONG).is_ok());
    }

    #[tokio::test]
    async fn who_has_read_all_there_is_and_waits_for_us_is_not_taken_for_one_that_reads_nothing() {
        let admission = small();
        let taken = admission.take(admission.room(LONG).await.unwrap(), LONG, None);
        let first = futures::stream::once(async { Ok::<_, Status>(Bytes::from("first")) });
        let body = Body::from_stream(first.chain(futures::stream::pending()));
        let mut answer = Answer { body, taken: taken.clone() };
        let read = || taken.read_ms.load(Ordering::Relaxed);
        let frame = std::future::poll_fn(|task| Pin::new(&mut answer).poll_frame(task)).await;
        let first = frame.unwrap().unwrap().into_data().unwrap();
        assert_ne!(read(), 0, "it is the reader's turn");
        let next = std::future::poll_fn(|task| Pin::new(&mut answer).poll_frame(task));
        assert!(futures::poll!(std::pin::pin!(next)).is_pending());
        assert_eq!(read(), 0, "it is ours");
        drop(first);
        assert_eq!(read(), 0, "it still is");
        drop(answer);
        assert_ne!(read(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_to_come_again_in_the_end_and_at_once_where_many_wait() {
        let admission = small();
        let room = admission.room(LONG).await.unwrap();
        assert_eq!(admission.room(SHORT).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.room(SHORT).await.is_ok() })
            })
            .collect();
        while admission.0.waiting.load(Ordering::Relaxed) < WAITING {
            tokio::task::yield_now().await;
        }
        let before = tokio::time::Instant::now();
        assert!(admission.room(SHORT).await.is_err());
        assert_eq!(before.elapsed(), Duration::ZERO, "it was told at once");
        drop(room);
        for one in waiting {
            assert!(one.await.unwrap());
        }
    }
}
