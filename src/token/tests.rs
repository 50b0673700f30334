//! What is a token, and everything that is not one.

mod properties;

use super::*;
use crate::model::{ClientId, SecretVersion, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const ALL: [Algorithm; 4] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256];

fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: "http://gate.test/v1".into(),
        audience: "http://gate.test/v1".into(),
        client_id: ClientId::parse("pcull_a").unwrap(),
        issued_at: Timestamp::from_unix(1_800_000_000),
        expires_at: Timestamp::from_unix(1_800_003_600),
        token_id: "j".into(),
        secret_version: SecretVersion(1),
        scope: Some("cards:read".into()),
    }
}

fn wire() -> Value {
    json!({"iss": "i", "aud": "a", "sub": "pcull_a", "client_id": "pcull_a", "iat": 1, "exp": 2, "jti": "j", "secret_version": 1})
}

/// Signs any header and payload with the genuine key: forgeries that have the key's own signature.
fn forge(keys: &SigningKeySet, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = keys.current().sign_bytes(message.as_bytes()).unwrap();
    format!("{message}.{signature}")
}

fn header(keys: &SigningKeySet) -> Value {
    json!({"alg": keys.current().algorithm().as_str(), "typ": "at+jwt", "kid": keys.current().id()})
}

impl SigningKeySet {
    fn current(&self) -> &SigningKey {
        self.signer(claims().issued_at).unwrap()
    }
}

fn set(algorithm: Algorithm) -> SigningKeySet {
    SigningKeySet::new(SigningKey::generate(algorithm).unwrap(), [])
}

#[test]
fn each_algorithm_signs_and_proves() {
    for algorithm in ALL {
        let keys = set(algorithm);
        let token = sign(&claims(), &keys).unwrap();
        assert_eq!(verify(&token, &keys).unwrap(), claims(), "{algorithm:?}");
        let other = set(algorithm);
        assert!(verify(&token, &other).is_err());
        assert_eq!(keys.has_public_keys(), algorithm != Algorithm::Hs256);
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), usize::from(algorithm != Algorithm::Hs256));
        assert!(!keys.jwks().to_string().contains("\"d\""));
    }
}

#[test]
fn older_keys_still_prove() {
    let old = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let before = SigningKeySet::new(old, []);
    let token = sign(&claims(), &before).unwrap();
    let sealing = SealingKey::new(&[7; 32]).unwrap();
    let sealed = sealing.seal(before.current()).unwrap();
    let reopened = sealing.open(before.current().id(), Algorithm::EdDsa, &sealed).unwrap();
    let after = SigningKeySet::new(SigningKey::generate(Algorithm::Es256).unwrap(), [reopened]);
    assert!(verify(&token, &after).is_ok());
    assert_eq!(after.jwks()["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn sealed_keys_open_with_their_own_key_alone() {
    for algorithm in ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let sealing = SealingKey::new(&[1; 32]).unwrap();
        let mut sealed = sealing.seal(&key).unwrap();
        assert_eq!(sealing.open(key.id(), algorithm, &sealed).unwrap().id(), key.id());
        assert_eq!(SealingKey::new(&[2; 32]).unwrap().open(key.id(), algorithm, &sealed).unwrap_err(), SealError::Open);
        assert_eq!(sealing.open("other", algorithm, &sealed).unwrap_err(), SealError::Open);
        sealed[20] ^= 1;
        assert_eq!(sealing.open(key.id(), algorithm, &sealed).unwrap_err(), SealError::Open);
        assert_eq!(sealing.open(key.id(), algorithm, b"short").unwrap_err(), SealError::Open);
    }
}

#[test]
fn headers_that_are_not_ours() {
    for algorithm in ALL {
        let keys = set(algorithm);
        let good = header(&keys);
        assert!(verify(&forge(&keys, &good.to_string(), &wire().to_string()), &keys).is_ok());
        let with = |name: &str, value: Value| {
            let mut header = good.clone();
            header[name] = value;
            verify(&forge(&keys, &header.to_string(), &wire().to_string()), &keys)
        };
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!(null)),
            ("typ", json!("")),
            ("typ", json!("id+jwt")),
            ("alg", json!("none")),
            ("alg", json!("None")),
            ("alg", json!("nOnE")),
            ("alg", json!("")),
            ("alg", json!("HS512")),
            ("alg", json!("eddsa")),
            ("kid", json!(null)),
            ("kid", json!("")),
            ("kid", json!("../../dev/null")),
            ("kid", json!(["a"])),
            ("kid", json!(7)),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
        ] {
            assert!(with(name, value.clone()).is_err(), "{algorithm:?} {name}={value}");
        }
        for (name, value) in [
            ("typ", json!("AT+JWT")),
            ("typ", json!("application/at+jwt")),
            ("jku", json!("http://127.0.0.1:9/x")),
            ("jwk", json!({"kty": "OKP"})),
            ("x5u", json!("http://127.0.0.1:9/x")),
            ("x5c", json!(["x"])),
        ] {
            assert!(with(name, value.clone()).is_ok(), "{algorithm:?} {name}={value}");
        }
        let doubled = good.to_string().replacen('{', &format!("{{\"alg\":\"{}\",", algorithm.as_str()), 1);
        assert!(verify(&forge(&keys, &doubled, &wire().to_string()), &keys).is_err());
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(with("alg", json!(other.as_str())).is_err(), "{algorithm:?} as {other:?}");
        }
    }
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let keys = set(Algorithm::EdDsa);
    let x = keys.current().public_jwk().unwrap()["x"].as_str().unwrap();
    for secret in [x.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(x).unwrap()] {
        let mut h = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        h.typ = Some("at+jwt".into());
        h.kid = Some(keys.current().id().into());
        let token = jsonwebtoken::encode(&h, &wire(), &jsonwebtoken::EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(verify(&token, &keys), Err(TokenError::Header));
    }
}

