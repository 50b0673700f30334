//! The routes of members and their tokens for scripts.

use super::Shared;
use super::answer::{Refusal, json, list};
use super::auth::Asked;
use super::body::Body;
use super::places::Place;
use super::query;
use super::revision::{if_match, replayed, tagged};
use crate::control::{Asking, ControlProblem, InvitedMember, IssuedMemberToken};
use crate::model::{Identifier, MemberId, MemberTokenId, OpaqueToken, Timestamp};
use crate::store::{Member, MemberToken};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// `GET .../members`
pub(super) async fn list_all(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let organization = place.organization()?;
    let query = query::page_query(query.as_deref().unwrap_or_default())?;
    let page = control.list_members(&asked.asking(), &organization, query.after, query.limit).await?;
    let last = page.members.last().filter(|_| page.more);
    let next_cursor = last.map(|member| query::write_place(member.place));
    let data: Vec<Value> = page.members.iter().map(object).collect();
    Ok(json(StatusCode::OK, &json!({"data": data, "next_cursor": next_cursor})))
}

/// `POST .../members`
pub(super) async fn add(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    body: Body,
) -> Result<Response, Refusal> {
    let organization = place.organization()?;
    let asking = asked.once(&body.bytes);
    let (draft, found) = body.member_draft()?;
    let added = control.add_member(&asking, &organization, draft, found).await;
    invited(&control, &asking, &organization, added).await
}

/// `GET .../members/{id}`
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let member = control.show_member(&asked.asking(), &place.organization()?, &place.member_id()?).await?;
    Ok(one(StatusCode::OK, &member, None))
}

/// `PATCH .../members/{id}`
pub(super) async fn edit(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (asking, organization, id) = (asked.asking(), place.organization()?, place.member_id()?);
    let expected = if_match(&headers)?;
    let (draft, found) = body.member_edit_draft()?;
    let member = control.edit_member(&asking, &organization, &id, draft, found, expected).await?;
    Ok(one(StatusCode::OK, &member, None))
}

/// `DELETE .../members/{id}`
pub(super) async fn remove(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (asking, organization, id) = (asked.asking(), place.organization()?, place.member_id()?);
    control.remove_member(&asking, &organization, &id, if_match(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST .../members/{id}/invitation`
pub(super) async fn invite(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (organization, id) = (place.organization()?, place.member_id()?);
    let asking = asked.once(&body.bytes);
    body.nothing()?;
    let made = control.invite_member(&asking, &organization, &id, if_match(&headers)?).await;
    invited(&control, &asking, &organization, made).await
}

/// `GET .../members/{id}/tokens`
pub(super) async fn tokens(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let found = control.list_member_tokens(&asked.asking(), &place.organization()?, &place.member_id()?).await?;
    Ok(list(found.iter().map(|token| token_object(token, None))))
}

/// `POST .../members/{id}/tokens`
pub(super) async fn add_token(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    body: Body,
) -> Result<Response, Refusal> {
    let (organization, id) = (place.organization()?, place.member_id()?);
    let asking = asked.once(&body.bytes);
    let (draft, found) = body.member_token_draft()?;
    match control.add_member_token(&asking, &organization, &id, draft, found).await {
        Ok(IssuedMemberToken { token, secret }) => Ok(json(StatusCode::CREATED, &token_object(&token, Some(&secret)))),
        Err(ControlProblem::AlreadyDone(token)) => {
            let token = MemberTokenId::parse(&token).map_err(|_| Refusal::from(ControlProblem::Fault))?;
            let token = control.show_member_token(&asking, &organization, &id, &token).await?;
            Ok(replayed(json(StatusCode::CREATED, &token_object(&token, None))))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `DELETE .../members/{id}/tokens/{token_id}`
pub(super) async fn remove_token(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    let (asking, organization, id) = (asked.asking(), place.organization()?, place.member_id()?);
    control.remove_member_token(&asking, &organization, &id, &place.token_id()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Answers a change that may have made an invitation. One that was done before is answered by the member as it is now.
async fn invited(
    control: &Shared,
    asking: &Asking,
    organization: &Identifier,
    made: Result<InvitedMember, ControlProblem>,
) -> Result<Response, Refusal> {
    match made {
        Ok(InvitedMember { member, invitation }) => Ok(one(StatusCode::CREATED, &member, invitation.as_ref())),
        Err(ControlProblem::AlreadyDone(id)) => {
            let id = MemberId::parse(&id).map_err(|_| Refusal::from(ControlProblem::Fault))?;
            let member = control.show_member(asking, organization, &id).await?;
            Ok(replayed(one(StatusCode::CREATED, &member, None)))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn one(status: StatusCode, member: &Member, invitation: Option<&(OpaqueToken, Timestamp)>) -> Response {
    let mut object = object(member);
    if let (Some((token, expires_at)), Some(members)) = (invitation, object.as_object_mut()) {
        members.insert("invitation".to_owned(), json!(token.expose()));
        members.insert("invitation_expires_at".to_owned(), json!(expires_at));
    }
    tagged(json(status, &object), member.revision)
}

fn object(member: &Member) -> Value {
    json!({
        "id": member.id,
        "email": member.email.as_str(),
        "name": member.name,
        "role": member.role.as_str(),
        "operator": member.operator,
        "has_password": member.has_password,
        "created_at": member.created_at,
        "last_sign_in_at": member.last_sign_in_at,
        "revision": member.revision.0,
    })
}

fn token_object(token: &MemberToken, secret: Option<&OpaqueToken>) -> Value {
    let mut object = json!({
        "id": token.id,
        "name": token.name,
        "expires_at": token.expires_at,
        "created_at": token.created_at,
        "last_used_at": token.last_used_at,
    });
    if let (Some(secret), Some(members)) = (secret, object.as_object_mut()) {
        members.insert("token".to_owned(), json!(secret.expose()));
    }
    object
}
