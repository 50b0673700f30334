//! `portcullis envs delete`.

use super::Context;
use crate::cli::client::environment_path;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::output::{note, print_json};
use crate::model::Identifier;

/// Delete an environment in which no living key works
///
/// For operators. Its base URL answers nothing from then on. Environments that a tenant file sets are deleted there.
#[derive(clap::Args)]
pub(super) struct Delete {
    /// The environment
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Identifier,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

impl Delete {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let environment = context.named(Some(&self.id))?;
        let path = environment_path(&environment, "");
        let seen = context.client.get(&path, &[])?;
        self.confirmation.ask(&format!("Delete the environment {environment}? Its base URL answers nothing then."))?;
        context.client.delete(&path)?;
        if context.json {
            return print_json(&seen);
        }
        note(&format!("deleted the environment {environment}"));
        Ok(())
    }
}
