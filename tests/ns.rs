//! `goosefs ns`: namespaces with policies and TTL.

use crate::cluster::Cluster;
use std::fs;

#[test]
fn a_namespace_is_made_shown_changed_and_deleted() {
    let cluster = Cluster::start();
    let store = cluster.dir().join("store");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("x"), "in the store").unwrap();
    let uri = format!("file://{}", store.display());
    cluster.ok(&["ns", "create", "sales", &uri, "--wPolicy", "THROUGH", "--rPolicy", "CACHE"]);
    assert_eq!(cluster.ok(&["fs", "cat", "/sales/x"]), "in the store");
    let all = cluster.ok(&["ns", "ls"]);
    assert!(all.contains("sales") && all.contains("THROUGH"), "{all}");
    cluster.ok(&["ns", "setPolicy", "sales", "--wPolicy", "CACHE_THROUGH"]);
    cluster.ok(&["ns", "setTtl", "sales", "30day"]);
    let stat: serde_json::Value =
        serde_json::from_str(&cluster.ok(&["ns", "-o", "json", "stat", "sales"])).unwrap();
    assert_eq!(stat[0]["wPolicy"], "CACHE_THROUGH");
    assert_eq!(stat[0]["ttlMs"], 2_592_000_000i64);
    cluster.ok(&["ns", "unsetTtl", "sales"]);
    cluster.ok(&["ns", "delete", "sales"]);
    assert!(store.join("x").exists(), "what is underneath stays");
    assert!(cluster.fails(&["ns", "stat", "sales"]).contains("sales"));
    cluster.fails(&["ns", "create", "gone", "file:///no/such/directory"]);
}
