//! Ways past gateways that were found in others, each tried here. "Refused" means zero bytes upstream.

use super::{assert_refused, without_upstream};
use crate::harness::{Answer, BASE_PATH, Gateway, HOST, Key, RecordingUpstream, eventually, reader, token_form};
use crate::process::{Folder, Key as Made, Wire};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Barrier;

/// Envoy, APISIX, Oathkeeper, Heimdall, Caddy: a public path, or a path with fewer rights, reached by a spelling that the
/// upstream resolves to another one. Without a token none of these gets there.
#[test]
fn no_spelling_of_a_public_path_opens_another() {
    let gateway = Gateway::start();
    for path in [
        "/health/../cards",
        "/health/./../cards",
        "/health/..%2fcards",
        "/health/%2e%2e/cards",
        "/health/%2E%2E%2Fcards",
        "/health/%252e%252e/cards",
        "/health/%252e%252e%252fcards",
        "/health/..%5ccards",
        "/health/..\\cards",
        "/health\\..\\cards",
        "/health/..;/cards",
        "/health;/../cards",
        "/health;x",
        "/health/;/cards",
        "/health//../cards",
        "/health//cards",
        "//health",
        "/health//",
        "/health/",
        "/health/.",
        "/health/..",
        "/health%2f",
        "/health%00",
        "/health%00/../cards",
        "/health%23/../cards",
        "/health#/../cards",
        "/health%3f/../cards",
        "/health.json",
        "/HEALTH",
        "/Health",
        "/cards/../health",
        "/cards/..;/health",
        "/cards?/../health",
        "/cards;/health",
        "/cards%3f/health",
        "/oauth2/token/../../cards",
        "/oauth2/../cards",
        "/oauth2/jwks/..;/../cards",
        "/.well-known/../cards",
        "/health/\u{ff0e}\u{ff0e}/cards",
        "/health/%c0%ae%c0%ae/cards",
        "/health/%u002e%u002e/cards",
    ] {
        eprintln!("{path}");
        let response = without_upstream(&gateway, || gateway.get(path).send());
        assert!(matches!(response.status, 400 | 401 | 403 | 404), "{path}: {}", response.head);
        assert!(response.header("portcullis-error").is_some(), "{path}: {}", response.head);
    }
    // Percent-encoded letters are the same path to everyone, and go as they were sent.
    gateway.get("/h%65alth").send().expect(200);
    assert_eq!(gateway.upstream.last().target, "/api/h%65alth");
}

/// Hexadecimal digits in either case are one spelling; letters of a path in another case are another path.
#[test]
fn case_of_hexadecimal_digits_and_of_paths() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    for path in ["/files/%c3%a9", "/files/%C3%A9", "/files/%c3%A9"] {
        gateway.get(path).bearer(&token).send().expect(200);
        assert_eq!(gateway.upstream.last().target, format!("/api{path}"));
    }
    for path in ["/CARDS", "/Cards", "/FILES/a", "/%43ards"] {
        assert_refused(&gateway, &gateway.get(path).bearer(&token), 403, "operation_unknown");
    }
    for target in ["/V1/production/cards", "/v1/PRODUCTION/cards", "/v1/%50roduction/cards"] {
        assert_refused(&gateway, &gateway.get("").target(target).bearer(&token), 404, "environment_unknown");
    }
}

const TENANTS: usize = 120;

/// With more than a hundred hosts Envoy's matching of their case changed. Each finds its own here, in any case.
#[test]
fn many_tenants_and_odd_case_of_hosts() {
    let mut builder = Gateway::builder();
    for number in 0..TENANTS {
        builder = builder.tables(&format!(
            "[environments.t{number}]\nbase_url = \"http://Tenant-{number}.test/v1\"\nupstream = \"{{upstream}}/t{number}\"\n\
             [environments.t{number}.permissions]\n\"cards:read\" = \"GET /cards\""
        ));
    }
    let keys: Vec<(usize, Key)> =
        [0, 7, 100, 101, TENANTS - 1].map(|number| (number, Key::new(&format!("of_{number}"), &["cards:read"]))).into();
    for (number, key) in &keys {
        builder = builder.key_of(&format!("t{number}"), key);
    }
    let gateway = builder.start();
    let at =
        |method: &str, host: &str, path: &str| gateway.request(method, "").target(&format!("/v1{path}")).host(host);
    for (number, key) in &keys {
        let host = format!("tenant-{number}.test");
        let form = token_form(&key.id, &key.secret);
        let answer = at("POST", &host.to_uppercase(), "/oauth2/token").form(&form).send().expect(200).json();
        let token = answer["access_token"].as_str().unwrap();
        for host in [
            host.clone(),
            host.to_uppercase(),
            format!("tEnAnT-{number}.TeSt"),
            format!("{host}."),
            format!("{host}:80"),
        ] {
            at("GET", &host, "/cards").bearer(token).send().expect(200);
            assert_eq!(gateway.upstream.last().target, format!("/api/t{number}/cards"), "{host}");
            assert_refused(&gateway, &at("GET", &host, "/cards"), 401, "token_missing");
        }
        let other = format!("TENANT-{}.test", (number + 1) % TENANTS);
        assert_refused(&gateway, &at("GET", &other, "/cards").bearer(token), 401, "wrong_environment");
        assert_refused(
            &gateway,
            &at("GET", &format!("{host}.test"), "/cards").bearer(token),
            404,
            "environment_unknown",
        );
    }
}

