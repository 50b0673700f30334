//! The life of a key in the browser: made, copied once, listed, edited, rotated, revoked. With the mouse, by keyboard
//! alone, and with scripts off.

use super::browser::Browser;
use super::house::{House, K, KEYS};
use crate::harness::{eventually, token, token_form};
use fantoccini::key::Key;
use serde_json::json;

/// What the page that shows a secret shows: client id and secret.
#[track_caller]
pub(super) fn shown_once(browser: &Browser) -> (String, String) {
    browser.is_at("Copy the secret now");
    let text = browser.text();
    let word = |start: &str| {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.find(|word| word.starts_with(start) && word.len() > 20).unwrap_or_else(|| panic!("{start}: {text}"))
    };
    (word("pcull_").to_owned(), word("pculls_").to_owned())
}

/// Whether this secret gets a token.
#[track_caller]
fn opens(house: &House, (id, secret): &(String, String)) -> bool {
    match house.gateway.post("/oauth2/token").form(&token_form(id, secret)).send().status {
        200 => true,
        400 | 401 => false,
        other => panic!("{other}"),
    }
}

/// A call of the API with this secret, until it is known that the key was used.
#[track_caller]
fn call(house: &House, (id, secret): &(String, String)) {
    let token = token(&house.gateway, id, secret);
    assert_eq!(house.gateway.get("/cards").bearer(&token).send().status, 200);
    eventually("the key's use is written", || (!house.shown(id)["last_used_at"].is_null()).then_some(()));
}

#[test]
fn with_the_mouse() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.is_at("Overview");
    browser.judge("overview-quiet");
    browser.link("API keys");
    browser.is_at("API keys");
    browser.sees("salesforce-production");
    browser.judge("keys");
    browser.link("New API key");
    browser.is_at("New API key");
    browser.judge("new-key");

    browser.fill("Name", "crm-sync");
    browser.click("radio", "Read only");
    assert_eq!(browser.checked("checkbox", "cards:read"), "true");
    assert_eq!(browser.checked("checkbox", "cards:write"), "false");
    browser.click("checkbox", "cards:write");
    assert_eq!(browser.checked("radio", "My own choice"), "true", "it is the preset no more");
    browser.click("radio", "90 days");
    browser.judge("new-key-filled");
    browser.button("Create API key");
    let first = shown_once(&browser);
    browser.judge("secret");
    assert_eq!(browser.path(), format!("{K}/keys/{}", first.0), "the address is the key's");
    let made = house.shown(&first.0);
    assert_eq!(made["permissions"], json!(["cards:read", "cards:write", "files:read"]), "{made}");
    assert!(opens(&house, &first));

    let name = "Copy client secret";
    browser.button(name);
    browser.sees("Copied");
    browser.click("tab", "Python");
    browser.sees("PORTCULLIS_CLIENT_SECRET");
    assert!(browser.names("tab").len() == 3 && browser.text().contains("OAuth2Session"));
    assert!(browser.attribute("button", "Done", "disabled").is_some(), "Done waits");
    browser.click("checkbox", "I have stored it");
    browser.button("Done");
    browser.is_at("crm-sync");
    browser.judge("key");

    browser.link("Rotate");
    browser.find("dialog", "Rotate crm-sync");
    browser.judge("rotate-dialog");
    browser.press(&[Key::Escape]);
    browser.sees_no("The present secret stops working at once");
    assert_eq!(browser.focused().1, "Rotate", "the focus comes back to where the dialog was opened");
    browser.link("Rotate");
    browser.find("dialog", "Rotate crm-sync");
    browser.click("radio", "30 days");
    browser.button("Rotate secret");
    let second = shown_once(&browser);
    assert_eq!(first.0, second.0);
    assert!(!opens(&house, &first) && opens(&house, &second));
    browser.click("checkbox", "I have stored it");
    browser.button("Done");

    browser.is_at("crm-sync");
    browser.link("Edit");
    browser.is_at("Edit crm-sync");
    browser.judge("edit");
    browser.fill("Name", "crm-sync-2");
    browser.click("checkbox", "files:write");
    browser.button("Save changes");
    browser.is_at("crm-sync-2");
    let edited = house.shown(&first.0);
    assert_eq!(edited["permissions"], json!(["cards:read", "cards:write", "files:read", "files:write"]), "{edited}");

    // In use, so that its name has to be typed.
    call(&house, &second);
    browser.link("Revoke");
    browser.find("dialog", "Revoke crm-sync-2");
    assert_eq!(browser.focused().1, "Type the name to confirm");
    browser.judge("revoke-dialog");
    browser.type_here("crm-sync-");
    assert!(browser.attribute("button", "Revoke API key", "disabled").is_some(), "half a name is no name");
    browser.type_here("2");
    browser.button("Revoke API key");
    browser.sees("Revoked on");
    browser.judge("key-revoked");
    assert!(!opens(&house, &second));
    assert_eq!(house.shown(&first.0)["status"], "revoked");
}

