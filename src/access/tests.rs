//! The decision, step by step. The first test is the one that matters most: nothing known, nothing allowed.

use super::*;
use crate::model::{
    EnvironmentIndex, Holding, Identifier, LiveAllowlist, ManagementPermission, ManagementSet, Network, NetworkSet,
    PermissionName, PermissionSet, Revision, RoleIndex, SecretDigest, SecretVersion,
};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn environment() -> EnvironmentPolicy {
    EnvironmentPolicy {
        id: Arc::new(EnvironmentId {
            organization: Identifier::parse("acme").unwrap(),
            environment: Identifier::parse("production").unwrap(),
        }),
        index: EnvironmentIndex(0),
        platform: NetworkSet::new(&[Network::parse("198.51.100.0/24").unwrap()]),
        roles: Box::new([PermissionSet::new([PermissionIndex(1)])]),
        permissions: ["cards:read", "cards:write"].map(|name| PermissionName::parse(name).ok()).into(),
    }
}

fn key() -> LiveKey {
    LiveKey {
        client_id: ClientId::parse("pcull_a").unwrap(),
        environment: EnvironmentIndex(0),
        secret_digest: SecretDigest::of(b"x"),
        secret_version: SecretVersion(3),
        expires_at: None,
        revoked: false,
        allowlist: LiveAllowlist::Any,
        holding: Holding::Permissions(PermissionSet::new([PermissionIndex(0)])),
        management: ManagementSet::default(),
        is_incomplete: false,
        revision: Revision(1),
    }
}

fn token() -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: "http://gate.test".into(),
        audience: "http://gate.test".into(),
        client_id: ClientId::parse("pcull_a").unwrap(),
        issued_at: NOW,
        expires_at: NOW.plus_seconds(60),
        token_id: "t".into(),
        secret_version: SecretVersion(3),
        scope: None,
    }
}

fn operation(permissions: &[u32]) -> CoveredOperation {
    CoveredOperation {
        id: "op".into(),
        label: "GET /cards".into(),
        permissions: permissions.iter().map(|index| PermissionIndex(*index)).collect(),
        public: false,
    }
}

fn decided(
    key: Option<&LiveKey>,
    token: &AccessTokenClaims,
    address: &str,
    operations: &[&CoveredOperation],
) -> Result<Permit, Denial> {
    decide(&environment(), key, &Request { token, address: address.parse().unwrap(), operations }, NOW)
}

fn code(result: Result<Permit, Denial>) -> &'static str {
    result.err().map_or("allowed", |denial| denial.code())
}

#[test]
fn nothing_known_nothing_allowed() {
    assert_eq!(code(decided(None, &token(), "203.0.113.9", &[])), "key_revoked");
    assert_eq!(code(decided(Some(&key()), &token(), "203.0.113.9", &[])), "operation_unknown");
    assert_eq!(code(decided(Some(&key()), &token(), "203.0.113.9", &[&operation(&[])])), "operation_unknown");
    let empty = LiveKey { holding: Holding::Nothing, ..key() };
    assert_eq!(code(decided(Some(&empty), &token(), "203.0.113.9", &[&operation(&[0])])), "permission_missing");
}

#[test]
fn a_key_that_holds_the_permission_is_allowed_and_named() {
    let permit = decided(Some(&key()), &token(), "203.0.113.9", &[&operation(&[0])]).unwrap();
    assert_eq!(permit.client_id().unwrap().as_str(), "pcull_a");
    assert_eq!((permit.operation().as_ref(), permit.environment().to_string().as_str()), ("op", "acme/production"));
}

#[test]
fn the_live_key_binds_to_the_second() {
    let operation = operation(&[0]);
    let with = |change: &dyn Fn(&mut LiveKey)| {
        let mut key = key();
        change(&mut key);
        code(decided(Some(&key), &token(), "203.0.113.9", &[&operation]))
    };
    assert_eq!(with(&|key| key.revoked = true), "key_revoked");
    assert_eq!(with(&|key| key.secret_version = SecretVersion(4)), "secret_rotated");
    assert_eq!(with(&|key| key.secret_version = SecretVersion(2)), "secret_rotated");
    assert_eq!(with(&|key| key.expires_at = Some(NOW)), "key_expired");
    assert_eq!(with(&|key| key.expires_at = Some(NOW.plus_seconds(1))), "allowed");
}

