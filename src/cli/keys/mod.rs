//! `portcullis keys`: the API keys of one environment, and digests for those that a file declares.

mod allowlist;
mod create;
mod digest;
mod edit;
mod expiry;
mod list;
mod object;
mod revoke;
mod rotate;
mod show;
mod usage;

use super::client::Client;
use super::failure::Failure;
use super::options::{ClientOptions, ScopeOptions};
use crate::model::EnvironmentId;
use clap::Subcommand;

/// List, show, create, edit, rotate and revoke API keys
#[derive(clap::Args)]
pub(super) struct Keys {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    scope: ScopeOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(create::Create),
    Digest(digest::Digest),
    Edit(edit::Edit),
    List(list::List),
    Revoke(revoke::Revoke),
    Rotate(rotate::Rotate),
    Show(show::Show),
    Usage(usage::Usage),
}

/// Where a subcommand works and how it prints.
struct Context {
    client: Client,
    environment: EnvironmentId,
    json: bool,
}

impl Keys {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Create(command) => command.run(&self.context()?, crate::clock::now()),
            Command::Digest(command) => command.run(&self.scope, self.options.is_json(), crate::clock::now()),
            Command::Edit(command) => command.run(&self.context()?),
            Command::List(command) => command.run(&self.context()?, crate::clock::now()),
            Command::Revoke(command) => {
                command.confirmation.require_possible()?;
                command.run(&self.context()?)
            }
            Command::Rotate(command) => {
                command.confirmation.require_possible()?;
                command.run(&self.context()?, crate::clock::now())
            }
            Command::Show(command) => command.run(&self.context()?),
            Command::Usage(command) => command.run(&self.context()?),
        }
    }

    fn context(&self) -> Result<Context, Failure> {
        let client = Client::new(&self.options)?;
        let environment = client.environment(&self.scope)?;
        Ok(Context { client, environment, json: self.options.is_json() })
    }
}
