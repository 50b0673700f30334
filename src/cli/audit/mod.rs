//! `portcullis audit`: who did what, and whether the record is whole.

mod export;
mod list;
mod verify;

use super::client::{Client, organization_path};
use super::failure::Failure;
use super::options::{ClientOptions, OrganizationOptions};
use clap::Subcommand;

/// List, verify and export the audit log of an organization, or of the node
#[derive(clap::Args)]
pub(super) struct Audit {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    organization: OrganizationOptions,

    /// The node's own log instead of an organization's (operators only)
    #[arg(long, global = true, conflicts_with = "org")]
    node: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Export(export::Export),
    List(list::List),
    Verify(verify::Verify),
}

/// Which log a subcommand reads, and how it prints.
struct Context {
    client: Client,
    path: String,
    json: bool,
}

impl Audit {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Command::Verify(command) = &self.command
            && let Some(file) = command.file()
        {
            return command.run_offline(file, self.options.is_json());
        }
        let client = Client::new(&self.options)?;
        let path = if self.node {
            "/v1/audit".to_owned()
        } else {
            organization_path(&client.organization(&self.organization)?, "/audit")
        };
        let context = Context { client, path, json: self.options.is_json() };
        match &self.command {
            Command::Export(command) => command.run(&context),
            Command::List(command) => command.run(&context, crate::clock::now()),
            Command::Verify(command) => command.run(&context),
        }
    }
}
