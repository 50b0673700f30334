//! The form of a key, piece by piece: permissions, pasted requests, expiry under a policy, the allowlist as it is
//! judged, and what happens to what was typed when the session ends or somebody else was quicker.

use super::browser::Browser;
use super::house::{House, K, KEYS, email};
use super::wait;
use crate::harness::Gateway;
use fantoccini::key::Key;
use serde_json::{Value, json};

/// An environment whose permissions come in groups: the sample bank's own document.
const BANK: &str = "/o/other/e/bank";

fn bank(house: &House) {
    let upstream = house.gateway.upstream.url();
    let path = "/v1/organizations/other/environments/bank";
    house.done("PUT", path, &json!({"base_url": "http://gate.test/bank", "upstream": upstream}));
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string(crate::tools::file("src/sample/openapi.json")).unwrap()).unwrap();
    house.done("PUT", &format!("{path}/catalogue"), &document);
}

fn checked(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('[name=permission]:checked')].map((it) => it.value)";
    serde_json::from_value(browser.run(script, &[])).unwrap()
}

/// The boxes that a reader sees.
fn seen(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('[name=permission]')].filter((it) => it.checkVisibility())
        .map((it) => it.value)";
    serde_json::from_value(browser.run(script, &[])).unwrap()
}

#[test]
fn permissions_are_searched_grouped_preset_and_picked() {
    let house = House::start();
    bank(&house);
    let browser = house.browser("stranger");
    browser.open(&format!("{BANK}/keys/new"));
    browser.is_at("New API key");
    let all = seen(&browser).len();
    browser.fill("Search permissions", "card");
    let cards = seen(&browser);
    assert!(cards.len() < all && cards.iter().any(|name| name == "cards.create"), "{cards:?}");
    browser.sees(&format!("{} of {all} permissions match", cards.len()));
    // A group's box steers what the search shows, and Enter in the search sends nothing.
    browser.fill("Search permissions", "cards.create");
    browser.press(&[Key::Enter]);
    browser.is_at("New API key");
    browser.click("checkbox", "All of Cards");
    assert_eq!(checked(&browser), ["cards.create"]);
    browser.fill("Search permissions", "no such thing");
    assert!(seen(&browser).is_empty());
    browser.judge("new-key-search-empty");
    browser.run("document.querySelector('[data-filter]').value = ''", &[]);
    browser.fill("Search permissions", "c");
    browser.press(&[Key::Backspace]);
    wait("the whole list", || (seen(&browser).len() == all).then_some(()));

    // All, some, none: by the group's box and by its permissions'.
    assert_eq!(browser.checked("checkbox", "All of Cards"), "mixed");
    browser.click("checkbox", "All of Cards");
    assert_eq!(browser.checked("checkbox", "All of Cards"), "true");
    browser.click("checkbox", "cards.delete");
    assert_eq!(browser.checked("checkbox", "All of Cards"), "mixed");
    browser.click("checkbox", "All of Cards");
    browser.click("checkbox", "All of Cards");
    assert_eq!((checked(&browser), browser.checked("checkbox", "All of Cards")), (vec![], "false".to_owned()));

    browser.click("radio", "Read only");
    let reads = checked(&browser);
    assert!(!reads.is_empty() && !reads.iter().any(|name| name == "cards.create"), "{reads:?}");
    browser.click("radio", "Everything");
    // Whatever the API has; keys that manage keys are no part of it.
    let own = seen(&browser).into_iter().filter(|name| !name.starts_with("portcullis:"));
    assert_eq!(checked(&browser), own.collect::<Vec<_>>());
    browser.click("checkbox", "cards.delete");
    assert_eq!(browser.checked("radio", "My own choice"), "true");
    browser.click("radio", "Read only");
    browser.click("radio", "My own choice");
    assert_eq!(checked(&browser), reads, "one's own choice begins with what was there");

    // What one calls, pasted.
    browser.click("checkbox", "All of Accounts");
    if browser.checked("checkbox", "All of Accounts") == "true" {
        browser.click("checkbox", "All of Accounts");
    }
    browser.click("DisclosureTriangle", "Paste requests you make");
    let requests =
        "POST /cards\ncurl -X DELETE -H 'X: y' http://gate.test/bank/cards/42\nGET /no/such/thing\nGET /cards/7?x=1";
    browser.paste("Requests you make", requests);
    browser.button("Pick operations");
    browser.sees("no/such/thing");
    let picked = checked(&browser);
    for name in ["cards.create", "cards.delete", "cards.read"] {
        let there = picked.iter().any(|picked| picked == name) || name == "cards.read";
        assert!(there, "{name} was not picked: {picked:?}");
    }
    assert_eq!(browser.value("Requests you make").lines().count(), 4);
    browser.judge("new-key-picked");

    // By keyboard, one box: Space.
    browser.tab_to("cards.create");
    browser.press(&[Key::Space]);
    assert!(!checked(&browser).contains(&"cards.create".to_owned()));
    browser.quiet();
}

