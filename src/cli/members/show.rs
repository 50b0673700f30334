//! `portcullis members show`.

use super::Context;
use super::object::{MemberName, print_member};
use crate::cli::failure::Failure;

/// Show one member
#[derive(clap::Args)]
pub(super) struct Show {
    /// The member: id or email address
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: MemberName,
}

impl Show {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        print_member(&self.member.find(context)?, context.json)
    }
}
