//! `portcullis catalogue`: the operations that an environment knows, and the permissions that open them.

mod list;
mod matching;
mod report;

use super::client::{Client, environment_path};
use super::failure::Failure;
use super::listing::Listing;
use super::options::{ClientOptions, ScopeOptions};
use clap::Subcommand;

/// List an environment's operations, find the one that a request runs, or tell what a document gives
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
    Report(report::Report),
}

impl Catalogue {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let json = self.options.is_json();
        match &self.command {
            Command::List(command) => command.run(&self.listing()?, json),
            Command::Match(command) => command.run(self.listing()?, json),
            Command::Report(command) => command.run(json),
        }
    }

    /// The environment's operations.
    fn listing(&self) -> Result<Listing, Failure> {
        let client = Client::new(&self.options)?;
        let path = environment_path(&client.environment(&self.scope)?, "/catalogue");
        Listing::whole(&client, &path)
    }
}
