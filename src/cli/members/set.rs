//! `portcullis members set`.

use super::Context;
use super::object::{MemberName, Role, member_path, print_member};
use crate::cli::body::{said, text};
use crate::cli::failure::Failure;
use clap::{ArgAction, ArgGroup};
use serde_json::{Value, json};

/// Change a member's role or name
#[derive(clap::Args)]
#[command(group = ArgGroup::new("change").multiple(true).required(true).args(["role", "name", "operator"]))]
pub(super) struct Set {
    /// The member: id or email address
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: MemberName,

    /// What they may do in this organization from now on, with their tokens too
    #[arg(long, value_enum)]
    role: Option<Role>,

    /// What people call them
    #[arg(long)]
    name: Option<String>,

    /// Whether they may run the node (operators only)
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    operator: Option<bool>,
}

impl Set {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let seen = self.member.find(context)?;
        let changed = context.client.patch(&member_path(context, &seen)?, &seen, &self.body())?;
        print_member(&changed, context.json)
    }

    fn body(&self) -> Value {
        said([
            ("role", self.role.map(|role| json!(role.as_str()))),
            ("name", text(self.name.as_deref())),
            ("operator", self.operator.map(Value::Bool)),
        ])
    }
}
