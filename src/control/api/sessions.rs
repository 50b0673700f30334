//! The routes of sessions: signing in, asking who one is, signing out.

use super::Shared;
use super::answer::{Refusal, json};
use super::auth::{Anybody, Asked, bearer};
use super::bodies::SignIn;
use super::body::Body;
use super::document::{refusals, tag};
use crate::control::{Caller, SignedIn};
use crate::model::{Actor, Email, Identifier, MemberId, MemberRole, Revision, Timestamp};
use crate::store::Person;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

refusals! {
    /// What signing in can be refused for.
    SigningIn: Internal, NotAuthenticated, RateLimited, Unavailable
}

refusals! {
    /// What signing out can be refused for.
    SigningOut: NotFound
}

/// Sign in
///
/// By email and password; by an invitation, which sets the password; or by the bootstrap token, as the operator. A
/// session ends 30 minutes after its last use, 12 hours after its start at the latest. The first time that an owner signs
/// in the bootstrap token ends, and every session by it. This needs no credential but what the body holds.
#[utoipa::path(post, path = "/v1/sessions", operation_id = "sign_in", tag = tag::SESSIONS, security(()),
    request_body = SignIn,
    responses((status = 201, description = "The session", body = SessionObject), SigningIn))]
pub(super) async fn open(State(control): State<Shared>, anybody: Anybody, body: Body) -> Result<Response, Refusal> {
    let (draft, found) = body.sign_in_draft()?;
    let signed_in = control.sign_in(&anybody.act, draft, found).await?;
    let SignedIn { token, expires_at, person } = &signed_in;
    let roles = person.as_ref().map_or(&[][..], |person| &person.roles);
    let object = SessionObject {
        token: token.expose(),
        expires_at: *expires_at,
        member: person.as_ref().map(PersonObject::new),
        organizations: belongings(roles),
        operator: signed_in.is_operator(),
    };
    Ok(json(StatusCode::CREATED, &object))
}

/// Ask who you are
///
/// Whom the token of this request belongs to, whatever kind of token it is.
#[utoipa::path(get, path = "/v1/sessions/current", operation_id = "show_session", tag = tag::SESSIONS,
    responses((status = 200, description = "You", body = CurrentObject)))]
pub(super) async fn show(asked: Asked) -> Response {
    let caller = asked.asking().caller;
    let actor: Actor = caller.actor();
    let organizations = match &caller {
        Caller::Key(key) => vec![BelongingObject { id: &key.environment.organization, role: None }],
        Caller::Member(member) => belongings(&member.roles),
        Caller::Operator => vec![],
    };
    let whom = ActorObject { kind: actor.kind(), id: actor.id(), name: actor.label() };
    json(StatusCode::OK, &CurrentObject { actor: whom, operator: caller.is_operator(), organizations })
}

/// Sign out
///
/// Ends the session whose token this request shows; `not_found` where it shows another kind of token.
#[utoipa::path(delete, path = "/v1/sessions/current", operation_id = "sign_out", tag = tag::SESSIONS,
    responses((status = 204, description = "The session has ended"), SigningOut))]
pub(super) async fn end(State(control): State<Shared>, asked: Asked, headers: HeaderMap) -> Result<Response, Refusal> {
    let token = bearer(&headers).ok_or_else(Refusal::not_authenticated)?;
    control.sign_out(&asked.asking(), token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A session together with its token: the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionObject<'a> {
    /// The bearer token of the session.
    #[schema(pattern = "^pcullse_[0-9A-Za-z]{43}$", example = "pcullse_0000000000000000000000000000000000000000000")]
    token: &'a str,
    /// The first second at which the session has ended, however busy it is.
    expires_at: Timestamp,
    /// Who signed in; null for the bootstrap token.
    member: Option<PersonObject<'a>>,
    /// The organizations that they belong to.
    organizations: Vec<BelongingObject<'a>>,
    /// Whether they are an operator of the node.
    operator: bool,
}

/// Somebody, whatever organization they belong to.
#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
struct PersonObject<'a> {
    id: &'a MemberId,
    email: &'a Email,
    /// What the first of their organizations that has a name for them calls them; may be empty.
    name: &'a str,
    /// Whether they are an operator of the node.
    operator: bool,
    has_password: bool,
    created_at: Timestamp,
    last_sign_in_at: Option<Timestamp>,
    revision: Revision,
}

impl<'a> PersonObject<'a> {
    fn new(person: &'a Person) -> Self {
        Self {
            id: &person.id,
            email: &person.email,
            name: &person.name,
            operator: person.operator,
            has_password: person.has_password,
            created_at: person.created_at,
            last_sign_in_at: person.last_sign_in_at,
            revision: person.revision,
        }
    }
}

/// An organization that somebody belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = Belonging)]
struct BelongingObject<'a> {
    id: &'a Identifier,
    /// Null for management keys.
    role: Option<MemberRole>,
}

/// Whom a token belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = CurrentSession)]
pub(super) struct CurrentObject<'a> {
    actor: ActorObject<'a>,
    /// Whether this is an operator of the node.
    operator: bool,
    /// The organizations that the token opens something of; operators without an address of their own have none.
    organizations: Vec<BelongingObject<'a>>,
}

/// Who somebody is.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
struct ActorObject<'a> {
    /// `operator`, `member` or `key`.
    #[serde(rename = "type")]
    #[schema(example = "member")]
    kind: &'a str,
    /// The member's or the key's id; null for the operator.
    #[schema(example = "mbr_1Qx7pTz3mK9vB2nW5sLdYe")]
    id: Option<&'a str>,
    /// The email address, the client id, or the kind.
    #[schema(example = "ada@example.com")]
    name: &'a str,
}

fn belongings(roles: &[(Identifier, MemberRole)]) -> Vec<BelongingObject<'_>> {
    roles.iter().map(|(id, role)| BelongingObject { id, role: Some(*role) }).collect()
}
