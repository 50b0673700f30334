//! The routes of sessions: signing in, asking who one is, signing out.

use super::Shared;
use super::answer::{Refusal, json};
use super::auth::{Anybody, Asked, bearer};
use super::body::Body;
use crate::control::{Caller, SignedIn};
use crate::model::{Actor, Identifier, MemberRole};
use crate::store::Person;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// `POST /v1/sessions`
pub(super) async fn open(State(control): State<Shared>, anybody: Anybody, body: Body) -> Result<Response, Refusal> {
    let (draft, found) = body.sign_in_draft()?;
    let signed_in = control.sign_in(&anybody.act, draft, found).await?;
    let operator = signed_in.is_operator();
    let SignedIn { token, expires_at, person } = signed_in;
    let roles = person.as_ref().map_or(&[][..], |person| &person.roles);
    let object = json!({
        "token": token.expose(),
        "expires_at": expires_at,
        "member": person.as_ref().map(person_object),
        "organizations": organizations(roles),
        "operator": operator,
    });
    Ok(json(StatusCode::CREATED, &object))
}

/// `GET /v1/sessions/current`
pub(super) async fn show(asked: Asked) -> Response {
    let caller = asked.asking().caller;
    let actor: Actor = caller.actor();
    let organizations = match &caller {
        Caller::Key(key) => vec![json!({"id": key.environment.organization, "role": null})],
        Caller::Member(member) => organizations(&member.roles),
        Caller::Operator => vec![],
    };
    let object = json!({
        "actor": {"type": actor.kind(), "id": actor.id(), "name": actor.label()},
        "operator": caller.is_operator(),
        "organizations": organizations,
    });
    json(StatusCode::OK, &object)
}

/// `DELETE /v1/sessions/current`
pub(super) async fn end(State(control): State<Shared>, asked: Asked, headers: HeaderMap) -> Result<Response, Refusal> {
    let token = bearer(&headers).ok_or_else(Refusal::not_authenticated)?;
    control.sign_out(&asked.asking(), token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn organizations(roles: &[(Identifier, MemberRole)]) -> Vec<Value> {
    roles.iter().map(|(id, role)| json!({"id": id, "role": role.as_str()})).collect()
}

/// A person without an organization: what an organization calls them is told there.
fn person_object(person: &Person) -> Value {
    json!({
        "id": person.id,
        "email": person.email.as_str(),
        "operator": person.operator,
        "has_password": person.has_password,
        "created_at": person.created_at,
        "last_sign_in_at": person.last_sign_in_at,
        "revision": person.revision.0,
    })
}
