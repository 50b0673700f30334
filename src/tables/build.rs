//! From tenant files to a snapshot.

use super::environment::{EnvironmentTable, Host};
use super::proof::Proof;
use super::{RevokedTokens, Snapshot, World};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::model::{
    Environment, EnvironmentId, EnvironmentIndex, EnvironmentPolicy, Organization, PermissionSet, Role,
};
use crate::token::SigningKeySet;
use std::collections::HashMap;
use std::sync::Arc;

/// Why tenant files do not make tables.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An environment's operations do not make a catalogue.
    #[error("environment `{environment}`: {source}")]
    Catalogue {
        /// Which one.
        environment: EnvironmentId,
        /// Why.
        source: CatalogueError,
    },
}

pub(super) fn build(organizations: Vec<Organization>, signing: Arc<SigningKeySet>) -> Result<Snapshot, BuildError> {
    let mut environments = Vec::new();
    let mut by_id = HashMap::new();
    let mut hosts: HashMap<Box<str>, Host, ahash::RandomState> = HashMap::default();
    let mut declared = HashMap::new();
    let keys = papaya::HashMap::default();
    for environment in organizations.iter().flat_map(|organization| &organization.environments) {
        let index = environments.len();
        let table = table(environment, index)?;
        for authority in environment.base_url.authorities() {
            hosts.entry(authority.into()).or_default().insert(environment.base_url.path(), index);
        }
        for key in &environment.keys {
            keys.pin().insert(key.client_id.clone(), Arc::new(table.live_key(index, key)));
            declared.insert(key.client_id.clone(), key.clone());
        }
        by_id.insert(environment.id.clone(), index);
        environments.push(Arc::new(table));
    }
    let world = Arc::new(World { organizations, environments, by_id, hosts, keys, declared });
    Ok(Snapshot { world, proof: Arc::new(Proof::new(signing)), revoked: Arc::new(RevokedTokens::default()) })
}

fn table(environment: &Environment, index: usize) -> Result<EnvironmentTable, BuildError> {
    let catalogue = Catalogue::new(environment.permissions.to_vec(), &environment.public, environment.paths.semicolon)
        .map_err(|source| BuildError::Catalogue { environment: environment.id.clone(), source })?;
    let role_set = |role: &Role| {
        PermissionSet::new(role.permissions.iter().filter_map(|name| catalogue.permission(name.as_str())))
    };
    let policy = EnvironmentPolicy {
        id: Arc::new(environment.id.clone()),
        index: EnvironmentIndex(u32::try_from(index).unwrap_or(u32::MAX)),
        platform: environment.platform.network_set(),
        roles: environment.roles.iter().map(role_set).collect(),
        permissions: catalogue.permissions().iter().map(|permission| permission.name.clone()).collect(),
    };
    Ok(EnvironmentTable {
        label: environment.id.to_string(),
        base_url: environment.base_url.clone(),
        policy,
        catalogue,
        presets: environment.presets.clone(),
        roles: environment.roles.clone(),
        paths: environment.paths,
        upstream: environment.upstream.clone(),
        token_header: environment.token_header.clone(),
        oauth_prefix: environment.oauth_prefix.clone(),
        platform_label: environment.platform.label.clone(),
    })
}
