//! Permissions over Portcullis itself: what opens the control API and the introspection endpoint. No catalogue holds them.

use super::PermissionName;

/// One permission over Portcullis itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagementPermission {
    /// `portcullis:keys:edit`: make, edit, rotate and revoke keys of the environment.
    KeysEdit,
    /// `portcullis:keys:view`: see keys of the environment.
    KeysView,
    /// `portcullis:tokens:introspect`: ask about any token of the environment.
    TokensIntrospect,
}

impl ManagementPermission {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 3] = [Self::KeysEdit, Self::KeysView, Self::TokensIntrospect];

    /// Its name as a permission and as a scope token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysEdit => "portcullis:keys:edit",
            Self::KeysView => "portcullis:keys:view",
            Self::TokensIntrospect => "portcullis:tokens:introspect",
        }
    }

    /// The permission of that name; any other `portcullis:` name opens nothing.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The management permissions that a key, or a token of it, holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagementSet(u8);

impl ManagementSet {
    /// Those of a key's permissions that are over Portcullis itself.
    pub fn of<'a>(permissions: impl IntoIterator<Item = &'a PermissionName>) -> Self {
        permissions.into_iter().filter_map(|name| ManagementPermission::parse(name.as_str())).collect()
    }

    /// Whether the permission is in the set.
    pub const fn holds(self, permission: ManagementPermission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether the set opens anything of the control API.
    pub const fn manages_keys(self) -> bool {
        self.holds(ManagementPermission::KeysEdit) || self.holds(ManagementPermission::KeysView)
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is left of it under a scope (permission names separated by one space); all of it without one.
    #[must_use]
    pub fn narrowed(self, scope: Option<&str>) -> Self {
        let Some(scope) = scope else { return self };
        self.iter().filter(|permission| scope.split(' ').any(|name| name == permission.as_str())).collect()
    }

    /// What is in the set, in the order of the names.
    pub fn iter(self) -> impl Iterator<Item = ManagementPermission> {
        ManagementPermission::ALL.into_iter().filter(move |permission| self.holds(*permission))
    }
}

impl FromIterator<ManagementPermission> for ManagementSet {
    fn from_iter<I: IntoIterator<Item = ManagementPermission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> ManagementSet {
        let names: Vec<_> = names.iter().map(|name| PermissionName::parse(name).unwrap()).collect();
        ManagementSet::of(&names)
    }

    #[test]
    fn names_that_are_not_known_open_nothing() {
        for name in ["portcullis:keys", "portcullis:keys:edit:all", "portcullis:KEYS:EDIT", "portcullis:*", "keys:edit"]
        {
            assert!(set(&[name]).is_empty(), "{name}");
        }
        for permission in ManagementPermission::ALL {
            assert_eq!(ManagementPermission::parse(permission.as_str()), Some(permission));
            assert!(PermissionName::parse(permission.as_str()).unwrap().is_reserved());
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let held = set(&["cards:read", "portcullis:keys:view", "portcullis:tokens:introspect", "portcullis:keys:view"]);
        let names: Vec<_> = held.iter().map(ManagementPermission::as_str).collect();
        assert_eq!(names, ["portcullis:keys:view", "portcullis:tokens:introspect"]);
        assert!(held.manages_keys() && !held.holds(ManagementPermission::KeysEdit));
        assert!(!set(&["portcullis:tokens:introspect"]).manages_keys());
    }

    #[test]
    fn scopes_narrow_and_never_widen() {
        let held = set(&["portcullis:keys:view"]);
        assert_eq!(held.narrowed(None), held);
        assert_eq!(held.narrowed(Some("cards:read portcullis:keys:view")), held);
        for scope in ["", "portcullis:keys:edit", "portcullis:keys:vie", "cards:read"] {
            assert!(held.narrowed(Some(scope)).is_empty(), "{scope}");
        }
    }
}
