//! A slow matcher that is right by being obvious: every template is tried, by the definition of what matches. The real
//! one must agree with it on random catalogues and random requests.

use super::{catalogue_of, permission};
use crate::catalogue::{Ambiguity, Leniency, Lookup};
use crate::model::{Method, OperationPattern, SwitchGuarded, percent_decode};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// A segment's pieces: text, or `None` for a parameter. `{rest...}` is not among them.
type Pieces = Vec<Option<Vec<u8>>>;

#[derive(Clone, Debug, PartialEq)]
struct Shape {
    segments: Vec<Pieces>,
    rest: bool,
}

#[derive(Debug)]
struct Template {
    shape: Shape,
    listed: bool,
    /// By method, `None` being any; and the id.
    operations: Vec<(Option<Method>, String)>,
}

/// What a lookup may answer.
#[derive(Debug)]
enum Answer {
    Ambiguous(Vec<Ambiguity>),
    Found(String, BTreeSet<String>),
    Unknown,
}

struct Reference {
    templates: Vec<Template>,
    leniency: Leniency,
}

impl Reference {
    fn new(listed: &[String], public: &[String], leniency: Leniency) -> Self {
        let mut made = Self { templates: Vec::new(), leniency };
        let all = listed.iter().map(|text| (text, true)).chain(public.iter().map(|text| (text, false)));
        for (text, listed) in all {
            let (method, path) = text.split_once(' ').unwrap();
            let method = (method != "*").then(|| method.parse().unwrap());
            let shape = shape(path);
            let at = made.templates.iter().position(|known| known.shape == shape).unwrap_or_else(|| {
                made.templates.push(Template { shape, listed: false, operations: Vec::new() });
                made.templates.len() - 1
            });
            let template = &mut made.templates[at];
            template.listed |= listed;
            if !template.operations.iter().any(|(known, _)| *known == method) {
                template.operations.push((method, text.clone()));
            }
        }
        made
    }

    /// What the path stands for, or would once it were decoded again.
    fn answer(&self, method: &Method, path: &str) -> Answer {
        let path = path.strip_prefix('/').unwrap_or(path);
        let once: Vec<Vec<u8>> = path.split('/').map(|segment| percent_decode(segment.as_bytes())).collect();
        let twice: Vec<Vec<u8>> = once.iter().map(|segment| percent_decode(segment)).collect();
        let answer = self.read(method, &once);
        let Answer::Found(operation, mut found) = answer else { return answer };
        if self.leniency.double_encoding != SwitchGuarded::Opaque {
            match self.read(method, &twice) {
                Answer::Found(_, others) => found.extend(others),
                Answer::Ambiguous(why) => return Answer::Ambiguous(why),
                Answer::Unknown => {}
            }
        }
        if found.len() > 4 { Answer::Ambiguous(vec![Ambiguity::Siblings]) } else { Answer::Found(operation, found) }
    }

    /// One reading, each segment decoded.
    fn read(&self, method: &Method, values: &[Vec<u8>]) -> Answer {
        let known = |template: &&Template| template.listed || template.select(method).is_some();
        let fitting = self.templates.iter().filter(|template| template.shape.fits(values)).filter(known);
        let Some(exact) = fitting.min_by_key(|template| template.shape.exactness()) else { return Answer::Unknown };
        let Some(operation) = exact.select(method) else { return Answer::Unknown };
        let mut found = BTreeSet::from([operation.to_owned()]);
        let mut ambiguous = Vec::new();
        if self.has_siblings(&exact.shape) || self.may_end(&exact.shape, values) {
            for template in &self.templates {
                match template.shape.lenient(values, self.leniency.semicolon) {
                    Err(ambiguity) => ambiguous.push(ambiguity),
                    Ok(used) if used || self.ends_before_a_rest(&template.shape, values) => {
                        found.extend(template.select(method).map(str::to_owned));
                    }
                    Ok(_) => {}
                }
            }
        }
        if found.len() > 4 {
            ambiguous.push(Ambiguity::Siblings);
        }
        if ambiguous.is_empty() { Answer::Found(operation.to_owned(), found) } else { Answer::Ambiguous(ambiguous) }
    }

    /// Whether the path is the shape, whose rest is empty, and without its trailing slash another one.
    fn may_end(&self, exact: &Shape, values: &[Vec<u8>]) -> bool {
        let end = Shape { rest: false, ..exact.clone() };
        let is_empty = values.len() == exact.segments.len() + 1 && values[exact.segments.len()].is_empty();
        exact.rest && is_empty && self.templates.iter().any(|template| template.shape == end)
    }