#[test]
fn the_allowlist_is_judged_as_one_types() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.open(&format!("{K}/keys/new"));
    browser.fill("Name", "judged");
    browser.click("radio", "Read only");
    browser.click("radio", "Only these addresses");
    browser.fill("Allowlist", "198.51.100.7/24\nnot an address\n2001:db8::/32\n");
    browser.sees("Use 198.51.100.0/24");
    browser.judge("new-key-allowlist");
    let text = browser.text();
    assert!(text.contains("not an address"), "{text}");
    browser.button("Use 198.51.100.0/24");
    wait("the line is the one proposed", || browser.value("Allowlist").starts_with("198.51.100.0/24\n").then_some(()));
    browser.sees_no("Use 198.51.100.0/24");
    browser.button("Add my address");
    wait("one's own address is in it", || browser.value("Allowlist").contains("127.0.0.1").then_some(()));
    // What is wrong is said again by whoever is asked to make it.
    browser.button("Create API key");
    browser.sees("1 thing to put right");
    assert_eq!(browser.focused().0, "alert", "the summary of what is wrong has the focus");
    assert!(house.named("judged").is_empty());
    browser.judge("new-key-errors");
    browser.fill("Allowlist", "198.51.100.0/24\n127.0.0.1\n2001:db8::/32");
    browser.click("checkbox", "Allow Acme addresses");
    browser.click("DisclosureTriangle", "2 networks");
    browser.sees("203.0.113.7");
    browser.button("Create API key");
    browser.is_at("Copy the secret now");
    let made = &house.named("judged")[0];
    assert_eq!(
        made["allowlist"],
        json!({"networks": ["198.51.100.0/24", "127.0.0.1", "2001:db8::/32"], "platform": true})
    );

    // Nobody is locked out by an empty list, nor let in.
    browser.open(&format!("{K}/keys/new"));
    browser.fill("Name", "nobody");
    browser.click("radio", "Read only");
    browser.click("radio", "Only these addresses");
    browser.button("Create API key");
    browser.sees("to put right");
    assert!(house.named("nobody").is_empty());
    browser.quiet();
}

