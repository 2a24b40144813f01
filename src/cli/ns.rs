//! `goosefs ns`: namespaces, mounts under a name with read and write policy, TTL and limits.

mod bounds;

use super::print::{self, Output};
use super::session::Session;
use super::{Global, key_value};
use crate::client::{MountOptions, Namespace, NamespaceOptions, SetAttributes};
use crate::core::error::{Result, invalid_argument};
use crate::core::model::size::{format_duration, parse_duration};
use crate::core::model::{ByteSize, FsPath, ReadType, TtlAction, WriteType};
use bounds::{Bounds, SetLimits};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::time::Duration;

/// Work with namespaces: under stores under a name, with policies
///
/// The write policy says where a write lands: MUST_CACHE in the cache only; TRY_CACHE there, and in
/// the under store where the cache has no room; CACHE_THROUGH in both before the file is closed;
/// THROUGH in the under store only; ASYNC_THROUGH in the cache, in several copies, and soon after in
/// the under store. The read policy says whether a read leaves a copy: CACHE or NO_CACHE. Both hold
/// where nobody asks for something else. See goosefs(7).
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs ns create sales s3://bucket/sales --wPolicy CACHE_THROUGH
  goosefs ns ls
  goosefs ns setPolicy sales --rPolicy NO_CACHE
  goosefs ns setTtl sales 30day
  goosefs ns setLimits sales --cacheQuota 2TB --maxRequests 5000")]
pub struct Ns {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    /// Delete namespaces; their data stays where it is
    #[command(after_help = "Examples:\n  goosefs ns delete sales")]
    Delete {
        /// Names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// List namespaces
    #[command(after_help = "Examples:\n  goosefs ns ls\n  goosefs ns -o json ls")]
    Ls {},
    /// Show namespaces
    #[command(after_help = "Examples:\n  goosefs ns stat sales")]
    Stat {
        /// Names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    #[command(name = "setPolicy", visible_alias = "policy")]
    SetPolicy(SetPolicy),
    #[command(name = "setTtl", visible_alias = "ttl")]
    SetTtl(SetTtl),
    /// Let what is in a namespace live forever again
    #[command(name = "unsetTtl", after_help = "Examples:\n  goosefs ns unsetTtl sales")]
    UnsetTtl {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
    },
    #[command(name = "setLimits", visible_alias = "limits")]
    SetLimits(SetLimits),
    Update(Update),
}

/// Make a namespace of an under store
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs ns create archive https://archive.example.org/data/ --readonly
  goosefs ns create sales -w s3://bucket/sales --option s3.region=us-east-1 --rPolicy CACHE
  goosefs ns create scratch s3://bucket/scratch --cacheQuota 500GB --cachePriority LOW")]
struct Create {
    /// Its name, and its directory at the top of the tree
    #[arg(value_name = "NAME")]
    name: String,
    /// Address of the under store
    #[arg(value_name = "URI", required_unless_present = "ufs")]
    uri: Option<String>,
    /// Address of the under store
    #[arg(short = 'w', long, value_name = "URI", conflicts_with = "uri")]
    ufs: Option<String>,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    how: How,
}

/// Set read and write policies
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  goosefs ns setPolicy sales --wPolicy THROUGH --rPolicy NO_CACHE"
)]
struct SetPolicy {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    policies: Policies,
}

/// Let what is in a namespace expire
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  goosefs ns setTtl sales 30day --action free")]
struct SetTtl {
    /// What happens at the end: free or delete
    #[arg(long, value_name = "ACTION", default_value = "free")]
    action: TtlAction,
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// Time to live, as in 30min, 12h or 7day; a bare number is milliseconds
    #[arg(value_name = "TIME", value_parser = parse_duration)]
    ttl: Duration,
}

/// Change how the under store of a namespace is attached
///
/// Options that are given are set, those with an empty value go, others stay. Without --readonly or
/// --shared it is not so from now on.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs ns update sales --option s3.endpoint=http://10.0.0.2:9000")]
struct Update {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Debug)]
struct Policies {
    /// Where writes land, and when
    #[arg(long = "wPolicy", visible_alias = "write-type", value_name = "POLICY")]
    write: Option<WriteType>,
    /// Whether reads leave a copy
    #[arg(long = "rPolicy", visible_alias = "read-type", value_name = "POLICY")]
    read: Option<ReadType>,
}

