//! The routes of what files define: organizations, environments, and what keys can hold there; and the node's status.

use super::answer::{Page, Refusal, json, list, page};
use super::auth::Asked;
use super::document::{refusals, tag};
use super::environments;
use super::node::LastReloadObject;
use super::query::{PageParameters, PageQuery, page_query, read_name_cursor, write_name_cursor};
use super::schema::ETag;
use super::{ENVIRONMENT, ORGANIZATION, Shared};
use crate::control::{Addresses, Asking, Control, ControlProblem, EnvironmentFacts, NamedKind, NamedPlace, Right};
use crate::model::{
    ClientId, CoveredOperation, EnvironmentId, Identifier, ManagedBy, MemberId, MemberTokenId, Operation, Permission,
    PermissionName, Revision, Timestamp,
};
use crate::tables::{EnvironmentTable, Snapshot};
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

type CataloguePage<'a> = Page<CatalogueObject<'a>>;
type EnvironmentPage<'a> = Page<EnvironmentObject<'a>>;
type PermissionPage<'a> = Page<PermissionObject<'a>>;
type NamedPermissionsPage = Page<NamedObject>;

refusals! {
    /// What everybody but an operator is told.
    Operators: NotAllowed
}

/// The names in a path.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    org: String,
    env: String,
    client_id: String,
    id: String,
    name: String,
    token_id: String,
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

    /// The preset or role named.
    pub(super) fn named(&self, kind: NamedKind) -> Result<NamedPlace, Refusal> {
        Ok(NamedPlace { environment: self.environment()?, kind, name: self.name.clone() })
    }

    /// The member named.
    pub(super) fn member_id(&self) -> Result<MemberId, Refusal> {
        MemberId::parse(&self.id).map_err(|_| Refusal::not_found())
    }

    /// The member's token named.
    pub(super) fn token_id(&self) -> Result<MemberTokenId, Refusal> {
        MemberTokenId::parse(&self.token_id).map_err(|_| Refusal::not_found())
    }

    /// The key named.
    pub(super) fn client_id(&self) -> Result<ClientId, Refusal> {
        ClientId::parse(&self.client_id).map_err(|_| Refusal::not_found())
    }
}

/// Show the node's status
///
/// For operators. It answers while the store is away too.
#[utoipa::path(get, path = "/v1/status", operation_id = "show_status", tag = tag::NODE,
    responses((status = 200, description = "What the node knows and holds", body = StatusObject), Operators))]
pub(super) async fn status(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    asked.asking().caller.require_operator()?;
    // The store being away is what status is for.
    let store_revision = control.store.revision().await.ok();
    Ok(json(StatusCode::OK, &StatusObject::new(&control, store_revision, control.now())))
}

/// What a node knows and holds.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusObject {
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    started_at: Timestamp,
    /// The last change that requests are decided by.
    tables_revision: Revision,
    /// The last change in the store; null while it is away.
    store_revision: Option<Revision>,
    organizations: usize,
    environments: usize,
    /// Keys in the tables, whatever their status.
    keys: u64,
    /// How the files were read last.
    last_reload: LastReloadObject,
}

impl StatusObject {
    fn new(control: &Control, store_revision: Option<Revision>, now: Timestamp) -> Self {
        let snapshot = control.tables.load();
        Self {
            version: control.version,
            started_at: control.started_at,
            tables_revision: control.tables.revision(),
            store_revision,
            organizations: snapshot.organizations().len(),
            environments: snapshot.environments().len(),
            keys: snapshot.count_keys(now).values().sum(),
            last_reload: control.node.last_reload().into(),
        }
    }
}

/// List environments
///
/// With the addresses that integrating developers need: base URL, token endpoint, issuer.
#[utoipa::path(get, context_path = ORGANIZATION, path = "/environments", operation_id = "list_environments",
    tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "The environments, on one page", body = EnvironmentPage)))]
pub(super) async fn environments(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    let id = place.organization()?;
    control.organization(&asked.asking(), &id).await?;
    let snapshot = control.tables.load_full();
    Ok(list(snapshot.environments_of(&id).map(|environment| EnvironmentObject::new(&snapshot, environment))))
}

/// Show an environment
///
/// With its definition for operators, where it was made through this API.
#[utoipa::path(get, path = ENVIRONMENT, operation_id = "show_environment", tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "The environment", body = EnvironmentObject, headers(("ETag" = ETag)))))]
pub(super) async fn environment(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    let facts = control.environment(&asked.asking(), &place.environment()?).await?;
    Ok(environments::environment(&control, &facts, StatusCode::OK))
}

/// List permissions
///
/// Everything that a key of the environment can hold, in the order of the API's own description.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/permissions", operation_id = "list_permissions",
    tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "The permissions, on one page", body = PermissionPage)))]
