//! `portcullis catalogue`: the operations that an environment knows, and the permissions that open them.

mod list;
mod matching;

use super::client::{Client, environment_path};
use super::failure::Failure;
use super::listing::Listing;
use super::options::{ClientOptions, ScopeOptions};
use clap::Subcommand;

/// List an environment's operations, or find the one that a request runs
#[derive(clap::Args)]
pub(super) struct Catalogue {
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
    Match(matching::Match),
}

impl Catalogue {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.options)?;
        let path = environment_path(&client.environment(&self.scope)?, "/catalogue");
        let listing = Listing::whole(&client, &path)?;
        match &self.command {
            Command::List(command) => command.run(&listing, self.options.is_json()),
            Command::Match(command) => command.run(listing, self.options.is_json()),
        }
    }
}
