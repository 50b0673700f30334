//! `portcullis audit list`.

use super::Context;
use crate::cli::failure::Failure;
use crate::cli::listing::Limit;
use crate::cli::output::{NOTHING, cell};
use crate::cli::when::Ago;
use crate::model::Timestamp;
use serde_json::Value;

/// List what was done and what was refused, newest first
#[derive(clap::Args)]
pub(super) struct List {
    /// Only this action, such as key.rotate
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,

    /// Only what this member, key or operator did: an id
    #[arg(long, value_name = "ID")]
    actor: Option<String>,

    /// Only what was done to this key, member or organization: an id
    #[arg(long, value_name = "ID")]
    target: Option<String>,

    /// Only since this instant, or for this long (7d)
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = Ago::parse)]
    since: Option<Ago>,

    /// Only before this instant, or up to this long ago
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = Ago::parse)]
    until: Option<Ago>,

    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(super) fn run(&self, context: &Context, now: Timestamp) -> Result<(), Failure> {
        let listing = self.limit.collect(&context.client, &context.path, &self.filters(now))?;
        let headings = ["NUMBER", "AT", "ACTOR", "ACTION", "TARGET", "ENVIRONMENT", "ADDRESS", "COUNT"];
        listing.show(context.json, "audit rows", headings, |row| {
            let [number, at, environment, address, count] =
                ["number", "at", "environment", "address", "count"].map(|name| cell(row, name));
            Ok([number, at, who(row, "actor"), action(row), target(row), environment, address, count])
        })
    }

    fn filters(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let instant = |when: Option<Ago>| when.map(|when| when.instant(now).to_string());
        let filters = [
            ("action", self.action.clone()),
            ("actor", self.actor.clone()),
            ("target", self.target.clone()),
            ("since", instant(self.since)),
            ("until", instant(self.until)),
        ];
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// An action, and the code where it was refused.
fn action(row: &Value) -> String {
    match row.get("code").and_then(Value::as_str) {
        Some(code) => format!("{} ({code})", cell(row, "action")),
        None => cell(row, "action"),
    }
}

/// What was changed; where a request was refused, which one.
fn target(row: &Value) -> String {
    let route = row.get("after").and_then(|after| after.get("route")).and_then(Value::as_str);
    match (who(row, "target"), route) {
        (target, Some(route)) if target == NOTHING => route.to_owned(),
        (target, _) => target,
    }
}

/// An actor or target: its kind, and its name where it has one, else its id.
fn who(row: &Value, name: &str) -> String {
    let Some(whom) = row.get(name).filter(|whom| whom.is_object()) else { return NOTHING.to_owned() };
    let kind = cell(whom, "type");
    let mut names = [cell(whom, "name"), cell(whom, "id")].into_iter();
    match names.find(|text| text != NOTHING && !text.is_empty() && *text != kind) {
        Some(named) => format!("{kind} {named}"),
        None => kind,
    }
}
