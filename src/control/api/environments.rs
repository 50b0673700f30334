//! The routes that make environments and change what keys can hold there: what tenant files can say.

use super::answer::{Refusal, json};
use super::auth::Asked;
use super::bodies::{DefineEnvironment, SetPermissions};
use super::body::{Body, CatalogueBody};
use super::document::{IfMatch, refusals, tag};
use super::places::{EnvironmentObject, NamedObject, Place, named};
use super::revision::{if_match, tagged};
use super::schema::ETag;
use super::{ENVIRONMENT, Shared};
use crate::control::{EnvironmentFacts, NamedKind};
use crate::model::{ImportNote, ImportReport, Revision};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

refusals! {
    /// What a definition can be refused for, beside what is wrong with it.
    Defining: BaseUrlTaken, ManagedByFile, RoleInUse
}

refusals! {
    /// Why an environment is not removed.
    Removing: EnvironmentInUse, ManagedByFile
}

refusals! {
    /// What a change within an environment can be refused for, beside what is wrong with it.
    Changing: ManagedByFile, RoleInUse
}

refusals! {
    /// Why a preset is not removed.
    RemovingPreset: Invalid, ManagedByFile, PresetBuiltIn
}

refusals! {
    /// Why a role is not removed.
    RemovingRole: Invalid, ManagedByFile, RoleInUse
}

/// Make an environment
///
/// Or define one anew that was made here; presets and roles are part of the definition, the OpenAPI document is not and
/// stays. For operators. The same definition again changes nothing. Its organization has to be there, made here or set by
/// a file.
///
/// Everything that is wrong is told at once, by JSON pointer: `field_required`, `field_unknown`, `field_elsewhere` (what
/// tenant files alone have), `invalid_type`, `permission_unknown`, `value_invalid`.
#[utoipa::path(put, path = ENVIRONMENT, operation_id = "put_environment", tag = tag::ENVIRONMENTS,
    params(IfMatch), request_body = DefineEnvironment,
    responses(
        (status = 200, description = "It was there; this is how it is now", body = EnvironmentObject,
            headers(("ETag" = ETag))),
        (status = 201, description = "It was made", body = EnvironmentObject, headers(("ETag" = ETag))),
        Defining))]
pub(super) async fn put(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (asking, id) = (asked.asking(), place.environment()?);
    control.may_define(&asking, &id)?;
    let expected = if_match(&headers)?;
    let (facts, made) = control.put_environment(&asking, &id, body.members()?, expected).await?;
    Ok(environment(&control, &facts, made_or_not(made)))
}

/// Remove an environment
///
/// For operators. No living key may work in it. Keys that have ended stay for the log.
#[utoipa::path(delete, path = ENVIRONMENT, operation_id = "delete_environment", tag = tag::ENVIRONMENTS,
    params(IfMatch), responses((status = 204, description = "It is gone, and its base URL with it"), Removing))]
pub(super) async fn delete(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let expected = if_match(&headers)?;
    control.delete_environment(&asked.asking(), &place.environment()?, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Replace the catalogue
///
/// With an OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML), whose operations become permissions: it takes the
/// place of the one before, and `permissions` and `public` of the definition stay on top of it. Or, as JSON, with
/// `{"permissions": {...}, "public": [...]}`, which is then the whole catalogue. For operators. A catalogue that lacks a
/// permission which a preset or role of the environment names is refused (`preset_broken`, `role_broken`), and so is a
/// document that cannot be imported whole (`openapi_invalid`).
#[utoipa::path(put, context_path = ENVIRONMENT, path = "/catalogue", operation_id = "replace_catalogue",
    tag = tag::ENVIRONMENTS, params(IfMatch),
    request_body(content((Object = "application/json"), (Object = "application/vnd.oai.openapi+json"),
        (String = "application/vnd.oai.openapi"), (String = "application/yaml"))),
    responses((status = 200, description = "What it came to", body = ReplacedCatalogue, headers(("ETag" = ETag))),
        Changing))]
pub(super) async fn put_catalogue(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: CatalogueBody,
) -> Result<Response, Refusal> {
    let (asking, id) = (asked.asking(), place.environment()?);
    control.may_define(&asking, &id)?;
    let expected = if_match(&headers)?;
    let facts = control.put_catalogue(&asking, &id, body.draft()?, expected).await?;
    Ok(tagged(json(StatusCode::OK, &ReplacedCatalogue::new(&facts)), facts.revision()))
}

/// Set a preset
///
/// For admins and owners. One of the name of a built-in preset takes its place.
#[utoipa::path(put, context_path = ENVIRONMENT, path = "/presets/{name}", operation_id = "put_preset",
    tag = tag::ENVIRONMENTS, params(IfMatch), request_body = SetPermissions,
    responses(
        (status = 200, description = "It was there; this is how it is now", body = NamedObject,
            headers(("ETag" = ETag))),
        (status = 201, description = "It was made", body = NamedObject, headers(("ETag" = ETag))),
        Changing))]
pub(super) async fn put_preset(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    put_named(&control, asked, &place, &headers, body, NamedKind::Preset).await
}

