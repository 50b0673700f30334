//! `portcullis restore`: a copy in the place of a store.

use super::backup::print_copy;
use super::confirm::Confirmation;
use super::failure::{Exit, Failure};
use super::options::JsonOption;
use super::output::note;
use super::progress::Steps;
use std::path::PathBuf;

/// Put a copy that `backup` made in the place of a node's store; the node must not run
///
/// What was changed since the copy is lost: a key that was revoked since then counts again, a rotated one has its old
/// secret back, and so it is with members, their passwords and their tokens. Sessions and invitations of the copy end.
#[derive(clap::Args)]
pub(super) struct Restore {
    /// The copy
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The node's configuration
    #[arg(short, long, value_name = "FILE", id = "node_config")]
    config: PathBuf,

    #[command(flatten)]
    confirmation: Confirmation,

    #[command(flatten)]
    json: JsonOption,
}

impl Restore {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.confirmation.require_possible()?;
        if !self.file.is_file() {
            return Err(Failure::new(Exit::NotFound, format!("`{}` is no file", self.file.display())));
        }
        self.confirmation.ask(&format!(
            "Put `{}` in the place of the store of `{}`? What was changed since that copy is lost.",
            self.file.display(),
            self.config.display()
        ))?;
        let steps = Steps::start("restoring");
        let copy = crate::app::restore(&self.config, &self.file, &mut |done, all| steps.show(done, all));
        steps.end();
        print_copy(&self.file, &copy?, self.json.json)?;
        note("every session and every pending invitation has ended: sign in and invite anew");
        note(
            "what was changed after that copy is back as it was: keys that were revoked since count again, rotated ones \
             have their old secret, members who were removed, their passwords and their tokens are there",
        );
        Ok(())
    }
}
