//! `portcullis signing-keys list`.

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List the signing keys: which one signs, and until when the others still count
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, client: &Client, json: bool) -> Result<(), Failure> {
        let listing = Listing::whole(client, super::PATH)?;
        listing.show(json, "signing keys", ["ID", "ALGORITHM", "CREATED", "SIGNS FROM", "ENDS"], |row| {
            Ok(["id", "algorithm", "created_at", "signs_from", "ends_at"].map(|name| cell(row, name)))
        })
    }
}
