//! `portcullis signing-keys list`.

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;

/// List the signing keys: which one signs, and until when the others still count
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, client: &Client, json: bool) -> Result<(), Failure> {
        super::show(&Listing::whole(client, super::PATH)?, json)
    }
}
