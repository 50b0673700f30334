//! TLS on the edge: the handshake's time, what the upstream and browsers are told, and SNI against Host.

use super::{assert_refusal, without_upstream};
use crate::harness::{Answer, Authority, Connection, End, Gateway, GatewayBuilder, client_config, eventually, reader};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::process::Command;
use std::time::{Duration, Instant};

const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// A gateway that speaks TLS as `gate.test` and `other.test`, and who signed for it.
fn with(builder: GatewayBuilder) -> (Gateway, Authority) {
    let authority = Authority::new();
    let certificate = authority.certificate(&["gate.test", "other.test", "unserved.test", "127.0.0.1"]);
    (builder.tls(&[&certificate]).start(), authority)
}

fn open(gateway: &Gateway, authority: &Authority) -> Connection {
    gateway.connect().secure(&authority.pem(), "gate.test", HTTP1).unwrap()
}

/// A token for the reader, asked for over TLS.
fn token(gateway: &Gateway, authority: &Authority) -> String {
    let key = reader();
    let request = gateway.post("/oauth2/token").basic(&key.id, &key.secret).form("grant_type=client_credentials");
    let answer = request.send_on(&mut open(gateway, authority)).expect(200).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn requests_pass_and_the_upstream_knows_how_they_came() {
    let (gateway, authority) = with(Gateway::builder());
    let token = token(&gateway, &authority);
    let mut connection = open(&gateway, &authority);
    for _ in 0..3 {
        gateway.get("/cards").bearer(&token).header("X-Forwarded-Proto", "http").send_on(&mut connection).expect(200);
        let seen = gateway.upstream.last();
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;proto=https"));
        assert_eq!(seen.header("via"), Some("1.1 portcullis"));
    }
    assert_eq!(gateway.upstream.connections().len(), 1);
}

#[test]
fn browsers_are_told_to_come_back_by_tls_on_every_answer() {
    let (gateway, authority) = with(Gateway::builder());
    let token = token(&gateway, &authority);
    let mut connection = open(&gateway, &authority);
    let own = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n";
    gateway.upstream.on("/api/cards/own", Answer::Bytes(own.into()));
    let year = Some("max-age=31536000");
    for (request, status, said) in [
        (gateway.get("/cards").bearer(&token), 200, year),
        (gateway.get("/cards/own").bearer(&token), 200, Some("max-age=1")),
        (gateway.get("/cards"), 401, year),
        (gateway.get("/oauth2/jwks"), 200, year),
        (gateway.get("/x").target("/nowhere"), 404, year),
        (gateway.post("/oauth2/token").form("grant_type=x"), 400, year),
    ] {
        let answer = request.send_on(&mut connection).expect(status);
        assert_eq!(answer.header("strict-transport-security"), said, "{}", answer.head);
    }
    let malformed = connection.exchange(b"GET / HTTP/1.1\r\n\r\n");
    assert_refusal(&malformed, 400, "malformed_request");
    assert_eq!(malformed.header("strict-transport-security"), year);
    let off = Gateway::builder().edge_listener("tls.hsts = \"off\"");
    let (gateway, authority) = with(off);
    let answer = gateway.get("/cards").send_on(&mut open(&gateway, &authority)).expect(401);
    assert_eq!(answer.header("strict-transport-security"), None);
    // Over plain HTTP it must not be said (RFC 6797 section 7.2).
    assert_eq!(Gateway::start().get("/cards").send().header("strict-transport-security"), None);
}

#[test]
fn a_handshake_ends_in_time_or_not_at_all() {
    let (gateway, authority) = with(Gateway::builder().node("[edge.limits]\nhandshake_timeout = \"500ms\""));
    without_upstream(&gateway, || {
        for first in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
            let since = Instant::now();
            let mut connection = gateway.connect();
            connection.send(first);
            let (bytes, end) = connection.read_to_end();
            let waited = since.elapsed();
            assert!(bytes.is_empty() && end != End::Silent, "{first:?} {end:?} {bytes:?}");
            assert!(waited > Duration::from_millis(400) && waited < Duration::from_secs(5), "{waited:?}");
        }
    });
    // Once it is over, the request has its own time.
    let mut connection = open(&gateway, &authority);
    std::thread::sleep(Duration::from_millis(800));
    gateway.get("/cards").send_on(&mut connection).expect(401);
    eventually("they are counted", || {
        gateway.metrics().contains("refused_total{reason=\"handshake_timeout\"} 3").then_some(())
    });
}

