//! The calling side: a connection that has said who it is.

use super::FRAME_SIZE;
use super::auth::CHANNEL_ID;
use super::server::Windows;
use crate::core::config::{Config, os_user};
use crate::core::error::{Context, Error, ErrorKind, Result};
use crate::core::proto::grpc::sasl::sasl_authentication_service_client::SaslAuthenticationServiceClient;
use crate::core::proto::grpc::sasl::{ChannelAuthenticationScheme, SaslMessage, SaslMessageType};
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

/// How often a server that owes us an answer is asked whether it lives, and how long it may take to
/// say so: a host that hangs or is cut off is given up after twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// An authenticated connection; clones share it. Build any generated client on it.
pub type Channel = InterceptedService<tonic::transport::Channel, Session>;

/// How a client says who it is, and how long it waits.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name; none where authentication is off.
    pub user: Option<String>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a call may take, until its response headers.
    pub rpc_timeout: Duration,
    /// What is on its way to this side at most, and not taken yet.
    pub windows: Windows,
}

impl Credentials {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        let simple = config.security.authentication.eq_ignore_ascii_case("SIMPLE");
        let name = match config.security.username.as_str() {
            "" => os_user(),
            name => name.to_string(),
        };
        Credentials {
            user: simple.then_some(name),
            connect_timeout: config.client.connect_timeout,
            rpc_timeout: config.client.rpc_timeout,
            windows: Windows::default(),
        }
    }

    /// The same, as another user.
    pub fn as_user(&self, name: &str) -> Self {
        Credentials { user: self.user.as_ref().map(|_| name.to_string()), ..self.clone() }
    }
}

/// Puts the session's id on every call.
#[derive(Clone)]
pub struct Session {
    id: MetadataValue<Ascii>,
    /// Keeps the authentication stream, and so the session, open as long as any clone lives.
    _open: Option<Arc<tokio::sync::mpsc::Sender<SaslMessage>>>,
}

impl tonic::service::Interceptor for Session {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CHANNEL_ID, self.id.clone());
        Ok(request)
    }
}

/// Connects to `address` (host:port) and authenticates.
///
/// # Errors
/// `Unavailable` when nobody answers in time, `Unauthenticated` when the server refuses the user.
pub async fn connect(address: &str, credentials: &Credentials) -> Result<Channel> {
    let transport = endpoint(address, credentials)?.connect().await.map_err(|e| {
        Error::new(ErrorKind::Unavailable, format!("nobody answers at {address}")).with_source(e)
    })?;
    let id = uuid::Uuid::new_v4().to_string();
    let open = match &credentials.user {
        Some(user) => {
            let handshake = authenticate(transport.clone(), user, &id);
            let open = tokio::time::timeout(credentials.connect_timeout, handshake)
                .await
                .map_err(|_| unanswered(address))?
                .with_context(|| format!("authenticating as {user} at {address}"))?;
            Some(Arc::new(open))
        }
        None => None,
    };
    let id = id.parse().expect("a UUID is a valid metadata value");
    Ok(InterceptedService::new(transport, Session { id, _open: open }))
}

fn unanswered(address: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{address} does not answer the authentication"))
}

fn endpoint(address: &str, credentials: &Credentials) -> Result<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| {
        Error::new(ErrorKind::InvalidArgument, format!("{address:?} is no host:port"))
            .with_source(e)
    })?;
    Ok(endpoint
        .connect_timeout(credentials.connect_timeout)
        .timeout(credentials.rpc_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(credentials.windows.stream)
        .initial_connection_window_size(credentials.windows.connection)
        .max_frame_size(FRAME_SIZE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE))
}

/// SASL PLAIN over the authentication stream. Returns the sending half that keeps it open.
async fn authenticate(
    transport: tonic::transport::Channel,
    user: &str,
    id: &str,
) -> Result<tokio::sync::mpsc::Sender<SaslMessage>> {
    let (open, outbound) = tokio::sync::mpsc::channel(1);
    let hello = SaslMessage {
        message_type: Some(SaslMessageType::Challenge as i32),
        message: Some(format!("\0{user}\0noPassword").into_bytes()),
        client_id: Some(id.into()),
        authentication_scheme: Some(ChannelAuthenticationScheme::Simple as i32),
        channel_ref: Some(format!("goosefs-{}", &id[..8])),
    };
    open.send(hello).await.expect("the channel has room for one message");
    let mut client = SaslAuthenticationServiceClient::new(transport);
    let mut answers = client.authenticate(ReceiverStream::new(outbound)).await?.into_inner();
    match answers.message().await? {
        Some(answer) if answer.message_type() == SaslMessageType::Success => {}
        _ => {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "the server did not accept the user",
            ));
        }
    }
    // Keeps reading, so that the stream is not reset while the session is used; ends with it.
    tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });
    Ok(open)
}
