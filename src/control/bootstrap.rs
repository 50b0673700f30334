//! The first operator token: made at the first start, left in a file that only the node's user can read.
//!
//! The file is on disk before its digest is stored, so that a crash between the two leaves a token that the next
//! start takes up, never a digest whose token nobody has.

use super::keys::draw;
use crate::model::{Act, Actor, ClientSecret, SecretDigest, Timestamp};
use crate::store::{Store, StoreError};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the bootstrap token's file in the data folder.
pub const FILE: &str = "bootstrap-token";
/// What a bootstrap token starts with.
pub(super) const PREFIX: &str = "pcullo_";
/// Base62 characters of 256 random bits.
const BODY: usize = 43;

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
    let token = match left_behind(&path).map_err(failed)? {
        Some(token) => token,
        None => {
            let token = fresh_token()?;
            write(data_dir, &path, &token).map_err(failed)?;
            token
        }
    };
    store.set_bootstrap_digest(Some(&SecretDigest::of(token.as_bytes())), &Act::of(Actor::Node, now)).await?;
    Ok(Some(path))
}

fn fresh_token() -> Result<Zeroizing<String>, BootstrapError> {
    let secret = ClientSecret::from_entropy(draw().map_err(|_| BootstrapError::Random)?);
    let drawn = secret.expose().strip_prefix("pculls_").and_then(|text| text.get(..BODY));
    let drawn = drawn.ok_or(BootstrapError::Random)?;
    Ok(Zeroizing::new(format!("{PREFIX}{drawn}")))
}

/// The token of a start that crashed before its digest was stored. A file that is not ours alone, or not whole, is
/// removed: nothing depends on it.
fn left_behind(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let facts = match path.symlink_metadata() {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if facts.is_file() && facts.mode() & 0o077 == 0 {
        let mut text = Zeroizing::new(String::new());
        // Text that is no UTF-8 is no token of ours either.
        if File::open(path)?.take(1024).read_to_string(&mut text).is_ok() && is_well_formed(text.trim_end()) {
            return Ok(Some(Zeroizing::new(text.trim_end().to_owned())));
        }
    }
    std::fs::remove_file(path)?;
    Ok(None)
}

fn is_well_formed(token: &str) -> bool {
    token.strip_prefix(PREFIX).is_some_and(|body| body.len() == BODY && body.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn write(data_dir: &Path, path: &Path, token: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    File::open(data_dir)?.sync_all()
}
