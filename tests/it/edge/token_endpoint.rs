//! The token endpoint, its keys and its metadata, against RFC 6749, 6750, 7517, 8414 and real clients.

use super::{assert_refused, without_upstream};
use crate::harness::{
    BASE_PATH, BASE_URL, Gateway, HOST, Key, RawResponse, Request, reader, token, token_form, writer,
};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, Scope, TokenResponse, TokenUrl};
use serde_json::{Value, json};
use std::process::Command;

const GRANT: &str = "grant_type=client_credentials";

/// An error answer of RFC 6749 section 5.2; its description.
#[track_caller]
fn assert_error(response: &RawResponse, status: u16, error: &str, code: &str) -> String {
    let shown = format!("{}\n{}", response.head, response.text());
    assert_eq!((response.status, response.header("portcullis-error")), (status, Some(code)), "{shown}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{shown}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{shown}");
    assert!(response.header("x-request-id").is_some_and(|id| !id.is_empty()), "{shown}");
    let body = response.json();
    assert_eq!(body["error"], error, "{shown}");
    let description = body["error_description"].as_str().unwrap().to_owned();
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(description.bytes().all(allowed), "{description}");
    description
}

#[track_caller]
fn assert_error_of(request: &Request<'_>, status: u16, error: &str) -> RawResponse {
    let response = request.send();
    assert_error(&response, status, error, error);
    response
}

fn endpoint(gateway: &Gateway) -> Request<'_> {
    gateway.post("/oauth2/token")
}

