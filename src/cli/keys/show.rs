//! `portcullis keys show`.

use super::Context;
use super::object::print_key;
use crate::cli::client::key_path;
use crate::cli::failure::Failure;
use crate::model::ClientId;

/// Show one key
#[derive(clap::Args)]
pub(super) struct Show {
    /// The key's client id
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
}

impl Show {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        print_key(&context.client.get(&key_path(&context.environment, &self.id), &[])?, context.json)
    }
}
