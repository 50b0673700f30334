//! What the token endpoint costs without the wire: a request is parsed, the client proven, the token granted and signed,
//! then proven again. One thread; `cargo bench --bench tokens`. The goal is 8 000 tokens a second a core with EdDSA, the
//! wire included.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a measurement, not a library")]

use portcullis::model::{
    ClientId, ClientSecret, EnvironmentId, EnvironmentIndex, EnvironmentPolicy, Holding, Identifier, LiveAllowlist,
    LiveKey, ManagementSet, NetworkSet, PermissionIndex, PermissionName, PermissionSet, Revision, SecretVersion,
    Timestamp,
};
use portcullis::oauth::{ClientContext, GrantContext, TokenRequest, WireRequest, authenticate, grant};
use portcullis::token::{Algorithm, SigningKey, SigningKeySet, sign, verify};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const SPENT: Duration = Duration::from_secs(2);

fn environment() -> EnvironmentPolicy {
    let names = (0..45).map(|number| PermissionName::parse(&format!("permission:{number}")).unwrap());
    EnvironmentPolicy {
        id: Arc::new(EnvironmentId {
            organization: Identifier::parse("acme").unwrap(),
            environment: Identifier::parse("production").unwrap(),
        }),
        index: EnvironmentIndex(0),
        platform: NetworkSet::default(),
        roles: Box::new([]),
        permissions: names.map(Some).collect(),
    }
}

fn key(secret: &ClientSecret) -> LiveKey {
    LiveKey {
        client_id: ClientId::from_entropy([1; 16]),
        environment: EnvironmentIndex(0),
        secret_digest: secret.digest(),
        secret_version: SecretVersion(1),
        expires_at: None,
        revoked: false,
        allowlist: LiveAllowlist::Any,
        holding: Holding::Permissions(PermissionSet::new((0..12).map(PermissionIndex))),
        management: ManagementSet::default(),
        is_incomplete: false,
        revision: Revision(1),
    }
}

/// What this thread has spent on a processor so far, so that a busy machine counts for nothing; what has passed, where
/// the system does not tell.
fn spent(began: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

/// Times a second of one processor that something is done.
fn rate(mut run: impl FnMut()) -> u128 {
    let began = Instant::now();
    let (before, mut times) = (spent(began), 0u128);
    loop {
        for _ in 0..200 {
            run();
        }
        times += 200;
        let took = spent(began) - before;
        if took >= SPENT {
            return times * 1_000_000 / took.as_micros();
        }
    }
}

fn main() {
    let secret = ClientSecret::from_entropy([2; 32]);
    let (environment, key) = (environment(), key(&secret));
    let body = format!("grant_type=client_credentials&client_id={}&client_secret={}", key.client_id, secret.expose());
    let wire = WireRequest {
        query: b"",
        content_type: Some(b"application/x-www-form-urlencoded"),
        authorization: &[],
        body: body.as_bytes(),
    };
    let (base_url, control_url) = ("https://api.example.com/v1".into(), "https://keys.example.com".into());
    let context = GrantContext {
        base_url: &base_url,
        control_url: &control_url,
        lifetime: Duration::from_secs(3600),
        token_id: "0123456789abcdef0123456789abcdef",
    };
    let client =
        ClientContext { environment: &environment, key: Some(&key), address: std::net::Ipv4Addr::LOCALHOST.into() };
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256] {
        let keys = SigningKeySet::new(SigningKey::generate(algorithm).unwrap(), []);
        let issue = || {
            let request = TokenRequest::parse(&wire).unwrap();
            let client = authenticate(&request.client, &client, NOW).unwrap();
            sign(&grant(&client, &request, &context, NOW).unwrap().claims, &keys).unwrap()
        };
        let token = issue();
        let issued = rate(|| drop(black_box(issue())));
        let proven = rate(|| drop(black_box(verify(&token, &keys).unwrap())));
        println!("{:<6} {issued:>8} issued/s   {proven:>8} proven/s", algorithm.as_str());
    }
}
