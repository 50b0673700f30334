//! A document changes under keys that exist: told before, told after, and what is new is denied until it is granted.

use crate::process::{Api, Folder};
use serde_json::{Value, json};

const ENVIRONMENT: &str = "/v1/organizations/acme/environments/production";

fn document(paths: &Value) -> String {
    json!({"openapi": "3.1.0", "info": {"title": "Cards", "version": "1"}, "paths": paths}).to_string()
}

#[test]
fn what_vanishes_is_named_with_its_keys_and_what_is_new_is_denied() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), "\"own:ping\" = [\"GET /ping\"]");
    let upstream = format!("upstream = \"{}\"", api.url());
    folder.edit("tenants/acme.toml", &upstream, &format!("{upstream}\nopenapi = \"cards.json\""));
    let list = json!({"operationId": "listCards"});
    let before = json!({"/cards": {"get": list, "post": {"operationId": "createCard"}}});
    folder.write("tenants/cards.json", &document(&before));
    let node = folder.start();
    let (mut control, mut edge) = (node.control(), node.edge());
    let key = control.create("reader", &["listCards", "createCard", "own:ping"]).unwrap();
    let other = control.create("pinger", &["own:ping"]).unwrap();
    control.revoke(&other.id).unwrap();
    let token = edge.token(&key);

    // Told before.
    let after = document(&json!({"/cards": {"get": list}, "/cards/{id}": {"delete": {"operationId": "removeCard"}}}));
    let diff = control.send_bytes("POST", &format!("{ENVIRONMENT}/catalogue/diff"), after.as_bytes()).unwrap();
    let diff = diff.expect(200).json();
    let gone = json!([{"permission": "createCard", "key_count": 1, "keys": [{"client_id": key.id, "name": "reader"}]}]);
    assert_eq!(diff["permissions_removed"], gone);
    assert_eq!(diff["permissions_added"], json!(["removeCard"]));
    let new =
        json!([{"operation": "removeCard", "method": "DELETE", "path": "/cards/{id}", "permission": "removeCard"}]);
    assert_eq!(diff["operations_added"], new);
    assert_eq!(diff["operations_removed"][0]["path"], "/cards");
    let drift = |control: &mut crate::process::Control| {
        control.get(&format!("{ENVIRONMENT}/drift")).unwrap().expect(200).json()["data"].clone()
    };
    assert_eq!(drift(&mut control), json!([]));

    // Told after.
    folder.write("tenants/cards.json", &after);
    control.post("/v1/reload", &json!({})).unwrap().expect(200);
    let held = json!({"permission": "createCard", "role": null, "key_count": 1,
        "keys": [{"client_id": key.id, "name": "reader"}]});
    assert_eq!(drift(&mut control), json!([held]));

    // What is gone is gone, what is new is denied, and nothing of either reaches the API.
    let bearer = format!("Bearer {token}");
    let mut ask = |method: &str, path: &str| edge.send(method, path, &[("Authorization", &bearer)], b"").unwrap();
    ask("GET", "/v1/cards").expect(200);
    ask("GET", "/v1/ping").expect(200);
    ask("POST", "/v1/cards").refused(403, "operation_unknown");
    ask("DELETE", "/v1/cards/7").refused(403, "permission_missing");
    assert_eq!(api.seen(), ["GET /cards", "GET /ping"]);

    let granted = json!({"permissions": ["listCards", "own:ping", "removeCard"]});
    control.send("PATCH", &format!("{ENVIRONMENT}/keys/{}", key.id), &granted).unwrap().expect(200);
    ask("DELETE", "/v1/cards/7").expect(200);
    assert_eq!(api.seen(), ["GET /cards", "GET /ping", "DELETE /cards/7"]);
    assert_eq!(drift(&mut control), json!([]));
}
