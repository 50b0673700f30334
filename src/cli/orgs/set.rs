//! `portcullis orgs set`.

use super::Context;
use super::object::print_organization;
use crate::cli::body::{said, text};
use crate::cli::client::organization_path;
use crate::cli::failure::Failure;
use crate::model::Identifier;
use clap::ArgGroup;
use serde_json::{Value, json};

/// Change an organization's name or policies
///
/// A policy binds every environment of the organization from now on: keys are held to it when they are created and
/// rotated. Keys that exist keep working; the answer says how many of them exceed it.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("change").multiple(true).required(true)
    .args(["name", "block_legacy_keys", "max_key_lifetime"]))]
pub(super) struct Set {
    /// The organization [default: the only one]
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Option<Identifier>,

    /// What people call it from now on
    #[arg(long)]
    name: Option<String>,

    /// Whether no more legacy keys can be made
    #[arg(long, value_enum, value_name = "POLICY")]
    block_legacy_keys: Option<Switch>,

    /// The longest life of a key, such as 90d, or `unset` for no limit
    #[arg(long, value_name = "DURATION|unset")]
    max_key_lifetime: Option<String>,
}

/// A policy that is on, off, or left to the default.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Switch {
    False,
    True,
    Unset,
}

impl Set {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let path = organization_path(&context.organization(self.id.as_ref())?, "");
        let seen = context.client.get(&path, &[])?;
        print_organization(&context.client.patch(&path, &seen, &self.body())?, context.json)
    }

    fn body(&self) -> Value {
        let block = self.block_legacy_keys.map(|switch| match switch {
            Switch::False => json!(false),
            Switch::True => json!(true),
            Switch::Unset => Value::Null,
        });
        let lifetime = self.max_key_lifetime.as_deref().map(|text| match text {
            "unset" => Value::Null,
            _ => json!(text),
        });
        let policies = said([("block_legacy_keys", block), ("max_key_lifetime", lifetime)]);
        let any = policies.as_object().is_some_and(|policies| !policies.is_empty());
        said([("name", text(self.name.as_deref())), ("policies", any.then_some(policies))])
    }
}
