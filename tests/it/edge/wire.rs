//! Rules of the wire that have no better place: the switches of paths, bodies of any size, credentials that are none.

use super::{assert_refusal, assert_refused, without_upstream};
use crate::harness::{Connection, Gateway, RecordingUpstream};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A switch, one of its values, paths that pass then, and paths that do not. The first of each is the default.
const SWITCHES: [(&str, &str, &[&str], &[&str]); 12] = [
    ("encoded_slash", "refuse", &[], &["/files/a%2fb", "/files/a%2Fb", "/files/%2f"]),
    (
        "encoded_slash",
        "opaque",
        &["/files/a%2fb", "/files/a%2Fb"],
        &["/files/..%2fb", "/files/a%2f%2e%2e", "/files/a%2f.."],
    ),
    ("encoded_backslash", "refuse", &[], &["/files/a%5cb", "/files/a%5Cb"]),
    (
        "encoded_backslash",
        "opaque",
        &["/files/a%5cb", "/files/a%5Cb"],
        &["/files/..%5cb", "/files/a%5c%2E%2e", "/files/a\\b"],
    ),
    (
        "double_encoding",
        "guarded",
        &["/files/a%2541"],
        &[
            "/files/a%252fb",
            "/files/%252e%252e",
            "/files/a%255c",
            "/files/%2500",
            "/files/%25252f",
            "/files/%25%32%65%25%32%65/a",
        ],
    ),
    ("double_encoding", "refuse", &["/files/a%25zz"], &["/files/a%2541", "/files/a%252f"]),
    (
        "double_encoding",
        "opaque",
        &["/files/a%2541", "/files/a%252fb", "/files/%252e%252e"],
        &["/files/%2e%2e", "/files/%00"],
    ),
    (
        "semicolon",
        "guarded",
        &["/files/a;b=1"],
        &["/files/;b", "/files/..;/b", "/files/.;b", "/files/%2e%2e;x", "/files/%253Bb"],
    ),
    ("semicolon", "refuse", &["/files/a"], &["/files/a;b=1", "/files/;b", "/files/a%253Bb"]),
    ("semicolon", "opaque", &["/files/a;b=1", "/files/;b"], &["/files/..;/b", "/files/.;b"]),
    ("empty_segments", "refuse", &["/files/a/"], &["/files//a", "/files/a//", "//files/a"]),
    ("empty_segments", "literal", &["/files//a", "/files/a//"], &["/files//../a"]),
];

/// What no switch lifts.
const NEVER: [&str; 10] = [
    "/files/../a",
    "/files/./a",
    "/files/%2e%2E/a",
    "/files/.%2e",
    "/files/a\\b",
    "/files/%00",
    "/files/\u{e9}",
    "/files/a#b",
    "/files/%zz",
    "/files/a%2",
];

#[test]
fn each_switch_of_a_path_both_ways() {
    for (switch, value, passing, refused) in SWITCHES {
        let gateway = Gateway::builder().paths(&format!("{switch} = \"{value}\"")).start();
        let token = gateway.writer_token();
        for path in passing {
            eprintln!("{switch} = {value}: {path}");
            gateway.get(path).bearer(&token).send().expect(200);
            assert_eq!(gateway.upstream.last().target, format!("/api{path}"));
        }
        for path in refused.iter().chain(&NEVER) {
            eprintln!("{switch} = {value}: not {path}");
            assert_refused(&gateway, &gateway.get(path).bearer(&token), 400, "target_ambiguous");
        }
        // A switch lifts its own rule and no other.
        for (other, _, _, paths) in SWITCHES.iter().filter(|(other, ..)| *other != switch).step_by(2) {
            if matches!(*other, "encoded_slash" | "encoded_backslash" | "empty_segments") {
                assert_refused(&gateway, &gateway.get(paths[0]).bearer(&token), 400, "target_ambiguous");
            }
        }
    }
}

