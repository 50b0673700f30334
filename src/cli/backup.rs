//! `portcullis backup`: a copy of a live store.

use super::failure::{Exit, Failure};
use super::options::JsonOption;
use super::output::{facts, note, print, print_json};
use super::progress::Steps;
use crate::app::StoreCopy;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Copy the store of a node to a file, while the node runs
///
/// The copy holds keys, members, policies, signing keys (sealed) and the audit log. It does not hold the secret key
/// file (`secrets.key_file`): keep a copy of that one elsewhere, once.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The node's configuration
    #[arg(short, long, value_name = "FILE", id = "node_config")]
    config: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    json: JsonOption,
}

impl Backup {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.file.symlink_metadata().is_ok() && !self.force {
            let words = format!("`{}` is there already: use --force to replace it", self.file.display());
            return Err(Failure::new(Exit::Conflict, words));
        }
        let steps = Steps::start("copying");
        let copy = crate::app::backup(&self.config, &self.file, &mut |done, all| steps.show(done, all));
        steps.end();
        print_copy(&self.file, &copy?, self.json.json)?;
        note("the secret key file is not in it; keep a copy of that one elsewhere");
        Ok(())
    }
}

/// Prints what a copy holds in the form asked for.
pub(super) fn print_copy(file: &Path, copy: &StoreCopy, json: bool) -> Result<(), Failure> {
    let StoreCopy { bytes, revision, before } = copy;
    let file = file.display().to_string();
    if json {
        return print_json(&json!({"file": file, "bytes": bytes, "revision": revision, "before": before}));
    }
    let mut rows = vec![("file", file), ("bytes", bytes.to_string()), ("revision", revision.to_string())];
    rows.extend(before.as_ref().map(|before| ("store before", before.display().to_string())));
    print(&facts(&rows))
}
