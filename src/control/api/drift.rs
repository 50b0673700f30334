//! The routes that tell what a changed document means: of one that is sent, and of the one that counts by now.

use super::answer::{Page, Refusal, json, list};
use super::auth::Asked;
use super::body::CatalogueBody;
use super::document::{refusals, tag};
use super::environments::ReportObject;
use super::places::Place;
use super::{ENVIRONMENT, Shared};
use crate::catalogue::diff::{BrokenSelection, DiffOperation, MovedOperation, WidenedPermission};
use crate::control::ComparedCatalogue;
use crate::model::{ClientId, KeyName, Operation, PermissionName};
use crate::store::{Beyond, Holders, RoleHolders};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

type DriftPage = Page<DriftObject>;

refusals! {
    /// What a document that is no document is answered with.
    Comparing: Invalid
}

/// Compare a catalogue
///
/// What an OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML) in place of the environment's would change: nothing
/// is. New operations are denied until a key is given their permission, unless a permission of before covers them: see
/// `permissions_widened`. A document that breaks roles or presets is refused when it is set.
#[utoipa::path(post, context_path = ENVIRONMENT, path = "/catalogue/diff", operation_id = "compare_catalogue",
    tag = tag::ENVIRONMENTS,
    request_body(content((Object = "application/json"), (Object = "application/vnd.oai.openapi+json"),
        (String = "application/vnd.oai.openapi"), (String = "application/yaml"))),
    responses((status = 200, description = "What would change", body = CatalogueDiffObject), Comparing))]
pub(super) async fn compare(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    body: CatalogueBody,
) -> Result<Response, Refusal> {
    let id = place.environment()?;
    let compared = control.compare_catalogue(&asked.asking(), &id, body.into_document()).await?;
    Ok(json(StatusCode::OK, &CatalogueDiffObject::new(&compared)))
}

/// Show the drift
///
/// Permissions and roles that living keys hold and the environment does not know (any more): they open nothing. Keys
/// that hold them are counted, and the first 20 named.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/drift", operation_id = "show_drift", tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "What is held and not known, on one page", body = DriftPage)))]
pub(super) async fn drift(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let Beyond { permissions, roles } = control.drift(&asked.asking(), &place.environment()?).await?;
    Ok(list(permissions.into_iter().map(DriftObject::permission).chain(roles.into_iter().map(DriftObject::role))))
}

/// What a document would change.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueDiff)]
struct CatalogueDiffObject<'a> {
    /// Requests that would be operations and are none.
    operations_added: Vec<ComparedOperation<'a>>,
    /// Requests that are operations and would be none: refused.
    operations_removed: Vec<ComparedOperation<'a>>,
    /// Operations that would be other requests: whoever may do them may do them there.
    operations_moved: Vec<MovedObject<'a>>,
    /// Permissions that no key holds yet.
    permissions_added: Vec<&'a PermissionName>,
    /// Permissions that would be gone: they open nothing to the keys that hold them.
    permissions_removed: Vec<HeldPermission<'a>>,
    /// Permissions that would open more, to every key that holds them.
    permissions_widened: Vec<WidenedObject<'a>>,
    /// Roles that name permissions that would be gone.
    roles_broken: Vec<BrokenRole<'a>>,
    /// Presets that name permissions that would be gone.
    presets_broken: Vec<BrokenPreset<'a>>,
    /// What the import of the document had to tell.
    report: ReportObject<'a>,
}

/// An operation that is new or gone.
#[derive(Serialize, ToSchema)]
struct ComparedOperation<'a> {
    /// The `operationId` of the API's description, or method and path.
    #[schema(example = "listCards")]
    operation: &'a str,
    /// The HTTP method; `*` is any that no more exact operation of the same path takes.
    #[schema(example = "GET")]
    method: &'a str,
    /// The path below the base URL.
    #[schema(example = "/cards/{id}")]
    path: &'a str,
    /// The first permission that covers it.
    permission: &'a PermissionName,
}

/// An operation that would be another request.
#[derive(Serialize, ToSchema)]
#[schema(as = MovedOperation)]
struct MovedObject<'a> {
    /// The `operationId` of the API's description.
    #[schema(example = "listCards")]
    operation: &'a str,
    /// The HTTP method.
    #[schema(example = "GET")]
    method: &'a str,
    /// The path below the base URL.
    #[schema(example = "/v2/cards")]
    path: &'a str,
    /// The method until now.
    #[schema(example = "GET")]
    method_before: &'a str,
    /// The path until now.
    #[schema(example = "/cards")]
    path_before: &'a str,
    /// What covers it.
    permission: &'a PermissionName,
}

/// A permission that would be gone.
#[derive(Serialize, ToSchema)]
struct HeldPermission<'a> {
    permission: &'a PermissionName,
    /// How many living keys hold it by name.
    key_count: u64,
    /// The first 20 of them.
    keys: Vec<HolderObject<'a>>,
}

/// A permission that would open more.
#[derive(Serialize, ToSchema)]
#[schema(as = WidenedPermission)]
struct WidenedObject<'a> {
    permission: &'a PermissionName,
    /// What it would open and does not.
    operations_added: Vec<ComparedOperation<'a>>,
    /// How many living keys hold it by name.
    key_count: u64,
}

