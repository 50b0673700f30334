//! Whatever bytes a path has: no panic, and what is accepted has one reading, decoded once or more often.

use super::*;
use proptest::prelude::*;

const ALL_OPAQUE: PathRules = PathRules {
    encoded_slash: SwitchOpaque::Opaque,
    encoded_backslash: SwitchOpaque::Opaque,
    double_encoding: SwitchGuarded::Opaque,
    semicolon: SwitchGuarded::Opaque,
    empty_segments: SwitchSegments::Literal,
};

/// Pieces that mean something to somebody, and single bytes.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "/", "//", ".", "..", "%", "%25", "%2", "2", "5", "e", "f", "c", "E", "F", "%2e", "%2f", "%5c", "%00", "%32",
        "%65", "%35", "%3b", "3b", "%3f", "3f", "%20", "%09", "%c2%a0", "%c2%85", ";", "\\", "a", "cards", "%c3%a9",
        "\u{e9}", "?", "#", " ", "\t", "\0",
    ]);
    let piece = prop_oneof![
        12 => pieces.prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| [b"/".to_vec(), pieces.concat()].concat())
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

/// Whether a reader that splits at `/` and `\`, cuts at `;`, `?` and `#`, and trims, walks up or stays.
fn walks(path: &[u8]) -> bool {
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let end = |byte: &u8| matches!(byte, b';' | b'?' | b'#');
    segments.any(|segment| {
        let value = String::from_utf8_lossy(segment.split(end).next().unwrap());
        matches!(value.trim_matches(|c: char| c.is_whitespace() || c <= ' ' || c == '\u{feff}'), "." | "..")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_path_has_one_reading(path in path()) {
        let verdict = judge_path(&path, &PathRules::default());
        prop_assert_eq!(verdict, judge_path(&path, &PathRules::default()));
        if verdict.is_ok() {
            let once = percent_decode(&path);
            let twice = percent_decode(&once);
            let thrice = percent_decode(&twice);
            for read in [&path, &once, &twice] {
                prop_assert!(!read.windows(2).any(|two| two == b"/;"), "{:?}", String::from_utf8_lossy(read));
            }
            for read in [&path, &once, &twice, &thrice] {
                prop_assert_eq!(count(read, b'/'), count(&path, b'/'), "{:?}", String::from_utf8_lossy(read));
                prop_assert_eq!((count(read, b'\\'), count(read, 0)), (0, 0), "{:?}", String::from_utf8_lossy(read));
                prop_assert!(!walks(read), "{:?}", String::from_utf8_lossy(read));
            }
            prop_assert!(path.is_ascii() && !path.windows(2).any(|two| two == b"//"));
        }
    }

    /// No switch opens the way up, or what no reader agrees on.
    #[test]
    fn no_switch_lets_a_path_walk(path in path()) {
        if judge_path(&path, &ALL_OPAQUE).is_ok() {
            let once = percent_decode(&path);
            prop_assert!(!walks(&path) && !walks(&once), "{:?}", String::from_utf8_lossy(&once));
            prop_assert_eq!((count(&path, b'\\'), count(&once, 0)), (0, 0));
            prop_assert!(path.is_ascii() && !path.iter().any(|byte| *byte <= b' ' || matches!(byte, b'#' | 0x7f)));
        } else {
            prop_assert!(judge_path(&path, &PathRules::default()).is_err(), "a switch forbids");
        }
    }
}
