//! The doors as people go through them: signing in and out, the first owner's link, an invitation.

use super::browser::Browser;
use super::house::{House, K, PASSWORD, empty};
use serde_json::json;

#[test]
fn in_and_out() {
    let house = House::start();
    let browser = house.stranger();
    browser.open(&format!("{K}/keys/new"));
    browser.is_at("Sign in");
    assert_eq!(browser.focused(), ("textbox".to_owned(), "Email".to_owned()), "typing can begin at once");
    browser.judge("sign-in");
    browser.fill("Email", "editor@acme.example");
    browser.fill("Password", "wrong horse");
    browser.button("Sign in");
    browser.sees("The email address or the password is not right.");
    assert_eq!((browser.value("Email").as_str(), browser.value("Password").as_str()), ("editor@acme.example", ""));
    browser.judge("sign-in-error");
    browser.fill("Password", PASSWORD);
    browser.press(&[fantoccini::key::Key::Enter]);
    browser.is_at("New API key");
    assert_eq!(browser.path(), format!("{K}/keys/new"), "one goes on to where one wanted to go");
    assert!(!browser.readable_cookies().contains("portcullis_session"), "a script can read the session");
    // A link in somebody's mail: the strict cookie is kept back at first.
    browser.open(
        "data:text/html,<a id=a href='http://ORIGIN/account'>x</a>".replace("http://ORIGIN", browser.origin()).as_str(),
    );
    browser.link("x");
    browser.sees("editor@acme.example");

    browser.button("Sign out");
    browser.is_at("Sign in");
    browser.back();
    browser.is_at("Sign in");
    assert!(!browser.text().contains("editor@acme.example"), "back shows what only the session may see");
    browser.quiet();
}

/// Without scripts, and the whole way by keyboard.
#[test]
fn the_first_owners_link_and_an_invitation() {
    let gateway = empty().start();
    let browser = Browser::start(gateway.control());
    let link = format!("/first-run?token={}", gateway.bootstrap_token());
    browser.scripts(false);
    browser.open(&link);
    browser.is_at("Create the first owner");
    browser.judge("first-run");
    browser.tab_to("Email");
    browser.type_here("ada@acme.example");
    browser.tab_to("Password");
    browser.type_here("short");
    // The browser itself holds it back for its length; what a browser does not check, the server does (`doors.rs`).
    browser.fill("Password", PASSWORD);
    browser.tab_to("Create owner and sign in");
    browser.press(&[fantoccini::key::Key::Enter]);
    browser.sees("ada@acme.example");
    assert!(browser.path().starts_with("/o/acme"), "{}", browser.path());
    browser.open(&link);
    browser.is_at("This link was used");
    browser.judge("first-run-used");

    let session = json!({"email": "ada@acme.example", "password": PASSWORD});
    let (_, made) = crate::harness::ask_control(gateway.control(), "", "POST", "/v1/sessions", &session);
    let body = json!({"email": "bob@acme.example", "role": "viewer"});
    let members = "/v1/organizations/acme/members";
    let (_, invited) = gateway.control_as(made["token"].as_str().unwrap(), "POST", members, &body);
    browser.forget_cookies();
    browser.open(&format!("/invitation?token={}", invited["invitation"].as_str().unwrap()));
    browser.is_at("Set your password");
    browser.judge("invitation");
    browser.fill("New password", PASSWORD);
    browser.button("Set password and sign in");
    browser.sees("bob@acme.example");
    browser.quiet();
}
