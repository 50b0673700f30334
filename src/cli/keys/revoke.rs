//! `portcullis keys revoke`.

use super::Context;
use super::object::{KeyObject, print_key};
use crate::cli::client::key_path;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::model::ClientId;
use serde_json::json;

/// End a key for good
#[derive(clap::Args)]
pub(super) struct Revoke {
    /// The key's client id
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

impl Revoke {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = key_path(&context.environment, &self.id);
        let key = KeyObject::parse(&context.client.get(&path, &[])?)?;
        self.confirmation.ask(&format!(
            "Revoke `{}` ({}) in {}? Its tokens stop working at once, and this cannot be undone.",
            key.name, self.id, context.environment
        ))?;
        print_key(&context.client.post(&format!("{path}/revoke"), &json!({}))?, context.json)
    }
}
