//! `portcullis audit verify`.

use super::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{cell, facts, print, print_json};
use serde_json::Value;

/// Check that no row of the log was changed, removed or reordered
///
/// Each row carries the hash of the one before it. Keep the head that is printed: a later log that does not contain it
/// was rewritten. Exit code 9 where the chain is broken.
#[derive(clap::Args)]
pub(super) struct Verify {}

impl Verify {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        report(&context.client.get(&format!("{}/verify", context.path), &[])?, context.json)
    }
}

/// Prints what was found; a broken chain is a problem that was found.
fn report(answer: &Value, json: bool) -> Result<(), Failure> {
    if json {
        print_json(answer)?;
    } else {
        print(&facts(&["ok", "rows", "head"].map(|name| (name, cell(answer, name)))))?;
    }
    if answer.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    let problem = answer.get("problem").filter(|problem| problem.is_object());
    let words = problem.map(|problem| format!(" at row {}: {}", cell(problem, "number"), cell(problem, "reason")));
    Err(Failure::new(Exit::CheckFoundProblems, format!("the chain is broken{}", words.unwrap_or_default())))
}