#[track_caller]
fn assert_token(response: &RawResponse) -> Value {
    assert_eq!(response.status, 200, "{}\n{}", response.head, response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(response.header("x-request-id").is_some());
    let body = response.json();
    let mut members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    // No refresh token (RFC 6749 section 4.4.3).
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    body
}

#[test]
fn the_ways_to_ask() {
    let gateway = Gateway::start();
    let (id, secret) = (reader().id, reader().secret);
    let over = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let form = "application/x-www-form-urlencoded";
    let requests = [
        endpoint(&gateway).form(&token_form(&id, &secret)),
        endpoint(&gateway).basic(&id, &secret).form(GRANT),
        // Basic credentials are form-encoded (RFC 6749 section 2.3.1), by some clients to the last letter.
        endpoint(&gateway).basic(&over(&id), &over(&secret)).form(GRANT),
        endpoint(&gateway).basic(&id, &secret).form(&format!("{GRANT}&client_id={id}")),
        endpoint(&gateway).basic(&id, &secret).form(&format!("{GRANT}&scope=&audience=x&audience=y")),
        endpoint(&gateway).basic(&id, &secret).body("Application/X-WWW-Form-URLencoded; charset=utf-8", GRANT),
        endpoint(&gateway).form(&format!("client_secret={}&client_id={}&{GRANT}", over(&secret), over(&id))),
        // Some callers put the grant type in the query and send no body.
        gateway.post(&format!("/oauth2/token?{GRANT}")).basic(&id, &secret),
        gateway.post(&format!("/oauth2/token?{GRANT}&client_id={id}")).basic(&id, &secret),
        gateway.post(&format!("/oauth2/token?{GRANT}&client_id={id}")).basic(&id, &secret).body(form, ""),
        endpoint(&gateway).form(&format!("{}&resource={BASE_URL}", token_form(&id, &secret))),
    ];
    for request in requests {
        eprintln!("--- {}", String::from_utf8_lossy(&request.bytes()));
        let answer = assert_token(&without_upstream(&gateway, || request.send()));
        assert_eq!(answer["scope"], "cards:read");
        gateway.get("/cards").bearer(answer["access_token"].as_str().unwrap()).send().expect(200);
    }
}

/// Some clients try Basic first and the body once that failed, some the other way round; on one connection.
#[test]
fn a_second_way_after_a_401() {
    let gateway = Gateway::start();
    let (id, secret) = (reader().id, reader().secret);
    let basic = |secret: &str| endpoint(&gateway).basic(&id, secret).form(GRANT);
    let body = |secret: &str| endpoint(&gateway).form(&token_form(&id, secret));
    let mut connection = gateway.connect();
    for (first, second) in [(basic("wrong"), body(&secret)), (body("wrong"), basic(&secret))] {
        let response = first.send_on(&mut connection);
        assert_error(&response, 401, "invalid_client", "invalid_client");
        assert!(!response.closed(), "{}", response.head);
        assert_token(&second.send_on(&mut connection));
    }
    // The one that begins without any credential, to see what the challenge is.
    assert_error(&endpoint(&gateway).form(GRANT).send_on(&mut connection), 401, "invalid_client", "invalid_client");
    assert_token(&basic(&secret).send_on(&mut connection));
}

/// Clients that escape every character that is not a letter or digit, or spaces by `+`, in Basic as in the body.
#[test]
fn secrets_that_need_escaping() {
    let mut odd = Key::new("odd", &["cards:read"]);
    odd.secret = "a-b.c~d+e f%g&h=i:j/k".to_owned();
    let gateway = Gateway::builder().key(&odd).start();
    let letters = |byte: u8| byte.is_ascii_alphanumeric();
    let escaped = |plain: &dyn Fn(u8) -> bool, space: &str| -> String {
        let byte = |byte: u8| match byte {
            b' ' => space.to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        odd.secret.bytes().map(byte).collect()
    };
    for secret in [
        escaped(&letters, "%20"),
        escaped(&letters, "+"),
        escaped(&|byte| letters(byte) || b"-._~".contains(&byte), "+"),
        escaped(&letters, "%20").to_lowercase().replace("%3a", "%3A"),
    ] {
        assert_token(&endpoint(&gateway).basic("odd", &secret).form(GRANT).send());
        assert_token(&endpoint(&gateway).form(&token_form("odd", &secret)).send());
    }
    // Raw, where nothing of it means something in a form: the ids and secrets that we make.
    let mut raw = Key::new("raw", &["cards:read"]);
    raw.secret = "pculls_0123456789ABCxyz-._~".to_owned();
    let gateway = Gateway::builder().key(&raw).start();
    assert_token(&endpoint(&gateway).basic("raw", &raw.secret).form(GRANT).send());
}

/// Whatever a caller accepts, and however it fails, it is told in `application/json` with the RFC's members.
#[test]
fn one_media_type_whatever_is_accepted() {
    let gateway = Gateway::start();
    let good = token_form(&reader().id, &reader().secret);
    for accept in ["application/json", "*/*", "text/html", "application/problem+json", "application/xml;q=1"] {
        let with = |form: &str| endpoint(&gateway).header("Accept", accept).form(form);
        // 200, never 201: some clients take no other success.
        assert_token(&with(&good).send());
        assert_error_of(&with("grant_type=password"), 400, "unsupported_grant_type");
        assert_error_of(&with(GRANT), 401, "invalid_client");
        let response = gateway.get("/oauth2/token").header("Accept", accept).send();
        assert_error(&response, 405, "invalid_request", "invalid_request");
    }
}

#[test]
fn a_chunked_body() {
    let gateway = Gateway::start();
    let form = token_form(&reader().id, &reader().secret);
    let (one, two) = form.split_at(20);
    let request = format!(
        "POST {BASE_PATH}/oauth2/token HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    assert_token(&gateway.raw(request));
}

#[test]
fn a_body_that_waits_for_100() {
    let gateway = Gateway::start();
    let request = endpoint(&gateway).header("Expect", "100-continue").form(&token_form(&reader().id, &reader().secret));
    let bytes = request.bytes();
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut connection = gateway.connect();
    connection.send(&bytes[..body]);
    assert_eq!(connection.read_head().status, 100);
    connection.send(&bytes[body..]);
    assert_token(&connection.read_response());
}

#[test]
fn malformed_requests() {
    let gateway = Gateway::start();
    let (id, secret) = (reader().id, reader().secret);
    let good = token_form(&id, &secret);
    let basic = || endpoint(&gateway).basic(&id, &secret);
    let requests = [
        endpoint(&gateway),
        endpoint(&gateway).form(&format!("client_id={id}&client_secret={secret}")),
        endpoint(&gateway).form(&format!("grant_type=&client_id={id}&client_secret={secret}")),
        endpoint(&gateway).form(&format!("{good}&{GRANT}")),
        endpoint(&gateway).form(&format!("{good}&client_id={id}")),
        endpoint(&gateway).form(&format!("{good}&client_secret={secret}")),
        endpoint(&gateway).form(&format!("{good}&scope=a&scope=b")),
        gateway.post(&format!("/oauth2/token?{good}")),
        gateway.post(&format!("/oauth2/token?client_secret={secret}")).form(&good),
        gateway.post(&format!("/oauth2/token?{GRANT}")).form(&good),
        basic().form(&good),
        basic().form(&format!("{GRANT}&client_secret={secret}")),
        basic().form(&format!("{GRANT}&client_id=other")),
        basic().basic(&id, &secret).form(GRANT),
        endpoint(&gateway).body("application/json", json!({"grant_type": "client_credentials"}).to_string()),
        endpoint(&gateway).body("text/plain", &good),
    ];
    for request in requests {
        eprintln!("--- {}", String::from_utf8_lossy(&request.bytes()));
        let response = without_upstream(&gateway, || assert_error_of(&request, 400, "invalid_request"));
        // Nothing of the request is echoed.
        assert!(!response.text().contains(&secret));
    }
    for grant in ["password", "authorization_code", "Client_Credentials", "urn:x"] {
        let form = good.replace("client_credentials", grant);
        assert_error_of(&endpoint(&gateway).form(&form), 400, "unsupported_grant_type");
    }
    let elsewhere = format!("{good}&resource=http://gate.test/v1/other");
    assert_error_of(&endpoint(&gateway).form(&elsewhere), 400, "invalid_target");
}

#[test]
fn other_methods() {
    let gateway = Gateway::start();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let response = without_upstream(&gateway, || gateway.request(method, "/oauth2/token").send());
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}: {}", response.head);
        if method != "HEAD" {
            assert_error(&response, 405, "invalid_request", "invalid_request");
        }
    }
    let response = gateway.post("/oauth2/jwks").send();
    assert_eq!(response.status, 405, "{}", response.head);
}

#[test]
fn a_body_that_is_too_large() {
    let gateway = Gateway::start();
    let form = format!("{}&padding={}", token_form(&reader().id, &reader().secret), "x".repeat(1024 * 1024));
    let response = endpoint(&gateway).form(&form).send();
    assert_error(&response, 413, "invalid_request", "body_too_large");
    let chunked = format!(
        "POST {BASE_PATH}/oauth2/token HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{:x}\r\n{form}\r\n0\r\n\r\n",
        form.len(),
    );
    assert_error(&gateway.raw(chunked), 413, "invalid_request", "body_too_large");
}

/// `WWW-Authenticate` on `invalid_client` only where the header was used.
#[test]
fn wrong_credentials() {
    let gateway = Gateway::start();
    let challenge = |request: Request<'_>| {
        let response = without_upstream(&gateway, || assert_error_of(&request, 401, "invalid_client"));
        response.header("www-authenticate").map(str::to_owned)
    };
    for (id, secret) in
        [("reader", "wrong"), ("nobody", "wrong"), ("nobody", ""), ("\u{e9}", "x"), ("a".repeat(300).as_str(), "x")]
    {
        let basic = challenge(endpoint(&gateway).basic(id, secret).form(GRANT));
        assert!(basic.as_deref().is_some_and(|value| value.starts_with("Basic realm=")), "{basic:?}");
        assert_eq!(challenge(endpoint(&gateway).form(&token_form(id, secret))), None);
    }
    for header in ["Bearer x", "Basic", "Basic !", "Digest a=b"] {
        assert!(challenge(endpoint(&gateway).header("Authorization", header).form(GRANT)).is_some(), "{header}");
    }
    assert_eq!(challenge(endpoint(&gateway).form(GRANT)), None);
}

