//! `portcullis envs list`.

use super::Context;
use crate::cli::client::organization_path;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List an organization's environments
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let organization = context.client.organization(&context.scope.organization)?;
        let listing = Listing::whole(&context.client, &organization_path(&organization, "/environments"))?;
        listing.show(context.json, "environments", ["ID", "BASE URL", "TOKEN URL", "MANAGED BY"], |row| {
            Ok(["id", "base_url", "token_url", "managed_by"].map(|name| cell(row, name)))
        })
    }
}
