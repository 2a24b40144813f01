//! `s3://bucket/prefix` (or `s3a://`): any store that speaks S3.

use super::limit::Limits;
use super::opendal::{self, About, split_address};
use super::{Properties, Ufs, property};
use crate::core::error::{Result, invalid_argument};
use ::opendal::services::S3;

/// What the store is configured by: what each name of a property means, ours first, then those
/// of GooseFS, of Hadoop's s3a and of OpenDAL, so that a mount can be copied from there.
struct Names {
    endpoint: &'static [&'static str],
    region: &'static [&'static str],
    key_id: &'static [&'static str],
    key: &'static [&'static str],
    token: &'static [&'static str],
    path_style: &'static [&'static str],
    virtual_host: &'static [&'static str],
    anonymous: &'static [&'static str],
}

const NAMES: Names = Names {
    endpoint: &["s3.endpoint", "endpoint", "fs.s3a.endpoint", "aws.endpoint"],
    region: &["s3.region", "region", "s3.endpoint.region", "fs.s3a.endpoint.region", "aws.region"],
    key_id: &[
        "s3.access.key",
        "s3a.accessKeyId",
        "aws.accessKeyId",
        "fs.s3a.access.key",
        "access_key_id",
        "access.key",
    ],
    key: &[
        "s3.secret.key",
        "s3a.secretKey",
        "aws.secretKey",
        "fs.s3a.secret.key",
        "secret_access_key",
        "secret.key",
    ],
    token: &["s3.session.token", "aws.sessionToken", "fs.s3a.session.token", "session_token"],
    path_style: &["s3.path.style", "fs.s3a.path.style.access", "path_style"],
    virtual_host: &["s3.virtual.host", "s3.disable.dns.buckets.false", "enable_virtual_host_style"],
    anonymous: &["s3.anonymous", "anonymous", "skip_signature"],
};

const AWS: &str = "https://s3.amazonaws.com";
const KEYS: &str = "s3.access.key and s3.secret.key";

/// The store at `s3://bucket/prefix`. Without keys in the properties they come from where the AWS
/// tools look: environment, profile, the machine's role.
///
/// # Errors
/// `InvalidArgument` for an address without a bucket, a key without its secret, or a value that
/// makes no sense.
pub fn open(address: &str, properties: &Properties) -> Result<Ufs> {
    let (bucket, prefix) = split_address(address)?;
    let value = |names| property(properties, names);
    let endpoint = value(NAMES.endpoint).map(with_scheme);
    let mut builder = S3::default()
        .bucket(bucket)
        .root(&format!("/{prefix}"))
        .region(value(NAMES.region).unwrap_or("us-east-1"))
        .endpoint(endpoint.as_deref().unwrap_or(AWS));
    builder = match (value(NAMES.key_id), value(NAMES.key)) {
        (Some(id), Some(key)) => {
            builder.access_key_id(id).secret_access_key(key).disable_config_load()
        }
        (None, None) => builder,
        _ => return Err(invalid_argument(format!("{address}: set both {KEYS}, or neither"))),
    };
    if let Some(token) = value(NAMES.token) {
        builder = builder.session_token(token);
    }
    if flag(properties, NAMES.anonymous)?.unwrap_or(false) {
        builder = builder.skip_signature();
    }
    let path_style = match flag(properties, NAMES.virtual_host)? {
        Some(virtual_host) => Some(!virtual_host),
        None => flag(properties, NAMES.path_style)?,
    };
    // A server one names oneself rarely has a host name per bucket.
    if !path_style.unwrap_or(endpoint.is_some()) {
        builder = builder.enable_virtual_host_style();
    }
    let about = About {
        address: normal(address, bucket, prefix),
        bucket: bucket.into(),
        endpoint: endpoint.unwrap_or_else(|| AWS.into()),
        setting: NAMES.endpoint[0],
        keys: KEYS,
    };
    opendal::open(builder, about, Limits::read(properties)?)
}

/// The address without what can be left away.
fn normal(address: &str, bucket: &str, prefix: &str) -> String {
    let scheme = address.split_once("://").map_or("s3", |(scheme, _)| scheme);
    match prefix {
        "" => format!("{scheme}://{bucket}"),
        prefix => format!("{scheme}://{bucket}/{prefix}"),
    }
}

/// An endpoint with a scheme, https where it has none.
fn with_scheme(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.contains("://") { endpoint.into() } else { format!("https://{endpoint}") }
}

fn flag(properties: &Properties, names: &[&str]) -> Result<Option<bool>> {
    match property(properties, names) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => {
            Err(invalid_argument(format!("{}={other:?} is neither true nor false", names[0])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn a_key_needs_its_secret() {
        let error = open("s3://b/x", &properties(&[("s3a.accessKeyId", "k")])).err().unwrap();
        assert!(error.to_string().contains("s3.secret.key"), "{error}");
        assert!(open("s3://b", &properties(&[("s3.path.style", "perhaps")])).is_err());
    }

    #[test]
    fn the_address_is_normal() {
        let given = properties(&[("s3.access.key", "k"), ("s3.secret.key", "s")]);
        assert_eq!(open("s3a://b/x/y//", &given).unwrap().address(), "s3a://b/x/y");
        assert_eq!(with_scheme("minio:9000/"), "https://minio:9000");
    }
}
