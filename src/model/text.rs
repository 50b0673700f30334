//! Text from people: what may stand in it, how it is compared, and how it is shown in messages.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// The longest quotation, in characters.
const MAX_QUOTED: usize = 80;
/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// Characters that change the reading direction of what stands around them (Unicode Standard Annex 9, section 2).
pub const fn changes_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that nobody sees: control and format characters, line and paragraph separators, fillers, blanks that are no
/// space, tags and variation selectors. The emoji selector U+FE0F is none of them: phones write it; [`folded`] drops it.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || changes_direction(c)
        || matches!(
            c,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200d}'
                | '\u{2028}'..='\u{2029}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0e}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The bytes without the space around them that some language's `trim` takes off: Unicode's white space, U+FEFF, and
/// in ASCII all before the space other than NUL. What is no UTF-8 stays.
pub fn trim_space(bytes: &[u8]) -> &[u8] {
    let mut left = trim_space_start(bytes);
    let ends = |left: &[u8], at: &usize| left.get(*at..).is_some_and(is_space);
    while let Some(at) = (1..=3).filter_map(|width| left.len().checked_sub(width)).find(|at| ends(left, at)) {
        left = left.get(..at).unwrap_or_default();
    }
    left
}

/// The same at the beginning alone.
pub fn trim_space_start(bytes: &[u8]) -> &[u8] {
    let mut left = bytes;
    while let Some(at) = (1..=3).find(|at| left.get(..*at).is_some_and(is_space)) {
        left = left.get(at..).unwrap_or_default();
    }
    left
}

/// Whether these are the bytes of one character that is space.
const fn is_space(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x01..=b' ']
            | [0xc2, 0x85 | 0xa0]
            | [0xe1, 0x9a, 0x80]
            | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf]
            | [0xe2, 0x81, 0x9f]
            | [0xe3, 0x80, 0x80]
            | [0xef, 0xbb, 0xbf]
    )
}

/// Whether a text, once trimmed, can be a name: 1 to 100 characters that can be seen.
pub fn is_name(text: &str) -> bool {
    let text = text.trim();
    !folded(text).is_empty() && text.chars().count() <= MAX_NAME && !text.chars().any(is_invisible)
}

/// What comparing and searching look at: compatibility forms (NFKC) in lower case. Two texts that look alike because one
/// of them is composed differently are the same here.
pub fn folded(text: &str) -> String {
    let seen = text.chars().filter(|c| *c != '\u{fe0f}');
    let lower = seen.nfkc().collect::<String>().to_lowercase();
    lower.nfkc().collect()
}

/// A text whose invisible characters are spelled out, so that it can neither steer a terminal nor forge a line.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().saturating_add(8));
    for c in text.chars() {
        if is_invisible(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// What somebody wrote, fit for a message: 80 characters at most, [`escaped`].
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        None => escaped(text).into_owned(),
        Some((end, _)) => format!("{}…", escaped(text.get(..end).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_what_some_trim_takes_off() {
        for c in '\u{1}'..='\u{1ffff}' {
            let is_space = c.is_whitespace() || c <= ' ' || c == '\u{feff}';
            let text = format!("{c}{c}a{c}a{c}");
            let trimmed = if is_space { format!("a{c}a") } else { text.clone() };
            assert_eq!(trim_space(text.as_bytes()), trimmed.as_bytes(), "{c:?}");
        }
        for (bytes, trimmed) in [
            (&b""[..], &b""[..]),
            (b" \t", b""),
            (b"\0 ", b"\0"),
            (b"\xa0a\x85", b"\xa0a\x85"),
            (b"\xe2\x80", b"\xe2\x80"),
            (b"\xc3\xa0", b"\xc3\xa0"),
        ] {
            assert_eq!(trim_space(bytes), trimmed);
        }
    }

    #[test]
    fn names_can_be_seen() {
        for text in ["a", " Salesforce – Produktion ", "שלום", "⚙\u{fe0f} nightly", "👩 on call", &"é".repeat(100)]
        {
            assert!(is_name(text), "{text}");
        }
        for text in ["", " ", "\u{fe0f}", "\u{a0}", "a\u{200d}b", &"é".repeat(101)] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_known() {
        let ranges = [0x00..=0x1f, 0x7f..=0x9f, 0x202a..=0x202e, 0xfe00..=0xfe0e, 0xe0000..=0xe007f, 0xe0100..=0xe01ef];
        let single = [
            0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x180b, 0x180e, 0x200b, 0x200f, 0x2028, 0x2029, 0x2060, 0x2069, 0x2800,
            0x3164, 0xfeff, 0xffa0, 0xfffb,
        ];
        for code in ranges.into_iter().flatten().chain(single) {
            let c = char::from_u32(code).unwrap();
            assert!(is_invisible(c) && !is_name(&format!("a{c}b")), "U+{code:04X}");
            assert!(!quoted(&c.to_string()).contains(c), "U+{code:04X}");
        }
        for c in ['a', ' ', 'é', '\u{301}', 'א', '한', 'ㄱ', '\u{fe0f}', '🏳'] {
            assert!(!is_invisible(c), "{c}");
        }
    }

    #[test]
    fn look_alikes_fold_into_one() {
        for (one, other) in [
            ("Ärger", "a\u{308}RGER"),
            ("ﬁle", "FILE"),
            ("Ｋｅｙ", "key"),
            ("⚙\u{fe0f}", "⚙"),
            ("a\u{a0}b", "a b"),
            ("Å", "Å"),
            ("\u{130}", "i\u{307}"),
        ] {
            assert_eq!(folded(one), folded(other));
        }
        assert_ne!(folded("a"), folded("а"), "another script is another letter");
        assert_eq!(folded(&folded("ǅﬁÅ")), folded("ǅﬁÅ"));
    }

    #[test]
    fn quotations_are_short_and_visible() {
        assert_eq!(quoted("plain é \\ \"x\""), "plain é \\ \"x\"");
        assert_eq!(quoted("a\u{1b}[0m\n\0b\u{202e}"), "a\\u{1b}[0m\\n\\u{0}b\\u{202e}");
        assert_eq!(quoted(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(quoted(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
    }
}
