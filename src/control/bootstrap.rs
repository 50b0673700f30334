//! The first operator token: made at the first start, left in a file that only the node's user can read; and a new one
//! where it is lost.
//!
//! The file is on disk before its digest is stored, so that a crash between the two leaves a token that the next
//! start takes up, never a digest whose token nobody has.

use super::keys::draw;
use crate::model::{Act, Actor, OpaqueToken, SecretDigest, Timestamp, TokenKind};
use crate::store::{Store, StoreError};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the bootstrap token's file in the data folder.
pub const FILE: &str = "bootstrap-token";
/// Why there is no bootstrap token.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The file cannot be written or read.
    #[error("cannot write the bootstrap token `{path}`: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the bootstrap token")]
    Random,
    /// The store did not take the digest.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the bootstrap token where the store holds no digest of one, and says where it is; `None` where the store
/// holds one already. `data_dir` must exist.
///
/// Whoever ends the token must not take the digest out of the store (the next start would make a new token) but
/// replace it by the digest of random bytes that nobody keeps.
pub async fn ensure_bootstrap_token(
    store: &dyn Store,
    data_dir: &Path,
    now: Timestamp,
) -> Result<Option<PathBuf>, BootstrapError> {
    if store.bootstrap_digest().await?.is_some() {
        return Ok(None);
    }
    let path = data_dir.join(FILE);
    let failed = |source| BootstrapError::File { path: path.clone(), source };
    let digest = match left_behind(&path).map_err(failed)? {
        Some(token) => SecretDigest::of(token.as_bytes()),
        None => {
            let token = fresh_token()?;
            write(data_dir, &path, token.expose()).map_err(failed)?;
            token.digest()
        }
    };
    store.set_bootstrap_digest(Some(&digest), &Act::of(Actor::Node, now)).await?;
    Ok(Some(path))
}

/// Makes a new operator token in place of the one before, which ends with every session by it; for whoever may write
/// the node's data, on the node's own machine, running or not. It is left in the same file as the first one, and ends
/// as that one does: when an owner signs in. `data_dir` must exist.
pub async fn make_operator_token(
    store: &dyn Store,
    data_dir: &Path,
    now: Timestamp,
) -> Result<OpaqueToken, BootstrapError> {
    let path = data_dir.join(FILE);
    let failed = |source| BootstrapError::File { path: path.clone(), source };
    let token = fresh_token()?;
    // Beside the old file until the store has taken it: a store that fails leaves both as they were.
    let beside = data_dir.join(format!(".{FILE}-new"));
    remove(&beside).map_err(failed)?;
    write(data_dir, &beside, token.expose()).map_err(failed)?;
    if let Err(error) = store.set_bootstrap_digest(Some(&token.digest()), &Act::of(Actor::Operator, now)).await {
        remove(&beside).map_err(failed)?;
        return Err(error.into());
    }
    std::fs::rename(&beside, &path).map_err(failed)?;
    Ok(token)
}

/// The bootstrap token that is in the data folder; `None` where none was left there, or it has ended.
pub fn left_token(data_dir: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match data_dir.join(FILE).symlink_metadata() {
        Ok(facts) => own_token(&data_dir.join(FILE), &facts),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the file of a token that has ended away; that there is none is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn fresh_token() -> Result<OpaqueToken, BootstrapError> {
    Ok(OpaqueToken::from_entropy(TokenKind::Operator, draw().map_err(|_| BootstrapError::Random)?))
}

/// The token of a start that crashed before its digest was stored. A file that is not ours alone, or not whole, is
/// removed: nothing depends on it.
fn left_behind(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let facts = match path.symlink_metadata() {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let token = own_token(path, &facts)?;
    if token.is_none() {
        std::fs::remove_file(path)?;
    }
    Ok(token)
}

/// The token in a file that is ours alone and whole.
fn own_token(path: &Path, facts: &Metadata) -> io::Result<Option<Zeroizing<String>>> {
    if !facts.is_file() || facts.mode() & 0o077 != 0 {
        return Ok(None);
    }
    let mut text = Zeroizing::new(String::new());
    // Text that is no UTF-8 is no token of ours either.
    let read = File::open(path)?.take(1024).read_to_string(&mut text).is_ok();
    let token = text.trim_end();
    Ok((read && TokenKind::of(token) == Some(TokenKind::Operator)).then(|| Zeroizing::new(token.to_owned())))
}

fn write(data_dir: &Path, path: &Path, token: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    File::open(data_dir)?.sync_all()
}
