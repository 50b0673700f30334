//! `portcullis version`.

use super::failure::Failure;
use super::output::print;

/// Print name and version
#[derive(clap::Args)]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(&self) -> Result<(), Failure> {
        print(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")))
    }
}
