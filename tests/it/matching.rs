//! Real documents: a request made from an operation is matched to it and to no other, and takes no memory.

use portcullis::catalogue::{Catalogue, Leniency, Lookup, openapi};
use portcullis::model::{Method, Permission};
use std::path::PathBuf;
use std::sync::Arc;

/// What stands in place of parameters. `%2E` and `%41` are read decoded, `%2F` is part of a value.
const VALUES: [&str; 9] =
    ["x7Kq", "42", "v1.2.3", "a%20b%C3%A9", "%41bc%2Edef", "a;b=1", "2026-11-24T10:00:00Z", "one@example.com", "p%2Fq"];

/// The documents by name; nothing where they are not here.
fn documents() -> Vec<(String, Catalogue)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openapi");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: `{}` with the real documents is not here", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let permissions = import(&std::fs::read_to_string(path).unwrap());
        (path.file_name().unwrap().to_string_lossy().into_owned(), catalogue(permissions))
    };
    files.iter().map(read).collect()
}

fn import(document: &str) -> Arc<[Permission]> {
    openapi::import(document.as_bytes(), "").unwrap().permissions
}

fn catalogue(permissions: Arc<[Permission]>) -> Catalogue {
    Catalogue::new(permissions, &[], Leniency::default(), None).unwrap()
}

/// Method and path template of every operation.
fn operations(catalogue: &Catalogue) -> impl Iterator<Item = (&str, &str)> {
    catalogue.operations().iter().map(|operation| operation.label.split_once(' ').unwrap())
}

/// The template with a value in place of each parameter.
fn filled(template: &str, value: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((text, tail)) = rest.split_once('{') {
        path.push_str(text);
        path.push_str(value);
        rest = tail.split_once('}').unwrap().1;
    }
    path + rest
}

/// The operations that a request may run, by method and template.
fn looked_up(catalogue: &Catalogue, method: &str, path: &str) -> Vec<String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match catalogue.lookup(&method, path.as_bytes()) {
        Lookup::Found(found) => found.operations().iter().map(|operation| operation.label.to_string()).collect(),
        Lookup::Unknown => vec!["unknown".to_owned()],
        Lookup::Ambiguous(why) => vec![format!("{why:?}")],
    }
}

#[test]
fn each_operation_of_the_real_documents_is_matched_by_its_own_requests_alone() {
    let (mut all, mut requests) = (0, 0);
    for (name, catalogue) in documents() {
        for (method, template) in operations(&catalogue) {
            let values = if template.contains('{') { &VALUES[..] } else { &VALUES[..1] };
            for value in values {
                let path = filled(template, value);
                let expected = [format!("{method} {template}")];
                assert_eq!(looked_up(&catalogue, method, &path), expected, "{name}: {method} {path}");
                requests += 1;
            }
        }
        all += catalogue.operations().len();
        println!("{name}: {} operations", catalogue.operations().len());
    }
    println!("{all} operations, {requests} requests");
    assert!(all == 0 || all >= 916, "{all}");
}

#[test]
fn a_value_that_looks_like_a_sibling_of_the_real_documents_needs_both() {
    let mut pairs = 0;
    for (name, catalogue) in documents() {
        let all: Vec<_> = operations(&catalogue).collect();
        for (method, template) in &all {
            for (_, literal) in all.iter().filter(|(other, _)| other == method) {
                let Some(path) = in_place_of(template, literal) else { continue };
                let found = looked_up(&catalogue, method, &filled(&path, "x"));
                let expected = [format!("{method} {template}"), format!("{method} {literal}")];
                assert!(expected.iter().all(|one| found.contains(one)), "{name}: {method} {path}: {found:?}");
                pairs += 1;
            }
        }
    }
    println!("{pairs} pairs of siblings");
}

/// The template with the literal, in capitals, in place of the one parameter by which both differ.
fn in_place_of(template: &str, literal: &str) -> Option<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), literal.split('/').collect());
    let mut differing = (0..a.len()).filter(|at| a.get(*at) != b.get(*at));
    let at = differing.next().filter(|_| a.len() == b.len() && differing.next().is_none())?;
    let is_parameter = a[at].starts_with('{') && a[at].ends_with('}') && a[at].matches('{').count() == 1;
    let capitals = b[at].to_ascii_uppercase();
    if !is_parameter || b[at].contains('{') || capitals == b[at] {
        return None;
    }
    Some([&a[..at], &[capitals.as_str()], &a[at + 1..]].concat().join("/"))
}

/// Small, but with siblings of every kind.
const SIBLINGS: &str = r#"{"openapi":"3.1.0","paths":{
    "/users/{id}":{"get":{}},"/users/me":{"get":{}},"/users/{id}.json":{"get":{}},"/users/{id}/keys":{"get":{}},
    "/users/me/keys":{"get":{}},"/users/{id}:undelete":{"get":{}},"/users/{from}..{to}":{"get":{}}}}"#;

#[test]
fn a_lookup_takes_no_memory() {
    let siblings = catalogue(import(SIBLINGS));
    let mut requests: Vec<(&Catalogue, Method, String)> = Vec::new();
    let long = format!("/users/{}", "%41".repeat(300));
    for path in [
        "/users/ME",
        "/users/m%65.JSON",
        "/users/me;x",
        "/users/a;b",
        "/users/1:UNDELETE",
        "/users/a..b",
        "/users/m%2565",
        &long,
    ] {
        requests.push((&siblings, Method::GET, path.to_owned()));
        requests.push((&siblings, Method::GET, format!("{path}/keys")));
        requests.push((&siblings, Method::GET, format!("{path}/other")));
    }
    let documents = documents();
    for (_, catalogue) in &documents {
        for (method, template) in operations(catalogue) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            requests.extend(VALUES.map(|value| (catalogue, method.clone(), filled(template, value))));
            requests.push((catalogue, method, format!("{}/none", filled(template, "%41"))));
        }
    }
    let mut found = 0;
    let taken = allocation_counter::measure(|| {
        for (catalogue, method, path) in &requests {
            found += usize::from(matches!(catalogue.lookup(method, path.as_bytes()), Lookup::Found(_)));
        }
    });
    assert!(found > 0);
    assert_eq!(allocation_counter::measure(|| drop(vec![0u8; 9])).count_total, 1, "what is taken is counted");
    assert_eq!(taken.count_total, 0, "{} lookups", requests.len());
}
