//! `portcullis roles`: named sets of permissions for legacy keys.

use super::failure::Failure;
use super::named::{self, Kind};
use super::options::{ClientOptions, ScopeOptions};

/// List, set and delete roles: named sets of permissions for legacy keys
#[derive(clap::Args)]
pub(super) struct Roles {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    scope: ScopeOptions,

    #[command(subcommand)]
    command: named::Command,
}

impl Roles {
    pub(super) fn run(&self) -> Result<(), Failure> {
        named::run(&Kind { list: "roles", noun: "role" }, &self.command, &self.options, &self.scope)
    }
}