pub(super) async fn permissions(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
) -> Result<Response, Refusal> {
    asked.asking().caller.require_in(Right::See, &place.environment()?)?;
    let snapshot = control.tables.load();
    let environment = snapshot.environment(&place.environment()?).ok_or_else(Refusal::not_found)?;
    Ok(list(environment.catalogue.permissions().iter().map(PermissionObject::new)))
}

/// List operations
///
/// The catalogue: every operation that the environment knows, and the permissions that cover it, the narrowest first.
/// What is not in it is refused.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/catalogue", operation_id = "list_operations",
    tag = tag::ENVIRONMENTS, params(PageParameters),
    responses((status = 200, description = "One page of operations", body = CataloguePage)))]
pub(super) async fn catalogue(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let id = place.environment()?;
    let PageQuery { limit, after } = page_query(query.as_deref().unwrap_or_default(), read_name_cursor)?;
    asked.asking().caller.require_in(Right::See, &id)?;
    let snapshot = control.tables.load();
    let environment = snapshot.environment(&id).ok_or_else(Refusal::not_found)?;
    let operations = environment.catalogue.operations();
    let from = match after {
        None => 0,
        Some(label) => {
            let last = operations.iter().position(|operation| *operation.label == *label);
            last.ok_or_else(|| Refusal::from(ControlProblem::CursorUnknown))?.saturating_add(1)
        }
    };
    let rest = operations.get(from..).unwrap_or_default();
    let shown = rest.get(..limit as usize).unwrap_or(rest);
    let last = shown.last().filter(|_| shown.len() < rest.len());
    let next_cursor = last.map(|operation| write_name_cursor(&operation.label));
    Ok(page(shown.iter().map(|operation| CatalogueObject::new(environment, operation)), next_cursor))
}

/// List presets
///
/// Named selections of permissions to start a key from. A key keeps what it took: a preset that changes later changes
/// no key.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/presets", operation_id = "list_presets",
    tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "The presets, on one page", body = NamedPermissionsPage)))]
pub(super) async fn presets(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    selections(&control, &asked.asking(), &place).map(|known| list(known.presets.into_iter()))
}

/// Show a preset
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/presets/{name}", operation_id = "show_preset",
    tag = tag::ENVIRONMENTS, responses((status = 200, description = "The preset", body = NamedObject)))]
pub(super) async fn preset(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    one_of(selections(&control, &asked.asking(), &place)?.presets, &place)
}

/// List roles
///
/// Named sets of permissions for legacy keys. Such a key may do whatever its role opens at the moment.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/roles", operation_id = "list_roles", tag = tag::ENVIRONMENTS,
    responses((status = 200, description = "The roles, on one page", body = NamedPermissionsPage)))]
pub(super) async fn roles(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    selections(&control, &asked.asking(), &place).map(|known| list(known.roles.into_iter()))
}

/// Show a role
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/roles/{name}", operation_id = "show_role",
    tag = tag::ENVIRONMENTS, responses((status = 200, description = "The role", body = NamedObject)))]
pub(super) async fn role(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    one_of(selections(&control, &asked.asking(), &place)?.roles, &place)
}

/// A named set of permissions.
#[derive(Serialize, ToSchema)]
#[schema(as = NamedPermissions)]
pub(super) struct NamedObject {
    #[schema(example = "Read only")]
    name: String,
    permissions: Vec<PermissionName>,
}

/// The named sets of permissions of an environment.
struct Selections {
    presets: Vec<NamedObject>,
    roles: Vec<NamedObject>,
}

fn selections(control: &Control, asking: &Asking, place: &Place) -> Result<Selections, Refusal> {
    asking.caller.require_in(Right::See, &place.environment()?)?;
    let snapshot = control.tables.load();
    let environment = snapshot.environment(&place.environment()?).ok_or_else(Refusal::not_found)?;
    Ok(Selections {
        presets: environment.presets().iter().map(|set| named(&set.name, &set.permissions)).collect(),
        roles: environment.roles.iter().map(|set| named(&set.name, &set.permissions)).collect(),
    })
}

pub(super) fn named(name: &str, permissions: &[PermissionName]) -> NamedObject {
    NamedObject { name: name.to_owned(), permissions: permissions.to_vec() }
}

fn one_of(named: Vec<NamedObject>, place: &Place) -> Result<Response, Refusal> {
    let found = named.into_iter().find(|known| known.name == place.name).ok_or_else(Refusal::not_found)?;
    Ok(json(StatusCode::OK, &found))
}

