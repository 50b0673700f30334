//! `portcullis keys edit`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::object::print_key;
use crate::cli::body::{list, said, text};
use crate::cli::client::key_path;
use crate::cli::failure::Failure;
use crate::model::ClientId;
use clap::ArgGroup;
use serde_json::Value;

/// Change a key's name, description, permissions or allowlist; its secret and its expiry stay
///
/// Only what is named changes. A list that is given replaces the one before. It fails with exit code 6 where the key
/// was changed by somebody else meanwhile. Its expiry changes by `keys rotate` alone.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("change").multiple(true).required(true).args([
    "name", "description", "permissions", "allow", "allow_platform", "allow_any", "may_grant", "no_may_grant",
]))]
pub(super) struct Edit {
    /// The key's client id
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,

    /// What people call it from now on
    #[arg(long)]
    name: Option<String>,

    /// What it is for
    #[arg(long)]
    description: Option<String>,

    /// A permission it holds from now on; may be repeated, and replaces all that it held
    #[arg(long = "permission", value_name = "NAME")]
    permissions: Vec<String>,

    #[command(flatten)]
    allowlist: AllowlistArguments,

    /// Allow any address from now on
    #[arg(long, conflicts_with_all = ["allow", "allow_platform"])]
    allow_any: bool,

    /// A permission that it may give to other keys beyond its own; may be repeated, and replaces the list before
    #[arg(long = "may-grant", value_name = "NAME")]
    may_grant: Vec<String>,

    /// It may give its own permissions alone from now on
    #[arg(long, conflicts_with = "may_grant")]
    no_may_grant: bool,
}

impl Edit {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = key_path(&context.environment, &self.id);
        let seen = context.client.get(&path, &[])?;
        print_key(&context.client.patch(&path, &seen, &self.body())?, context.json)
    }

    fn body(&self) -> Value {
        said([
            ("name", text(self.name.as_deref())),
            ("description", text(self.description.as_deref())),
            ("permissions", list(&self.permissions)),
            ("allowlist", if self.allow_any { Some(Value::Null) } else { self.allowlist.field() }),
            ("may_grant", if self.no_may_grant { Some(Value::Null) } else { list(&self.may_grant) }),
        ])
    }
}
