//! A newcomer's first minutes: from what `portcullis demo` prints to a refusal that is understood.

use super::browser::Browser;
use super::life_browser::shown_once;
use crate::demo::Demo;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// What curl prints: status, header fields and body.
#[track_caller]
fn curl(args: &[&str]) -> String {
    let mut curl = Command::new("curl");
    crate::tools::without_proxy(&mut curl);
    let output = curl.args(["-s", "--max-time", "20"]).args(args).output().expect("curl is installed (`make setup`)");
    String::from_utf8(output.stdout).unwrap()
}

fn field<'a>(printed: &'a str, name: &str) -> &'a str {
    let found = printed.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    });
    found.unwrap_or_else(|| panic!("no {name}: {printed}"))
}

#[test]
fn from_the_demos_link_to_a_refusal_that_is_explained() {
    let began = Instant::now();
    let demo = Demo::start(&[]);
    let control = demo.text("control_url").trim_start_matches("http://").parse().unwrap();
    let browser = Browser::start(control);
    browser.open(demo.text("first_run_url"));
    browser.is_at("Create the first owner");
    browser.fill("Email", "ada@example.com");
    browser.fill("Password", "correct horse battery staple");
    browser.button("Create owner and sign in");
    browser.is_at("Overview");
    browser.link("New API key");
    browser.fill("Name", "my first key");
    browser.click("radio", "Read only");
    assert_eq!(browser.checked("checkbox", "All of Accounts"), "true");
    assert_eq!(browser.checked("checkbox", "All of Cards"), "mixed");
    browser.button("Create API key");
    let (id, secret) = shown_once(&browser);
    // The snippet's addresses are true ones.
    let token_url = format!("{}/oauth2/token", demo.text("base_url"));
    browser.sees(&token_url);

    let answer = curl(&["-u", &format!("{id}:{secret}"), "-d", "grant_type=client_credentials", &token_url]);
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|why| panic!("{why}: {answer}"));
    let bearer = format!("Authorization: Bearer {}", answer["access_token"].as_str().unwrap());
    let cards = format!("{}/cards", demo.text("base_url"));
    let allowed = curl(&["-i", "-H", &bearer, &cards]);
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
    let refused = curl(&["-i", "-X", "POST", "-H", &bearer, &cards]);
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let request_id = field(&refused, "x-request-id");

    browser.click("checkbox", "I have stored it");
    browser.button("Done");
    browser.is_at("my first key");
    browser.link("Why was I refused?");
    browser.is_at("Why was I refused?");
    browser.fill("Request ID", request_id);
    browser.button("Find");
    browser.sees("permission_missing");
    browser.sees("cards.create");
    browser.sees("my first key");
    let took = began.elapsed();
    eprintln!("from the demo's start to the explanation: {took:.1?}");
    assert!(took < Duration::from_secs(120), "{took:?}");
    browser.judge("why-found");

    // The same in thought, and what would open it.
    browser.fill("Client ID", &id);
    browser.choose("Method", "POST");
    browser.fill("Path", "/cards");
    browser.fill("Address", "127.0.0.1");
    browser.button("Explain");
    browser.sees("permission_missing");
    browser.judge("why-explained");
    browser.link("Edit the key");
    browser.is_at("Edit my first key");
    browser.click("checkbox", "cards.create");
    browser.button("Save changes");
    browser.is_at("my first key");
    let token = curl(&["-u", &format!("{id}:{secret}"), "-d", "grant_type=client_credentials", &token_url]);
    let token: Value = serde_json::from_str(&token).unwrap();
    let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
    let made = curl(&["-i", "-X", "POST", "-H", &bearer, "-H", "Content-Type: application/json", "-d", "{}", &cards]);
    assert!(!made.contains("portcullis-error"), "{made}");
    browser.quiet();
}
