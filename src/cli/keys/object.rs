//! The key object of the control API, printed for people.

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{NOTHING, facts, note, print, print_json};
use serde::Deserialize;
use serde_json::Value;

/// The fields that tables show. Only the id is required: what a node leaves out shows as absent.
#[derive(Deserialize)]
pub(super) struct KeyObject {
    pub(super) client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) permissions: Option<Vec<String>>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    allowlist: Option<AllowlistObject>,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    rotated_at: Option<String>,
    #[serde(default)]
    last_used_at: Option<String>,
    #[serde(default)]
    last_address: Option<String>,
    #[serde(default)]
    may_grant: Option<Vec<String>>,
    #[serde(default)]
    managed_by: Option<String>,
}

#[derive(Deserialize)]
struct AllowlistObject {
    #[serde(default)]
    networks: Vec<String>,
    #[serde(default)]
    platform: bool,
}

impl KeyObject {
    pub(super) fn parse(value: &Value) -> Result<Self, Failure> {
        Self::deserialize(value).map_err(|error| Failure::new(Exit::Failure, format!("unexpected key object: {error}")))
    }

    pub(super) fn expires(&self) -> String {
        self.expires_at.clone().unwrap_or_else(|| "never".to_owned())
    }

    pub(super) fn last_used(&self) -> String {
        self.last_used_at.clone().unwrap_or_else(|| NOTHING.to_owned())
    }

    /// `any address`, or the networks and the platform.
    pub(super) fn allowed_from(&self) -> String {
        let Some(allowlist) = &self.allowlist else { return "any address".to_owned() };
        let platform = allowlist.platform.then_some("the platform");
        allowlist.networks.iter().map(String::as_str).chain(platform).collect::<Vec<_>>().join(", ")
    }

    fn facts(&self) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        let mut rows = vec![("client_id", self.client_id.clone())];
        rows.extend(self.client_secret.clone().map(|secret| ("client_secret", secret)));
        rows.push(("name", self.name.clone()));
        if !self.description.is_empty() {
            rows.push(("description", self.description.clone()));
        }
        rows.push(("type", self.kind.clone()));
        match &self.role {
            Some(role) => rows.push(("role", role.clone())),
            None => rows.push(("permissions", self.permissions.clone().unwrap_or_default().join(", "))),
        }
        rows.extend(self.may_grant.as_ref().map(|names| ("may grant", names.join(", "))));
        rows.push(("allowed from", self.allowed_from()));
        rows.push(("status", self.status.clone()));
        rows.push(("expires", self.expires()));
        rows.push(("created", format!("{} by {}", or_none(&self.created_at), or_none(&self.created_by))));
        rows.push(("rotated", or_none(&self.rotated_at)));
        let from = self.last_address.as_ref().map(|address| format!(" from {address}"));
        rows.push(("last used", format!("{}{}", self.last_used(), from.unwrap_or_default())));
        rows.push(("managed by", or_none(&self.managed_by)));
        facts(&rows)
    }
}

/// Prints a key in the form asked for.
pub(super) fn print_key(value: &Value, json: bool) -> Result<(), Failure> {
    if json { print_json(value) } else { print(&KeyObject::parse(value)?.facts()) }
}

/// Prints a key together with the secret that was just made, and says that this was the one time.
pub(super) fn print_key_with_secret(value: &Value, json: bool) -> Result<(), Failure> {
    print_key(value, json).map_err(|failure| lost(value, failure))?;
    if value.get("client_secret").is_some_and(Value::is_string) {
        note("warning: the client_secret is shown this once and never again; store it now");
    } else {
        note("warning: the answer holds no client_secret; rotate the key to get one");
    }
    Ok(())
}

/// A secret that could not be written is gone, even where the reader merely went away.
fn lost(value: &Value, failure: Failure) -> Failure {
    let id = value.get("client_id").and_then(Value::as_str).unwrap_or("?");
    let cause =
        if failure.message.is_empty() { "the reader of the output has gone".to_owned() } else { failure.message };
    Failure::new(Exit::Failure, format!("the secret of key `{id}` is lost: {cause}"))
        .with_detail("the change itself was made; rotate the key to get a new secret")
}
