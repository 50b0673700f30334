//! `[environments.NAME]` of a tenant file.

use super::documents::Imports;
use super::permissions::{self, Catalogue};
use super::reader::{At, Reader, Value};
use super::sheet::Sheet;
use super::tenant::{Policies, label};
use super::{keys, limits, networks_file, node, upstream};
use crate::model::{
    BaseUrl, ClientId, Cors, Environment, EnvironmentId, Identifier, PathRules, PlatformAddresses, SwitchGuarded,
    SwitchOpaque, SwitchSegments,
};

/// The lines of an environment that checks across files point at.
pub(super) struct EnvironmentPlaces {
    /// Where its base URL stands.
    pub(super) base_url: Option<At<BaseUrl>>,
    /// Where its keys' client ids stand.
    pub(super) client_ids: Vec<At<ClientId>>,
}

/// Reads one environment. `None` where it is no table; without an environment where something essential is
/// missing, which is then a problem in the sheet.
pub(super) fn read(
    name: &At<&str>,
    value: &Value<'_>,
    sheet: &Sheet,
    organization: &Identifier,
    policies: Policies,
    imports: &Imports<'_>,
) -> Option<(Option<Environment>, EnvironmentPlaces)> {
    let parsed = sheet.accept(name.line, Identifier::parse(name.value));
    let stand_in = parsed.clone().unwrap_or_else(|| organization.clone());
    let id = EnvironmentId { organization: organization.clone(), environment: stand_in };
    let (environment, places) = value.read(|table| environment(table, id, policies, imports))?;
    Some((parsed.and(environment), places))
}

/// Reads an environment's own table.
pub(super) fn environment(
    table: &mut Reader<'_>,
    id: EnvironmentId,
    policies: Policies,
    imports: &Imports<'_>,
) -> (Option<Environment>, EnvironmentPlaces) {
    let sheet = table.sheet();
    let base_url = table.require("base_url").and_then(|value| value.parsed(BaseUrl::parse));
    let upstream = table.require("upstream").and_then(|value| upstream::read(&value));
    let Catalogue { permissions, document, known } = permissions::read(table, imports);
    let public = permissions::public(table);
    let presets = permissions::presets(table, &known);
    let roles = permissions::roles(table, &known);
    let platform = table.section("platform_addresses", |table| platform_addresses(table, &id));
    let paths = table.section("paths", path_rules);
    let token_header = table.take("token_header").and_then(|value| value.parsed(upstream::settable_header));
    let oauth_prefix = table.take("oauth_prefix").and_then(|value| value.parsed(path_prefix));
    let cors =
        table.take("cors").and_then(|value| value.choice(&[("refuse", Cors::Refuse), ("forward", Cors::Forward)]));
    let body_limit = limits::body_bytes(table, "body_limit", None);
    let (keys, client_ids) = keys::read(table, &id, policies, &known, &roles);
    let places = EnvironmentPlaces { base_url: base_url.clone(), client_ids };
    let oauth_prefix = oauth_prefix.map_or_else(|| "/oauth2".to_owned(), |prefix| prefix.value);
    let environment = base_url.zip(upstream).map(|(base_url, upstream)| Environment {
        id,
        base_url: base_url.value,
        report: document.map(|document| imports.report(sheet, &document, &upstream, &oauth_prefix)),
        upstream,
        public,
        permissions,
        presets,
        roles,
        platform,
        paths,
        token_header: token_header.map_or(http::header::AUTHORIZATION, |header| header.value),
        oauth_prefix,
        cors: cors.unwrap_or_default(),
        body_limit,
        keys,
    });
    (environment, places)
}

fn platform_addresses(table: &mut Reader<'_>, id: &EnvironmentId) -> PlatformAddresses {
    let name = table.take("label").and_then(|value| value.parsed(label));
    let mut networks = table.take("networks").map(|value| node::networks(table.sheet(), &value)).unwrap_or_default();
    let instead = "`networks` holds them here; no path on the node is ever read";
    if let Some(value) = table.take_in_file("networks_file", instead) {
        networks.extend(networks_file::read(table.sheet(), &value));
    }
    let label = match name {
        Some(name) => name.value,
        None if networks.is_empty() => String::new(),
        None => id.organization.as_str().to_owned(),
    };
    PlatformAddresses { label, networks }
}

fn path_rules(table: &mut Reader<'_>) -> PathRules {
    let opaque = [("refuse", SwitchOpaque::Refuse), ("opaque", SwitchOpaque::Opaque)];
    let guarded =
        [("guarded", SwitchGuarded::Guarded), ("opaque", SwitchGuarded::Opaque), ("refuse", SwitchGuarded::Refuse)];
    let segments = [("refuse", SwitchSegments::Refuse), ("literal", SwitchSegments::Literal)];
    PathRules {
        encoded_slash: table.take("encoded_slash").and_then(|value| value.choice(&opaque)).unwrap_or_default(),
        encoded_backslash: table.take("encoded_backslash").and_then(|value| value.choice(&opaque)).unwrap_or_default(),
        double_encoding: table.take("double_encoding").and_then(|value| value.choice(&guarded)).unwrap_or_default(),
        semicolon: table.take("semicolon").and_then(|value| value.choice(&guarded)).unwrap_or_default(),
        empty_segments: table.take("empty_segments").and_then(|value| value.choice(&segments)).unwrap_or_default(),
    }
}

/// `/oauth2`: plain segments behind a slash each, none at the end.
pub(super) fn path_prefix(text: &str) -> Result<String, String> {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain)) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a path such as `/oauth2`, of letters, digits and `-._~`, without a slash at the end"
        ))
    }
}