#[test]
fn policies_bound_the_expiry_and_block_legacy_keys() {
    let house = House::start();
    let owner = house.browser("owner");
    owner.open("/o/acme/settings");
    owner.is_at("Organization settings");
    owner.judge("settings");
    owner.click("checkbox", "Block the creation of legacy keys");
    owner.click("radio", "90 days");
    owner.button("Save policies");
    owner.sees("saved");
    let policies = &house.done("GET", "/v1/organizations/acme", &Value::Null)["policies"];
    assert_eq!(
        (&policies["block_legacy_keys"], &policies["max_key_lifetime"]),
        (&json!(true), &json!("90d")),
        "{policies}"
    );

    owner.open(&format!("{K}/keys/new"));
    owner.is_at("New API key");
    assert!(owner.attribute("radio", "Legacy", "disabled").is_some());
    owner.sees("does not allow new legacy keys");
    for (name, open) in [("30 days", true), ("90 days", true), ("1 year", false), ("Never", false)] {
        assert_eq!(owner.attribute("radio", name, "disabled").is_none(), open, "{name}");
    }
    owner.judge("new-key-policies");
    owner.fill("Name", "bounded");
    owner.click("radio", "Read only");
    owner.click("radio", "90 days");
    // The very second that the page tells is the one that is kept.
    let told = "return document.querySelector('[name=expiry]:checked').value.split('@')[1]";
    let told = owner.run(told, &[]);
    owner.button("Create API key");
    owner.is_at("Copy the secret now");
    assert_eq!(house.named("bounded")[0]["expires_at"], told);
    // What the page does not offer is refused by whoever decides.
    let mut visitor = house.visitor("editor");
    let page = visitor.get(&format!("{K}/keys/new")).expect(200);
    let form = |more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let usual = [("name", "sly"), ("type", "fine_grained"), ("permission", "cards:read"), ("addresses", "any")];
        let known = |name: &str| more.iter().any(|(other, _)| *other == name);
        let all = usual.iter().filter(|(name, _)| !known(name)).chain(more);
        all.map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    for more in [
        &[("expiry", "none")][..],
        &[("expiry", "365d@2099-01-01T00:00:00Z")],
        &[("expiry", "date"), ("expiry_at", "2099-01-01T00:00")],
        &[("expiry", "date"), ("expiry_at", "2001-01-01T00:00")],
        &[("expiry", "date"), ("expiry_at", "")],
        &[("expiry", "date"), ("expiry_at", "soon")],
        &[("expiry", "nonsense")],
        &[("type", "legacy"), ("role", "events"), ("expiry", "none")],
    ] {
        let refused = visitor.submit(&page, &format!("{K}/keys/new"), &form(more));
        assert_eq!(refused.status, 422, "{more:?}: {}", refused.text);
    }
    assert!(house.named("sly").is_empty());
    owner.quiet();
}

#[test]
fn a_session_that_ends_takes_nothing_along() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.open(&format!("{K}/keys/new"));
    browser.fill("Name", "typed <b>before</b>");
    browser.fill("Description", "two\nlines & \"more\"");
    browser.click("radio", "Card desk");
    browser.click("checkbox", "files:read");
    browser.click("radio", "30 days");
    browser.click("radio", "Only these addresses");
    browser.fill("Allowlist", "192.0.2.0/24\n2001:db8::/32");
    browser.click("checkbox", "Allow Acme addresses");
    let before = checked(&browser);
    end_sessions(&house, "editor");
    // What asks in the background does not throw away what is in front.
    browser.hear();
    browser.requests.take();
    browser.fill("Allowlist", "192.0.2.0/24\n2001:db8::/32");
    wait("the lines are sent to be judged", || {
        browser.hear();
        browser.requests.borrow().iter().any(|url| url.ends_with("/allowlist")).then_some(())
    });
    browser.sees("session");
    browser.is_at("New API key");
    browser.button("Create API key");
    browser.is_at("Sign in");
    browser.sees("Nothing you typed is lost");
    browser.judge("sign-in-ended");
    // A slip on the way loses nothing either.
    browser.fill("Email", &email("editor"));
    browser.fill("Password", "wrong");
    browser.button("Sign in");
    browser.sees("The email address or the password is not right.");
    browser.sign_in("editor");
    browser.is_at("Signed in again");
    browser.judge("resume");
    browser.button("Go on with the form");
    browser.is_at("New API key");
    assert!(house.named("typed <b>before</b>").is_empty(), "nothing is made before somebody says so");
    assert_eq!(browser.value("Name"), "typed <b>before</b>");
    assert_eq!(browser.value("Description"), "two\nlines & \"more\"");
    assert_eq!(checked(&browser), before);
    assert_eq!(browser.checked("radio", "30 days"), "true");
    assert_eq!(browser.value("Allowlist"), "192.0.2.0/24\n2001:db8::/32");
    assert_eq!(browser.checked("checkbox", "Allow Acme addresses"), "true");
    browser.button("Create API key");
    browser.is_at("Copy the secret now");
    let made = &house.named("typed <b>before</b>")[0];
    assert_eq!(made["description"], "two\nlines & \"more\"");
    assert_eq!(made["allowlist"], json!({"networks": ["192.0.2.0/24", "2001:db8::/32"], "platform": true}));

    // What asks in the background leads to the sign-in page as well.
    browser.open(&format!("{K}/keys"));
    browser.is_at("API keys");
    end_sessions(&house, "editor");
    browser.fill("Search", "old");
    browser.is_at("Sign in");
    browser.quiet();
}

