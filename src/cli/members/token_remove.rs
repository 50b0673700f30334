//! `portcullis members token-remove`.

use super::Context;
use super::object::{MemberName, own_path, plain_id};
use crate::cli::confirm::Confirmation;
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::output::{cell, note, print_json};

/// End a member's token for scripts
#[derive(clap::Args)]
pub(super) struct TokenRemove {
    /// The token's id, as `members tokens` lists it
    #[arg(value_name = "TOKEN_ID", value_parser = plain_id)]
    id: String,

    /// Whose: id or email address [default: your own]
    #[arg(long, value_name = "MEMBER", value_parser = MemberName::parse)]
    member: Option<MemberName>,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

impl TokenRemove {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let member = match &self.member {
            Some(member) => member.path(context)?,
            None => own_path(context)?,
        };
        let tokens = Listing::whole(&context.client, &format!("{member}/tokens"))?.data;
        let seen = tokens.into_iter().find(|token| cell(token, "id") == self.id);
        let seen = seen.ok_or_else(|| Failure::new(Exit::NotFound, format!("there is no token `{}`", self.id)))?;
        let named = format!("`{}` ({})", cell(&seen, "name"), self.id);
        self.confirmation.ask(&format!("End the token {named}? What uses it stops working at once."))?;
        context.client.delete(&format!("{member}/tokens/{}", self.id))?;
        if context.json {
            return print_json(&seen);
        }
        note(&format!("ended the token {named}"));
        Ok(())
    }
}
