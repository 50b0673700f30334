//! OpenAPI documents on the command line: `catalogue report`, `init`, and the notes of `check`.

use super::{Run, file_with, portcullis};
use serde_json::json;

const ODD: &str = "openapi: 3.0.3\ninfo: {title: Cards, version: 1.0.0}\nservers: [{url: /v2}]\npaths:\n  \
    /cards: {get: {operationId: listCards}, delete: {}, put: {operationId: setCards}}\n  \
    /cards#all: {get: {operationId: listAll}}\n";

#[test]
fn a_report_tells_what_a_document_gives() {
    let document = file_with(ODD);
    let path = document.path().to_str().unwrap();
    let told = portcullis(&["catalogue", "report", "--openapi", path, "--json"]).ran().exited(0).json();
    assert_eq!((&told["operations"], &told["permissions"]), (&json!(4), &json!(3)));
    assert_eq!(told["access"], json!({"read": 1, "write": 1, "delete": 1}));
    assert_eq!((&told["title"], &told["version"]), (&json!("Cards"), &json!("1.0.0")));
    let kinds: Vec<_> = told["notes"].as_array().unwrap().iter().map(|note| note["kind"].as_str().unwrap()).collect();
    // What is merged is named by method and path.
    assert_eq!(kinds, ["path_cut", "id_made", "id_made", "merged"]);
    let table = portcullis(&["catalogue", "report", "--openapi", path]).ran().exited(0).stdout;
    assert!(table.contains("permissions  3") && table.contains("/paths/~1cards#all/get"), "{table}");
}

#[test]
fn what_gives_no_report_says_why() {
    let document = file_with("openapi: 3.1\npaths: {/a: {get: {}}}\n");
    let path = document.path().to_str().unwrap();
    let ran = portcullis(&["catalogue", "report", "--openapi", path]).ran().exited(7);
    assert!(ran.stdout.is_empty());
    ran.says(path).says("write `openapi: \"3.1.0\"`");
    portcullis(&["catalogue", "report", "--openapi", "absent.json"]).ran().exited(3).says("absent.json");
}

#[test]
fn init_keeps_the_document_as_it_is_and_check_notes_what_is_odd() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("spec.YAML");
    std::fs::write(&spec, ODD).unwrap();
    let dir = folder.path().join("gate");
    let args =
        ["init", "--upstream", "http://127.0.0.1:9000", "--openapi", spec.to_str().unwrap(), dir.to_str().unwrap()];
    let made = portcullis(&[&args[..], &["--json"]].concat()).ran().exited(0).json();
    let copy = dir.join("tenants/main.openapi.yaml");
    assert_eq!(made["files"][2], json!(copy));
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), ODD);
    let config = dir.join("portcullis.toml");
    let checked = portcullis(&["check", "--config", config.to_str().unwrap(), "--json"]).ran().exited(0);
    assert_eq!(checked.json(), json!({"problems": []}), "notes are no problems");
    checked
        .says("main.toml:13: note: merged: `GET /cards#all` (`listAll`) is the same request as `GET /cards`")
        .says("main.toml:13: note: server_base_path: the document's server is at the path `/v2`")
        .says("no problems");
}