    /// Whether the shape is the path without its trailing slash, and the same with a rest after it is there too.
    fn ends_before_a_rest(&self, shape: &Shape, values: &[Vec<u8>]) -> bool {
        let Some((last, values)) = values.split_last() else { return false };
        let with_rest = Shape { rest: true, ..shape.clone() };
        !shape.rest
            && last.is_empty()
            && shape.fits(values)
            && self.templates.iter().any(|template| template.shape == with_rest)
    }

    /// Whether a parameter of the shape stands beside something else after the same beginning.
    fn has_siblings(&self, shape: &Shape) -> bool {
        let length = shape.segments.len();
        (0..=length).any(|at| {
            let own = shape.segments.get(at);
            let is_parameter = own.map_or(shape.rest, |pieces| pieces.contains(&None));
            let others = self.templates.iter().map(|template| &template.shape.segments);
            is_parameter
                && others
                    .filter(|other| other.len() > at && other[..at] == shape.segments[..at])
                    .any(|other| Some(&other[at]) != own)
        })
    }
}

impl Template {
    fn select(&self, method: &Method) -> Option<&str> {
        let by = |wanted: Option<Method>| {
            self.operations.iter().find(|(method, _)| *method == wanted).map(|(_, id)| id.as_str())
        };
        let head = (method == Method::HEAD).then(|| by(Some(Method::GET))).flatten();
        head.or_else(|| by(Some(method.clone()))).or_else(|| by(None))
    }
}

impl Shape {
    fn fits(&self, values: &[Vec<u8>]) -> bool {
        let length = self.segments.len();
        (if self.rest { values.len() > length } else { values.len() == length })
            && self.segments.iter().zip(values).all(|(pieces, value)| fits(pieces, value))
    }

    /// Literals first, then more text, then more pieces, then any fixed order; the rest of the path last.
    fn exactness(&self) -> Vec<impl Ord> {
        let segment = |pieces: &Pieces| {
            let text: usize = pieces.iter().flatten().map(Vec::len).sum();
            let fixed: Vec<_> = pieces.iter().map(|piece| (piece.is_none(), piece.clone())).collect();
            (u8::from(pieces.contains(&None)), Reverse(text), Reverse(pieces.len()), fixed)
        };
        let rest = self.rest.then(|| (2, Reverse(0), Reverse(0), Vec::new()));
        self.segments.iter().map(segment).chain(rest).collect()
    }

    /// Whether a lenient upstream could run it, at least one text being read as another one than it is.
    fn lenient(&self, values: &[Vec<u8>], semicolon: SwitchGuarded) -> Result<bool, Ambiguity> {
        let mut used = false;
        for (at, pieces) in self.segments.iter().enumerate() {
            let Some(value) = values.get(at) else { return Ok(false) };
            let is_literal = !pieces.contains(&None);
            if fits(pieces, value) {
                // The trailing slash after it may be taken off.
                used |= is_literal && values.len() == at + 2 && values[at + 1].is_empty();
            } else if read_as(pieces, value, semicolon)? {
                used = true;
            } else {
                return Ok(false);
            }
        }
        let left = &values[self.segments.len()..];
        let ends = if self.rest { !left.is_empty() } else { left.is_empty() || left == [b""] };
        Ok(used && ends)
    }
}

fn shape(path: &str) -> Shape {
    let mut shape = Shape { segments: Vec::new(), rest: false };
    for segment in path[1..].split('/') {
        if segment == "{rest...}" {
            shape.rest = true;
            continue;
        }
        let mut pieces = Vec::new();
        for (at, piece) in segment.split(['{', '}']).enumerate() {
            match at % 2 {
                0 if piece.is_empty() => {}
                0 => pieces.push(Some(percent_decode(piece.as_bytes()))),
                _ => pieces.push(None),
            }
        }
        shape.segments.push(pieces);
    }
    shape
}

/// The definition: pieces in turn, each parameter at least one byte.
fn fits(pieces: &[Option<Vec<u8>>], value: &[u8]) -> bool {
    match pieces {
        [] => value.is_empty(),
        [Some(text), rest @ ..] => value.strip_prefix(text.as_slice()).is_some_and(|tail| fits(rest, tail)),
        [None, rest @ ..] => (1..=value.len()).any(|length| fits(rest, &value[length..])),
    }
}

/// Case folded, path parameters taken off; literals also without extension.
fn read_as(pieces: &Pieces, value: &[u8], semicolon: SwitchGuarded) -> Result<bool, Ambiguity> {
    if !pieces.is_empty() && pieces.iter().all(Option::is_none) {
        return Ok(false);
    }
    let lower: Pieces = pieces.iter().map(|piece| piece.as_ref().map(|text| text.to_ascii_lowercase())).collect();
    let value = value.to_ascii_lowercase();
    let cut = value.iter().position(|byte| *byte == b';').filter(|_| semicolon != SwitchGuarded::Opaque);
    let bare = &value[..cut.unwrap_or(value.len())];
    let stem = bare.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0 && !pieces.contains(&None));
    let read = fits(&lower, bare) || stem.is_some_and(|at| fits(&lower, &bare[..at]));
    if read && cut.is_some() { Err(Ambiguity::Semicolon) } else { Ok(read) }
}

