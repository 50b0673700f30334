//! `portcullis catalogue diff`.

use super::set::media_type;
use crate::cli::client::{Client, environment_path};
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::options::ScopeOptions;
use crate::cli::output::{NOTHING, cell, note, print, print_json, table};
use crate::cli::text_file;
use serde_json::Value;
use std::path::PathBuf;

/// Tell what an OpenAPI document would change, or what keys hold that is gone already
///
/// With a document: operations and permissions that are new, gone, moved or open more, roles and presets that would
/// break, and the keys concerned. Nothing is changed. New operations are denied until a key is given their permission.
/// Without one: permissions and roles that living keys hold and the environment does not know.
#[derive(clap::Args)]
pub(super) struct Diff {
    /// The document, JSON or YAML; `-` for stdin
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,

    /// Exit with 1 where there is a difference, 0 where there is none
    #[arg(long)]
    exit_code: bool,
}

/// A list of a difference: what an entry is called, and its row.
type List = (&'static str, &'static str, fn(&Value) -> [String; 3]);

const LISTS: [List; 8] = [
    ("operations_added", "new operation", operation),
    ("operations_removed", "operation gone", operation),
    ("operations_moved", "operation moved", moved),
    ("permissions_added", "new permission", new_permission),
    ("permissions_removed", "permission gone", held),
    ("permissions_widened", "permission opens more", widened),
    ("roles_broken", "role broken", |row| broken(row, "role")),
    ("presets_broken", "preset broken", |row| broken(row, "preset")),
];

impl Diff {
    pub(super) fn run(&self, client: &Client, scope: &ScopeOptions, is_json: bool) -> Result<(), Failure> {
        let environment = client.environment(scope)?;
        let is_different = match &self.openapi {
            None => drift(&Listing::whole(client, &environment_path(&environment, "/drift"))?, is_json)?,
            Some(file) => {
                let document = text_file::read("--openapi", file)?;
                let path = environment_path(&environment, "/catalogue/diff");
                compared(&client.post_text(&path, media_type(file, &document), &document)?, is_json)?
            }
        };
        // Said already, and no error: there are no words for it.
        if is_different && self.exit_code { Err(Failure::new(Exit::Failure, "")) } else { Ok(()) }
    }
}

/// Shows a difference; whether there is one.
fn compared(diff: &Value, is_json: bool) -> Result<bool, Failure> {
    let entries = |list: &str| diff.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_different = LISTS.iter().any(|(list, _, _)| !entries(list).is_empty());
    if is_json {
        print_json(diff)?;
    } else if is_different {
        let row = |what: &str, [one, permission, keys]: [String; 3]| [what.to_owned(), one, permission, keys];
        let rows = LISTS.iter().flat_map(|(list, what, of)| entries(list).iter().map(|entry| row(what, of(entry))));
        print(&table(["CHANGE", "OF", "PERMISSION", "KEYS"], &rows.collect::<Vec<_>>()))?;
    } else {
        note("the document changes nothing");
    }
    Ok(is_different)
}

/// Shows what is held and not known; whether there is any.
fn drift(listing: &Listing, is_json: bool) -> Result<bool, Failure> {
    listing.show(is_json, "permissions or roles", ["PERMISSION", "ROLE", "KEYS"], |row| {
        Ok([cell(row, "permission"), cell(row, "role"), keys(row)])
    })?;
    Ok(!listing.data.is_empty())
}

fn operation(row: &Value) -> [String; 3] {
    [request(row), cell(row, "permission"), NOTHING.to_owned()]
}

fn moved(row: &Value) -> [String; 3] {
    let before = format!("{} {}", cell(row, "method_before"), cell(row, "path_before"));
    [format!("{before} -> {}", request(row)), cell(row, "permission"), NOTHING.to_owned()]
}

fn new_permission(name: &Value) -> [String; 3] {
    let name = name.as_str().unwrap_or(NOTHING).to_owned();
    [name.clone(), name, NOTHING.to_owned()]
}

fn held(row: &Value) -> [String; 3] {
    [cell(row, "permission"), cell(row, "permission"), keys(row)]
}

fn widened(row: &Value) -> [String; 3] {
    let added = row.get("operations_added").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let added: Vec<String> = added.iter().map(request).collect();
    [added.join(", "), cell(row, "permission"), cell(row, "key_count")]
}

fn broken(row: &Value, kind: &str) -> [String; 3] {
    [cell(row, kind), cell(row, "permissions"), NOTHING.to_owned()]
}

fn request(row: &Value) -> String {
    format!("{} {}", cell(row, "method"), cell(row, "path"))
}

/// How many keys, and the names of those that are told.
fn keys(row: &Value) -> String {
    let named = row.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = named.iter().map(|key| cell(key, "name")).collect();
    let count = cell(row, "key_count");
    if names.is_empty() { count } else { format!("{count}: {}", names.join(", ")) }
}
