//! `portcullis keys create`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::expiry::ExpiryArguments;
use super::object::print_key_with_secret;
use crate::cli::body::{list, said, text};
use crate::cli::client::keys_path;
use crate::cli::failure::Failure;
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

    /// A permission it holds; may be repeated
    #[arg(long = "permission", value_name = "NAME")]
    permissions: Vec<String>,

    /// Start from this preset's permissions
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,

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
        let created = context.client.post(&keys_path(&context.environment), &self.body(now))?;
        print_key_with_secret(&created, context.json)
    }

    fn body(&self, now: Timestamp) -> Value {
        let kind = match (self.kind, &self.role) {
            (Some(Kind::Legacy), _) | (None, Some(_)) => "legacy",
            (Some(Kind::FineGrained), _) | (None, None) => "fine_grained",
        };
        said([
            ("name", Some(json!(self.name))),
            ("type", Some(json!(kind))),
            ("description", text(self.description.as_deref())),
            ("permissions", list(&self.permissions)),
            ("preset", text(self.preset.as_deref())),
            ("role", text(self.role.as_deref())),
            ("may_grant", list(&self.may_grant)),
            ("expires_at", self.expiry.instant(now).map(|instant| json!(instant))),
            ("allowlist", self.allowlist.field()),
        ])
    }
}
