//! More than pages like: names that are markup or run the other way, long allowlists, large catalogues, many keys.

use super::browser::Browser;
use super::house::{House, K, KEYS};
use super::visitor::Visitor;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const SCRIPT: &str = "<script>window.evil = 1</script>";
const HANDLER: &str = "\"><img src=x onerror=window.evil=1>";
const BACKWARDS: &str = "\u{5de}\u{5e4}\u{5ea}\u{5d7} 42";

/// That nothing of what is on the page ran.
#[track_caller]
fn harmless(browser: &Browser) {
    let ran = "return [typeof window.evil, document.querySelectorAll('main img[src=x], main script').length]";
    assert_eq!(browser.run(ran, &[]), json!(["undefined", 0]), "{}", browser.url());
}

#[test]
fn names_are_text_whatever_they_say() {
    let house = House::start();
    let names = [SCRIPT, HANDLER, BACKWARDS, "{{7*7}}${7*7}", "'; DROP TABLE api_keys; --"];
    let organization = "/v1/organizations/other";
    house.done("PATCH", organization, &json!({"name": format!("{SCRIPT} {BACKWARDS}")}));
    let upstream = house.gateway.upstream.url();
    let environment = format!("{organization}/environments/odd");
    let roles = json!({"<b>role</b>": ["plain"]});
    house.ask(
        "PUT",
        &environment,
        &json!({"base_url": "http://gate.test/odd", "upstream": upstream,
        "platform_addresses": {"label": HANDLER, "networks": ["192.0.2.1"]}}),
    );
    let document = json!({"openapi": "3.1.0", "info": {"title": SCRIPT, "version": "1"}, "paths": {"/odd": {"get": {
        "operationId": "plain", "tags": [format!("{SCRIPT}{BACKWARDS}")], "summary": HANDLER}}}});
    house.done("PUT", &format!("{environment}/catalogue"), &document);
    house.ask(
        "PUT",
        &format!("{environment}/presets/{}", "%3Cb%3Epreset%3C%2Fb%3E"),
        &json!({"permissions": ["plain"]}),
    );
    house.ask("PUT", &format!("{environment}/roles/r"), &roles);
    let mut ids = Vec::new();
    for name in names {
        let body = json!({"name": name, "description": format!("{SCRIPT}\n{HANDLER}"), "permissions": ["plain"]});
        let made = house.done("POST", &format!("{environment}/keys"), &body);
        ids.push(made["client_id"].as_str().unwrap().to_owned());
    }
    // What turns the line around unseen is no name at all.
    for hidden in ["a\u{202e}b", "a\u{2066}b", "a\u{0}b", "a\nb"] {
        let (status, answer) =
            house.ask("POST", &format!("{environment}/keys"), &json!({"name": hidden, "permissions": ["plain"]}));
        assert_eq!(status, 422, "{hidden:?}: {answer}");
    }
    let body = json!({"email": "odd@other.example", "name": HANDLER, "role": "viewer"});
    let member = house.done("POST", &format!("{organization}/members"), &body)["id"].as_str().unwrap().to_owned();

    let browser = house.browser("stranger");
    let base = "/o/other/e/odd";
    let mut pages: Vec<String> = ["overview", "keys", "keys/new", "why"].map(|page| format!("{base}/{page}")).to_vec();
    pages.extend(["settings", "members", "audit", "base-urls", "find?q=script"].map(|page| format!("/o/other/{page}")));
    pages.push(format!("/o/other/members/{member}/remove"));
    for id in &ids {
        pages.push(format!("{base}/keys/{id}"));
    }
    pages.extend(["edit", "rotate", "revoke"].map(|page| format!("{base}/keys/{}/{page}", ids[0])));
    for text in [SCRIPT, HANDLER] {
        let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        pages.push(format!("{base}/keys?q={query}&status={query}&type={query}&sort={query}&cursor={query}"));
        pages.push(format!(
            "{base}/why?request_id={query}&client_id={query}&method={query}&path={query}&address={query}&code={query}"
        ));
        pages.push(format!("/o/other/audit?action={query}&actor={query}&target={query}&before={query}"));
        pages.push(format!("/o/other/find?q={query}"));
    }
    for page in &pages {
        browser.open(page);
        harmless(&browser);
    }
    browser.quiet();
    browser.open(&format!("{base}/keys"));
    for name in names {
        browser.sees(name);
    }
    // Text of the other direction stays within its own place.
    let isolated = "return [...document.querySelectorAll('main tbody th a')].every((it) => it.querySelector('bdi') || it.closest('bdi'))";
    assert_eq!(browser.run(isolated, &[]), true);
    browser.judge("odd-names");
    browser.open(&format!("{base}/keys/{}", ids[2]));
    browser.is_at(BACKWARDS);
    browser.link("Revoke");
    browser.button("Revoke API key");
    browser.sees("Revoked on");
    browser.quiet();
}

