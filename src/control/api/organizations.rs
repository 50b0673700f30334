//! The routes of organizations and their policies.

use super::answer::{Page, Refusal, json, list};
use super::auth::Asked;
use super::bodies::ChangeOrganization;
use super::body::Body;
use super::document::{IfMatch, refusals, tag};
use super::places::Place;
use super::revision::{if_match, tagged};
use super::schema::{ETag, Lifetime, OrganizationName};
use super::{ORGANIZATION, Shared};
use crate::control::{Caller, OrganizationFacts, lifetime_text};
use crate::model::{Identifier, ManagedBy, MemberRole, Revision};
use crate::store::Exceeding;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

type OrganizationPage<'a> = Page<OrganizationObject<'a>>;

refusals! {
    /// What a change of an organization can be refused for, beside what is wrong with it.
    Changing: ManagedByFile
}

/// List organizations
///
/// Those that you have a part in, with your role there. Operators see all.
#[utoipa::path(get, path = "/v1/organizations", operation_id = "list_organizations", tag = tag::ORGANIZATIONS,
    responses((status = 200, description = "The organizations, on one page", body = OrganizationPage)))]
pub(super) async fn list_all(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let organizations = control.list_organizations(&asking.caller).await?;
    Ok(list(organizations.iter().map(|facts| OrganizationObject::new(facts, &asking.caller, None))))
}

/// Show an organization
///
/// With its policies, and how many of its live keys exceed them: a policy touches no key that is there already.
#[utoipa::path(get, path = ORGANIZATION, operation_id = "show_organization", tag = tag::ORGANIZATIONS,
    responses((status = 200, description = "The organization", body = OrganizationObject, headers(("ETag" = ETag)))))]
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let facts = control.organization(&asking, &place.organization()?).await?;
    answer(&control, &asking.caller, &facts, StatusCode::OK).await
}

/// Edit an organization
///
/// Its name and policies, for admins and owners. What a tenant file sets changes only there (`managed_by_file`).
#[utoipa::path(patch, path = ORGANIZATION, operation_id = "edit_organization", tag = tag::ORGANIZATIONS,
    params(IfMatch), request_body = ChangeOrganization,
    responses((status = 200, description = "The organization as it is now", body = OrganizationObject,
        headers(("ETag" = ETag))), Changing))]
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

/// Make an organization
///
/// Or name one anew that was made here. For operators.
#[utoipa::path(put, path = ORGANIZATION, operation_id = "put_organization", tag = tag::ORGANIZATIONS,
    params(IfMatch), request_body = ChangeOrganization,
    responses(
        (status = 200, description = "It was there; this is how it is now", body = OrganizationObject,
            headers(("ETag" = ETag))),
        (status = 201, description = "It was made", body = OrganizationObject, headers(("ETag" = ETag))),
        Changing))]
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
    Ok(tagged(json(status, &OrganizationObject::new(facts, caller, Some(exceeding))), facts.policies.revision))
}

/// An organization and the policies that bind its keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationObject<'a> {
    id: &'a Identifier,
    #[schema(value_type = OrganizationName)]
    name: &'a str,
    policies: PoliciesObject<'a>,
    /// Only where one organization is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exceeding: Option<ExceedingObject>,
    managed_by: ManagedBy,
    revision: Revision,
    /// Your role in it; null for operators and keys.
    role: Option<MemberRole>,
}

/// What binds the keys of an organization when they are made or rotated.
#[derive(Serialize, ToSchema)]
#[schema(as = Policies)]
struct PoliciesObject<'a> {
    /// Whether new legacy keys are refused.
    block_legacy_keys: bool,
    /// The longest life a key may be given; null is any.
    #[schema(value_type = Option<Lifetime>)]
    max_key_lifetime: Option<String>,
    /// The same in seconds.
    #[schema(minimum = 1, example = 7_776_000)]
    max_key_lifetime_seconds: Option<u64>,
    /// The policies that a tenant file sets: they change only there.
    #[schema(example = json!(["max_key_lifetime"]))]
    set_by_file: &'a [&'static str],
}

/// How many live keys each policy would refuse if they were made now. They go on working.
#[derive(Serialize, ToSchema)]
#[schema(as = Exceeding)]
struct ExceedingObject {
    max_key_lifetime: u64,
    block_legacy_keys: u64,
}

impl<'a> OrganizationObject<'a> {
    fn new(facts: &'a OrganizationFacts, caller: &Caller, exceeding: Option<Exceeding>) -> Self {
        let longest = facts.policies.max_key_lifetime;
        Self {
            id: &facts.id,
            name: &facts.name,
            policies: PoliciesObject {
                block_legacy_keys: facts.policies.block_legacy_keys,
                max_key_lifetime: longest.map(lifetime_text),
                max_key_lifetime_seconds: longest.map(|longest| longest.as_secs()),
                set_by_file: &facts.set_by_file,
            },
            exceeding: exceeding.map(|Exceeding { legacy, lifetime }| ExceedingObject {
                max_key_lifetime: lifetime,
                block_legacy_keys: legacy,
            }),
            managed_by: facts.managed_by,
            revision: facts.policies.revision,
            role: caller.role(&facts.id),
        }
    }
}