#[test]
fn claims_that_are_not_ours() {
    let keys = set(Algorithm::EdDsa);
    let good = header(&keys).to_string();
    let with = |name: &str, value: Option<Value>| {
        let mut payload = wire();
        match value {
            Some(value) => payload[name] = value,
            None => drop(payload.as_object_mut().unwrap().remove(name)),
        }
        verify(&forge(&keys, &good, &payload.to_string()), &keys)
    };
    for name in ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "secret_version"] {
        assert!(with(name, None).is_err(), "{name} absent");
        assert!(with(name, Some(json!(null))).is_err(), "{name} null");
    }
    for value in
        [json!("2"), json!(2.5), json!(-1), json!(9_223_372_036_854_775_808_u64), json!([2]), json!({}), json!(true)]
    {
        assert!(with("exp", Some(value.clone())).is_err(), "exp {value}");
    }
    assert!(with("sub", Some(json!("pcull_b"))).is_err());
    assert!(with("sub", Some(json!("a b"))).is_err());
    assert!(with("aud", Some(json!(["a"]))).is_err());
    assert!(with("secret_version", Some(json!(-1))).is_err());
    assert!(with("extra", Some(json!(1))).is_ok());
    let doubled = wire().to_string().replacen('{', "{\"exp\":9999999999,", 1);
    assert!(verify(&forge(&keys, &good, &doubled), &keys).is_err());
    for payload in ["", "{}", "[]", "null", "{", "{\"iss\":\"i\"} trailing"] {
        assert!(verify(&forge(&keys, &good, payload), &keys).is_err(), "{payload}");
    }
}

#[test]
fn texts_that_are_no_token() {
    let keys = set(Algorithm::EdDsa);
    let token = sign(&claims(), &keys).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let long = "a".repeat(MAX_TOKEN_BYTES + 1);
    let dots = ".".repeat(8000);
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        h,
        &format!("{h}.{p}"),
        &format!("{h}.{p}."),
        &format!("{h}..{s}"),
        &format!(".{p}.{s}"),
        &format!("{h}.{p}.{s}."),
        &format!("{h}.{p}.{s}.x.y"),
        &format!("{h}.{p}.{s}="),
        &format!("{h}=.{p}.{s}"),
        &format!(" {token}"),
        &format!("{token} "),
        &token.to_uppercase(),
        &long,
        &dots,
        &format!("{h}.{p}.{}", s.replace(['-', '_'], "+")),
    ] {
        if text != token {
            assert!(verify(text, &keys).is_err(), "{}", text.chars().take(80).collect::<String>());
        }
    }
}

#[test]
fn base64url_has_one_spelling() {
    let keys = set(Algorithm::EdDsa);
    let token = sign(&claims(), &keys).unwrap();
    // 64 signature bytes leave four unused bits in the last character: flipping one is another spelling.
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let other = alphabet.chars().nth(at ^ 1).unwrap();
    let respelt = format!("{}{other}", &token[..token.len() - 1]);
    assert!(verify(&respelt, &keys).is_err());
}

#[test]
fn keys_do_not_print() {
    let key = SigningKey::generate(Algorithm::Hs256).unwrap();
    let printed = format!("{key:?} {:?}", SealingKey::new(&[9; 32]).unwrap());
    assert!(printed.contains("redacted") && !printed.contains("private"));
}

fn scheduled(keys: [(Algorithm, Option<i64>); 4]) -> (SigningKeySet, Vec<String>) {
    let keys = keys.map(|(algorithm, from)| ScheduledKey {
        key: SigningKey::generate(algorithm).unwrap(),
        signs_from: from.map(Timestamp::from_unix),
    });
    let ids = keys.iter().map(|scheduled| scheduled.key.id().to_owned()).collect();
    (SigningKeySet::scheduled(keys).unwrap(), ids)
}

#[test]
fn each_key_signs_in_its_time() {
    let plan = [
        (Algorithm::EdDsa, Some(200)),
        (Algorithm::Rs256, None),
        (Algorithm::EdDsa, Some(100)),
        (Algorithm::EdDsa, Some(300)),
    ];
    let (keys, ids) = scheduled(plan);
    for (now, at) in [(0, 2), (99, 2), (100, 2), (199, 2), (200, 0), (299, 0), (300, 3), (9999, 3)] {
        assert_eq!(keys.signer(Timestamp::from_unix(now)).unwrap().id(), ids[at], "{now}");
        let claims = AccessTokenClaims { issued_at: Timestamp::from_unix(now), ..claims() };
        let token = sign(&claims, &keys).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.kid.as_deref(), Some(ids[at].as_str()));
        assert_eq!(verify(&token, &keys).unwrap(), claims);
    }
    // Published before it signs, and after.
    let published = keys.jwks();
    let mut listed: Vec<&str> =
        published["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, ids);
}

#[test]
fn a_set_that_cannot_sign_is_none() {
    let only = ScheduledKey { key: SigningKey::generate(Algorithm::EdDsa).unwrap(), signs_from: None };
    assert!(matches!(SigningKeySet::scheduled([only]), Err(SigningKeyError::NoneSigns)));
    assert!(matches!(SigningKeySet::scheduled([]), Err(SigningKeyError::NoneSigns)));
}
