//! One way to speak HTTP: rustls with ring, the system's certificates, names resolved without the
//! C library, no proxy between this machine and itself.

use crate::core::error::{Result, internal};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use std::net::IpAddr;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);

/// A client that talks to `host`, following redirects as `redirects` says.
///
/// # Errors
/// `Internal` when it cannot be built.
pub fn client(host: &str, redirects: impl Fn() -> Policy) -> Result<Client> {
    // Fails when it is installed already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = || {
        let builder = ClientBuilder::new()
            .user_agent(concat!("goosefs/", env!("CARGO_PKG_VERSION")))
            .redirect(redirects())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .hickory_dns(true);
        if is_loopback(host) { builder.no_proxy() } else { builder }
    };
    builder().build().or_else(|error| {
        tracing::warn!(%error, "https will not work: install the system's certificates");
        let none = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let built = builder().tls_backend_preconfigured(none).build();
        built.map_err(|error| internal("making an HTTP client").with_source(error))
    })
}

/// What to do about a server whose certificate nobody vouches for.
pub const CERTIFICATES: &str = "install its authority's certificate on this system, or name a file \
     of trusted ones in SSL_CERT_FILE of masters and workers";

/// Whether an error, or one that caused it, is that the server's certificate was refused.
pub fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.to_string().contains("invalid peer certificate"))
}

/// The host of an endpoint such as `https://host:port`; empty where there is none.
pub fn host_of(endpoint: &str) -> String {
    let host = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(String::from));
    host.unwrap_or_default()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for endpoint in ["http://127.0.0.1:9000", "https://localhost", "http://[::1]:80/x"] {
            assert!(is_loopback(&host_of(endpoint)), "{endpoint}");
        }
        assert!(!is_loopback(&host_of("https://s3.amazonaws.com")));
        assert!(client("example.org", Policy::none).is_ok());
    }
}
