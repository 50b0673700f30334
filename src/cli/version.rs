//! `portcullis version`.

use super::failure::Failure;
use super::options::JsonOption;
use super::output::{print, print_json};
use serde_json::json;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Print name and version
#[derive(clap::Args)]
pub(super) struct Version {
    #[command(flatten)]
    json: JsonOption,
}

impl Version {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.json.json {
            return print_json(&json!({"name": NAME, "version": VERSION}));
        }
        print(&format!("{NAME} {VERSION}"))
    }
}
