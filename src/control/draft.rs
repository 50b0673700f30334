//! What somebody asks for, as text, and the judgement over it: every field at once, against the environment's
//! catalogue and the organization's policies. Pure: tables and time are arguments.

use super::caller::{Caller, Right};
use super::field::FieldErrors;
use super::organizations::{Policies, lifetime_words};
use crate::model::{
    Allowlist, ApiKey, KeyKind, KeyName, KeyNameError, ManagementPermission, Network, PermissionName, Timestamp,
    changes_direction, quoted,
};
use crate::store::KeyEdit;
use crate::tables::EnvironmentTable;
use std::collections::HashSet;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1000;
/// The most permissions that a refusal lists.
const MAX_OFFER: usize = 12;
/// The most networks of one allowlist.
pub(super) const MAX_NETWORKS: usize = 100_000;

/// A key to be made, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct KeyDraft {
    /// What people will call it.
    pub name: Option<String>,
    /// Free text: at most 1000 characters, no control characters but line breaks, none that change the reading direction.
    pub description: String,
    /// A legacy key, which takes `role`; else a fine-grained one, which takes `permissions` or `preset`.
    pub legacy: bool,
    /// Exactly what it may do. Where this is given it wins over `preset`: whoever starts from a preset and adjusts it
    /// sends what came out.
    pub permissions: Option<Vec<String>>,
    /// The preset whose permissions it takes.
    pub preset: Option<String>,
    /// What a management key may give beyond what it holds itself.
    pub may_grant: Option<Vec<String>>,
    /// The role of a legacy key.
    pub role: Option<String>,
    /// When it ends (RFC 3339); `None` is never.
    pub expires_at: Option<String>,
    /// From where; `None` is any address.
    pub allowlist: Option<AllowlistDraft>,
}

/// A rotation, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct RotationDraft {
    /// The new expiry (RFC 3339); `Some(None)` is never, `None` is an error: the choice is asked for every time.
    pub expires_at: Option<Option<String>>,
    /// `None` keeps the allowlist, `Some(None)` opens the key to any address.
    pub allowlist: Option<Option<AllowlistDraft>>,
}

/// An edit, as it was asked for; `None` keeps what is there.
#[derive(Clone, Debug, Default)]
pub struct EditDraft {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new permissions of a fine-grained key.
    pub permissions: Option<Vec<String>>,
    /// What a management key may give from now on.
    pub may_grant: Option<Vec<String>>,
    /// `Some(None)` opens the key to any address.
    pub allowlist: Option<Option<AllowlistDraft>>,
}

/// An allowlist, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct AllowlistDraft {
    /// Addresses and CIDR networks.
    pub networks: Vec<String>,
    /// Whether the environment's platform addresses count too.
    pub platform: bool,
}

/// What a draft is judged against.
pub(super) struct Rules<'a> {
    pub(super) policies: Policies,
    pub(super) environment: &'a EnvironmentTable,
    /// Who asks: what they may give to a key is theirs.
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
}

/// A draft that may become a key.
#[derive(Debug)]
pub(super) struct SoundKey {
    pub(super) name: KeyName,
    pub(super) description: String,
    pub(super) kind: KeyKind,
    pub(super) may_grant: Vec<PermissionName>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) allowlist: Option<Allowlist>,
}

/// A rotation that may be done.
#[derive(Debug)]
pub(super) struct SoundRotation {
    pub(super) expires_at: Option<Timestamp>,
    pub(super) allowlist: Option<Option<Allowlist>>,
}

