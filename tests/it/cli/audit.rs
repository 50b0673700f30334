//! `audit`.

use super::{Asked, Stub, answering_once};
use serde_json::{Value, json};

const AUDIT: &str = "/v1/organizations/acme/audit";

fn row(number: u64, code: Value) -> Value {
    json!({"number": number, "at": "2026-01-01T00:00:00Z", "actor": {"type": "member", "id": "mbr_a", "name": "Ada"},
        "action": "key.create", "target": {"type": "key", "id": "pcull_a", "name": "nightly"}, "environment": "production",
        "address": "127.0.0.1", "request_id": "r", "before": null, "after": {"name": "nightly"}, "code": code, "count": 1,
        "previous": "00", "hash": "01"})
}

#[test]
fn rows_are_a_table_or_json() {
    let mut refused = row(3, json!("not_allowed"));
    refused["action"] = "refused".into();
    refused["actor"] = json!({"type": "operator", "id": null, "name": "operator"});
    refused["target"] = Value::Null;
    refused["after"] = json!({"route": "GET /v1/x"});
    let rows = json!([refused, row(2, json!("name_taken")), row(1, Value::Null)]);
    let listing = json!({"data": rows, "next_cursor": null});
    let stub = Stub::routes([("GET /v1/organizations/acme/audit?limit=100", 200, listing.clone())]);
    let ran = stub.run(&["audit", "list", "--org=acme"]).exited(0);
    assert_eq!(
        ran.stdout,
        "NUMBER  AT                    ACTOR       ACTION                   TARGET       ENVIRONMENT  ADDRESS    COUNT\n\
         3       2026-01-01T00:00:00Z  operator    refused (not_allowed)    GET /v1/x    production   127.0.0.1  1\n\
         2       2026-01-01T00:00:00Z  member Ada  key.create (name_taken)  key nightly  production   127.0.0.1  1\n\
         1       2026-01-01T00:00:00Z  member Ada  key.create               key nightly  production   127.0.0.1  1\n"
    );
    assert_eq!(stub.run(&["audit", "list", "--org=acme", "--json"]).exited(0).json(), listing);
}

#[test]
fn filters_go_to_the_server() {
    let stub = Stub::answering(|_| (200, json!({"data": []})));
    let filters = ["--action=key.create", "--actor=mbr_a", "--target=pcull_a", "--since=2026-01-01T00:00:00Z"];
    let args = [&["audit", "list", "--org=acme", "--limit=5"], &filters[..]].concat();
    stub.run(&args).exited(0).says("no audit rows");
    stub.only(&format!(
        "GET {AUDIT}?limit=5&action=key.create&actor=mbr_a&target=pcull_a&since=2026-01-01T00%3A00%3A00Z"
    ));
    stub.run(&["audit", "list", "--node"]).exited(0);
    stub.only("GET /v1/audit?limit=100");
}

#[test]
fn a_broken_chain_exits_9() {
    let whole = json!({"ok": true, "rows": 2, "head": "ab", "problem": null});
    let stub = Stub::routes([
        ("GET /v1/organizations/acme/audit/verify", 200, whole.clone()),
        (
            "GET /v1/audit/verify",
            200,
            json!({"ok": false, "rows": 2, "head": "ab", "problem": {"number": 2, "reason": "its hash is not its own"}}),
        ),
    ]);
    assert_eq!(stub.run(&["audit", "verify", "--org=acme", "--json"]).exited(0).json(), whole);
    stub.run(&["audit", "verify", "--org=acme"]).exited(0).shows("rows  2");
    let ran = stub.run(&["audit", "verify", "--node"]).exited(9).says("broken at row 2: its hash is not its own");
    ran.shows("ok    false");
}

fn exported(answer: Vec<u8>) -> super::Ran {
    let server = answering_once(answer);
    let args = ["audit", "export", "--org=acme", "--server", &server];
    super::Run::ran(super::portcullis(&args).env("PORTCULLIS_TOKEN", "sesame"))
}

#[test]
fn an_export_streams_whole_lines() {
    // Far beyond what an answer may have that is held in memory.
    let line = format!("{}\n", row(1, Value::Null));
    let lines = 40 * 1024 * 1024 / line.len();
    let body = line.repeat(lines);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ncontent-length: {}\r\n\r\n", body.len());
    let ran = exported([head.as_bytes(), body.as_bytes()].concat()).exited(0);
    assert_eq!((ran.stdout.len(), ran.stderr.as_str()), (body.len(), ""));
    assert!(ran.stdout == body);
}

#[test]
fn an_export_that_breaks_off_is_told() {
    let line = format!("{}\n", row(1, Value::Null));
    let short = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}", line.len() + 1);
    exported(short.into_bytes()).exited(8).says("incomplete");
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n", line.len());
    exported(chunked.into_bytes()).exited(8).says("incomplete");
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", line.len() - 1, line.trim_end());
    exported(half.into_bytes()).exited(8).says("last line");
    let refused = Stub::answering(|_: &Asked| (403, json!({"detail": "not you", "code": "not_allowed"})));
    let ran = refused.run(&["audit", "export", "--org=acme"]).exited(5).says("not you (not_allowed)");
    assert!(ran.stdout.is_empty());
}

/// A log of three rows, as `audit export` writes it, and its hashes.
fn log() -> (Vec<String>, Vec<String>) {
    use portcullis::model::{Act, Actor, AuditEntry, ChainHead, Timestamp};
    let mut head = ChainHead::default();
    let rows = (1..=3).map(|count| {
        let entry = AuditEntry {
            organization: None,
            environment: None,
            action: "key.create",
            target: None,
            before: None,
            after: None,
            code: None,
            count,
        };
        let row = head.seal(&entry, &Act::of(Actor::Operator, Timestamp::from_unix(1_900_000_000)));
        head = ChainHead { number: row.number, hash: row.hash.clone() };
        (row.text, row.hash)
    });
    rows.unzip()
}

fn verified(rows: &[&str], flags: &[&str]) -> super::Ran {
    let args = [&["audit", "verify", "--file=-", "--json"], flags].concat();
    let text: String = rows.iter().flat_map(|row| [row, "\n"]).collect();
    super::fed(super::portcullis(&args), &text)
}

#[test]
fn an_exported_log_is_verified_without_a_node() {
    let (rows, hashes) = log();
    let [first, second, third] = [0, 1, 2].map(|at| rows[at].as_str());
    let whole = verified(&[first, second, third], &["--head", &hashes[1]]).exited(0).json();
    assert_eq!(whole, json!({"ok": true, "rows": 3, "head": hashes[2], "problem": null}));
    let changed = second.replace("\"count\":2", "\"count\":7");
    let broken: [(&[&str], u64); 4] = [
        (&[first, &changed, third], 2),
        (&[first, third], 2),
        (&[second, first, third], 1),
        (&[first, second, third, "{}"], 4),
    ];
    for (rows, number) in broken {
        let ran = verified(rows, &[]).exited(9).says(&format!("broken at row {number}"));
        assert_eq!((&ran.json()["ok"], &ran.json()["rows"]), (&json!(false), &json!(number - 1)));
    }
    // Rows taken off the end leave a whole chain; only a head that was kept tells.
    verified(&[first, second], &[]).exited(0);
    verified(&[first, second], &["--head", &hashes[2]]).exited(9).says("head that was kept");
    super::Run::ran(&mut super::portcullis(&["audit", "verify", "--file=absent.jsonl"])).exited(1).says("absent.jsonl");
}
