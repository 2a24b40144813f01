//! The way to the primary master: find it, follow it, and repeat what may be repeated.

use super::channel::{Channel, Credentials, connect};
use super::error::{from_status, is_answer};
use crate::core::config::Config;
use crate::core::error::{Error, ErrorKind, Result, unavailable};
use crate::core::proto::grpc::version::service_version_client_service_client::ServiceVersionClientServiceClient;
use crate::core::proto::grpc::version::{GetServiceVersionPRequest, ServiceType};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::{Response, Status};

/// Waits between rounds of asking all masters who is primary. An election takes one to two seconds.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// How long a call waits for its answer before the other masters are asked whether one of them is
/// primary by now, and how often they are: the one that owes the answer may hang, or be cut off.
const LOOK: Duration = Duration::from_secs(1);
/// How much longer than another a master may take to say whether it is primary.
const HANGS: Duration = Duration::from_secs(2);

/// A connection to whichever master is primary. Clones share it.
#[derive(Clone)]
pub struct Primary {
    inner: Arc<Inner>,
}

struct Inner {
    addresses: Vec<String>,
    credentials: Credentials,
    retry_max: Duration,
    current: Mutex<Option<Current>>,
    /// Held by the one who looks for another primary while calls wait for this one.
    looking: Mutex<()>,
}

#[derive(Clone)]
struct Current {
    address: String,
    channel: Channel,
    /// Tells this connection from the next one, so that only the one that failed is forgotten.
    generation: Instant,
}

impl Primary {
    /// Finds the primary among the configured masters when it is first needed.
    pub fn new(config: &Config) -> Self {
        Self::of(config.master_addresses(), Credentials::of(config), config.client.retry_max)
    }

    /// Finds the primary among `addresses` (host:port); calls are repeated for up to `retry_max`.
    pub fn of(addresses: Vec<String>, credentials: Credentials, retry_max: Duration) -> Self {
        let (current, looking) = Default::default();
        let inner = Inner { addresses, credentials, retry_max, current, looking };
        Primary { inner: Arc::new(inner) }
    }

    /// The masters it tries, as host:port.
    pub fn addresses(&self) -> &[String] {
        &self.inner.addresses
    }

    /// The primary's address, found now if need be.
    ///
    /// # Errors
    /// `Unavailable` when no master is primary.
    pub async fn address(&self) -> Result<String> {
        Ok(self.current().await?.address)
    }

    /// A channel to the primary, for streams that the caller repeats itself.
    ///
    /// # Errors
    /// `Unavailable` when no master is primary.
    pub async fn channel(&self) -> Result<Channel> {
        Ok(self.current().await?.channel)
    }

