//! `portcullis keys edit`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::object::{KeyObject, print_key};
use crate::cli::body::{list, said, text};
use crate::cli::client::key_path;
use crate::cli::failure::{Exit, Failure};
use crate::model::ClientId;
use clap::ArgGroup;
use serde_json::{Value, json};

/// Change a key's name, description, permissions or allowlist; its secret and its expiry stay
///
/// Only what is named changes. A list that is given replaces the one before. It fails with exit code 6 where the key
/// was changed by somebody else meanwhile. Its expiry changes by `keys rotate` alone.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("change").multiple(true).required(true).args([
    "name", "description", "permissions", "add_permissions", "remove_permissions", "allow", "allow_file",
    "allow_platform", "allow_any", "may_grant", "no_may_grant",
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

    /// A permission that it holds as well from now on; may be repeated
    #[arg(long = "add-permission", value_name = "NAME", conflicts_with = "permissions")]
    add_permissions: Vec<String>,

    /// A permission that it holds no more; may be repeated
    #[arg(long = "remove-permission", value_name = "NAME", conflicts_with = "permissions")]
    remove_permissions: Vec<String>,

    #[command(flatten)]
    allowlist: AllowlistArguments,

    /// Allow any address from now on
    #[arg(long, conflicts_with_all = ["allow", "allow_file", "allow_platform"])]
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
        print_key(&context.client.patch(&path, &seen, &self.body(&seen)?)?, context.json)
    }

    fn body(&self, seen: &Value) -> Result<Value, Failure> {
        Ok(said([
            ("name", text(self.name.as_deref())),
            ("description", text(self.description.as_deref())),
            ("permissions", self.permissions(seen)?),
            ("allowlist", if self.allow_any { Some(Value::Null) } else { self.allowlist.field()? }),
            ("may_grant", if self.no_may_grant { Some(Value::Null) } else { list(&self.may_grant) }),
        ]))
    }

    /// All permissions as they shall be: said outright, or what was seen with some more and some less.
    fn permissions(&self, seen: &Value) -> Result<Option<Value>, Failure> {
        if self.add_permissions.is_empty() && self.remove_permissions.is_empty() {
            return Ok(list(&self.permissions));
        }
        let mut names = KeyObject::parse(seen)?.permissions.unwrap_or_default();
        if let Some(absent) = self.remove_permissions.iter().find(|name| !names.contains(name)) {
            return Err(Failure::new(Exit::Invalid, format!("the key has no permission `{absent}`")));
        }
        names.retain(|name| !self.remove_permissions.contains(name));
        let more = self.add_permissions.iter().filter(|name| !names.contains(name)).cloned();
        names.extend(more.collect::<Vec<_>>());
        Ok(Some(json!(names)))
    }
}
