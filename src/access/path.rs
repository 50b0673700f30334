//! Step 3: is the path read the same way by everyone?
//!
//! At the root of most gateway bypasses, gateway and upstream read the same bytes differently. What is ambiguous is
//! refused here, and what was judged is exactly what is forwarded. The query is opaque and not looked at.

use crate::model::{PathRules, SwitchGuarded, SwitchOpaque, SwitchSegments, hex_pair, percent_decode, trim_space};

/// A rule that a path can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// A raw backslash.
    Backslash,
    /// A control byte, or an encoded NUL.
    ControlByte,
    /// `.` or `..` as a segment, in any spelling.
    DotSegment,
    /// What decodes to `%` and two hexadecimal digits, which a second decoding turns into `/`, `\`, `.`, `%` or NUL.
    DoubleEncoding,
    /// `//`.
    EmptySegment,
    /// `%5c`.
    EncodedBackslash,
    /// `%2f`.
    EncodedSlash,
    /// A raw `#`.
    Fragment,
    /// `%` without two hexadecimal digits.
    MalformedEncoding,
    /// A byte outside ASCII that is not percent-encoded.
    NonAscii,
    /// `;` after nothing, a dot segment or the name of a sibling operation.
    Semicolon,
    /// So many operations could be meant that a lenient upstream might run any of them.
    Siblings,
}

impl PathRule {
    /// The rule and, where the environment has one, the switch that lifts it.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Backslash => "the path holds a raw backslash; encode it or leave it out",
            Self::ControlByte => "the path holds a control byte or an encoded NUL",
            Self::DotSegment => {
                "the path holds a dot segment (`.` or `..`, plain or encoded); resolve it before sending"
            }
            Self::DoubleEncoding => {
                "the path is percent-encoded twice; the environment's switch `paths.double_encoding` governs this"
            }
            Self::EmptySegment => {
                "the path holds an empty segment (`//`); the environment's switch `paths.empty_segments` governs this"
            }
            Self::EncodedBackslash => {
                "the path holds an encoded backslash (`%5c`); the environment's switch `paths.encoded_backslash` governs this"
            }
            Self::EncodedSlash => {
                "the path holds an encoded slash (`%2f`); the environment's switch `paths.encoded_slash` governs this"
            }
            Self::Fragment => "the request target holds a fragment (`#`); a fragment is never sent",
            Self::MalformedEncoding => "the path holds a `%` that is not followed by two hexadecimal digits",
            Self::NonAscii => "the path holds bytes outside ASCII; percent-encode them",
            Self::Semicolon => {
                "the path holds a `;` where upstreams disagree on its meaning; the environment's switch `paths.semicolon` governs this"
            }
            Self::Siblings => "the path could be read as several operations",
        }
    }
}

/// Judges a whole raw path (without query) under an environment's rules. The first rule that is broken is named.
pub fn judge_path(path: &[u8], rules: &PathRules) -> Result<(), PathRule> {
    if path.iter().all(|byte| is_plain(*byte)) {
        return judge_segments(path, rules);
    }
    judge_bytes(path)?;
    judge_encodings(path, rules)?;
    judge_segments(path, rules)
}

/// Bytes that mean the same to everyone on their own: unreserved characters and `/`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~')
}

fn judge_bytes(path: &[u8]) -> Result<(), PathRule> {
    for byte in path {
        match byte {
            b'\\' => return Err(PathRule::Backslash),
            b'#' => return Err(PathRule::Fragment),
            0..=0x20 | 0x7f => return Err(PathRule::ControlByte),
            0x80..=0xff => return Err(PathRule::NonAscii),
            _ => {}
        }
    }
    Ok(())
}

