//! Who is calling: the SASL service, and sessions by channel id (protocol, section 2).
//!
//! One open `authenticate` stream is one session; it ends with the stream. Calls on the same
//! connection carry the session's id in the `channel-id` metadata.

use crate::core::error::{Error, ErrorKind};
use crate::core::proto::grpc::sasl::sasl_authentication_service_server::{
    SaslAuthenticationService, SaslAuthenticationServiceServer,
};
use crate::core::proto::grpc::sasl::{SaslMessage, SaslMessageType};
use crate::core::security::User;
use futures::StreamExt;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Metadata entry with the id of a session.
pub(super) const CHANNEL_ID: &str = "channel-id";
/// The longest channel id and user name we keep, in bytes.
const MAX_NAME: usize = 256;
/// Sessions at a time; beyond that something is wrong, and memory must have an end.
const MAX_SESSIONS: usize = 200_000;

/// The sessions of one server. Clones share them.
#[derive(Clone, Debug)]
pub struct Sessions {
    users: Arc<RwLock<HashMap<String, User>>>,
    required: bool,
}

impl Sessions {
    /// No sessions yet. With `required`, a call without one is refused where it asks
    /// for its user ([`user_of`]).
    pub fn new(required: bool) -> Self {
        Sessions { users: Arc::default(), required }
    }

    /// The SASL service that opens sessions.
    pub fn service(&self) -> SaslAuthenticationServiceServer<Sessions> {
        SaslAuthenticationServiceServer::new(self.clone())
    }

    /// The interceptor that gives each request its [`User`], for services that take any caller:
    /// one without a session is `unknown`.
    pub fn lenient(&self) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
        let sessions = self.clone();
        move |mut request| {
            let user = sessions.find(&request).unwrap_or_else(|| User::named("unknown"));
            request.extensions_mut().insert(user);
            Ok(request)
        }
    }

    /// The interceptor that gives each request its [`User`] and refuses callers without a session
    /// when authentication is on.
    pub fn strict(&self) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
        let sessions = self.clone();
        move |mut request| {
            let user = match sessions.find(&request) {
                Some(user) => user,
                None if sessions.required => {
                    let text = "this channel is not authenticated: connect again";
                    return Err(Error::new(ErrorKind::Unauthenticated, text).into());
                }
                None => User::named("unknown"),
            };
            request.extensions_mut().insert(user);
            Ok(request)
        }
    }

    fn find(&self, request: &Request<()>) -> Option<User> {
        let id = request.metadata().get(CHANNEL_ID)?.to_str().ok()?;
        self.users.read().get(id).cloned()
    }
}

/// The user an interceptor found for this request.
pub fn user_of<T>(request: &Request<T>) -> User {
    request.extensions().get::<User>().cloned().unwrap_or_else(|| User::named("unknown"))
}

/// Ends a session when its stream does, however that comes about.
struct Session {
    id: String,
    sessions: Sessions,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.users.write().remove(&self.id);
    }
}

#[tonic::async_trait]
impl SaslAuthenticationService for Sessions {
    type authenticateStream = Pin<Box<ReceiverStream<Result<SaslMessage, Status>>>>;

    async fn authenticate(
        &self,
        request: Request<Streaming<SaslMessage>>,
    ) -> Result<Response<Self::authenticateStream>, Status> {
        let mut inbound = request.into_inner();
        let (answers, outbound) = tokio::sync::mpsc::channel(1);
        let sessions = self.clone();
        // Owned by the stream: it ends when either side of the connection does.
        tokio::spawn(async move {
            let Some(Ok(first)) = inbound.next().await else { return };
            let session = match sessions.open(&first) {
                Ok(session) => session,
                Err(status) => {
                    answers.send(Err(status)).await.ok();
                    return;
                }
            };
            let success = SaslMessage {
                message_type: Some(SaslMessageType::Success as i32),
                client_id: first.client_id,
                ..Default::default()
            };
            answers.send(Ok(success)).await.ok();
            tokio::select! {
                () = answers.closed() => {}
                () = async { while let Some(Ok(_)) = inbound.next().await {} } => {}
            }
            drop(session);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}

impl Sessions {
    fn open(&self, first: &SaslMessage) -> Result<Session, Status> {
        let user = plain_user(first.message())
            .ok_or_else(|| Status::unauthenticated("no SASL PLAIN message with a user name"))?;
        let id = first.client_id().to_string();
        if id.is_empty() || id.len() > MAX_NAME {
            return Err(Status::invalid_argument("no client id, or one that is too long"));
        }
        let mut users = self.users.write();
        if users.len() >= MAX_SESSIONS {
            return Err(Status::resource_exhausted("too many sessions"));
        }
        users.insert(id.clone(), User::named(user));
        Ok(Session { id, sessions: self.clone() })
    }
}

/// The user of a SASL PLAIN message (RFC 4616): `[authzid] NUL user NUL password`.
fn plain_user(message: &[u8]) -> Option<&str> {
    let mut parts = message.split(|&byte| byte == 0);
    let (_, user) = (parts.next()?, parts.next()?);
    let user = std::str::from_utf8(user).ok()?;
    (!user.is_empty() && user.len() <= MAX_NAME).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_messages_are_taken_apart() {
        assert_eq!(plain_user(b"\0unknown\0noPassword"), Some("unknown"));
        assert_eq!(plain_user(b"\0\0x"), None);
        assert_eq!(plain_user(b"unknown"), None);
        assert_eq!(plain_user(b"\0\xff\0x"), None);
    }
}