/// Everything of an answer but what is its own.
fn comparable(response: &RawResponse) -> String {
    let own =
        |line: &&str| !line.to_lowercase().starts_with("x-request-id:") && !line.to_lowercase().starts_with("date:");
    let head: Vec<&str> = response.head.lines().filter(own).collect();
    format!("{}\n{}", head.join("\n"), response.text())
}

#[test]
fn unknown_id_and_wrong_secret_answer_the_same_bytes() {
    let gateway = Gateway::start();
    let bytes = |id: &str, basic: bool| {
        let request = endpoint(&gateway);
        let request =
            if basic { request.basic(id, "wrong").form(GRANT) } else { request.form(&token_form(id, "wrong")) };
        comparable(&request.send())
    };
    for basic in [true, false] {
        assert_eq!(bytes("reader", basic), bytes("nobodi", basic));
    }
}

#[track_caller]
fn assert_rate_limited(gateway: &Gateway, request: &Request<'_>) -> (u32, RawResponse) {
    let response = without_upstream(gateway, || request.send());
    assert_error(&response, 429, "rate_limited", "rate_limited");
    assert_eq!(response.header("www-authenticate"), None);
    (response.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("Retry-After"), response)
}

/// Ten failures of an id are free, at whichever endpoint; then they are told to wait, longer each time. Known and unknown
/// ids get the same bytes all along, and whoever proves a secret is never told to wait.
#[test]
fn failures_slow_down_and_proven_clients_do_not() {
    let gateway = Gateway::start();
    let wrong = |id: &str, at: usize| {
        let form = format!("{}&token=x", token_form(id, "wrong"));
        gateway.post(["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"][at % 3]).form(&form)
    };
    for at in 0..10 {
        let [known, unknown] = ["reader", "nobodi"].map(|id| assert_error_of(&wrong(id, at), 401, "invalid_client"));
        assert_eq!(comparable(&known), comparable(&unknown));
    }
    for (at, wait) in [1, 2, 4].into_iter().enumerate() {
        let [known, unknown] = ["reader", "nobodi"].map(|id| assert_rate_limited(&gateway, &wrong(id, at)));
        assert_eq!((known.0, comparable(&known.1)), (wait, comparable(&unknown.1)));
    }
    assert_rate_limited(&gateway, &wrong("reader", 0).from("127.0.0.2"));
    assert_error_of(&wrong("writer", 0).from("127.0.0.2"), 401, "invalid_client");
    let reader = token(&gateway, &reader().id, &reader().secret);
    gateway.get("/cards").bearer(&reader).send().expect(200);
    let line = "portcullis_token_requests_total{environment=\"acme/production\",result=\"rate_limited\"} 3";
    assert!(gateway.metrics().contains(line), "{}", gateway.metrics());
}

