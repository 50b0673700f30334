//! Preflights of browsers: refused like any request without a token, or passed on without one.

use super::{assert_refusal, without_upstream};
use crate::harness::{Gateway, Request};

fn preflight<'g>(gateway: &'g Gateway, path: &str, method: &str) -> Request<'g> {
    let request = gateway.request("OPTIONS", path).header("Origin", "https://app.example.com");
    request.header("Access-Control-Request-Method", method)
}

#[test]
fn refused_unless_the_environment_says_otherwise() {
    let gateway = Gateway::start();
    let response = without_upstream(&gateway, || preflight(&gateway, "/cards", "GET").send());
    assert_refusal(&response, 401, "token_missing");
}

#[test]
fn passed_on_without_identity_where_it_does() {
    let gateway = Gateway::builder()
        .settings("cors = \"forward\"")
        .upstream_table("set_headers = { \"authorization\" = \"Basic b3duOm93bg==\" }")
        .start();
    for (path, method) in [("/cards", "GET"), ("/cards/7", "DELETE"), ("/files/a/b", "PUT"), ("/cards", "HEAD")] {
        let asked = preflight(&gateway, path, method).header("Access-Control-Request-Headers", "authorization");
        let response = asked.header("Portcullis-Client-Id", "evil").send().expect(200);
        let seen = gateway.upstream.last();
        assert_eq!((seen.method.as_str(), seen.header("access-control-request-method")), ("OPTIONS", Some(method)));
        assert_eq!(seen.header("origin"), Some("https://app.example.com"));
        // Neither a key's identity nor any credential, the environment's own included.
        assert_eq!((seen.header("authorization"), seen.header("portcullis-client-id")), (None, None), "{}", seen.head);
        assert_eq!(seen.header("portcullis-operation"), Some("portcullis:preflight"));
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!((&line["operation"], line["client_id"].is_null()), (&"portcullis:preflight".into(), true));
    }
}

/// What only looks like a preflight is a request like any other.
#[test]
fn what_is_no_preflight_needs_a_token() {
    let gateway = Gateway::builder().settings("cors = \"forward\"").start();
    let bare = |method: &str| gateway.request(method, "/cards");
    let refused = [
        bare("OPTIONS"),
        bare("OPTIONS").header("Origin", "https://a.test"),
        bare("OPTIONS").header("Access-Control-Request-Method", "GET"),
        // Not an OPTIONS.
        bare("GET").header("Origin", "https://a.test").header("Access-Control-Request-Method", "GET"),
        bare("POST").header("Origin", "https://a.test").header("Access-Control-Request-Method", "GET"),
        // Twice, no method, and methods that are served to nobody.
        preflight(&gateway, "/cards", "GET").header("Access-Control-Request-Method", "PUT"),
        preflight(&gateway, "/cards", "GET").header("Origin", "https://b.test"),
        preflight(&gateway, "/cards", "G T"),
        preflight(&gateway, "/cards", "TRACE"),
        preflight(&gateway, "/cards", "CONNECT"),
        // A body, and a cookie.
        preflight(&gateway, "/cards", "GET").body("text/plain", "x"),
        preflight(&gateway, "/cards", "GET").header("Cookie", "a=b"),
        // The environment knows no such operation.
        preflight(&gateway, "/unknown", "GET"),
        preflight(&gateway, "/cards", "PATCH"),
        preflight(&gateway, "/cards/7", "POST"),
    ];
    for request in refused {
        let response = without_upstream(&gateway, || request.send());
        assert_refusal(&response, 401, "token_missing");
    }
    // With a token it is decided as what it is.
    let token = gateway.writer_token();
    let response = without_upstream(&gateway, || preflight(&gateway, "/cards", "GET").bearer(&token).send());
    assert_refusal(&response, 403, "operation_unknown");
    // Elsewhere nothing changes.
    let reserved = without_upstream(&gateway, || preflight(&gateway, "/oauth2/token", "POST").send());
    assert_eq!(reserved.status, 405);
    let ambiguous = without_upstream(&gateway, || preflight(&gateway, "/files/../cards", "GET").send());
    assert_refusal(&ambiguous, 400, "target_ambiguous");
}

#[test]
fn an_environment_has_a_limit_of_bodies() {
    let gateway = Gateway::builder().settings("body_limit = \"2KiB\"").start();
    let token = gateway.writer_token();
    let put = |size: usize| gateway.request("PUT", "/files/a").bearer(&token).body("text/plain", vec![b'x'; size]);
    put(2048).send().expect(200);
    assert_refusal(&without_upstream(&gateway, || put(2049).send()), 413, "body_too_large");
}
