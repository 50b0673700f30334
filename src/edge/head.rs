//! Is a request head sound HTTP/1 (RFC 9112), within its limits, and the same to every reader? Pure.
//!
//! pingora answers its own parse errors without our hooks, repairs what it should refuse (bare LF, CL beside TE,
//! missing Host) and strips fragments, so the head is judged here first, byte by byte.

use crate::access::{Denial, PathRule};
use crate::config::HeadLimits;
use bytes::BytesMut;

/// Where a head ends, once it is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The blank line ends just before this index.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

/// Looks for the end of the head from `from` on (what was scanned before). A bare LF is found at once: waiting for a
/// CRLF that never comes would turn a malformed request into a timeout.
pub(super) fn scan(buffer: &[u8], from: usize, limits: &HeadLimits) -> Result<Scan, Denial> {
    let mut at = from;
    while let Some(offset) = memchr::memchr(b'\n', buffer.get(at..).unwrap_or_default()) {
        let lf = at + offset;
        if lf == 0 || buffer.get(lf - 1) != Some(&b'\r') {
            return Err(malformed("a line ends with a bare line feed"));
        }
        if lf >= 3 && buffer.get(lf - 3..lf - 1) == Some(b"\r\n") {
            return if lf < limits.header_bytes { Ok(Scan::Complete(lf + 1)) } else { Err(Denial::HeadersTooLarge) };
        }
        at = lf + 1;
    }
    if buffer.len() >= limits.header_bytes {
        // A target that alone breaks its limit is named as such.
        let target_too_long = !buffer.contains(&b'\n') && limits.target_bytes < buffer.len();
        return Err(if target_too_long { Denial::TargetTooLong } else { Denial::HeadersTooLarge });
    }
    Ok(Scan::Partial)
}

pub(super) const fn malformed(reason: &'static str) -> Denial {
    Denial::MalformedRequest { reason }
}

/// What the front needs to know of a sound head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// The target is in absolute form; its authority equals Host. Where the authority and scheme stand.
    pub(super) absolute: Option<(usize, usize)>,
    /// 0 where it announces none.
    pub(super) content_length: u64,
    /// Its body says by itself where it ends.
    pub(super) chunked: bool,
    /// It asks for another protocol.
    pub(super) upgrades: bool,
}

/// Judges a complete head (request line, fields, blank line).
pub(super) fn judge(head: &[u8], limits: &HeadLimits) -> Result<Judged, Denial> {
    if memchr::memchr(0, head).is_some() {
        return Err(malformed("the head holds a NUL byte"));
    }
    let (line, mut rest) = next_line(head).ok_or(malformed("the head is not made of lines"))?;
    let request = request_line(line, limits)?;
    let mut framing = Framing { http10: request.http10, ..Framing::default() };
    let mut fields = 0usize;
    while let Some((line, tail)) = next_line(rest) {
        rest = tail;
        if line.is_empty() {
            break;
        }
        fields += 1;
        if fields > limits.header_fields {
            return Err(Denial::HeadersTooLarge);
        }
        let (name, value) = field(line)?;
        framing.read(name, value)?;
    }
    let Framing { content_length, transfer_encoding, upgrades, .. } = framing;
    let host = framing.finish()?;
    let content_length = content_length.unwrap_or_default();
    let mut judged = Judged { absolute: None, content_length, chunked: transfer_encoding, upgrades };
    if let Some(authority) = request.authority {
        if !authority.eq_ignore_ascii_case(host) {
            return Err(malformed("the target's authority and Host differ"));
        }
        let start = request.method_len + 1;
        judged.absolute = Some((start, start + request.absolute_prefix));
    }
    Ok(judged)
}

/// Rewrites an absolute-form target to origin-form in place (RFC 9112 section 3.2.2).
pub(super) fn to_origin_form(head: &mut BytesMut, judged: &Judged) {
    let Some((start, end)) = judged.absolute else { return };
    let mut rewritten = BytesMut::with_capacity(head.len());
    rewritten.extend_from_slice(head.get(..start).unwrap_or_default());
    let tail = head.get(end..).unwrap_or_default();
    if !tail.starts_with(b"/") {
        rewritten.extend_from_slice(b"/");
    }
    rewritten.extend_from_slice(tail);
    *head = rewritten;
}