/// A role that names what would be gone.
#[derive(Serialize, ToSchema)]
struct BrokenRole<'a> {
    #[schema(example = "events")]
    role: &'a str,
    /// What would be gone.
    permissions: &'a [PermissionName],
}

/// A preset that names what would be gone.
#[derive(Serialize, ToSchema)]
struct BrokenPreset<'a> {
    #[schema(example = "Read only")]
    preset: &'a str,
    /// What would be gone.
    permissions: &'a [PermissionName],
}

/// A living key that holds something.
#[derive(Serialize, ToSchema)]
#[schema(as = Holder)]
struct HolderObject<'a> {
    client_id: &'a ClientId,
    name: &'a KeyName,
}

/// Something that living keys hold and the environment does not know. Either a permission or a role.
#[derive(Serialize, ToSchema)]
#[schema(as = Drift)]
pub(super) struct DriftObject {
    permission: Option<PermissionName>,
    #[schema(example = "events")]
    role: Option<String>,
    /// How many living keys hold it.
    key_count: u64,
    /// The first 20 of them.
    keys: Vec<DriftedKey>,
}

/// A living key that holds something unknown.
#[derive(Serialize, ToSchema)]
struct DriftedKey {
    client_id: ClientId,
    name: KeyName,
}

impl<'a> CatalogueDiffObject<'a> {
    fn new(compared: &'a ComparedCatalogue) -> Self {
        let ComparedCatalogue { diff, holders, report } = compared;
        Self {
            operations_added: diff.operations_added.iter().map(ComparedOperation::new).collect(),
            operations_removed: diff.operations_removed.iter().map(ComparedOperation::new).collect(),
            operations_moved: diff.operations_moved.iter().map(MovedObject::new).collect(),
            permissions_added: diff.permissions_added.iter().collect(),
            permissions_removed: diff
                .permissions_removed
                .iter()
                .map(|name| HeldPermission::new(name, holders))
                .collect(),
            permissions_widened: diff.permissions_widened.iter().map(|one| WidenedObject::new(one, holders)).collect(),
            roles_broken: diff.roles_broken.iter().map(BrokenRole::new).collect(),
            presets_broken: diff.presets_broken.iter().map(BrokenPreset::new).collect(),
            report: ReportObject::new(report),
        }
    }
}

impl<'a> ComparedOperation<'a> {
    fn new(DiffOperation { operation, permission }: &'a DiffOperation) -> Self {
        Self::of(operation, permission)
    }

    fn of(operation: &'a Operation, permission: &'a PermissionName) -> Self {
        let (method, path) = request(operation);
        Self { operation: &operation.id, method, path, permission }
    }
}

impl<'a> MovedObject<'a> {
    fn new(MovedOperation { before, after, permission }: &'a MovedOperation) -> Self {
        let ((method, path), (method_before, path_before)) = (request(after), request(before));
        Self { operation: &after.id, method, path, method_before, path_before, permission }
    }
}

impl<'a> HeldPermission<'a> {
    fn new(permission: &'a PermissionName, holders: &'a HashMap<PermissionName, Holders>) -> Self {
        let keys = holders.get(permission).map(|held| held.keys.as_slice()).unwrap_or_default();
        let keys = keys.iter().map(|(client_id, name)| HolderObject { client_id, name }).collect();
        Self { permission, key_count: count(permission, holders), keys }
    }
}

impl<'a> WidenedObject<'a> {
    fn new(widened: &'a WidenedPermission, holders: &HashMap<PermissionName, Holders>) -> Self {
        let WidenedPermission { permission, operations_added } = widened;
        let operations_added = operations_added.iter().map(|one| ComparedOperation::of(one, permission)).collect();
        Self { permission, operations_added, key_count: count(permission, holders) }
    }
}

impl<'a> BrokenRole<'a> {
    fn new(BrokenSelection { name, permissions }: &'a BrokenSelection) -> Self {
        Self { role: name, permissions }
    }
}

impl<'a> BrokenPreset<'a> {
    fn new(BrokenSelection { name, permissions }: &'a BrokenSelection) -> Self {
        Self { preset: name, permissions }
    }
}

impl DriftObject {
    fn permission(Holders { permission, count, keys }: Holders) -> Self {
        Self { permission: Some(permission), role: None, key_count: count, keys: drifted(keys) }
    }

    fn role(RoleHolders { role, count, keys }: RoleHolders) -> Self {
        Self { permission: None, role: Some(role), key_count: count, keys: drifted(keys) }
    }
}

fn drifted(keys: Vec<(ClientId, KeyName)>) -> Vec<DriftedKey> {
    keys.into_iter().map(|(client_id, name)| DriftedKey { client_id, name }).collect()
}

fn count(permission: &PermissionName, holders: &HashMap<PermissionName, Holders>) -> u64 {
    holders.get(permission).map_or(0, |held| held.count)
}

fn request(operation: &Operation) -> (&str, &str) {
    (operation.pattern.method().map_or("*", |method| method.as_str()), operation.pattern.path())
}
