//! The routes of members and their tokens for scripts.

use super::answer::{Page, Refusal, json, list, page};
use super::auth::Asked;
use super::bodies::{AddMember, ChangeMember, MakeMemberToken, Nothing};
use super::body::Body;
use super::document::{IdempotencyKey, IfMatch, refusals, tag};
use super::places::Place;
use super::query::{self, PageParameters};
use super::revision::{if_match, replayed, tagged};
use super::schema::{ETag, MemberName};
use super::{MEMBERS, Shared};
use crate::control::{Asking, ControlProblem, InvitedMember, IssuedMemberToken};
use crate::model::{Email, Identifier, MemberId, MemberRole, MemberTokenId, Revision, Timestamp};
use crate::store::{Member, MemberToken};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

type MemberPage<'a> = Page<MemberObject<'a>>;
type MemberTokenPage<'a> = Page<MemberTokenObject<'a>>;

refusals! {
    /// What adding a member can be refused for.
    Adding: EmailTaken
}

refusals! {
    /// What changing or removing a member can be refused for.
    Changing: LastOwner
}

refusals! {
    /// What inviting a member anew can be refused for.
    Inviting: PasswordSet
}

refusals! {
    /// What making a token can be refused for.
    Tokens: TooManyTokens
}

/// List members
///
/// In the order in which they were added. For admins and owners.
#[utoipa::path(get, path = MEMBERS, operation_id = "list_members", tag = tag::MEMBERS, params(PageParameters),
    responses((status = 200, description = "One page of members", body = MemberPage)))]
pub(super) async fn list_all(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let organization = place.organization()?;
    let query = query::page_query(query.as_deref().unwrap_or_default(), query::read_place)?;
    let found = control.list_members(&asked.asking(), &organization, query.after, query.limit).await?;
    let last = found.members.last().filter(|_| found.more);
    let next_cursor = last.map(|member| query::write_place(member.place));
    Ok(page(found.members.iter().map(MemberObject::new), next_cursor))
}

/// Add a member
///
/// Whoever has no password yet gets an invitation, which is shown this once and is good for seven days; one that they
/// had before ends. Who belongs to another organization already is added by operators, and by those who look after that
/// one too; where they have a password, operators say that this is who they mean (`link`). Owners are made by owners.
#[utoipa::path(post, path = MEMBERS, operation_id = "add_member", tag = tag::MEMBERS, params(IdempotencyKey),
    request_body = AddMember,
    responses((status = 201, description = "The member, and the invitation where one was made", body = InvitedMemberObject,
        headers(("ETag" = ETag))), Adding))]
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

/// Show a member
#[utoipa::path(get, context_path = MEMBERS, path = "/{id}", operation_id = "show_member", tag = tag::MEMBERS,
    responses((status = 200, description = "The member", body = MemberObject, headers(("ETag" = ETag)))))]
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let member = control.show_member(&asked.asking(), &place.organization()?, &place.member_id()?).await?;
    Ok(one(StatusCode::OK, &member))
}

/// Edit a member
///
/// Name, role, and whether they are an operator. What they may do changes with their very next request. Whoever becomes
/// an owner makes new tokens: those that were made before end.
#[utoipa::path(patch, context_path = MEMBERS, path = "/{id}", operation_id = "edit_member", tag = tag::MEMBERS,
    params(IfMatch), request_body = ChangeMember,
    responses((status = 200, description = "The member as it is now", body = MemberObject, headers(("ETag" = ETag))),
        Changing))]
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
    Ok(one(StatusCode::OK, &member))
}

/// Remove a member
///
/// Their tokens for this organization end at once. Who belongs to no other organization is forgotten, and signed out;
/// operators of the node are not, so that their last membership is taken away by operators alone.
#[utoipa::path(delete, context_path = MEMBERS, path = "/{id}", operation_id = "remove_member", tag = tag::MEMBERS,
    params(IfMatch), responses((status = 204, description = "They belong here no more"), Changing))]
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

/// Invite a member anew
///
/// The invitation before ends. Whoever has a password, or belongs to other organizations too, is invited by operators
/// alone.
#[utoipa::path(post, context_path = MEMBERS, path = "/{id}/invitation", operation_id = "invite_member",
    tag = tag::MEMBERS, params(IfMatch, IdempotencyKey), request_body = Option<Nothing>,
    responses((status = 201, description = "The member and the invitation", body = InvitedMemberObject,
        headers(("ETag" = ETag))), Inviting))]
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

/// List a member's tokens
///
/// Those for scripts, for this organization, oldest first. Members look after their own, admins and owners after all.
#[utoipa::path(get, context_path = MEMBERS, path = "/{id}/tokens", operation_id = "list_member_tokens",
    tag = tag::MEMBERS, responses((status = 200, description = "The tokens, on one page", body = MemberTokenPage)))]
pub(super) async fn tokens(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let found = control.list_member_tokens(&asked.asking(), &place.organization()?, &place.member_id()?).await?;
    Ok(list(found.iter().map(MemberTokenObject::new)))
}

