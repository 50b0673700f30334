//! What a client library needs to know before it asks (RFC 8414).

use serde_json::{Value, json};

/// How clients prove themselves, at every endpoint (RFC 6749 section 2.3.1).
const AUTH_METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// The authorization server metadata of an environment. `endpoint` is where the OAuth endpoints live (base URL and
/// prefix). With HS256 alone there are no public keys and no `jwks_uri`.
pub fn metadata(base_url: &str, endpoint: &str, has_public_keys: bool) -> Value {
    let mut document = json!({
        "issuer": base_url,
        "token_endpoint": format!("{endpoint}/token"),
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint": format!("{endpoint}/introspect"),
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint": format!("{endpoint}/revoke"),
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
    });
    if has_public_keys && let Some(members) = document.as_object_mut() {
        members.insert("jwks_uri".to_owned(), json!(format!("{endpoint}/jwks")));
    }
    document
}
