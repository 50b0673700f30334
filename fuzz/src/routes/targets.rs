//! A target: an accepted path has one reading, and it finds the operations that a slow and obvious model finds. Lines with a
//! method are templates, all others are paths.

use super::reference::Reference;
use crate::access::judge_path;
use crate::catalogue::{Catalogue, Leniency, Template};
use crate::model::{
    Method, Operation, OperationPattern, PathRules, Permission, PermissionName, SwitchGuarded, SwitchOpaque,
    SwitchSegments, percent_decode,
};

const OPAQUE: PathRules = PathRules {
    encoded_slash: SwitchOpaque::Opaque,
    encoded_backslash: SwitchOpaque::Opaque,
    double_encoding: SwitchGuarded::Opaque,
    semicolon: SwitchGuarded::Opaque,
    empty_segments: SwitchSegments::Literal,
};

pub fn check(bytes: &[u8]) {
    let Some((&switches, rest)) = bytes.split_first() else { return };
    for line in rest.split(|byte| *byte == b'\n').take(32) {
        one_reading(line);
    }
    let Some(text) = crate::text(rest) else { return };
    let (listed, paths): (Vec<&str>, Vec<&str>) = text.split('\n').take(32).partition(|line| line.contains(" /"));
    let listed: Vec<String> = listed.into_iter().filter_map(template).take(12).collect();
    let guard = |bit: u8| if switches & bit == 0 { SwitchGuarded::Guarded } else { SwitchGuarded::Opaque };
    let leniency = Leniency { semicolon: guard(1), double_encoding: guard(2) };
    let rules = PathRules { semicolon: leniency.semicolon, double_encoding: leniency.double_encoding, ..OPAQUE };
    let permissions: Vec<Permission> = (0..).zip(&listed).map(|(at, text)| permission(at, text)).collect();
    if permissions.is_empty() {
        return;
    }
    let catalogue = Catalogue::new(permissions.into(), &[], leniency, None).unwrap();
    let reference = Reference::new(&listed, &[], leniency);
    // A plain `?` begins the query, and is no part of a path.
    let is_path = |path: &&str| !path.contains('?') && judge_path(path.as_bytes(), &rules).is_ok();
    for path in paths.into_iter().filter(is_path) {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            if let Err(difference) = reference.agrees(&catalogue, &method, path) {
                panic!("{difference}\n{listed:#?}\n{leniency:?}");
            }
        }
    }
}

/// The line, if it is an operation that both can read; the model knows a rest by one name.
fn template(line: &str) -> Option<String> {
    let pattern = OperationPattern::parse(line).ok()?;
    let path = pattern.path();
    let plain = path.len() < 80 && !path.replace("{rest...}", "").contains("...");
    let method = pattern.method().map_or("*", Method::as_str);
    (plain && Template::parse(path).is_ok()).then(|| format!("{method} {path}"))
}

fn permission(at: usize, text: &str) -> Permission {
    Permission {
        name: PermissionName::parse(&format!("p{at}")).unwrap(),
        group: String::new(),
        summary: String::new(),
        operations: vec![Operation { id: text.into(), pattern: OperationPattern::parse(text).unwrap() }],
    }
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

/// Whether a reader that splits at `/` and `\`, cuts at `;`, `?` and `#`, and trims, walks up or stays.
fn walks(path: &[u8]) -> bool {
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let end = |byte: &u8| matches!(byte, b';' | b'?' | b'#');
    segments.any(|segment| matches!(segment.split(end).next().unwrap().trim_ascii(), b"." | b".."))
}

fn one_reading(path: &[u8]) {
    let verdict = judge_path(path, &PathRules::default());
    let once = percent_decode(path);
    let twice = percent_decode(&once);
    let thrice = percent_decode(&twice);
    if judge_path(path, &OPAQUE).is_ok() {
        assert!(!walks(path) && !walks(&once));
        assert_eq!((count(path, b'\\'), count(&once, 0)), (0, 0));
        assert!(path.is_ascii() && !path.iter().any(|byte| *byte <= b' ' || matches!(byte, b'#' | 0x7f)));
    } else {
        assert!(verdict.is_err(), "a switch forbids");
    }
    if verdict.is_ok() {
        for read in [path, &once, &twice, &thrice] {
            assert_eq!(count(read, b'/'), count(path, b'/'));
            assert_eq!((count(read, b'\\'), count(read, 0)), (0, 0));
            assert!(!walks(read));
        }
        assert!(![path, &once, &twice].iter().any(|read| read.windows(2).any(|two| two == b"/;")));
        assert!(!path.windows(2).any(|two| two == b"//"));
    }
}