#[test]
fn failures_from_one_address_slow_down_whatever_the_id() {
    let gateway = Gateway::start();
    let wrong = |at: usize| endpoint(&gateway).form(&token_form(&format!("id{at}"), "wrong")).from("127.0.0.3");
    for at in 0..30 {
        assert_error_of(&wrong(at), 401, "invalid_client");
    }
    assert_eq!(assert_rate_limited(&gateway, &wrong(30)).0, 1);
    assert_eq!(assert_rate_limited(&gateway, &wrong(31)).0, 2);
    assert_error_of(&wrong(32).from("127.0.0.4"), 401, "invalid_client");
    // Requests without credentials are no guesses: clients that try Basic first are told to authenticate.
    assert_error_of(&endpoint(&gateway).form(GRANT).from("127.0.0.3"), 401, "invalid_client");
    let proven = endpoint(&gateway).form(&token_form(&reader().id, &reader().secret)).from("127.0.0.3");
    assert_token(&proven.send());
}

/// Whoever proves the secret is told why the key opens nothing; whoever does not is not.
#[test]
fn a_proven_secret_is_told_the_reason() {
    let expired = Key::new("expired", &["cards:read"]).expiring("2024-01-31T00:00:00Z");
    let abroad = Key::new("abroad", &["cards:read"]).allowed_from(&["192.0.2.0/24"]);
    let gateway = Gateway::builder().key(&expired).key(&abroad).start();
    for (key, code, words) in [(&expired, "key_expired", "expiry"), (&abroad, "ip_not_allowed", "127.0.0.1")] {
        let body = endpoint(&gateway).form(&token_form(&key.id, &key.secret)).send();
        let description = assert_error(&body, 401, "invalid_client", code);
        assert!(description.contains(words), "{description}");
        assert_eq!(body.header("www-authenticate"), None);
        let basic = endpoint(&gateway).basic(&key.id, &key.secret).form(GRANT).send();
        assert_error(&basic, 401, "invalid_client", code);
        assert!(basic.header("www-authenticate").is_some());
        assert_error_of(&endpoint(&gateway).form(&token_form(&key.id, "wrong")), 401, "invalid_client");
    }
}

