//! Methods that mean something to an intermediary itself: CONNECT and TRACE, and how far OPTIONS may go.

use super::answer::Answer;
use crate::access::Denial;
use crate::catalogue::Lookup;
use crate::tables::EnvironmentTable;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_LENGTH, COOKIE, MAX_FORWARDS, ORIGIN, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What can be asked for at all, in the answer to what cannot (RFC 9110 section 15.5.6). An environment may know others.
pub(super) const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// CONNECT would make a tunnel past every check, TRACE would send credentials back: neither is served.
pub(super) fn served(method: &Method) -> Result<(), Denial> {
    if *method == Method::CONNECT || *method == Method::TRACE { Err(Denial::MethodNotServed) } else { Ok(()) }
}

/// How many more intermediaries an OPTIONS may pass, this one included; `None` where it does not say. On any other
/// method the field means nothing and passes as it is (RFC 9110 section 7.6.2).
pub(super) fn hops_left(method: &Method, headers: &HeaderMap) -> Result<Option<u32>, Denial> {
    const MALFORMED: Denial = Denial::MalformedRequest { reason: "Max-Forwards is not a number" };
    if *method != Method::OPTIONS {
        return Ok(None);
    }
    let mut values = headers.get_all(MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.as_bytes();
    if values.next().is_some() || text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    // More than we count to goes on as the most that we count to.
    Ok(Some(std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)))
}

/// The method that a browser asks about before it sends it to another origin: OPTIONS with an origin and that method,
/// without body and credentials (Fetch, "CORS-preflight request"). With credentials it is a request like any other.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Method> {
    const CARRIED: [HeaderName; 4] = [AUTHORIZATION, COOKIE, CONTENT_LENGTH, TRANSFER_ENCODING];
    if *method != Method::OPTIONS || CARRIED.iter().any(|name| headers.contains_key(name)) {
        return None;
    }
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    one(ORIGIN)?;
    let asked = Method::from_bytes(one(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()?;
    served(&asked).is_ok().then_some(asked)
}

/// Whether a body means nothing to the method (RFC 9110 section 9.3): some servers do not read it, and what they leave
/// would be their next request.
pub(super) fn may_go_unread(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(method)
}

/// One hop less, for the next reader.
pub(super) fn count_down(method: &Method, headers: &mut HeaderMap) {
    if let Ok(Some(left)) = hops_left(method, headers) {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// The answer to an OPTIONS that goes no further: which methods the environment knows there.
pub(super) fn options(environment: &EnvironmentTable, path: &[u8]) -> Answer {
    let relative = environment.relative(path);
    let known = |name: &&str| {
        let method = Method::from_bytes(name.as_bytes());
        method.is_ok_and(|method| matches!(environment.catalogue.lookup(&method, relative), Lookup::Found(_)))
    };
    let allow = ALLOW.split(", ").filter(known).collect::<Vec<_>>().join(", ");
    let answer = Answer { status: 200, headers: Vec::new(), body: Bytes::new(), close: false };
    match HeaderValue::from_str(&allow) {
        Ok(allow) => answer.header(http::header::ALLOW, allow),
        Err(_) => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops() {
        let left = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(MAX_FORWARDS, HeaderValue::from_static(value));
            }
            hops_left(&Method::OPTIONS, &headers).map_err(|denial| denial.code())
        };
        assert_eq!(left(&[]), Ok(None));
        for (value, hops) in [("0", 0), ("007", 7), ("4294967295", u32::MAX), ("4294967296", u32::MAX)] {
            assert_eq!(left(&[value]), Ok(Some(hops)), "{value}");
        }
        for value in ["", "-1", "+1", "1.0", "0x1", "1 1", "a"] {
            assert_eq!(left(&[value]), Err("malformed_request"), "{value}");
        }
        assert_eq!(left(&["1", "1"]), Err("malformed_request"));
        let mut headers = HeaderMap::new();
        headers.insert(MAX_FORWARDS, HeaderValue::from_static("a"));
        assert_eq!(hops_left(&Method::GET, &headers), Ok(None));
        headers.insert(MAX_FORWARDS, HeaderValue::from_static("99999999999"));
        count_down(&Method::GET, &mut headers);
        assert_eq!(headers[MAX_FORWARDS], "99999999999");
        count_down(&Method::OPTIONS, &mut headers);
        assert_eq!(headers[MAX_FORWARDS], "4294967294");
    }
}
