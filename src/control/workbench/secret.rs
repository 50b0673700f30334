//! The page that shows a secret: the answer to the form that made it, and no page that can be asked for.

use super::answer::page;
use super::shell::{Section, Shell};
use super::visit::Visit;
use crate::control::IssuedKey;
use crate::control::api::Refusal;
use crate::model::{ApiKey, ClientId, EnvironmentId, KeyKind, Method};
use crate::tables::EnvironmentTable;
use askama::Template;
use axum::response::Response;

#[derive(Template)]
#[template(path = "secret.html")]
struct SecretPage<'a> {
    shell: Shell,
    key_url: String,
    name: &'a str,
    client_id: &'a str,
    secret: &'a str,
    token_url: String,
    /// Something that the key may read.
    example_url: String,
    /// A file as a `data:` URL.
    env_file: String,
    env_name: String,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "secret_again.html")]
struct AgainPage {
    shell: Shell,
    key_url: String,
    name: String,
}

/// Shows the secret of a key that was made or rotated just now.
pub(super) async fn show(
    visit: &Visit,
    id: &EnvironmentId,
    IssuedKey { key, secret }: &IssuedKey,
    is_new: bool,
) -> Result<Response, Refusal> {
    let shell = visit.shell_in(id, Section::Keys, "Copy the secret now").await;
    let snapshot = visit.control().tables.load_full();
    let environment = snapshot.environment(id).ok_or_else(Refusal::not_found)?;
    let base_url = environment.base_url.as_str();
    let token_url = format!("{base_url}{}/token", environment.oauth_prefix);
    let client_id = key.client_id.as_str();
    let file = zeroize::Zeroizing::new(format!(
        "PORTCULLIS_CLIENT_ID={client_id}\nPORTCULLIS_CLIENT_SECRET={}\nPORTCULLIS_TOKEN_URL={token_url}\n\
         PORTCULLIS_BASE_URL={base_url}\n",
        secret.expose()
    ));
    page(&SecretPage {
        shell,
        key_url: format!("{}/keys/{client_id}", super::base_of(id)),
        name: key.name.as_str(),
        client_id,
        secret: secret.expose(),
        example_url: format!("{base_url}{}", example(key, environment)),
        token_url,
        env_file: file_url(&file),
        env_name: format!("{client_id}.env"),
        is_new,
    })
}

/// Tells that the form was sent before: the key is there, the secret is not.
pub(super) async fn show_again(visit: &Visit, id: &EnvironmentId, client_id: &str) -> Result<Response, Refusal> {
    let client_id = ClientId::parse(client_id).map_err(|_| Refusal::not_found())?;
    let key = visit.control().show_key(&visit.asking, id, &client_id).await?;
    page(&AgainPage {
        shell: visit.shell_in(id, Section::Keys, "The secret was shown already").await,
        key_url: format!("{}/keys/{client_id}", super::base_of(id)),
        name: key.name.as_str().to_owned(),
    })
}

/// A small file without spaces as a link of its own (RFC 2397).
fn file_url(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    format!("data:text/plain;charset=utf-8,{encoded}")
}

/// Whether a path can stand in a line that people paste into a shell: documents come from elsewhere.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.~-".contains(&byte))
}

/// The first path without parameters that the key may GET; else the base URL's own.
fn example(key: &ApiKey, environment: &EnvironmentTable) -> String {
    let held: Vec<&str> = match &key.kind {
        KeyKind::FineGrained { permissions } => permissions.iter().map(|name| name.as_str()).collect(),
        KeyKind::Legacy { role } => environment
            .role(role)
            .map(|role| role.permissions.iter().map(|name| name.as_str()).collect())
            .unwrap_or_default(),
    };
    let all = environment.catalogue.permissions();
    let open = all.iter().filter(|permission| held.contains(&permission.name.as_str()));
    let mut operations = open.flat_map(|permission| &permission.operations);
    let found = operations.find(|it| it.pattern.method() == Some(&Method::GET) && is_plain_path(it.pattern.path()));
    found.map_or_else(|| "/".to_owned(), |operation| operation.pattern.path().to_owned())
}