impl Rules<'_> {
    /// Judges a key to be made; `errors` holds what reading the draft already found.
    pub(super) fn judge_key(&self, draft: KeyDraft, mut errors: FieldErrors) -> Result<SoundKey, FieldErrors> {
        let name = judge_name(draft.name.as_deref(), &mut errors);
        judge_description(&draft.description, &mut errors);
        let kind = if draft.legacy { self.legacy(&draft, &mut errors) } else { self.chosen(&draft, &mut errors) };
        let may_grant = draft.may_grant.map(|names| self.may_grant(&names, kind.as_ref(), &mut errors));
        let expires_at = self.expiry(draft.expires_at.as_deref(), &mut errors);
        let allowlist = draft.allowlist.and_then(|allowlist| judge_allowlist(&allowlist, &mut errors));
        let sound = name.zip(kind).map(|(name, kind)| SoundKey {
            name,
            description: draft.description,
            kind,
            may_grant: may_grant.unwrap_or_default(),
            expires_at,
            allowlist,
        });
        errors.or(sound)
    }

    /// Judges an edit of `key`; `errors` holds what reading the draft already found.
    pub(super) fn judge_edit(
        &self,
        draft: EditDraft,
        key: &ApiKey,
        mut errors: FieldErrors,
    ) -> Result<KeyEdit, FieldErrors> {
        let name = draft.name.and_then(|name| judge_name(Some(&name), &mut errors));
        if let Some(description) = &draft.description {
            judge_description(description, &mut errors);
        }
        let permissions = draft.permissions.map(|names| self.edited(&names, key, &mut errors));
        let kind =
            permissions.clone().map_or_else(|| key.kind.clone(), |permissions| KeyKind::FineGrained { permissions });
        let may_grant = draft.may_grant.map(|names| self.may_grant(&names, Some(&kind), &mut errors));
        // What may be given goes with the permission to give.
        let may_grant = if edits_keys(&kind) { may_grant } else { may_grant.or(Some(vec![])) };
        let allowlist =
            draft.allowlist.map(|given| given.and_then(|allowlist| judge_allowlist(&allowlist, &mut errors)));
        errors.or(Some(KeyEdit { name, description: draft.description, permissions, may_grant, allowlist }))
    }

    /// Whether the caller may change the key at all: a management key reaches no further than what it can give.
    pub(super) fn judge_reach(&self, key: &ApiKey) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        let held: Vec<&PermissionName> = match &key.kind {
            KeyKind::FineGrained { permissions } => permissions.iter().collect(),
            KeyKind::Legacy { role } => self.of_role(role).iter().collect(),
        };
        if let Some(beyond) = held.into_iter().find(|name| !self.may_give(name)) {
            let message = format!("the key holds `{beyond}`, which is beyond what yours may give");
            errors.add("", "grant_exceeds_own", message);
        }
        if let (Caller::Key(_), KeyKind::Legacy { role }) = (self.caller, &key.kind)
            && self.environment.role(role).is_none()
        {
            // It opens nothing now. What it opens when a file names it again nobody knows yet.
            let message = format!("the key holds the role `{role}`, which the environment does not have");
            errors.add("", "grant_exceeds_own", message);
        }
        errors.or(Some(()))
    }

    /// Judges a rotation; `errors` holds what reading the draft already found.
    pub(super) fn judge_rotation(
        &self,
        draft: RotationDraft,
        mut errors: FieldErrors,
    ) -> Result<SoundRotation, FieldErrors> {
        let expires_at = match &draft.expires_at {
            Some(expires_at) => self.expiry(expires_at.as_deref(), &mut errors),
            None => {
                errors.add("/expires_at", "expiry_missing", "a rotation asks for the new expiry: an instant, or null");
                None
            }
        };
        let allowlist =
            draft.allowlist.map(|given| given.and_then(|allowlist| judge_allowlist(&allowlist, &mut errors)));
        errors.or(Some(SoundRotation { expires_at, allowlist }))
    }

    fn legacy(&self, draft: &KeyDraft, errors: &mut FieldErrors) -> Option<KeyKind> {
        if self.policies.block_legacy_keys {
            errors.add("/type", "legacy_blocked", "the organization does not allow new legacy keys");
        }
        let others = [
            ("/permissions", draft.permissions.is_some()),
            ("/preset", draft.preset.is_some()),
            ("/may_grant", draft.may_grant.is_some()),
        ];
        for (pointer, given) in others {
            if given {
                errors.add(pointer, "field_conflict", "a legacy key takes a role instead");
            }
        }
        let Some(role) = &draft.role else {
            errors.add("/role", "role_required", "a legacy key needs a role");
            return None;
        };
        if self.environment.role(role).is_none() {
            errors.add("/role", "role_unknown", format!("the environment has no role `{}`", quoted(role)));
            return None;
        }
        if let Some(beyond) = self.of_role(role).iter().find(|name| !self.may_give(name)) {
            let message = format!("the role opens `{beyond}`, which is beyond what your key may give");
            errors.add("/role", "grant_exceeds_own", message);
        }
        Some(KeyKind::Legacy { role: role.clone() })
    }

    fn of_role(&self, role: &str) -> &[PermissionName] {
        self.environment.role(role).map_or(&[], |role| role.permissions.as_slice())
    }

    /// The permissions of an edited key: at least one.
    fn edited(&self, names: &[String], key: &ApiKey, errors: &mut FieldErrors) -> Vec<PermissionName> {
        if matches!(key.kind, KeyKind::Legacy { .. }) {
            errors.add(
                "/permissions",
                "field_immutable",
                "a legacy key keeps its role; make a fine-grained key instead",
            );
            return vec![];
        }
        if names.is_empty() {
            errors.add("/permissions", "permission_required", "a key needs at least one permission");
        }
        self.permissions("/permissions", names, errors)
    }

    /// What a management key may give: permissions of the environment, and only where it edits keys at all.
    fn may_grant(&self, names: &[String], kind: Option<&KeyKind>, errors: &mut FieldErrors) -> Vec<PermissionName> {
        if !names.is_empty() && kind.is_some_and(|kind| !edits_keys(kind)) {
            let message = "only a key that holds `portcullis:keys:edit` gives permissions to others";
            errors.add("/may_grant", "field_conflict", message);
        }
        let mut kept = self.permissions("/may_grant", names, errors);
        if kept.iter().any(PermissionName::is_reserved) {
            errors.add(
                "/may_grant",
                "grant_exceeds_own",
                "permissions over Portcullis itself are given by admins alone",
            );
            kept.clear();
        }
        kept
    }

    fn chosen(&self, draft: &KeyDraft, errors: &mut FieldErrors) -> Option<KeyKind> {
        if draft.role.is_some() {
            errors.add("/role", "field_conflict", "a fine-grained key takes permissions or a preset instead");
        }
        let preset = draft.preset.as_ref().and_then(|name| {
            let found = self.environment.preset(name);
            if found.is_none() {
                errors.add("/preset", "preset_unknown", format!("the environment has no preset `{}`", quoted(name)));
            }
            found
        });
        let permissions = match (&draft.permissions, preset) {
            (Some(names), _) => self.permissions("/permissions", names, errors),
            (None, Some(preset)) => self.known(preset.permissions, errors),
            (None, None) if draft.preset.is_some() => return None,
            (None, None) => vec![],
        };
        if permissions.is_empty() && draft.permissions.as_ref().is_none_or(Vec::is_empty) {
            errors.add("/permissions", "permission_required", "a key needs at least one permission");
        }
        Some(KeyKind::FineGrained { permissions })
    }

    /// The names, once each and in the order given.
    fn permissions(&self, pointer: &str, names: &[String], errors: &mut FieldErrors) -> Vec<PermissionName> {
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for (at, text) in names.iter().enumerate() {
            match PermissionName::parse(text).ok().filter(|name| self.knows(name)) {
                Some(name) if !self.may_give(&name) => {
                    errors.add(format!("{pointer}/{at}"), "grant_exceeds_own", self.beyond(&name));
                }
                Some(name) if seen.insert(name.clone()) => kept.push(name),
                Some(_) => {}
                None => {
                    let message = format!("the environment has no permission `{}`{}", quoted(text), self.offer());
                    errors.add(format!("{pointer}/{at}"), "permission_unknown", message);
                }
            }
        }
        kept
    }

    fn known(&self, names: Vec<PermissionName>, errors: &mut FieldErrors) -> Vec<PermissionName> {
        for name in &names {
            if !self.knows(name) {
                let message = format!("the preset names `{name}`, which the environment does not have");
                errors.add("/preset", "permission_unknown", message);
            } else if !self.may_give(name) {
                errors.add("/preset", "grant_exceeds_own", self.beyond(name));
            }
        }
        names
    }

    /// What could be named instead, where that is short.
    fn offer(&self) -> String {
        let all = self.environment.catalogue.permissions();
        if all.len() > MAX_OFFER {
            return String::new();
        }
        let names: Vec<String> = all.iter().map(|permission| format!("`{}`", permission.name)).collect();
        if names.is_empty() { String::new() } else { format!("; it has {}", names.join(", ")) }
    }

    /// Whether there is such a permission.
    fn knows(&self, name: &PermissionName) -> bool {
        ManagementPermission::parse(name.as_str()).is_some()
            || (!name.is_reserved() && self.environment.catalogue.permission(name.as_str()).is_some())
    }

    /// Whether the caller may give it to a key.
    fn may_give(&self, name: &PermissionName) -> bool {
        match self.caller {
            Caller::Key(key) => !name.is_reserved() && key.grantable.contains(name),
            Caller::Member(_) | Caller::Operator => {
                !name.is_reserved()
                    || self
                        .caller
                        .require(Right::ChangeManagementKeys, &self.environment.policy.id.organization)
                        .is_ok()
            }
        }
    }

    fn beyond(&self, name: &PermissionName) -> String {
        if name.is_reserved() {
            return format!("`{name}` is given by admins and owners alone");
        }
        format!("`{name}` is beyond what your key may give")
    }

    /// Future, and within the organization's bound where there is one.
    fn expiry(&self, text: Option<&str>, errors: &mut FieldErrors) -> Option<Timestamp> {
        let longest = self.policies.max_key_lifetime;
        let Some(text) = text else {
            if let Some(longest) = longest {
                let message = format!("the organization asks for an expiry at most {} away", lifetime_words(longest));
                errors.add("/expires_at", "expiry_required", message);
            }
            return None;
        };
        let instant = Timestamp::parse(text)
            .map_err(|error| errors.add("/expires_at", "expiry_invalid", error.to_string()))
            .ok()?;
        let last = longest.map(|longest| self.now.plus_seconds(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX)));
        if instant <= self.now {
            errors.add("/expires_at", "expiry_in_the_past", format!("`{instant}` is not in the future"));
        } else if let Some(last) = last.filter(|last| instant > *last) {
            let message = format!("the organization allows no expiry after `{last}`");
            errors.add("/expires_at", "expiry_too_far", message);
        }
        Some(instant)
    }
}

