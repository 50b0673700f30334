//! A slow matcher that is right by being obvious: every template is tried, by the definition of what matches. The real
//! one must agree with it on random catalogues and random requests (`properties`), and on what a fuzzer thinks of (`fuzz`).

use crate::catalogue::{Ambiguity, Catalogue, Leniency, Lookup};
use crate::model::{Method, SwitchGuarded, percent_decode};
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

pub(super) struct Reference {
    templates: Vec<Template>,
    leniency: Leniency,
}

impl Reference {
    pub(super) fn new(listed: &[String], public: &[String], leniency: Leniency) -> Self {
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

    /// Says what differs where the catalogue does not answer the same.
    pub(super) fn agrees(&self, catalogue: &Catalogue, method: &Method, path: &str) -> Result<(), String> {
        let (found, expected) = (catalogue.lookup(method, path.as_bytes()), self.answer(method, path));
        let agrees = match (&found, &expected) {
            (Lookup::Unknown, Answer::Unknown) => true,
            (Lookup::Ambiguous(why), Answer::Ambiguous(expected)) => expected.contains(why),
            (Lookup::Found(found), Answer::Found(exact, all)) => {
                let ids: Vec<&str> = found.operations().iter().map(|operation| operation.id.as_ref()).collect();
                ids[0] == exact && ids.len() == all.len() && ids.iter().all(|id| all.contains(*id))
            }
            _ => false,
        };
        if agrees { Ok(()) } else { Err(format!("{method} {path:?}\n{found:?}\n{expected:?}")) }
    }

    /// What the path stands for, or would once it were decoded again, and once it were trimmed or cut then.
    fn answer(&self, method: &Method, path: &str) -> Answer {
        let path = path.strip_prefix('/').unwrap_or(path);
        let once: Vec<Vec<u8>> = path.split('/').map(|segment| percent_decode(segment.as_bytes())).collect();
        let twice: Vec<Vec<u8>> = once.iter().map(|segment| percent_decode(segment)).collect();
        let answer = self.read(method, &once);
        let Answer::Found(operation, mut found) = answer else { return answer };
        let (mut readings, mut ends) = (vec![trimmed(&once)], vec![ended(&once)]);
        if self.leniency.double_encoding != SwitchGuarded::Opaque {
            readings.extend([trimmed(&twice), twice.clone()]);
            let between = ended(&once).map(|end| end.iter().map(|value| percent_decode(value)).collect());
            ends.extend([between, ended(&twice)]);
        }
        let mut ambiguous = Vec::new();
        let readings = readings.into_iter().map(|values| (values, false));
        for (values, is_end) in readings.chain(ends.iter().flatten().map(|values| (trimmed(values), true))) {
            match self.read(method, &values) {
                Answer::Found(_, others) => found.extend(others),
                Answer::Ambiguous(why) => ambiguous.extend(why),
                Answer::Unknown if is_end => self.read_leniently(method, &values, &mut found, &mut ambiguous),
                Answer::Unknown => {}
            }
        }
        if found.len() > 4 {
            ambiguous.push(Ambiguity::Siblings);
        }
        if ambiguous.is_empty() { Answer::Found(operation, found) } else { Answer::Ambiguous(ambiguous) }
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
            self.read_leniently(method, values, &mut found, &mut ambiguous);
        }
        if found.len() > 4 {
            ambiguous.push(Ambiguity::Siblings);
        }
        if ambiguous.is_empty() { Answer::Found(operation.to_owned(), found) } else { Answer::Ambiguous(ambiguous) }
    }

    fn read_leniently(
        &self,
        method: &Method,
        values: &[Vec<u8>],
        found: &mut BTreeSet<String>,
        ambiguous: &mut Vec<Ambiguity>,
    ) {
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
        let exact = head.or_else(|| by(Some(method.clone())));
        let capitals: Method = method.as_str().to_ascii_uppercase().parse().unwrap();
        let folds = capitals != *method
            && [Method::GET, capitals.clone()]
                .iter()
                .any(|known| by(Some(known.clone())).is_some() && (*known == capitals || capitals == Method::HEAD));
        if folds { exact } else { exact.or_else(|| by(None)) }
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

/// The segments up to the one with the first `?` or `#`, which [`lax`] cuts, if that is not the last one.
fn ended(values: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let end = values.iter().position(|value| value.iter().any(|byte| matches!(byte, b'?' | b'#')))?;
    (end + 1 < values.len()).then(|| values[..=end].to_vec())
}

/// Without what stands behind a `?` or `#`, and white space around the rest; an end that is nothing then is none.
fn trimmed(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut trimmed: Vec<Vec<u8>> = values.iter().map(|value| lax(value)).collect();
    if values.last().is_some_and(|last| !last.is_empty()) && trimmed.last().is_some_and(Vec::is_empty) {
        trimmed.pop();
    }
    if trimmed.is_empty() { vec![Vec::new()] } else { trimmed }
}

fn lax(value: &[u8]) -> Vec<u8> {
    // Byte for byte: what is no UTF-8 stays as it is.
    let mut value = value.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap();
    let is_one = |bytes: &[u8]| {
        std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1 && text.chars().all(is_space))
    };
    while let Some(at) = (1..=value.len().min(3)).find(|at| is_one(&value[..*at])) {
        value = &value[at..];
    }
    while let Some(at) = (0..value.len()).rev().take(3).find(|at| is_one(&value[*at..])) {
        value = &value[..at];
    }
    let text: String = value.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace(['\t', '\n', '\r'], "");
    let text = text.replace("\u{e2}\u{84}\u{aa}", "k").replace("\u{c5}\u{bf}", "s");
    text.chars().map(|letter| letter as u8).collect()
}

/// What some language's `trim` takes off.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1}'..=' ' | '\u{feff}')
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
    let stem = bare.iter().rposition(|byte| *byte == b'.').filter(|_| !pieces.contains(&None));
    let without_dots = |at: usize| bare[..at].iter().rposition(|byte| *byte != b'.').map(|last| last + 1);
    let stem = stem.and_then(without_dots);
    let read = fits(&lower, bare) || stem.is_some_and(|end| fits(&lower, &bare[..end]));
    if read && cut.is_some() { Err(Ambiguity::Semicolon) } else { Ok(read) }
}
