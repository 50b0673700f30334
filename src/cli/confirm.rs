//! The question before something that cannot be undone.

use super::failure::{Exit, Failure};
use std::io::{BufRead, IsTerminal, Write};

/// `--yes`, for scripts.
#[derive(clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask for confirmation (needed where there is no terminal to ask on)
    #[arg(long)]
    yes: bool,
}

impl Confirmation {
    /// Fails early, before anything is sent, where nobody could answer.
    pub(super) fn require_possible(&self) -> Result<(), Failure> {
        if self.yes || std::io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Failure::usage("this cannot be undone and there is no terminal to ask on: add --yes"))
    }

    /// Asks on stderr, reads stdin; anything but `y` or `yes` is a no.
    pub(super) fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        write!(std::io::stderr(), "{} [y/N] ", super::output::visible(question))?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Failure, "not confirmed; nothing was changed"))
    }
}
