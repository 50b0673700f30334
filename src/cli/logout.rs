//! `portcullis logout`.

use super::client::Client;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{note, print_json};
use serde_json::json;

/// End the session whose token is in use
#[derive(clap::Args)]
pub(super) struct Logout {
    #[command(flatten)]
    options: ClientOptions,
}

impl Logout {
    pub(super) fn run(&self) -> Result<(), Failure> {
        Client::new(&self.options)?.delete("/v1/sessions/current")?;
        note("signed out");
        if self.options.is_json() { print_json(&json!({"signed_out": true})) } else { Ok(()) }
    }
}
