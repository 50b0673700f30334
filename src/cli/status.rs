//! `portcullis status`: what a node says of itself.

use super::client::Client;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{leaves, print, print_json};

/// Show what a node says of itself
#[derive(clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    options: ClientOptions,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let status = Client::new(&self.options)?.get("/v1/status", &[])?;
        if self.options.is_json() {
            return print_json(&status);
        }
        print(&leaves(&status))
    }
}
