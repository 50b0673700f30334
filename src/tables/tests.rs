//! Single changes: order, visibility, and what a file owns.

mod worlds;

use super::*;
use crate::model::{
    BaseUrl, Environment, Identifier, KeyKind, KeyName, ManagedBy, PathRules, PermissionName, PlatformAddresses,
    SecretDigest, SecretVersion, Upstream, UpstreamUrl,
};
use crate::token::{Algorithm, SigningKey};

fn id() -> EnvironmentId {
    EnvironmentId {
        organization: Identifier::parse("acme").unwrap(),
        environment: Identifier::parse("production").unwrap(),
    }
}

fn key(version: u64, revision: u64) -> ApiKey {
    ApiKey {
        client_id: ClientId::parse("pcull_a").unwrap(),
        environment: id(),
        name: KeyName::parse("a").unwrap(),
        description: String::new(),
        kind: KeyKind::FineGrained { permissions: vec![PermissionName::parse("api:read").unwrap()] },
        may_grant: vec![],
        allowlist: None,
        secret_digest: SecretDigest::of(b"s"),
        secret_last_four: String::new(),
        secret_version: SecretVersion(version),
        expires_at: None,
        created_at: Timestamp::from_unix(0),
        created_by: "test".into(),
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        last_address: None,
        revision: Revision(revision),
        managed_by: ManagedBy::Api,
    }
}

fn environment(declared: Vec<ApiKey>) -> Environment {
    Environment {
        id: id(),
        base_url: BaseUrl::parse("http://gate.test/v1").unwrap(),
        upstream: Upstream::of(UpstreamUrl::parse("http://127.0.0.1:9").unwrap()),
        public: vec![],
        permissions: [].into(),
        report: None,
        presets: vec![],
        roles: vec![],
        platform: PlatformAddresses::default(),
        paths: PathRules::default(),
        token_header: http::header::AUTHORIZATION,
        oauth_prefix: "/oauth2".into(),
        cors: crate::model::Cors::default(),
        body_limit: None,
        keys: declared,
    }
}

fn acme(environments: Vec<Environment>) -> Organization {
    Organization {
        id: Identifier::parse("acme").unwrap(),
        name: "Acme".into(),
        block_legacy_keys: None,
        max_key_lifetime: None,
        environments,
    }
}

fn tables(declared: Vec<ApiKey>) -> Tables {
    let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
    Tables::of_files(vec![acme(vec![environment(declared)])], Arc::new(signing)).unwrap()
}

fn version(tables: &Tables) -> Option<u64> {
    tables.load().with_key("pcull_a", |key| key.map(|key| key.secret_version.0))
}

#[test]
fn an_older_state_never_replaces_a_newer_one() {
    let tables = tables(vec![]);
    assert_eq!(version(&tables), None);
    tables.apply(&key(2, 5));
    tables.apply(&key(1, 4));
    assert_eq!(version(&tables), Some(2));
    tables.apply(&key(3, 6));
    assert_eq!((version(&tables), tables.revision()), (Some(3), Revision(6)));
}

#[test]
fn keys_of_elsewhere_are_left_out() {
    let tables = tables(vec![]);
    let mut key = key(1, 1);
    key.environment.environment = Identifier::parse("staging").unwrap();
    tables.apply(&key);
    assert_eq!(version(&tables), None);
}

#[test]
fn the_file_wins() {
    let declared = ApiKey { managed_by: ManagedBy::File, ..key(9, 0) };
    let tables = tables(vec![declared]);
    tables.apply(&key(1, 7));
    assert_eq!(version(&tables), Some(9));
}

#[test]
fn requests_find_their_environment() {
    let tables = tables(vec![]);
    let snapshot = tables.load();
    for (host, path, found) in [
        ("gate.test", "/v1/x", true),
        ("GATE.test.", "/v1", true),
        ("gate.test:80", "/v1/", true),
        ("gate.test:8080", "/v1", false),
        ("other.test", "/v1", false),
        ("gate.test", "/v2", false),
        ("", "/v1", false),
    ] {
        assert_eq!(snapshot.route(host, path.as_bytes()).is_some(), found, "{host}{path}");
    }
}

