//! The node's secret key file and private folders.

use crate::token::SealingKey;
use anyhow::{Context, bail};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Makes a private folder where there is none.
pub(super) fn ensure_private_dir(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the data folder `{}` cannot be made; choose another `node.data_dir`", path.display()))
}

/// Reads the secret key file, or makes it (mode 0600) where the store holds nothing sealed yet.
pub(super) fn sealing_key(path: &Path, anything_sealed: bool) -> anyhow::Result<SealingKey> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound && !anything_sealed => make_key_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "the secret key file `{}` is missing, but the store holds signing keys sealed with it; \
                 put it back from a backup",
                path.display()
            );
        }
        Err(error) => {
            return Err(error).with_context(|| format!("the secret key file `{}` cannot be read", path.display()));
        }
    };
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).unwrap_or_default());
    let secret: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        anyhow::anyhow!(
            "the secret key file `{}` does not hold 32 bytes in base64; restore it from a backup",
            path.display()
        )
    })?;
    Ok(SealingKey::new(secret)?)
}

fn make_key_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut secret = Zeroizing::new([0u8; 32]);
    rand::fill(secret.as_mut_slice()).ok().context("the system gave no random bytes")?;
    let text = Zeroizing::new(STANDARD.encode(secret.as_slice()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure_private_dir(folder)?;
    let written = (|| {
        // Whole or not at all: a half-written key would lock the node out for good.
        let mut file = tempfile::Builder::new().prefix(".secret-key-").tempfile_in(folder)?;
        writeln!(file, "{}", text.as_str())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    })();
    written.with_context(|| format!("the secret key file `{}` cannot be written", path.display()))?;
    Ok(text)
}