#[test]
fn a_revoked_key_gets_no_token() {
    let gateway = Gateway::start();
    let (id, secret) = gateway.create_key("salesforce", &["cards:read"]);
    token(&gateway, &id, &secret);
    gateway.change_key(&id, "revoke", &json!({}));
    let response = endpoint(&gateway).form(&token_form(&id, &secret)).send();
    let description = assert_error(&response, 401, "invalid_client", "key_revoked");
    assert!(description.contains("revoked"), "{description}");
}

#[test]
fn a_rotated_secret_gets_no_token() {
    let gateway = Gateway::start();
    let (id, old) = gateway.create_key("salesforce", &["cards:read"]);
    gateway.change_key(&id, "rotate", &json!({"expires_at": null}));
    assert_error_of(&endpoint(&gateway).form(&token_form(&id, &old)), 401, "invalid_client");
}

#[test]
fn scope_narrows_and_never_widens() {
    let gateway = Gateway::start();
    let ask = |key: &Key, scope: &str| {
        endpoint(&gateway).form(&format!("{}&scope={scope}", token_form(&key.id, &key.secret)))
    };
    let whole = token(&gateway, &writer().id, &writer().secret);
    gateway.post("/cards").bearer(&whole).send().expect(200);
    for (scope, granted) in
        [("cards:read", "cards:read"), ("files%3Aread+cards%3Aread+cards:read", "cards:read files:read")]
    {
        let answer = assert_token(&ask(&writer(), scope).send());
        assert_eq!(answer["scope"], granted);
        let narrow = answer["access_token"].as_str().unwrap();
        gateway.get("/cards").bearer(narrow).send().expect(200);
        assert_refused(&gateway, &gateway.post("/cards").bearer(narrow), 403, "permission_missing");
    }
    for scope in ["cards:write", "cards:read+cards:write", "nonsense", "CARDS:READ", "+", "portcullis:keys:edit"] {
        assert_error_of(&ask(&reader(), scope), 400, "invalid_scope");
    }
}

#[test]
fn jwks_and_metadata_for_each_algorithm() {
    for (algorithm, kind) in [("EdDSA", "OKP"), ("ES256", "EC"), ("RS256", "RSA")] {
        let gateway = Gateway::builder().node(&format!("[tokens]\nalgorithm = \"{algorithm}\"")).start();
        let token = gateway.reader_token();
        gateway.get("/cards").bearer(&token).send().expect(200);
        let answer = gateway.get("/oauth2/jwks").send().expect(200);
        let keys = answer.json();
        assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][0]["kty"]), (1, &json!(kind)), "{keys}");
        for private in ["d", "p", "q", "k"] {
            assert_eq!(keys["keys"][0].get(private), None);
        }
        assert_claims(&token, &serde_json::from_value(keys).unwrap(), algorithm);
        assert_eq!(metadata(&gateway)["jwks_uri"], format!("{BASE_URL}/oauth2/jwks"));
    }
}

/// A stranger can prove a token with the published keys and an ordinary library.
#[track_caller]
fn assert_claims(token: &str, keys: &JwkSet, algorithm: &str) {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!((header.typ.as_deref(), format!("{:?}", header.alg).as_str()), (Some("at+jwt"), algorithm));
    let key = header.kid.as_deref().and_then(|id| keys.find(id)).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[BASE_URL]);
    validation.set_issuer(&[BASE_URL]);
    let proven = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();
    let claims = proven.claims;
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("reader"), &json!("reader")));
    assert!(claims["jti"].is_string() && claims["secret_version"].is_number(), "{claims}");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims.get("scope"), None);
}

