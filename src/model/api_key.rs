//! The API key as it is kept: everything about it but its secret.

use super::{Allowlist, ClientId, EnvironmentId, KeyName, PermissionName, SecretDigest, Timestamp, hex};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// The number of a change to the store; it only grows. An object's revision is the number of its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Revision(pub u64);

/// How often the key's secret has been made anew, starting at 1. Tokens carry it; rotation alone changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretVersion(pub u64);

/// What a key may do, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Exactly these permissions; at least one.
    FineGrained {
        /// In the order given, without repetition.
        permissions: Vec<PermissionName>,
    },
    /// A role: a named set of permissions that the environment defines.
    Legacy {
        /// The role's name.
        role: String,
    },
}

/// Who looks after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// The control API.
    Api,
    /// A tenant file; read-only elsewhere.
    File,
}

/// What can be said of a key at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It opens what it holds.
    Active,
    /// Its expiry is reached; a rotation can give it a new one.
    Expired,
    /// Ended for good.
    Revoked,
}

impl KeyStatus {
    /// The name in the control API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A key as the store and tenant files describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public name.
    pub client_id: ClientId,
    /// Where it works; nowhere else.
    pub environment: EnvironmentId,
    /// The name people gave it; unique per environment among live keys, ignoring case.
    pub name: KeyName,
    /// Free text.
    pub description: String,
    /// What it may do.
    pub kind: KeyKind,
    /// What a management key may give beyond what it holds itself; empty for all others.
    pub may_grant: Vec<PermissionName>,
    /// From where; `None` is any address.
    pub allowlist: Option<Allowlist>,
    /// SHA-256 of its secret.
    pub secret_digest: SecretDigest,
    /// The last four characters of its secret; empty where only the digest is known.
    pub secret_last_four: String,
    /// Grows by rotation alone.
    pub secret_version: SecretVersion,
    /// The first second at which it is dead; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When its secret was last made anew.
    pub rotated_at: Option<Timestamp>,
    /// When it was ended for good.
    pub revoked_at: Option<Timestamp>,
    /// When it last opened something, as far as is known.
    pub last_used_at: Option<Timestamp>,
    /// From where it was last used, as far as is known.
    pub last_address: Option<IpAddr>,
    /// The number of its last change.
    pub revision: Revision,
    /// Who looks after it.
    pub managed_by: ManagedBy,
}

impl ApiKey {
    /// Its status at `now`: expiry binds from the exact second on.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|expiry| expiry <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    /// Whether it holds a permission over Portcullis itself. Such keys are the business of administrators alone.
    pub fn is_management(&self) -> bool {
        match &self.kind {
            KeyKind::FineGrained { permissions } => permissions.iter().any(PermissionName::is_reserved),
            KeyKind::Legacy { .. } => false,
        }
    }

    /// What the audit log keeps of it: everything that can be changed, nothing that is secret.
    pub fn audit_view(&self) -> Value {
        let (kind, permissions, role) = match &self.kind {
            KeyKind::FineGrained { permissions } => ("fine_grained", Some(permissions), None),
            KeyKind::Legacy { role } => ("legacy", None, Some(role)),
        };
        json!({
            "name": self.name.as_str(),
            "description": self.description,
            "type": kind,
            "permissions": permissions,
            "role": role,
            "may_grant": self.may_grant,
            "allowlist": self.allowlist.as_ref().map(allowlist_view),
            "expires_at": self.expires_at,
            "secret_version": self.secret_version.0,
            "revoked_at": self.revoked_at,
        })
    }
}

/// The most networks that a row of the audit log holds one by one.
const MAX_VIEWED_NETWORKS: usize = 1000;

/// A long list is kept as its length and digest: a log must stay readable.
fn allowlist_view(list: &Allowlist) -> Value {
    let networks = list.networks();
    if networks.len() <= MAX_VIEWED_NETWORKS {
        return json!({"networks": networks, "platform": list.platform()});
    }
    let mut digest = Sha256::new();
    for network in networks {
        digest.update(format!("{network}\n"));
    }
    let digest = hex(&digest.finalize());
    json!({"networks_count": networks.len(), "networks_sha256": digest, "platform": list.platform()})
}
