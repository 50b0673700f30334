//! `portcullis orgs create`.

use super::Context;
use super::object::print_organization;
use crate::cli::client::organization_path;
use crate::cli::failure::Failure;
use crate::model::Identifier;
use serde_json::json;

/// Create an organization (operators only)
#[derive(clap::Args)]
pub(super) struct Create {
    /// Its id, for good: 1 to 63 of `a-z 0-9 - _`
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Identifier,

    /// What people call it
    #[arg(long)]
    name: String,
}

impl Create {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let made = context.client.put(&organization_path(&self.id, ""), &json!({"name": self.name}))?;
        print_organization(&made, context.json)
    }
}
