//! Pictures of the real thing for the papers: `make pictures` writes them to `docs/screenshots/`, a plain test run under
//! the target folder.
//!
//! What is in them is made up, the counts of the day before included; how it is shown is not.

use super::browser::{Browser, DESK, PHONE};
use super::house::PASSWORD;
use super::judge::target_pictures;
use super::life_browser::shown_once;
use super::wait;
use crate::harness::{Gateway, seconds_from_now};
use serde_json::{Value, json};
use std::path::PathBuf;

const ENVIRONMENT: &str = "/v1/organizations/northwind/environments/production";
const PAGES: &str = "/o/northwind/e/production";

/// A bank with keys as people name them.
fn bank() -> (Gateway, String, Vec<(String, String)>) {
    let gateway = Gateway::start();
    let done = |method: &str, path: &str, body: &Value| {
        let (status, answer) = gateway.control_request(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    };
    done("PUT", "/v1/organizations/northwind", &json!({"name": "Northwind"}));
    let networks = json!({"label": "Northwind", "networks": ["198.51.100.0/24"]});
    let upstream = gateway.upstream.url();
    for (environment, base) in [("production", "http://gate.test/bank"), ("sandbox", "http://gate.test/sandbox")] {
        let path = format!("/v1/organizations/northwind/environments/{environment}");
        done("PUT", &path, &json!({"base_url": base, "upstream": upstream, "platform_addresses": networks}));
        let document = std::fs::read_to_string(crate::tools::file("src/sample/openapi.json")).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        done("PUT", &format!("{path}/catalogue"), &document);
    }
    done("PUT", &format!("{ENVIRONMENT}/roles/operations"), &json!({"permissions": ["accounts.list"]}));
    let days = |days: i64| json!(seconds_from_now(days * 86_400 + 7200));
    let office = json!({"networks": ["203.0.113.0/28"], "platform": true});
    let mut keys = Vec::new();
    for body in [
        json!({"name": "erp-legacy", "type": "legacy", "role": "operations"}),
        json!({"name": "retired-importer", "permissions": ["accounts.list"], "expires_at": days(40)}),
        json!({"name": "fraud-scoring", "preset": "Read only", "expires_at": days(9)}),
        json!({"name": "card-desk", "preset": "Read and write", "expires_at": days(61), "allowlist": office}),
        json!({"name": "data-warehouse", "preset": "Read only", "expires_at": days(88)}),
        json!({"name": "mobile-backend", "preset": "Everything", "expires_at": days(300)}),
        json!({"name": "nightly-reconciliation", "permissions": ["accounts.list", "payments.list", "cards.list"],
            "description": "Compares the day's payments with the ledger, at 02:00 UTC.", "expires_at": days(27)}),
    ] {
        let made = done("POST", &format!("{ENVIRONMENT}/keys"), &body);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        keys.push((text("client_id"), text("client_secret")));
    }
    done("POST", &format!("{ENVIRONMENT}/keys/{}/revoke", keys[1].0), &json!({}));
    let invited = done(
        "POST",
        "/v1/organizations/northwind/members",
        &json!({"email": "ada@northwind.example", "name": "Ada", "role": "owner"}),
    );
    let shown = json!({"invitation": invited["invitation"], "password": PASSWORD});
    let (status, session) = gateway.control_as("", "POST", "/v1/sessions", &shown);
    assert_eq!(status, 201, "{session}");
    (gateway, session["token"].as_str().unwrap().to_owned(), keys)
}

/// The counts of the hours before, as a node would have written them.
fn history(gateway: &mut Gateway, keys: &[(String, String)]) {
    gateway.kill9();
    let file = gateway.dir().join("data/portcullis.db");
    let now = jiff::Timestamp::now().as_second() / 3600;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        for ago in 1..24_i64 {
            let of_day = (now - ago).rem_euclid(24);
            let busy = 40 + 30 * (12 - (of_day - 13).abs());
            let rows = [
                ("", busy * 9),
                ("permission_missing", busy / 40),
                ("ip_not_allowed", busy / 90),
                ("token_expired", busy / 25),
            ];
            for (code, count) in rows.into_iter().filter(|(_, count)| *count > 0) {
                let add = "INSERT INTO traffic_hours VALUES (?, 'northwind', 'production', ?, ?)";
                sqlx::query(add).bind(now - ago).bind(code).bind(count).execute(&pool).await.unwrap();
            }
            for (at, (id, _)) in (1_i64..).zip(keys).filter(|(at, _)| *at != 2) {
                let count = busy / at + (of_day * at * 7) % 23;
                let add = "INSERT INTO usage_hours VALUES (?, ?, ?)";
                sqlx::query(add).bind(now - ago).bind(id).bind(count).execute(&pool).await.unwrap();
            }
        }
        for (at, (id, _)) in (1_i64..).zip(keys) {
            let used = (at != 2).then_some(now * 3600 - 700 * at * at);
            let older = "UPDATE api_keys SET created_at = created_at - ?, last_used_at = ?, last_address = ? WHERE client_id = ?";
            let address = used.map(|_| format!("203.0.113.{at}"));
            sqlx::query(older).bind(at * 777_000).bind(used).bind(address).bind(id).execute(&pool).await.unwrap();
        }
        pool.close().await;
    });
    gateway.restart();
}

