//! `portcullis keys rotate`.

use super::Context;
use super::allowlist::AllowlistArguments;
use super::expiry::ExpiryArguments;
use super::object::{KeyObject, print_key_with_secret};
use crate::cli::client::key_path;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::model::{ClientId, Timestamp};
use clap::ArgGroup;
use serde_json::{Value, json};

/// Give a key a new secret and a new expiry; the old secret and its tokens stop working at once
#[derive(clap::Args)]
#[command(group = ArgGroup::new("new_expiry").args(["expires_at", "expires_in", "no_expiry"]).required(true))]
pub(super) struct Rotate {
    /// The key's client id
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,

    #[command(flatten)]
    expiry: ExpiryArguments,

    /// It shall never end
    #[arg(long)]
    no_expiry: bool,

    #[command(flatten)]
    allowlist: AllowlistArguments,

    /// Allow any address from now on
    #[arg(long, conflicts_with_all = ["allow", "allow_file", "allow_platform"])]
    allow_any: bool,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

impl Rotate {
    pub(super) fn run(&self, context: &Context, now: Timestamp) -> Result<(), Failure> {
        let path = key_path(&context.environment, &self.id);
        let body = self.body(now)?;
        let key = KeyObject::parse(&context.client.get(&path, &[])?)?;
        self.confirmation.ask(&format!(
            "Rotate `{}` ({}) in {}? Its old secret and every token made with it stop working at once.",
            key.name, self.id, context.environment
        ))?;
        let rotated = context.client.post(&format!("{path}/rotate"), &body)?;
        print_key_with_secret(&rotated, context.json)
    }

    /// The expiry is always said, `null` for none; the allowlist only where it changes.
    fn body(&self, now: Timestamp) -> Result<Value, Failure> {
        let mut body = json!({"expires_at": self.expiry.instant(now)});
        let allowlist = if self.allow_any { Some(Value::Null) } else { self.allowlist.field()? };
        if let (Some(allowlist), Some(fields)) = (allowlist, body.as_object_mut()) {
            fields.insert("allowlist".to_owned(), allowlist);
        }
        Ok(body)
    }
}