#[test]
fn proven_tokens_are_known_and_forged_ones_never() {
    let tables = tables(vec![]);
    let snapshot = tables.load();
    let claims = crate::model::AccessTokenClaims {
        issuer: "i".into(),
        audience: "a".into(),
        client_id: ClientId::parse("x").unwrap(),
        issued_at: Timestamp::from_unix(1),
        expires_at: Timestamp::from_unix(2),
        token_id: "t".into(),
        secret_version: SecretVersion(1),
        scope: None,
    };
    let token = crate::token::sign(&claims, snapshot.signing()).unwrap();
    let known = |token: &str| snapshot.claims(token).map(|(_, known)| known);
    assert_eq!((known(&token), known(&token)), (Ok(false), Ok(true)));
    let forged = format!("{}x", &token[..token.len() - 2]);
    assert!(known(&forged).is_err() && known(&forged).is_err());
}

fn claims(tables: &Tables, token_id: &str) -> crate::model::AccessTokenClaims {
    crate::model::AccessTokenClaims {
        issuer: "http://gate.test/v1".into(),
        audience: "https://keys.test".into(),
        client_id: ClientId::parse("pcull_a").unwrap(),
        issued_at: Timestamp::from_unix(1),
        expires_at: Timestamp::from_unix(100),
        token_id: token_id.into(),
        secret_version: SecretVersion(version(tables).unwrap()),
        scope: None,
    }
}

#[test]
fn signing_keys_are_replaced_alone() {
    let tables = tables(vec![]);
    tables.apply(&key(2, 5));
    let before = tables.load_full();
    let token = crate::token::sign(&claims(&tables, "t"), before.signing()).unwrap();
    assert!(before.claims(&token).is_ok());
    let signing = Arc::new(SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []));
    tables.set_signing(Arc::clone(&signing));
    let after = tables.load_full();
    assert!(Arc::ptr_eq(after.signing(), &signing));
    // What the key that was taken out had proven is proven no more.
    assert!(after.claims(&token).is_err());
    assert!(Arc::ptr_eq(&before.environments()[0], &after.environments()[0]));
    tables.apply(&key(3, 6));
    assert_eq!(version(&tables), Some(3));
}

#[test]
fn a_management_key_is_found_behind_its_token() {
    let tables = tables(vec![]);
    let names = ["api:read", "portcullis:keys:view", "portcullis:nonsense"];
    let permissions = names.map(|name| PermissionName::parse(name).unwrap()).to_vec();
    tables.apply(&ApiKey { kind: KeyKind::FineGrained { permissions }, ..key(2, 5) });
    let snapshot = tables.load_full();
    let token = crate::token::sign(&claims(&tables, "t"), snapshot.signing()).unwrap();
    let caller = |token: &str, control_url: &str, at| {
        let address = "203.0.113.9".parse().unwrap();
        let judged = snapshot.management_caller(token, control_url, address, Timestamp::from_unix(at));
        judged.map_err(|denial| denial.code())
    };
    let found = caller(&token, "https://keys.test", 99).unwrap();
    assert_eq!((found.client_id.as_str(), &*found.environment), ("pcull_a", &id()));
    assert!(found.management.manages_keys());
    assert_eq!(found.management.iter().count(), 1);
    assert_eq!(caller(&token, "https://keys.test", 100), Err("token_expired"));
    assert_eq!(caller(&token, "https://other.test", 99), Err("wrong_environment"));
    assert_eq!(caller("x", "https://keys.test", 99), Err("token_invalid"));
    tables.apply(&key(2, 6));
    assert_eq!(caller(&token, "https://keys.test", 99), Err("permission_missing"));
    tables.revoked().insert("t".into(), &key(1, 1).client_id, Timestamp::from_unix(100));
    assert_eq!(caller(&token, "https://keys.test", 99), Err("token_revoked"));
}