/// An environment: a base URL and what keys can do there.
#[derive(Serialize, ToSchema)]
#[schema(as = Environment)]
pub(super) struct EnvironmentObject<'a> {
    id: &'a Identifier,
    organization: &'a Identifier,
    /// Where callers of the API send their requests.
    #[schema(format = "uri", example = "https://api.example.com/v1")]
    base_url: &'a str,
    /// Where they get tokens (RFC 6749 section 4.4).
    #[schema(format = "uri", example = "https://api.example.com/v1/oauth2/token")]
    token_url: String,
    /// Issuer and audience of its tokens.
    #[schema(format = "uri", example = "https://api.example.com/v1")]
    issuer: &'a str,
    /// The public signing keys; null where tokens are signed with a secret.
    #[schema(format = "uri", example = "https://api.example.com/v1/oauth2/jwks")]
    jwks_url: Option<String>,
    /// A line for a shell that fetches a token: it wants the client id in the place of `CLIENT_ID`, and asks for the
    /// secret.
    #[schema(example = "curl -u CLIENT_ID -d grant_type=client_credentials https://api.example.com/v1/oauth2/token")]
    curl: String,
    platform_addresses: PlatformObject<'a>,
    managed_by: ManagedBy,
    /// The number of the last change here; 0 where a tenant file sets it. Only where one environment is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revision: Option<Revision>,
    /// What `PUT` takes, for operators, where it was made through this API. Values of `set_headers` may be secrets: they
    /// are shown as null, and null keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    definition: Option<&'a Value>,
}

/// The platform's own addresses, which an allowlist can add by one switch.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformAddresses)]
struct PlatformObject<'a> {
    /// What the platform calls them.
    #[schema(example = "Acme")]
    label: &'a str,
}

impl<'a> EnvironmentObject<'a> {
    fn new(snapshot: &Snapshot, environment: &'a EnvironmentTable) -> Self {
        let addresses = Addresses::of(snapshot, environment);
        let base_url = environment.base_url.as_str();
        Self {
            id: &environment.policy.id.environment,
            organization: &environment.policy.id.organization,
            base_url,
            curl: addresses.curl(),
            jwks_url: addresses.jwks_url,
            token_url: addresses.token_url,
            issuer: base_url,
            platform_addresses: PlatformObject { label: &environment.platform.label },
            managed_by: environment.managed_by,
            revision: None,
            definition: None,
        }
    }

    /// One that is shown alone.
    pub(super) fn of_one(snapshot: &Snapshot, facts: &'a EnvironmentFacts) -> Self {
        Self {
            revision: Some(facts.revision()),
            definition: facts.definition.as_ref(),
            ..Self::new(snapshot, &facts.table)
        }
    }
}

/// Something a key can hold.
#[derive(Serialize, ToSchema)]
#[schema(as = Permission)]
pub(super) struct PermissionObject<'a> {
    name: &'a PermissionName,
    /// What pages group it under, or empty.
    #[schema(example = "Cards")]
    group: &'a str,
    /// One line about it, or empty.
    #[schema(example = "List cards")]
    summary: &'a str,
    /// What it opens.
    operations: Vec<OperationObject<'a>>,
}

/// One operation of the API behind the gate.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation)]
struct OperationObject<'a> {
    /// The `operationId` of the API's description, or method and path.
    #[schema(example = "listCards")]
    id: &'a str,
    /// The HTTP method; `*` is any that no more exact operation of the same path takes.
    #[schema(example = "GET")]
    method: &'a str,
    /// The path below the base URL.
    #[schema(example = "/cards/{id}")]
    path: &'a str,
}

/// One operation of the API behind the gate, and who may do it.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueOperation)]
pub(super) struct CatalogueObject<'a> {
    /// What the API is told in `Portcullis-Operation`.
    #[schema(example = "listCards")]
    operation: &'a str,
    /// The HTTP method; `*` is any that no more exact operation of the same path takes. HEAD goes with GET.
    #[schema(example = "GET")]
    method: &'a str,
    /// The path below the base URL.
    #[schema(example = "/cards/{id}")]
    path: &'a str,
    /// Any one of them is enough; the narrowest comes first.
    permissions: Vec<&'a PermissionName>,
    /// Whether it needs no token.
    public: bool,
}

impl<'a> CatalogueObject<'a> {
    fn new(environment: &'a EnvironmentTable, operation: &'a CoveredOperation) -> Self {
        let (method, path) = operation.label.split_once(' ').unwrap_or(("*", &operation.label));
        let permissions = operation.permissions.iter().filter_map(|index| environment.policy.permission(*index));
        let (permissions, public) = (permissions.collect(), operation.public);
        Self { operation: &operation.id, method, path, permissions, public }
    }
}

impl<'a> PermissionObject<'a> {
    fn new(permission: &'a Permission) -> Self {
        Self {
            name: &permission.name,
            group: &permission.group,
            summary: &permission.summary,
            operations: permission.operations.iter().map(OperationObject::new).collect(),
        }
    }
}

impl<'a> OperationObject<'a> {
    fn new(operation: &'a Operation) -> Self {
        let method = operation.pattern.method().map_or("*", |method| method.as_str());
        Self { id: &operation.id, method, path: operation.pattern.path() }
    }
}
