//! A path as the matcher reads it: decoded once, once more without case, and once more as lax readers trim it; without
//! touching the heap unless it is unusually long.

use crate::model::{hex_pair, trim_space, trim_space_start};

/// Stands for an encoded slash, which is part of a value and never a separator. No template holds it.
pub(super) const ENCODED_SLASH: u8 = 0;

/// Paths up to this many bytes are decoded and folded on the stack.
const LONG: usize = 1024;
/// Most paths are no longer than this.
const SHORT: usize = 128;

/// Hands over the path with each `%XX` decoded once.
pub(super) fn decoded<R>(path: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    if memchr::memchr(b'%', path).is_none() {
        return read(path);
    }
    scratch(path, |copy| {
        let len = decode(copy);
        read(copy.get(..len).unwrap_or_default())
    })
}

/// Hands over the path in lower case.
pub(super) fn folded<R>(path: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    scratch(path, |copy| {
        copy.make_ascii_lowercase();
        read(copy)
    })
}

/// Hands over the path as somebody reads it who takes an encoded `?` or `#` for a real one, white space off the ends of
/// values (tabs and line ends off anywhere, as parsers of URLs do), and for letters what Unicode folds to them.
pub(super) fn trimmed<R>(path: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    scratch(path, |copy| {
        let len = trim(copy);
        read(copy.get(..len).unwrap_or_default())
    })
}

/// The path up to its first `?` or `#`, which trimming takes off, where more segments stand behind it: who decodes before
/// looking for the query ends the whole path there.
pub(super) fn ended(path: &[u8]) -> Option<&[u8]> {
    let (end, behind) = path.split_at_checked(memchr::memchr2(b'?', b'#', path)? + 1)?;
    memchr::memchr(b'/', behind).map(|_| end)
}

/// Trims each segment in place; how long the path is then. An end that is empty only now goes with its slash.
fn trim(path: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    loop {
        let tail = path.get(from..).unwrap_or_default();
        let len = memchr::memchr(b'/', tail).unwrap_or(tail.len());
        let (start, end) = lax(tail.get(..len).unwrap_or_default());
        let (start, end) = (from + start, from + end);
        let begun = to;
        let mut at = start;
        while at < end {
            let (byte, width) = match path.get(at..end).unwrap_or_default() {
                [0xe2, 0x84, 0xaa, ..] => (b'k', 3),
                [0xc5, 0xbf, ..] => (b's', 2),
                [b'\t' | b'\n' | b'\r', ..] => {
                    at += 1;
                    continue;
                }
                [byte, ..] => (*byte, 1),
                [] => break,
            };
            if let Some(place) = path.get_mut(to) {
                *place = byte;
            }
            (at, to) = (at + width, to + 1);
        }
        if from + len >= path.len() {
            let vanished = to == begun && len > 0;
            return if vanished { to.saturating_sub(1) } else { to };
        }
        if let Some(place) = path.get_mut(to) {
            *place = b'/';
        }
        (from, to) = (from + len + 1, to + 1);
    }
}

/// Where a value begins and ends that ends before an encoded `?` or `#`, and around which white space does not count.
fn lax(segment: &[u8]) -> (usize, usize) {
    let cut = memchr::memchr2(b'?', b'#', segment).unwrap_or(segment.len());
    let value = segment.get(..cut).unwrap_or_default();
    let start = cut - trim_space_start(value).len();
    (start, start + trim_space(value).len())
}

/// Hands over a copy.
fn scratch<R>(path: &[u8], with: impl FnOnce(&mut [u8]) -> R) -> R {
    if path.len() <= SHORT {
        with(copied(path, &mut [0; SHORT]))
    } else if path.len() <= LONG {
        with(copied(path, &mut [0; LONG]))
    } else {
        with(&mut path.to_vec())
    }
}

fn copied<'b>(path: &[u8], buffer: &'b mut [u8]) -> &'b mut [u8] {
    let copy = buffer.get_mut(..path.len()).unwrap_or_default();
    copy.copy_from_slice(path);
    copy
}

/// Decodes in place; how long the path is then.
fn decode(path: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(byte) = path.get(from).copied() {
        let pair = path.get(from + 1..).filter(|_| byte == b'%').and_then(hex_pair);
        let (byte, width) = match pair {
            Some(b'/') => (ENCODED_SLASH, 3),
            Some(byte) => (byte, 3),
            None => (byte, 1),
        };
        if let Some(place) = path.get_mut(to) {
            *place = byte;
        }
        (from, to) = (from + width, to + 1);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::percent_decode;

    #[test]
    fn paths_of_any_length_are_decoded_as_everywhere() {
        for len in [0, 1, SHORT - 3, SHORT, SHORT + 1, LONG, LONG + 1, 9000] {
            for tail in ["", "%41", "%2fb", "%", "%zz", "%4", "%25%34%31"] {
                let path = format!("{}{tail}", "x".repeat(len));
                let expected: Vec<u8> = percent_decode(path.as_bytes());
                let expected = String::from_utf8(expected).unwrap().replace('/', "\0");
                assert_eq!(decoded(path.as_bytes(), |read| read.to_vec()), expected.as_bytes(), "{tail}");
            }
        }
        assert_eq!(decoded(b"a/b%2F", |read| read.to_vec()), b"a/b\0");
        for (path, read) in [
            ("a/b", "a/b"),
            (" a /\tb\r\n", "a/b"),
            ("a\tb\n c/\t", "ab c"),
            ("a?b/c#d", "a/c"),
            ("a/ ", "a"),
            ("a/?x", "a"),
            ("a/", "a/"),
            (" ", ""),
            ("", ""),
            ("\u{212a}ey\u{17f}/\u{e9}\0", "keys/\u{e9}\0"),
        ] {
            assert_eq!(trimmed(path.as_bytes(), |read| read.to_vec()), read.as_bytes(), "{path:?}");
        }
        for (path, end) in [
            ("a?b/c#d", Some("a?")),
            ("a/b#/?", Some("a/b#")),
            ("?/", Some("?")),
            ("a/b?c", None),
            ("a/b", None),
            ("?", None),
            ("", None),
        ] {
            assert_eq!(ended(path.as_bytes()), end.map(str::as_bytes), "{path:?}");
        }
        assert_eq!(folded("/Äb%2F".as_bytes(), |read| read.to_vec()), "/Äb%2f".as_bytes());
    }
}
