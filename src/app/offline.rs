//! What commands do on a node's files, without asking the node: copies of the store, and a lost operator token.

use crate::config::{Documents, StoreUrl};
use crate::model::{Act, Actor, AuditEntry};
use crate::store::{self, AuditStore, Noted, SqliteStore};
use crate::{clock, control};
use serde_json::json;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a copy of the store holds.
#[derive(Clone, Debug)]
pub struct StoreCopy {
    /// The file's length.
    pub bytes: u64,
    /// The last change that is in it.
    pub revision: u64,
    /// Where the store is that stood in its place, after a restore.
    pub before: Option<PathBuf>,
}

/// How far a copy is: steps done, and steps there are. Called often.
pub type Progress<'p> = &'p mut (dyn FnMut(u64, u64) + Send);

/// Copies the live store of this configuration to a new file, whole or not at all; a file that is there is replaced.
/// The secret key file is not part of it: keep a copy of that one elsewhere.
pub fn backup(config: &Path, file: &Path, progress: Progress<'_>) -> anyhow::Result<StoreCopy> {
    let store = store_file(config)?;
    let copy = runtime()?.block_on(store::backup(&store, file, progress))?;
    Ok(StoreCopy { bytes: copy.bytes, revision: copy.revision.0, before: None })
}

/// Puts a copy in the place of the store of this configuration, whole or not at all. Fails while a node runs on it,
/// and where the file is no sound copy. Sessions and invitations of the copy end; the store's own log tells of it.
pub fn restore(config: &Path, file: &Path, progress: Progress<'_>) -> anyhow::Result<StoreCopy> {
    let store = store_file(config)?;
    let now = clock::now();
    runtime()?.block_on(async {
        let (copy, before) = store::restore(file, &store, now, progress).await?;
        let restored = SqliteStore::open(&store).await?;
        let entry = AuditEntry {
            organization: None,
            environment: None,
            action: "store.restore",
            target: None,
            before: None,
            after: Some(json!({"revision": copy.revision.0})),
            code: None,
            count: 1,
        };
        restored.note(&[Noted { act: Act::of(Actor::Operator, now), entry }]).await?;
        restored.close().await;
        Ok(StoreCopy { bytes: copy.bytes, revision: copy.revision.0, before })
    })
}

/// Makes a new bootstrap token in the store of this configuration, in place of the one before, and leaves it in its
/// file as well. Nobody needs to be signed in; the right to write the node's data is what it takes. It ends
/// as the first one does: when an owner signs in.
pub fn make_operator_token(config: &Path) -> anyhow::Result<Zeroizing<String>> {
    let node = super::load(config, &Documents::default())?.node;
    let StoreUrl::Sqlite(file) = &node.store;
    anyhow::ensure!(file.exists(), "the store `{}` is not there: no node has been started yet", file.display());
    runtime()?.block_on(async {
        let store = SqliteStore::open(file).await?;
        let token = control::make_operator_token(&store, &node.data_dir, clock::now()).await?;
        store.close().await;
        Ok(Zeroizing::new(token.expose().to_owned()))
    })
}

fn store_file(config: &Path) -> anyhow::Result<PathBuf> {
    match super::load(config, &Documents::default())?.node.store {
        StoreUrl::Sqlite(path) => Ok(path),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
