//! `portcullis signing-keys rotate`.

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use serde_json::json;

/// Make a new signing key and list all; tokens that are out stay good until they expire
///
/// The new key is published at once and signs a little later, when everybody who checks tokens elsewhere has seen it.
#[derive(clap::Args)]
pub(super) struct Rotate {
    /// Sign with it at once, because the one before may be in wrong hands
    #[arg(long)]
    now: bool,
}

impl Rotate {
    pub(super) fn run(&self, client: &Client, json: bool) -> Result<(), Failure> {
        let keys = client.post(&format!("{}/rotate", super::PATH), &json!({"immediately": self.now}))?;
        super::show(&Listing::of(keys)?, json)
    }
}