#[test]
fn a_thousand_lines_and_five_thousand_permissions() {
    let house = House::start();
    let browser = house.browser("editor");
    let mut lines = String::new();
    for at in 0..1000 {
        let _ = writeln!(lines, "10.{}.{}.0/24", at / 250, at % 250);
    }
    let wrong = lines.replace("10.1.7.0/24", "10.1.7.9/24");
    browser.open(&format!("{K}/keys/new"));
    browser.fill("Name", "thousand");
    browser.click("radio", "Read only");
    browser.click("radio", "Only these addresses");
    browser.paste("Allowlist", &wrong);
    browser.sees("Use 10.1.7.0/24");
    browser.axe();
    browser.button("Use 10.1.7.0/24");
    browser.sees_no("Use 10.1.7.0/24");
    browser.button("Create API key");
    browser.is_at("Copy the secret now");
    let made = &house.named("thousand")[0];
    assert_eq!(made["allowlist"]["networks"].as_array().unwrap().len(), 1000);
    let id = made["client_id"].as_str().unwrap();
    browser.open(&format!("{K}/keys/{id}"));
    browser.is_at("thousand");
    browser.axe();
    browser.open(&format!("{K}/keys/{id}/edit"));
    assert_eq!(browser.value("Allowlist").trim_end(), lines.trim_end());
    browser.quiet();

    let upstream = house.gateway.upstream.url();
    let environment = "/v1/organizations/other/environments/large";
    house.done("PUT", environment, &json!({"base_url": "http://gate.test/large", "upstream": upstream}));
    let permissions: serde_json::Map<String, Value> =
        (0..5000).map(|at| (format!("thing{at}:read"), json!(format!("GET /thing{at}")))).collect();
    house.done("PUT", &format!("{environment}/catalogue"), &json!({"permissions": permissions}));
    browser.forget_cookies();
    browser.open("/o/other/e/large/keys/new");
    browser.sign_in("stranger");
    browser.is_at("New API key");
    let began = Instant::now();
    browser.fill("Search permissions", "thing4321");
    browser.sees("1 of 500");
    eprintln!("a search among 5000 permissions: {:.0?}", began.elapsed());
    browser.click("checkbox", "thing4321:read");
    browser.fill("Name", "large");
    browser.button("Create API key");
    browser.is_at("Copy the secret now");
    let all = house.done("GET", &format!("{environment}/keys"), &Value::Null);
    assert_eq!(all["data"][0]["permissions"], json!(["thing4321:read"]));
    // All of them, without scripts.
    let mut visitor = house.visitor("stranger");
    let new = timed(&mut visitor, "the new key page of 5000 permissions", "/o/other/e/large/keys/new");
    let mut form: Vec<(&str, String)> =
        [("name", "everything"), ("type", "fine_grained"), ("expiry", "none"), ("addresses", "any")]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec();
    form.extend(permissions.keys().map(|name| ("permission", name.clone())));
    let made = visitor.submit(&new, "/o/other/e/large/keys/new", &form).expect(200);
    assert_eq!(made.heading(), "Copy the secret now");
    let all = house.done("GET", &format!("{environment}/keys"), &Value::Null);
    let everything = all["data"].as_array().unwrap().iter().find(|key| key["name"] == "everything").unwrap();
    assert_eq!(everything["permissions"].as_array().unwrap().len(), 5000);
    let id = everything["client_id"].as_str().unwrap();
    timed(&mut visitor, "the page of a key with all of them", &format!("/o/other/e/large/keys/{id}"));
    timed(&mut visitor, "its form", &format!("/o/other/e/large/keys/{id}/edit"));
    browser.quiet();
}

