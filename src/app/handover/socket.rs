//! The private socket of a node, `node.sock` in its data folder: only its own user reaches it.

use super::line::is_nobody;
use anyhow::Context;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Its name.
pub(in crate::app) const FILE: &str = "node.sock";

/// The socket that successors connect to.
pub(in crate::app) struct Private {
    pub(in crate::app) listener: UnixListener,
    pub(in crate::app) path: PathBuf,
}

/// Makes it in the data folder; `None`, with a word about it, where another node has it or it cannot be made: a node
/// without it serves as well, and is replaced by a restart.
pub(in crate::app) fn make(data_dir: &Path) -> Option<Private> {
    let path = data_dir.join(FILE);
    match UnixStream::connect(&path) {
        Ok(_) => {
            tracing::warn!("another node runs on `{}`; this one cannot be upgraded without a stop", data_dir.display());
            return None;
        }
        Err(error) if is_nobody(&error) => {}
        Err(error) => {
            tracing::warn!("`{}` cannot be used, so this node cannot be upgraded: {error}", path.display());
            return None;
        }
    }
    match bind(data_dir, &path) {
        Ok(listener) => Some(Private { listener, path }),
        Err(error) => {
            tracing::warn!("this node cannot be upgraded without a stop: {error:#}");
            None
        }
    }
}

/// Bound where nobody else can look, and moved to its place once only its owner may connect.
fn bind(data_dir: &Path, path: &Path) -> anyhow::Result<UnixListener> {
    let failed = || format!("`{}` cannot be made", path.display());
    let folder = tempfile::Builder::new().prefix(".n").rand_bytes(4).tempdir_in(data_dir).with_context(failed)?;
    let place = folder.path().join("s");
    let listener = UnixListener::bind(&place).with_context(failed)?;
    std::fs::set_permissions(&place, Permissions::from_mode(0o600)).with_context(failed)?;
    std::fs::rename(&place, path).with_context(failed)?;
    Ok(listener)
}
