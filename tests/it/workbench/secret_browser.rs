//! A secret is seen once: not by loading again, not by going back or forward, not in another tab, on no other page.

use super::browser::Browser;
use super::house::{House, K};
use super::life_browser::shown_once;

#[track_caller]
fn hidden(browser: &Browser, secret: &str, when: &str) {
    let source = browser.source();
    assert!(!source.contains(secret), "the secret is shown {when}: {}", browser.path());
    // Where the browser shows a page of its own, nothing can be kept.
    let kept = "try { return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, name]) }
        catch (why) { return String(why) }";
    assert!(!browser.run(kept, &[]).to_string().contains(secret), "the secret is kept {when}");
}

fn make(browser: &Browser, name: &str) -> (String, String) {
    browser.open(&format!("{K}/keys/new"));
    browser.fill("Name", name);
    browser.click("radio", "Read only");
    if browser.has("button", "Check the preset's permissions") {
        browser.button("Check the preset's permissions");
    }
    browser.click("radio", "90 days");
    browser.button("Create API key");
    shown_once(browser)
}

#[test]
fn once_and_never_again() {
    let house = House::start();
    let browser = house.browser("editor");
    browser.is_at("Overview");
    let (id, secret) = make(&browser, "once");
    let key = format!("{K}/keys/{id}");
    assert_eq!(browser.source().matches(&secret).count(), 2, "where it is seen, and in the file to be downloaded");
    assert!(!browser.path().contains(&secret));
    browser.reload();
    browser.is_at("once");
    hidden(&browser, &secret, "after loading again");
    assert_eq!(browser.path(), key);

    let (_, secret) = make(&browser, "back");
    browser.open(&format!("{K}/keys"));
    hidden(&browser, &secret, "in the list");
    browser.back();
    browser.is_at("back");
    hidden(&browser, &secret, "after going back");
    browser.back();
    hidden(&browser, &secret, "two pages back");
    browser.forward();
    browser.is_at("back");
    hidden(&browser, &secret, "after going forward");

    let (id, secret) = make(&browser, "tab");
    let url = browser.url();
    let first = browser.new_tab();
    browser.open(&url);
    browser.is_at("tab");
    hidden(&browser, &secret, "in a second tab");
    for page in ["edit", "rotate", "revoke"] {
        browser.open(&format!("{K}/keys/{id}/{page}"));
        hidden(&browser, &secret, page);
    }
    for page in [format!("{K}/keys?q=tab"), format!("{K}/overview"), format!("{K}/why?client_id={id}")] {
        browser.open(&page);
        hidden(&browser, &secret, &page);
    }
    browser.switch_to(first);
    browser.is_at("Copy the secret now");
    assert_eq!(house.named("tab").len(), 1);
    assert!(!house.gateway.stderr().contains(&secret) && !house.gateway.stdout().contains(&secret));
    browser.quiet();
}

/// Without scripts the address stays the form's own: sent again, it makes nothing and shows nothing.
#[test]
fn once_with_scripts_off() {
    let house = House::start();
    let browser = house.stranger();
    browser.scripts(false);
    browser.open(&format!("{K}/keys"));
    browser.sign_in("editor");
    browser.is_at("API keys");
    let (id, secret) = make(&browser, "plain");
    browser.reload();
    browser.is_at("The secret was shown already");
    hidden(&browser, &secret, "after the form was sent again");
    browser.judge("secret-again");
    assert_eq!(house.named("plain").len(), 1, "it is made once");
    browser.link("To the key");
    browser.is_at("plain");
    browser.back();
    hidden(&browser, &secret, "after going back");
    browser.open(&format!("{K}/keys/{id}"));
    hidden(&browser, &secret, "on the key's page");
}
