//! Renaming where a store can only copy: all copies first, then the sources that were copied.

use super::error::Store;
use crate::core::error::{Error, ErrorKind, Result, not_found, resource_exhausted};
use ::opendal::Operator;
use ::opendal::options::{CopyOptions, ListOptions};
use futures::stream::{self, StreamExt, TryStreamExt};

/// Copies under way at once.
const COPIES: usize = 16;
/// Objects of a directory that are remembered while they are copied: about 100 MB of names.
const MOST: usize = 1_000_000;
/// Bytes of a part when a large object is copied in parts.
const PART: usize = 128 << 20;

/// Renames an object.
pub async fn file(operator: &Operator, from: &str, to: &str, store: &Store) -> Result<()> {
    if from == to {
        return Ok(());
    }
    let length = operator.stat(from).await.map_err(|e| store.error(e))?.content_length();
    copy(operator, from, to, length, store).await?;
    operator.delete(from).await.map_err(|e| store.error(e))
}

async fn copy(op: &Operator, from: &str, to: &str, length: u64, store: &Store) -> Result<()> {
    let options = CopyOptions {
        source_content_length_hint: Some(length),
        concurrent: 4,
        chunk: (length > PART as u64).then_some(PART),
        ..Default::default()
    };
    let copied = op.copy_options(from, to, options).await.map_err(|e| store.error(e))?;
    if copied.content_length() == length {
        return Ok(());
    }
    let message = format!("{from} was changed while it was copied to {to}");
    Err(Error::new(ErrorKind::Changed, message))
}

/// Copies an object, or the object of no bytes that keeps a directory.
async fn copy_below(
    op: &Operator,
    from: &str,
    to: String,
    length: u64,
    store: &Store,
) -> Result<()> {
    if from.ends_with('/') {
        return op.create_dir(&to).await.map_err(|e| store.error(e));
    }
    copy(op, from, &to, length, store).await
}

/// Renames all objects below the prefix `from`. What appears there meanwhile stays.
pub async fn directory(op: &Operator, from: &str, to: &str, store: &Store) -> Result<()> {
    if from == to {
        return Ok(());
    }
    if to.starts_with(from) {
        let message = format!("{from} cannot be moved into itself, to {to}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let keys = keys(op, from, store).await?;
    let copies = (0..keys.len()).map(|n| {
        let (key, length) = &keys[n];
        let target = format!("{to}{}", key.strip_prefix(from).unwrap_or(key));
        copy_below(op, key, target, *length, store)
    });
    stream::iter(copies).buffer_unordered(COPIES).try_collect::<()>().await?;
    let copied = keys.into_iter().map(|(key, _)| key);
    op.delete_iter(copied).await.map_err(|e| store.error(e))
}

/// All keys below a prefix, with their lengths.
async fn keys(operator: &Operator, prefix: &str, store: &Store) -> Result<Vec<(String, u64)>> {
    let options = ListOptions { recursive: true, ..Default::default() };
    let lister = operator.lister_options(prefix, options).await;
    let mut lister = lister.map_err(|e| store.error(e))?;
    let mut keys = Vec::new();
    while let Some(entry) = lister.try_next().await.map_err(|e| store.error(e))? {
        if keys.len() == MOST {
            return Err(resource_exhausted(format!(
                "{prefix} has more than {MOST} objects: rename it with the store's own tools"
            )));
        }
        let length = entry.metadata().content_length();
        keys.push((entry.path().to_string(), length));
    }
    if keys.is_empty() {
        return Err(not_found(format!("no {prefix} in {}", store.0.address)));
    }
    Ok(keys)
}
