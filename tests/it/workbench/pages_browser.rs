//! The pages around the keys: overview, base URLs, audit, settings, members, account, search, and what is refused.

use super::forms_browser::used;
use super::house::{House, K, PASSWORD, email};
use super::wait;
use fantoccini::key::Key;
use serde_json::{Value, json};

#[test]
fn the_overview_leads_to_what_it_counts() {
    let house = House::start();
    let (id, secret) = house.key(&json!({"name": "busy", "permissions": ["cards:read"]}));
    for _ in 0..3 {
        used(&house.gateway, &id, &secret, "/cards");
    }
    let token = crate::harness::token(&house.gateway, &id, &secret);
    assert_eq!(house.gateway.post("/cards").bearer(&token).send().status, 403);
    let browser = house.browser("viewer");
    wait("the refusal is counted", || {
        browser.open(&format!("{K}/overview"));
        browser.text().contains("3 allowed, 1 refused").then_some(())
    });
    assert!(!browser.has("link", "New API key"), "a viewer makes no keys");
    browser.judge("overview");
    for (card, words) in
        [("Active", "salesforce-production"), ("Expiring in 14 days", "nightly-export"), ("Legacy", "old-erp")]
    {
        browser.open(&format!("{K}/overview"));
        browser.link(card);
        browser.is_at("API keys");
        browser.sees(words);
    }
    browser.open(&format!("{K}/overview"));
    let reasons = browser.run("return document.querySelector('.reasons a').getAttribute('href')", &[]);
    browser.open(reasons.as_str().unwrap());
    browser.sees(&id);
    browser.judge("why-code");
    browser.open(&format!("{K}/keys/{id}"));
    browser.is_at("busy");
    browser.sees("permission_missing");
    browser.judge("key-viewer");
    assert!(!browser.has("link", "Revoke") && !browser.has("link", "Edit"));
    browser.open(&format!("{K}/keys/{}", super::house::LAPSED));
    browser.sees("Set by file");
    browser.judge("key-of-file");
    browser.open("/o/acme/e/staging/keys");
    browser.sees("No API keys yet");
    browser.judge("keys-empty");
    browser.quiet();
}

#[test]
fn base_urls_and_the_audit_log() {
    let house = House::start();
    let browser = house.browser("admin");
    browser.link("Base URLs");
    browser.is_at("Base URLs");
    browser.sees(crate::harness::BASE_URL);
    browser.sees(&format!("{}/oauth2/token", crate::harness::BASE_URL));
    browser.judge("base-urls");
    browser.link("Audit log");
    browser.is_at("Audit log");
    browser.judge("audit");
    browser.button("Check the chain");
    browser.is_at("Audit log");
    wait("the chain's result", || browser.text().to_lowercase().contains("whole").then_some(()));
    browser.judge("audit-checked");
    browser.fill("Target", &house.keys["retired"]);
    browser.button("Apply");
    browser.is_at("Audit log");
    browser.sees("Clear filters");
    browser.judge("audit-filtered");
    browser.open("/o/acme/audit?target=nothing");
    browser.judge("audit-empty");
    let mut visitor = house.visitor("admin");
    let export = visitor.get("/o/acme/audit/export").expect(200);
    let rows: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 5, "{}", export.text);
    assert!(!export.text.contains("pculls_"));
    // Another page of a viewer has no health of upstreams.
    let viewer = house.visitor("viewer").get("/o/acme/base-urls").expect(200);
    let admin = visitor.get("/o/acme/base-urls").expect(200);
    let api = house.gateway.upstream.url();
    assert!(
        admin.text.contains(api.trim_start_matches("http://"))
            && !viewer.text.contains(api.trim_start_matches("http://"))
    );
    browser.quiet();
}

