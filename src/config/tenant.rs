//! `tenants/*.toml`: one organization a file.

use super::documents::Imports;
use super::environment::{self, EnvironmentPlaces};
use super::reader::{At, Reader, read_document};
use super::sheet::Sheet;
use crate::model::{Identifier, Organization, Timestamp, is_name};
use std::time::Duration;

/// An organization as far as it could be read, with the lines that checks across files point at.
pub(super) struct Tenant {
    /// The organization; `None` where its file lacks what every organization has, which is then a problem.
    pub(super) organization: Option<Organization>,
    /// The line of its id.
    pub(super) id_line: usize,
    /// Its environments' places.
    pub(super) places: Vec<EnvironmentPlaces>,
}

/// What the organization's file rules for its keys.
#[derive(Clone, Copy)]
pub(super) struct Policies {
    /// Legacy keys are refused.
    pub(super) block_legacy_keys: Option<bool>,
    /// Every key expires, and so soon.
    pub(super) max_key_lifetime: Option<Duration>,
    /// The instant from which lifetimes count.
    pub(super) now: Timestamp,
}

/// Reads one tenant file. Where a value is wrong the problem is in the sheet.
pub(super) fn read(sheet: &Sheet, now: Timestamp, imports: &Imports<'_>) -> Tenant {
    read_document(sheet, |file| {
        let (id, name, policies) = file.section("organization", |table| organization(table, now));
        let id_line = id.as_ref().map_or(1, |id| id.line);
        // An id that is wrong is reported already; the rest of the file is judged all the same.
        let known = id.map(|id| id.value);
        let stand_in = known.clone().or_else(|| Identifier::parse("unknown").ok());
        let mut places = Vec::new();
        let mut environments = Vec::new();
        for (name, value) in file.entries("environments") {
            let Some(organization) = &stand_in else { continue };
            if let Some((environment, place)) = environment::read(&name, &value, sheet, organization, policies, imports)
            {
                places.push(place);
                environments.extend(environment);
            }
        }
        let organization = known.map(|id| Organization {
            name: name.unwrap_or_else(|| id.as_str().to_owned()),
            id,
            block_legacy_keys: policies.block_legacy_keys,
            max_key_lifetime: policies.max_key_lifetime,
            environments,
        });
        Tenant { organization, id_line, places }
    })
}

fn organization(table: &mut Reader<'_>, now: Timestamp) -> (Option<At<Identifier>>, Option<String>, Policies) {
    let id = table.require("id").and_then(|value| value.parsed(Identifier::parse));
    let name = table.take("name").and_then(|value| value.parsed(label)).map(|name| name.value);
    let block_legacy_keys = table.take("block_legacy_keys").and_then(|value| value.boolean());
    let lives = Duration::from_secs(60)..=Duration::from_secs(100 * 366 * 86_400);
    let max_key_lifetime = table.take("max_key_lifetime").and_then(|value| value.duration(lives));
    (id, name, Policies { block_legacy_keys, max_key_lifetime, now })
}

/// A name for people: 1 to 100 characters that can be seen, as a key's name.
pub(super) fn label(text: &str) -> Result<String, &'static str> {
    if is_name(text) { Ok(text.trim().to_owned()) } else { Err("is not a name of 1 to 100 characters on one line") }
}