const FORGED: &str = "Portcullis-Client-Id: evil\r\nPORTCULLIS_CLIENT_ID: evil\r\nPortcullis.Client.Id: evil\r\n\
    portcullis-client_id: evil\r\nPortcullis-Organization: evil\r\nPortcullis_Environment: evil\r\n\
    Portcullis-Operation: evil\r\nPortcullis.Role: evil\r\nX-Request-Id: evil\r\nX-Real-IP: evil\r\n";

/// Caddy GHSA-7r4p, Traefik GHSA-5m6w, oauth2-proxy CVE-2025-64484: identity that the caller brings along, on every kind of
/// route and in every shape of a request, by every name that an upstream may fold into ours.
#[test]
fn forged_identity_on_every_kind_of_route() {
    let gateway = Gateway::start();
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let token = gateway.writer_token();
    let base = BASE_PATH;
    let upgrade = "Connection: upgrade, Portcullis-Client-Id\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let chunks = "Transfer-Encoding: chunked\r\nTrailer: Portcullis-Client-Id\r\n";
    let trailers = "1\r\na\r\n0\r\nPortcullis-Client-Id: evil\r\nportcullis_operation: evil\r\n\r\n";
    let shapes = [
        (format!("GET {base}/cards HTTP/1.1"), "", "", Some("writer")),
        (format!("HEAD {base}/cards HTTP/1.1"), "", "", Some("writer")),
        (format!("GET {base}/cards HTTP/1.0"), "", "", Some("writer")),
        (format!("GET http://{HOST}{base}/cards HTTP/1.1"), "", "", Some("writer")),
        (
            format!("GET {base}/files/a/b?c HTTP/1.1"),
            "Connection: close, Portcullis-Client-Id, X-Request-Id\r\n",
            "",
            Some("writer"),
        ),
        (format!("PUT {base}/files/a HTTP/1.1"), chunks, trailers, Some("writer")),
        (format!("POST {base}/cards HTTP/1.1"), "Content-Length: 2\r\nExpect: 100-continue\r\n", "ab", Some("writer")),
        (format!("GET {base}/socket HTTP/1.1"), upgrade, "", Some("writer")),
        (format!("GET {base}/health HTTP/1.1"), "", "", None),
    ];
    for (line, fields, body, identity) in shapes {
        let head = format!("{line}\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n{FORGED}{fields}\r\n{body}");
        let mut connection = gateway.connect();
        connection.send(head);
        let mut status = connection.read_head().status;
        if status == 100 {
            status = connection.read_head().status;
        }
        assert!(matches!(status, 101 | 200), "{line}: {status}");
        let seen = gateway.upstream.last();
        assert!(!seen.head.contains("evil"), "{line}:\n{}", seen.head);
        assert_eq!(seen.header("portcullis-client-id"), identity, "{line}");
        assert_eq!(seen.header("portcullis-environment"), Some("production"));
        drop(connection);
        assert!(!String::from_utf8_lossy(&gateway.upstream.connections().concat()).contains("evil"), "{line}");
    }
    // Where Portcullis answers itself, nobody hears of it at all.
    let own = format!("GET {base}/oauth2/jwks HTTP/1.1\r\nHost: {HOST}\r\n{FORGED}\r\n");
    without_upstream(&gateway, || gateway.raw(own)).expect(200);
}

const RACES: usize = 40;

/// Oathkeeper GHSA-4mq7: a verdict that is cached while the key is being revoked. Tokens that were never seen before are
/// used for the first time beside their revocation; whatever begins after its answer is refused.
#[test]
fn first_use_of_a_token_races_its_revocation() {
    let upstream = RecordingUpstream::start();
    let folder = Folder::new(&upstream.url(), r#""cards:read" = ["GET /cards"]"#);
    let node = folder.start();
    for number in 0..RACES {
        let key = node.control().create(&format!("raced-{number}"), &["cards:read"]).unwrap();
        let token = node.edge().token(&key);
        let start = Barrier::new(9);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (mut wire, token, start) = (node.edge(), &token, &start);
                scope.spawn(move || {
                    start.wait();
                    let answer = wire.get("/v1/cards", token);
                    assert!(matches!(answer.status, 200 | 401), "{answer}");
                });
            }
            start.wait();
            node.control().revoke(&key.id).unwrap();
            let before = upstream.requests().len();
            let own = upstream.bytes_received();
            node.edge().get("/v1/cards", &token).refused(401, "key_revoked");
            // The others may still be on their way; ours is not among them.
            assert!(upstream.requests().len() - before <= 8 && upstream.bytes_received() >= own);
        });
        let settled = upstream.bytes_received();
        node.edge().get("/v1/cards", &token).refused(401, "key_revoked");
        assert_eq!(upstream.bytes_received(), settled);
    }
}

