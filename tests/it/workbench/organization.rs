//! The pages of an organization without a browser: who gets which, and what their forms do.

use super::doors::assert_headers;
use super::house::{House, K, PASSWORD, ROLES, email};
use super::visitor::{Page, Visitor};
use serde_json::json;

const SETTINGS: &str = "/o/acme/settings";
const MEMBERS: &str = "/o/acme/members";
const AUDIT: &str = "/o/acme/audit";

/// Pages, and the statuses for owner, admin, editor, viewer and whoever has no access, in the order of `ROLES`.
const PAGES: [(&str, [u16; 5]); 10] = [
    ("/o/acme/base-urls", [200, 200, 200, 200, 403]),
    ("/o/acme/find", [200, 200, 200, 200, 403]),
    ("/o/acme/find?q=old&fragment=1", [200, 200, 200, 200, 403]),
    (SETTINGS, [200, 200, 403, 403, 403]),
    (MEMBERS, [200, 200, 403, 403, 403]),
    (AUDIT, [200, 200, 403, 403, 403]),
    ("/o/acme/audit?action=key.create&from=2026-01-01T00:00", [200, 200, 403, 403, 403]),
    ("/o/acme/audit?from=soon", [422, 422, 403, 403, 403]),
    ("/o/acme/audit/export", [200, 200, 403, 403, 403]),
    ("/account", [200; 5]),
];

fn members(house: &House) -> Vec<(String, String)> {
    let all = house.done("GET", "/v1/organizations/acme/members", &json!(null));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    all["data"].as_array().unwrap().iter().map(|it| (text(&it["email"]), text(&it["id"]))).collect()
}

fn member(house: &House, email: &str) -> String {
    members(house).into_iter().find(|(known, _)| known == email).unwrap().1
}

#[test]
fn each_page_is_for_its_roles() {
    let house = House::start();
    let admin = member(&house, &email("admin"));
    let one = [format!("{MEMBERS}/{admin}"), format!("{MEMBERS}/{admin}/remove")];
    let rows = PAGES.iter().map(|(path, statuses)| ((*path).to_owned(), *statuses));
    let rows: Vec<_> = rows.chain(one.into_iter().map(|path| (path, [200, 200, 403, 403, 403]))).collect();
    for (at, role) in ROLES.into_iter().enumerate() {
        let mut visitor = house.visitor(role);
        for (path, statuses) in &rows {
            let page = visitor.get(path);
            assert_eq!(page.status, statuses[at], "{role} {path}: {}", page.text);
            assert_headers(&page);
        }
    }
    let mut stranger = house.visitor("stranger");
    for (path, _) in rows.iter().filter(|(path, _)| path.starts_with("/o/")) {
        assert_eq!(stranger.get(path).status, 404, "{path}");
    }
    let mut nobody = house.anonymous();
    for (path, _) in &rows {
        let page = nobody.get(path).expect(303);
        assert!(page.field("location").unwrap().starts_with("/sign-in?next="), "{path}");
    }
}

#[test]
fn each_form_is_for_its_roles() {
    let house = House::start();
    let viewer = member(&house, &email("viewer"));
    let forms = [
        SETTINGS.to_owned(),
        MEMBERS.to_owned(),
        format!("{AUDIT}/check"),
        format!("{MEMBERS}/{viewer}"),
        format!("{MEMBERS}/{viewer}/invitation"),
        format!("{MEMBERS}/{viewer}/remove"),
    ];
    let before = members(&house);
    for (role, status) in [("editor", 403), ("viewer", 403), ("none", 403), ("stranger", 404)] {
        let mut visitor = house.visitor(role);
        let page = visitor.get("/account").expect(200);
        for path in &forms {
            let form = [("email", "new@acme.example".to_owned()), ("role", "owner".to_owned())];
            assert_eq!(visitor.submit(&page, path, &form).status, status, "{role} {path}");
        }
    }
    assert_eq!(members(&house), before);
    // Without the session's own token no form is taken.
    let mut owner = house.visitor("owner");
    for path in &forms {
        assert_eq!(owner.post(path, &[("csrf", "0".repeat(64))]).status, 403, "{path}");
    }
    assert_eq!(members(&house), before);
}

