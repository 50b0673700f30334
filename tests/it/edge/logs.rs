//! What the node says of requests: every line can be read by a program whatever a caller sent, and none holds a secret.

use super::{head, without_upstream};
use crate::harness::{Answer, Connection, Gateway, Key, UPSTREAM_PATH, eventually, token_form, writer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Every line of the access log, each a JSON object.
#[track_caller]
fn lines(gateway: &Gateway) -> Vec<Value> {
    let stdout = gateway.stdout();
    let parsed =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    parsed.inspect(|line: &Value| assert!(line.is_object(), "{line}")).collect()
}

#[test]
fn the_trace_of_a_caller_goes_on_and_another_begins_here() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let sent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let response = gateway.get("/cards").bearer(&token).header("traceparent", &sent).send().expect(200);
    let id = response.header("x-request-id").unwrap();
    assert_eq!(gateway.log_line(id)["trace_id"], TRACE);
    assert_eq!(gateway.upstream.last().header("traceparent"), Some(sent.as_str()));
    // A refused request is traced as well.
    let response = gateway.get("/cards").header("traceparent", &sent).send().expect(401);
    assert_eq!(gateway.log_line(response.header("x-request-id").unwrap())["trace_id"], TRACE);
    for bad in ["", "00-0-0-0", "zz", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "\"\\\u{1b}"] {
        let request = gateway.get("/cards").bearer(&token);
        let response = if bad.is_empty() { request } else { request.header("traceparent", bad) }.send();
        if response.status != 200 {
            continue; // A control byte is no header value.
        }
        let id = response.header("x-request-id").unwrap().to_owned();
        assert_eq!(gateway.log_line(&id)["trace_id"], id.as_str(), "{bad}");
        let upstream = gateway.upstream.last();
        assert_eq!(upstream.header("traceparent"), Some(format!("00-{id}-{}-00", &id[..16]).as_str()));
    }
}

/// Bytes that end lines, quote, escape, turn text around, or are no text.
const ODD: [&[u8]; 12] = [
    b"%0a{\"forged\":true}%0d%0a",
    b"'%22\"",
    b"\\",
    b"%1b[31m",
    b"\x1b[31m",
    b"\xff\xfe",
    b"\xe2\x80\xae",
    b"\n",
    b"\r",
    b"\0",
    b"%e2%80%ae%00",
    b"\xc2\x85\xe2\x80\xa8",
];

#[test]
fn no_byte_of_a_caller_breaks_a_line() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let mut sent = 0;
    for odd in ODD {
        let around = |before: &str, after: &str| [before.as_bytes(), odd, after.as_bytes()].concat();
        let rest = format!("Authorization: Bearer {token}\r\n\r\n");
        for bytes in [
            around("GET /v1/production/cards/", &format!(" HTTP/1.1\r\nHost: gate.test\r\n{rest}")),
            around("GET /v1/production/cards?", &format!(" HTTP/1.1\r\nHost: gate.test\r\n{rest}")),
            around("GET /v1/production/cards HTTP/1.1\r\nHost: gate.test", &format!("\r\n{rest}")),
            around("GET", &format!(" /v1/production/cards HTTP/1.1\r\nHost: gate.test\r\n{rest}")),
            around("GET /v1/production/cards HTTP/1.1\r\nHost: gate.test\r\nX-Forwarded-For: ", &format!("\r\n{rest}")),
            around("GET /v1/production/cards HTTP/1.1\r\nHost: gate.test\r\ntraceparent: ", &format!("\r\n{rest}")),
            around("GET /v1/production/cards HTTP/1.1\r\nHost: gate.test\r\nUser-Agent: ", &format!("\r\n{rest}")),
        ] {
            let mut connection = gateway.connect();
            connection.send(&bytes);
            connection.finish();
            let _ = connection.read_to_end();
            sent += 1;
        }
    }
    let last = gateway.get("/cards").bearer(&token).send().expect(200);
    gateway.log_line(last.header("x-request-id").unwrap());
    let lines = lines(&gateway);
    assert!(lines.len() > sent / 2, "{} lines for {sent} requests", lines.len());
    for line in &lines {
        assert_eq!(line.get("forged"), None, "{line}");
        // Not escaped by JSON, and unwelcome on a terminal.
        assert!(line.to_string().chars().all(|c| !c.is_control()), "{line}");
    }
}

/// A gateway where every secret that it can know of is a canary, saying as much as it can be made to.
fn talkative() -> Gateway {
    let expired = Key::new("lapsed", &["cards:read"]).expiring("2020-01-01T00:00:00Z");
    let elsewhere = Key::new("elsewhere", &["cards:read"]).allowed_from(&["192.0.2.1"]);
    Gateway::builder()
        .upstream_table("set_headers = { \"x-internal\" = \"canary-set-header\" }")
        .key(&expired)
        .key(&elsewhere)
        .log("debug")
        .start()
}