/// Looks at each `%XX`, and at what a second decoding would make of what the first one gave.
fn judge_encodings(path: &[u8], rules: &PathRules) -> Result<(), PathRule> {
    let mut rest = path;
    let mut percent = false;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let tail = rest.get(at + 1..).unwrap_or_default();
        let decoded = hex_pair(tail).ok_or(PathRule::MalformedEncoding)?;
        rest = tail.get(2..).unwrap_or_default();
        match decoded {
            0 => return Err(PathRule::ControlByte),
            b'/' if rules.encoded_slash == SwitchOpaque::Refuse => return Err(PathRule::EncodedSlash),
            b'\\' if rules.encoded_backslash == SwitchOpaque::Refuse => return Err(PathRule::EncodedBackslash),
            b'%' => percent = true,
            _ => {}
        }
    }
    if !percent {
        return Ok(());
    }
    let once = percent_decode(path);
    judge_double(&once, rules.double_encoding)?;
    // Nor does an upstream that decodes twice find what would be refused plainly.
    if rules.double_encoding == SwitchGuarded::Opaque {
        return Ok(());
    }
    // An encoded slash that may stand separates nothing, so each segment is looked at by itself.
    let mut segments = path.split(|byte| *byte == b'/');
    segments.try_for_each(|segment| judge_segment(&percent_decode(&percent_decode(segment)), rules))
}

/// `once` is the path decoded once: the digits behind a `%25` may have been encoded as well (`%25%32%65`).
fn judge_double(once: &[u8], switch: SwitchGuarded) -> Result<(), PathRule> {
    let refused = |twice: u8| match switch {
        SwitchGuarded::Opaque => false,
        SwitchGuarded::Refuse => true,
        // `%25` again: a third decoding could still yield a separator.
        SwitchGuarded::Guarded => matches!(twice, b'/' | b'\\' | b'.' | b'%' | 0),
    };
    let mut pairs = memchr::memchr_iter(b'%', once).filter_map(|at| hex_pair(once.get(at + 1..).unwrap_or_default()));
    if pairs.any(refused) { Err(PathRule::DoubleEncoding) } else { Ok(()) }
}

fn judge_segments(path: &[u8], rules: &PathRules) -> Result<(), PathRule> {
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if segment.is_empty() && !last && rules.empty_segments == SwitchSegments::Refuse {
            return Err(PathRule::EmptySegment);
        }
        judge_segment(segment, rules)?;
    }
    Ok(())
}

/// Dot segments in any spelling, also behind `;`, an encoded slash or an encoded backslash.
fn judge_segment(segment: &[u8], rules: &PathRules) -> Result<(), PathRule> {
    let suspicious = segment.iter().any(|byte| !is_plain(*byte) || *byte == b'.');
    if !suspicious {
        return Ok(());
    }
    let decoded = plain(percent_decode(segment));
    for part in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        // An encoded `?` or `#`, and white space, as lax upstreams read them: the end, and nothing.
        let cut = memchr::memchr2(b'?', b'#', part).unwrap_or(part.len());
        let part = trim_space(part.get(..cut).unwrap_or_default());
        if part == b"." || part == b".." {
            return Err(PathRule::DotSegment);
        }
        let Some(at) = memchr::memchr(b';', part) else { continue };
        let before = trim_space(part.get(..at).unwrap_or_default());
        let harmful = before.is_empty() || before == b"." || before == b"..";
        match rules.semicolon {
            SwitchGuarded::Refuse => return Err(PathRule::Semicolon),
            SwitchGuarded::Guarded if harmful => return Err(PathRule::Semicolon),
            // Dot segments have no switch.
            SwitchGuarded::Opaque if harmful && !before.is_empty() => return Err(PathRule::DotSegment),
            SwitchGuarded::Guarded | SwitchGuarded::Opaque => {}
        }
    }
    Ok(())
}

