//! Who gets a token, for how long and for what.

use super::*;
use crate::model::{
    ClientId, EnvironmentId, EnvironmentIndex, Holding, Identifier, LiveAllowlist, ManagementSet, Network, NetworkSet,
    PermissionIndex, PermissionName, PermissionSet, Revision, SecretDigest, SecretVersion,
};
use crate::oauth::{ClientContext, ClientCredentials, authenticate};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

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

fn key() -> LiveKey {
    LiveKey {
        client_id: ClientId::parse("pcull_a").unwrap(),
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

fn request(secret: &str, scope: Option<&str>) -> TokenRequest {
    TokenRequest {
        client: ClientCredentials {
            client_id: "pcull_a".into(),
            client_secret: Zeroizing::new(secret.into()),
            basic: true,
        },
        scope: scope.map(str::to_owned),
        resource: None,
    }
}

fn granted(request: &TokenRequest, key: Option<&LiveKey>) -> Result<Grant, OAuthError> {
    let (base_url, control_url) = ("http://gate.test/v1".into(), "https://keys.test".into());
    let environment = environment();
    let client = ClientContext { environment: &environment, key, address: "203.0.113.9".parse().unwrap() };
    let context = GrantContext {
        base_url: &base_url,
        control_url: &control_url,
        lifetime: Duration::from_secs(3600),
        token_id: "t",
    };
    grant(&authenticate(&request.client, &client, NOW)?, request, &context, NOW)
}

#[test]
fn a_proven_key_gets_a_token_of_its_version() {
    let grant = granted(&request("secret", None), Some(&key())).unwrap();
    assert_eq!((grant.expires_in, grant.scope.as_str()), (3600, "a c"));
    assert_eq!(grant.claims.secret_version, SecretVersion(2));
    assert_eq!(grant.claims.scope, None);
}

#[test]
fn unknown_and_wrong_are_one_answer() {
    let unknown = granted(&request("secret", None), None).unwrap_err();
    assert_eq!(unknown, granted(&request("wrong", None), Some(&key())).unwrap_err());
    assert_eq!(unknown, OAuthError::InvalidClient { basic: true });
    assert!(granted(&request("", None), None).is_err());
}

#[test]
fn the_proven_are_told_the_reason_and_others_are_not() {
    let only =
        |net: &str| LiveAllowlist::Only { networks: NetworkSet::new(&[Network::parse(net).unwrap()]), platform: false };
    for (key, code) in [
        (LiveKey { revoked: true, ..key() }, "key_revoked"),
        (LiveKey { expires_at: Some(NOW), ..key() }, "key_expired"),
        (LiveKey { allowlist: only("192.0.2.0/24"), ..key() }, "ip_not_allowed"),
    ] {
        assert_eq!(granted(&request("secret", None), Some(&key)).unwrap_err().code(), code);
        assert_eq!(granted(&request("wrong", None), Some(&key)).unwrap_err().code(), "invalid_client");
    }
}

#[test]
fn a_token_never_outlives_its_key() {
    let key = LiveKey { expires_at: Some(NOW.plus_seconds(7)), ..key() };
    let grant = granted(&request("secret", None), Some(&key)).unwrap();
    assert_eq!((grant.expires_in, grant.claims.expires_at), (7, NOW.plus_seconds(7)));
}

#[test]
fn scopes_narrow_and_never_widen() {
    let grant = granted(&request("secret", Some("c")), Some(&key())).unwrap();
    assert_eq!((grant.scope.as_str(), grant.claims.scope.as_deref()), ("c", Some("c")));
    assert_eq!(granted(&request("secret", Some("c a c")), Some(&key())).unwrap().scope, "a c");
    for scope in ["b", "a b", "d", " ", "a,c"] {
        assert_eq!(
            granted(&request("secret", Some(scope)), Some(&key())).unwrap_err(),
            OAuthError::InvalidScope,
            "{scope}"
        );
    }
}

fn managing(permissions: &[ManagementPermission]) -> LiveKey {
    LiveKey { management: permissions.iter().copied().collect(), ..key() }
}

fn for_resource(resource: &str, scope: Option<&str>) -> TokenRequest {
    TokenRequest { resource: Some(resource.into()), ..request("secret", scope) }
}

#[test]
fn resources_that_have_no_tokens() {
    for resource in ["http://gate.test/v1", "http://gate.test/v1/", "http://GATE.test:80/v1"] {
        let grant = granted(&for_resource(resource, None), Some(&key())).unwrap();
        assert_eq!(&*grant.claims.audience, "http://gate.test/v1", "{resource}");
    }
    let everything = managing(&ManagementPermission::ALL);
    for resource in [
        "http://gate.test/v2",
        "http://gate.test/v1/x",
        "http://keys.test",
        "https://keys.test/v1",
        "keys.test",
        "",
        "x",
    ] {
        let error = granted(&for_resource(resource, None), Some(&everything)).unwrap_err();
        assert_eq!(error.code(), "invalid_target", "{resource}");
    }
}

#[test]
fn management_keys_get_tokens_for_the_control_api() {
    use ManagementPermission::{KeysEdit, KeysView, TokensIntrospect};
    for resource in ["https://keys.test", "https://keys.test/", "https://Keys.test:443"] {
        let grant = granted(&for_resource(resource, None), Some(&managing(&[KeysView, KeysEdit]))).unwrap();
        assert_eq!((&*grant.claims.issuer, &*grant.claims.audience), ("http://gate.test/v1", "https://keys.test"));
        assert_eq!(grant.scope, "portcullis:keys:edit portcullis:keys:view");
        assert_eq!(grant.claims.scope, None);
    }
    for key in [key(), managing(&[TokensIntrospect])] {
        assert_eq!(granted(&for_resource("https://keys.test", None), Some(&key)).unwrap_err().code(), "invalid_target");
    }
}

#[test]
fn scopes_are_those_of_the_audience() {
    use ManagementPermission::{KeysEdit, KeysView};
    let both = managing(&[KeysView, KeysEdit]);
    let narrow = granted(&for_resource("https://keys.test", Some("portcullis:keys:view")), Some(&both)).unwrap();
    assert_eq!(
        (narrow.scope.as_str(), narrow.claims.scope.as_deref()),
        ("portcullis:keys:view", Some("portcullis:keys:view"))
    );
    let view = managing(&[KeysView]);
    for (resource, scope) in [
        ("https://keys.test", "portcullis:keys:edit"),
        ("https://keys.test", "a"),
        ("https://keys.test", "portcullis:keys:view a"),
        ("http://gate.test/v1", "portcullis:keys:view"),
    ] {
        let error = granted(&for_resource(resource, Some(scope)), Some(&view)).unwrap_err();
        assert_eq!(error, OAuthError::InvalidScope, "{resource} {scope}");
    }
}

#[test]
fn descriptions_keep_to_their_alphabet() {
    let all = [
        OAuthError::ClientRefused { basic: true, code: "x", reason: "the API key may not be used from ::1".into() },
        OAuthError::ForeignToken,
        OAuthError::InvalidClient { basic: false },
        OAuthError::InvalidRequest("a parameter is repeated"),
        OAuthError::InvalidScope,
        OAuthError::InvalidTarget("no token is issued for that resource here"),
        OAuthError::MethodNotAllowed,
        OAuthError::RateLimited { retry_after: 1 },
        OAuthError::TooLarge,
        OAuthError::TooManyRevoked { retry_after: 1 },
        OAuthError::Unavailable,
        OAuthError::UnsupportedGrantType,
    ];
    for error in all {
        let body = error.body();
        let description = body["error_description"].as_str().unwrap();
        assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{description}");
    }
}