/// A request in each state that one can be in, with secrets wherever callers put them.
fn every_path(gateway: &Gateway, tokens: &[String]) {
    let broken = ["/broken", "/closed", "/garbage"];
    gateway.upstream.on("/api/files/closed", Answer::Close);
    gateway.upstream.on("/api/files/garbage", Answer::BytesThenClose(b"canary-upstream-garbage\r\n\r\n".to_vec()));
    gateway.upstream.on(
        "/api/files/broken",
        Answer::BytesThenClose(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: s=canary-set-cookie\r\nContent-Length: 9\r\n\r\nx".to_vec(),
        ),
    );
    let carrying = "Host: gate.test\r\nAuthorization: Bearer {token}\r\nCookie: sid=canary-cookie\r\n\
                    X-Api-Key: canary-api-key\r\nProxy-Authorization: Basic canary-proxy";
    let mut paths = vec!["/cards", "/cards/blocked", "/unknown", "/health", "/oauth2/token", "/oauth2/nothing"];
    let files: Vec<String> = broken.iter().map(|path| format!("/files{path}")).collect();
    paths.extend(files.iter().map(String::as_str));
    for token in tokens {
        for path in &paths {
            for method in ["GET", "TRACE", "PUT"] {
                let line = format!("{method} /v1/production{path}?access_token=canary-query HTTP/1.1");
                let _ = exchange(gateway, &head(&line, carrying, token));
            }
        }
        // Heads that are refused, torn bodies, expectations, upgrades.
        for lines in [
            format!("{carrying}\r\nX : canary-malformed"),
            format!("{carrying}\r\nX-Long: {}", "canary-long".repeat(4000)),
            format!("{carrying}\r\nTransfer-Encoding: chunked\r\n\r\nzz-canary-chunk"),
            format!("{carrying}\r\nExpect: 100-continue\r\nContent-Length: 5"),
            format!("{carrying}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: canary-socket"),
            format!("{carrying}\r\nX-Forwarded-For: canary-forwarded"),
        ] {
            let _ = exchange(gateway, &head("PUT /v1/production/files/a HTTP/1.1", &lines, token));
        }
        let _ = exchange(gateway, format!("canary-not-http {token}\r\n\r\n").as_bytes());
    }
}

/// Sends, says the end, and reads whatever comes.
fn exchange(gateway: &Gateway, bytes: &[u8]) -> Vec<u8> {
    let mut connection = gateway.connect();
    connection.send(bytes);
    connection.finish();
    connection.read_to_end().0
}

fn token_endpoint(gateway: &Gateway) {
    let id = &writer().id;
    for (id, secret) in [
        (id.as_str(), "pculls_canary_wrong"),
        ("nobody", "pculls_canary_nobody"),
        ("lapsed", "pculls_canary_lapsed_secret"),
        ("elsewhere", "pculls_canary_elsewhere_secret"),
    ] {
        for path in ["token", "introspect", "revoke"] {
            let path = format!("/oauth2/{path}");
            let form = token_form(id, secret) + "&token=canary-asked-token";
            let _ = gateway.post(&path).form(&form).send();
            let _ = gateway.post(&path).basic(id, secret).form("grant_type=client_credentials&token=canary-b").send();
            let _ = gateway.post(&format!("{path}?client_secret={secret}")).form("").send();
            let _ = gateway.post(&path).body("application/json", format!("{{\"client_secret\":\"{secret}\"}}")).send();
        }
    }
}

/// Nothing secret, in whichever spelling it was sent.
#[track_caller]
fn assert_silent(what: &str, text: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(text);
    for secret in secrets.iter().map(String::as_str).chain(["canary"]) {
        if let Some(at) = text.find(secret) {
            let around: String = text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(400).collect();
            panic!("{what} holds `{secret}`: ...{around}...");
        }
    }
}

#[test]
fn no_secret_is_said_at_the_most_talkative_level() {
    let gateway = talkative();
    let made = gateway.create_key("made", &["cards:read"]);
    let mut tokens = vec![gateway.reader_token(), gateway.writer_token(), "canary-no-token".to_owned()];
    tokens.push(crate::harness::token(&gateway, &made.0, &made.1));
    every_path(&gateway, &tokens);
    token_endpoint(&gateway);
    let rotated = gateway.change_key(&made.0, "rotate", &serde_json::json!({"expires_at": null}));
    let second = rotated["client_secret"].as_str().unwrap().to_owned();
    let third = crate::harness::token(&gateway, &made.0, &second);
    gateway.post("/oauth2/revoke").form(&format!("{}&token={third}", token_form(&made.0, &second))).send().expect(200);
    gateway.get("/cards").bearer(&third).send().expect(401);
    let last = gateway.get("/cards").bearer(&tokens[0]).send().expect(200);
    gateway.log_line(last.header("x-request-id").unwrap());

    let bootstrap = gateway.bootstrap_token();
    let mut secrets = vec![made.1, second, third, bootstrap];
    secrets.extend(tokens);
    assert!(gateway.stderr().contains("DEBUG") || gateway.stderr().contains("INFO"), "words are on");
    assert_silent("standard output", gateway.stdout().as_bytes(), &secrets);
    assert_silent("standard error", gateway.stderr().as_bytes(), &secrets);
    assert_silent("the metrics", gateway.metrics().as_bytes(), &secrets);
    for path in ["/readyz", "/readyz?verbose", "/livez"] {
        assert_silent(path, &gateway.probe(path).body, &secrets);
    }
    for path in ["/v1/status", "/v1/organizations/acme/audit", "/v1/organizations/acme/environments"] {
        let (_, answer) = gateway.control_request("GET", path, &Value::Null);
        assert_silent(path, answer.to_string().as_bytes(), &secrets);
    }
    for file in stored(&gateway) {
        let bytes = std::fs::read(&file).unwrap();
        assert_silent(&file.display().to_string(), &bytes, &secrets);
    }
}

