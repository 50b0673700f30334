//! `portcullis envs`: environments, and the addresses that callers need.

mod delete;
mod list;
mod set;
mod show;

use super::client::Client;
use super::failure::Failure;
use super::options::{ClientOptions, ScopeOptions};
use crate::model::{EnvironmentId, Identifier};
use clap::Subcommand;

/// List, show, set and delete environments: base URL, token URL, issuer
#[derive(clap::Args)]
pub(super) struct Envs {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    scope: ScopeOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Delete(delete::Delete),
    List(list::List),
    Set(set::Set),
    Show(show::Show),
}

/// How a subcommand asks and prints.
struct Context<'c> {
    client: Client,
    scope: &'c ScopeOptions,
    json: bool,
}

impl Context<'_> {
    /// The environment that is named after the command or with `--env`; without either the only one there is.
    fn named(&self, id: Option<&Identifier>) -> Result<EnvironmentId, Failure> {
        match (id, &self.scope.env) {
            (Some(id), Some(named)) if id != named => {
                Err(Failure::usage(format!("two environments are named: `{id}` and `{named}`")))
            }
            (Some(id), _) => {
                let organization = self.client.organization(&self.scope.organization)?;
                Ok(EnvironmentId { organization, environment: id.clone() })
            }
            (None, _) => self.client.environment(self.scope),
        }
    }
}

impl Envs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Command::Delete(command) = &self.command {
            command.confirmation.require_possible()?;
        }
        let client = Client::new(&self.options)?;
        let context = Context { client, scope: &self.scope, json: self.options.is_json() };
        match &self.command {
            Command::Delete(command) => command.run(&context),
            Command::List(command) => command.run(&context),
            Command::Set(command) => command.run(&context),
            Command::Show(command) => command.run(&context),
        }
    }
}
