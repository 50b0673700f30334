//! `portcullis keys create`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::expiry::ExpiryArguments;
use super::object::print_key_with_secret;
use crate::cli::body::{list, said, text};
use crate::cli::client::{environment_path, keys_path};
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::output::cell;
use crate::model::Timestamp;
use serde_json::{Value, json};

/// Create a key and print its secret, once
#[derive(clap::Args)]
pub(super) struct Create {
    /// What people call it
    #[arg(long)]
    name: String,

    /// What it is for
    #[arg(long)]
    description: Option<String>,

    /// Chosen permissions, or a role [default: legacy with --role, else fine-grained]
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,

    /// A permission it holds, beside those of a preset; may be repeated
    #[arg(long = "permission", value_name = "NAME")]
    permissions: Vec<String>,

    /// Start from this preset's permissions
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,

    /// A permission of the preset that it does not hold; may be repeated
    #[arg(long, value_name = "NAME", requires = "preset")]
    without: Vec<String>,

    /// The role of a legacy key
    #[arg(long, value_name = "NAME", conflicts_with_all = ["permissions", "preset"])]
    role: Option<String>,

    /// A permission that it may give to other keys beyond its own, if it manages keys; may be repeated
    #[arg(long = "may-grant", value_name = "NAME")]
    may_grant: Vec<String>,

    #[command(flatten)]
    expiry: ExpiryArguments,

    #[command(flatten)]
    allowlist: AllowlistArguments,
}

/// What a key may do, by its kind.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Exactly the permissions chosen
    FineGrained,
    /// What a role opens
    Legacy,
}

impl Create {
    pub(super) fn run(&self, context: &Context, now: Timestamp) -> Result<(), Failure> {
        let created = context.client.post(&keys_path(&context.environment), &self.body(context, now)?)?;
        print_key_with_secret(&created, context.json)
    }

    fn body(&self, context: &Context, now: Timestamp) -> Result<Value, Failure> {
        let kind = match (self.kind, &self.role) {
            (Some(Kind::Legacy), _) | (None, Some(_)) => "legacy",
            (Some(Kind::FineGrained), _) | (None, None) => "fine_grained",
        };
        Ok(said([
            ("name", Some(json!(self.name))),
            ("type", Some(json!(kind))),
            ("description", text(self.description.as_deref())),
            ("permissions", list(&self.permissions(context)?)),
            ("preset", text(self.preset.as_deref())),
            ("role", text(self.role.as_deref())),
            ("may_grant", list(&self.may_grant)),
            ("expires_at", self.expiry.instant(now).map(|instant| json!(instant))),
            ("allowlist", self.allowlist.field()?),
        ]))
    }

    /// The permissions that are sent. A preset that is adjusted is resolved here: the control API takes what came out.
    fn permissions(&self, context: &Context) -> Result<Vec<String>, Failure> {
        let Some(preset) = self.preset.as_ref().filter(|_| !self.permissions.is_empty() || !self.without.is_empty())
        else {
            return Ok(self.permissions.clone());
        };
        let presets = Listing::whole(&context.client, &environment_path(&context.environment, "/presets"))?.data;
        let found = presets.iter().find(|known| cell(known, "name") == *preset);
        let found =
            found.ok_or_else(|| Failure::new(Exit::Invalid, format!("the environment has no preset `{preset}`")))?;
        let names = found.get("permissions").and_then(Value::as_array);
        let mut names: Vec<String> =
            names.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        if let Some(absent) = self.without.iter().find(|name| !names.contains(name)) {
            return Err(Failure::new(Exit::Invalid, format!("the preset `{preset}` has no permission `{absent}`")));
        }
        names.retain(|name| !self.without.contains(name));
        names.extend(self.permissions.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        Ok(names)
    }
}