/// The next line without its CRLF; `None` at the end. A CR that is not part of a CRLF is left in the line.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let lf = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..lf.checked_sub(1)?)?;
    Some((line, bytes.get(lf + 1..)?))
}

struct RequestLine<'a> {
    method_len: usize,
    http10: bool,
    authority: Option<&'a [u8]>,
    absolute_prefix: usize,
}

fn request_line<'a>(line: &'a [u8], limits: &HeadLimits) -> Result<RequestLine<'a>, Denial> {
    const SHAPE: Denial = malformed("the request line is not method, target and version with one space between");
    let first = memchr::memchr(b' ', line).ok_or(SHAPE)?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first).ok_or(SHAPE)?;
    let method = line.get(..first).unwrap_or_default();
    let target = line.get(first + 1..last).unwrap_or_default();
    let version = line.get(last + 1..).unwrap_or_default();
    judge_method(method)?;
    let http10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
    };
    if target.len() > limits.target_bytes {
        return Err(Denial::TargetTooLong);
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Denial::MethodNotServed);
    }
    let (authority, absolute_prefix) = judge_target(target)?;
    Ok(RequestLine { method_len: first, http10, authority, absolute_prefix })
}

/// A short token.
pub(super) fn judge_method(method: &[u8]) -> Result<(), Denial> {
    let sound = (1..=32).contains(&method.len()) && all(method, is_tchar);
    if sound { Ok(()) } else { Err(malformed("the method is not a token")) }
}

/// A target that begins with `/`.
pub(super) fn judge_origin_form(target: &[u8]) -> Result<(), Denial> {
    match judge_target(target)? {
        (None, _) => Ok(()),
        (Some(_), _) => Err(malformed("the path does not begin with `/`")),
    }
}

/// Origin-form, or absolute-form with its authority. Bytes of the path beyond this are judged under the
/// environment's rules; the query is opaque but for control bytes, space and `#`.
fn judge_target(target: &[u8]) -> Result<(Option<&[u8]>, usize), Denial> {
    if !all(target, |byte| (byte > b' ') & (byte != 0x7f)) {
        return Err(malformed("the target holds a space or a control byte"));
    }
    // RFC 3986 section 2 knows none of them unencoded, and HTTP libraries disagree on them.
    if !all(target, |byte| (byte != b'"') & (byte != b'<') & (byte != b'>')) {
        return Err(malformed("the target holds `\"`, `<` or `>`; percent-encode them"));
    }
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    let path = target.get(..query).unwrap_or_default();
    if memchr::memchr(b'`', path).is_some() {
        return Err(malformed("the path holds a backtick; percent-encode it"));
    }
    if !path.is_ascii() {
        return Err(Denial::TargetAmbiguous { rule: PathRule::NonAscii });
    }
    if std::str::from_utf8(target).is_err() {
        return Err(malformed("the query holds bytes that are not UTF-8; percent-encode them"));
    }
    if let Some(at) = memchr::memchr(b'#', target) {
        let in_path = at < query;
        return Err(if in_path {
            Denial::TargetAmbiguous { rule: PathRule::Fragment }
        } else {
            malformed("the target holds a fragment")
        });
    }
    if target.starts_with(b"/") {
        return Ok((None, 0));
    }
    if target == b"*" {
        return Err(malformed("`*` is in no environment; ask about a path below a base URL"));
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return Err(malformed("the target is neither a path nor an http URL")) };
    let rest = target.get(scheme.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Ok((rest.get(..end), scheme.len() + end))
}

/// `name: value`, the value trimmed. No folding, no space before the colon, no control bytes.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Denial> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(malformed("a header line is folded"));
    }
    let colon = memchr::memchr(b':', line).ok_or(malformed("a header line has no colon"))?;
    let name = line.get(..colon).unwrap_or_default();
    if name.is_empty() || !all(name, is_tchar) {
        return Err(malformed("a header name is not a token, or a space stands before its colon"));
    }
    let value = trim(line.get(colon + 1..).unwrap_or_default());
    judge_value(value)?;
    Ok((name, value))
}