#[test]
fn the_address_binds_before_the_operation() {
    let only = |networks: &[&str], platform| LiveKey {
        allowlist: LiveAllowlist::Only {
            networks: NetworkSet::new(&networks.iter().map(|n| Network::parse(n).unwrap()).collect::<Vec<_>>()),
            platform,
        },
        ..key()
    };
    let operation = operation(&[0]);
    let from = |key: &LiveKey, address| code(decided(Some(key), &token(), address, &[&operation]));
    let home = only(&["203.0.113.42", "2001:db8::/32"], false);
    assert_eq!(from(&home, "203.0.113.42"), "allowed");
    assert_eq!(from(&home, "::ffff:203.0.113.42"), "allowed");
    assert_eq!(from(&home, "2001:db8::9"), "allowed");
    assert_eq!(from(&home, "203.0.113.43"), "ip_not_allowed");
    assert_eq!(from(&home, "198.51.100.9"), "ip_not_allowed");
    assert_eq!(from(&only(&[], true), "198.51.100.9"), "allowed");
    assert_eq!(from(&only(&[], true), "203.0.113.42"), "ip_not_allowed");
    assert_eq!(code(decided(Some(&home), &token(), "192.0.2.1", &[])), "ip_not_allowed");
}

#[test]
fn the_scope_narrows_and_never_widens() {
    let narrowed = |scope: &str| AccessTokenClaims { scope: Some(scope.into()), ..token() };
    let read = operation(&[0]);
    let write = operation(&[1]);
    assert_eq!(code(decided(Some(&key()), &narrowed("cards:read"), "203.0.113.9", &[&read])), "allowed");
    assert_eq!(code(decided(Some(&key()), &narrowed("cards:rea"), "203.0.113.9", &[&read])), "permission_missing");
    assert_eq!(code(decided(Some(&key()), &narrowed(""), "203.0.113.9", &[&read])), "permission_missing");
    assert_eq!(code(decided(Some(&key()), &narrowed("cards:write"), "203.0.113.9", &[&write])), "permission_missing");
}

#[test]
fn a_role_is_read_live() {
    let legacy = LiveKey { holding: Holding::Role(RoleIndex(0)), ..key() };
    assert_eq!(code(decided(Some(&legacy), &token(), "203.0.113.9", &[&operation(&[1])])), "allowed");
    assert_eq!(code(decided(Some(&legacy), &token(), "203.0.113.9", &[&operation(&[0])])), "permission_missing");
    let gone = LiveKey { holding: Holding::Role(RoleIndex(9)), ..key() };
    assert_eq!(code(decided(Some(&gone), &token(), "203.0.113.9", &[&operation(&[1])])), "permission_missing");
}

#[test]
fn what_a_lenient_upstream_could_run_instead_needs_its_permission_too() {
    let (read, write) = (operation(&[0]), operation(&[1]));
    assert_eq!(code(decided(Some(&key()), &token(), "203.0.113.9", &[&read, &write])), "permission_missing");
}

#[test]
fn codes_are_told_apart() {
    let rule = PathRule::DotSegment;
    let all = [
        Denial::BodyTooLarge,
        Denial::EnvironmentUnknown,
        Denial::HeadersTooLarge,
        Denial::InternalError,
        Denial::IpNotAllowed { address: "::1".parse().unwrap() },
        Denial::KeyExpired,
        Denial::KeyRevoked,
        Denial::MalformedRequest { reason: "x" },
        Denial::MethodNotServed,
        Denial::MisdirectedRequest,
        Denial::OperationUnknown,
        Denial::Overloaded,
        Denial::PermissionMissing { permission: "p".into(), operation: "o".into() },
        Denial::RequestTimeout,
        Denial::SecretRotated,
        Denial::TargetAmbiguous { rule },
        Denial::TargetTooLong,
        Denial::TokenExpired,
        Denial::TokenInvalid,
        Denial::TokenMissing,
        Denial::TokenRevoked,
        Denial::UpstreamProtocol,
        Denial::UpstreamTimeout,
        Denial::UpstreamUnreachable,
        Denial::WrongEnvironment,
    ];
    let codes: std::collections::HashSet<_> = all.iter().map(Denial::code).collect();
    assert_eq!(codes.len(), all.len());
    for denial in &all {
        assert_eq!(
            denial.status() == 401,
            matches!(denial.challenge(), Some(Challenge::Plain | Challenge::InvalidToken)),
            "{denial:?}"
        );
    }
}

