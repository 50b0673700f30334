//! `portcullis members invite`.

use super::Context;
use super::object::{InvitationOption, MemberName};
use crate::cli::failure::Failure;
use serde_json::json;

/// Make a new invitation for somebody who has no password yet; the one before ends
#[derive(clap::Args)]
pub(super) struct Invite {
    /// The member: id or email address
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: MemberName,

    #[command(flatten)]
    invitation: InvitationOption,
}

impl Invite {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("{}/invitation", self.member.path(context)?);
        self.invitation.print(context.client.post(&path, &json!({}))?, context.json)
    }
}
