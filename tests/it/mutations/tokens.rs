//! Random tokens against the tables of the request path: none proves anything, and none is remembered.
//!
//! `PORTCULLIS_TOKENS` says how many.

use super::generator::Random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::model::{AccessTokenClaims, ClientId, SecretVersion, Timestamp};
use portcullis::tables::Tables;
use portcullis::token::{Algorithm, SigningKey, SigningKeySet, sign};
use std::sync::Arc;
use std::time::Instant;

const TOKENS: u64 = 100_000;
/// What may be held more after all of them than after a tenth, in bytes: nothing that grows with them.
const MOST_GROWTH: i64 = 64 * 1024;

fn letters(random: &mut Random, count: usize) -> String {
    let bytes: Vec<u8> = (0..count).map(|_| random.next() as u8).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Random to the last bit, or with a part of the genuine one.
fn token(genuine: &[&str], random: &mut Random) -> String {
    let count = 20 + random.below(200);
    let claims = letters(random, count);
    let signature = letters(random, 64);
    match random.below(4) {
        0 => format!("{}.{claims}.{signature}", letters(random, 30)),
        1 => format!("{}.{claims}.{signature}", genuine[0]),
        2 => format!("{}.{}.{signature}", genuine[0], genuine[1]),
        _ => format!("{}.{claims}.{}", genuine[0], genuine[2]),
    }
}

#[test]
fn random_tokens_prove_nothing_and_take_no_room() {
    let tokens = super::number("PORTCULLIS_TOKENS").unwrap_or(TOKENS);
    let keys = Arc::new(SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []));
    let now = Timestamp::from_unix(1_800_000_000);
    let claims = AccessTokenClaims {
        issuer: "http://gate.test/v1".into(),
        audience: "http://gate.test/v1".into(),
        client_id: ClientId::parse("pcull_a").unwrap(),
        issued_at: now,
        expires_at: Timestamp::from_unix(1_800_003_600),
        token_id: "j".into(),
        secret_version: SecretVersion(1),
        scope: None,
    };
    let genuine = sign(&claims, &keys).unwrap();
    let parts: Vec<&str> = genuine.split('.').collect();
    let tables = Tables::new(Arc::clone(&keys));
    tables.load().claims(&genuine).unwrap();
    let began = Instant::now();
    let run = |from: u64, to: u64| {
        for index in from..to {
            let token = token(&parts, &mut Random::of(super::SEED, index));
            assert!(tables.load().claims(&token).is_err(), "token {index}: {token}");
        }
    };
    run(0, tokens / 10);
    let held = allocation_counter::measure(|| run(tokens / 10, tokens));
    eprintln!("{tokens} tokens in {:.1?}; {} bytes more are held", began.elapsed(), held.bytes_current);
    assert!(held.bytes_current < MOST_GROWTH, "{} bytes more are held", held.bytes_current);
    // The good one was washed out by none of them.
    assert!(tables.load().claims(&genuine).unwrap().1, "the genuine token is not known any more");
}
