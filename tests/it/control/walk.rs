//! Every route against every kind of caller: what is refused is refused in one way, and changes nothing.
//!
//! The routes come out of the API's own document; one that is not in [`NEEDS`] fails. What is allowed is asked for in a
//! way that harms nothing (a field that is not known, a revision that never was), so that the rows do not disturb each
//! other.

use super::people::PASSWORD;
use super::*;
use portcullis::model::AccessTokenClaims;
use portcullis::store::{AuditStore, Feed};
use portcullis::token;

/// What a route asks of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Need {
    /// Nothing at all.
    Nothing,
    /// A token that counts.
    Somebody,
    /// To be an operator.
    Operator,
    /// To be an operator, of something in an organization.
    OperatorHere,
    /// To see an organization.
    See,
    /// To see keys in an environment.
    SeeKeys,
    /// To change keys in an environment.
    ChangeKeys,
    /// To look after policies and members.
    Manage,
}

const NEEDS: &[(&str, Need)] = &[
    ("add_member", Need::Manage),
    ("compare_catalogue", Need::SeeKeys),
    ("create_key", Need::ChangeKeys),
    ("delete_environment", Need::OperatorHere),
    ("delete_preset", Need::Manage),
    ("delete_role", Need::Manage),
    ("drain", Need::Operator),
    ("edit_key", Need::ChangeKeys),
    ("edit_member", Need::Manage),
    ("edit_organization", Need::Manage),
    ("explain_request", Need::SeeKeys),
    ("invite_member", Need::Manage),
    ("list_environments", Need::See),
    ("list_key_usage", Need::SeeKeys),
    ("list_keys", Need::SeeKeys),
    ("list_member_tokens", Need::Manage),
    ("list_members", Need::Manage),
    ("list_operations", Need::SeeKeys),
    ("list_organizations", Need::Somebody),
    ("list_permissions", Need::SeeKeys),
    ("list_presets", Need::SeeKeys),
    ("list_roles", Need::SeeKeys),
    ("list_signing_keys", Need::Operator),
    ("make_member_token", Need::Manage),
    ("put_environment", Need::OperatorHere),
    ("put_organization", Need::Operator),
    ("put_preset", Need::Manage),
    ("put_role", Need::Manage),
    ("read_audit", Need::Manage),
    ("read_node_audit", Need::Operator),
    ("reload", Need::Operator),
    ("remove_member", Need::Manage),
    ("remove_member_token", Need::Manage),
    ("replace_catalogue", Need::OperatorHere),
    ("revoke_key", Need::ChangeKeys),
    ("rotate_key", Need::ChangeKeys),
    ("rotate_signing_key", Need::Operator),
    ("show_document", Need::Nothing),
    ("show_drift", Need::SeeKeys),
    ("show_environment", Need::SeeKeys),
    ("show_key", Need::SeeKeys),
    ("show_member", Need::Manage),
    ("show_organization", Need::See),
    ("show_preset", Need::SeeKeys),
    ("show_role", Need::SeeKeys),
    ("show_session", Need::Somebody),
    ("show_status", Need::Operator),
    ("sign_in", Need::Nothing),
    ("sign_out", Need::Somebody),
    ("verify_audit", Need::Manage),
    ("verify_node_audit", Need::Operator),
];

/// Who asks, and what they have in acme.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Operator,
    Role(&'static str),
    Outsider,
    KeyView,
    KeyEdit,
    Nobody,
}

impl Kind {
    /// The status of a refusal of something of acme, or of the node.
    fn refusal(self, need: Need) -> Option<u16> {
        if need == Need::Nothing || self == Self::Operator {
            return None;
        }
        match (self, need) {
            (Self::Nobody, _) => Some(401),
            (_, Need::Somebody) => None,
            (_, Need::Operator) => Some(403),
            (Self::Outsider, Need::OperatorHere) => Some(404),
            (_, Need::OperatorHere) => Some(403),
            (Self::Role("owner" | "admin"), _) => None,
            (Self::Role("editor"), Need::See | Need::SeeKeys | Need::ChangeKeys) => None,
            (Self::Role("viewer"), Need::See | Need::SeeKeys) => None,
            (Self::KeyEdit, Need::SeeKeys | Need::ChangeKeys) | (Self::KeyView, Need::SeeKeys) => None,
            (Self::Role(_) | Self::KeyEdit | Self::KeyView, _) => Some(403),
            (Self::Outsider, _) => Some(404),
            (Self::Operator, _) => unreachable!(),
        }
    }

