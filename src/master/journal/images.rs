//! Images on their way to another master.
//!
//! A transfer that breaks goes on where it broke: the receiver keeps the frames it has, and the
//! sender keeps the view they come from, for a while. The receiver says how many it has and their
//! checksum; only when the sender had the same sum behind as many does it go on there.

use super::network::encode;
use super::raft::{Checkpoint, LogId};
use super::raft::{RaftSnapshot, RaftSnapshotMeta};
use crate::core::proto::v1;
use crate::master::state::image::{Image, Kept};
use crc32c::{crc32c, crc32c_append};
use openraft::storage::Snapshot;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tonic::Status;

/// How long an image whose transfer makes no progress is kept. As long
/// as it is, its view of the store keeps values that have been replaced from being dropped.
const KEPT: Duration = Duration::from_secs(120);

/// What both sides call an image: the same entries make the same state, and the same frames.
pub fn name_of(last: &Option<LogId>) -> Vec<u8> {
    encode(last)
}

/// An image on its way to another master.
pub struct Outgoing {
    image: Image,
    /// The checksum of so many of its frames, one behind the other.
    sums: Mutex<Vec<u32>>,
    progress: Mutex<Instant>,
}

impl Outgoing {
    /// None of it sent yet.
    pub fn new(image: Image) -> Arc<Outgoing> {
        let (sums, progress) = (Mutex::new(vec![0]), Mutex::new(Instant::now()));
        Arc::new(Outgoing { image, sums, progress })
    }

    /// Whether the frames that the receiver has are the first ones of this image.
    pub fn begins_with(&self, kept: &Kept) -> bool {
        let sums = self.sums.lock();
        usize::try_from(kept.frames).is_ok_and(|frames| sums.get(frames) == Some(&kept.sum))
    }

    /// Sends `header`, the frames behind those that are `kept`, and an end with the checksum of all,
    /// to the master with the number `to`. Waits for the disk.
    pub fn send(
        &self,
        header: v1::QuorumMessage,
        kept: Option<Kept>,
        to: u64,
        send: &Sender<v1::QuorumMessage>,
    ) -> Result<(), Status> {
        let gone = || Status::unavailable("the receiver has gone");
        let (mut frames, mut sum, after) =
            kept.map_or((0, 0, None), |kept| (kept.frames as usize, kept.sum, Some(kept.end)));
        send.blocking_send(header).map_err(|_| gone())?;
        for frame in self.image.frames_after(after) {
            let body = frame.map_err(|error| Status::internal(error.to_string()))?.bytes;
            frames += 1;
            sum = crc32c_append(sum, &body);
            let mut sums = self.sums.lock();
            if sums.len() == frames {
                sums.push(sum);
            }
            drop(sums);
            let message = v1::QuorumMessage { to, crc32c: crc32c(&body), body };
            send.blocking_send(message).map_err(|_| gone())?;
            *self.progress.lock() = Instant::now();
        }
        let end = v1::QuorumMessage { to, crc32c: sum, ..Default::default() };
        send.blocking_send(end).map_err(|_| gone())
    }
}

/// An image, up to where it goes.
type Broken = (RaftSnapshotMeta, Arc<Outgoing>);

/// The image whose transfer broke last. Clones share it.
#[derive(Clone, Default)]
pub struct Sending(Arc<Mutex<Option<Broken>>>);

impl Sending {
    /// Keeps an image whose transfer broke.
    pub fn keep(&self, meta: RaftSnapshotMeta, image: Arc<Outgoing>) {
        *self.0.lock() = Some((meta, image));
    }

    /// The image to go on with, if there is one.
    pub fn take(&self) -> Option<RaftSnapshot> {
        self.expire();
        let (meta, image) = self.0.lock().take()?;
        Some(Snapshot { meta, snapshot: Checkpoint::Image(image) })
    }

    /// Lets go of an image that has made no progress for too long.
    pub fn expire(&self) {
        self.0.lock().take_if(|(_, image)| image.progress.lock().elapsed() > KEPT);
    }
}