#[test]
fn a_key_of_another_environment_opens_nothing_here() {
    let moved = LiveKey { environment: EnvironmentIndex(1), ..key() };
    assert_eq!(code(decided(Some(&moved), &token(), "203.0.113.9", &[&operation(&[0])])), "wrong_environment");
}

const CONTROL: &str = "https://keys.test";

fn management_key(permissions: &[ManagementPermission]) -> LiveKey {
    LiveKey { management: permissions.iter().copied().collect(), ..key() }
}

fn control_token() -> AccessTokenClaims {
    AccessTokenClaims { audience: CONTROL.into(), ..token() }
}

fn judged(
    key: Option<&LiveKey>,
    token: &AccessTokenClaims,
    change: impl FnOnce(&mut ManagementRequest<'_>),
) -> Result<ManagementCaller, &'static str> {
    let policy = environment();
    let issuer = Issuer { policy: &policy, base_url: "http://gate.test" };
    let address = "203.0.113.9".parse().unwrap();
    let mut request = ManagementRequest { token, token_revoked: false, control_url: CONTROL, address };
    change(&mut request);
    judge_management(key.map(|key| (key, issuer)), &request, NOW).map_err(|denial| denial.code())
}

#[test]
fn a_management_key_may_speak_to_the_control_api() {
    let key = management_key(&[ManagementPermission::KeysEdit, ManagementPermission::TokensIntrospect]);
    let caller = judged(Some(&key), &control_token(), |_| {}).unwrap();
    assert_eq!((caller.client_id.as_str(), caller.environment.to_string().as_str()), ("pcull_a", "acme/production"));
    assert_eq!(caller.management, key.management);
    let narrowed = AccessTokenClaims { scope: Some("portcullis:keys:edit".into()), ..control_token() };
    let caller = judged(Some(&key), &narrowed, |_| {}).unwrap();
    assert_eq!(caller.management, [ManagementPermission::KeysEdit].into_iter().collect());
}

#[test]
fn the_control_api_judges_as_the_edge_does() {
    let key = management_key(&ManagementPermission::ALL);
    let with_token = |change: &dyn Fn(&mut AccessTokenClaims)| {
        let mut token = control_token();
        change(&mut token);
        judged(Some(&key), &token, |_| {}).unwrap_err()
    };
    assert_eq!(with_token(&|token| token.audience = "http://gate.test".into()), "wrong_environment");
    assert_eq!(with_token(&|token| token.audience = "https://keys.test/".into()), "wrong_environment");
    assert_eq!(with_token(&|token| token.issuer = "http://gate.test/v2".into()), "wrong_environment");
    assert_eq!(with_token(&|token| token.expires_at = NOW), "token_expired");
    assert_eq!(with_token(&|token| token.scope = Some("portcullis:tokens:introspect".into())), "permission_missing");
    assert_eq!(judged(Some(&key), &control_token(), |request| request.token_revoked = true), Err("token_revoked"));
    assert_eq!(judged(None, &control_token(), |_| {}), Err("key_revoked"));
    assert_eq!(judged(None, &token(), |_| {}), Err("wrong_environment"));
    // A control API on a base URL of its own: no token of the API may pass for one of the control API.
    assert_eq!(
        judged(Some(&key), &token(), |request| request.control_url = "http://gate.test"),
        Err("wrong_environment")
    );
    let only = LiveAllowlist::Only { networks: NetworkSet::default(), platform: true };
    for (key, code) in [
        (LiveKey { revoked: true, ..key.clone() }, "key_revoked"),
        (LiveKey { expires_at: Some(NOW), ..key.clone() }, "key_expired"),
        (LiveKey { secret_version: SecretVersion(4), ..key.clone() }, "secret_rotated"),
        (LiveKey { environment: EnvironmentIndex(1), ..key.clone() }, "wrong_environment"),
        (LiveKey { allowlist: only, ..key.clone() }, "ip_not_allowed"),
        (management_key(&[ManagementPermission::TokensIntrospect]), "permission_missing"),
        (management_key(&[]), "permission_missing"),
    ] {
        assert_eq!(judged(Some(&key), &control_token(), |_| {}), Err(code));
    }
}
