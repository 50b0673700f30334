//! Is the head of an HTTP/2 request sound (RFC 9113 section 8), within its limits, and the same to every reader? Pure.
//!
//! The same rules as for HTTP/1 (`head.rs`), by the same code, so that a request cannot say over one version what it
//! may not say over the other. What cannot even be written down as a head (upper-case names, pseudo-headers that come
//! twice or late, control bytes) has been refused by the HTTP/2 codec before. Fragments never get here: the codec
//! takes them off, and what is judged is what is forwarded.

use super::head::{self, Framing, malformed};
use crate::access::Denial;
use crate::config::HeadLimits;
use http::header::{CONNECTION, COOKIE, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Uri};

/// Fields that mean something to an HTTP/1 connection alone (RFC 9113 section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What pingora's acceptance answered or reset by itself.
pub(super) const REJECTED: Denial = malformed("fields of the head contradict each other");

/// Judges a head. What it is about: the authority, from `:authority` or `host`.
pub(super) fn judge<'a>(
    method: &Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    limits: &HeadLimits,
) -> Result<&'a [u8], Denial> {
    if [Method::CONNECT, Method::TRACE].contains(method) {
        return Err(Denial::MethodNotServed);
    }
    head::judge_method(method.as_str().as_bytes())?;
    let target = target(uri)?;
    if target.len() > limits.target_bytes {
        return Err(Denial::TargetTooLong);
    }
    // Without an authority the URI has no scheme either, and the codec has judged it.
    if uri.scheme_str().is_some_and(|scheme| !["http", "https"].contains(&scheme)) {
        return Err(malformed("the scheme is neither http nor https"));
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    judge_size(method, target, authority, headers, limits)?;
    head::judge_origin_form(target)?;
    judge_fields(authority, headers)
}

/// The path and query, which begin with `/`: `*` and anything else is no resource.
fn target(uri: &Uri) -> Result<&[u8], Denial> {
    let target = uri.path_and_query().map(|target| target.as_str().as_bytes());
    target.filter(|target| target.starts_with(b"/")).ok_or(malformed("the path does not begin with `/`"))
}

/// As many bytes and fields as the same head would have in HTTP/1.
fn judge_size(
    method: &Method,
    target: &[u8],
    authority: Option<&[u8]>,
    headers: &HeaderMap,
    limits: &HeadLimits,
) -> Result<(), Denial> {
    let line = |name: usize, value: usize| name + value + ": \r\n".len();
    let host = authority.filter(|_| !headers.contains_key(HOST));
    let fields = headers.len() + usize::from(host.is_some());
    let bytes = method.as_str().len()
        + target.len()
        + "  HTTP/1.1\r\n\r\n".len()
        + host.map_or(0, |host| line("host".len(), host.len()))
        + headers.iter().map(|(name, value)| line(name.as_str().len(), value.len())).sum::<usize>();
    if fields > limits.header_fields || bytes > limits.header_bytes {
        return Err(Denial::HeadersTooLarge);
    }
    Ok(())
}

fn judge_fields<'a>(authority: Option<&'a [u8]>, headers: &'a HeaderMap) -> Result<&'a [u8], Denial> {
    let mut framing = Framing::default();
    for (name, value) in headers {
        if OF_CONNECTIONS.contains(name) || (*name == TE && value.as_bytes() != b"trailers") {
            return Err(malformed("a header field belongs to a connection of HTTP/1"));
        }
        let bytes = value.as_bytes();
        if head::trim(bytes).len() < bytes.len() {
            return Err(malformed("a header value begins or ends with white space"));
        }
        head::judge_value(bytes)?;
        framing.read(name.as_str().as_bytes(), bytes)?;
    }
    match (authority, headers.get(HOST)) {
        (Some(authority), None) => framing.read(b"host", authority)?,
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host.as_bytes()) => {
            return Err(malformed("`:authority` and `host` differ"));
        }
        (Some(_), Some(_)) | (None, _) => {}
    }
    framing.finish()
}

