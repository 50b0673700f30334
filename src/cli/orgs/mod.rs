//! `portcullis orgs`: organizations and the policies that bind all their keys.

mod create;
mod list;
mod object;
mod set;
mod show;

use super::client::Client;
use super::failure::Failure;
use super::options::{ClientOptions, OrganizationOptions};
use crate::model::Identifier;
use clap::Subcommand;

/// List, show, create and set organizations: their names and policies
#[derive(clap::Args)]
pub(super) struct Orgs {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    organization: OrganizationOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(create::Create),
    List(list::List),
    Set(set::Set),
    Show(show::Show),
}

/// How a subcommand asks and prints.
struct Context<'c> {
    client: Client,
    named: &'c OrganizationOptions,
    json: bool,
}

impl Context<'_> {
    /// The organization meant: by position, by `--org`, or the only one there is.
    fn organization(&self, id: Option<&Identifier>) -> Result<Identifier, Failure> {
        match (id, &self.named.org) {
            (Some(id), Some(named)) if id != named => {
                Err(Failure::usage(format!("two organizations are named: `{id}` and `{named}`")))
            }
            (Some(id), _) => Ok(id.clone()),
            (None, _) => self.client.organization(self.named),
        }
    }
}

impl Orgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.options)?;
        let context = Context { client, named: &self.organization, json: self.options.is_json() };
        match &self.command {
            Command::Create(command) => command.run(&context),
            Command::List(command) => command.run(&context),
            Command::Set(command) => command.run(&context),
            Command::Show(command) => command.run(&context),
        }
    }
}
