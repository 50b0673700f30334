//! `portcullis orgs list`.

use super::Context;
use super::object::policy;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List the organizations that you may see, and your role in each
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let listing = Listing::whole(&context.client, "/v1/organizations")?;
        let headings = ["ID", "NAME", "ROLE", "BLOCK LEGACY KEYS", "MAX KEY LIFETIME", "MANAGED BY"];
        listing.show(context.json, "organizations", headings, |row| {
            let [id, name, role, managed_by] = ["id", "name", "role", "managed_by"].map(|name| cell(row, name));
            Ok([id, name, role, policy(row, "block_legacy_keys"), policy(row, "max_key_lifetime"), managed_by])
        })
    }
}
