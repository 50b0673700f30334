//! `portcullis members tokens`.

use super::Context;
use super::object::{MemberName, own_path};
use crate::cli::failure::Failure;
use crate::cli::listing::Listing;
use crate::cli::output::cell;

/// List a member's tokens for scripts
#[derive(clap::Args)]
pub(super) struct Tokens {
    /// Whose: id or email address [default: your own]
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: Option<MemberName>,
}

impl Tokens {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let member = match &self.member {
            Some(member) => member.path(context)?,
            None => own_path(context)?,
        };
        let listing = Listing::whole(&context.client, &format!("{member}/tokens"))?;
        listing.show(context.json, "tokens", ["ID", "NAME", "EXPIRES", "CREATED", "LAST USED"], |row| {
            Ok(["id", "name", "expires_at", "created_at", "last_used_at"].map(|name| cell(row, name)))
        })
    }
}
