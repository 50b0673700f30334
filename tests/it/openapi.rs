//! OpenAPI documents: small ones that are odd on purpose, and real ones.

use portcullis::catalogue::openapi::{self, ImportError};
use portcullis::model::Permission;
use std::collections::HashSet;
use std::path::PathBuf;

/// Imports a document of these paths.
fn paths(paths: &str) -> Result<Vec<Permission>, ImportError> {
    import(&format!(r#"{{"openapi":"3.1.0","paths":{paths}}}"#))
}

fn import(document: &str) -> Result<Vec<Permission>, ImportError> {
    openapi::import(document.as_bytes(), "").map(|imported| imported.permissions.to_vec())
}

/// `name = operation, operation` for every permission.
fn shown(permissions: &[Permission]) -> Vec<String> {
    permissions
        .iter()
        .map(|permission| {
            let operations: Vec<String> = permission.operations.iter().map(|o| o.pattern.to_string()).collect();
            format!("{} = {}", permission.name, operations.join(", "))
        })
        .collect()
}

#[test]
fn each_operation_becomes_a_permission_in_order() {
    let permissions = paths(
        r#"{"/z":{"post":{"operationId":"makeZ","tags":["Zeds","x"],"summary":"Make\n a  zed"},"parameters":[1],
                  "get":{"operationId":"listZ"},"x-note":{"get":1}},
            "x-ignored":5,
            "/a/{id}":{"delete":{},"trace":{"operationId":"traceA"}}}"#,
    )
    .unwrap();
    assert_eq!(
        shown(&permissions),
        ["listZ = GET /z", "makeZ = POST /z", "DELETE:/a/{id} = DELETE /a/{id}", "traceA = TRACE /a/{id}"]
    );
    let make = &permissions[1];
    assert_eq!((make.group.as_str(), make.summary.as_str()), ("Zeds", "Make a zed"));
    assert_eq!((permissions[2].group.as_str(), permissions[2].operations[0].id.as_ref()), ("a", "DELETE /a/{id}"));
}

#[test]
fn head_rides_on_get() {
    let both =
        paths(r#"{"/a":{"head":{"operationId":"headA"},"get":{"operationId":"getA"}},"/b":{"head":{}}}"#).unwrap();
    assert_eq!(shown(&both), ["getA = GET /a", "HEAD:/b = HEAD /b"]);
}

#[test]
fn what_is_one_on_the_wire_is_one_operation() {
    let permissions = paths(
        r##"{"/f/{id}":{"put":{"operationId":"updateFile"}},
             "/f/{file}#add_link":{"put":{"operationId":"addLink"}},
             "/f/{id}?fields=all":{"get":{"operationId":"readAll"}},
             "/f/{id}.json":{"get":{"operationId":"readJson"}}}"##,
    )
    .unwrap();
    assert_eq!(
        shown(&permissions),
        ["updateFile = PUT /f/{id}", "readAll = GET /f/{id}", "readJson = GET /f/{id}.json"]
    );
}

#[test]
fn an_extension_puts_operations_under_one_name() {
    let permissions = paths(
        r#"{"/a":{"get":{"operationId":"listA","x-portcullis-permission":"a:all"},"post":{"operationId":"makeA","x-portcullis-permission":"a:all"}},
            "/b":{"get":{"operationId":"a:all"}}}"#,
    )
    .unwrap();
    assert_eq!(shown(&permissions), ["a:all = GET /a, POST /a", "GET:/b = GET /b"]);
    assert_eq!(permissions[0].operations[0].id.as_ref(), "listA");
}

