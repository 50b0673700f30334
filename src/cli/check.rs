//! `portcullis check`: every problem of a configuration at once.

use super::failure::{Exit, Failure};
use super::options::JsonOption;
use super::output::{note, print, print_json, visible};
use crate::app::Checked;
use serde_json::json;
use std::path::PathBuf;

/// The most notes that are listed.
const LISTED: usize = 100;

/// Check a configuration and its tenant files: all problems, each with file and line
#[derive(clap::Args)]
pub(super) struct Check {
    /// The node's configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    #[command(flatten)]
    json: JsonOption,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let Checked { problems, notes } = crate::app::check(&self.config)?;
        notes.iter().take(LISTED).for_each(|line| note(&visible(line)));
        if let Some(more) = notes.len().checked_sub(LISTED).filter(|more| *more > 0) {
            note(&format!("and {more} more notes"));
        }
        if self.json.json {
            print_json(&json!({"problems": problems}))?;
        } else {
            problems.iter().try_for_each(|problem| print(&visible(problem)))?;
        }
        match problems.len() {
            0 => {
                note(&format!("{}: no problems", self.config.display()));
                note("settings of the file itself wait for a restart, but for `tenants.dir`; tenant files do not");
                Ok(())
            }
            1 => Err(Failure::new(Exit::CheckFoundProblems, "1 problem")),
            count => Err(Failure::new(Exit::CheckFoundProblems, format!("{count} problems"))),
        }
    }
}
