//! Who learns what of a token, and which tokens can be ended.

use super::*;
use crate::model::{
    ClientId, EnvironmentId, EnvironmentIndex, EnvironmentPolicy, Holding, Identifier, LiveAllowlist, ManagementSet,
    NetworkSet, PermissionIndex, PermissionName, PermissionSet, Revision, SecretDigest, SecretVersion,
};
use crate::oauth::{ClientContext, ClientCredentials, authenticate};
use std::sync::Arc;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const BASE: &str = "http://gate.test/v1";
const CONTROL: &str = "https://keys.test";

fn environment() -> EnvironmentPolicy {
    EnvironmentPolicy {
        id: Arc::new(EnvironmentId {
            organization: Identifier::parse("acme").unwrap(),
            environment: Identifier::parse("production").unwrap(),
        }),
        index: EnvironmentIndex(0),
        platform: NetworkSet::default(),
        roles: Box::new([]),
        permissions: ["a", "b", "c"].map(|name| PermissionName::parse(name).ok()).into(),
    }
}

fn key(id: &str) -> LiveKey {
    LiveKey {
        client_id: ClientId::parse(id).unwrap(),
        environment: EnvironmentIndex(0),
        secret_digest: SecretDigest::of(b"secret"),
        secret_version: SecretVersion(2),
        expires_at: None,
        revoked: false,
        allowlist: LiveAllowlist::Any,
        holding: Holding::Permissions(PermissionSet::new([PermissionIndex(0), PermissionIndex(2)])),
        management: ManagementSet::default(),
        is_incomplete: false,
        revision: Revision(1),
    }
}

fn claims(id: &str) -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: BASE.into(),
        audience: BASE.into(),
        client_id: ClientId::parse(id).unwrap(),
        issued_at: NOW.plus_seconds(-60),
        expires_at: NOW.plus_seconds(60),
        token_id: "t".into(),
        secret_version: SecretVersion(2),
        scope: None,
    }
}

/// Runs a question of `asker` about a token of these claims, its key and its revocation.
fn asked<R>(
    asker: &LiveKey,
    (claims, key, revoked): (&AccessTokenClaims, Option<&LiveKey>, bool),
    question: impl FnOnce(&ProvenClient<'_>, &AskedToken<'_>) -> R,
) -> R {
    let environment = environment();
    let client = ClientContext { environment: &environment, key: Some(asker), address: "203.0.113.9".parse().unwrap() };
    let client_secret = Zeroizing::new("secret".to_owned());
    let credentials = ClientCredentials { client_id: "x".into(), client_secret, basic: true };
    let client = authenticate(&credentials, &client, NOW).unwrap();
    question(&client, &AskedToken { claims, key, revoked, base_url: BASE, control_url: CONTROL })
}

fn shown(asker: &LiveKey, token: (&AccessTokenClaims, Option<&LiveKey>, bool)) -> Value {
    asked(asker, token, |client, token| introspection(client, Some(token), NOW))
}

fn ended(asker: &LiveKey, token: (&AccessTokenClaims, Option<&LiveKey>, bool)) -> Result<bool, OAuthError> {
    asked(asker, token, |client, token| revocation(client, Some(token), NOW).map(|claims| claims.is_some()))
}

#[test]
fn a_living_token_is_described() {
    let (key, claims) = (key("one"), claims("one"));
    assert_eq!(
        shown(&key, (&claims, Some(&key), false)),
        json!({
            "active": true, "scope": "a c", "client_id": "one", "token_type": "Bearer", "exp": 1_800_000_060,
            "iat": 1_799_999_940, "sub": "one", "aud": BASE, "iss": BASE, "jti": "t", "environment": "acme/production",
        })
    );
    let narrow = AccessTokenClaims { scope: Some("c b".into()), ..claims };
    assert_eq!(shown(&key, (&narrow, Some(&key), false))["scope"], "c");
}

#[test]
fn a_control_token_shows_what_it_opens_there() {
    let management = [ManagementPermission::KeysView, ManagementPermission::KeysEdit].into_iter().collect();
    let key = LiveKey { management, ..key("one") };
    let claims =
        AccessTokenClaims { audience: CONTROL.into(), scope: Some("portcullis:keys:view a".into()), ..claims("one") };
    let shown = shown(&key, (&claims, Some(&key), false));
    assert_eq!((&shown["aud"], &shown["scope"]), (&json!(CONTROL), &json!("portcullis:keys:view")));
    assert_eq!(ended(&key, (&claims, Some(&key), false)), Ok(true));
}

/// Dead or foreign: `{"active": false}` alone, and nothing to end.
#[test]
fn tokens_that_count_for_nothing() {
    let key = key("one");
    let good = claims("one");
    let dead_keys = [
        None,
        Some(LiveKey { revoked: true, ..key.clone() }),
        Some(LiveKey { expires_at: Some(NOW), ..key.clone() }),
        Some(LiveKey { secret_version: SecretVersion(3), ..key.clone() }),
    ];
    let dead_tokens = [
        AccessTokenClaims { issuer: "http://gate.test/v2".into(), ..good.clone() },
        AccessTokenClaims { audience: "http://gate.test/v2".into(), ..good.clone() },
        AccessTokenClaims { issuer: CONTROL.into(), audience: CONTROL.into(), ..good.clone() },
    ];
    let by_key = dead_keys.iter().map(|key| (&good, key.as_ref(), false));
    let by_token = dead_tokens.iter().map(|claims| (claims, Some(&key), false));
    for token in by_key.chain(by_token).chain([(&good, Some(&key), true)]) {
        assert_eq!(shown(&key, token), json!({"active": false}), "{token:?}");
        assert_eq!(ended(&key, token), Ok(false), "{token:?}");
    }
}

/// A request that began with it may still be under way.
#[test]
fn an_expired_token_is_ended_by_its_own_client_while_its_key_lives() {
    let (one, two) = (key("one"), key("two"));
    let expired = AccessTokenClaims { expires_at: NOW.plus_seconds(-86_400), ..claims("one") };
    assert_eq!(shown(&one, (&expired, Some(&one), false)), json!({"active": false}));
    assert_eq!(ended(&one, (&expired, Some(&one), false)), Ok(true));
    assert_eq!(ended(&one, (&expired, Some(&one), true)), Ok(false));
    // What the key's end has ended needs nothing, and of others nothing is told.
    assert_eq!(ended(&one, (&expired, Some(&LiveKey { revoked: true, ..one.clone() }), false)), Ok(false));
    assert_eq!(ended(&one, (&expired, None, false)), Ok(false));
    assert_eq!(ended(&two, (&expired, Some(&one), false)), Ok(false));
}

#[test]
fn tokens_of_others() {
    let (one, two) = (key("one"), key("two"));
    let claims = claims("two");
    assert_eq!(shown(&one, (&claims, Some(&two), false)), json!({"active": false}));
    let inspector =
        LiveKey { management: [ManagementPermission::TokensIntrospect].into_iter().collect(), ..key("one") };
    assert_eq!(shown(&inspector, (&claims, Some(&two), false))["client_id"], "two");
    for asker in [&one, &inspector] {
        assert_eq!(ended(asker, (&claims, Some(&two), false)), Err(OAuthError::ForeignToken));
        // A dead one is nobody's business any more.
        assert_eq!(ended(asker, (&claims, Some(&two), true)), Ok(false));
    }
    assert_eq!(ended(&two, (&claims, Some(&two), false)), Ok(true));
}