/// Sends the settings as the page shows them, with these fields on top.
fn save(visitor: &mut Visitor, page: &Page, block: bool, lifetime: &str, days: &str) -> Page {
    let mut form = vec![("max_key_lifetime", lifetime.to_owned()), ("days", days.to_owned())];
    if block {
        form.push(("block_legacy_keys", "1".to_owned()));
    }
    visitor.submit(page, SETTINGS, &form)
}

#[test]
fn policies_are_set_and_count_whom_they_touch() {
    let house = House::start();
    let mut owner = house.visitor("owner");
    let page = owner.get(SETTINGS).expect(200);
    assert!(page.text.contains("1 live key is legacy"), "{}", page.text);
    let review = [("max_key_lifetime", "other".to_owned()), ("days", "1".to_owned()), ("step", "review".to_owned())];
    let shown = owner.submit(&page, SETTINGS, &review).expect(200);
    assert!(shown.text.contains("live keys have a longer life than 1d"), "{}", shown.text);
    let policies = || house.done("GET", "/v1/organizations/acme", &json!(null))["policies"].clone();
    assert_eq!((&policies()["block_legacy_keys"], &policies()["max_key_lifetime"]), (&json!(false), &json!(null)));

    for (days, words) in [("soon", "no length of time"), ("", "no length of time"), ("0", "1 second to 100 years")] {
        let refused = save(&mut owner, &page, true, "other", days).expect(422);
        assert!(refused.text.contains(words), "{days}: {}", refused.text);
        assert!(refused.text.contains("name=\"block_legacy_keys\" value=\"1\" checked"), "{}", refused.text);
    }
    let saved = save(&mut owner, &page, true, "90d", "").expect(303);
    assert_eq!(saved.field("location"), Some("/o/acme/settings?saved=1"));
    assert!(owner.get("/o/acme/settings?saved=1").expect(200).text.contains("Policies saved"));
    assert_eq!((&policies()["block_legacy_keys"], &policies()["max_key_lifetime"]), (&json!(true), &json!("90d")));

    // Whoever had the page open before is told, and may go on knowingly.
    let mut admin = house.visitor("admin");
    let told = admin.get("/account").expect(200);
    let csrf = told.hidden("csrf").unwrap();
    let revision = page.hidden("revision").unwrap();
    let form = |revision: &str| {
        let fields = [("csrf", csrf.as_str()), ("revision", revision), ("max_key_lifetime", "30d"), ("whole", "1")];
        fields.map(|(name, value)| (name, value.to_owned()))
    };
    let late = admin.post(SETTINGS, &form(&revision)).expect(412);
    assert!(late.text.contains("Somebody else saved these settings meanwhile"), "{}", late.text);
    assert!(late.text.contains("<bdi>90d</bdi>") && late.text.contains("<bdi>30d</bdi>"), "{}", late.text);
    assert_eq!(policies()["max_key_lifetime"], json!("90d"));
    admin.post(SETTINGS, &form(&late.hidden("revision").unwrap())).expect(303);
    assert_eq!(policies()["max_key_lifetime"], json!("30d"));
    assert_eq!(policies()["block_legacy_keys"], json!(false));
    // A form that is cut short takes no policy away, and one that says no revision is too old.
    let now = admin.get(SETTINGS).expect(200);
    save(&mut admin, &now, true, "30d", "").expect(303);
    let revision = house.done("GET", "/v1/organizations/acme", &json!(null))["revision"].to_string();
    admin.post(SETTINGS, &[("csrf", csrf.clone()), ("revision", revision)]).expect(303);
    admin.post(SETTINGS, &[("csrf", csrf.clone()), ("max_key_lifetime", "none".to_owned())]).expect(412);
    assert_eq!((&policies()["block_legacy_keys"], &policies()["max_key_lifetime"]), (&json!(true), &json!("30d")));
}