/// A page and, printed, how long it took; twice, for what is read for the first time.
#[track_caller]
fn timed(visitor: &mut Visitor, what: &str, path: &str) -> super::visitor::Page {
    visitor.get(path).expect(200);
    let began = Instant::now();
    let page = visitor.get(path).expect(200);
    eprintln!("{what}: {:.0?}, {} KiB", began.elapsed(), page.text.len() / 1024);
    page
}

/// Copies of one key, in the store's own table, while nobody has it open.
fn many_keys(house: &mut House, many: u32) {
    house.gateway.kill9();
    let file = house.gateway.dir().join("data/portcullis.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", file.display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let copy = "WITH RECURSIVE counter(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counter WHERE n < ?) \
                    INSERT INTO api_keys (client_id, organization, environment, name, name_folded, description, \
                    permissions, platform, secret_digest, secret_last_four, secret_version, expires_at, created_at, \
                    created_by, revision) SELECT printf('pcull_%022d', n), organization, environment, \
                    printf('bulk %06d', n), printf('bulk %06d', n), description, permissions, 0, secret_digest, \
                    secret_last_four, 1, created_at + 86400 * (n % 300 + 1), created_at - n * 60, created_by, revision \
                    FROM api_keys, counter WHERE name = 'salesforce-production'";
        sqlx::query(copy).bind(many).execute(&pool).await.unwrap();
        pool.close().await;
    });
    house.gateway.restart();
}

#[test]
fn a_hundred_thousand_keys() {
    let mut house = House::start();
    many_keys(&mut house, 100_000);
    let mut visitor = house.visitor("editor");
    let overview = timed(&mut visitor, "the overview of 100 000 keys", &format!("{K}/overview"));
    assert!(overview.text.contains("100") && overview.heading() == "Overview");
    let first = timed(&mut visitor, "the list of 100 000 keys", &format!("{K}/keys"));
    let next = first.text.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    timed(&mut visitor, "its second page", &next);
    for (what, query) in [
        ("sorted by name", "sort=name"),
        ("sorted by name, descending", "sort=-name"),
        ("sorted by expiry", "sort=expires_at"),
        ("sorted by last use", "sort=last_used_at"),
        ("searched for one", "q=bulk+099999"),
        ("searched for none", "q=no+such+key"),
        ("those that end soon", "status=expiring"),
        ("those that are unused", "status=unused"),
        ("the legacy ones", "type=legacy"),
    ] {
        timed(&mut visitor, what, &format!("{K}/keys?{query}"));
    }
    timed(&mut visitor, "the palette's search", "/o/acme/find?q=bulk+0500&fragment=1");
    let one = format!("pcull_{:022}", 50_000);
    let key = timed(&mut visitor, "one of them", &format!("{K}/keys/{one}"));
    assert!(key.heading().contains("bulk 050000"), "{}", key.heading());

    let browser = house.browser("editor");
    browser.link("API keys");
    browser.is_at("API keys");
    let began = Instant::now();
    browser.fill("Search", "bulk 077777");
    browser.sees("bulk 077777");
    browser.sees_no("bulk 000001");
    eprintln!("found as one types, in {:.0?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10));
    browser.link("bulk 077777");
    browser.is_at("bulk 077777");
    browser.link("Revoke");
    browser.button("Revoke API key");
    browser.sees("Revoked on");
    assert_eq!(house.done("GET", &format!("{KEYS}/pcull_{:022}", 77_777), &Value::Null)["status"], "revoked");
    browser.open(&format!("{K}/keys"));
    browser.judge("keys-many");
    browser.link("Next page");
    browser.sees("First page");
    browser.quiet();
}