#[test]
fn hs256_publishes_nothing() {
    let gateway = Gateway::builder().node("[tokens]\nalgorithm = \"HS256\"").start();
    gateway.get("/cards").bearer(&gateway.reader_token()).send().expect(200);
    assert_eq!(gateway.get("/oauth2/jwks").send().expect(200).json(), json!({"keys": []}));
    assert_eq!(metadata(&gateway).get("jwks_uri"), None);
}

#[track_caller]
fn metadata(gateway: &Gateway) -> Value {
    let at = |target: &str| {
        let response = without_upstream(gateway, || gateway.get("").target(target).send()).expect(200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        response.json()
    };
    let document = at("/.well-known/oauth-authorization-server/v1/production");
    assert_eq!(document["issuer"], BASE_URL);
    assert_eq!(document["token_endpoint"], format!("{BASE_URL}/oauth2/token"));
    assert_eq!(document["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(at("/v1/production/.well-known/openid-configuration"), document);
    document
}

#[test]
fn another_oauth_prefix() {
    let gateway = Gateway::builder().settings("oauth_prefix = \"/portcullis/oauth\"").start();
    let form = token_form(&reader().id, &reader().secret);
    assert_token(&gateway.post("/portcullis/oauth/token").form(&form).send());
    // The API's own path then, and one that the catalogue does not know.
    assert_refused(&gateway, &gateway.post("/oauth2/token").form(&form), 401, "token_missing");
}

/// The reserved paths are exact: what resembles one belongs to the API.
#[test]
fn what_resembles_a_reserved_path() {
    let gateway = Gateway::start();
    let form = token_form(&reader().id, &reader().secret);
    for path in ["/oauth2/token/", "/oauth2/Token", "/oauth2/tokens", "/oauth2/%74oken"] {
        let response = without_upstream(&gateway, || gateway.post(path).form(&form).send());
        assert_ne!(response.status, 200, "{path}: {}", response.text());
    }
}

#[derive(Debug)]
struct Never;
impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}
impl std::error::Error for Never {}

#[test]
fn a_client_library_fetches_a_token() {
    let gateway = Gateway::start();
    let http = |request: oauth2::HttpRequest| -> Result<oauth2::HttpResponse, Never> {
        assert_eq!(request.uri().to_string(), format!("{BASE_URL}/oauth2/token"));
        let mut raw = gateway.post("/oauth2/token");
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != "content-type") {
            raw = raw.header(name.as_str(), value.to_str().unwrap());
        }
        let answer = raw.form(std::str::from_utf8(request.body()).unwrap()).send();
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body(answer.body).unwrap())
    };
    for auth in [oauth2::AuthType::BasicAuth, oauth2::AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(reader().id))
            .set_client_secret(ClientSecret::new(reader().secret))
            .set_auth_type(auth)
            .set_token_uri(TokenUrl::new(format!("{BASE_URL}/oauth2/token")).unwrap());
        let scope = Scope::new("cards:read".to_owned());
        let answer = client.exchange_client_credentials().add_scope(scope.clone()).request(&http).unwrap();
        assert_eq!((answer.scopes(), answer.expires_in().unwrap().as_secs()), (Some(&vec![scope]), 3600));
        gateway.get("/cards").bearer(answer.access_token().secret()).send().expect(200);
        let wrong = client.set_client_secret(ClientSecret::new("wrong".to_owned()));
        let error = wrong.exchange_client_credentials().request(&http).unwrap_err();
        assert!(matches!(error, oauth2::RequestTokenError::ServerResponse(_)), "{error:?}");
    }
}

#[test]
fn curl_fetches_a_token() {
    let gateway = Gateway::start();
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--connect-to", &format!("{HOST}:80:{}", gateway.edge())])
        .args(["-u", &format!("{}:{}", reader().id, reader().secret), "-d", GRANT, &format!("{BASE_URL}/oauth2/token")])
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: curl is not installed");
        return;
    };
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON from the token endpoint");
    gateway.get("/cards").bearer(answer["access_token"].as_str().unwrap()).send().expect(200);
}