    /// The same for something of an organization that only operators and outsiders have a part in.
    fn refusal_elsewhere(self, need: Need) -> Option<u16> {
        let own = self.refusal(need);
        let is_of_place = !matches!(need, Need::Nothing | Need::Somebody | Need::Operator);
        match self {
            Self::Role(_) | Self::KeyEdit | Self::KeyView if is_of_place => Some(404),
            _ => own,
        }
    }
}

/// An operation, and where it stands.
struct Operation {
    id: String,
    method: String,
    template: String,
    need: Need,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&portcullis::control::openapi_document()).unwrap();
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let id = described["operationId"].as_str().unwrap().to_owned();
            let need = NEEDS.iter().find(|(known, _)| *known == id).map(|(_, need)| *need);
            let need = need.unwrap_or_else(|| panic!("`{id}` is new: say in NEEDS what it asks of its caller"));
            all.push(Operation { id, method: method.to_uppercase(), template: template.clone(), need });
        }
    }
    // Whoever signs out can ask nothing more.
    all.sort_by_key(|operation| operation.id == "sign_out");
    assert_eq!(all.len(), NEEDS.len(), "NEEDS names operations that are not there");
    all
}

/// Objects that are there, in one organization.
struct Objects {
    organization: &'static str,
    client_id: String,
    member: String,
    token: String,
}

impl Objects {
    fn make(node: &Node, organization: &'static str) -> Self {
        let keys = KEYS.replace("acme", organization);
        let key = node.post(&keys, &json!({"name": "key", "permissions": ["cards:read"]})).expect(201);
        let (member, _) = node.add(organization, &format!("pat-{organization}"), "viewer");
        let token = node.member_token(organization, &member);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { organization, client_id: text(&key["client_id"]), member, token: text(&token["id"]) }
    }

    fn path(&self, template: &str) -> String {
        let name = if template.contains("presets") { "Read%20only" } else { "events" };
        template
            .replace("{org}", self.organization)
            .replace("{env}", "production")
            .replace("{client_id}", &self.client_id)
            .replace("{id}", &self.member)
            .replace("{token_id}", &self.token)
            .replace("{name}", name)
    }
}

/// An organization of this id with an environment.
fn organization(name: &str) -> Organization {
    let environment = Environment {
        id: EnvironmentId { organization: id(name), environment: id("production") },
        base_url: BaseUrl::parse(&format!("http://gate.test/{name}")).unwrap(),
        ..environment()
    };
    Organization { id: id(name), environments: vec![environment], ..acme() }
}

/// An access token of a management key that holds this.
fn management_token(node: &Node, permission: &str) -> String {
    let made = node.create(json!({"name": permission, "permissions": ["cards:read", permission]})).expect(201);
    let claims = AccessTokenClaims {
        issuer: "http://gate.test/acme".into(),
        audience: CONTROL_URL.into(),
        client_id: ClientId::parse(made["client_id"].as_str().unwrap()).unwrap(),
        issued_at: NOON,
        expires_at: NOON.plus_seconds(3600),
        token_id: permission.into(),
        secret_version: SecretVersion(1),
        scope: None,
    };
    token::sign(&claims, node.tables.load().signing()).unwrap()
}

fn callers(node: &Node) -> Vec<(&'static str, String, Kind)> {
    let mut callers = vec![
        ("the bootstrap token", node.token.clone(), Kind::Operator),
        ("a bootstrap session", node.sign_in(&json!({"token": node.token})), Kind::Operator),
        ("a management key that sees", management_token(node, "portcullis:keys:view"), Kind::KeyView),
        ("a management key that edits", management_token(node, "portcullis:keys:edit"), Kind::KeyEdit),
        ("nobody", "pcullse_x".to_owned(), Kind::Nobody),
        ("an invitation", node.add("acme", "pending", "admin").1, Kind::Nobody),
    ];
    for role in ["admin", "editor", "viewer", "none"] {
        let (member, session) = node.member("acme", role, role);
        callers.push((role, session, Kind::Role(role)));
        let token = node.member_token("acme", &member)["token"].as_str().unwrap().to_owned();
        callers.push(("a member's token", token, Kind::Role(role)));
    }
    let (_, ended) = node.member("acme", "ended", "admin");
    node.send_as(&ended, "DELETE", "/v1/sessions/current", "").expect_nothing();
    callers.push(("a session that ended", ended, Kind::Nobody));
    callers.push(("a session that is too old", node.old_session("admin"), Kind::Nobody));
    let (gone, session) = node.member("acme", "gone", "admin");
    let token = node.member_token("acme", &gone)["token"].as_str().unwrap().to_owned();
    node.send("DELETE", &format!("/v1/organizations/acme/members/{gone}"), &[], "").expect_nothing();
    callers.extend([("removed", session, Kind::Nobody), ("a removed member's token", token, Kind::Nobody)]);
    callers
}

