//! The routes of what files define: organizations, environments, and what keys can hold there; and the node's status.

use super::Shared;
use super::answer::{Refusal, json, list};
use super::auth::Asked;
use crate::control::{Asking, Control, Right};
use crate::model::{
    ClientId, Environment, EnvironmentId, Identifier, Organization, Permission, PermissionName, Timestamp,
};
use crate::tables::Snapshot;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

/// The names in a path.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    org: String,
    env: String,
    client_id: String,
    name: String,
}

impl FromRequestParts<Shared> for Place {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Refusal> {
        let Path(place) = Path::from_request_parts(parts, state).await.map_err(|_| Refusal::not_found())?;
        Ok(place)
    }
}

impl Place {
    /// The organization named. A name that cannot be one is a name of nothing.
    pub(super) fn organization(&self) -> Result<Identifier, Refusal> {
        Identifier::parse(&self.org).map_err(|_| Refusal::not_found())
    }

    /// The environment named. A name that cannot be one is a name of nothing.
    pub(super) fn environment(&self) -> Result<EnvironmentId, Refusal> {
        let parse = |text: &str| Identifier::parse(text).map_err(|_| Refusal::not_found());
        Ok(EnvironmentId { organization: parse(&self.org)?, environment: parse(&self.env)? })
    }

    /// The key named.
    pub(super) fn client_id(&self) -> Result<ClientId, Refusal> {
        ClientId::parse(&self.client_id).map_err(|_| Refusal::not_found())
    }
}

/// `GET /v1/status`
pub(super) async fn status(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    asked.asking().caller.require_operator()?;
    // The store being away is what status is for.
    let store_revision = control.store.revision().await.ok().map(|revision| revision.0);
    Ok(json(StatusCode::OK, &status_object(&control, store_revision, control.now())))
}

fn status_object(control: &Control, store_revision: Option<u64>, now: Timestamp) -> Value {
    let snapshot = control.tables.load();
    json!({
        "version": control.version,
        "started_at": control.started_at,
        "tables_revision": control.tables.revision().0,
        "store_revision": store_revision,
        "organizations": snapshot.organizations().len(),
        "environments": snapshot.environments().len(),
        "keys": snapshot.count_keys(now).values().sum::<u64>(),
    })
}

/// `GET .../environments`
pub(super) async fn environments(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    asked.asking().caller.require(Right::See, &place.organization()?)?;
    let snapshot = control.tables.load();
    let organization = find_organization(&snapshot, &place)?;
    Ok(list(organization.environments.iter().map(|environment| environment_object(&snapshot, environment))))
}

/// `GET .../environments/{env}`
pub(super) async fn environment(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    asked.asking().caller.require_in(Right::See, &place.environment()?)?;
    let snapshot = control.tables.load();
    let organization = find_organization(&snapshot, &place)?;
    let found = organization.environments.iter().find(|known| known.id.environment.as_str() == place.env);
    let found = found.ok_or_else(Refusal::not_found)?;
    Ok(json(StatusCode::OK, &environment_object(&snapshot, found)))
}

/// `GET .../permissions`
pub(super) async fn permissions(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    asked.asking().caller.require_in(Right::See, &place.environment()?)?;
    let snapshot = control.tables.load();
    let environment = snapshot.environment(&place.environment()?).ok_or_else(Refusal::not_found)?;
    Ok(list(environment.catalogue.permissions().iter().map(permission_object)))
}

/// `GET .../presets`
pub(super) async fn presets(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    selections(&control, &asked.asking(), &place).map(|known| list(known.presets.into_iter().map(named_object)))
}

/// `GET .../presets/{name}`
pub(super) async fn preset(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    one_of(selections(&control, &asked.asking(), &place)?.presets, &place)
}

/// `GET .../roles`
pub(super) async fn roles(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    selections(&control, &asked.asking(), &place).map(|known| list(known.roles.into_iter().map(named_object)))
}

/// `GET .../roles/{name}`
pub(super) async fn role(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    one_of(selections(&control, &asked.asking(), &place)?.roles, &place)
}

type Named = (String, Vec<PermissionName>);

/// The named sets of permissions of an environment.
struct Selections {
    presets: Vec<Named>,
    roles: Vec<Named>,
}

fn selections(control: &Control, asking: &Asking, place: &Place) -> Result<Selections, Refusal> {
    asking.caller.require_in(Right::See, &place.environment()?)?;
    let snapshot = control.tables.load();
    let environment = snapshot.environment(&place.environment()?).ok_or_else(Refusal::not_found)?;
    Ok(Selections {
        presets: environment.presets.iter().map(|set| (set.name.clone(), set.permissions.clone())).collect(),
        roles: environment.roles.iter().map(|set| (set.name.clone(), set.permissions.clone())).collect(),
    })
}

fn one_of(named: Vec<Named>, place: &Place) -> Result<Response, Refusal> {
    let found = named.into_iter().find(|(name, _)| *name == place.name).ok_or_else(Refusal::not_found)?;
    Ok(json(StatusCode::OK, &named_object(found)))
}

fn find_organization<'s>(snapshot: &'s Snapshot, place: &Place) -> Result<&'s Organization, Refusal> {
    let mut all = snapshot.organizations().iter();
    all.find(|known| known.id.as_str() == place.org).ok_or_else(Refusal::not_found)
}

fn environment_object(snapshot: &Snapshot, environment: &Environment) -> Value {
    let base_url = environment.base_url.as_str();
    let endpoint = format!("{base_url}{}", environment.oauth_prefix);
    let jwks_url = snapshot.signing().has_public_keys().then(|| format!("{endpoint}/jwks"));
    json!({
        "id": environment.id.environment,
        "organization": environment.id.organization,
        "base_url": base_url,
        "token_url": format!("{endpoint}/token"),
        "issuer": base_url,
        "jwks_url": jwks_url,
        "platform_addresses": {"label": environment.platform.label},
        "managed_by": "file",
    })
}

fn permission_object(permission: &Permission) -> Value {
    let operations: Vec<Value> = permission
        .operations
        .iter()
        .map(|operation| {
            let method = operation.pattern.method().map_or("*", |method| method.as_str());
            json!({"id": *operation.id, "method": method, "path": operation.pattern.path()})
        })
        .collect();
    json!({
        "name": permission.name,
        "group": permission.group,
        "summary": permission.summary,
        "operations": operations,
    })
}

fn named_object((name, permissions): Named) -> Value {
    json!({"name": name, "permissions": permissions})
}
