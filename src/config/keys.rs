//! `[[environments.NAME.keys]]`: keys that a tenant file declares by the digest of their secret.

use super::permissions::Known;
use super::quantity::duration_text;
use super::reader::{At, Reader, Value, hint};
use super::sheet::Sheet;
use super::tenant::Policies;
use crate::model::{
    Allowlist, ApiKey, ClientId, EnvironmentId, KeyKind, KeyName, ManagedBy, ManagementPermission, Network, Revision,
    Role, SecretDigest, SecretVersion, Timestamp,
};
use std::collections::HashMap;

/// Reads the keys of an environment, and the places of all client ids, those of unsound keys too.
pub(super) fn read(
    table: &mut Reader<'_>,
    environment: &EnvironmentId,
    policies: Policies,
    known: &Known,
    roles: &[Role],
) -> (Vec<ApiKey>, Vec<At<ClientId>>) {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut client_ids = Vec::new();
    let context = Context { environment, policies, known, roles };
    let declared = table.take_in_file("keys", "keys are made by `POST .../keys`; tenant files alone declare some");
    let list = declared.map(|value| {
        value.tables(|table| {
            let client_id = table.require("client_id").and_then(|value| value.parsed(ClientId::parse));
            client_ids.extend(client_id.clone());
            key(table, client_id, &context, &mut names)
        })
    });
    (list.unwrap_or_default().into_iter().flatten().collect(), client_ids)
}

/// What a key is judged against.
struct Context<'c> {
    environment: &'c EnvironmentId,
    policies: Policies,
    known: &'c Known,
    roles: &'c [Role],
}

fn key(
    table: &mut Reader<'_>,
    client_id: Option<At<ClientId>>,
    context: &Context<'_>,
    names: &mut HashMap<String, usize>,
) -> Option<ApiKey> {
    let name = table.require("name").and_then(|value| value.parsed(KeyName::parse));
    let digest = table.require("secret_digest").and_then(|value| value.parsed(SecretDigest::parse));
    let description = table.take("description").and_then(|value| value.string());
    let kind = kind(table, context);
    let expires_at = expiry(table, context.policies);
    let allowlist = table.take("allowlist").and_then(|value| allowlist(&value));
    if let Some(name) = &name {
        report_taken_name(table.sheet(), name, names);
    }
    let digest = digest?.value;
    Some(ApiKey {
        client_id: client_id?.value,
        environment: context.environment.clone(),
        name: name?.value,
        description: description.unwrap_or_default().to_owned(),
        kind: kind?,
        may_grant: vec![],
        allowlist,
        secret_digest: digest,
        secret_last_four: String::new(),
        secret_version: version_of(&digest),
        expires_at,
        created_at: context.policies.now,
        created_by: "file".to_owned(),
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        last_address: None,
        revision: Revision(0),
        managed_by: ManagedBy::File,
    })
}

fn report_taken_name(sheet: &Sheet, name: &At<KeyName>, names: &mut HashMap<String, usize>) {
    if let Some(first) = names.get(&name.value.folded()) {
        let message =
            format!("the name `{}` is taken by another key of this environment (line {first})", name.value.as_str());
        sheet.problem(name.line, message);
    } else {
        names.insert(name.value.folded(), name.line);
    }
}

/// The secret version of a declared key: another digest gives another one, and it is never 0.
fn version_of(digest: &SecretDigest) -> SecretVersion {
    let first = digest.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    SecretVersion((first >> 1) | 1)
}

fn kind(table: &mut Reader<'_>, context: &Context<'_>) -> Option<KeyKind> {
    let sheet = table.sheet();
    match (table.take("permissions"), table.take("role")) {
        (Some(_), Some(role)) => {
            role.problem("a key has `permissions` or a `role`, not both");
            None
        }
        (None, None) => {
            sheet.missing(table.line(), "a key needs `permissions` or a `role`");
            None
        }
        (Some(permissions), None) => fine_grained(sheet, &permissions, context.known),
        (None, Some(role)) => legacy(sheet, &role, context),
    }
}

fn fine_grained(sheet: &Sheet, value: &Value<'_>, known: &Known) -> Option<KeyKind> {
    let names = value.strings()?;
    if names.is_empty() {
        value.problem("a key needs at least one permission");
        return None;
    }
    let permissions = known.names(sheet, names, &ManagementPermission::ALL.map(ManagementPermission::as_str));
    (!permissions.is_empty()).then_some(KeyKind::FineGrained { permissions })
}

fn legacy(sheet: &Sheet, value: &Value<'_>, context: &Context<'_>) -> Option<KeyKind> {
    let role = value.string()?;
    if context.policies.block_legacy_keys == Some(true) {
        value.problem("this organization blocks legacy keys (`block_legacy_keys`): give the key `permissions`");
    }
    let names = context.roles.iter().map(|role| role.name.as_str());
    if !names.clone().any(|name| name == role) {
        let hint = hint(sheet, role, names);
        sheet.missing(value.line(), format!("unknown role `{role}`{hint}"));
    }
    Some(KeyKind::Legacy { role: role.to_owned() })
}

/// The expiry, held to the organization's policy. One that is past is no problem: a file that loaded yesterday
/// loads today, and the key is dead either way.
fn expiry(table: &mut Reader<'_>, policies: Policies) -> Option<Timestamp> {
    let given = table.take("expires_at");
    let expires_at = given.as_ref().and_then(Value::instant);
    let Some(longest) = policies.max_key_lifetime else { return expires_at.map(|at| at.value) };
    let text = duration_text(longest);
    let last = policies.now.plus_seconds(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
    match &expires_at {
        Some(at) if at.value > last => table.sheet().problem(
            at.line,
            format!("`expires_at` is beyond {last}: this organization allows a life of {text} (`max_key_lifetime`)"),
        ),
        None if given.is_none() => table.sheet().missing(
            table.line(),
            format!("`expires_at` is missing: this organization allows a life of {text} (`max_key_lifetime`)"),
        ),
        Some(_) | None => {}
    }
    expires_at.map(|at| at.value)
}

fn allowlist(value: &Value<'_>) -> Option<Allowlist> {
    let (networks, platform, sound) = value.read(|table| {
        let (networks, sound) = networks(table);
        (networks, table.take("platform").and_then(|on| on.boolean()).unwrap_or(false), sound)
    })?;
    if !sound {
        return None;
    }
    match Allowlist::new(networks, platform) {
        Ok(allowlist) => Some(allowlist),
        Err(_) => {
            value.problem(
                "`allowlist` needs at least one network or `platform = true`; leave it out to allow any address",
            );
            None
        }
    }
}

/// The networks, and whether all of them could be read.
fn networks(table: &mut Reader<'_>) -> (Vec<Network>, bool) {
    let Some(value) = table.take("networks") else { return (Vec::new(), true) };
    let Some(texts) = value.strings() else { return (Vec::new(), false) };
    let given = texts.len();
    let networks = super::node::networks(table.sheet(), &value);
    let sound = networks.len() == given;
    (networks, sound)
}
