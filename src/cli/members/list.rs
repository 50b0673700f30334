//! `portcullis members list`.

use super::Context;
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List the members of an organization
#[derive(clap::Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing::whole(&context.client, &context.path(""))?;
        let headings = ["ID", "EMAIL", "NAME", "ROLE", "HAS A PASSWORD", "LAST SIGN-IN"];
        listing.show(context.json, "members", headings, |row| {
            Ok(["id", "email", "name", "role", "has_password", "last_sign_in_at"].map(|name| cell(row, name)))
        })
    }
}