#[test]
fn members_and_accounts() {
    let house = House::start();
    let browser = house.browser("owner");
    browser.link("Members");
    browser.is_at("Members");
    browser.judge("members");
    browser.fill("Email", "new@acme.example");
    browser.fill("Name", "New One");
    browser.choose("Role", "Viewer");
    browser.button("Add member");
    browser.sees("/invitation?token=");
    browser.judge("members-invited");
    let text = browser.text();
    let link = text.split_whitespace().find(|word| word.contains("/invitation?token=")).unwrap().to_owned();
    browser.reload();
    browser.is_at("Members");
    assert!(!browser.source().contains(&link), "the invitation is shown once");
    let guest = house.stranger();
    guest.open(&link);
    guest.is_at("Set your password");
    guest.fill("New password", PASSWORD);
    guest.button("Set password and sign in");
    guest.is_at("Overview");
    guest.link("new@acme.example");
    guest.is_at("Your account");
    guest.judge("account");
    guest.fill("Current password", "wrong");
    guest.fill("New password", "a wholly new password");
    guest.button("Change password");
    guest.is_at("Your account");
    guest.judge("account-error");
    guest.fill("Current password", PASSWORD);
    guest.fill("New password", "a wholly new password");
    guest.button("Change password");
    guest.sees("hanged");
    house.session(&json!({"email": "new@acme.example", "password": "a wholly new password"}));

    // Who loses a role loses it at once.
    browser.open("/o/acme/members");
    browser.link("Edit new@acme.example");
    browser.judge("member");
    browser.choose("Role", "No access");
    browser.button("Save changes");
    browser.sees("saved");
    guest.open(&format!("{K}/keys"));
    guest.judge("forbidden");
    assert!(!guest.has("link", "API keys"), "the sidebar leads where nobody may go");
    browser.open("/o/acme/members");
    browser.link("Remove new@acme.example");
    browser.find("dialog", "Remove");
    browser.judge("member-remove");
    browser.press(&[Key::Escape]);
    browser.link("Remove new@acme.example");
    browser.find("dialog", "Remove");
    browser.button("Remove member");
    browser.sees("Member removed");
    guest.open("/account");
    guest.is_at("Sign in");
    // The last owner stays.
    browser.link(&format!("Edit {}", email("owner")));
    browser.choose("Role", "Viewer");
    browser.button("Save changes");
    browser.sees("owner");
    let owner = &house.done("GET", "/v1/organizations/acme/members?limit=100", &Value::Null)["data"];
    assert!(owner.as_array().unwrap().iter().any(|member| member["role"] == "owner"));
    browser.judge("member-error");
}

/// Search without and with scripts, the switchers, and the pages of what is not there.
#[test]
fn the_way_around() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.open("/o/acme/find?q=export");
    browser.is_at("Search");
    browser.sees("nightly-export");
    browser.judge("find");
    browser.open("/o/acme/find?q=no+such+thing");
    browser.judge("find-empty");
    browser.press_all(&[char::from(Key::Control), 'k']);
    browser.type_here("new api");
    wait("the one that is chosen", || {
        let chosen = "return document.querySelector('[role=option][aria-selected=true]')?.innerText";
        browser.run(chosen, &[]).as_str().is_some_and(|text| text.starts_with("New API key")).then_some(())
    });
    browser.press(&[Key::Enter]);
    browser.is_at("New API key");
    browser.press_all(&[char::from(Key::Control), 'k']);
    browser.type_here(&house.keys["old-erp"]);
    browser.find("option", "old-erp");
    browser.press(&[Key::Down]);
    browser.press(&[Key::Escape]);
    assert!(browser.names("dialog").is_empty());
    browser.click("DisclosureTriangle", "Environment production");
    browser.link("staging");
    wait("the other environment", || browser.path().starts_with("/o/acme/e/staging").then_some(()));
    for path in ["/o/acme/e/production/keys/nothing", "/no/such/page", "/o/other/members"] {
        browser.open(path);
        browser.sees("404");
    }
    browser.judge_but_404("not-found");
    // A member of nothing that could be shown.
    let none = house.browser("none");
    none.sees("none@acme.example");
    none.judge_but_404("no-role");
    assert!(!none.has("link", "API keys"));
    browser.look(super::browser::PHONE, "light");
    browser.open(&format!("{K}/keys"));
    browser.fits();
    browser.forget_log();
    browser.click("DisclosureTriangle", "Menu");
    browser.link("Base URLs");
    browser.is_at("Base URLs");
    browser.quiet();
}