#[test]
fn the_permission_asked_for_survives_a_merge() {
    let permissions =
        paths(r##"{"/a":{"put":{"operationId":"plain"}},"/a#x":{"put":{"x-portcullis-permission":"admin"}}}"##)
            .unwrap();
    assert_eq!(shown(&permissions), ["admin = PUT /a"]);
    let conflict =
        paths(r##"{"/a":{"put":{"x-portcullis-permission":"one"}},"/a#x":{"put":{"x-portcullis-permission":"two"}}}"##);
    assert!(matches!(conflict, Err(ImportError::Conflict { .. })));
}

#[test]
fn names_never_collide_by_accident() {
    let long = "x".repeat(300);
    let permissions = paths(&format!(
        r#"{{"/a":{{"get":{{"operationId":"same id"}}}},"/b":{{"get":{{"operationId":"same_id"}}}},
            "/c":{{"get":{{"operationId":"GET:/d"}}}},"/d":{{"get":{{}}}},
            "/e":{{"get":{{"operationId":"portcullis:keys:edit"}}}},
            "/{long}1":{{"get":{{}}}},"/{long}2":{{"get":{{}}}},
            "/é":{{"get":{{}}}},"/è":{{"get":{{}}}},
            "/f":{{"get":{{"operationId":"{long}1"}}}},"/g":{{"get":{{"operationId":"{long}2"}}}},
            "/h":{{"get":{{"operationId":""}}}}}}"#
    ))
    .unwrap();
    let names: HashSet<&str> = permissions.iter().map(|permission| permission.name.as_str()).collect();
    assert_eq!(names.len(), 12);
    for name in ["same_id", "GET:/b", "GET:/d", "GET:/d~2", "GET:/e", "GET:/h"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(permissions.iter().all(|permission| !permission.name.is_reserved()));
    let ids: HashSet<&str> = permissions.iter().flat_map(|p| &p.operations).map(|o| o.id.as_ref()).collect();
    assert!(ids.iter().all(|id| id.bytes().all(|byte| (b' '..=b'~').contains(&byte))), "ids fit in a header: {ids:?}");
}

#[test]
fn documents_that_give_nothing_say_why() {
    for (document, message) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\n\"openapi\": \"3.1.0\",\n}", "at line 3 column 1"),
        ("openapi: 3.1.0\npaths: {}\n", "YAML is not read yet by this version; convert to OpenAPI 3 JSON"),
        ("---\nopenapi: 3.1.0\n", "YAML is not read yet"),
        ("# c\nswagger: '2.0'\n", "YAML is not read yet"),
        (r#"{"swagger":"2.0","paths":{"/a":{"get":{}}}}"#, "Swagger 2.0 is not read yet by this version"),
        (r#"{"paths":{"/a":{"get":{}}}}"#, "without a version"),
        (r#"{"openapi":"4.0.0","paths":{"/a":{"get":{}}}}"#, "OpenAPI `4.0.0` is not read"),
        (r#"{"openapi":"3.2.0","paths":{"/a":{"get":{}}}}"#, "OpenAPI `3.2.0` is not read"),
        (r#"{"openapi":3.1,"paths":{"/a":{"get":{}}}}"#, "without a version"),
        ("[]", "not an OpenAPI document"),
        ("7", "not an OpenAPI document"),
        (r#"{"openapi":"3.1.0"}"#, "declares no operation"),
        (r#"{"openapi":"3.1.0","paths":{}}"#, "declares no operation"),
        (r#"{"openapi":"3.1.0","paths":{"/a":{}}}"#, "declares no operation"),
        ("{\"openapi\":\"3.1.0\",\n\"paths\":[]}", "invalid type: sequence, expected an object at line 2"),
        (r#"{"openapi":"3.1.0","paths":{"/a":{"get":"x"}}}"#, "not an OpenAPI document: invalid type: string"),
        (r#"{"openapi":"3.1.0","paths":{"/a":{"get":{"operationId":7}}}}"#, "invalid type: integer"),
        (r#"{"openapi":"3.1.0","paths":{"a":{"get":{}}}}"#, "path `a` does not start with `/`"),
        (r#"{"openapi":"3.1.0","paths":{"/a b":{"get":{}}}}"#, "path `/a b` does not start with `/`, or holds spaces"),
        (r##"{"openapi":"3.1.0","paths":{"/a":{"$ref":"#/components/pathItems/a"}}}"##, "path `/a` is a `$ref`"),
        (
            r#"{"openapi":"3.1.0","paths":{"/a":{"get":{"x-portcullis-permission":"portcullis:x"}}}}"#,
            "`x-portcullis-permission` of `GET /a`: `portcullis:x` belongs to Portcullis itself",
        ),
        (
            r#"{"openapi":"3.1.0","paths":{"/a":{"get":{"x-portcullis-permission":["a"]}}}}"#,
            "`x-portcullis-permission` of `GET /a`: is not a string",
        ),
    ] {
        let error = import(document).unwrap_err().to_string();
        assert!(error.contains(message), "{document}\n{error}");
    }
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    assert!(import("\u{feff}{\"openapi\":\"3.0.0\",\"paths\":{\"/a\":{\"get\":{}}}}").is_ok());
}

#[test]
fn real_documents_are_imported_whole() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openapi");
    if !folder.is_dir() {
        println!("skipped: `{}` with the real documents is not here", folder.display());
        return;
    }
    // Box declares 260, of which 18 differ from another one in `#…` only.
    for (name, operations) in [
        ("stripe.json", 452),
        ("twilio_api.json", 195),
        ("box.json", 242),
        ("petstore_31.json", 20),
        ("train_travel_31.json", 7),
    ] {
        let permissions = import(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        let names: HashSet<_> = permissions.iter().map(|permission| permission.name.clone()).collect();
        assert_eq!(names.len(), permissions.len(), "{name}");
        assert!(permissions.iter().all(|permission| permission.operations.len() == 1), "{name}");
        assert!(permissions.iter().all(|permission| !permission.group.is_empty()), "{name}");
        let patterns: HashSet<_> = permissions.iter().map(|p| p.operations[0].pattern.clone()).collect();
        assert_eq!(patterns.len(), permissions.len(), "{name}");
        assert!(patterns.iter().all(|pattern| !pattern.path().contains(['#', '?'])), "{name}");
        assert_eq!(permissions.len(), operations, "{name}");
    }
}
