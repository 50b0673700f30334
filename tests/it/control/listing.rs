//! Lists of keys: pages over files and store, filters, and parameters that are refused.

use super::*;
use std::sync::atomic::Ordering;

fn with_declared() -> Organization {
    let mut organization = acme();
    organization.environments[0].keys =
        ["one", "two", "three"].map(|name| declared(&format!("pcull_{name}"), name)).into();
    organization
}

/// Follows cursors to the end; the names found, in order.
fn walk(node: &Node, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    for _ in 0..50 {
        let page = node.get(&format!("{KEYS}?{query}{cursor}")).expect(200);
        found.extend(page["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
    panic!("the listing has no end: {found:?}");
}

#[test]
fn pages_lose_and_repeat_nothing() {
    let node = Node::with(with_declared());
    for number in 0..5 {
        node.key(&format!("key {number}"));
    }
    let all = walk(&node, "limit=100");
    assert_eq!(all.len(), 8);
    assert_eq!(all[..3], ["one", "three", "two"]);
    for limit in 1..=9 {
        assert_eq!(walk(&node, &format!("limit={limit}")), all, "{limit}");
    }
}

#[test]
fn lists_of_both_kinds_are_sorted() {
    let mut organization = with_declared();
    organization.environments[0].keys[1].expires_at = Some(NOON.plus_seconds(50));
    organization.environments[0].keys[0].last_used_at = Some(NOON);
    let node = Node::with(organization);
    for (name, seconds) in [("Six", Some(100)), ("nine", Some(10)), ("ten", None)] {
        node.create(json!({"name": name, "expires_at": seconds.map(|seconds| NOON.plus_seconds(seconds))})).expect(201);
    }
    for (sort, expected) in [
        ("name", vec!["nine", "one", "Six", "ten", "three", "two"]),
        ("expires_at", vec!["nine", "two", "Six"]),
        ("-last_used_at", vec!["one"]),
        ("-created_at", vec!["one", "three", "two"]),
    ] {
        let all = walk(&node, &format!("sort={sort}"));
        assert_eq!(all[..expected.len()], expected, "{sort}");
        assert_eq!(all.len(), 6, "{sort}");
        for limit in 1..=7 {
            assert_eq!(walk(&node, &format!("sort={sort}&limit={limit}")), all, "{sort} {limit}");
        }
        let backwards = sort.strip_prefix('-').map_or_else(|| format!("-{sort}"), str::to_owned);
        let turned: Vec<String> = all.into_iter().rev().collect();
        for limit in [1, 2, 5, 100] {
            assert_eq!(walk(&node, &format!("sort={backwards}&limit={limit}")), turned, "{backwards} {limit}");
        }
    }
    assert_eq!(walk(&node, ""), walk(&node, "sort=-created_at"));
    let next = node.get(&format!("{KEYS}?sort=name&limit=1")).expect(200)["next_cursor"].as_str().unwrap().to_owned();
    for query in ["", "&sort=-name", "&sort=expires_at"] {
        node.get(&format!("{KEYS}?cursor={next}{query}")).problem(400, "malformed");
    }
}

#[test]
fn a_page_of_declared_keys_alone_ends() {
    let node = Node::with(with_declared());
    assert_eq!(walk(&node, "limit=3").len(), 3);
    assert_eq!(Node::start().get(KEYS).expect(200), json!({"data": [], "next_cursor": null}));
}

#[test]
fn a_key_that_a_file_took_over_is_listed_once() {
    let node = Node::start();
    let ids: Vec<String> = ["a", "b", "c"].iter().map(|name| node.key(name)).collect();
    let mut organization = acme();
    organization.environments[0].keys = ids.iter().map(|id| declared(id, &format!("file {id}"))).collect();
    node.reload(vec![organization]);
    for limit in 1..=7 {
        let names = walk(&node, &format!("limit={limit}"));
        assert!(names.len() == 3 && names.iter().all(|name| name.starts_with("file ")), "{limit}: {names:?}");
    }
}

#[test]
fn filters_bind_both_kinds() {
    let node = Node::with(with_declared());
    node.create(json!({"name": "Ends", "expires_at": "2030-04-01T00:00:00Z"})).expect(201);
    node.post(KEYS, &json!({"name": "Old one", "type": "legacy", "role": "events"})).expect(201);
    let gone = node.key("gone");
    node.post(&format!("{KEYS}/{gone}/revoke"), &json!({})).expect(200);
    assert_eq!(walk(&node, "status=revoked"), ["gone"]);
    assert_eq!(walk(&node, "status=expired"), [""; 0]);
    assert_eq!(walk(&node, "status=active").len(), 5);
    assert_eq!(walk(&node, "type=legacy"), ["Old one"]);
    assert_eq!(walk(&node, "type=fine_grained").len(), 5);
    assert_eq!(walk(&node, "q=ONE")[0], "one");
    assert_eq!(walk(&node, "q=ONE").len(), 3);
    assert_eq!(walk(&node, "q=PCULL_T"), ["three", "two"]);
    assert_eq!(walk(&node, "expires_before=2030-05-01T00:00:00Z"), ["Ends"]);
    assert_eq!(walk(&node, "expires_before=2030-04-01T00:00:00Z"), [""; 0]);
}

#[test]
fn parameters_that_are_refused() {
    let node = Node::start();
    for (query, pointer, code) in [
        ("limit=0", "/limit", "parameter_invalid"),
        ("limit=101", "/limit", "parameter_invalid"),
        ("limit=x", "/limit", "parameter_invalid"),
        ("sort=age", "/sort", "parameter_invalid"),
        ("status=asleep", "/status", "parameter_invalid"),
        ("type=x", "/type", "parameter_invalid"),
        ("expires_before=soon", "/expires_before", "parameter_invalid"),
        ("unused_since=yesterday", "/unused_since", "parameter_invalid"),
        ("stauts=active", "/stauts", "parameter_unknown"),
        ("q=a&q=b", "/q", "parameter_repeated"),
    ] {
        let errors = node.get(&format!("{KEYS}?{query}")).errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())], "{query}");
    }
    // Not ours; of nobody; and of a file that no longer declares it.
    for cursor in ["", "x", "!!", "czpwY3VsbF94", "ZjpwY3VsbF94"] {
        node.get(&format!("{KEYS}?cursor={cursor}")).problem(400, "malformed");
    }
    node.store.away.store(true, Ordering::SeqCst);
    node.get(KEYS).problem(503, "unavailable");
}
