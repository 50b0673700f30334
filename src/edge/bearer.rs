//! Step 5: exactly one bearer credential (RFC 6750 section 2.1). A token in the query or body is never read.

use crate::access::Denial;
use http::{HeaderMap, HeaderName};

/// The token, unproven. A header that is not `Authorization` may carry it with or without the scheme.
pub(super) fn bearer<'h>(headers: &'h HeaderMap, header: &HeaderName) -> Result<&'h str, Denial> {
    let mut values = headers.get_all(header).iter();
    let value = values.next().ok_or(Denial::TokenMissing)?;
    if values.next().is_some() {
        return Err(Denial::MalformedRequest { reason: "the credential is repeated" });
    }
    let value = value.to_str().map_err(|_| Denial::TokenInvalid)?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        None if *header != http::header::AUTHORIZATION && !value.is_empty() => value,
        // Another scheme, or none: as good as no credential.
        _ => return Err(Denial::TokenMissing),
    };
    let sound = !token.is_empty()
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='));
    if sound { Ok(token) } else { Err(Denial::TokenInvalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str], header: &'static str) -> Result<String, &'static str> {
        let name = HeaderName::from_static(header);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        bearer(&headers, &name).map(str::to_owned).map_err(|denial| denial.code())
    }

    #[test]
    fn one_bearer_in_any_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c"] {
            assert_eq!(read(&[value], "authorization").as_deref(), Ok("a.b.c"), "{value}");
        }
        assert_eq!(read(&["a.b.c"], "x-api-token").as_deref(), Ok("a.b.c"));
        assert_eq!(read(&["Bearer a.b.c"], "x-api-token").as_deref(), Ok("a.b.c"));
    }

    #[test]
    fn everything_else() {
        assert_eq!(read(&[], "authorization"), Err("token_missing"));
        for value in ["Basic YTpi", "a.b.c", "Bearer", "", "Token x"] {
            assert_eq!(read(&[value], "authorization"), Err("token_missing"), "{value}");
        }
        for value in ["Bearer a, Bearer b", "Bearer a b", "Bearer \"a\"", "Bearer ", "Bearer a\tb"] {
            assert_eq!(read(&[value], "authorization"), Err("token_invalid"), "{value}");
        }
        assert_eq!(read(&["Bearer a", "Bearer a"], "authorization"), Err("malformed_request"));
    }
}
