//! A stream to several workers at the same time: the copies of one block, or one file on its way
//! to the under store.
//!
//! A worker that fails is replaced by the next candidate as long as all that was written is still
//! held here; beyond that it is given up, and the write fails when fewer copies are left than must
//! succeed. Where memory has a bound, nothing is held of a stream that finds no room for it: it fails
//! where it would have been given to another worker.

use super::super::context::Context;
use super::super::memory::{Turn, carrying};
use super::call::Failure;
use super::upload::Upload;
use crate::core::error::{Error, ErrorKind, Result, unavailable};
use crate::core::model::{WorkerId, WorkerInfo};
use crate::core::proto::grpc::block::WriteRequestCommand;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that are held so that another worker can be given them.
const HELD: u64 = 16 << 20;

/// How many copies, and of those how many must succeed.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wanted {
    pub(in super::super) copies: usize,
    pub(in super::super) least: usize,
}

/// The copies of one stream. Dropping it discards them all.
pub(in super::super) struct Copies {
    context: Arc<Context>,
    command: WriteRequestCommand,
    candidates: VecDeque<WorkerInfo>,
    /// Workers that were given a second try, on a new connection.
    retried: Vec<WorkerId>,
    wanted: Wanted,
    open: Vec<(WorkerInfo, Upload)>,
    /// What was sent, as long as it is little.
    held: Option<Vec<(Bytes, Turn)>>,
    sent: u64,
    /// What a worker that committed says it wrote.
    version: Option<String>,
    failures: Vec<Error>,
}

impl Copies {
    /// Opens streams to the first `wanted.copies` candidates.
    pub(in super::super) fn open(
        context: &Arc<Context>,
        command: WriteRequestCommand,
        candidates: Vec<WorkerInfo>,
        wanted: Wanted,
    ) -> Self {
        let mut copies = Copies {
            context: context.clone(),
            command,
            candidates: candidates.into(),
            retried: Vec::new(),
            wanted,
            open: Vec::new(),
            held: Some(Vec::new()),
            sent: 0,
            version: None,
            failures: Vec::new(),
        };
        while copies.open.len() < wanted.copies {
            let Some(worker) = copies.candidates.pop_front() else { break };
            copies.start(worker);
        }
        copies
    }

    /// Bytes written so far.
    pub(in super::super) fn length(&self) -> u64 {
        self.sent
    }

    /// All that was written, where it is still held here.
    pub(in super::super) fn held(&self) -> Option<Vec<(Bytes, Turn)>> {
        self.held.clone()
    }

