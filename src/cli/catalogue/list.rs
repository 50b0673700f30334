//! `portcullis catalogue list`.

use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List the operations that the environment knows
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, listing: &Listing, json: bool) -> Result<(), Failure> {
        listing.show(json, "operations", ["OPERATION", "METHOD", "PATH", "PERMISSIONS", "PUBLIC"], |row| {
            Ok(["operation", "method", "path", "permissions", "public"].map(|name| cell(row, name)))
        })
    }
}