/// Every file of the data folder but the one that is there to hold the bootstrap token.
fn stored(gateway: &Gateway) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(gateway.dir().join("data")).unwrap().flatten();
    let files: Vec<_> = files.map(|file| file.path()).filter(|path| path.is_file()).collect();
    let named = |path: &std::path::Path, name: &str| path.file_name().is_some_and(|file| file == name);
    assert!(files.iter().any(|path| path.extension().is_some_and(|extension| extension == "db")), "{files:?}");
    files.into_iter().filter(|path| !named(path, "bootstrap-token")).collect()
}

/// An unsound or unknown level turns nothing on: other people's libraries say nothing at all.
#[test]
fn nobody_else_speaks() {
    for level in ["trace", "pingora=trace", "debug,pingora_proxy=debug,h2=trace", "off,hyper=debug", "debug"] {
        let gateway = Gateway::builder().log(level).start();
        let token = gateway.writer_token();
        gateway.upstream.on("/api/files/closed", Answer::Close);
        gateway.get("/files/closed").bearer(&token).send().expect(502);
        let _ = exchange(&gateway, b"canary\r\n\r\n");
        gateway.get("/cards").bearer(&token).send().expect(200);
        let stderr = gateway.stderr();
        for theirs in ["pingora", "h2::", "hyper", "rustls", "Fail to proxy", "downstream event"] {
            assert!(!stderr.contains(theirs), "{level}: {stderr}");
        }
    }
}

#[test]
fn words_as_json() {
    let gateway = Gateway::builder().node("[log]\nformat = \"json\"").log("debug").start();
    let token = gateway.writer_token();
    gateway.upstream.on("/api/files/closed", Answer::Close);
    gateway.get("/files/closed").bearer(&token).send().expect(502);
    let stderr = eventually("the failure is told", || {
        let stderr = gateway.stderr();
        stderr.contains("a request failed").then_some(stderr)
    });
    let mut levels = BTreeSet::new();
    for line in stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["time"].is_string() && line["message"].is_string(), "{line}");
        levels.insert(line["level"].as_str().unwrap().to_owned());
        if line["message"] == "a request failed" {
            assert_eq!(line["code"], "upstream_protocol", "{line}");
            assert_eq!(line["request_id"].as_str().map(str::len), Some(32));
        }
    }
    assert!(levels.contains("info") && levels.contains("warn"), "{levels:?}");
}

/// Whatever paths, methods and hosts there are, the metrics stay as many.
#[test]
fn metrics_do_not_grow_with_what_callers_send() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    let series = |gateway: &Gateway| gateway.metrics().lines().filter(|line| !line.starts_with('#')).count();
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut connection = gateway.connect();
    let mut send = |count: usize| {
        for _ in 0..count {
            let (a, b) = (random(), random());
            let mut bytes = String::new();
            let method = if a % 3 == 0 { "GET".to_owned() } else { format!("M{a:x}") };
            let host = if b % 2 == 0 { "gate.test".to_owned() } else { format!("h{b:x}.test") };
            let _ = write!(bytes, "{method} /v1/production/files/{a:x}/{b:x} HTTP/1.1\r\nHost: {host}\r\n");
            let bearer = if a % 5 == 0 { format!("t{b:x}") } else { token.clone() };
            let _ = write!(bytes, "Authorization: Bearer {bearer}\r\nUser-Agent: {a:x}\r\n\r\n");
            ask(&gateway, &mut connection, bytes.as_bytes());
        }
    };
    send(300);
    let before = series(&gateway);
    send(2000);
    let after = series(&gateway);
    assert_eq!(before, after);
}

/// Sends on one connection; on a new one where that was closed.
fn ask(gateway: &Gateway, connection: &mut Connection, bytes: &[u8]) {
    let response = connection.exchange(bytes);
    if response.header("connection").is_some_and(|value| value == "close") {
        *connection = gateway.connect();
    }
}

/// No upstream's address or path in an answer, and nothing of a request in words.
#[test]
fn answers_hold_nothing_of_the_inside() {
    let gateway = talkative();
    let token = gateway.writer_token();
    gateway.upstream.on("/api/files/closed", Answer::Close);
    let failed = gateway.get("/files/closed?canary=1").bearer(&token).send().expect(502);
    let inside = gateway.upstream.address().port().to_string();
    assert!(!failed.text().contains(&inside) && !failed.text().contains(UPSTREAM_PATH), "{}", failed.text());
    let refused = without_upstream(&gateway, || gateway.get("/cards").bearer("canary-token").send().expect(401));
    assert_silent("a refusal", refused.text().as_bytes(), std::slice::from_ref(&token));
}