/// Whether a key of this kind may make and change others.
fn edits_keys(kind: &KeyKind) -> bool {
    match kind {
        KeyKind::FineGrained { permissions } => {
            permissions.iter().any(|name| name.as_str() == ManagementPermission::KeysEdit.as_str())
        }
        KeyKind::Legacy { .. } => false,
    }
}

fn judge_name(text: Option<&str>, errors: &mut FieldErrors) -> Option<KeyName> {
    let judged = KeyName::parse(text.unwrap_or_default());
    let code = |error| match error {
        KeyNameError::Empty => "name_required",
        KeyNameError::Invisible | KeyNameError::TooLong => "name_invalid",
    };
    judged.map_err(|error| errors.add("/name", code(error), error.to_string())).ok()
}

fn judge_description(text: &str, errors: &mut FieldErrors) {
    if text.chars().any(|c| (c.is_control() && c != '\n') || changes_direction(c)) {
        let message =
            "a description holds no control characters but line breaks, and none that change the reading direction";
        errors.add("/description", "description_invalid", message);
    } else if text.chars().count() > MAX_DESCRIPTION {
        let message = format!("a description has at most {MAX_DESCRIPTION} characters");
        errors.add("/description", "description_invalid", message);
    }
}

/// `None` only together with an error: an allowlist that was asked for never becomes "any address".
fn judge_allowlist(draft: &AllowlistDraft, errors: &mut FieldErrors) -> Option<Allowlist> {
    if draft.networks.len() > MAX_NETWORKS {
        let message = format!("an allowlist has at most {MAX_NETWORKS} networks");
        errors.add("/allowlist/networks", "allowlist_too_long", message);
        return None;
    }
    let mut networks = Vec::with_capacity(draft.networks.len());
    for (at, text) in draft.networks.iter().enumerate() {
        match Network::parse(text) {
            Ok(network) => networks.push(network),
            Err(error) => errors.add(format!("/allowlist/networks/{at}"), "network_invalid", error.to_string()),
        }
    }
    if networks.is_empty() && !draft.networks.is_empty() {
        return None;
    }
    Allowlist::new(networks, draft.platform)
        .map_err(|error| errors.add("/allowlist", "allowlist_empty", error.to_string()))
        .ok()
}
