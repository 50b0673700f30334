//! The page of base URLs: where callers of each environment's API send their requests and get their tokens.

use super::answer::page;
use super::secret::is_plain_path;
use super::shell::{Section, Shell};
use super::visit::Visit;
use super::words::{Moment, counted, number};
use crate::control::api::Refusal;
use crate::control::{Addresses, AnswersAndFailures, Right, UpstreamHealth, UpstreamStanding};
use crate::model::{EnvironmentId, ManagedBy};
use crate::tables::EnvironmentTable;
use askama::Template;
use axum::response::Response;

#[derive(Template)]
#[template(path = "base_urls.html")]
struct BaseUrlsPage {
    shell: Shell,
    /// The organization's name.
    name: String,
    environments: Vec<Environment>,
}

struct Environment {
    id: String,
    keys: String,
    by_file: bool,
    addresses: Addresses,
    /// Lines for a shell that get a token and make one request.
    curl: String,
    /// For those who look after the organization.
    health: Option<Health>,
}

/// How the upstreams of an environment do, as this node saw it.
struct Health {
    upstreams: Vec<Upstream>,
    last_answer: Option<Moment>,
    last_failure: Option<(Moment, &'static str)>,
    hour: String,
    day: String,
}

struct Upstream {
    url: String,
    /// A class of the stylesheet, and words.
    state: (&'static str, &'static str),
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.place.organization()?;
    let facts = visit.control().organization(&visit.asking, &id).await?;
    let snapshot = visit.control().tables.load_full();
    let manages = visit.asking.caller.require(Right::Manage, &id).is_ok();
    let mut environments = Vec::new();
    for table in snapshot.environments_of(&id) {
        let addresses = Addresses::of(&snapshot, table);
        let environment = &table.policy.id.environment;
        environments.push(Environment {
            id: environment.to_string(),
            keys: format!("/o/{id}/e/{environment}/keys"),
            by_file: table.managed_by == ManagedBy::File,
            curl: curl(&addresses, table),
            addresses,
            health: if manages { health(&visit, &table.policy.id).await } else { None },
        });
    }
    let shell = visit.shell_of(&id, Section::BaseUrls, "Base URLs").await;
    page(&BaseUrlsPage { shell, name: facts.name, environments })
}

/// What cannot be told at the moment is left out: the addresses are what the page is for.
async fn health(visit: &Visit, environment: &EnvironmentId) -> Option<Health> {
    let found = visit.control().upstream_health(&visit.asking, environment).await.ok()?;
    let first = found.first()?;
    let moment = |at| Moment::new(at, visit.asking.act.at);
    let words = |counts: AnswersAndFailures| {
        format!("{} answered, {} failed", counted(counts.answers, "request"), number(counts.failures))
    };
    Some(Health {
        last_answer: first.last_answer.map(moment),
        last_failure: first.last_failure.map(|(at, code)| (moment(at), code)),
        hour: words(first.hour),
        day: words(first.day),
        upstreams: found
            .iter()
            .map(|upstream| Upstream { url: upstream.url.clone(), state: state(upstream) })
            .collect(),
    })
}

fn state(upstream: &UpstreamHealth) -> (&'static str, &'static str) {
    let failed = upstream.last_failure.map(|(at, _)| at);
    let UpstreamStanding { addresses, available } = upstream.standing;
    match (upstream.resolves, upstream.last_answer, failed) {
        (false, _, _) => ("down", "Its name has no address"),
        _ if available == 0 && addresses > 0 => ("down", "No address of it answers"),
        _ if available < addresses => ("down", "Some of its addresses do not answer"),
        (true, None, None) => ("unknown", "Not called yet"),
        (true, None, Some(_)) => ("down", "Fails"),
        (true, Some(_), None) => ("healthy", "Answers"),
        (true, Some(answered), Some(failed)) if failed > answered => ("down", "Fails"),
        (true, Some(_), Some(_)) => ("healthy", "Answers"),
    }
}

/// The first operation without a parameter shows how a token is used.
fn curl(addresses: &Addresses, table: &EnvironmentTable) -> String {
    let labels = table.catalogue.operations().iter().map(|operation| &*operation.label);
    let plain = |label: &str| label.strip_prefix("GET ").filter(|path| is_plain_path(path)).map(str::to_owned);
    let path = labels.filter_map(plain).next().unwrap_or_else(|| "/".to_owned());
    // Whoever pastes it runs it: nothing in it that a shell reads as anything but itself.
    format!(
        "token=$(curl -sS {} \\\n  -u \"$PORTCULLIS_CLIENT_ID:$PORTCULLIS_CLIENT_SECRET\" \\\n  \
         -d grant_type=client_credentials | jq -r .access_token)\n\ncurl -sS '{}{path}' -H \"Authorization: Bearer $token\"",
        addresses.token_url, addresses.base_url
    )
}
