//! `portcullis envs`: environments, and the addresses that callers need.

mod list;
mod show;

use super::client::Client;
use super::failure::Failure;
use super::options::{ClientOptions, ScopeOptions};
use clap::Subcommand;

/// List and show environments: base URL, token URL, issuer
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
    List(list::List),
    Show(show::Show),
}

/// How a subcommand asks and prints.
struct Context<'c> {
    client: Client,
    scope: &'c ScopeOptions,
    json: bool,
}

impl Envs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.options)?;
        let context = Context { client, scope: &self.scope, json: self.options.is_json() };
        match &self.command {
            Command::List(command) => command.run(&context),
            Command::Show(command) => command.run(&context),
        }
    }
}