/// Segments of templates: few texts, so that they meet; several kinds of patterns beside each other.
fn template_segment() -> impl Strategy<Value = &'static str> {
    let literal = prop::sample::select(vec!["a", "me", "me", "A", "ME", "a.json", "m%65", "a-b"]);
    let pattern = prop::sample::select(vec![
        "{p}.json",
        "{p}.JSON",
        "{p}-{q}",
        "{p}:undelete",
        "{p}:Undelete",
        "a{p}",
        "A{p}",
        "me{p}.json",
        "{p}-{q}-{r}",
        "{p}ab{q}b",
    ]);
    prop_oneof![3 => literal, 3 => Just("{p}"), 1 => pattern]
}

fn operations(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let method = prop::sample::select(vec!["GET", "GET", "GET", "GET", "POST", "HEAD", "*"]);
    let end = prop::sample::select(vec!["", "", "", "", "", "/", "/{rest...}"]);
    let operation =
        (method, prop::collection::vec(template_segment(), 0..4), end).prop_map(|(method, segments, end)| {
            let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end;
            format!("{method} {}", if path.is_empty() { "/" } else { &path })
        });
    prop::collection::vec(operation, count)
}

/// What stands in requests: the texts of templates, and values that look like them.
fn request_segment() -> impl Strategy<Value = String> {
    let near = prop::sample::select(vec!["a", "me", "mE", "A", "ME", "a.json", "me.json", "me.x.json", "a-b"]);
    let other =
        prop::sample::select(vec!["b:undelete", "b:UNDELETE", "aabbab", "x", "xabb", "a-b-b", "", ".json", "-"]);
    let after = prop_oneof![
        8 => Just(""),
        3 => prop::sample::select(vec![";x", ";", ".json", ".JSON", "%2F", "%3bx", "."]),
    ];
    (prop_oneof![3 => near, 1 => other], after, 0..8u8).prop_map(|(text, after, way)| {
        let encoded = |count: usize| text.bytes().take(count).map(|byte| format!("%{byte:02X}")).collect::<String>();
        match way {
            0 => format!("{}{after}", text.to_ascii_uppercase()),
            1 => encoded(text.len()) + after,
            2 => encoded(1) + text.get(1..).unwrap_or("") + after,
            3 => encoded(1).replace('%', "%25") + text.get(1..).unwrap_or("") + after,
            4 => encoded(text.len()).replace('%', "%25") + &after.replace('%', "%25"),
            _ => format!("{text}{after}"),
        }
    })
}

fn request() -> impl Strategy<Value = String> {
    let path = prop::collection::vec(request_segment(), 0..4);
    (path, prop::sample::select(vec!["", "", "", "/"]))
        .prop_map(|(segments, end)| segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_tree_agrees_with_the_reference(
        listed in operations(1..24),
        public in operations(0..4),
        requests in prop::collection::vec(request(), 8),
        method in prop::sample::select(vec![Method::GET, Method::GET, Method::POST, Method::HEAD]),
        semicolon in prop::sample::select(vec![SwitchGuarded::Guarded, SwitchGuarded::Opaque]),
        double_encoding in prop::sample::select(vec![SwitchGuarded::Guarded, SwitchGuarded::Refuse, SwitchGuarded::Opaque]),
    ) {
        let permissions = listed.iter().enumerate().map(|(at, text)| permission(&format!("p{at}"), &[text])).collect();
        let patterns: Vec<_> = public.iter().map(|text| OperationPattern::parse(text).unwrap()).collect();
        let leniency = Leniency { semicolon, double_encoding };
        let catalogue = catalogue_of(permissions, &patterns, leniency);
        let reference = Reference::new(&listed, &public, leniency);
        for path in requests {
            let expected = reference.answer(&method, &path);
            let agrees = match (catalogue.lookup(&method, path.as_bytes()), &expected) {
                (Lookup::Unknown, Answer::Unknown) => true,
                (Lookup::Ambiguous(why), Answer::Ambiguous(expected)) => expected.contains(&why),
                (Lookup::Found(found), Answer::Found(exact, all)) => {
                    let ids: Vec<String> = found.operations().iter().map(|operation| operation.id.to_string()).collect();
                    ids[0] == *exact && ids.len() == all.len() && ids.iter().all(|id| all.contains(id))
                }
                _ => false,
            };
            let found = catalogue.lookup(&method, path.as_bytes());
            prop_assert!(agrees, "{method} {path:?}\n{found:?}\n{expected:?}\nlisted {listed:#?}\npublic {public:#?}");
        }
    }
}
