//! `cosn://bucket-appid/prefix` (or `cos://`): Tencent Cloud Object Storage.

use super::limit::Limits;
use super::opendal::{self, About, split_address};
use super::{Properties, Ufs, property};
use crate::core::error::{Result, invalid_argument};
use ::opendal::services::Cos;

/// Names of properties, ours first: those of the Hadoop plug-in, as GooseFS takes them, then
/// OpenDAL's.
const SECRET_ID: [&str; 3] = ["fs.cosn.userinfo.secretId", "cosn.secretId", "secret_id"];
const SECRET_KEY: [&str; 3] = ["fs.cosn.userinfo.secretKey", "cosn.secretKey", "secret_key"];
const TOKEN: [&str; 3] =
    ["fs.cosn.userinfo.sessionToken", "fs.cosn.userinfo.token", "security_token"];
const REGION: [&str; 4] =
    ["fs.cosn.bucket.region", "fs.cosn.userinfo.region", "cosn.region", "region"];
const ENDPOINT: [&str; 2] = ["fs.cosn.endpoint", "endpoint"];
const SUFFIX: [&str; 2] = ["fs.cosn.bucket.endpoint_suffix", "fs.cosn.userinfo.endpoint_suffix"];

const KEYS: &str = "fs.cosn.userinfo.secretId and fs.cosn.userinfo.secretKey";

/// The store at `cosn://bucket-appid/prefix`. Without keys in the properties they come from the
/// environment (`TENCENTCLOUD_SECRET_ID` …).
///
/// # Errors
/// `InvalidArgument` for an address without a bucket, neither region nor endpoint, or a key
/// without its secret.
pub fn open(address: &str, properties: &Properties) -> Result<Ufs> {
    let (bucket, prefix) = split_address(address)?;
    let endpoint = endpoint(address, properties)?;
    let mut builder = Cos::default().bucket(bucket).root(&format!("/{prefix}")).endpoint(&endpoint);
    builder = match (property(properties, &SECRET_ID), property(properties, &SECRET_KEY)) {
        (Some(id), Some(key)) => builder.secret_id(id).secret_key(key).disable_config_load(),
        (None, None) => builder,
        _ => return Err(invalid_argument(format!("{address}: set both {KEYS}, or neither"))),
    };
    if let Some(token) = property(properties, &TOKEN) {
        builder = builder.security_token(token);
    }
    let about = About {
        address: address.trim_end_matches('/').into(),
        bucket: bucket.into(),
        endpoint,
        setting: ENDPOINT[0],
        keys: KEYS,
    };
    opendal::open(builder, about, Limits::read(properties)?)
}

/// Where the bucket is: the endpoint that is given, or the public one of its region.
fn endpoint(address: &str, properties: &Properties) -> Result<String> {
    let host = match (property(properties, &ENDPOINT), property(properties, &SUFFIX)) {
        (Some(endpoint), _) => endpoint.to_string(),
        (None, Some(suffix)) => suffix.to_string(),
        (None, None) => match property(properties, &REGION) {
            Some(region) => format!("cos.{region}.myqcloud.com"),
            None => {
                return Err(invalid_argument(format!(
                    "{address}: set fs.cosn.bucket.region, e.g. ap-guangzhou, or fs.cosn.endpoint"
                )));
            }
        },
    };
    let host = host.trim_end_matches('/');
    Ok(if host.contains("://") { host.into() } else { format!("https://{host}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn the_region_makes_the_endpoint() {
        let of = |pairs: &[(&str, &str)]| endpoint("cosn://b-1", &properties(pairs));
        let region = ("fs.cosn.bucket.region", "ap-guangzhou");
        assert_eq!(of(&[region]).unwrap(), "https://cos.ap-guangzhou.myqcloud.com");
        assert_eq!(
            of(&[("endpoint", "http://127.0.0.1:9/"), region]).unwrap(),
            "http://127.0.0.1:9"
        );
        assert!(of(&[]).unwrap_err().to_string().contains("fs.cosn.bucket.region"));
    }

    #[test]
    fn a_mount_of_the_hadoop_plug_in_works() {
        let given = properties(&[
            ("fs.cosn.userinfo.secretId", "id"),
            ("fs.cosn.userinfo.secretKey", "key"),
            ("fs.cosn.bucket.region", "ap-guangzhou"),
        ]);
        let ufs = open("cosn://bucket-1250000000/data/", &given).unwrap();
        assert_eq!(ufs.address(), "cosn://bucket-1250000000/data");
        assert!(
            open("cosn://bucket-125", &properties(&[("fs.cosn.userinfo.secretId", "x")])).is_err()
        );
    }
}
