//! What the pages about one key share: finding it, its status in words, and the way to its pages.

use super::visit::Visit;
use super::words::Moment;
use crate::control::api::Refusal;
use crate::control::{ControlProblem, Right};
use crate::model::{ApiKey, EnvironmentId, KeyKind, KeyStatus, ManagedBy, Revision, Timestamp};

/// A key that ends within so many seconds is told to be expiring.
pub(super) const SOON: i64 = 14 * 86_400;
/// A key used within so many seconds is in use: ending it asks for its name.
const IN_USE: i64 = 86_400;

/// A status: what style and filters call it, and the word for people.
pub(super) type Status = (&'static str, &'static str);

/// The status of a key; one that ends soon has its own.
pub(super) fn status(key: &ApiKey, now: Timestamp) -> Status {
    match key.status(now) {
        KeyStatus::Active if key.expires_at.is_some_and(|end| end <= now.plus_seconds(SOON)) => {
            ("expiring", "Expiring")
        }
        KeyStatus::Active => ("active", "Active"),
        KeyStatus::Expired => ("expired", "Expired"),
        KeyStatus::Revoked => ("revoked", "Revoked"),
    }
}

/// Whether it was used in the last 24 hours.
pub(super) fn is_in_use(key: &ApiKey, now: Timestamp) -> bool {
    key.last_used_at.is_some_and(|used| used.plus_seconds(IN_USE) > now)
}

/// What a page about changing a key says of it first.
pub(super) struct KeyHead {
    pub(super) base: String,
    /// The key's page.
    pub(super) url: String,
    pub(super) name: String,
    pub(super) last_used: Option<Moment>,
    pub(super) last_address: String,
    pub(super) created: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) revision: u64,
}

impl KeyHead {
    /// Of the key as the page's form knows it: one that is shown again keeps the revision it was filled in by.
    pub(super) fn new(key: &ApiKey, visit: &Visit) -> Self {
        let revision = visit.sent_revision().unwrap_or(key.revision);
        Self::at(key, visit.asking.act.at, revision)
    }

    /// Of the key as it is, for a form whose sender is told what changed.
    pub(super) fn told(key: &ApiKey, visit: &Visit) -> Self {
        Self::at(key, visit.asking.act.at, key.revision)
    }

    fn at(key: &ApiKey, now: Timestamp, revision: Revision) -> Self {
        let base = super::base_of(&key.environment);
        Self {
            url: format!("{base}/keys/{}", key.client_id),
            base,
            name: key.name.as_str().to_owned(),
            last_used: key.last_used_at.map(|at| Moment::new(at, now)),
            last_address: key.last_address.map_or_else(String::new, |address| address.to_string()),
            created: Moment::new(key.created_at, now),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            revision: revision.0,
        }
    }
}

impl Visit {
    /// The key of the path. Errors: `NotFound`, `NotAllowed`, `Unavailable`.
    pub(super) async fn key(&self, id: &EnvironmentId) -> Result<ApiKey, Refusal> {
        Ok(self.control().show_key(&self.asking, id, &self.place.client_id()?).await?)
    }

    /// The same, where the caller may change it and it can be changed. Errors beyond those: `ManagedByFile`, `Revoked`.
    pub(super) async fn key_to_change(&self) -> Result<(EnvironmentId, ApiKey), Refusal> {
        let id = self.environment_for(Right::ChangeKeys)?;
        let key = self.key(&id).await?;
        if key.managed_by == ManagedBy::File {
            return Err(ControlProblem::ManagedByFile.into());
        }
        self.asking.caller.require_change_of(&key)?;
        if key.revoked_at.is_some() {
            return Err(ControlProblem::Revoked.into());
        }
        Ok((id, key))
    }

    /// The revision that the form was filled in by. A form that does not say is as old as can be.
    pub(super) fn expected(&self) -> Option<Revision> {
        Some(self.sent_revision().unwrap_or_default())
    }

    /// The same where a form was sent: shown again it is still as old as it was, unless its sender is told what changed.
    pub(super) fn sent_revision(&self) -> Option<Revision> {
        let sent = self.form.has("csrf");
        sent.then(|| Revision(self.form.text("revision").and_then(|text| text.parse().ok()).unwrap_or_default()))
    }
}

/// The permissions that a fine-grained key holds by name; none for a legacy key.
pub(super) fn held(key: &ApiKey) -> Vec<String> {
    match &key.kind {
        KeyKind::FineGrained { permissions } => permissions.iter().map(|name| name.as_str().to_owned()).collect(),
        KeyKind::Legacy { .. } => vec![],
    }
}
