//! `portcullis serve`: run a node.

use super::failure::Failure;
use crate::app::TakeOver;
use std::path::PathBuf;
use std::time::Duration;

/// Run a node: the gateway, its control API and its metrics
#[derive(clap::Args)]
pub(super) struct Serve {
    /// The node's configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// Take over the sockets of the node that runs on the same data folder, which goes on where this fails
    #[arg(long)]
    take_over: bool,

    /// How long taking over may take until everything is loaded
    #[arg(long, value_name = "TIME", default_value = super::upgrade::WITHIN, value_parser = humantime::parse_duration,
        requires = "take_over")]
    within: Duration,

    /// Leave the terminal, and write where the node before writes
    #[arg(long, hide = true, requires = "take_over")]
    detached: bool,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let take_over = TakeOver { within: self.within, detached: self.detached };
        Ok(crate::app::serve(&self.config, self.take_over.then_some(take_over))?)
    }
}
