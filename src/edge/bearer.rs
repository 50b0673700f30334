//! Step 5: exactly one bearer credential (RFC 6750 section 2.1). A token in the query or body is never read.

use super::head::all;
use crate::access::Denial;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The token, unproven. A header that is not `Authorization` may carry it with or without the scheme.
pub(super) fn bearer<'h>(headers: &'h HeaderMap, header: &HeaderName) -> Result<&'h str, Denial> {
    let mut values = headers.get_all(header).iter();
    let value = values.next().ok_or(Denial::TokenMissing)?;
    if values.next().is_some() {
        return Err(Denial::MalformedRequest { reason: "the credential is repeated" });
    }
    let token = match value.as_bytes().split_first_chunk::<7>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => trim_spaces(token),
        _ => without_scheme(value, header)?,
    };
    let sound = !token.is_empty() && all(token, is_token68);
    if sound { std::str::from_utf8(token).map_err(|_| Denial::TokenInvalid) } else { Err(Denial::TokenInvalid) }
}

fn trim_spaces(mut token: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = token {
        token = rest;
    }
    token
}

/// Another scheme, or none: as good as no credential, but in a header that is for tokens alone.
fn without_scheme<'h>(value: &'h HeaderValue, header: &HeaderName) -> Result<&'h [u8], Denial> {
    let text = value.to_str().map_err(|_| Denial::TokenInvalid)?;
    if *header == http::header::AUTHORIZATION || text.is_empty() || text.contains(' ') {
        return Err(Denial::TokenMissing);
    }
    Ok(text.as_bytes())
}

/// What bearer tokens are made of (RFC 6750 section 2.1): letters, digits and `-._~+/=`. Without a branch, see [`all`].
fn is_token68(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits stand in a row.
    let is_digit = byte.wrapping_sub(b'-') < 13;
    is_letter | is_digit | (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'=')
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
        assert_eq!(read(&["Bearer Az09-._~+/="], "authorization").as_deref(), Ok("Az09-._~+/="));
        assert_eq!(read(&["a.b.c"], "x-api-token").as_deref(), Ok("a.b.c"));
        assert_eq!(read(&["Bearer a.b.c"], "x-api-token").as_deref(), Ok("a.b.c"));
    }

    #[test]
    fn everything_else() {
        assert_eq!(read(&[], "authorization"), Err("token_missing"));
        for value in ["Basic YTpi", "a.b.c", "Bearer", "", "Token x"] {
            assert_eq!(read(&[value], "authorization"), Err("token_missing"), "{value}");
        }
        for value in ["Bearer a, Bearer b", "Bearer a b", "Bearer \"a\"", "Bearer ", "Bearer a\tb", "Bearer \ta"] {
            assert_eq!(read(&[value], "authorization"), Err("token_invalid"), "{value}");
        }
        for byte in (0x21..0x7f_u8).map(char::from).filter(|byte| !byte.is_ascii_alphanumeric()) {
            let sound = "-._~+/=".contains(byte).then(|| format!("a{byte}b")).ok_or("token_invalid");
            assert_eq!(read(&[&format!("Bearer a{byte}b")], "authorization"), sound, "{byte}");
        }
        assert_eq!(read(&["Bearer a", "Bearer a"], "authorization"), Err("malformed_request"));
    }
}