#[test]
fn plain_http_on_the_port_of_tls_reaches_nobody() {
    let (gateway, authority) = with(Gateway::builder());
    let token = token(&gateway, &authority);
    let request = gateway.get("/cards").bearer(&token).bytes();
    without_upstream(&gateway, || {
        let mut connection = gateway.connect();
        connection.send(&request);
        let (bytes, end) = connection.read_to_end();
        // An alert at most (RFC 8446 section 6).
        assert!(bytes.len() <= 7 && !bytes.starts_with(b"HTTP") && end != End::Silent, "{end:?} {bytes:?}");
    });
    eventually("it is counted", || {
        gateway.metrics().contains("refused_total{reason=\"tls_handshake\"} 1").then_some(())
    });
}

#[test]
fn a_name_of_another_environment_is_not_taken_for_host() {
    let other = "[environments.other]\nbase_url = \"https://other.test/v1\"\nupstream = \"{upstream}\"\n";
    let (gateway, authority) = with(Gateway::builder().tables(other));
    let token = token(&gateway, &authority);
    let request = gateway.get("/cards").bearer(&token);
    let as_name = |name: &str| gateway.connect().secure(&authority.pem(), name, HTTP1).unwrap();
    let refused = without_upstream(&gateway, || request.send_on(&mut as_name("other.test")));
    assert_refusal(&refused, 421, "misdirected_request");
    // The same the other way round, whatever else would be said, and with a port or dot in Host.
    for host in ["other.test", "Other.Test:443", "other.test."] {
        let request = gateway.get("/x").target("/v1/x").host(host);
        let refused = without_upstream(&gateway, || request.send_on(&mut as_name("gate.test")));
        assert_refusal(&refused, 421, "misdirected_request");
        let refused = request.send_on(&mut as_name("other.test"));
        assert_refusal(&refused, 401, "token_missing");
    }
    // The refusal ends no connection: its next request may be right (RFC 9110 section 15.5.20).
    let mut connection = as_name("gate.test");
    gateway.get("/x").target("/v1/x").host("other.test").send_on(&mut connection).expect(421);
    request.send_on(&mut connection).expect(200);
    // A name that is nobody's says nothing, and neither does none.
    request.send_on(&mut as_name("unserved.test")).expect(200);
    request.send_on(&mut as_name("127.0.0.1")).expect(200);
}

#[test]
fn callers_show_certificates_where_they_are_asked_to() {
    let clients = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
    let asked = format!("tls.client_ca_file = \"{}\"", folder.path().join("clients.pem").display());
    let (gateway, authority) = with(Gateway::builder().edge_listener(&asked));
    let shown = |by: &Authority| {
        let certificate = by.certificate(&["caller.test"]);
        let mut config = client_config(&authority.pem(), HTTP1);
        let chain = vec![CertificateDer::from_pem_slice(certificate.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes()).unwrap();
        let resolver = rustls::sign::SingleCertAndKey::from(
            rustls::sign::CertifiedKey::from_der(chain, key, config.crypto_provider()).unwrap(),
        );
        config.client_auth_cert_resolver = std::sync::Arc::new(resolver);
        let mut connection = gateway.connect();
        connection.start_tls(config, "gate.test").map(|()| connection)
    };
    gateway.get("/cards").send_on(&mut shown(&clients).unwrap()).expect(401);
    // In TLS 1.3 the caller hears of it with the first answer.
    let nobody = gateway.connect().secure(&authority.pem(), "gate.test", HTTP1);
    for refused in [nobody, shown(&Authority::new())] {
        let Ok(mut connection) = refused else { continue };
        connection.send(gateway.get("/cards").bytes());
        assert!(connection.read_to_end().0.is_empty());
    }
}

#[test]
fn curl_takes_it_for_the_real_thing() {
    let (gateway, authority) = with(Gateway::builder());
    let token = token(&gateway, &authority);
    let ca = gateway.dir().join("authority.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let to = gateway.edge();
    for (version, shown) in [("--http1.1", "1.1"), ("--http2", "2"), ("--tlsv1.3", "2")] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", version, "-w", "\n%{http_version} %{http_code}", "--cacert"])
            .arg(&ca)
            .args(["--resolve", &format!("gate.test:{}:127.0.0.1", to.port())])
            .args(["-H", "Host: gate.test", "-H", &format!("Authorization: Bearer {token}")])
            .arg(format!("https://gate.test:{}/v1/production/cards", to.port()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.ends_with(&format!("{shown} 200")), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