/// How an under store is attached.
#[derive(Args, Debug)]
struct How {
    /// Refuse writes
    #[arg(long, visible_alias = "read-only")]
    readonly: bool,
    /// Let every user use it
    #[arg(long)]
    shared: bool,
    /// A property for the connector, such as a credential
    #[arg(long = "option", visible_aliases = ["attribute", "secret"])]
    #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,
}

impl How {
    fn mount(self) -> MountOptions {
        MountOptions {
            read_only: self.readonly,
            shared: self.shared,
            properties: self.options.into_iter().collect(),
        }
    }
}

impl Ns {
    /// Does what the verb says.
    ///
    /// # Errors
    /// What keeps the verb from doing anything.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let verb = self.verb;
        Session::run(global, self.output, async |session| verb.run(session).await)
    }
}

impl Verb {
    async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Verb::Create(create) => create.run(session).await,
            Verb::Delete { names } => delete(session, &names).await,
            Verb::Ls {} => {
                let all = session.fs.namespaces().await?;
                show(session, &all)
            }
            Verb::Stat { names } => stat(session, &names).await,
            Verb::SetPolicy(set) => set.run(session).await,
            Verb::SetTtl(set) => {
                let ttl = (Some(set.ttl), Some(set.action));
                set_ttl(session, &set.name, ttl).await?;
                let ttl = format_duration(set.ttl);
                session
                    .out
                    .note(format!("TTL of namespace {} is {ttl}, then {}", set.name, set.action))
            }
            Verb::UnsetTtl { name } => {
                set_ttl(session, &name, (None, None)).await?;
                session.out.note(format!("namespace {name} has no TTL"))
            }
            Verb::SetLimits(set) => set.run(session).await,
            Verb::Update(update) => {
                let mount = update.how.mount();
                session.fs.update_namespace(&update.name, &mount).await?;
                session.out.note(format!("Updated namespace {}", update.name))
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result<()> {
        let name = self.name;
        let ufs = self.uri.or(self.ufs).unwrap_or_default();
        let mut mount = self.how.mount();
        mount.properties.extend(self.bounds.properties());
        mount.properties.retain(|_, value| !value.is_empty());
        let options = NamespaceOptions {
            mount,
            read_type: self.policies.read,
            write_type: self.policies.write,
        };
        let created = session.fs.create_namespace(&name, &ufs, &options).await;
        created.map_err(|error| error.context(format!("making namespace {name} of {ufs}")))?;
        session.out.note(format!("Created namespace {name} of {ufs}"))
    }
}

impl SetPolicy {
    async fn run(self, session: &mut Session) -> Result<()> {
        let (read_type, write_type) = (self.policies.read, self.policies.write);
        if read_type.is_none() && write_type.is_none() {
            return Err(invalid_argument("neither --rPolicy nor --wPolicy says what to set"));
        }
        let options = NamespaceOptions { read_type, write_type, ..Default::default() };
        session.fs.set_namespace(&self.name, &options).await?;
        session.out.note(format!("Set the policy of namespace {}", self.name))
    }
}

async fn delete(session: &mut Session, names: &[String]) -> Result<()> {
    for name in names {
        match session.fs.delete_namespace(name).await {
            Ok(()) => session.out.note(format!("Deleted namespace {name}"))?,
            Err(error) => session.fail(&error.context(format!("deleting namespace {name}"))),
        }
    }
    Ok(())
}

async fn stat(session: &mut Session, names: &[String]) -> Result<()> {
    let mut found = Vec::new();
    for name in names {
        let status = session.fs.namespace(name).await;
        let named = status.map_err(|error| error.context(format!("namespace {name}")));
        found.extend(session.keep(named));
    }
    if found.is_empty() { Ok(()) } else { show(session, &found) }
}

async fn set_ttl(
    session: &Session,
    name: &str,
    (ttl, ttl_action): (Option<Duration>, Option<TtlAction>),
) -> Result<()> {
    // A directory that only looks like a namespace is none.
    let path: FsPath = session.fs.namespace(name).await?.status.path;
    let set = SetAttributes { ttl: Some(ttl), ttl_action, recursive: true, ..Default::default() };
    session.fs.set_attributes(&path, &set).await
}

fn show(session: &mut Session, namespaces: &[Namespace]) -> Result<()> {
    let values: Vec<_> = namespaces.iter().map(value).collect();
    let rows = namespaces.iter().map(row).collect();
    let header = [
        "namespace",
        "mountPoint",
        "ufsPath",
        "creationTime",
        "wPolicy",
        "rPolicy",
        "TTL",
        "ttlAction",
        "cached",
        "cacheQuota",
        "cachePriority",
        "maxRequests",
        "ufsBandwidth",
    ];
    session.out.table(&header, rows, &values)
}

fn row(found: &Namespace) -> Vec<String> {
    let Namespace { status: namespace, limits, cached_bytes } = found;
    let ttl = namespace.ttl_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    vec![
        namespace.name().into(),
        namespace.path.to_string(),
        namespace.ufs_path.clone(),
        print::time(namespace.created_ms),
        namespace.write_type.map_or("-", WriteType::name).into(),
        namespace.read_type.map_or("-", ReadType::name).into(),
        ttl.map_or("-".into(), format_duration),
        ttl.map_or("-", |_| namespace.ttl_action.name()).into(),
        ByteSize(*cached_bytes).to_string(),
        limits.cache_quota.map_or("-".into(), |quota| quota.to_string()),
        limits.cache_priority.to_string(),
        limits.requests.map_or("-".into(), |requests| requests.to_string()),
        limits.ufs_bandwidth.map_or("-".into(), |bytes| bytes.to_string()),
    ]
}

fn value(found: &Namespace) -> serde_json::Value {
    let Namespace { status: namespace, limits, cached_bytes } = found;
    serde_json::json!({
        "namespace": namespace.name(),
        "mountPoint": namespace.path.as_str(),
        "ufsPath": namespace.ufs_path,
        "creationTimeMs": namespace.created_ms,
        "wPolicy": namespace.write_type.map(WriteType::name),
        "rPolicy": namespace.read_type.map(ReadType::name),
        "ttlMs": namespace.ttl_ms,
        "ttlAction": namespace.ttl_ms.map(|_| namespace.ttl_action.name()),
        "mountId": namespace.mount_id,
        "cachedBytes": cached_bytes,
        "cacheQuotaBytes": limits.cache_quota.map(|quota| quota.0),
        "cachePriority": limits.cache_priority.name(),
        "maxRequests": limits.requests,
        "ufsBandwidth": limits.ufs_bandwidth.map(|bytes| bytes.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{Limits, Priority, Status};

    #[test]
    fn a_namespace_shows_its_policies_and_ttl() {
        let status = Status {
            path: FsPath::parse("/sales").unwrap(),
            ufs_path: "s3://bucket/sales".into(),
            ..Default::default()
        };
        let plain = Namespace { status: status.clone(), ..Default::default() };
        assert_eq!(row(&plain)[..3], ["sales", "/sales", "s3://bucket/sales"]);
        assert_eq!(row(&plain)[3..], ["-", "-", "-", "-", "-", "0B", "-", "NORMAL", "-", "-"]);
        let status = Status {
            write_type: Some(WriteType::Through),
            read_type: Some(ReadType::NoCache),
            ttl_ms: Some(86_400_000),
            ttl_action: TtlAction::Delete,
            ..status
        };
        let set = Namespace { status, ..plain };
        assert_eq!(row(&set)[4..8], ["THROUGH", "NO_CACHE", "1day", "DELETE"]);
        assert_eq!(value(&set)["rPolicy"], "NO_CACHE");
    }

    #[test]
    fn a_namespace_shows_what_it_takes_and_may_take() {
        let limits = Limits {
            cache_quota: Some(ByteSize(2 << 30)),
            cache_priority: Priority::High,
            requests: Some(500),
            ufs_bandwidth: Some(ByteSize(10 << 20)),
        };
        let bounded = Namespace { limits, cached_bytes: 1 << 20, ..Default::default() };
        assert_eq!(row(&bounded)[8..], ["1MB", "2GB", "HIGH", "500", "10MB"]);
        assert_eq!(value(&bounded)["cacheQuotaBytes"], 2u64 << 30);
    }
}