/// That an id was unknown a moment ago is not remembered.
#[test]
fn a_key_made_after_a_miss_works_at_once() {
    let gateway = Gateway::start();
    let late = Key::new("late", &["cards:read"]);
    let ask = || gateway.post("/oauth2/token").form(&token_form(&late.id, &late.secret)).send();
    for _ in 0..3 {
        assert_eq!(ask().status, 401);
    }
    gateway.edit_tenant(|text| text.to_owned() + &late.stanza("production"));
    let (status, answer) = gateway.control_request("POST", "/v1/reload", &Value::Null);
    assert_eq!(status, 200, "{answer}");
    let answer = ask().expect(200).json();
    gateway.get("/cards").bearer(answer["access_token"].as_str().unwrap()).send().expect(200);
}

/// A tenant file that is cut anywhere is refused, or opens nothing that the whole one does not.
#[test]
fn a_truncated_configuration_opens_nothing() {
    let gateway = Gateway::builder().node("[tenants]\nwatch = false").start();
    let reader = gateway.reader_token();
    let whole = std::fs::read_to_string(gateway.dir().join("tenants/acme.toml")).unwrap();
    let mut refused = 0;
    for cut in (0..whole.len()).step_by(whole.len() / 48).chain([whole.len() - 1]) {
        gateway.edit_tenant(|_| whole[..cut].to_owned());
        let (status, answer) = gateway.control_request("POST", "/v1/reload", &Value::Null);
        refused += u32::from(status == 422);
        assert!(matches!(status, 200 | 422), "cut at {cut}: {status} {answer}");
        for request in [
            gateway.get("/cards"),
            gateway.get("/cards").bearer("x"),
            gateway.get("/cards/blocked").bearer(&reader),
            gateway.post("/cards").bearer(&reader),
            gateway.get("/files/a").bearer(&reader),
        ] {
            let response = without_upstream(&gateway, || request.send());
            assert!(response.status >= 400, "cut at {cut}: {}", response.head);
        }
    }
    assert!(refused > 20, "only {refused} were refused");
}

/// A listener for both families sees IPv4 callers as `::ffff:a.b.c.d`; they count as `a.b.c.d`, and so does a line of an
/// allowlist that is written so.
#[test]
fn mapped_addresses_count_as_what_they_map() {
    let upstream = RecordingUpstream::start();
    let folder = Folder::new(&upstream.url(), r#""cards:read" = ["GET /cards"]"#);
    let dual = "[listeners.edge]\nbind = [\"[::]:0\"]\nplaintext = \"behind_proxy\"";
    folder.edit("portcullis.toml", "[listeners.edge]\nbind = [\"127.0.0.1:0\"]", dual);
    if std::net::TcpListener::bind("[::]:0").is_err() {
        eprintln!("skipped: this machine knows no IPv6");
        return;
    }
    let node = folder.start();
    let here = SocketAddr::from(([127, 0, 0, 1], node.edge.port()));
    let keys = crate::process::KEYS;
    for (name, network, open) in [
        ("plain", "127.0.0.1", true),
        ("mapped", "::ffff:127.0.0.1", true),
        ("range", "127.0.0.0/8", true),
        ("six", "::1", false),
    ] {
        let body = json!({"name": name, "permissions": ["cards:read"]});
        let key = Made::of(&node.control().post(keys, &body).unwrap().expect(201).json());
        let mut wire = Wire::new(here, HOST);
        let token = wire.token(&key);
        let allowlist = json!({"allowlist": {"networks": [network]}});
        let answer = node.control().send("PATCH", &format!("{keys}/{}", key.id), &allowlist).unwrap();
        assert_eq!(answer.status, 200, "{network}: {answer}");
        if open {
            wire.get("/v1/cards", &token).expect(200);
            assert!(upstream.last().header("x-forwarded-for") == Some("127.0.0.1"), "{}", upstream.last().head);
        } else {
            let before = upstream.bytes_received();
            wire.get("/v1/cards", &token).refused(403, "ip_not_allowed");
            assert_eq!(upstream.bytes_received(), before);
        }
    }
}

/// Paths, hosts, methods and agents that nobody has seen before are nobody's label: see also `random_requests_make_no_series`.
#[test]
fn a_pool_of_misses_makes_no_memory() {
    let gateway = Gateway::start();
    let known = reader().id;
    let mut connection = gateway.connect();
    let mut resident = Vec::new();
    for round in 0..3 {
        for number in 0..1500 {
            let request = gateway.get(&format!("/cards/{round}-{number}")).bearer(&format!("{known}.{round}.{number}"));
            assert_eq!(request.send_on(&mut connection).status, 401);
        }
        resident.push(eventually("a number", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).ok()?;
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok())
        }));
    }
    assert!(resident[2] < resident[1] + 8 * 1024, "{resident:?} KiB");
}