/// No control bytes but the tab (RFC 9110 section 5.5).
pub(super) fn judge_value(value: &[u8]) -> Result<(), Denial> {
    let is_text = |byte| ((byte >= b' ') | (byte == b'\t')) & (byte != 0x7f);
    if all(value, is_text) { Ok(()) } else { Err(malformed("a header value holds a control byte")) }
}

/// Optional white space is space and tab, nothing else (RFC 9110 section 5.6.3).
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// What a Connection header must not name: dropping it would change where a message goes or ends.
const PROTECTED: [&[u8]; 6] =
    [b"host", b"content-length", b"content-type", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"];
const MOST_CONNECTION_OPTIONS: usize = 24;

/// The fields that say where a message ends and where it goes.
#[derive(Default)]
pub(super) struct Framing<'a> {
    http10: bool,
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    upgrades: bool,
    connection_options: usize,
}

impl<'a> Framing<'a> {
    pub(super) fn read(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Denial> {
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrades = true;
                Ok(())
            }
            4 if name.eq_ignore_ascii_case(b"host") => self.read_host(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.read_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.read_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.read_transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn read_host(&mut self, value: &'a [u8]) -> Result<(), Denial> {
        if self.host.replace(value).is_some() {
            return Err(malformed("Host is repeated"));
        }
        let sound = !value.is_empty()
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+;=%".contains(byte));
        if sound { Ok(()) } else { Err(malformed("Host is not a host and port")) }
    }

    /// Options are tokens, few, and none names a header that routing or framing depends on.
    fn read_connection(&mut self, value: &[u8]) -> Result<(), Denial> {
        for option in value.split(|byte| *byte == b',').map(trim).filter(|option| !option.is_empty()) {
            self.connection_options += 1;
            if self.connection_options > MOST_CONNECTION_OPTIONS || !all(option, is_tchar) {
                return Err(malformed("Connection is not a short list of tokens"));
            }
            if PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name)) {
                return Err(malformed("Connection names a header that is not hop-by-hop"));
            }
        }
        Ok(())
    }

    /// One value of digits (RFC 9110 section 8.6); what could overflow a reader is refused.
    fn read_content_length(&mut self, value: &[u8]) -> Result<(), Denial> {
        if self.content_length.is_some() {
            return Err(malformed("Content-Length is repeated"));
        }
        let sound = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        self.content_length = std::str::from_utf8(value).ok().filter(|_| sound).and_then(|digits| digits.parse().ok());
        if self.content_length.is_some() { Ok(()) } else { Err(malformed("Content-Length is not a number")) }
    }

    fn read_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Denial> {
        if std::mem::replace(&mut self.transfer_encoding, true) {
            return Err(malformed("Transfer-Encoding is repeated"));
        }
        if self.http10 {
            return Err(malformed("Transfer-Encoding does not exist in HTTP/1.0"));
        }
        let sound = value.eq_ignore_ascii_case(b"chunked");
        if sound { Ok(()) } else { Err(malformed("Transfer-Encoding is not exactly `chunked`")) }
    }

    pub(super) fn finish(self) -> Result<&'a [u8], Denial> {
        if self.content_length.is_some() && self.transfer_encoding {
            return Err(malformed("Content-Length and Transfer-Encoding stand together"));
        }
        self.host.ok_or(malformed("Host is missing"))
    }
}

/// Whether every byte is of this kind. No way out before the end: so the compiler looks at many bytes at a time.
pub(super) fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

/// What tokens are made of (RFC 9110 section 5.6.2).
fn is_tchar(byte: u8) -> bool {
    TCHARS.get(usize::from(byte)).copied().unwrap_or_default()
}