/// What lax decoders take for dots, slashes and backslashes: forms of UTF-8 that are too long, and letters that Unicode's
/// compatibility (NFKC) or a code page makes them of.
const LOOKALIKES: [(&[u8], &[u8]); 13] = [
    (b"\xc0\xae", b"."),
    (b"\xe0\x80\xae", b"."),
    (b"\xe2\x80\xa4", b"."),
    (b"\xef\xbc\x8e", b"."),
    (b"\xef\xb9\x92", b"."),
    (b"\xe2\x80\xa5", b".."),
    (b"\xc0\xaf", b"/"),
    (b"\xe0\x80\xaf", b"/"),
    (b"\xef\xbc\x8f", b"/"),
    (b"\xc1\x9c", b"\\"),
    (b"\xe0\x81\x9c", b"\\"),
    (b"\xef\xbc\xbc", b"\\"),
    (b"\xef\xb9\xa8", b"\\"),
];

/// A decoded segment as the laxest readers have it: look-alikes for what they look like, and without tabs and line ends,
/// which parsers of URLs take out wherever they stand.
fn plain(decoded: Vec<u8>) -> Vec<u8> {
    if !decoded.iter().any(|byte| !byte.is_ascii() || matches!(byte, b'\t' | b'\n' | b'\r')) {
        return decoded;
    }
    let mut plain = Vec::with_capacity(decoded.len());
    let mut rest = decoded.as_slice();
    while let [first, tail @ ..] = rest {
        let alike = LOOKALIKES.iter().find(|(text, _)| rest.starts_with(text));
        match (alike, first) {
            (Some((text, meant)), _) => {
                plain.extend_from_slice(meant);
                rest = rest.get(text.len()..).unwrap_or_default();
            }
            (None, b'\t' | b'\n' | b'\r') => rest = tail,
            (None, other) => {
                plain.push(*other);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str) -> Result<(), PathRule> {
        judge_path(path.as_bytes(), &PathRules::default())
    }

    #[test]
    fn plain_paths_pass() {
        for path in [
            "/",
            "",
            "/cards",
            "/cards/",
            "/cards/a.json",
            "/a/..b/c..",
            "/a/...",
            "/a%20b",
            "/a%2Eb",
            "/a;b=1",
            "/a:b@c",
            "/%25zz",
            "/a%20b%3F",
            "/%3F",
            "/a%09b",
            "/%c0",
            "/%c0%af",
            "/%ef%bc%8fx%ef%bc%8e%ef%bc%8f%c3%a9%e2%80%a6",
            "/%c3%a9",
        ] {
            assert_eq!(judged(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn each_rule_has_its_spellings() {
        use PathRule::*;
        let cases: &[(&str, PathRule)] = &[
            ("/a/../b", DotSegment),
            ("/..", DotSegment),
            ("/./a", DotSegment),
            ("/a/%2e%2E/b", DotSegment),
            ("/a/.%2e", DotSegment),
            ("/%2e", DotSegment),
            ("/a/..%20/b", DotSegment),
            ("/a/..%C2%A0/b", DotSegment),
            ("/a/%E3%80%80.%2E%E2%80%A8", DotSegment),
            ("/a/%EF%BB%BF.", DotSegment),
            ("/a/..%1F", DotSegment),
            ("/a/%25C2%25A0..", DotSegment),
            ("/a/..%C2%85;x", Semicolon),
            ("/a/.%0a./b", DotSegment),
            ("/a/%09..%0d/b", DotSegment),
            ("/a/%c0%ae%c0%ae/b", DotSegment),
            ("/a/.%C0%AE", DotSegment),
            ("/a/x%c0%af..%c0%afb", DotSegment),
            ("/a/%e0%80%ae.", DotSegment),
            ("/a/%ef%bc%8e%ef%bc%8e%ef%bc%8fb", DotSegment),
            ("/a/%e2%80%a5/b", DotSegment),
            ("/a/..%c1%9cb", DotSegment),
            ("/a/%25c0%25ae%25c0%25ae", DotSegment),
            ("/a/%0a.", DotSegment),
            ("/a/..%3Fx", DotSegment),
            ("/a/..%23", DotSegment),
            ("/a/%20;x", Semicolon),
            ("/a/..%253Fx", DotSegment),
            ("/a/..;x/b", Semicolon),
            ("/a/;x/b", Semicolon),
            ("/a/%2e%2e;x", Semicolon),
            ("/a/.;", Semicolon),
            ("/a%2fb", EncodedSlash),
            ("/a%2Fb", EncodedSlash),
            ("/a%5cb", EncodedBackslash),
            ("/a%5Cb", EncodedBackslash),
            ("/a\\b", Backslash),
            ("/a%00", ControlByte),
            ("/a\x01", ControlByte),
            ("/a\x7f", ControlByte),
            ("/a b", ControlByte),
            ("/é", NonAscii),
            ("/a#b", Fragment),
            ("/a//b", EmptySegment),
            ("//a", EmptySegment),
            ("/a//", EmptySegment),
            ("/%", MalformedEncoding),
            ("/%2", MalformedEncoding),
            ("/%zz", MalformedEncoding),
            ("/%+1", MalformedEncoding),
            ("/%252e%252e/a", DoubleEncoding),
            ("/%252f", DoubleEncoding),
            ("/%255c", DoubleEncoding),
            ("/%2500", DoubleEncoding),
            ("/%25252e", DoubleEncoding),
            ("/%25%32%65%25%32%65/a", DoubleEncoding),
            ("/%252%66a", DoubleEncoding),
            ("/%25%32f", DoubleEncoding),
            ("/a/%253bx", Semicolon),
            ("/a/%25%33bx", Semicolon),
        ];
        for (path, rule) in cases {
            assert_eq!(judged(path), Err(*rule), "{path}");
        }
        assert_eq!(judge_path(b"/\xff", &PathRules::default()), Err(NonAscii));
    }

    #[test]
    fn switches_lift_their_rule_and_no_other() {
        let opaque = PathRules {
            encoded_slash: SwitchOpaque::Opaque,
            encoded_backslash: SwitchOpaque::Opaque,
            double_encoding: SwitchGuarded::Opaque,
            semicolon: SwitchGuarded::Opaque,
            empty_segments: SwitchSegments::Literal,
        };
        for path in ["/a%2fb", "/a%5cb", "/%252e", "/a/;x", "/a/%253bx", "/a//b"] {
            assert_eq!(judge_path(path.as_bytes(), &opaque), Ok(()), "{path}");
        }
        let slash = PathRules { encoded_slash: SwitchOpaque::Opaque, ..PathRules::default() };
        for (path, verdict) in [
            ("/urls/https%3A%2F%2Fe.org%2Fa", Ok(())),
            ("/urls/https%3A%2F%2Fe.org%2F50%25", Ok(())),
            ("/urls/%2F%25", Ok(())),
            ("/urls/50%25//a", Err(PathRule::EmptySegment)),
            ("/urls/50%25%2F..%2Fa", Err(PathRule::DotSegment)),
            ("/urls/50%25%2F;x", Err(PathRule::Semicolon)),
            ("/urls/50%252Fa", Err(PathRule::DoubleEncoding)),
        ] {
            assert_eq!(judge_path(path.as_bytes(), &slash), verdict, "{path}");
        }
        for path in ["/a/..", "/a%2f..%2fb", "/a%5c..", "/..;x", "/a%2f%2e%2e"] {
            assert_eq!(judge_path(path.as_bytes(), &opaque), Err(PathRule::DotSegment), "{path}");
        }
        let refuse = PathRules {
            semicolon: SwitchGuarded::Refuse,
            double_encoding: SwitchGuarded::Refuse,
            ..PathRules::default()
        };
        assert_eq!(judge_path(b"/a;b", &refuse), Err(PathRule::Semicolon));
        assert_eq!(judge_path(b"/a%2541", &refuse), Err(PathRule::DoubleEncoding));
        let refuse = PathRules { semicolon: SwitchGuarded::Refuse, ..PathRules::default() };
        assert_eq!(judge_path(b"/a%253bb", &refuse), Err(PathRule::Semicolon));
        assert_eq!(judge_path(b"/a%253bb", &PathRules::default()), Ok(()));
    }
}
