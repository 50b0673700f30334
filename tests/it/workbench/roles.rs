//! Who may do what: every page and every form, as everybody; forms from elsewhere; and what one organization learns of
//! another. The table is held to the router's own text, so that no route is forgotten.

use super::doors::assert_headers;
use super::house::{House, KEYS, PASSWORD, ROLES, email};
use super::visitor::{Page, Visitor};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The least that a page or form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    Member,
    Viewer,
    Editor,
    Admin,
}

use Least::{Admin, Editor, Member, Viewer};

/// Pages: route, least role, status for those who may.
const PAGES: &[(&str, Least, u16)] = &[
    ("/o/{org}/base-urls", Viewer, 200),
    ("/o/{org}/find", Viewer, 200),
    ("/o/{org}/settings", Admin, 200),
    ("/o/{org}/audit", Admin, 200),
    ("/o/{org}/audit/export", Admin, 200),
    ("/o/{org}/members", Admin, 200),
    ("/o/{org}/members/{member}", Admin, 200),
    ("/o/{org}/members/{member}/remove", Admin, 200),
    ("/o/{org}/e/{env}/overview", Viewer, 200),
    ("/o/{org}/e/{env}/keys", Viewer, 200),
    ("/o/{org}/e/{env}/keys/new", Editor, 200),
    ("/o/{org}/e/{env}/keys/{client_id}", Viewer, 200),
    ("/o/{org}/e/{env}/keys/{client_id}/edit", Editor, 200),
    ("/o/{org}/e/{env}/keys/{client_id}/rotate", Editor, 200),
    ("/o/{org}/e/{env}/keys/{client_id}/revoke", Editor, 200),
    ("/o/{org}/e/{env}/why", Viewer, 200),
];

/// Pages that are judged elsewhere: they are nobody's, or everybody's who is signed in.
const OPEN: &[&str] =
    &["/", "/sign-in", "/first-run", "/invitation", "/account", "/o/{org}", "/assets/{name}", "/favicon.ico"];

