//! `portcullis man`.

use super::failure::{Exit, Failure};
use super::output::print;
use clap::Command;
use clap_mangen::Man;
use std::path::{Path, PathBuf};

/// Write man pages, one for each command
///
/// `portcullis man /usr/local/share/man/man1`, and then `man portcullis-keys-create`.
#[derive(clap::Args)]
pub(super) struct ManPages {
    /// The folder to write to; it is made where it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ManPages {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let failed = |error| Failure::new(Exit::Failure, format!("`{}`: {error}", self.dir.display()));
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        let mut command = super::command().disable_help_subcommand(true);
        command.build();
        let mut written = Vec::new();
        pages(&command, &self.dir, &mut written).map_err(failed)?;
        written.iter().try_for_each(|path| print(&path.display().to_string()))
    }
}

/// The page of a command, and those of its subcommands.
fn pages(command: &Command, dir: &Path, written: &mut Vec<PathBuf>) -> std::io::Result<()> {
    written.push(Man::new(command.clone()).manual("Portcullis").generate_to(dir)?);
    command.get_subcommands().try_for_each(|below| pages(below, dir, written))
}
