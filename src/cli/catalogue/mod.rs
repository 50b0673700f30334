//! `portcullis catalogue`: the operations that an environment knows, and the permissions that open them.

mod diff;
mod list;
mod matching;
mod report;
mod set;

use super::client::{Client, environment_path};
use super::failure::Failure;
use super::listing::Listing;
use super::options::{ClientOptions, ScopeOptions};
use clap::Subcommand;

/// List an environment's operations, find the one that a request runs, set them, or tell what a document gives or changes
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
    Diff(diff::Diff),
    List(list::List),
    Match(matching::Match),
    Report(report::Report),
    Set(set::Set),
}

impl Catalogue {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let json = self.options.is_json();
        match &self.command {
            Command::Diff(command) => command.run(&Client::new(&self.options)?, &self.scope, json),
            Command::List(command) => command.run(&self.listing()?, json),
            Command::Match(command) => command.run(self.listing()?, json),
            Command::Report(command) => command.run(json),
            Command::Set(command) => command.run(&Client::new(&self.options)?, &self.scope, json),
        }
    }

    /// The environment's operations.
    fn listing(&self) -> Result<Listing, Failure> {
        let client = Client::new(&self.options)?;
        let path = environment_path(&client.environment(&self.scope)?, "/catalogue");
        Listing::whole(&client, &path)
    }
}
