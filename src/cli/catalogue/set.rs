//! `portcullis catalogue set`.

use crate::cli::client::{Client, environment_path};
use crate::cli::failure::Failure;
use crate::cli::options::ScopeOptions;
use crate::cli::output::{cell, facts, print, print_json, table};
use crate::cli::text_file;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Replace an environment's catalogue by what an OpenAPI document declares
///
/// For operators. Permissions of the environment's definition stay on top of it. Refused where a preset or role of the
/// environment names a permission that would be gone. Environments that a tenant file sets are changed there.
#[derive(clap::Args)]
pub(super) struct Set {
    /// The document, JSON or YAML; `-` for stdin
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
}

impl Set {
    pub(super) fn run(&self, client: &Client, scope: &ScopeOptions, is_json: bool) -> Result<(), Failure> {
        let document = text_file::read("--openapi", &self.openapi)?;
        let path = environment_path(&client.environment(scope)?, "/catalogue");
        let replaced = client.put_text(&path, media_type(&self.openapi, &document), &document)?;
        if is_json { print_json(&replaced) } else { print(&for_people(&replaced)) }
    }
}

/// YAML and JSON go by their names; what has none goes by how it begins.
pub(super) fn media_type(path: &Path, document: &str) -> &'static str {
    let is_named_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_named_json || document.trim_start().starts_with('{') {
        "application/vnd.oai.openapi+json"
    } else {
        "application/yaml"
    }
}

fn for_people(replaced: &Value) -> String {
    let report = replaced.get("report").unwrap_or(&Value::Null);
    let summary = facts(&[
        ("title", cell(report, "title")),
        ("version", cell(report, "version")),
        ("operations", cell(replaced, "operations")),
        ("permissions", cell(replaced, "permissions")),
    ]);
    let notes = report.get("notes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if notes.is_empty() {
        return summary;
    }
    let rows: Vec<_> = notes.iter().map(|note| ["kind", "place", "message"].map(|name| cell(note, name))).collect();
    format!("{summary}\n\n{}", table(["KIND", "PLACE", "NOTE"], &rows))
}
