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
        changes(&answer).iter().for_each(|change| note(change));
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
    list(answer, name).iter().filter_map(Value::as_str).map(visible).map(Into::into).collect()
}

/// So many changed environments are told in words; `--json` has all of them.
const TOLD: usize = 50;

/// What became of which environment, and who held what is gone.
fn changes(answer: &Value) -> Vec<String> {
    let all = list(answer, "changes");
    let mut lines: Vec<String> = all.iter().take(TOLD).flat_map(change).collect();
    if let Some(more) = all.len().checked_sub(TOLD).filter(|more| *more > 0) {
        lines.push(format!("and {more} more environments"));
    }
    lines
}

fn change(change: &Value) -> Vec<String> {
    let text = |value: &Value, name: &str| visible(value.get(name).and_then(Value::as_str).unwrap_or("?")).into_owned();
    let environment = text(change, "environment");
    let counts =
        [("operations_added", "new"), ("operations_removed", "gone")].into_iter().filter_map(|(name, word)| {
            let count = list(change, name).len();
            (count > 0).then(|| format!("{count} operations {word}"))
        });
    let told: Vec<String> = std::iter::once(text(change, "change")).chain(counts).collect();
    let mut lines = vec![format!("{environment}: {}", told.join(", "))];
    for gone in list(change, "permissions_removed") {
        let keys = gone.get("key_count").and_then(Value::as_u64).unwrap_or(0);
        let names: Vec<String> = list(gone, "keys").iter().map(|key| text(key, "client_id")).collect();
        let held = if keys == 0 {
            "no key held it".to_owned()
        } else {
            format!("keys that held it: {keys} ({})", names.join(", "))
        };
        lines.push(format!("{environment}: `{}` is gone; {held}", text(gone, "permission")));
    }
    lines
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
