//! The part of keys and environments that the request path reads: flattened, cheap to ask, nothing to parse.

use super::{
    AccessTokenClaims, ClientId, EnvironmentId, ManagementSet, NetworkSet, PermissionName, Revision, SecretDigest,
    SecretVersion, Timestamp,
};
use std::net::IpAddr;
use std::sync::Arc;

/// The place of a permission in its environment's catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionIndex(pub u32);

/// The place of a role in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleIndex(pub u32);

/// The place of an environment in the tables. No other environment is ever given it while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentIndex(pub u32);

/// A set of permissions as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(Box<[u64]>);

impl PermissionSet {
    /// The set of the given permissions.
    pub fn new(permissions: impl IntoIterator<Item = PermissionIndex>) -> Self {
        let mut words: Vec<u64> = Vec::new();
        for PermissionIndex(index) in permissions {
            let word = index as usize / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            if let Some(bits) = words.get_mut(word) {
                *bits |= 1 << (index % 64);
            }
        }
        Self(words.into_boxed_slice())
    }

    /// Whether the permission is in the set.
    pub fn contains(&self, PermissionIndex(index): PermissionIndex) -> bool {
        self.0.get(index as usize / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    /// How many permissions are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether no permission is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An operation with the permissions any one of which opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoveredOperation {
    /// What `Portcullis-Operation` says.
    pub id: Arc<str>,
    /// Method and path template, for people.
    pub label: Arc<str>,
    /// The permissions that cover it, narrowest first.
    pub permissions: Box<[PermissionIndex]>,
    /// It needs no identity.
    pub public: bool,
}

/// From where a live key may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveAllowlist {
    /// Any address.
    Any,
    /// These networks, and the platform's where `platform` says so.
    Only {
        /// The key's own networks.
        networks: NetworkSet,
        /// Whether the environment's platform addresses count too.
        platform: bool,
    },
}

/// What a live key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Nothing: its role does not exist (any more).
    Nothing,
    /// Exactly these permissions.
    Permissions(PermissionSet),
    /// Whatever the role holds at the moment.
    Role(RoleIndex),
}

/// A key as the request path sees it.
#[derive(Clone, Debug)]
pub struct LiveKey {
    /// Its public name.
    pub client_id: ClientId,
    /// Where it works.
    pub environment: EnvironmentIndex,
    /// SHA-256 of its secret.
    pub secret_digest: SecretDigest,
    /// Tokens that carry another one are dead.
    pub secret_version: SecretVersion,
    /// The first second at which it is dead.
    pub expires_at: Option<Timestamp>,
    /// Ended for good.
    pub revoked: bool,
    /// From where.
    pub allowlist: LiveAllowlist,
    /// What it opens.
    pub holding: Holding,
    /// What it may do to Portcullis itself.
    pub management: ManagementSet,
    /// It names a permission or a role that its environment has never known.
    pub is_incomplete: bool,
    /// The number of its last change; an older change never replaces a newer one.
    pub revision: Revision,
}

/// Why a live key does not open anything at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnded {
    /// Its expiry is reached.
    Expired,
    /// It was revoked.
    Revoked,
}

impl LiveKey {
    /// Whether the key has ended at `now`. Revocation is named first: it is final.
    pub fn ended(&self, now: Timestamp) -> Option<KeyEnded> {
        if self.revoked {
            Some(KeyEnded::Revoked)
        } else if self.expires_at.is_some_and(|expiry| expiry <= now) {
            Some(KeyEnded::Expired)
        } else {
            None
        }
    }

    /// Whether the key may be used from `address`.
    pub fn admits(&self, address: IpAddr, platform: &NetworkSet) -> bool {
        match &self.allowlist {
            LiveAllowlist::Any => true,
            LiveAllowlist::Only { networks, platform: with_platform } => {
                networks.contains(address) || (*with_platform && platform.contains(address))
            }
        }
    }
}

/// What is decided on in one environment besides the key: shared by every request there.
#[derive(Clone, Debug)]
pub struct EnvironmentPolicy {
    /// Which environment.
    pub id: Arc<EnvironmentId>,
    /// Its place in the table set; keys of another place never count here.
    pub index: EnvironmentIndex,
    /// The platform's own addresses.
    pub platform: NetworkSet,
    /// What each role holds; nothing where a role is gone.
    pub roles: Box<[PermissionSet]>,
    /// The permissions' names, by index; `None` where a permission is gone.
    pub permissions: Arc<[Option<PermissionName>]>,
}

impl EnvironmentPolicy {
    /// Whether the key itself holds the permission.
    pub fn key_holds(&self, key: &LiveKey, permission: PermissionIndex) -> bool {
        match &key.holding {
            Holding::Nothing => false,
            Holding::Permissions(set) => set.contains(permission),
            Holding::Role(RoleIndex(role)) => {
                self.roles.get(*role as usize).is_some_and(|set| set.contains(permission))
            }
        }
    }

    /// The permission's name.
    pub fn permission(&self, PermissionIndex(index): PermissionIndex) -> Option<&PermissionName> {
        self.permissions.get(index as usize)?.as_ref()
    }

    /// Whether the key and the token's scope, if narrowed, hold the permission.
    pub fn grants(&self, key: &LiveKey, token: &AccessTokenClaims, permission: PermissionIndex) -> bool {
        self.key_holds(key, permission)
            && (token.scope.is_none()
                || self.permission(permission).is_some_and(|name| token.scope_allows(name.as_str())))
    }

    /// The names of everything the key holds, in catalogue order.
    pub fn held_by<'a>(&'a self, key: &'a LiveKey) -> impl Iterator<Item = &'a PermissionName> {
        (0u32..)
            .zip(self.permissions.iter())
            .filter(|(index, _)| self.key_holds(key, PermissionIndex(*index)))
            .filter_map(|(_, name)| name.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_set_holds_what_was_put_in() {
        let set =
            PermissionSet::new([PermissionIndex(0), PermissionIndex(63), PermissionIndex(64), PermissionIndex(1222)]);
        assert_eq!(set.len(), 4);
        for index in 0..2000 {
            assert_eq!(set.contains(PermissionIndex(index)), [0, 63, 64, 1222].contains(&index));
        }
        assert!(!PermissionSet::default().contains(PermissionIndex(0)));
    }
}
