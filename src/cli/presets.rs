//! `portcullis presets`: named selections of permissions to start a key from.

use super::failure::Failure;
use super::named::{self, Kind};
use super::options::{ClientOptions, ScopeOptions};

/// List, set and delete presets: named selections of permissions to start a key from
#[derive(clap::Args)]
pub(super) struct Presets {
    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    scope: ScopeOptions,

    #[command(subcommand)]
    command: named::Command,
}

impl Presets {
    pub(super) fn run(&self) -> Result<(), Failure> {
        named::run(&Kind { list: "presets", noun: "preset" }, &self.command, &self.options, &self.scope)
    }
}
