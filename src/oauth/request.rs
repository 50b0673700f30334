//! Requests of the token, introspection and revocation endpoints as real clients send them (RFC 6749 sections 2.3, 3.2
//! and 4.4.2, RFC 7662 section 2.1, RFC 7009 section 2.1).

use super::OAuthError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What arrived at an endpoint that authenticates its clients.
#[derive(Clone, Copy, Debug)]
pub struct WireRequest<'a> {
    /// The raw query, without `?`.
    pub query: &'a [u8],
    /// Content-Type, if there was one.
    pub content_type: Option<&'a [u8]>,
    /// The values of Authorization, in order.
    pub authorization: &'a [&'a [u8]],
    /// The whole body.
    pub body: &'a [u8],
}

/// An id and a secret, unproven. The secret is wiped when dropped.
pub struct ClientCredentials {
    /// The id, form-decoded.
    pub client_id: String,
    /// The secret, form-decoded.
    pub client_secret: Zeroizing<String>,
    /// Whether they came by Basic.
    pub basic: bool,
}

impl std::fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A well-formed client-credentials request.
#[derive(Debug)]
pub struct TokenRequest {
    /// Who asks.
    pub client: ClientCredentials,
    /// The scope asked for, if any.
    pub scope: Option<String>,
    /// The resource asked for, if any (RFC 8707).
    pub resource: Option<String>,
}

/// A well-formed request about one token: introspection or revocation. `token_type_hint` is ignored, as both RFCs
/// allow: there is one type of token here.
pub struct TokenQuestion {
    /// Who asks.
    pub client: ClientCredentials,
    /// The token, unproven. Wiped when dropped.
    pub token: Zeroizing<String>,
}

impl std::fmt::Debug for TokenQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenQuestion").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The parameters we know, each at most once. Unknown ones are ignored (RFC 6749 section 3.2).
#[derive(Default)]
struct Parameters {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    scope: Option<String>,
    /// The one parameter that may be repeated on the wire (RFC 8707 section 2).
    resources: Vec<String>,
    token: Option<Zeroizing<String>>,
    token_type_hint: Option<String>,
}

impl TokenRequest {
    /// Parses a token request, whatever of the allowed shapes it has.
    pub fn parse(wire: &WireRequest<'_>) -> Result<Self, OAuthError> {
        let mut parameters = Parameters::of(wire)?;
        match parameters.grant_type.as_deref() {
            None => return Err(OAuthError::InvalidRequest("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => return Err(OAuthError::UnsupportedGrantType),
        }
        let scope = parameters.scope.take();
        let mut resources = std::mem::take(&mut parameters.resources).into_iter();
        let (resource, another) = (resources.next(), resources.next());
        let client = parameters.authenticate(wire.authorization)?;
        if another.is_some() {
            return Err(OAuthError::InvalidTarget("a token is for one resource: ask once for each"));
        }
        Ok(Self { client, scope, resource })
    }
}

impl TokenQuestion {
    /// Parses an introspection or revocation request.
    pub fn parse(wire: &WireRequest<'_>) -> Result<Self, OAuthError> {
        let mut parameters = Parameters::of(wire)?;
        let token = parameters.token.take();
        let client = parameters.authenticate(wire.authorization)?;
        let token = token.ok_or(OAuthError::InvalidRequest("token is missing"))?;
        Ok(Self { client, token })
    }
}

impl Parameters {
    /// Those of the query and the body. No secret and no token stands in a URL: URLs are logged.
    fn of(wire: &WireRequest<'_>) -> Result<Self, OAuthError> {
        let mut parameters = Self::default();
        parameters.read(wire.query)?;
        if parameters.client_secret.is_some() {
            return Err(OAuthError::InvalidRequest(
                "a client secret in the URL is refused; send it by Basic or in the body",
            ));
        }
        if parameters.token.is_some() {
            return Err(OAuthError::InvalidRequest("a token in the URL is refused; send it in the body"));
        }
        if !wire.body.is_empty() {
            if !wire.content_type.is_some_and(is_form) {
                return Err(OAuthError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
            }
            parameters.read(wire.body)?;
        }
        Ok(parameters)
    }

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
                "token" => self.token.replace(value).is_some(),
                "token_type_hint" => self.token_type_hint.replace(value.to_string()).is_some(),
                "resource" => {
                    self.resources.push(value.to_string());
                    false
                }
                _ => false,
            };
            if repeated {
                return Err(REPEATED);
            }
        }
        Ok(())
    }