/// Make a token for scripts
///
/// It carries the member's role in this organization, as it is when the token is used, and no power over the node. One
/// that is made with another such token ends no later than that. The answer holds it, once.
#[utoipa::path(post, context_path = MEMBERS, path = "/{id}/tokens", operation_id = "make_member_token",
    tag = tag::MEMBERS, params(IdempotencyKey), request_body = MakeMemberToken,
    responses((status = 201, description = "The token; without itself where the request was done before",
        body = IssuedMemberTokenObject), Tokens))]
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
        Ok(IssuedMemberToken { token, secret }) => {
            let object = IssuedMemberTokenObject { of: MemberTokenObject::new(&token), token: secret.expose() };
            Ok(json(StatusCode::CREATED, &object))
        }
        Err(ControlProblem::AlreadyDone(token)) => {
            let token = MemberTokenId::parse(&token).map_err(|_| Refusal::from(ControlProblem::Fault))?;
            let token = control.show_member_token(&asking, &organization, &id, &token).await?;
            Ok(replayed(json(StatusCode::CREATED, &MemberTokenObject::new(&token))))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// End a member's token
///
/// What uses it stops working at once.
#[utoipa::path(delete, context_path = MEMBERS, path = "/{id}/tokens/{token_id}", operation_id = "remove_member_token",
    tag = tag::MEMBERS, responses((status = 204, description = "The token has ended")))]
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
        Ok(InvitedMember { member, invitation: Some((token, expires_at)) }) => {
            let (of, invitation) = (MemberObject::new(&member), token.expose());
            let object = InvitedMemberObject { of, invitation, invitation_expires_at: expires_at };
            Ok(tagged(json(StatusCode::CREATED, &object), member.revision))
        }
        Ok(InvitedMember { member, invitation: None }) => Ok(one(StatusCode::CREATED, &member)),
        Err(ControlProblem::AlreadyDone(id)) => {
            let id = MemberId::parse(&id).map_err(|_| Refusal::from(ControlProblem::Fault))?;
            let member = control.show_member(asking, organization, &id).await?;
            Ok(replayed(one(StatusCode::CREATED, &member)))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn one(status: StatusCode, member: &Member) -> Response {
    tagged(json(status, &MemberObject::new(member)), member.revision)
}

/// Somebody as a member of an organization.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(super) struct MemberObject<'a> {
    id: &'a MemberId,
    email: &'a Email,
    #[schema(value_type = MemberName)]
    name: &'a str,
    role: MemberRole,
    /// Whether they are an operator of the node.
    operator: bool,
    /// Whether they have a password: an invitation sets it.
    has_password: bool,
    /// When they were added here.
    created_at: Timestamp,
    /// When they last signed in, with whatever organization in mind; null is never.
    last_sign_in_at: Option<Timestamp>,
    revision: Revision,
}

impl<'a> MemberObject<'a> {
    fn new(member: &'a Member) -> Self {
        Self {
            id: &member.id,
            email: &member.email,
            name: &member.name,
            role: member.role,
            operator: member.operator,
            has_password: member.has_password,
            created_at: member.created_at,
            last_sign_in_at: member.last_sign_in_at,
            revision: member.revision,
        }
    }
}

/// A member together with an invitation: the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = InvitedMember)]
pub(super) struct InvitedMemberObject<'a> {
    #[serde(flatten)]
    of: MemberObject<'a>,
    /// For whoever is invited, and nobody else: it sets their password (`POST /v1/sessions`).
    #[schema(
        required = false,
        pattern = "^pculli_[0-9A-Za-z]{43}$",
        example = "pculli_0000000000000000000000000000000000000000000"
    )]
    invitation: &'a str,
    /// The first second at which the invitation counts no more.
    #[schema(required = false)]
    invitation_expires_at: Timestamp,
}

/// A token for scripts: everything about it but the token.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberToken)]
pub(super) struct MemberTokenObject<'a> {
    id: &'a MemberTokenId,
    /// What it is for.
    #[schema(example = "nightly report")]
    name: &'a str,
    /// The first second at which it counts no more.
    expires_at: Timestamp,
    created_at: Timestamp,
    /// When it was last used, to the minute; null is never.
    last_used_at: Option<Timestamp>,
}

impl<'a> MemberTokenObject<'a> {
    fn new(token: &'a MemberToken) -> Self {
        let MemberToken { id, name, expires_at, created_at, last_used_at } = token;
        Self { id, name, expires_at: *expires_at, created_at: *created_at, last_used_at: *last_used_at }
    }
}

/// A token for scripts together with itself: the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedMemberToken)]
pub(super) struct IssuedMemberTokenObject<'a> {
    #[serde(flatten)]
    of: MemberTokenObject<'a>,
    /// The bearer token. It is there unless the request was done before under the same `Idempotency-Key`.
    #[schema(
        required = false,
        pattern = "^pcullm_[0-9A-Za-z]{43}$",
        example = "pcullm_0000000000000000000000000000000000000000000"
    )]
    token: &'a str,
}
