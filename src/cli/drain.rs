//! `portcullis drain`: have a node finish what it does and end.

use super::client::Client;
use super::confirm::Confirmation;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{note, print_json};
use serde_json::{Value, json};

/// Have the node take no more connections, finish what it has begun, and end
#[derive(clap::Args)]
pub(super) struct Drain {
    #[command(flatten)]
    confirmation: Confirmation,

    #[command(flatten)]
    options: ClientOptions,
}

impl Drain {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.confirmation.require_possible()?;
        let client = Client::new(&self.options)?;
        self.confirmation
            .ask(&format!("Drain the node at {}? It ends and does not start again by itself.", client.server()))?;
        let answer = client.post("/v1/drain", &json!({}))?;
        note("draining");
        match answer {
            _ if !self.options.is_json() => Ok(()),
            Value::Null => print_json(&json!({"draining": true})),
            said => print_json(&said),
        }
    }
}