/// Tab, Space, Enter and arrows; at every stop the focus is to be seen.
#[test]
fn by_keyboard_alone() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.is_at("Overview");
    browser.press(&[Key::Tab]);
    assert_eq!(browser.focused().1, "Skip to content", "the first stop goes past the sidebar");
    browser.tab_to("API keys");
    browser.press(&[Key::Enter]);
    browser.is_at("API keys");
    browser.tab_to("New API key");
    browser.press(&[Key::Enter]);
    browser.is_at("New API key");
    assert_eq!(browser.focused().1, "Name", "typing can begin at once");
    browser.type_here("by-keyboard");
    browser.tab_to("My own choice");
    browser.press(&[Key::Down]);
    browser.tab_to("cards:write");
    browser.press(&[Key::Space]);
    browser.tab_to("90 days");
    browser.press(&[Key::Up]);
    assert_eq!(browser.focused().1, "30 days");
    browser.tab_to("Any address");
    browser.press(&[Key::Down]);
    browser.tab_to("Allowlist");
    browser.type_here("192.0.2.7");
    browser.tab_to("Create API key");
    browser.press(&[Key::Enter]);
    let (id, _) = shown_once(&browser);
    browser.tab_to("curl");
    browser.press(&[Key::Right]);
    assert_eq!(browser.focused(), ("tab".to_owned(), "Python".to_owned()));
    browser.tab_to("I have stored it");
    browser.press(&[Key::Space]);
    browser.tab_to("Done");
    browser.press(&[Key::Enter]);
    browser.is_at("by-keyboard");
    let made = house.shown(&id);
    assert_eq!(made["allowlist"]["networks"], json!(["192.0.2.7"]), "{made}");
    assert!(made["permissions"].as_array().unwrap().contains(&json!("cards:write")), "{made}");

    browser.tab_to("Revoke");
    browser.press(&[Key::Enter]);
    browser.find("dialog", "Revoke by-keyboard");
    browser.tab_to("Cancel");
    browser.press(&[Key::Enter]);
    browser.sees_no("This is final");
    assert_eq!(browser.focused().1, "Revoke");
    browser.press(&[Key::Enter]);
    browser.find("dialog", "Revoke by-keyboard");
    browser.tab_to("Revoke API key");
    browser.press(&[Key::Enter]);
    browser.sees("Revoked on");
    assert_eq!(house.shown(&id)["status"], "revoked");

    // The palette: from anywhere, by its keys.
    browser.press_all(&[char::from(Key::Control), 'k']);
    browser.type_here("salesf");
    browser.sees("salesforce-production");
    browser.find("option", "salesforce-production");
    browser.judge("palette");
    browser.press(&[Key::Enter]);
    browser.is_at("salesforce-production");
    browser.quiet();
}

#[test]
fn with_scripts_off() {
    let house = House::start();
    let browser = house.stranger();
    browser.scripts(false);
    browser.open(&format!("{K}/keys"));
    browser.sign_in("editor");
    browser.is_at("API keys");
    browser.fill("Search", "old-erp");
    browser.button("Apply");
    browser.sees("old-erp");
    browser.sees_no("nightly-export");
    browser.fill("Search", "no such key");
    browser.button("Apply");
    browser.sees("No key matches these filters");
    browser.judge("keys-filtered-empty");
    browser.link("Clear filters");
    browser.link("New API key");
    browser.is_at("New API key");
    // Nothing is made as long as something is wrong, and nothing that was typed is lost.
    browser.fill("Name", "plain-form");
    browser.click("radio", "Only these addresses");
    browser.fill("Allowlist", "198.51.100.7/24\n127.0.0.1");
    browser.button("Create API key");
    browser.sees("198.51.100.0/24");
    assert_eq!(
        (browser.value("Name"), browser.value("Allowlist")),
        ("plain-form".into(), "198.51.100.7/24\n127.0.0.1".into())
    );
    browser.judge("new-key-errors-plain");
    browser.fill("Allowlist", "198.51.100.0/24\n127.0.0.1");
    browser.click("radio", "Card desk");
    browser.button("Check the preset's permissions");
    assert_eq!(browser.checked("checkbox", "cards:write"), "true");
    browser.click("checkbox", "All of Permissions");
    browser.click("radio", "30 days");
    browser.button("Create API key");
    let first = shown_once(&browser);
    browser.judge("secret-plain");
    assert!(opens(&house, &first));
    let made = house.shown(&first.0);
    assert_eq!(made["permissions"].as_array().map(Vec::len), Some(6), "{made}");
    browser.click("checkbox", "I have stored it");
    browser.button("Done");
    browser.is_at("plain-form");

    browser.link("Rotate");
    browser.is_at("Rotate plain-form");
    browser.judge("rotate");
    browser.click("radio", "1 year");
    browser.button("Rotate secret");
    let second = shown_once(&browser);
    assert!(!opens(&house, &first) && opens(&house, &second));
    browser.open(&format!("{K}/keys/{}", first.0));
    browser.link("Edit");
    browser.is_at("Edit plain-form");
    browser.fill("Description", "Nightly\nexport");
    browser.judge("edit-plain");
    browser.button("Save changes");
    browser.is_at("plain-form");
    assert_eq!(house.shown(&first.0)["description"], "Nightly\nexport");
    call(&house, &second);
    browser.link("Revoke");
    browser.is_at("Revoke plain-form");
    browser.fill("Type the name to confirm", "plain");
    browser.button("Revoke API key");
    browser.is_at("Revoke plain-form");
    browser.judge("revoke");
    assert_eq!(house.shown(&first.0)["status"], "active", "a wrong name revokes nothing");
    browser.fill("Type the name to confirm", "plain-form");
    browser.button("Revoke API key");
    browser.sees("Revoked on");
    assert!(!opens(&house, &second));
    assert_eq!(house.shown(&first.0)["status"], "revoked");
    assert_eq!(house.done("GET", &format!("{KEYS}?q=plain-form"), &json!(null))["data"].as_array().unwrap().len(), 1);
    browser.button("Sign out");
    browser.is_at("Sign in");
    browser.quiet();
}
