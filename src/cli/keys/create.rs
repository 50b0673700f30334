//! `portcullis keys create`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::expiry::ExpiryArguments;
use super::object::print_key_with_secret;
use crate::cli::client::keys_path;
use crate::cli::failure::Failure;
use crate::model::Timestamp;
use serde_json::{Map, Value, json};

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

    /// Only what was said: what was not is the control API's to decide.
    fn body(&self, now: Timestamp) -> Value {
        let kind = match (self.kind, &self.role) {
            (Some(Kind::Legacy), _) | (None, Some(_)) => "legacy",
            (Some(Kind::FineGrained), _) | (None, None) => "fine_grained",
        };
        let permissions = (!self.permissions.is_empty()).then(|| json!(self.permissions));
        let fields = [
            ("name", Some(json!(self.name))),
            ("type", Some(json!(kind))),
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("permissions", permissions),
            ("preset", self.preset.as_ref().map(|text| json!(text))),
            ("role", self.role.as_ref().map(|text| json!(text))),
            ("expires_at", self.expiry.instant(now).map(|instant| json!(instant))),
            ("allowlist", self.allowlist.field()),
        ];
        let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(said.collect::<Map<_, _>>())
    }
}
