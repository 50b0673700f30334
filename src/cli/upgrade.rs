//! `portcullis upgrade`: put a new process in the place of the one that runs.

use super::failure::Failure;
use super::output::note;
use crate::app::{UpgradeOptions, upgrade};
use std::path::PathBuf;
use std::time::Duration;

/// How long a new process may take until everything is loaded.
pub(super) const WITHIN: &str = "1m";

/// Put a new process in the place of the node that runs here, without losing a request
///
/// The new one loads the configuration, the store and the tables, takes over the listening sockets, and is watched before the
/// old one lets go. Where anything goes wrong, the old one goes on as if nothing had happened, and this exits with 1. A node
/// that systemd runs is upgraded by `systemctl reload`, within its service: from outside of it this refuses.
#[derive(clap::Args)]
pub(super) struct Upgrade {
    /// The node's configuration, as the new process is to read it
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// The program that takes over [default: this one]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,

    /// How long it may take until everything is loaded
    #[arg(long, value_name = "TIME", default_value = WITHIN, value_parser = humantime::parse_duration)]
    within: Duration,
}

impl Upgrade {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { config, binary, within } = self;
        let pid = upgrade(&UpgradeOptions { config, binary, within })?;
        note(&format!("process {pid} has taken over"));
        Ok(())
    }
}
