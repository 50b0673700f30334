//! `portcullis reload`: have a node read its files again.

use super::client::Client;
use super::failure::{Exit, Failure};
use super::options::ClientOptions;
use super::output::{note, print_json, visible};
use serde_json::{Value, json};

/// Have the node read its files again; files with problems change nothing
///
/// Exit code 9 where the files have problems, each of which is named; the node goes on with what it had. Changed
/// settings of the node's own file, which wait for a restart, are named as well.
#[derive(clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    options: ClientOptions,
}

impl Reload {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let answer = Client::new(&self.options)?.post("/v1/reload", &json!({})).map_err(of_files)?;
        note("reloaded");
        let names = texts(&answer, "needs_restart");
        if !names.is_empty() {
            note(&format!("these settings have changed and wait for a restart: {}", names.join(", ")));
        }
        texts(&answer, "warnings").iter().for_each(|warning| note(&format!("warning: {warning}")));
        if self.options.is_json() { print_json(&answer) } else { Ok(()) }
    }
}

/// Files with problems are what `check` finds too, and end alike.
fn of_files(failure: Failure) -> Failure {
    match failure.exit {
        // Nothing else can be invalid in a request without a body.
        Exit::Invalid => Failure { exit: Exit::CheckFoundProblems, ..failure },
        _ => failure,
    }
}

/// The texts of a list; an older node may not have it.
fn texts(answer: &Value, name: &str) -> Vec<String> {
    let list = answer.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(visible).map(Into::into).collect()
}
