//! `portcullis reload`: have a node read its tenant files again.

use super::client::Client;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{note, print_json};
use serde_json::json;

/// Have the node read its tenant files again; files with problems change nothing
///
/// Exit code 7 where the files have problems, each of which is named; the node goes on with what it had.
#[derive(clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    options: ClientOptions,
}

impl Reload {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let answer = Client::new(&self.options)?.post("/v1/reload", &json!({}))?;
        note("reloaded");
        if self.options.is_json() { print_json(&answer) } else { Ok(()) }
    }
}
