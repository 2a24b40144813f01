//! What clients ask of the master at the same time, kept to what its memory may hold.
//!
//! With a memory budget (`goosefs.master.memory.budget`) a question about the tree, or a change of it,
//! waits for room: the budget, without the metastore's cache and write buffers, is shared out. What a
//! request takes it has until the last byte of its answer has gone to the kernel: HTTP/2 keeps up to
//! 400 KB of each answer that is read slowly. Where requests wait, a client that reads nothing of an
//! answer loses its connection, as there is no other way to have that memory back.
//!
//! What masters and workers tell each other never waits: who waits for room may depend on it. Nobody
//! who has room waits for another's, so there is no circle.

use crate::core::config;
use crate::core::error::Result;
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
const LONG_ANSWERS: [&str; 5] =
    ["/GetStatus", "/ListStatus", "/GetMountTable", "/Measure", "/MeasureMounts"];
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
    _room: OwnedSemaphorePermit,
    connection: Option<Cut>,
    begun: Instant,
    /// Milliseconds after `begun` at which its reader last took something; 0 while it is we whom the
    /// answer waits for.
    read_ms: AtomicU64,
}

impl Taken {
    fn at_work(&self) {
        self.read_ms.store(0, Ordering::Relaxed);
    }

    fn was_read(&self) {
        self.read_ms.store(milliseconds(self.begun), Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        let read = self.read_ms.load(Ordering::Relaxed);
        read > 0 && milliseconds(self.begun).saturating_sub(read) > STALLED_MS
    }
}

/// Since `begun`, and never 0.
fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
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
        self.taken.was_read();
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
                match admission.room(units).await {
                    Ok(room) => {
                        let taken = admission.take(room, request.extensions().get().cloned());
                        let (head, body) = next.run(request).await.into_parts();
                        taken.was_read();
                        Response::from_parts(head, Body::new(Answer { body, taken }))
                    }
                    Err(status) => status.into_http(),
                }
            }
        });
        Routes::from(routes.into_axum_router().layer(layer))
    }

    async fn room(&self, units: u32) -> std::result::Result<OwnedSemaphorePermit, Status> {
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

    fn take(&self, room: OwnedSemaphorePermit, connection: Option<Cut>) -> Arc<Taken> {
        let taken = Arc::new(Taken {
            _room: room,
            connection,
            begun: self.0.begun,
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

fn busy() -> Status {
    Status::unavailable(
        "the master has more requests than its memory may hold: try again; \
         goosefs.master.memory.budget bounds it",
    )
}