    /// The version that was written to the under store, once committed, where that was asked for.
    pub(in super::super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Writes one chunk, which has `turn` until it is sent; waits while the workers are slower than we are.
    ///
    /// # Errors
    /// What the last worker failed with, when too few are left.
    pub(in super::super) async fn write(&mut self, chunk: Bytes, turn: Turn) -> Result<()> {
        let mut failed = Vec::new();
        let carried = carrying(chunk.clone(), turn);
        for (index, (_, upload)) in self.open.iter_mut().enumerate() {
            if let Err(failure) = upload.write(carried.clone()).await {
                failed.push((index, failure));
            }
        }
        drop(carried);
        self.sent += chunk.len() as u64;
        self.hold(chunk);
        let mut failed = failed.into_iter().peekable();
        let failed =
            self.take_failed(|index| failed.next_if(|(at, _)| *at == index).map(|(_, f)| f));
        self.replace(failed).await
    }

    fn hold(&mut self, chunk: Bytes) {
        let Some(held) = self.held.as_mut().filter(|_| self.sent <= HELD) else {
            return self.held = None;
        };
        match self.context.memory.hold(chunk.len() as u64) {
            Some(turn) => held.push((chunk, turn)),
            None => self.held = None,
        }
    }

    /// Waits until everything so far is durable and visible at every copy.
    pub(in super::super) async fn flush(&mut self) -> Result<()> {
        loop {
            let flushes = self.open.iter_mut().map(|(_, upload)| upload.flush());
            let results = futures::future::join_all(flushes).await;
            if results.iter().all(Result::is_ok) {
                return self.enough();
            }
            let mut results = results.into_iter();
            let failed = self.take_failed(|_| results.next().and_then(Result::err));
            self.replace(failed).await?;
        }
    }

    /// Asks all workers to commit. Wait for their answers with [`Copies::committed`]: meanwhile
    /// the next block can be written.
    pub(in super::super) async fn end(&mut self) {
        for index in (0..self.open.len()).rev() {
            if let Err(failure) = self.open[index].1.end().await {
                let (worker, _) = self.open.remove(index);
                self.note(&worker, failure);
            }
        }
    }

    /// Waits until the workers that were asked to commit have done so; one that failed is replaced
    /// if that is still possible. Returns those that committed.
    ///
    /// # Errors
    /// What the last worker failed with, when too few committed.
    pub(in super::super) async fn committed(&mut self) -> Result<Vec<WorkerId>> {
        let mut holders = self.answers().await;
        while holders.len() < self.wanted.copies {
            self.replace_one().await;
            if self.open.is_empty() {
                break;
            }
            self.end().await;
            holders.extend(self.answers().await);
        }
        if holders.len() < self.wanted.least {
            return Err(self.too_few(holders.len()));
        }
        Ok(holders)
    }

    async fn answers(&mut self) -> Vec<WorkerId> {
        let waits = std::mem::take(&mut self.open).into_iter().map(|(worker, upload)| async move {
            let result = upload.committed().await;
            (worker, result)
        });
        let mut holders = Vec::new();
        for (worker, result) in futures::future::join_all(waits).await {
            match result {
                Ok(version) => {
                    self.version = version;
                    holders.push(worker.id);
                }
                Err(failure) => self.note(&worker, failure),
            }
        }
        holders
    }

    /// Takes out the copies for which `failure` tells one; how many went.
    fn take_failed(&mut self, mut failure: impl FnMut(usize) -> Option<Failure>) -> usize {
        let mut kept = Vec::new();
        let before = self.open.len();
        for (index, (worker, upload)) in std::mem::take(&mut self.open).into_iter().enumerate() {
            match failure(index) {
                Some(failure) => self.note(&worker, failure),
                None => kept.push((worker, upload)),
            }
        }
        self.open = kept;
        before - self.open.len()
    }

    /// Starts as many new copies as failed, with all that was sent so far, where that is possible.
    async fn replace(&mut self, failed: usize) -> Result<()> {
        for _ in 0..failed {
            self.replace_one().await;
        }
        self.enough()
    }

    async fn replace_one(&mut self) {
        let Some(held) = self.held() else { return };
        while let Some(worker) = self.candidates.pop_front() {
            let mut upload = Upload::open(&self.context, &worker, self.command.clone());
            match resend(&mut upload, &held).await {
                Ok(()) => return self.open.push((worker, upload)),
                Err(failure) => self.note(&worker, failure),
            }
        }
    }

    fn start(&mut self, worker: WorkerInfo) {
        let upload = Upload::open(&self.context, &worker, self.command.clone());
        self.open.push((worker, upload));
    }

    fn note(&mut self, worker: &WorkerInfo, failure: Failure) {
        if failure.stale() && !self.retried.contains(&worker.id) {
            self.retried.push(worker.id);
            self.candidates.push_front(worker.clone());
        } else if failure.unreachable {
            self.context.mark_failed(worker.id);
        }
        let error = failure.error.context(format_args!("worker {}", worker.address));
        tracing::debug!(%error, "writing");
        self.failures.push(error);
    }

    fn enough(&mut self) -> Result<()> {
        if self.open.len() >= self.wanted.least {
            return Ok(());
        }
        Err(self.too_few(self.open.len()))
    }

    fn too_few(&self, reached: usize) -> Error {
        let causes: Vec<String> = self.failures.iter().map(Error::to_string).collect();
        let Some(last) = self.failures.last() else {
            return unavailable(format!(
                "{} copies are wanted and {reached} workers take writes: start another",
                self.wanted.least
            ));
        };
        // No room anywhere is what callers can act on; a worker that is away besides is not.
        let full = self.failures.iter().all(|e| e.kind() == ErrorKind::ResourceExhausted);
        let kind = if full { ErrorKind::ResourceExhausted } else { last.kind() };
        Error::new(kind, format!("no worker took it: {}", causes.join("; ")))
    }
}

async fn resend(upload: &mut Upload, held: &[(Bytes, Turn)]) -> Result<(), Failure> {
    for (chunk, turn) in held {
        upload.write(carrying(chunk.clone(), turn.clone())).await?;
    }
    Ok(())
}
