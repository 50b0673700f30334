//! `portcullis explain`: which check decides about a request, without sending it.

use super::client::{Client, environment_path};
use super::failure::Failure;
use super::options::{ClientOptions, ScopeOptions};
use super::output::{cell, facts, print, print_json, table};
use crate::model::ClientId;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Say what would become of a request, check by check, without sending it
#[derive(clap::Args)]
pub(super) struct Explain {
    /// The key that the request would carry a token of
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    client_id: ClientId,

    /// The request's method
    #[arg(long, value_name = "METHOD")]
    method: String,

    /// The request's path, relative to the environment's base URL
    #[arg(long, value_name = "PATH")]
    path: String,

    /// The address that it would come from
    #[arg(long, value_name = "ADDRESS")]
    ip: IpAddr,

    #[command(flatten)]
    options: ClientOptions,

    #[command(flatten)]
    scope: ScopeOptions,
}

impl Explain {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.options)?;
        let path = environment_path(&client.environment(&self.scope)?, "/explain");
        let request =
            json!({"client_id": self.client_id, "method": self.method, "path": self.path, "address": self.ip});
        let answer = client.post(&path, &request)?;
        if self.options.is_json() { print_json(&answer) } else { print(&for_people(&answer)) }
    }
}

fn for_people(answer: &Value) -> String {
    let verdict = facts(&["verdict", "code", "detail"].map(|name| (name, cell(answer, name))));
    let steps = answer.get("steps").and_then(Value::as_array);
    let row = |step: &Value| ["check", "result", "detail"].map(|name| cell(step, name));
    let steps: Vec<[String; 3]> = steps.into_iter().flatten().map(row).collect();
    format!("{verdict}\n\n{}", table(["CHECK", "RESULT", "DETAIL"], &steps))
}
