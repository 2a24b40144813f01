//! A store that speaks S3, and what it refuses.

use super::servers::{Server, free_port, moto};
use super::{all, list, names, promises, properties, put};
use goosefs::core::error::ErrorKind;
use goosefs::ufs::{self, Properties, Ufs};
use std::time::Instant;

fn keys(endpoint: &str) -> Properties {
    properties(&[("s3.endpoint", endpoint), ("s3.access.key", "AK"), ("s3.secret.key", "SK")])
}

pub async fn request(method: reqwest::Method, url: String) -> String {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client
        .request(method, url)
        .header("x-amz-acl", "public-read")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn bucket(server: &Server) -> Ufs {
    request(reqwest::Method::PUT, format!("{}/bucket", server.url())).await;
    ufs::open("s3://bucket/pre fix/", &keys(&server.url())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_bucket_keeps_the_promises() {
    let Some(server) = moto(false) else { return };
    let ufs = bucket(&server).await;
    assert_eq!(ufs.address(), "s3://bucket/pre fix");
    promises::all(&ufs).await;
    let uploads = request(reqwest::Method::GET, format!("{}/bucket?uploads", server.url())).await;
    assert!(
        uploads.contains("ListMultipartUploadsResult") && !uploads.contains("<Upload>"),
        "{uploads}"
    );
    keys_that_are_no_paths_are_left_out(&server).await;
}

async fn keys_that_are_no_paths_are_left_out(server: &Server) {
    for key in
        ["odd/a//b", "odd/%2E%2E/x", "odd/%20space", "odd/fine", "odd/both", "odd/both/x", "odd/"]
    {
        request(reqwest::Method::PUT, format!("{}/bucket/{key}", server.url())).await;
    }
    let ufs = ufs::open("s3://bucket", &keys(&server.url())).unwrap();
    let found = list(&ufs, "odd").await.unwrap();
    let found: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.folder)).collect();
    assert_eq!(found, [("a", true), ("both", false), ("fine", false)]);
    assert_eq!(names(&ufs, "odd/a").await.unwrap(), [""; 0]);
    assert!(!ufs.status("odd/both").await.unwrap().folder);
    let error = ufs.status(" odd").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_s3_store_refuses_is_named_with_its_cure() {
    let Some(server) = moto(true) else { return };
    let ufs = ufs::open("s3://bucket/x", &keys(&server.url())).unwrap();
    for error in [
        ufs.status("").await.unwrap_err(),
        names(&ufs, "").await.unwrap_err(),
        all(&ufs, "file").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("s3.access.key"), "{error}");
    }
    let Some(server) = moto(false) else { return };
    let ufs = ufs::open("s3://no-such-bucket", &keys(&server.url())).unwrap();
    for error in [ufs.status("").await.unwrap_err(), names(&ufs, "").await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("no bucket no-such-bucket at http"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_named_soon() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let start = Instant::now();
    let ufs = ufs::open("s3://bucket", &keys(&endpoint)).unwrap();
    for error in [
        ufs.status("").await.unwrap_err(),
        names(&ufs, "").await.unwrap_err(),
        all(&ufs, "file").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(&endpoint), "{error}");
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_readable_by_all_needs_no_keys() {
    let Some(server) = moto(false) else { return };
    put(&bucket(&server).await, "file", "x").await;
    let acl = format!("{}/bucket/pre%20fix/file?acl", server.url());
    request(reqwest::Method::PUT, acl).await;
    let anonymous = properties(&[("s3.endpoint", &server.url()), ("s3.anonymous", "true")]);
    let ufs = ufs::open("s3a://bucket/pre fix", &anonymous).unwrap();
    assert_eq!(all(&ufs, "file").await.unwrap(), b"x");
}