/// Ends every session of a member: changing the password does. It is the same again afterwards.
fn end_sessions(house: &House, role: &str) {
    let mut visitor = house.visitor(role);
    let page = visitor.get("/account").expect(200);
    let words = super::house::PASSWORD.to_owned();
    for (current, new) in
        [(words.clone(), "another long password".to_owned()), ("another long password".to_owned(), words)]
    {
        let form = [("current_password", current), ("new_password", new)];
        let changed = visitor.submit(&page, "/account", &form);
        assert!([200, 303].contains(&changed.status), "{}", changed.text);
    }
}

#[test]
fn the_second_of_two_is_told() {
    let house = House::start();
    let id = house.keys["salesforce-production"].clone();
    let browser = house.browser("admin");
    browser.open(&format!("{K}/keys/{id}/edit"));
    browser.fill("Description", "mine");
    browser.click("checkbox", "files:write");
    let mine = checked(&browser);
    house.done("PATCH", &format!("{KEYS}/{id}"), &json!({"description": "theirs", "permissions": ["cards:read"]}));
    let theirs = house.shown(&id);
    browser.button("Save changes");
    browser.sees("theirs");
    assert_eq!(house.shown(&id), theirs, "the second overwrites the first unseen");
    assert_eq!(
        (browser.value("Description"), checked(&browser)),
        ("mine".to_owned(), mine.clone()),
        "what was typed is lost"
    );
    browser.judge("edit-conflict");
    browser.button("Save changes");
    browser.is_at("salesforce-production");
    assert_eq!(house.shown(&id)["description"], "mine", "having been told, one may");

    // Rotation and revocation of what one has not seen.
    for (page, button) in [("rotate", "Rotate secret"), ("revoke", "Revoke API key")] {
        browser.open(&format!("{K}/keys/{id}/{page}"));
        house.done("PATCH", &format!("{KEYS}/{id}"), &json!({"description": page}));
        let theirs = house.shown(&id);
        browser.button(button);
        browser.sees("Somebody changed this key meanwhile");
        assert_eq!(house.shown(&id), theirs, "{page}");
    }
    browser.judge("revoke-conflict");
    browser.quiet();
}

/// What was never used goes with one click; what was used stays.
#[test]
fn what_a_key_never_used_is_taken_away() {
    let house = House::start();
    let (id, secret) =
        house.key(&json!({"name": "generous", "permissions": ["cards:read", "cards:write", "files:read"]}));
    used(&house.gateway, &id, &secret, "/cards");
    let browser = house.browser("editor");
    wait("the use is known", || {
        browser.open(&format!("{K}/keys/{id}"));
        browser.has("button", "Remove the 2 never used").then_some(())
    });
    browser.sees("Never used");
    browser.judge("key-used");
    browser.button("Remove the 2 never used");
    browser.sees_no("Never used");
    assert_eq!(house.shown(&id)["permissions"], json!(["cards:read"]));
    browser.quiet();
}

pub(super) fn used(gateway: &Gateway, id: &str, secret: &str, path: &str) {
    let token = crate::harness::token(gateway, id, secret);
    assert_eq!(gateway.get(path).bearer(&token).send().status, 200);
}
