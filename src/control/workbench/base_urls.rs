//! The page of base URLs: where callers of each environment's API send their requests and get their tokens.

use super::answer::page;
use super::shell::{Section, Shell};
use super::visit::Visit;
use crate::control::api::Refusal;
use crate::control::{Addresses, Right};
use crate::model::ManagedBy;
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
}

pub(super) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let id = visit.place.organization()?;
    let facts = visit.control().organization(&visit.asking, &id).await?;
    visit.asking.caller.require(Right::See, &id)?;
    let snapshot = visit.control().tables.load_full();
    let environments = snapshot.environments_of(&id).map(|table| {
        let addresses = Addresses::of(&snapshot, table);
        let environment = &table.policy.id.environment;
        Environment {
            id: environment.to_string(),
            keys: format!("/o/{id}/e/{environment}/keys"),
            by_file: table.managed_by == ManagedBy::File,
            curl: curl(&addresses, table),
            addresses,
        }
    });
    page(&BaseUrlsPage {
        environments: environments.collect(),
        shell: visit.shell_of(&id, Section::BaseUrls, "Base URLs").await,
        name: facts.name,
    })
}

/// The first operation without a parameter shows how a token is used.
fn curl(addresses: &Addresses, table: &EnvironmentTable) -> String {
    let labels = table.catalogue.operations().iter().map(|operation| &*operation.label);
    let plain = |label: &str| label.strip_prefix("GET ").filter(|path| !path.contains('{')).map(str::to_owned);
    let path = labels.filter_map(plain).next().unwrap_or_else(|| "/".to_owned());
    format!(
        "token=$(curl -sS {} \\\n  -u \"$PORTCULLIS_CLIENT_ID:$PORTCULLIS_CLIENT_SECRET\" \\\n  \
         -d grant_type=client_credentials | jq -r .access_token)\n\ncurl -sS '{}{path}' -H \"Authorization: Bearer $token\"",
        addresses.token_url, addresses.base_url
    )
}
