//! The doors without a browser: cookies, headers, wrong credentials, forms from elsewhere.

use super::house::{House, K, PASSWORD, email, empty};
use super::visitor::{Page, Visitor};
use crate::process::{Api, Folder};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every page is answered with.
#[track_caller]
pub(super) fn assert_headers(page: &Page) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(page.field(name), Some(value), "{}", page.head);
        assert_eq!(page.fields(name).count(), 1, "{}", page.head);
    }
    assert_eq!(page.field("x-request-id").map(str::len), Some(32), "{}", page.head);
}

fn sign_in(visitor: &mut Visitor, who: &str, password: &str) -> Page {
    let page = visitor.get("/sign-in").expect(200);
    assert_headers(&page);
    visitor.submit(&page, "/sign-in", &[("email", email(who)), ("password", password.to_owned())])
}

#[test]
fn a_session_is_a_cookie_that_no_script_and_no_other_site_gets() {
    let house = House::start();
    let mut visitor = house.anonymous();
    let page = sign_in(&mut visitor, "editor", PASSWORD).expect(303);
    assert_headers(&page);
    let cookie = page.fields("set-cookie").find(|cookie| cookie.starts_with("portcullis_session=pcull")).unwrap();
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Strict"], "{cookie}");
    assert!(page.field("location").is_some_and(|path| path.starts_with('/')), "{}", page.head);
    let page = visitor.get("/account").expect(200);
    assert_headers(&page);
    assert!(page.text.contains(&email("editor")), "{}", page.text);
    assert!(!page.text.contains(&visitor.cookies["portcullis_session"]), "the session's token is on a page");

    // Ended is ended, for whoever kept the cookie too.
    let mut kept = house.anonymous();
    kept.cookies = visitor.cookies.clone();
    let left = visitor.submit(&page, "/sign-out", &[]).expect(303);
    assert!(left.fields("set-cookie").any(|cookie| cookie.starts_with("portcullis_session=;")), "{}", left.head);
    assert_eq!(kept.get("/account").expect(303).field("location"), Some("/sign-in?next=%2Faccount"));
}

#[test]
fn behind_tls_the_cookie_is_this_hosts_alone() {
    for public in ["public_url = \"https://control.test\"\n", ""] {
        is_for_tls_alone(&format!("{public}plaintext = \"behind_proxy\"\n"));
    }
}

