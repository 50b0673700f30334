//! `portcullis audit verify`.

use super::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{cell, facts, print, print_json};
use crate::cli::progress::Counter;
use crate::model::ChainHead;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Check that no row of the log was changed, removed or reordered
///
/// Each row carries the hash of the one before it. Keep the head that is printed: a later log that does not contain it
/// was rewritten. With --file an exported log is verified here, without asking any node. Exit code 9 where the chain is
/// broken.
#[derive(clap::Args)]
pub(super) struct Verify {
    /// A log that `audit export` wrote, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["org", "node"])]
    file: Option<PathBuf>,

    /// A head that was kept earlier: the log must contain it
    #[arg(long, value_name = "HASH", requires = "file")]
    head: Option<String>,
}

impl Verify {
    /// The exported log to verify, if one was named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        report(&context.client.get(&format!("{}/verify", context.path), &[])?, context.json)
    }

    pub(super) fn run_offline(&self, file: &Path, json: bool) -> Result<(), Failure> {
        let unreadable = |error| Failure::new(Exit::Failure, format!("--file `{}`: {error}", file.display()));
        let read: Box<dyn Read> = match file {
            _ if file == Path::new("-") => Box::new(std::io::stdin()),
            _ => Box::new(File::open(file).map_err(unreadable)?),
        };
        let walked = walk(BufReader::new(read), self.head.as_deref()).map_err(unreadable)?;
        report(&walked, json)
    }
}

/// Follows the chain from its first row on, line by line; the answer has the control API's form.
fn walk(rows: impl BufRead, kept: Option<&str>) -> std::io::Result<Value> {
    let counter = Counter::start("rows");
    let mut reached = ChainHead::default();
    let mut met = kept.is_none_or(|kept| kept == reached.hash);
    let mut problem = None;
    for line in rows.lines() {
        if let Err(broken) = reached.follow(&line?) {
            problem = Some(json!({"number": broken.number, "reason": broken.reason}));
            break;
        }
        met = met || kept == Some(reached.hash.as_str());
        counter.add(1);
    }
    counter.end();
    if !met && problem.is_none() {
        let reason = "the log does not contain the head that was kept: it was rewritten or cut off";
        problem = Some(json!({"number": reached.number, "reason": reason}));
    }
    Ok(json!({"ok": problem.is_none(), "rows": reached.number, "head": reached.hash, "problem": problem}))
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