/// Cookies may come in crumbs, which HTTP/1 knows as one line (RFC 9113 section 8.2.3). `None` where they are one.
pub(super) fn whole_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let mut whole = crumbs.next()?.as_bytes().to_vec();
    let rest: Vec<&HeaderValue> = crumbs.collect();
    if rest.is_empty() {
        return None;
    }
    for crumb in rest {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    HeaderValue::from_bytes(&whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    const LIMITS: fn() -> HeadLimits = HeadLimits::default;

    fn judged(method: &str, uri: &str, fields: &[(&str, &str)], limits: &HeadLimits) -> Result<String, Denial> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let authority = judge(&parts.method, &parts.uri, &parts.headers, limits)?;
        Ok(String::from_utf8(authority.to_vec()).unwrap())
    }

    fn code(method: &str, uri: &str, fields: &[(&str, &str)]) -> String {
        judged(method, uri, fields, &LIMITS()).unwrap_or_else(|denial| denial.code().to_owned())
    }

    #[test]
    fn sound_heads() {
        for (uri, fields, authority) in [
            ("https://gate.test/cards?a=b", &[][..], "gate.test"),
            ("https://Gate.test:443/", &[("host", "gate.test:443"), ("te", "trailers")], "Gate.test:443"),
            ("http://[::1]:8080/", &[("content-length", "5"), ("cookie", "a=b"), ("cookie", "c=d")], "[::1]:8080"),
            ("/cards", &[("host", "gate.test"), ("x", "a\tb"), ("y", "")], "gate.test"),
        ] {
            assert!(code("GET", uri, fields).eq_ignore_ascii_case(authority), "{uri}");
        }
    }

    #[test]
    fn what_readers_disagree_on() {
        for fields in [
            ("connection", "close"),
            ("connection", "x-secret"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("x", " a"),
            ("x", "a "),
            ("x", "\ta"),
            ("x", " "),
            ("content-length", ""),
            ("content-length", "+5"),
            ("content-length", "5, 5"),
            ("content-length", "0x5"),
            ("host", "other.test"),
            ("host", ""),
        ] {
            assert_eq!(code("GET", "https://gate.test/", &[fields]), "malformed_request", "{fields:?}");
        }
        let twice = |name| code("GET", "https://gate.test/", &[(name, "5"), (name, "5")]);
        assert_eq!(twice("content-length"), "malformed_request");
        for host in ["a b", "u@a", "a/b", ""] {
            assert_eq!(code("GET", "/", &[("host", host)]), "malformed_request", "{host}");
        }
        assert_eq!(code("GET", "/", &[]), "malformed_request");
        assert_eq!(code("GET", "*", &[("host", "a")]), "malformed_request");
        assert_eq!(code("OPTIONS", "*", &[("host", "a")]), "malformed_request");
        assert_eq!(code("GET", "https://u@gate.test/", &[]), "malformed_request");
        assert_eq!(code("GET", "ftp://gate.test/", &[]), "malformed_request");
        assert_eq!(code("CONNECT", "gate.test:443", &[]), "method_not_served");
        assert_eq!(code("TRACE", "https://gate.test/", &[]), "method_not_served");
        assert_eq!(code(&"M".repeat(33), "https://gate.test/", &[]), "malformed_request");
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past() {
        let limits = HeadLimits { target_bytes: 64, header_fields: 3, header_bytes: 1024, ..LIMITS() };
        let target = |n: usize| judged("GET", &format!("https://a/{}", "x".repeat(n - 1)), &[], &limits);
        assert!(target(64).is_ok());
        assert_eq!(target(65), Err(Denial::TargetTooLong));
        let fields = |n: usize| judged("GET", "https://a/", &vec![("x", "y"); n - 1], &limits);
        assert!(fields(3).is_ok());
        assert_eq!(fields(4), Err(Denial::HeadersTooLarge));
        // `GET / HTTP/1.1`, `host: a`, `x: …` and the blank line: what HTTP/1 would count.
        let bytes = |n: usize| judged("GET", "https://a/", &[("x", &"y".repeat(n - 16 - 9 - 5 - 2))], &limits);
        assert!(bytes(1024).is_ok());
        assert_eq!(bytes(1025), Err(Denial::HeadersTooLarge));
    }

    #[test]
    fn crumbs_become_one_cookie() {
        let of = |crumbs: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for crumb in crumbs {
                headers.append(COOKIE, HeaderValue::from_static(crumb));
            }
            whole_cookie(&headers)
        };
        assert_eq!((of(&[]), of(&["a=b"])), (None, None));
        assert_eq!(of(&["a=b", "c=d; e=f", "g"]).unwrap(), "a=b; c=d; e=f; g");
    }

    proptest! {
        /// What HTTP/1 refuses in a target or a value, HTTP/2 refuses, for the same reason; and the other way round.
        #[test]
        fn the_same_as_http_1(target in "/[a-z%2/?#\"<>`. ]{0,12}", value in "[a-z\t ]{0,6}") {
            let Ok(uri) = format!("https://a{target}").parse::<Uri>() else { return Ok(()) };
            let kept = uri.path_and_query().map_or("", |kept| kept.as_str());
            let text = format!("GET {kept} HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n");
            let first = head::judge(text.as_bytes(), &LIMITS()).map(|_| ());
            let second = judged("GET", &format!("https://a{target}"), &[("x", value.trim_matches([' ', '\t']))], &LIMITS());
            prop_assert_eq!(first, second.map(|_| ()));
        }
    }
}
