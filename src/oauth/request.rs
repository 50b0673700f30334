//! Token requests as real clients send them (RFC 6749 sections 2.3, 3.2 and 4.4.2).

use super::OAuthError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What arrived at the token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct WireTokenRequest<'a> {
    /// The raw query, without `?`.
    pub query: &'a [u8],
    /// Content-Type, if there was one.
    pub content_type: Option<&'a [u8]>,
    /// The values of Authorization, in order.
    pub authorization: &'a [&'a [u8]],
    /// The whole body.
    pub body: &'a [u8],
}

/// A well-formed client-credentials request. The secret is wiped when dropped.
pub struct TokenRequest {
    /// The id, form-decoded.
    pub client_id: String,
    /// The secret, form-decoded.
    pub client_secret: Zeroizing<String>,
    /// Whether they came by Basic.
    pub basic: bool,
    /// The scope asked for, if any.
    pub scope: Option<String>,
    /// The resource asked for, if any (RFC 8707).
    pub resource: Option<String>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRequest").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// The parameters we know, each at most once. Unknown ones are ignored (RFC 6749 section 3.2).
#[derive(Default)]
struct Parameters {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    scope: Option<String>,
    resource: Option<String>,
}

impl TokenRequest {
    /// Parses a token request, whatever of the allowed shapes it has.
    pub fn parse(wire: &WireTokenRequest<'_>) -> Result<Self, OAuthError> {
        let mut parameters = Parameters::default();
        parameters.read(wire.query)?;
        if parameters.client_secret.is_some() {
            return Err(OAuthError::InvalidRequest(
                "a client secret in the URL is refused; send it by Basic or in the body",
            ));
        }
        if !wire.body.is_empty() {
            if !wire.content_type.is_some_and(is_form) {
                return Err(OAuthError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
            }
            parameters.read(wire.body)?;
        }
        match parameters.grant_type.as_deref() {
            None => return Err(OAuthError::InvalidRequest("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => return Err(OAuthError::UnsupportedGrantType),
        }
        parameters.authenticate(wire.authorization)
    }
}

impl Parameters {
    fn read(&mut self, form: &[u8]) -> Result<(), OAuthError> {
        const REPEATED: OAuthError = OAuthError::InvalidRequest("a parameter is repeated");
        for (name, value) in form_urlencoded::parse(form) {
            let value = Zeroizing::new(value.into_owned());
            // A parameter without a value counts as left out (RFC 6749 section 3.2).
            if value.is_empty() {
                continue;
            }
            let repeated = match name.as_ref() {
                "grant_type" => self.grant_type.replace(value.to_string()).is_some(),
                "client_id" => self.client_id.replace(value.to_string()).is_some(),
                "client_secret" => self.client_secret.replace(value).is_some(),
                "scope" => self.scope.replace(value.to_string()).is_some(),
                "resource" => self.resource.replace(value.to_string()).is_some(),
                _ => false,
            };
            if repeated {
                return Err(REPEATED);
            }
        }
        Ok(())
    }

    /// Exactly one way of authenticating (RFC 6749 section 2.3).
    fn authenticate(self, authorization: &[&[u8]]) -> Result<TokenRequest, OAuthError> {
        let Self { client_id, client_secret, scope, resource, .. } = self;
        let (client_id, client_secret, basic) = match authorization {
            [] => match (client_id, client_secret) {
                (Some(id), Some(secret)) => (id, secret, false),
                _ => return Err(OAuthError::InvalidClient { basic: false }),
            },
            [header] => {
                if client_secret.is_some() {
                    return Err(OAuthError::InvalidRequest("use Basic or body credentials, not both"));
                }
                let (id, secret) = basic_credentials(header).ok_or(OAuthError::InvalidClient { basic: true })?;
                if client_id.is_some_and(|named| named != id) {
                    return Err(OAuthError::InvalidRequest("client_id differs from the one in Basic"));
                }
                (id, secret, true)
            }
            _ => return Err(OAuthError::InvalidRequest("Authorization is repeated")),
        };
        Ok(TokenRequest { client_id, client_secret, basic, scope, resource })
    }
}

/// `application/x-www-form-urlencoded`, in any case, with any parameters.
fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Basic credentials, form-decoded (RFC 6749 section 2.3.1). Ids and secrets here use no character that encoding
/// would change, so clients that encode, over-encode or do not encode are all understood.
fn basic_credentials(header: &[u8]) -> Option<(String, Zeroizing<String>)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
    let decoded = std::str::from_utf8(&decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let form_decoded = |text: &str| -> Option<String> {
        // As a value: `=` and `&` in it would otherwise end it.
        let escaped = Zeroizing::new(text.replace('=', "%3D").replace('&', "%26"));
        let mut pairs = form_urlencoded::parse(escaped.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned())
    };
    Some((form_decoded(id)?, Zeroizing::new(form_decoded(secret)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(
        query: &str,
        authorization: &[&str],
        content_type: Option<&str>,
        body: &str,
    ) -> Result<TokenRequest, OAuthError> {
        let authorization: Vec<&[u8]> = authorization.iter().map(|h| h.as_bytes()).collect();
        TokenRequest::parse(&WireTokenRequest {
            query: query.as_bytes(),
            content_type: content_type.map(str::as_bytes),
            authorization: &authorization,
            body: body.as_bytes(),
        })
    }

    fn form(body: &str) -> Result<TokenRequest, OAuthError> {
        parsed("", &[], Some("application/x-www-form-urlencoded"), body)
    }

    fn basic(credentials: &str) -> Result<TokenRequest, OAuthError> {
        let header = format!("Basic {}", STANDARD.encode(credentials));
        parsed(
            "",
            &[&header],
            Some("application/x-www-form-urlencoded; charset=UTF-8"),
            "grant_type=client_credentials",
        )
    }

    #[test]
    fn the_allowed_shapes() {
        let request =
            form("grant_type=client_credentials&client_id=a&client_secret=s&scope=x+y&unknown=1&unknown=2").unwrap();
        assert_eq!((request.client_id.as_str(), request.client_secret.as_str(), request.basic), ("a", "s", false));
        assert_eq!(request.scope.as_deref(), Some("x y"));
        for credentials in ["pcull_a:pculls_b", "pcull%5Fa:pculls%5Fb", "%70cull_a:pculls%5fb"] {
            let request = basic(credentials).unwrap();
            assert_eq!(
                (request.client_id.as_str(), request.client_secret.as_str(), request.basic),
                ("pcull_a", "pculls_b", true)
            );
        }
        let header = format!("bAsIc {}", STANDARD.encode("a:b"));
        assert!(parsed("grant_type=client_credentials&client_id=a", &[&header], None, "").is_ok());
        assert!(
            parsed(
                "",
                &[&header],
                Some("application/x-www-form-urlencoded"),
                "grant_type=client_credentials&client_id=a"
            )
            .is_ok()
        );
    }

    #[test]
    fn malformed_requests() {
        let header = format!("Basic {}", STANDARD.encode("a:b"));
        let invalid_request = [
            form("client_id=a&client_secret=s"),
            form("grant_type=&client_id=a&client_secret=s"),
            form("grant_type=client_credentials&grant_type=client_credentials&client_id=a&client_secret=s"),
            form("grant_type=client_credentials&client_id=a&client_id=a&client_secret=s"),
            parsed("grant_type=client_credentials&client_id=a&client_secret=s", &[], None, ""),
            parsed(
                "grant_type=client_credentials",
                &[],
                Some("application/x-www-form-urlencoded"),
                "grant_type=client_credentials&client_id=a&client_secret=s",
            ),
            parsed("", &[], Some("application/json"), "{\"grant_type\":\"client_credentials\"}"),
            parsed("", &[], None, "grant_type=client_credentials&client_id=a&client_secret=s"),
            parsed(
                "",
                &[&header],
                Some("application/x-www-form-urlencoded"),
                "grant_type=client_credentials&client_secret=s",
            ),
            parsed(
                "",
                &[&header],
                Some("application/x-www-form-urlencoded"),
                "grant_type=client_credentials&client_id=other",
            ),
            parsed("", &[&header, &header], Some("application/x-www-form-urlencoded"), "grant_type=client_credentials"),
        ];
        for (at, result) in invalid_request.into_iter().enumerate() {
            assert!(matches!(result, Err(OAuthError::InvalidRequest(_))), "case {at}: {result:?}");
        }
        assert_eq!(
            form("grant_type=password&client_id=a&client_secret=s").unwrap_err(),
            OAuthError::UnsupportedGrantType
        );
    }

    #[test]
    fn credentials_that_are_none() {
        assert_eq!(form("grant_type=client_credentials").unwrap_err(), OAuthError::InvalidClient { basic: false });
        assert_eq!(
            form("grant_type=client_credentials&client_id=a").unwrap_err(),
            OAuthError::InvalidClient { basic: false }
        );
        for header in ["Bearer x", "Basic", "Basic !", "Basic YQ==", "Digest a", ""] {
            let result =
                parsed("", &[header], Some("application/x-www-form-urlencoded"), "grant_type=client_credentials");
            assert_eq!(result.unwrap_err(), OAuthError::InvalidClient { basic: true }, "{header}");
        }
    }
}
