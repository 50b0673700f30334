//! What commands do on a node's files, without asking the node: copies of the store, and a lost operator token.

use std::path::Path;
use zeroize::Zeroizing;

/// What a copy of the store holds.
#[derive(Clone, Debug)]
pub struct StoreCopy {
    /// The file's length.
    pub bytes: u64,
    /// The last change that is in it.
    pub revision: u64,
}

/// How far a copy is: steps done, and steps there are. Called often.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Copies the live store of this configuration to a new file, whole or not at all; a file that is there is replaced.
/// The secret key file is not part of it: keep a copy of that one elsewhere.
pub fn backup(config: &Path, file: &Path, progress: Progress<'_>) -> anyhow::Result<StoreCopy> {
    let _ = (config, file, progress);
    anyhow::bail!("this build cannot copy its store yet")
}

/// Puts a copy in the place of the store of this configuration, whole or not at all. Fails while a node runs on it,
/// and where the file is no sound copy.
pub fn restore(config: &Path, file: &Path, progress: Progress<'_>) -> anyhow::Result<StoreCopy> {
    let _ = (config, file, progress);
    anyhow::bail!("this build cannot restore its store yet")
}

/// Makes a new bootstrap token in the store of this configuration, in place of the one before, and leaves it in its
/// file as well. Nobody needs to be signed in; the right to write the node's data is what it takes.
pub fn make_operator_token(config: &Path) -> anyhow::Result<Zeroizing<String>> {
    let _ = config;
    anyhow::bail!("this build cannot make an operator token yet")
}
