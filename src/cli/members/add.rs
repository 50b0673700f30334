//! `portcullis members add`.

use super::Context;
use super::object::{InvitationOption, Role};
use crate::cli::body::{said, text};
use crate::cli::failure::Failure;
use serde_json::{Value, json};

/// Add somebody to an organization, with an invitation if they have no password yet
///
/// The invitation is printed once, or goes to a file, and is good for seven days. Whoever holds it sets the password:
/// `portcullis login --invitation-file FILE`.
#[derive(clap::Args)]
pub(super) struct Add {
    /// Their email address, by which they sign in
    #[arg(value_name = "EMAIL")]
    email: String,

    /// What they may do in this organization
    #[arg(long, value_enum)]
    role: Role,

    /// What people call them
    #[arg(long)]
    name: Option<String>,

    /// They may also run the node: reload, drain, organizations, signing keys (operators only)
    #[arg(long)]
    operator: bool,

    /// They are the person who has that address and a password in another organization (for operators)
    #[arg(long)]
    link: bool,

    #[command(flatten)]
    invitation: InvitationOption,
}

impl Add {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.invitation.print(context.client.post(&context.path(""), &self.body())?, context.json)
    }

    fn body(&self) -> Value {
        said([
            ("email", Some(json!(self.email))),
            ("role", Some(json!(self.role.as_str()))),
            ("name", text(self.name.as_deref())),
            ("operator", self.operator.then_some(Value::Bool(true))),
            ("link", self.link.then_some(Value::Bool(true))),
        ])
    }
}
