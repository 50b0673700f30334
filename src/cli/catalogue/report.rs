//! `portcullis catalogue report`.

use crate::app::{DocumentReport, report_document};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{NOTHING, facts, note, print, print_json, table};
use serde_json::json;
use std::path::PathBuf;

/// Tell what an OpenAPI document would give: permissions, merges, oddities; asks no server
///
/// The document may be OpenAPI 3.0 or 3.1 or Swagger 2.0, JSON or YAML. Exit code 7 where it cannot be imported.
#[derive(clap::Args)]
pub(super) struct Report {
    /// The document
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
}

impl Report {
    pub(super) fn run(&self, is_json: bool) -> Result<(), Failure> {
        if !self.openapi.exists() {
            return Err(Failure::new(Exit::NotFound, format!("`{}` is not there", self.openapi.display())));
        }
        let found =
            report_document(&self.openapi).map_err(|error| Failure::new(Exit::Invalid, format!("{error:#}")))?;
        if is_json {
            return print_json(&as_json(&found));
        }
        let DocumentReport { report, read, write, delete } = &found;
        let said = |text: &str| if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() };
        print(&facts(&[
            ("title", said(&report.title)),
            ("version", said(&report.version)),
            ("operations", report.operations.to_string()),
            ("permissions", report.permissions.to_string()),
            ("read", read.to_string()),
            ("write", write.to_string()),
            ("delete", delete.to_string()),
        ]))?;
        if report.notes.is_empty() {
            note("nothing in it is odd");
            return Ok(());
        }
        let row = |note: &crate::model::ImportNote| [note.kind.to_string(), note.place.clone(), note.message.clone()];
        let rows: Vec<_> = report.notes.iter().map(row).collect();
        print("")?;
        print(&table(["KIND", "PLACE", "NOTE"], &rows))
    }
}

fn as_json(found: &DocumentReport) -> serde_json::Value {
    let DocumentReport { report, read, write, delete } = found;
    json!({
        "title": report.title,
        "version": report.version,
        "operations": report.operations,
        "permissions": report.permissions,
        "access": {"read": read, "write": write, "delete": delete},
        "notes": report.notes,
    })
}
