//! Who and what is there: a running node with three environments in two organizations, people of every role with
//! passwords, and keys of every kind.

use super::browser::Browser;
use super::visitor::Visitor;
use crate::harness::{Gateway, GatewayBuilder, Key, ask_control, seconds_from_now};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const PASSWORD: &str = "correct horse battery staple";
/// Members of `acme`, by their roles.
pub(super) const ROLES: [&str; 5] = ["owner", "admin", "editor", "viewer", "none"];
/// Pages of the first environment.
pub(super) const K: &str = "/o/acme/e/production";
pub(super) const KEYS: &str = crate::harness::KEYS;
/// A key that a file declares and that has expired.
pub(super) const LAPSED: &str = "lapsed";

const TABLES: &str = r#"
[environments.production.presets]
"Read only" = ["cards:read", "files:read"]
"Card desk" = ["cards:read", "cards:write"]
[environments.production.roles]
events = ["cards:read"]
[environments.production.platform_addresses]
label = "Acme"
networks = ["198.51.100.0/24", "203.0.113.7"]
[environments.staging]
base_url = "http://gate.test/v1/staging"
upstream = "{upstream}"
[environments.staging.permissions]
"cards:read" = "GET /cards"
"#;

/// A node with people and keys.
pub(super) struct House {
    pub(super) gateway: Gateway,
    /// The session of an operator who is a member of nothing else.
    operator: String,
    /// Client ids by name.
    pub(super) keys: BTreeMap<&'static str, String>,
}

/// The email address of the member of `acme` with this role; `stranger` owns `other`.
pub(super) fn email(role: &str) -> String {
    if role == "stranger" { "stranger@other.example".to_owned() } else { format!("{role}@acme.example") }
}

/// A node that nobody has signed in to yet.
pub(super) fn empty() -> GatewayBuilder {
    Gateway::builder().tables(TABLES).key(&Key::new(LAPSED, &["cards:read"]).expiring("2020-01-01T00:00:00Z"))
}

impl House {
    /// With every role, and with keys.
    #[track_caller]
    pub(super) fn start() -> Self {
        Self::of(empty())
    }

    #[track_caller]
    pub(super) fn of(gateway: GatewayBuilder) -> Self {
        let gateway = gateway.start();
        let mut house = Self { operator: gateway.bootstrap_token(), gateway, keys: BTreeMap::new() };
        house.make_other();
        house.make_people();
        house.make_keys();
        house
    }

    fn make_other(&self) {
        self.done("PUT", "/v1/organizations/other", &json!({"name": "Other"}));
        let upstream = self.gateway.upstream.url();
        let definition = json!({"base_url": "http://gate.test/other", "upstream": upstream,
            "permissions": {"secrets:read": "GET /secrets"}});
        self.done("PUT", "/v1/organizations/other/environments/production", &definition);
    }

    /// Invited by the bootstrap token, which ends with the first owner's sign-in.
    fn make_people(&mut self) {
        let mut invitations = Vec::new();
        let mut invite = |organization: &str, body: Value| {
            let made = self.done("POST", &format!("/v1/organizations/{organization}/members"), &body);
            invitations.push(made["invitation"].as_str().unwrap().to_owned());
        };
        invite("other", json!({"email": "operator@node.example", "role": "none", "operator": true}));
        for role in ROLES {
            invite("acme", json!({"email": email(role), "name": role, "role": role}));
        }
        invite("other", json!({"email": email("stranger"), "role": "owner"}));
        let sessions: Vec<String> =
            invitations.iter().map(|it| self.session(&json!({"invitation": it, "password": PASSWORD}))).collect();
        self.operator.clone_from(&sessions[0]);
    }

    fn make_keys(&mut self) {
        let soon = seconds_from_now(7 * 86_400);
        let made: [(&'static str, Value); 6] = [
            ("salesforce-production", json!({"permissions": ["cards:read", "cards:write", "files:read"]})),
            ("nightly-export", json!({"permissions": ["files:read"], "expires_at": soon})),
            ("branch-office", json!({"permissions": ["cards:read"], "allowlist": {"networks": ["192.0.2.0/24"]}})),
            ("platform-sync", json!({"permissions": ["cards:read"], "allowlist": {"platform": true}})),
            ("old-erp", json!({"type": "legacy", "role": "events"})),
            ("retired", json!({"permissions": ["cards:read"]})),
        ];
        for (name, mut body) in made {
            body["name"] = json!(name);
            self.keys.insert(name, self.key(&body).0);
        }
        self.done("POST", &format!("{KEYS}/{}/revoke", self.keys["retired"]), &json!({}));
    }

    /// Asks the control API as an operator; status and JSON.
    #[track_caller]
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask_control(self.gateway.control(), &self.operator, method, path, body)
    }

    /// The same where it must be done.
    #[track_caller]
    pub(super) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A key of the first environment: its client id and secret.
    #[track_caller]
    pub(super) fn key(&self, body: &Value) -> (String, String) {
        let made = self.done("POST", KEYS, body);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    /// A key as the control API shows it.
    #[track_caller]
    pub(super) fn shown(&self, id: &str) -> Value {
        self.done("GET", &format!("{KEYS}/{id}"), &Value::Null)
    }

    /// The keys of the first environment with this name, as the control API shows them.
    #[track_caller]
    pub(super) fn named(&self, name: &str) -> Vec<Value> {
        let all = self.done("GET", &format!("{KEYS}?limit=100"), &Value::Null);
        all["data"].as_array().unwrap().iter().filter(|key| key["name"] == name).cloned().collect()
    }

    /// The token of a new session of the control API.
    #[track_caller]
    pub(super) fn session(&self, body: &Value) -> String {
        let (status, made) = ask_control(self.gateway.control(), "", "POST", "/v1/sessions", body);
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    /// A browser that has not signed in.
    pub(super) fn stranger(&self) -> Browser {
        Browser::start(self.gateway.control())
    }

    /// A browser in which somebody has signed in, by the sign-in page.
    #[track_caller]
    pub(super) fn browser(&self, role: &str) -> Browser {
        let browser = self.stranger();
        browser.open("/sign-in");
        browser.sign_in(role);
        browser
    }

    /// HTTP without a session.
    pub(super) fn anonymous(&self) -> Visitor {
        Visitor::new(self.gateway.control())
    }

    /// HTTP with the session of a member.
    #[track_caller]
    pub(super) fn visitor(&self, role: &str) -> Visitor {
        let mut visitor = self.anonymous();
        let page = visitor.get("/sign-in").expect(200);
        let form = [("email", email(role)), ("password", PASSWORD.to_owned())];
        let answer = visitor.submit(&page, "/sign-in", &form);
        assert_eq!(answer.status, 303, "{role} cannot sign in: {}", answer.text);
        visitor
    }
}

impl Browser {
    /// Signs in on the sign-in page that is open.
    #[track_caller]
    pub(super) fn sign_in(&self, role: &str) {
        self.is_at("Sign in");
        self.fill("Email", &email(role));
        self.fill("Password", PASSWORD);
        // A form that is still on its way takes the place of a page that is opened meanwhile.
        self.leaves(|| self.button("Sign in"));
    }
}