    /// Exactly one way of authenticating (RFC 6749 section 2.3).
    fn authenticate(self, authorization: &[&[u8]]) -> Result<ClientCredentials, OAuthError> {
        let Self { client_id, client_secret, .. } = self;
        match authorization {
            [] => match (client_id, client_secret) {
                (Some(client_id), Some(client_secret)) => {
                    Ok(ClientCredentials { client_id, client_secret, basic: false })
                }
                _ => Err(OAuthError::InvalidClient { basic: false }),
            },
            [header] => {
                if client_secret.is_some() {
                    return Err(OAuthError::InvalidRequest("use Basic or body credentials, not both"));
                }
                let (id, secret) = basic_credentials(header).ok_or(OAuthError::InvalidClient { basic: true })?;
                if client_id.is_some_and(|named| named != id) {
                    return Err(OAuthError::InvalidRequest("client_id differs from the one in Basic"));
                }
                Ok(ClientCredentials { client_id: id, client_secret: secret, basic: true })
            }
            _ => Err(OAuthError::InvalidRequest("Authorization is repeated")),
        }
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
        TokenRequest::parse(&WireRequest {
            query: query.as_bytes(),
            content_type: content_type.map(str::as_bytes),
            authorization: &authorization,
            body: body.as_bytes(),
        })
    }

    fn shown(client: &ClientCredentials) -> (&str, &str, bool) {
        (client.client_id.as_str(), client.client_secret.as_str(), client.basic)
    }

    fn question(query: &str, body: &str) -> Result<TokenQuestion, OAuthError> {
        TokenQuestion::parse(&WireRequest {
            query: query.as_bytes(),
            content_type: Some(b"application/x-www-form-urlencoded"),
            authorization: &[],
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
        assert_eq!(shown(&request.client), ("a", "s", false));
        assert_eq!(request.scope.as_deref(), Some("x y"));
        for credentials in ["pcull_a:pculls_b", "pcull%5Fa:pculls%5Fb", "%70cull_a:pculls%5fb"] {
            let request = basic(credentials).unwrap();
            assert_eq!(shown(&request.client), ("pcull_a", "pculls_b", true));
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

    #[test]
    fn questions_about_a_token() {
        let asked =
            question("", "token=a.b.c&token_type_hint=refresh_token&client_id=a&client_secret=s&x=1&x=2").unwrap();
        assert_eq!((asked.token.as_str(), shown(&asked.client)), ("a.b.c", ("a", "s", false)));
        assert!(!format!("{asked:?}").contains("a.b.c"));
        for (query, body) in [
            ("", "client_id=a&client_secret=s"),
            ("", "token=&client_id=a&client_secret=s"),
            ("", "token=x&token=x&client_id=a&client_secret=s"),
            ("", "token=x&token_type_hint=a&token_type_hint=a&client_id=a&client_secret=s"),
            ("token=x", "client_id=a&client_secret=s"),
            ("client_secret=s", "token=x&client_id=a"),
        ] {
            assert!(matches!(question(query, body), Err(OAuthError::InvalidRequest(_))), "{query} {body}");
        }
        // Who one is comes before what one asks.
        assert_eq!(question("", "").unwrap_err(), OAuthError::InvalidClient { basic: false });
        assert_eq!(question("", "token=x&client_id=a").unwrap_err(), OAuthError::InvalidClient { basic: false });
    }

    #[test]
    fn a_token_is_for_one_resource() {
        let with = |rest: &str| form(&format!("grant_type=client_credentials&client_id=a&client_secret=s&{rest}"));
        assert_eq!(with("resource=http://x/a").unwrap().resource.as_deref(), Some("http://x/a"));
        assert_eq!(with("resource=").unwrap().resource, None);
        for twice in ["resource=http://x/a&resource=http://x/b", "resource=http://x/a&resource=http://x/a"] {
            assert!(matches!(with(twice), Err(OAuthError::InvalidTarget(_))), "{twice}");
        }
    }
}