#[test]
fn an_invitation_is_shown_once() {
    let house = House::start();
    let mut owner = house.visitor("owner");
    let page = owner.get(MEMBERS).expect(200);
    let bad = [("email", "nobody".to_owned()), ("role", "editor".to_owned()), ("name", "A\u{202e}b".to_owned())];
    let refused = owner.submit(&page, MEMBERS, &bad).expect(422);
    assert!(
        refused.text.contains("id=\"email-error\"") && refused.text.contains("value=\"nobody\""),
        "{}",
        refused.text
    );
    let taken = [("email", email("viewer")), ("role", "editor".to_owned())];
    let refused = owner.submit(&page, MEMBERS, &taken).expect(409);
    assert!(refused.text.contains("id=\"email-error\""), "{}", refused.text);

    let form = [("email", "dana@acme.example".to_owned()), ("role", "viewer".to_owned())];
    let page = owner.get(MEMBERS).expect(200);
    let made = owner.submit(&page, MEMBERS, &form).expect(200);
    assert_headers(&made);
    let link = made.text.split("id=\"invitation\" data-secret>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let token = link.split("/invitation?token=").nth(1).unwrap();
    let again = owner.submit(&page, MEMBERS, &form).expect(303);
    assert_eq!(again.field("location"), Some("/o/acme/members?again=1"));
    for path in [MEMBERS, "/o/acme/members?again=1", AUDIT] {
        assert!(!owner.get(path).expect(200).text.contains(token), "{path}");
    }
    assert_eq!(members(&house).iter().filter(|(email, _)| email == "dana@acme.example").count(), 1);

    let mut dana = house.anonymous();
    let path = format!("/invitation?token={token}");
    let page = dana.get(&path).expect(200);
    let form = [("token", token.to_owned()), ("password", PASSWORD.to_owned())];
    dana.submit(&page, "/invitation", &form).expect(303);
    dana.get(&format!("{K}/keys")).expect(200);
    dana.get(MEMBERS).expect(403);
}

#[test]
fn owners_answer_to_owners_and_one_remains() {
    let house = House::start();
    let (mut admin, mut owner) = (house.visitor("admin"), house.visitor("owner"));
    let first = format!("{MEMBERS}/{}", member(&house, &email("owner")));
    let page = admin.get(&first).expect(200);
    assert!(!page.text.contains("Save changes"), "{}", page.text);
    let revision = owner.get(&first).expect(200).hidden("revision").unwrap();
    let csrf = page.hidden("csrf").unwrap();
    let form = [("csrf", csrf), ("revision", revision), ("role", "viewer".to_owned())];
    let refused = admin.post(&first, &form).expect(403);
    assert!(refused.text.contains("by owners alone"), "{}", refused.text);
    admin.post(&format!("{first}/remove"), &form).expect(403);

    let page = owner.get(&first).expect(200);
    let refused = owner.submit(&page, &first, &[("role", "viewer".to_owned())]).expect(409);
    assert!(refused.text.contains("keeps at least one owner"), "{}", refused.text);
    let refused = owner.submit(&page, &format!("{first}/remove"), &[]).expect(409);
    assert!(refused.text.contains("Nobody was removed"), "{}", refused.text);

    let viewer = format!("{MEMBERS}/{}", member(&house, &email("viewer")));
    let page = owner.get(&viewer).expect(200);
    owner.submit(&page, &viewer, &[("role", "editor".to_owned()), ("name", "Vi".to_owned())]).expect(303);
    let late = owner.submit(&page, &viewer, &[("role", "admin".to_owned())]).expect(412);
    assert!(late.text.contains("Somebody changed this member meanwhile"), "{}", late.text);
    let page = owner.get(&viewer).expect(200);
    assert!(page.text.contains("<bdi>Vi</bdi>"), "{}", page.text);
    let refused = owner.submit(&page, &format!("{viewer}/invitation"), &[]).expect(409);
    assert!(refused.text.contains("has a password"), "{}", refused.text);
    owner.submit(&page, &format!("{viewer}/remove"), &[]).expect(303);
    assert!(members(&house).iter().all(|(known, _)| *known != email("viewer")));
}

#[test]
fn the_log_is_filtered_checked_and_exported() {
    let house = House::start();
    let mut owner = house.visitor("owner");
    let id = &house.keys["retired"];
    let page = owner.get(&format!("{AUDIT}?target={id}")).expect(200);
    assert!(page.text.contains("Revoked a key") && page.text.contains("Created a key"), "{}", page.text);
    assert_eq!(page.text.matches("<details class=\"more\">").count(), 2, "{}", page.text);
    assert!(owner.get(&format!("{AUDIT}?actor=nobody")).expect(200).text.contains("No row matches these filters"));

    let page = owner.get(AUDIT).expect(200);
    let verdict = owner.submit(&page, &format!("{AUDIT}/check"), &[]).expect(200);
    assert!(verdict.text.contains("The chain holds"), "{}", verdict.text);
    let export = owner.get(&format!("{AUDIT}/export")).expect(200);
    assert_eq!(export.field("content-disposition"), Some("attachment; filename=\"audit-acme.jsonl\""));
    let rows: Vec<serde_json::Value> = export.text.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert!(rows.iter().enumerate().all(|(at, row)| row["number"] == json!(at + 1)), "{}", export.text);
    let head = rows.last().unwrap()["hash"].as_str().unwrap().to_owned();
    assert!(verdict.text.contains(&head), "{}", verdict.text);
}

#[test]
fn search_finds_pages_and_keys_as_far_as_one_may_go() {
    let house = House::start();
    let mut editor = house.visitor("editor");
    let found = editor.get("/o/acme/find?q=SALESforce").expect(200);
    assert!(found.text.contains(&format!("{K}/keys/{}", house.keys["salesforce-production"])), "{}", found.text);
    let id = &house.keys["old-erp"];
    let bare = editor.get(&format!("/o/acme/find?q={id}&fragment=1")).expect(200);
    assert!(bare.text.contains("class=\"hit\"") && bare.text.contains(id), "{}", bare.text);
    assert!(!bare.text.contains("<html"), "{}", bare.text);
    let all = editor.get("/o/acme/find").expect(200).text;
    assert!(all.contains(&format!("{K}/keys/new")) && all.contains("/o/acme/e/staging/keys/new"), "{all}");
    assert!(!all.contains("/o/acme/audit") && !all.contains("/o/acme/settings"), "{all}");
    let all = house.visitor("viewer").get("/o/acme/find").expect(200).text;
    assert!(!all.contains("/keys/new"), "{all}");
    assert!(
        house
            .visitor("owner")
            .get("/o/acme/find?q=audit")
            .expect(200)
            .text
            .contains("class=\"hit\" href=\"/o/acme/audit\"")
    );
    let none = editor.get("/o/acme/find?q=%3Cscript%3E").expect(200).text;
    assert!(none.contains("Nothing found") && !none.contains("<script>"), "{none}");
}

#[test]
fn a_password_is_changed_by_whoever_knows_it() {
    let house = House::start();
    let (mut viewer, mut elsewhere) = (house.visitor("viewer"), house.visitor("viewer"));
    let page = viewer.get("/account").expect(200);
    let form = |current: &str, new: &str| [("current_password", current.to_owned()), ("new_password", new.to_owned())];
    let wrong = viewer.submit(&page, "/account", &form("wrong password", "another long password")).expect(422);
    assert!(wrong.text.contains("id=\"current-error\"") && !wrong.text.contains("wrong password"), "{}", wrong.text);
    let short = viewer.submit(&page, "/account", &form(PASSWORD, "short")).expect(422);
    assert!(short.text.contains("id=\"new-error\""), "{}", short.text);
    elsewhere.get("/account").expect(200);
    viewer.submit(&page, "/account", &form(PASSWORD, "another long password")).expect(303);
    viewer.get("/account?changed=1").expect(200);
    elsewhere.get("/account").expect(303);
}

#[test]
fn base_urls_are_told_to_all_and_upstreams_to_admins() {
    let house = House::start();
    let page = house.visitor("viewer").get("/o/acme/base-urls").expect(200);
    for told in
        ["id=\"production-token-url\"", "id=\"staging-base-url\"", "/oauth2/token", "grant_type=client_credentials"]
    {
        assert!(page.text.contains(told), "{told}: {}", page.text);
    }
    assert!(!page.text.contains(&house.gateway.upstream.url()), "{}", page.text);
    let page = house.visitor("admin").get("/o/acme/base-urls").expect(200);
    assert!(page.text.contains(&house.gateway.upstream.url()), "{}", page.text);
}