/// A call that is allowed, and one that is not; the request id of the second.
fn calls(gateway: &Gateway, (id, secret): &(String, String)) -> String {
    let form = crate::harness::token_form(id, secret);
    let answer = gateway.post("").target("/bank/oauth2/token").form(&form).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let get =
        |method: &str, path: &str| gateway.request(method, "").target(&format!("/bank{path}")).bearer(&token).send();
    for path in ["/accounts", "/cards", "/payments"] {
        assert_eq!(get("GET", path).status, 200, "{path}");
    }
    let refused = get("POST", "/payments");
    assert_eq!(refused.status, 403);
    refused.json()["request_id"].as_str().unwrap().to_owned()
}

/// Where pictures go.
fn folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "`make pictures` says where they go")]
    let asked = std::env::var("PORTCULLIS_PICTURES").ok();
    asked.map_or_else(|| target_pictures().join("papers"), |path| crate::tools::file(&path))
}

fn take(browser: &Browser, name: &str) {
    for colours in ["light", "dark"] {
        browser.look(DESK, colours);
        browser.screenshot(&folder(), &format!("{name}-{colours}"), DESK);
    }
    browser.look(DESK, "light");
}

#[test]
fn pictures_for_the_papers() {
    let (mut gateway, _, keys) = bank();
    history(&mut gateway, &keys);
    let reconciliation = keys.last().unwrap();
    let request_id = calls(&gateway, reconciliation);
    let browser = Browser::start(gateway.control());
    browser.open(&format!("{PAGES}/overview"));
    browser.fill("Email", "ada@northwind.example");
    browser.fill("Password", PASSWORD);
    browser.button("Sign in");
    browser.is_at("Overview");
    wait("the calls of just now are counted", || {
        browser.open(&format!("{PAGES}/keys/{}", reconciliation.0));
        let text = browser.text();
        (text.contains("permission_missing") && !text.contains("Never used")).then_some(())
    });
    take(&browser, "key");
    browser.open(&format!("{PAGES}/overview"));
    take(&browser, "overview");
    browser.open(&format!("{PAGES}/keys"));
    browser.is_at("API keys");
    take(&browser, "keys");
    browser.look(PHONE, "light");
    browser.screenshot(&folder(), "keys-narrow", PHONE);
    browser.open(&format!("{PAGES}/why?request_id={request_id}"));
    browser.sees("permission_missing");
    take(&browser, "why");
    browser.open(&format!("{PAGES}/keys/new"));
    browser.fill("Name", "invoice-export");
    browser.click("radio", "Read only");
    browser.click("radio", "Only these addresses");
    browser.fill("Allowlist", "203.0.113.42\n198.51.100.7/24");
    browser.sees("Use 198.51.100.0/24");
    take(&browser, "new-key");
    browser.button("Use 198.51.100.0/24");
    browser.sees_no("Use 198.51.100.0/24");
    browser.button("Create API key");
    shown_once(&browser);
    take(&browser, "secret");
    browser.quiet();
}
