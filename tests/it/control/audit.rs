//! The audit log: a row for every change, refusals by the minute, and a chain that tells when it was touched.

use super::*;
use crate::harness::eventually;
use portcullis::model::ChainHead;
use portcullis::store::AuditStore;
use std::io::Write;
use std::sync::atomic::Ordering;

const AUDIT: &str = "/v1/organizations/acme/audit";

fn rows(node: &Node, query: &str) -> Vec<Value> {
    node.get(&format!("{AUDIT}{query}")).expect(200)["data"].as_array().unwrap().clone()
}

/// Something of each kind: create, edit, rotate, revoke, policies.
fn changes(node: &Node) -> String {
    let path = format!("{KEYS}/{}", node.key("a"));
    let json = [("content-type", "application/json")];
    node.send("PATCH", &path, &json, r#"{"description":"new"}"#).expect(200);
    node.post(&format!("{path}/rotate"), &json!({"expires_at": null})).expect(200);
    node.post(&format!("{path}/revoke"), &json!({})).expect(200);
    node.send("PATCH", "/v1/organizations/acme", &json, r#"{"policies":{"max_key_lifetime":"90d"}}"#).expect(200);
    path
}

#[test]
fn every_change_has_its_row_with_before_and_after() {
    let node = Node::start();
    let path = changes(&node);
    let rows = rows(&node, "");
    let actions: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["organization.edit", "key.revoke", "key.rotate", "key.edit", "key.create"]);
    let edit = &rows[3];
    assert_eq!((&edit["before"]["description"], &edit["after"]["description"]), (&json!(""), &json!("new")));
    assert_eq!(edit["target"], json!({"type": "key", "id": path.rsplit('/').next().unwrap(), "name": "a"}));
    assert_eq!(edit["actor"], json!({"type": "operator", "id": null, "name": "operator"}));
    assert_eq!((&edit["environment"], &edit["address"]), (&json!("production"), &json!("127.0.0.1")));
    assert_eq!(edit["request_id"].as_str().unwrap().len(), 32);
    assert_eq!((&rows[2]["before"]["secret_version"], &rows[2]["after"]["secret_version"]), (&json!(1), &json!(2)));
    let log = json!(rows).to_string();
    assert!(!log.contains("pculls_") && !log.contains("sha256:"), "{log}");
    // The node's own log has what belongs to no organization.
    let own = node.get("/v1/audit").expect(200);
    assert_eq!(own["data"][0]["action"], "bootstrap.make");
}

#[test]
fn pages_and_filters_find_their_rows() {
    let node = Node::start();
    let path = changes(&node);
    let key = path.rsplit('/').next().unwrap();
    let count = |query: &str| rows(&node, query).len();
    assert_eq!(count("?action=key.rotate"), 1);
    assert_eq!(count(&format!("?target={key}")), 4);
    assert_eq!(count("?actor=operator"), 5);
    assert_eq!(count("?actor=nobody"), 0);
    assert_eq!(count("?since=2030-03-17T17:46:40Z"), 5);
    assert_eq!(count("?until=2030-03-17T17:46:40Z"), 0);
    let mut numbers = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = node.get(&format!("{AUDIT}{query}")).expect(200);
        numbers.extend(page["data"].as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    for query in ["?cursor=x", "?format=jsonl&limit=2"] {
        node.get(&format!("{AUDIT}{query}")).problem(400, "malformed");
    }
    for query in ["?limit=0", "?since=soon", "?format=csv", "?acton=x"] {
        assert_eq!(node.get(&format!("{AUDIT}{query}")).errors().len(), 1, "{query}");
    }
}

#[test]
fn the_whole_log_comes_as_lines_that_verify_away_from_the_node() {
    let node = Node::start();
    for number in 0..30 {
        node.key(&format!("key {number}"));
    }
    let answer = node.get(&format!("{AUDIT}?format=jsonl"));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/jsonl"));
    let mut head = ChainHead::default();
    for line in answer.text.lines() {
        head.follow(line).unwrap();
    }
    let verdict = node.get(&format!("{AUDIT}/verify")).expect(200);
    assert_eq!(verdict, json!({"ok": true, "rows": 30, "head": head.hash, "problem": null}));
}

/// Whoever can write the database can change the log, and is found out.
#[test]
fn a_changed_a_removed_and_a_moved_row_are_found() {
    let tampered = |statement: &str| {
        let node = Node::start();
        changes(&node);
        let file = node.folder.path().join("portcullis.db");
        let status = std::process::Command::new("python3")
            .args([
                "-c",
                "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()",
            ])
            .arg(&file)
            .arg(statement)
            .status()
            .unwrap();
        assert!(status.success(), "{statement}");
        node.get(&format!("{AUDIT}/verify")).expect(200)
    };
    for (statement, number) in [
        ("UPDATE audit SET text = replace(text, '127.0.0.1', '127.0.0.2') WHERE chain = 'acme' AND number = 2", 2),
        ("DELETE FROM audit WHERE chain = 'acme' AND number = 3", 3),
        ("DELETE FROM audit WHERE chain = 'acme' AND number = 1", 1),
        ("DELETE FROM audit WHERE chain = 'acme' AND number = 5", 5),
        (
            "UPDATE audit SET number = 99 WHERE chain = 'acme' AND number = 2;
          UPDATE audit SET number = 2 WHERE chain = 'acme' AND number = 3;
          UPDATE audit SET number = 3 WHERE chain = 'acme' AND number = 99",
            2,
        ),
        ("UPDATE audit_heads SET number = 4 WHERE chain = 'acme'", 6),
        ("DELETE FROM audit WHERE chain = 'acme'", 1),
    ] {
        let verdict = tampered(statement);
        assert_eq!((&verdict["ok"], &verdict["problem"]["number"]), (&json!(false), &json!(number)), "{statement}");
    }
    assert_eq!(tampered("SELECT 1")["ok"], true);
}

#[test]
fn refused_attempts_are_counted_not_multiplied() {
    let node = Node::start();
    for _ in 0..20 {
        node.send_bare("GET", KEYS, &[("authorization", "Bearer x")], "").problem(401, "not_authenticated");
    }
    let json = [("content-type", "application/json")];
    node.send("PATCH", "/v1/organizations/acme", &json, r#"{"policies":{"block_legacy_keys":true}}"#).expect(200);
    let legacy = json!({"name": "l", "type": "legacy", "role": "events"});
    for _ in 0..3 {
        node.post(KEYS, &legacy).problem(422, "invalid");
    }
    let head = |chain: Option<&Identifier>| node.runtime.block_on(node.store.audit_head(chain)).unwrap().number;
    let before = (head(None), head(Some(&id("acme"))));
    node.runtime.block_on(node.control.write_refusals());
    assert_eq!((head(None), head(Some(&id("acme")))), (before.0 + 1, before.1 + 1));
    let own = node.get("/v1/audit?action=refused").expect(200)["data"][0].clone();
    assert_eq!((&own["code"], &own["count"]), (&json!("not_authenticated"), &json!(20)));
    assert_eq!(own["actor"]["type"], "anonymous");
    let row = &rows(&node, "?action=refused")[0];
    assert_eq!((&row["code"], &row["count"]), (&json!("legacy_blocked"), &json!(3)));
    assert_eq!(row["after"]["route"], "POST /v1/organizations/{org}/environments/{env}/keys");
    assert_eq!(node.get(&format!("{AUDIT}/verify")).expect(200)["ok"], true);
}

#[test]
fn refused_attempts_wait_for_a_store_that_is_away() {
    let node = Node::start();
    let refused = || node.send_bare("GET", KEYS, &[], "").problem(401, "not_authenticated");
    let write = || node.runtime.block_on(node.control.write_refusals());
    node.store.read_only.store(true, Ordering::SeqCst);
    let first = refused();
    write();
    refused();
    write();
    node.store.read_only.store(false, Ordering::SeqCst);
    assert_eq!(node.get("/v1/audit?action=refused").expect(200)["data"], json!([]));
    write();
    write();
    let rows = node.get("/v1/audit?action=refused").expect(200)["data"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!((&rows[0]["count"], &rows[0]["request_id"]), (&json!(2), &first["request_id"]));
}

/// A log that takes long to read keeps nobody from anything but reading it as well.
#[test]
fn one_long_read_of_a_log_at_a_time_and_the_rest_goes_on() {
    let node = &Node::start();
    node.key("a");
    let long = ["/verify", "?format=jsonl", "?actor=nobody", "?since=2030-03-17T17:46:40Z"];
    for (at, path) in long.into_iter().enumerate() {
        std::thread::scope(|scope| {
            let before = node.store.log_reads.load(Ordering::SeqCst);
            let held = node.runtime.block_on(node.store.log.write());
            let first = scope.spawn(move || node.get(&format!("{AUDIT}{path}")).status);
            eventually("the read has begun", || (node.store.log_reads.load(Ordering::SeqCst) > before).then_some(()));
            for other in long {
                let refused = node.get(&format!("{AUDIT}{other}"));
                assert_eq!(refused.header("retry-after"), "2", "{path} {other}");
                refused.problem(429, "rate_limited");
            }
            node.get("/v1/status").expect(200);
            node.key(&format!("beside {at}"));
            // Another log, and a page that is found at once, wait for the store alone.
            let others = ["/v1/audit/verify", AUDIT].map(|path| scope.spawn(move || node.get(path).status));
            eventually("they have begun", || (node.store.log_reads.load(Ordering::SeqCst) > before + 2).then_some(()));
            drop(held);
            assert_eq!(first.join().unwrap(), 200, "{path}");
            assert_eq!(others.map(|other| other.join().unwrap()), [200, 200], "{path}");
        });
    }
}

/// Whoever hangs up has not ended what the store does for them.
#[test]
fn a_search_goes_on_when_its_caller_has_gone() {
    let node = Node::start();
    let held = node.runtime.block_on(node.store.log.write());
    let bearer = format!("authorization: Bearer {}", node.token);
    let head = format!("GET {AUDIT}?action=x HTTP/1.1\r\nhost: x\r\n{bearer}\r\n\r\n");
    let mut caller = std::net::TcpStream::connect(node.address).unwrap();
    caller.write_all(head.as_bytes()).unwrap();
    eventually("the read has begun", || (node.store.log_reads.load(Ordering::SeqCst) > 0).then_some(()));
    drop(caller);
    node.get("/v1/status").expect(200);
    node.get(&format!("{AUDIT}?action=x")).problem(429, "rate_limited");
    drop(held);
    eventually("the read has ended", || (node.get(&format!("{AUDIT}?action=x")).status == 200).then_some(()));
}
