//! The organization object of the control API, printed for people.

use crate::cli::failure::Failure;
use crate::cli::output::{cell, facts, print, print_json};
use serde_json::Value;

/// A policy as one cell, and whether a file holds it fast.
pub(super) fn policy(organization: &Value, name: &str) -> String {
    let Some(policies) = organization.get("policies") else { return cell(organization, name) };
    let set_by_file = policies.get("set_by_file").and_then(Value::as_array);
    let fast = set_by_file.is_some_and(|names| names.iter().any(|known| known == name));
    format!("{}{}", cell(policies, name), if fast { " (set by file)" } else { "" })
}

/// Prints an organization in the form asked for.
pub(super) fn print_organization(organization: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(organization);
    }
    // Only the answer about one organization counts the keys that are beyond its policies.
    let beyond = |name: &str| {
        let count = organization.get("exceeding").and_then(|counts| counts.get(name)).and_then(Value::as_u64);
        count.filter(|count| *count > 0).map(|count| format!("; {count} keys exceed it")).unwrap_or_default()
    };
    let with_beyond = |name: &str| format!("{}{}", policy(organization, name), beyond(name));
    print(&facts(&[
        ("id", cell(organization, "id")),
        ("name", cell(organization, "name")),
        ("your role", cell(organization, "role")),
        ("block legacy keys", with_beyond("block_legacy_keys")),
        ("max key lifetime", with_beyond("max_key_lifetime")),
        ("managed by", cell(organization, "managed_by")),
    ]))
}