    /// Makes `call` on the primary. While the primary is lost, not there yet or has forgotten our
    /// session, finds it again and repeats: give every change an operation id.
    ///
    /// # Errors
    /// What the call fails with; `Unavailable` naming the masters when none answers for too long.
    pub async fn call<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.inner.retry_max;
        let mut backoff = BACKOFF_MIN;
        loop {
            let mut answered = false;
            let error = match self.current().await {
                Ok(current) => match self.unless_replaced(&current, &call).await {
                    Ok(response) => return Ok(response.into_inner()),
                    Err(status) => {
                        let error = from_status(&status);
                        answered = is_answer(&status);
                        if !repeatable(error.kind()) {
                            return Err(error);
                        }
                        // Whoever says that it is busy is still the primary.
                        if !(answered && error.kind() == ErrorKind::Aborted) {
                            self.forget(current.generation).await;
                        }
                        error
                    }
                },
                Err(error) => error,
            };
            if !repeatable(error.kind()) {
                return Err(error);
            }
            if Instant::now() + backoff >= deadline {
                // A primary that answers knows better than we what is missing.
                return Err(if answered { error } else { self.nobody(error) });
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// What `call` gives on `current`; `Unavailable` once another master is known to be primary.
    async fn unless_replaced<T, F>(
        &self,
        current: &Current,
        call: impl Fn(Channel) -> F,
    ) -> std::result::Result<T, Status>
    where
        F: Future<Output = std::result::Result<T, Status>>,
    {
        let answer = call(current.channel.clone());
        if self.inner.addresses.len() < 2 {
            return answer.await;
        }
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.replaced(current) => {
                Err(Status::unavailable(format!("{} is not the primary any more", current.address)))
            }
        }
    }

    /// Waits until another connection than `old` is in use, and looks for one from time to time.
    async fn replaced(&self, old: &Current) {
        loop {
            tokio::time::sleep(LOOK).await;
            let used = self.inner.current.lock().await.as_ref().map(|used| used.generation);
            if used.is_some_and(|generation| generation != old.generation) {
                return;
            }
            // One for all calls that wait.
            let Ok(_looking) = self.inner.looking.try_lock() else { continue };
            if let Ok(found) = self.find(|address| address != old.address).await {
                *self.inner.current.lock().await = Some(found);
                return;
            }
        }
    }

    fn nobody(&self, last: Error) -> Error {
        let masters = self.inner.addresses.join(", ");
        unavailable(format!("no primary master at {masters}: is it running? {last}"))
    }

    async fn forget(&self, generation: Instant) {
        let mut current = self.inner.current.lock().await;
        if current.as_ref().is_some_and(|c| c.generation == generation) {
            *current = None;
        }
    }

    /// The connection in use, or a new one. Held locked while connecting: callers that come
    /// meanwhile wait for the one attempt instead of starting their own.
    async fn current(&self) -> Result<Current> {
        let mut current = self.inner.current.lock().await;
        if let Some(current) = current.as_ref() {
            return Ok(current.clone());
        }
        let found = self.find(|_| true).await?;
        *current = Some(found.clone());
        Ok(found)
    }

    /// A new connection to the primary, if it is among those `wanted`.
    async fn find(&self, wanted: impl Fn(&str) -> bool) -> Result<Current> {
        let mut last = unavailable(match self.inner.addresses.is_empty() {
            true => "no master is configured",
            false => "none of them answers in time",
        });
        // All at once: one that hangs must not keep us from the primary.
        let ask = |address: &'_ String| {
            let address = address.clone();
            async move { (self.try_master(&address).await, address) }
        };
        let wanted = self.inner.addresses.iter().filter(|address| wanted(address));
        let mut asked: FuturesUnordered<_> = wanted.map(ask).collect();
        let mut patience = self.inner.credentials.connect_timeout * 2;
        while let Ok(Some((answer, address))) = timeout(patience, asked.next()).await {
            // When one has answered, one that hangs does not keep us from asking all again.
            patience = HANGS;
            match answer {
                Ok(channel) => {
                    return Ok(Current { address, channel, generation: Instant::now() });
                }
                Err(error) if error.message().contains(&address) => last = error,
                Err(error) => last = error.context(address),
            }
        }
        Err(last)
    }

    /// A channel to `address` if that master is primary. A single configured master is not asked.
    async fn try_master(&self, address: &str) -> Result<Channel> {
        let channel = connect(address, &self.inner.credentials).await?;
        if self.inner.addresses.len() > 1 {
            let question = GetServiceVersionPRequest {
                service_type: Some(ServiceType::MetaMasterClientService as i32),
                allowed_on_standby_masters: Some(false),
            };
            ServiceVersionClientServiceClient::new(channel.clone())
                .get_service_version(question)
                .await
                .map_err(|status| match from_status(&status) {
                    // What a standby says.
                    e if e.kind() == ErrorKind::NotFound => unavailable("a standby master"),
                    e => e,
                })?;
        }
        Ok(channel)
    }
}

/// Whether a call that failed so may be made again on a new connection.
fn repeatable(kind: ErrorKind) -> bool {
    kind.is_transient() || kind == ErrorKind::Unauthenticated || kind == ErrorKind::Cancelled
}
