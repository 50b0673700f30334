//! Search: pages, actions, and every key of the organization by name or client id. What the palette shows is the bare
//! list of it.

use super::answer::page;
use super::shell::{Here, Section, Shell};
use super::visit::Visit;
use crate::control::api::Refusal;
use crate::control::{ControlProblem, KeyQuery};
use crate::model::{EnvironmentId, Identifier, folded};
use askama::Template;
use axum::response::Response;

/// Environments that are searched.
const MOST_ENVIRONMENTS: usize = 20;
/// Keys of one environment, and of all of them.
const KEYS_EACH: u32 = 8;
const MOST_KEYS: usize = 24;
/// The longest text that is looked for, in characters: longer than every name and id.
const MOST_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "find.html")]
struct FindPage {
    shell: Shell,
    base: String,
    name: String,
    query: String,
    places: Vec<Hit>,
    keys: Vec<Hit>,
    /// What stands above the keys.
    keys_title: &'static str,
}

#[derive(Template)]
#[template(path = "hits.html")]
struct Hits {
    places: Vec<Hit>,
    keys: Vec<Hit>,
}

/// Something found.
struct Hit {
    href: String,
    name: String,
    note: String,
    kind: &'static str,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.place.organization()?;
    let facts = visit.control().organization(&visit.asking, &id).await?;
    let query: String = visit.query.filled("q").unwrap_or_default().chars().take(MOST_CHARS).collect();
    let shell = visit.shell_of(&id, Section::Find, "Search").await;
    let environments = environments(&visit, &id);
    let keys = keys(&visit, &environments, &query).await?;
    let places = shell.here.as_ref().map_or_else(Vec::new, |here| places(here, &environments, &query));
    if visit.query.has("fragment") {
        return page(&Hits { places, keys });
    }
    let keys_title = if query.is_empty() { "Newest API keys" } else { "API keys" };
    page(&FindPage { shell, base: format!("/o/{id}/find"), name: facts.name, query, places, keys, keys_title })
}

fn environments(visit: &Visit, organization: &Identifier) -> Vec<EnvironmentId> {
    let snapshot = visit.control().tables.load();
    let all = snapshot.environments_of(organization).map(|table| EnvironmentId::clone(&table.policy.id));
    all.take(MOST_ENVIRONMENTS).collect()
}

/// The keys that match, or the newest where nothing is asked for.
async fn keys(visit: &Visit, environments: &[EnvironmentId], query: &str) -> Result<Vec<Hit>, Refusal> {
    let mut hits = Vec::new();
    for environment in environments {
        let asked = KeyQuery {
            limit: KEYS_EACH,
            query: Some(query.to_owned()).filter(|query| !query.is_empty()),
            ..KeyQuery::default()
        };
        let found = match visit.control().list_keys(&visit.asking, environment, asked).await {
            Ok(found) => found.keys,
            // It went away meanwhile.
            Err(ControlProblem::NotFound) => continue,
            Err(problem) => return Err(problem.into()),
        };
        let EnvironmentId { organization, environment } = environment;
        hits.extend(found.into_iter().map(|key| Hit {
            href: format!("/o/{organization}/e/{environment}/keys/{}", key.client_id),
            note: format!("{} · {environment}", key.client_id),
            name: key.name.as_str().to_owned(),
            kind: "API key",
        }));
        if hits.len() >= MOST_KEYS {
            break;
        }
    }
    hits.truncate(MOST_KEYS);
    Ok(hits)
}

/// The pages and actions whose words hold every word that is asked for.
fn places(here: &Here, environments: &[EnvironmentId], query: &str) -> Vec<Hit> {
    let hit =
        |name: &str, href: String, note: &str, kind| Hit { href, name: name.to_owned(), note: note.to_owned(), kind };
    let mut all = Vec::new();
    for id in environments {
        let (note, base) = (id.environment.as_str(), format!("{}/e/{}", here.base, id.environment));
        all.push(hit("API keys", format!("{base}/keys"), note, "Page"));
        if here.changes_keys {
            all.push(hit("New API key", format!("{base}/keys/new"), note, "Action"));
        }
        all.push(hit("Overview", format!("{base}/overview"), note, "Page"));
        all.push(hit("Why was I refused?", format!("{base}/why"), note, "Page"));
    }
    all.push(hit("Base URLs", format!("{}/base-urls", here.base), &here.name, "Page"));
    if here.manages {
        all.push(hit("Organization settings", format!("{}/settings", here.base), &here.name, "Page"));
        all.push(hit("Members", format!("{}/members", here.base), &here.name, "Page"));
        all.push(hit("Audit log", format!("{}/audit", here.base), &here.name, "Page"));
    }
    all.push(hit("Your account", "/account".to_owned(), "Password, roles", "Page"));
    all.into_iter().filter(|hit| matches(query, &[&hit.name, &hit.note])).collect()
}

fn matches(query: &str, texts: &[&str]) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| folded(text)).collect();
    query.split_whitespace().map(folded).all(|word| texts.iter().any(|text| text.contains(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_somewhere() {
        for (query, found) in [("", true), ("api", true), ("KEYS prod", true), ("keys staging", false), ("x", false)] {
            assert_eq!(matches(query, &["API keys", "production"]), found, "{query}");
        }
    }
}