#[expect(clippy::indexing_slicing, reason = "while compiling, within bounds")]
const TCHARS: [bool; 256] = {
    let mut known = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        known[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [first, others @ ..] = rest {
        known[*first as usize] = true;
        rest = others;
    }
    known
};

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(head: &str) -> &'static str {
        match judge(head.as_bytes(), &HeadLimits::default()) {
            Ok(_) => "sound",
            Err(denial) => denial.code(),
        }
    }

    fn with(fields: &str) -> &'static str {
        judged(&format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn sound_heads() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /a?b=c%20d HTTP/1.1\r\nhost: a.b:80\r\nContent-Length: 5\r\nX: \t y z \r\n\r\n",
            "GET /a HTTP/1.0\r\nHost: [::1]:8080\r\n\r\n",
            "GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        ] {
            assert_eq!(judged(head), "sound", "{head}");
        }
    }

    #[test]
    fn framing_that_readers_disagree_on() {
        for fields in [
            "Content-Length : 5\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 9999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n",
            "X: a\r\r\n",
            "X: a\x0c\r\n",
            "Connection: close, Host\r\n",
            "Connection: X-Forwarded-For\r\n",
            "Connection: a b\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "X: a\r\n folded\r\n",
            "X: a\rb\r\n",
            "X: a\0b\r\n",
            "X\r\n",
            ": x\r\n",
            "X y: z\r\n",
            "Host: b\r\n",
            "X: \x1b\r\n",
        ] {
            assert_eq!(with(fields), "malformed_request", "{fields:?}");
        }
    }

    #[test]
    fn request_lines_that_are_none() {
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET / HTTP/2.0",
            "GET / http/1.1",
            " GET / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / x HTTP/1.1",
            "GET * HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET http://b/ HTTP/1.1",
            "GET /a?b#c HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
        ] {
            assert_eq!(judged(&format!("{line}\r\nHost: a\r\n\r\n")), "malformed_request", "{line:?}");
        }
        for line in ["CONNECT a:80 HTTP/1.1", "CONNECT / HTTP/1.1", "TRACE / HTTP/1.1"] {
            assert_eq!(judged(&format!("{line}\r\nHost: a\r\n\r\n")), "method_not_served", "{line:?}");
        }
        assert_eq!(judged("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), "target_ambiguous");
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        ] {
            assert_eq!(judged(head), "malformed_request", "{head:?}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past() {
        let limits = HeadLimits { target_bytes: 64, header_fields: 3, ..HeadLimits::default() };
        let target =
            |n: usize| judge(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - 1)).as_bytes(), &limits);
        assert!(target(64).is_ok());
        assert_eq!(target(65), Err(Denial::TargetTooLong));
        let fields = |n: usize| {
            judge(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(n - 1)).as_bytes(), &limits)
        };
        assert!(fields(3).is_ok());
        assert_eq!(fields(4), Err(Denial::HeadersTooLarge));
    }

    #[test]
    fn scanning_finds_the_end_and_bare_line_feeds() {
        let limits = HeadLimits { header_bytes: 40, ..HeadLimits::default() };
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", 0, &limits), Ok(Scan::Complete(27)));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0, &limits), Ok(Scan::Partial));
        assert_eq!(scan(b"GET / HTTP/1.1\nHost: a\n\n", 0, &limits).unwrap_err().code(), "malformed_request");
        let head = |n: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(n - 23));
        assert_eq!(scan(head(40).as_bytes(), 0, &limits), Ok(Scan::Complete(40)));
        assert_eq!(scan(head(41).as_bytes(), 0, &limits), Err(Denial::HeadersTooLarge));
        assert_eq!(scan(&[b'x'; 40], 0, &limits), Err(Denial::HeadersTooLarge));
    }

    #[test]
    fn absolute_form_becomes_origin_form() {
        for (line, origin) in [
            ("GET http://a/x?y HTTP/1.1", "GET /x?y HTTP/1.1"),
            ("GET http://a HTTP/1.1", "GET / HTTP/1.1"),
            ("GET http://a?q HTTP/1.1", "GET /?q HTTP/1.1"),
        ] {
            let mut head = BytesMut::from(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
            let judged = judge(&head, &HeadLimits::default()).unwrap();
            to_origin_form(&mut head, &judged);
            assert_eq!(head, format!("{origin}\r\nHost: a\r\n\r\n").as_bytes());
        }
    }
}