/// Remove a preset
///
/// For admins and owners. Keys that started from it keep what they hold.
#[utoipa::path(delete, context_path = ENVIRONMENT, path = "/presets/{name}", operation_id = "delete_preset",
    tag = tag::ENVIRONMENTS, params(IfMatch),
    responses((status = 204, description = "It is gone"), RemovingPreset))]
pub(super) async fn delete_preset(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    delete_named(&control, asked, &place, &headers, NamedKind::Preset).await
}

/// Set a role
///
/// For admins and owners. Legacy keys that hold it may do what it opens from now on.
#[utoipa::path(put, context_path = ENVIRONMENT, path = "/roles/{name}", operation_id = "put_role",
    tag = tag::ENVIRONMENTS, params(IfMatch), request_body = SetPermissions,
    responses(
        (status = 200, description = "It was there; this is how it is now", body = NamedObject,
            headers(("ETag" = ETag))),
        (status = 201, description = "It was made", body = NamedObject, headers(("ETag" = ETag))),
        Changing))]
pub(super) async fn put_role(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    put_named(&control, asked, &place, &headers, body, NamedKind::Role).await
}

/// Remove a role
///
/// For admins and owners. No living key may hold it.
#[utoipa::path(delete, context_path = ENVIRONMENT, path = "/roles/{name}", operation_id = "delete_role",
    tag = tag::ENVIRONMENTS, params(IfMatch),
    responses((status = 204, description = "It is gone"), RemovingRole))]
pub(super) async fn delete_role(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    delete_named(&control, asked, &place, &headers, NamedKind::Role).await
}

async fn put_named(
    control: &Shared,
    asked: Asked,
    place: &Place,
    headers: &HeaderMap,
    body: Body,
    kind: NamedKind,
) -> Result<Response, Refusal> {
    let (asking, place) = (asked.asking(), place.named(kind)?);
    let expected = if_match(headers)?;
    let (permissions, found) = body.permissions_draft()?;
    let (facts, made) = control.put_named(&asking, &place, permissions, found, expected).await?;
    let permissions = facts.permissions(kind, &place.name);
    Ok(tagged(json(made_or_not(made), &named(&place.name, &permissions)), facts.revision()))
}

async fn delete_named(
    control: &Shared,
    asked: Asked,
    place: &Place,
    headers: &HeaderMap,
    kind: NamedKind,
) -> Result<Response, Refusal> {
    let expected = if_match(headers)?;
    control.remove_named(&asked.asking(), &place.named(kind)?, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

const fn made_or_not(made: bool) -> StatusCode {
    if made { StatusCode::CREATED } else { StatusCode::OK }
}

/// An environment as it is now.
pub(super) fn environment(control: &Shared, facts: &EnvironmentFacts, status: StatusCode) -> Response {
    let snapshot = control.tables.load();
    tagged(json(status, &EnvironmentObject::of_one(&snapshot, facts)), facts.revision())
}

/// What a catalogue came to.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplacedCatalogue<'a> {
    /// Operations that the environment knows by now.
    operations: usize,
    /// Permissions that keys can hold.
    permissions: usize,
    /// The SHA-256 of the OpenAPI document; null where there is none.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    document: Option<&'a str>,
    /// What the import of the document had to tell; null where there is none.
    report: Option<ReportObject<'a>>,
    revision: Revision,
}

/// What the import of an OpenAPI document has to tell.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(super) struct ReportObject<'a> {
    /// The document's title.
    #[schema(example = "Cards")]
    title: &'a str,
    /// The document's version.
    #[schema(example = "1.4.0")]
    version: &'a str,
    /// Operations that it declares.
    operations: usize,
    /// Permissions that came of them.
    permissions: usize,
    /// What was merged, cut or odd.
    notes: Vec<NoteObject<'a>>,
}

/// One thing that was merged, cut or odd.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportNote)]
pub(super) struct NoteObject<'a> {
    /// What kind of thing.
    #[schema(example = "merged")]
    kind: &'a str,
    /// A JSON pointer into the document.
    #[schema(example = "/paths/~1cards/get")]
    place: &'a str,
    /// In words.
    message: &'a str,
}

impl<'a> ReplacedCatalogue<'a> {
    fn new(facts: &'a EnvironmentFacts) -> Self {
        Self {
            operations: facts.table.catalogue.operations().len(),
            permissions: facts.table.catalogue.permissions().len(),
            document: facts.stored.as_ref().and_then(|stored| stored.document.as_deref()),
            report: facts.table.report.as_deref().map(ReportObject::new),
            revision: facts.revision(),
        }
    }
}

impl<'a> ReportObject<'a> {
    pub(super) fn new(report: &'a ImportReport) -> Self {
        let ImportReport { title, version, operations, permissions, notes, prefix: _ } = report;
        let notes =
            notes.iter().map(|ImportNote { kind, place, message }| NoteObject { kind: kind.as_str(), place, message });
        Self { title, version, operations: *operations, permissions: *permissions, notes: notes.collect() }
    }
}