#[track_caller]
fn is_for_tls_alone(settings: &str) {
    let api = Api::start();
    let folder = Folder::new(&api.url(), "\"cards:read\" = \"GET /cards\"");
    let bind = "[listeners.control]\nbind = [\"127.0.0.1:0\"]\n";
    folder.edit("portcullis.toml", bind, &format!("{bind}{settings}"));
    let node = folder.start();
    let mut visitor = Visitor::new(node.control);
    let page = visitor.get(&format!("/first-run?token={}", node.operator_token())).expect(200);
    let form = page.fields("set-cookie").next().unwrap().to_owned();
    let owner = [
        ("token", node.operator_token().to_owned()),
        ("organization", "acme".to_owned()),
        ("email", email("owner")),
        ("password", PASSWORD.to_owned()),
    ];
    let entered = visitor.submit(&page, "/first-run", &owner).expect(303);
    let session = entered.fields("set-cookie").find(|cookie| cookie.contains("session")).unwrap();
    for cookie in [form.as_str(), session] {
        assert!(cookie.starts_with("__Host-portcullis_"), "{cookie}");
        for attribute in ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"] {
            assert!(cookie.split("; ").any(|found| found == attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[test]
fn whoever_guesses_passwords_is_slowed_down_and_nobody_else_is() {
    let house = House::start();
    let mut visitor = house.anonymous();
    let wrong = sign_in(&mut visitor, "viewer", "wrong horse battery staple").expect(401);
    let unknown = sign_in(&mut visitor, "nobody", PASSWORD).expect(401);
    let alert =
        |page: &Page| page.text.split("role=\"alert\"").nth(1).unwrap().split("</div>").next().unwrap().to_owned();
    assert_eq!(alert(&wrong), alert(&unknown), "the page tells whether somebody is there");
    assert!(wrong.text.contains(&email("viewer")) && !wrong.text.contains("wrong horse"), "{}", wrong.text);

    let limited = (0..30).map(|_| sign_in(&mut visitor, "viewer", "wrong")).find(|page| page.status != 401).unwrap();
    let limited = limited.expect(429);
    assert_headers(&limited);
    let seconds: u32 = limited.field("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1 && limited.text.contains("Too many attempts"), "{}", limited.text);
    // The right password is not looked at either, and somebody else signs in.
    sign_in(&mut visitor, "viewer", PASSWORD).expect(429);
    sign_in(&mut house.anonymous(), "editor", PASSWORD).expect(303);
}

#[test]
fn where_one_goes_on_to_is_a_page_of_ours() {
    let house = House::start();
    let mut anonymous = house.anonymous();
    let keys = format!("{K}/keys?q=sales&type=legacy");
    let asked = anonymous.get(&keys).expect(303).field("location").unwrap().to_owned();
    let page = anonymous.get(&asked).expect(200);
    for (next, goes_on) in [
        (page.hidden("next").unwrap().as_str(), keys.as_str()),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/o/acme\r\nX: y", "/"),
    ] {
        let mut visitor = house.anonymous();
        let page = visitor.get("/sign-in").expect(200);
        let next = next.replace("&amp;", "&").replace("&#38;", "&");
        let csrf = page.hidden("csrf").unwrap();
        let form = [("csrf", csrf), ("email", email("viewer")), ("password", PASSWORD.to_owned()), ("next", next)];
        let entered = visitor.post("/sign-in", &form).expect(303);
        assert_eq!(entered.field("location"), Some(goes_on), "{}", entered.head);
        assert!(entered.field("x").is_none());
    }
}

#[test]
fn the_first_owner_is_made_once() {
    let gateway = empty().start();
    let token = gateway.bootstrap_token();
    let link = format!("/first-run?token={token}");
    let mut visitor = Visitor::new(gateway.control());
    for wrong in ["/first-run", "/first-run?token=pcullo_wrong"] {
        let page = visitor.get(wrong).expect(410);
        assert!(!page.text.contains("<form"), "{}", page.text);
    }
    let page = visitor.get(&link).expect(200);
    assert_headers(&page);
    let form = |email: &str, password: &str| {
        [
            ("token", token.clone()),
            ("organization", "acme".to_owned()),
            ("email", email.to_owned()),
            ("password", password.to_owned()),
        ]
    };
    for (email, password) in
        [("", PASSWORD), ("ada", PASSWORD), ("ada@acme.example", "short"), ("ada@acme.example", "")]
    {
        let refused = visitor.submit(&page, "/first-run", &form(email, password)).expect(422);
        assert!(refused.text.contains("field-error") && refused.hidden("token").as_ref() == Some(&token));
    }
    let nowhere = [
        ("token", token.clone()),
        ("organization", "nowhere".to_owned()),
        ("email", email("owner")),
        ("password", PASSWORD.to_owned()),
    ];
    assert!(visitor.submit(&page, "/first-run", &nowhere).status >= 400);
    visitor.submit(&page, "/first-run", &form("ada@acme.example", PASSWORD)).expect(303);
    visitor.get("/account").expect(200);

    let mut second = Visitor::new(gateway.control());
    second.get(&link).expect(410);
    let page = second.get("/sign-in").expect(200);
    let refused = second.submit(&page, "/first-run", &form("eve@acme.example", PASSWORD)).expect(410);
    assert!(refused.text.contains("This link was used") && second.cookies.len() <= 1, "{}", refused.text);
    assert!(!gateway.stderr().contains(&token) && !gateway.stdout().contains(&token), "the link's token is in a log");
    assert!(!gateway.dir().join("data/bootstrap-token").exists());
}
