//! `portcullis members`: the people of an organization, their roles, and their tokens for scripts.

mod add;
mod invite;
mod list;
mod object;
mod remove;
mod set;
mod show;
mod token;
mod token_remove;
mod tokens;

use super::client::{Client, organization_path};
use super::failure::Failure;
use super::options::{ClientOptions, OrganizationOptions};
use crate::model::Identifier;
use clap::Subcommand;

/// List, add, change and remove members, and their tokens for scripts
#[derive(clap::Args)]
pub(super) struct Members {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    organization: OrganizationOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Add(add::Add),
    Invite(invite::Invite),
    List(list::List),
    Remove(remove::Remove),
    Set(set::Set),
    Show(show::Show),
    Token(token::Token),
    TokenRemove(token_remove::TokenRemove),
    Tokens(tokens::Tokens),
}

/// Where a subcommand works and how it prints.
struct Context {
    client: Client,
    organization: Identifier,
    json: bool,
}

impl Context {
    /// The members of the organization, or what is below them.
    fn path(&self, below: &str) -> String {
        organization_path(&self.organization, &format!("/members{below}"))
    }
}

impl Members {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Add(command) => command.run(&self.context()?),
            Command::Invite(command) => command.run(&self.context()?),
            Command::List(command) => command.run(&self.context()?),
            Command::Remove(command) => {
                command.confirmation.require_possible()?;
                command.run(&self.context()?)
            }
            Command::Set(command) => command.run(&self.context()?),
            Command::Show(command) => command.run(&self.context()?),
            Command::Token(command) if command.is_for_operator() => command.run_offline(&self.options),
            Command::Token(command) => command.run(&self.context()?, crate::clock::now()),
            Command::TokenRemove(command) => {
                command.confirmation.require_possible()?;
                command.run(&self.context()?)
            }
            Command::Tokens(command) => command.run(&self.context()?),
        }
    }

    fn context(&self) -> Result<Context, Failure> {
        let client = Client::new(&self.options)?;
        let organization = client.organization(&self.organization)?;
        Ok(Context { client, organization, json: self.options.is_json() })
    }
}
