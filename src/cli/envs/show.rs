//! `portcullis envs show`.

use super::Context;
use crate::cli::client::environment_path;
use crate::cli::failure::Failure;
use crate::cli::output::{cell, facts, print, print_json};
use crate::model::Identifier;
use serde_json::Value;

/// Show an environment, with a line that fetches a token there
#[derive(clap::Args)]
pub(super) struct Show {
    /// The environment [default: the only one]
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Option<Identifier>,
}

impl Show {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let environment = context.named(self.id.as_ref())?;
        let shown = context.client.get(&environment_path(&environment, ""), &[])?;
        print_environment(&shown, context.json)
    }
}

/// Prints an environment in the form asked for.
pub(super) fn print_environment(environment: &Value, json: bool) -> Result<(), Failure> {
    if json { print_json(environment) } else { print(&for_people(environment)) }
}

fn for_people(environment: &Value) -> String {
    let platform = environment.get("platform_addresses").map_or_else(String::new, |platform| cell(platform, "label"));
    facts(&[
        ("id", cell(environment, "id")),
        ("organization", cell(environment, "organization")),
        ("base URL", cell(environment, "base_url")),
        ("token URL", cell(environment, "token_url")),
        ("issuer", cell(environment, "issuer")),
        ("signing keys", cell(environment, "jwks_url")),
        ("platform", platform),
        ("managed by", cell(environment, "managed_by")),
        ("a token", cell(environment, "curl")),
    ])
}