/// Owners come last: their first sign-in ends the bootstrap token.
fn owners(node: &Node, operator: &str) -> Vec<(&'static str, String, Kind)> {
    let body = json!({"email": "op@acme.example", "role": "none", "operator": true});
    let made = node.post_as(operator, "/v1/organizations/other/members", &body).expect(201);
    let op = node.sign_in(&json!({"invitation": made["invitation"], "password": PASSWORD}));
    let invited = |organization: &str, name: &str, role: &str| {
        let body = json!({"email": format!("{name}@acme.example"), "role": role});
        let made = node.post_as(&op, &format!("/v1/organizations/{organization}/members"), &body).expect(201);
        node.sign_in(&json!({"invitation": made["invitation"], "password": PASSWORD}))
    };
    let outsider = invited("other", "outsider", "admin");
    let owner = invited("acme", "owner", "owner");
    let dead = node.token.clone();
    vec![
        ("an operator who is a member", op, Kind::Operator),
        ("owner", owner, Kind::Role("owner")),
        ("an admin of another organization", outsider, Kind::Outsider),
        ("the bootstrap token after an owner signed in", dead, Kind::Nobody),
    ]
}

/// Asks so that nothing comes of it where it is allowed.
fn ask(node: &Node, token: &str, operation: &Operation, path: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", "\"999999\"")];
    let takes_nothing = ["drain", "invite_member", "reload", "revoke_key", "rotate_signing_key"];
    let body = match operation.method.as_str() {
        "PATCH" | "POST" | "PUT" if !takes_nothing.contains(&operation.id.as_str()) => "{\"?\":1}",
        _ => "",
    };
    node.send_bare(&operation.method, path, &headers, body)
}

/// Everything that a change would move.
fn state(node: &Node) -> (Revision, String, String) {
    node.runtime.block_on(async {
        let (acme, other) = (id("acme"), id("other"));
        let head = async |chain| format!("{:?}", node.store.audit_head(chain).await.unwrap());
        let heads = [head(None).await, head(Some(&acme)).await].join(" ");
        (node.store.revision().await.unwrap(), heads, head(Some(&other)).await)
    })
}

fn told(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

fn walk(node: &Node, callers: &[(&'static str, String, Kind)], here: &Objects, there: &Objects, nowhere: &Objects) {
    for operation in operations() {
        for (name, token, kind) in callers {
            let before = state(node);
            for (objects, expected) in
                [(here, kind.refusal(operation.need)), (there, kind.refusal_elsewhere(operation.need))]
            {
                let (expected, said) = (expected, format!("{} by {name} in {}", operation.id, objects.organization));
                let expected = if *kind == Kind::Outsider && objects.organization == "other" { None } else { expected };
                // What is allowed and cannot be asked for without harm is asked for elsewhere.
                if expected.is_none() && ["remove_member_token", "sign_out"].contains(&operation.id.as_str()) {
                    continue;
                }
                let answer = ask(node, token, &operation, &objects.path(&operation.template));
                match expected {
                    Some(status) => {
                        assert_eq!(answer.status, status, "{said}: {}", answer.text);
                        assert_eq!(state(node), before, "{said}: refused, and something changed");
                    }
                    None => assert!(![401, 404].contains(&answer.status), "{said}: {} {}", answer.status, answer.text),
                }
                if expected.is_none() && *kind != Kind::Outsider {
                    assert_ne!(answer.status, 403, "{said}: {}", answer.text);
                }
                if expected == Some(404) {
                    let missing = ask(node, token, &operation, &nowhere.path(&operation.template));
                    assert_eq!(told(&answer), told(&missing), "{said}: told apart from what is not there");
                }
            }
        }
    }
}

#[test]
fn every_route_against_every_caller() {
    let node = Node::of(vec![organization("acme"), organization("other")]);
    let (here, there) = (Objects::make(&node, "acme"), Objects::make(&node, "other"));
    let nowhere = Objects {
        organization: "nobody",
        client_id: "pcull_nobody".to_owned(),
        member: format!("mbr_{}", "0".repeat(22)),
        token: format!("mtk_{}", "0".repeat(22)),
    };
    let callers = callers(&node);
    walk(&node, &callers, &here, &there, &nowhere);
    let owners = owners(&node, &node.token);
    walk(&node, &owners, &here, &there, &nowhere);
}
