//! The routes of organizations and their policies.

use super::Shared;
use super::answer::{Refusal, json, list};
use super::auth::Asked;
use super::body::Body;
use super::places::Place;
use super::revision::{if_match, tagged};
use crate::control::{Caller, OrganizationFacts, lifetime_text};
use crate::model::ManagedBy;
use crate::store::Exceeding;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

/// `GET /v1/organizations`
pub(super) async fn list_all(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let organizations = control.list_organizations(&asking.caller).await?;
    Ok(list(organizations.iter().map(|facts| object(facts, &asking.caller, None))))
}

/// `GET /v1/organizations/{org}`
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let facts = control.organization(&asking, &place.organization()?).await?;
    answer(&control, &asking.caller, &facts, StatusCode::OK).await
}

/// `PATCH /v1/organizations/{org}`
pub(super) async fn edit(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (asking, id) = (asked.asking(), place.organization()?);
    let expected = if_match(&headers)?;
    let (draft, found) = body.organization_draft()?;
    let facts = control.edit_organization(&asking, &id, draft, found, expected).await?;
    answer(&control, &asking.caller, &facts, StatusCode::OK).await
}

/// `PUT /v1/organizations/{org}`
pub(super) async fn put(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (asking, id) = (asked.asking(), place.organization()?);
    let expected = if_match(&headers)?;
    let (draft, found) = body.organization_draft()?;
    let (facts, made) = control.put_organization(&asking, &id, draft, found, expected).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    answer(&control, &asking.caller, &facts, status).await
}

async fn answer(
    control: &Shared,
    caller: &Caller,
    facts: &OrganizationFacts,
    status: StatusCode,
) -> Result<Response, Refusal> {
    let exceeding = control.exceeding(facts).await?;
    Ok(tagged(json(status, &object(facts, caller, Some(exceeding))), facts.policies.revision))
}

fn object(facts: &OrganizationFacts, caller: &Caller, exceeding: Option<Exceeding>) -> Value {
    let longest = facts.policies.max_key_lifetime;
    let mut object = json!({
        "id": facts.id,
        "name": facts.name,
        "policies": {
            "block_legacy_keys": facts.policies.block_legacy_keys,
            "max_key_lifetime": longest.map(lifetime_text),
            "max_key_lifetime_seconds": longest.map(|longest| longest.as_secs()),
            "set_by_file": facts.set_by_file,
        },
        "managed_by": match facts.managed_by {
            ManagedBy::Api => "api",
            ManagedBy::File => "file",
        },
        "revision": facts.policies.revision.0,
        "role": caller.role(&facts.id).map(|role| role.as_str()),
    });
    if let (Some(Exceeding { legacy, lifetime }), Some(members)) = (exceeding, object.as_object_mut()) {
        members.insert("exceeding".to_owned(), json!({"block_legacy_keys": legacy, "max_key_lifetime": lifetime}));
    }
    object
}