/// RFC 7515 section 4.1 lets a header say where its key is. Nobody goes there.
#[test]
fn keys_that_a_token_brings_along_are_not_fetched() {
    let gateway = Gateway::start();
    let elsewhere = RecordingUpstream::start();
    let token = gateway.reader_token();
    let claims = token.split('.').nth(1).unwrap();
    let url = format!("{}/keys", elsewhere.url());
    for member in ["jku", "x5u", "jwk", "x5c", "kid"] {
        for alg in ["EdDSA", "HS256", "RS256"] {
            let mut header = json!({"typ": "at+jwt", "alg": alg});
            header[member] = match member {
                "jwk" => json!({"kty": "oct", "k": "c2VjcmV0", "x5u": url}),
                "x5c" => json!(["MIIB"]),
                _ => json!(url),
            };
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            let forged = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
            assert_refused(&gateway, &gateway.get("/cards").bearer(&forged), 401, "token_invalid");
        }
    }
    assert_eq!(elsewhere.connections().len(), 0, "a key was asked for");
}

#[test]
fn a_credential_of_many_dots() {
    let gateway = Gateway::start();
    assert_refused(&gateway, &gateway.get("/cards").bearer(&".".repeat(30_000)), 401, "token_invalid");
    assert_refused(&gateway, &gateway.get("/cards").bearer(&".".repeat(100_000)), 431, "headers_too_large");
    let at = |length: usize| gateway.get("/cards").bearer(&"a".repeat(length));
    for length in [8 * 1024, 8 * 1024 + 1] {
        assert_refused(&gateway, &at(length), 401, "token_invalid");
    }
}

/// A tab or a comma beside a token is no token; the scheme needs a space (RFC 6750 section 2.1).
#[test]
fn a_bearer_with_something_beside_it() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    for value in [
        format!("Bearer\t{token}"),
        format!("Bearer {token}\t{token}"),
        format!("Bearer {token},{token}"),
        format!("Bearer {token}, Basic YTpi"),
        format!("Bearer \"{token}\""),
        format!("Bearer={token}"),
        format!("Bearer: {token}"),
        format!("Basic YTpi, Bearer {token}"),
        token.clone(),
    ] {
        let request = gateway.get("/cards").header("Authorization", &value);
        let response = without_upstream(&gateway, || request.send());
        let code = response.header("portcullis-error").unwrap().to_owned();
        assert!(matches!(code.as_str(), "token_invalid" | "token_missing"), "{value}: {code}");
        assert_refusal(&response, 401, &code);
    }
}

const LARGE: usize = 96 * 1024 * 1024;
/// What it may take beyond what it had, in KiB.
const MOST_MORE: u64 = 24 * 1024;

/// Reads a body away and answers one of `LARGE` bytes, again and again.
fn large_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_largely(stream));
        }
    });
    address
}

fn answer_largely(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        for _ in 0..LARGE / 65536 {
            if stream.write_all(&[b'x'; 65536]).is_err() {
                return;
            }
        }
    }
}

fn kibibytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn bodies_of_any_size_at_constant_memory() {
    let gateway = Gateway::builder().upstream_url(&format!("http://{}/api", large_upstream())).start();
    let token = gateway.writer_token();
    let before = kibibytes(gateway.pid(), "VmRSS:");
    let head = gateway.request("PUT", "/files/a").bearer(&token).header("Content-Length", &LARGE.to_string()).bytes();
    let mut connection: Connection = gateway.connect();
    connection.send(&head);
    for _ in 0..LARGE / 65536 {
        connection.send([b'y'; 65536]);
    }
    connection.read_head().expect(200);
    let mut received = 0;
    while received < LARGE {
        let (bytes, _) = connection.read_exactly(65536);
        assert_eq!(bytes.len(), 65536, "cut after {received}");
        received += bytes.len();
    }
    let most = kibibytes(gateway.pid(), "VmHWM:");
    eprintln!("{LARGE} bytes each way: {before} KiB before, {most} KiB at most");
    assert!(most < before + MOST_MORE, "{before} KiB before, {most} KiB at most");
}