type Form = Vec<(&'static str, String)>;

/// Route, least role, what is sent, and the status of its success.
type FormRow = (&'static str, Least, fn(&Target) -> Form, u16);

const FORMS: &[FormRow] = &[
    ("/o/{org}/e/{env}/keys/new", Editor, |_| new_key(), 200),
    ("/o/{org}/e/{env}/allowlist", Editor, |_| vec![("networks", "192.0.2.0/24".to_owned())], 200),
    ("/o/{org}/e/{env}/keys/{client_id}/edit", Editor, edit_key, 303),
    (
        "/o/{org}/e/{env}/keys/{client_id}/rotate",
        Editor,
        |it| it.of_key(&[("expiry", "none"), ("addresses", "any")]),
        200,
    ),
    // A key that was never used would be left with nothing, and is not touched.
    ("/o/{org}/e/{env}/keys/{client_id}/remove-unused", Editor, |it| it.of_key(&[]), 422),
    ("/o/{org}/e/{env}/keys/{client_id}/revoke", Editor, |it| it.of_key(&[]), 303),
    ("/o/{org}/audit/check", Admin, |_| vec![], 200),
    ("/o/{org}/members", Admin, |_| new_member(), 200),
    ("/o/{org}/members/{member}", Admin, |it| it.of_member(&[("role", "editor")]), 303),
    ("/o/{org}/members/{member}/invitation", Admin, |it| it.of_member(&[("once", &fresh(32))]), 200),
    ("/o/{org}/members/{member}/remove", Admin, |it| it.of_member(&[]), 303),
    ("/o/{org}/settings", Admin, settings, 303),
];

/// Forms of whoever is signed in, or of nobody: `doors` has them, and `a_form_from_elsewhere_changes_nothing`.
const OWN_FORMS: &[&str] = &["/sign-in", "/first-run", "/invitation", "/sign-out", "/account"];

/// A word that was not there before, in hexadecimal digits.
fn fresh(length: usize) -> String {
    let mut bytes = String::new();
    while bytes.len() < length {
        use std::hash::{BuildHasher, Hasher};
        bytes.push_str(&format!("{:016x}", std::hash::RandomState::new().build_hasher().finish()));
    }
    bytes[..length].to_owned()
}

fn new_key() -> Form {
    let name = format!("key {}", fresh(8));
    let pairs = [
        ("name", name.as_str()),
        ("type", "fine_grained"),
        ("permission", "cards:read"),
        ("expiry", "none"),
        ("addresses", "any"),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn edit_key(target: &Target) -> Form {
    let name = format!("edited {}", fresh(8));
    target.of_key(&[("name", &name), ("permission", "cards:read"), ("addresses", "any")])
}

fn new_member() -> Form {
    vec![("email", format!("{}@acme.example", fresh(12))), ("role", "viewer".to_owned()), ("once", fresh(32))]
}

/// Another life each time: what changes nothing proves nothing.
fn settings(target: &Target) -> Form {
    let days = u64::from_str_radix(&fresh(6), 16).unwrap() % 3000 + 100;
    let revision = target.policies.clone();
    vec![("max_key_lifetime", "other".to_owned()), ("days", days.to_string()), ("revision", revision)]
}

/// A key and a member to act on.
struct Target {
    client_id: String,
    member: String,
    revision: String,
    member_revision: String,
    policies: String,
}

impl Target {
    /// New ones, so that what is done to one does not matter to the next.
    fn new(house: &House) -> Self {
        // Its life fits whatever policy the forms before have set.
        let expires = crate::harness::seconds_from_now(86_400);
        let body = json!({"name": fresh(12), "permissions": ["cards:read", "files:read"], "expires_at": expires});
        let client_id = house.key(&body).0;
        let body = json!({"email": format!("{}@acme.example", fresh(12)), "role": "viewer"});
        let added = house.done("POST", "/v1/organizations/acme/members", &body);
        let (member, member_revision) = (added["id"].as_str().unwrap().to_owned(), added["revision"].to_string());
        let revision = house.shown(&client_id)["revision"].to_string();
        let policies = house.done("GET", "/v1/organizations/acme", &json!(null))["revision"].to_string();
        Self { client_id, member, revision, member_revision, policies }
    }

    fn of_key(&self, pairs: &[(&'static str, &str)]) -> Form {
        let own = [("revision", self.revision.clone())];
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(own).collect()
    }

    fn of_member(&self, pairs: &[(&'static str, &str)]) -> Form {
        let own = [("revision", self.member_revision.clone())];
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(own).collect()
    }

    fn path(&self, route: &str, organization: &str) -> String {
        let path = route.replace("{org}", organization).replace("{env}", "production");
        path.replace("{client_id}", &self.client_id).replace("{member}", &self.member)
    }
}

/// Everything that a form of `acme` could change.
fn state(house: &House) -> Vec<Value> {
    let mut all = vec![];
    let mut target = format!("{KEYS}?limit=100");
    loop {
        let page = house.done("GET", &target, &Value::Null);
        all.push(page["data"].clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => target = format!("{KEYS}?limit=100&cursor={cursor}"),
            None => break,
        }
    }
    all.push(house.done("GET", "/v1/organizations/acme/members?limit=100", &Value::Null));
    all.push(house.done("GET", "/v1/organizations/acme", &Value::Null));
    // Sign-ins are no part of it.
    let text = serde_json::to_string(&all).unwrap();
    let without: Vec<&str> = text.split("\"last_sign_in_at\":").collect();
    vec![json!(without.iter().map(|part| part.split_once(',').map_or(*part, |(_, rest)| rest)).collect::<Vec<_>>())]
}

/// Everybody: the roles of `acme`, the owner of another organization, and nobody.
fn everybody(house: &House) -> Vec<(&'static str, Visitor, String)> {
    let mut all = Vec::new();
    for role in ROLES.into_iter().chain(["stranger"]) {
        let mut visitor = house.visitor(role);
        let csrf = visitor.get("/account").expect(200).hidden("csrf").unwrap();
        all.push((role, visitor, csrf));
    }
    all.push(("anonymous", house.anonymous(), String::new()));
    all
}

fn may(role: &str, least: Least) -> bool {
    let has = match role {
        "owner" | "admin" => Admin,
        "editor" => Editor,
        "viewer" => Viewer,
        _ => Member,
    };
    has >= least
}

/// How somebody is answered who may not.
#[track_caller]
fn assert_refused(role: &str, path: &str, page: &Page) {
    match role {
        "anonymous" if page.status == 303 => {
            let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
            assert_eq!(page.field("location"), Some(format!("/sign-in?next={next}").as_str()), "{}", page.head);
        }
        "anonymous" => assert_eq!((page.status, page.heading().as_str()), (401, "Sign in"), "{path}: {}", page.head),
        "stranger" => assert_eq!(page.status, 404, "{path} as a stranger: {}{}", page.head, page.text),
        role => assert_eq!(page.status, 403, "{path} as {role}: {}{}", page.head, page.text),
    }
    for secret in ["salesforce", "Acme", "branch-office"] {
        assert!(
            role != "stranger" || !page.text.contains(secret),
            "{path} tells a stranger of {secret}: {}",
            page.text
        );
    }
    assert_headers(page);
}

#[test]
fn every_page_as_everybody() {
    let house = House::start();
    let target = Target::new(&house);
    for (role, mut visitor, _) in everybody(&house) {
        for (route, least, status) in PAGES {
            let path = target.path(route, "acme");
            let page = visitor.get(&path);
            if !may(role, *least) {
                assert_refused(role, &path, &page);
                continue;
            }
            assert_eq!(page.status, *status, "{path} as {role}: {}{}", page.head, page.text);
            assert_headers(&page);
            for (words, least) in
                [("/keys\"", Viewer), ("/members\"", Admin), ("/audit\"", Admin), ("/settings\"", Admin)]
            {
                let nav = page.text.split("aria-label=\"Main\"").nth(1).and_then(|rest| rest.split("</nav>").next());
                let Some(nav) = nav else { continue };
                assert_eq!(nav.contains(words), may(role, least), "the sidebar of {path} as {role}: {nav}");
            }
        }
        // Nobody is told of what is not there, or is another's.
        for path in ["/o/other/base-urls", "/o/other/e/production/keys", "/o/nowhere/members", "/o/acme/e/nowhere/keys"]
        {
            let page = visitor.get(path);
            match role {
                "anonymous" => assert_eq!(page.status, 303, "{path}"),
                "stranger" if path.starts_with("/o/other") => assert_eq!(page.status, 200, "{path}"),
                "none" if path.starts_with("/o/acme") => assert!([403, 404].contains(&page.status), "{path}"),
                _ => assert_eq!(page.status, 404, "{path} as {role}: {}{}", page.head, page.text),
            }
        }
    }
    // A key of one environment is not found under another.
    let mut owner = house.visitor("owner");
    for rest in ["", "/edit", "/rotate", "/revoke"] {
        owner.get(&format!("/o/acme/e/staging/keys/{}{rest}", target.client_id)).expect(404);
    }
}

#[test]
fn every_form_as_everybody() {
    let house = House::start();
    let mut everybody = everybody(&house);
    for (route, least, form, done) in FORMS {
        let shared = Target::new(&house);
        let before = state(&house);
        let (can, cannot): (Vec<_>, Vec<_>) = everybody.iter_mut().partition(|(role, ..)| may(role, *least));
        for (role, visitor, csrf) in cannot {
            let path = shared.path(route, "acme");
            let page = visitor.post(&path, &[form(&shared), vec![("csrf", csrf.clone())]].concat());
            assert_refused(role, &path, &page);
        }
        assert_eq!(state(&house), before, "{route} changed something for somebody who may not");
        for (role, visitor, csrf) in can {
            let target = Target::new(&house);
            let path = target.path(route, "acme");
            let page = visitor.post(&path, &[form(&target), vec![("csrf", csrf.clone())]].concat());
            assert_eq!(page.status, *done, "{path} as {role}: {}{}", page.head, page.text);
            assert_headers(&page);
        }
    }
}

/// How a form must not come in: the fields of the request, and what stands for the CSRF token.
fn elsewhere(origin: &str) -> Vec<(&'static str, Form, Csrf)> {
    let own = |more: &[(&'static str, &str)]| {
        more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
    };
    vec![
        ("without a token", own(&[("Origin", origin), ("Sec-Fetch-Site", "same-origin")]), Csrf::Missing),
        ("with a wrong token", own(&[("Origin", origin)]), Csrf::Wrong),
        ("with somebody else's token", own(&[("Origin", origin)]), Csrf::Other),
        ("from another origin", own(&[("Origin", "https://evil.example")]), Csrf::Right),
        ("from another port", own(&[("Origin", "http://127.0.0.1:1")]), Csrf::Right),
        ("from an opaque origin", own(&[("Origin", "null")]), Csrf::Right),
        ("from another site", own(&[("Sec-Fetch-Site", "cross-site")]), Csrf::Right),
        ("from a neighbour", own(&[("Origin", origin), ("Sec-Fetch-Site", "same-site")]), Csrf::Right),
    ]
}

#[derive(Clone, Copy)]
enum Csrf {
    Missing,
    Wrong,
    Other,
    Right,
}

#[test]
fn a_form_from_elsewhere_changes_nothing() {
    let house = House::start();
    let origin = format!("http://{}", house.gateway.control());
    let mut owner = house.visitor("owner");
    let csrf = owner.get("/account").expect(200).hidden("csrf").unwrap();
    let other = house.visitor("admin").get("/account").expect(200).hidden("csrf").unwrap();
    assert_ne!(csrf, other);
    let target = Target::new(&house);
    let before = state(&house);
    let account = vec![("current_password", PASSWORD.to_owned()), ("new_password", "a wholly new password".to_owned())];
    let mut forms: Vec<(String, Form)> =
        FORMS.iter().map(|(route, _, form, _)| (target.path(route, "acme"), form(&target))).collect();
    forms.extend([("/account".to_owned(), account), ("/sign-out".to_owned(), vec![])]);
    for (path, form) in &forms {
        for (how, fields, token) in elsewhere(&origin) {
            let mut form = form.clone();
            match token {
                Csrf::Missing => {}
                Csrf::Wrong => form.push(("csrf", csrf.replace(|c: char| c.is_ascii_digit(), "x"))),
                Csrf::Other => form.push(("csrf", other.clone())),
                Csrf::Right => form.push(("csrf", csrf.clone())),
            }
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let page = owner.post_from(path, &form, &fields);
            assert_eq!(page.status, 403, "{path} {how}: {}{}", page.head, page.text);
            assert_headers(&page);
        }
        // What is no form is none, whatever it says.
        let json = [("Content-Type", "application/json"), ("Origin", origin.as_str())];
        let page = owner.send("POST", path, &json, &json!({"csrf": csrf}).to_string());
        assert!((400..500).contains(&page.status), "{path} as JSON: {}", page.head);
        let page =
            owner.send("POST", path, &[("Content-Type", "text/plain"), ("Origin", &origin)], &format!("csrf={csrf}"));
        assert!((400..500).contains(&page.status), "{path} as text: {}", page.head);
    }
    assert_eq!(state(&house), before, "a form from elsewhere changed something");
    owner.get("/account").expect(200);
    house.session(&json!({"email": email("owner"), "password": PASSWORD}));

    // Signing in is no different: nobody is signed in by another's page.
    for (path, form) in [("/sign-in", vec![("email", email("viewer")), ("password", PASSWORD.to_owned())])] {
        let mut victim = house.anonymous();
        let token = victim.get("/sign-in").expect(200).hidden("csrf").unwrap();
        let attacker = house.anonymous().get("/sign-in").expect(200).hidden("csrf").unwrap();
        for (how, fields, kind) in elsewhere(&origin) {
            let mut form = form.clone();
            match kind {
                Csrf::Missing => {}
                Csrf::Wrong => form.push(("csrf", "x".repeat(64))),
                Csrf::Other => form.push(("csrf", attacker.clone())),
                Csrf::Right => form.push(("csrf", token.clone())),
            }
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let page = victim.post_from(path, &form, &fields);
            assert_eq!(page.status, 403, "{path} {how}: {}{}", page.head, page.text);
            assert!(!victim.cookies.contains_key("portcullis_session"), "{path} {how}");
        }
    }
}

/// Every route of the router is in a table here, and nothing besides.
#[test]
fn no_route_is_forgotten() {
    let text = std::fs::read_to_string(crate::tools::file("src/control/workbench/mod.rs")).unwrap();
    let mut routes: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for rest in text.split(".route(").skip(1) {
        let path = rest.split('"').nth(1).unwrap();
        let handlers = rest.split("\n        .").next().unwrap();
        routes.insert(path.to_owned(), (handlers.contains("get("), handlers.contains("post(")));
    }
    assert!(routes.len() > 20, "the router is read wrongly: {routes:?}");
    let pages: Vec<&str> = PAGES.iter().map(|(route, ..)| *route).chain(OPEN.iter().copied()).collect();
    let forms: Vec<&str> = FORMS.iter().map(|(route, ..)| *route).chain(OWN_FORMS.iter().copied()).collect();
    for (path, (get, post)) in &routes {
        assert_eq!(*get, pages.contains(&path.as_str()), "GET {path}: PAGES or OPEN in tests/it/workbench/roles.rs");
        assert_eq!(
            *post,
            forms.contains(&path.as_str()),
            "POST {path}: FORMS or OWN_FORMS in tests/it/workbench/roles.rs"
        );
    }
    for path in pages.iter().chain(&forms) {
        assert!(routes.contains_key(*path), "{path} is no route");
    }
}
