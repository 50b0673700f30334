//! `portcullis serve`: run a node.

use super::failure::Failure;
use std::path::PathBuf;

/// Run a node: the gateway, its control API and its metrics
#[derive(clap::Args)]
pub(super) struct Serve {
    /// The node's configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        Ok(crate::app::serve(&self.config)?)
    }
}
