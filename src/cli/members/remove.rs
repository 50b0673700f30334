//! `portcullis members remove`.

use super::Context;
use super::object::{MemberName, member_path};
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::output::{cell, note, print_json};

/// Remove somebody from an organization; their tokens there end at once
///
/// Operators of the node who belong to no other organization are removed by operators alone.
#[derive(clap::Args)]
pub(super) struct Remove {
    /// The member: id or email address
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: MemberName,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

impl Remove {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let seen = self.member.find(context)?;
        let who = format!("{} ({})", cell(&seen, "email"), cell(&seen, "role"));
        let question = format!("Remove {who} from {}? Their tokens there end at once.", context.organization);
        self.confirmation.ask(&question)?;
        context.client.delete(&member_path(context, &seen)?)?;
        if context.json {
            return print_json(&seen);
        }
        note(&format!("removed {who} from {}", context.organization));
        Ok(())
    }
}
