//! `portcullis signing-keys`: the keys that sign access tokens, for operators.

mod list;
mod rotate;

use super::client::Client;
use super::failure::Failure;
use super::listing::Listing;
use super::options::ClientOptions;
use super::output::cell;
use clap::Subcommand;

const PATH: &str = "/v1/signing-keys";

/// List the keys that sign access tokens, or put a new one in their place
#[derive(clap::Args)]
pub(super) struct SigningKeys {
    #[command(flatten)]
    options: ClientOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::List),
    Rotate(rotate::Rotate),
}

/// Prints signing keys in the form asked for.
fn show(listing: &Listing, json: bool) -> Result<(), Failure> {
    listing.show(json, "signing keys", ["ID", "ALGORITHM", "CREATED", "SIGNS FROM", "ENDS"], |row| {
        Ok(["id", "algorithm", "created_at", "signs_from", "ends_at"].map(|name| cell(row, name)))
    })
}

impl SigningKeys {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.options)?;
        match &self.command {
            Command::List(command) => command.run(&client, self.options.is_json()),
            Command::Rotate(command) => command.run(&client, self.options.is_json()),
        }
    }
}
