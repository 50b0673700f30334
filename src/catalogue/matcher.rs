//! Paths to operations: a tree of segments, literals before patterns before the rest, with backtracking.
//!
//! A second, lenient walk finds the operations that an upstream which folds case, takes off extensions, path
//! parameters (`;x`) or a trailing slash could run instead. It runs only where a parameter had literal siblings.

use super::template::{Part, Segment, Template};
use crate::model::{CoveredOperation, Method, SwitchGuarded, percent_decode};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What a lookup found.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// Gateway and upstream could read the path differently.
    Ambiguous(Ambiguity),
    /// The operation, and what could be run instead.
    Found(Found<'a>),
    /// No operation has this path and method.
    Unknown,
}

/// Why a path does not name one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// `;` after the text of a sibling literal.
    Semicolon,
    /// More operations could be meant than can be asked for.
    Siblings,
}

/// The most operations that one path may stand for.
const MOST: usize = 4;

/// The operation a path names first, then those that a lenient upstream could run instead.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    operations: [&'a CoveredOperation; MOST],
    len: usize,
}

impl<'a> Found<'a> {
    const fn new(operation: &'a CoveredOperation) -> Self {
        Self { operations: [operation; MOST], len: 1 }
    }

    /// At least one.
    pub fn operations(&self) -> &[&'a CoveredOperation] {
        self.operations.get(..self.len).unwrap_or_default()
    }

    /// Adds an operation that is not there yet; `false` when there is no room.
    fn add(&mut self, operation: &'a CoveredOperation) -> bool {
        if self.operations().iter().any(|known| std::ptr::eq(*known, operation)) {
            return true;
        }
        match self.operations.get_mut(self.len) {
            Some(place) => {
                *place = operation;
                self.len += 1;
                true
            }
            None => false,
        }
    }
}

/// A tree of path segments.
#[derive(Debug)]
pub(super) struct Matcher {
    nodes: Vec<Node>,
}

impl Default for Matcher {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(Box<[u8]>, usize)>,
    /// Most exact first.
    patterns: Vec<(Box<[Part]>, usize)>,
    rest: Option<Methods>,
    end: Option<Methods>,
}

/// The operations of one path, by method.
#[derive(Debug, Default)]
struct Methods {
    exact: Vec<(Method, usize)>,
    any: Option<usize>,
    /// Some permission lists the path; else it is known as a public operation only.
    listed: bool,
}

impl Methods {
    fn insert(&mut self, method: Option<&Method>, at: usize) -> usize {
        match method {
            None => *self.any.get_or_insert(at),
            Some(method) => match self.exact.iter().find(|(known, _)| known == method) {
                Some((_, known)) => *known,
                None => {
                    self.exact.push((method.clone(), at));
                    at
                }
            },
        }
    }

    /// HEAD rides on GET; a HEAD of its own counts only where there is no GET.
    fn select(&self, method: &Method) -> Option<usize> {
        let exact = |wanted: &Method| self.exact.iter().find(|(known, _)| known == wanted).map(|(_, at)| *at);
        if method == Method::HEAD {
            return exact(&Method::GET).or_else(|| exact(&Method::HEAD)).or(self.any);
        }
        exact(method).or(self.any)
    }
}

impl Matcher {
    /// Adds an operation; the number of the one that has the same shape and method already, or `at`.
    pub(super) fn insert(&mut self, template: &Template, method: Option<&Method>, at: usize, listed: bool) -> usize {
        let mut node = 0;
        for segment in &template.segments {
            node = self.child(node, segment);
        }
        let Some(node) = self.nodes.get_mut(node) else { return at };
        let methods = if template.rest { &mut node.rest } else { &mut node.end };
        let methods = methods.get_or_insert_default();
        methods.listed |= listed;
        methods.insert(method, at)
    }

    fn child(&mut self, parent: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else { return parent };
        let found = match segment {
            Segment::Literal(text) => match node.literals.binary_search_by(|(known, _)| known.cmp(text)) {
                Ok(at) => node.literals.get(at).map(|(_, child)| *child),
                Err(at) => {
                    node.literals.insert(at, (text.clone(), new));
                    None
                }
            },
            Segment::Pattern(parts) => match node.patterns.binary_search_by(|(known, _)| exactness(known, parts)) {
                Ok(at) => node.patterns.get(at).map(|(_, child)| *child),
                Err(at) => {
                    node.patterns.insert(at, (parts.clone(), new));
                    None
                }
            },
        };
        found.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            new
        })
    }

    /// `path` starts with `/`, or is empty (the base URL itself, which is `/`).
    pub(super) fn lookup<'a>(
        &self,
        method: &Method,
        path: &[u8],
        operations: &'a [CoveredOperation],
        semicolon: SwitchGuarded,
    ) -> Lookup<'a> {
        let mut siblings = false;
        // The base URL itself is decided, and forwarded, as `/`.
        let start = Some(path.strip_prefix(b"/").unwrap_or(path));
        let methods = self.strict(0, start, method, &mut siblings);
        let operation = methods.and_then(|methods| methods.select(method)).and_then(|at| operations.get(at));
        let Some(operation) = operation else { return Lookup::Unknown };
        let mut search = Lenient { method, operations, semicolon, found: Found::new(operation) };
        if siblings && let Err(ambiguity) = self.lenient(0, start, false, &mut search) {
            return Lookup::Ambiguous(ambiguity);
        }
        Lookup::Found(search.found)
    }

    /// The most exact template that has this path: path first, then method. `path` is what stands after a `/`;
    /// `None` is the end. Paths known only as public operations count for their own methods alone.
    fn strict(&self, node: usize, path: Option<&[u8]>, method: &Method, siblings: &mut bool) -> Option<&Methods> {
        let node = self.nodes.get(node)?;
        let known = |methods: &&Methods| methods.listed || methods.select(method).is_some();
        let Some(path) = path else { return node.end.as_ref().filter(known) };
        let (segment, rest) = split(path);
        let decoded = decoded(segment);
        let literal = node.literals.binary_search_by(|(known, _)| known.as_ref().cmp(&decoded)).ok();
        if let Some((_, child)) = literal.and_then(|at| node.literals.get(at))
            && let Some(methods) = self.strict(*child, rest, method, siblings)
        {
            return Some(methods);
        }
        for (parts, child) in &node.patterns {
            if matches(parts, &decoded)
                && let Some(methods) = self.strict(*child, rest, method, siblings)
            {
                *siblings |= !node.literals.is_empty() || node.patterns.len() > 1;
                return Some(methods);
            }
        }
        *siblings |= node.rest.is_some() && (!node.literals.is_empty() || !node.patterns.is_empty());
        node.rest.as_ref().filter(known)
    }

    /// Collects the operations of every route on which at least one literal matches only leniently.
    fn lenient(
        &self,
        node: usize,
        path: Option<&[u8]>,
        used: bool,
        search: &mut Lenient<'_, '_>,
    ) -> Result<(), Ambiguity> {
        let Some(node) = self.nodes.get(node) else { return Ok(()) };
        // A trailing slash that a lenient upstream takes off counts as the end.
        if used && path.is_none_or(<[u8]>::is_empty) {
            search.add(node.end.as_ref())?;
        }
        let Some(path) = path else { return Ok(()) };
        if used {
            search.add(node.rest.as_ref())?;
        }
        let (segment, rest) = split(path);
        let decoded = decoded(segment);
        for (literal, child) in &node.literals {
            if literal.as_ref() == decoded.as_ref() {
                // The trailing slash after it may be taken off.
                self.lenient(*child, rest, used || rest.is_some_and(<[u8]>::is_empty), search)?;
            } else if is_read_as(&decoded, literal, search.semicolon)? {
                self.lenient(*child, rest, true, search)?;
            }
        }
        for (parts, child) in &node.patterns {
            if matches(parts, &decoded) {
                self.lenient(*child, rest, used, search)?;
            } else if could_match(parts, &decoded, search.semicolon)? {
                self.lenient(*child, rest, true, search)?;
            }
        }
        Ok(())
    }
}

/// What the lenient walk carries.
struct Lenient<'m, 'a> {
    method: &'m Method,
    operations: &'a [CoveredOperation],
    semicolon: SwitchGuarded,
    found: Found<'a>,
}

impl Lenient<'_, '_> {
    fn add(&mut self, methods: Option<&Methods>) -> Result<(), Ambiguity> {
        let operation = methods.and_then(|methods| methods.select(self.method)).and_then(|at| self.operations.get(at));
        match operation {
            Some(operation) if !self.found.add(operation) => Err(Ambiguity::Siblings),
            _ => Ok(()),
        }
    }
}

fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', path) {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
        None => (path, None),
    }
}

fn decoded(segment: &[u8]) -> Cow<'_, [u8]> {
    if segment.contains(&b'%') { Cow::Owned(percent_decode(segment)) } else { Cow::Borrowed(segment) }
}

/// Whether a lenient upstream could read the value as the literal: case folded, an extension or path parameters
/// taken off.
fn is_read_as(value: &[u8], literal: &[u8], semicolon: SwitchGuarded) -> Result<bool, Ambiguity> {
    let bare = match memchr::memchr(b';', value) {
        Some(at) if semicolon != SwitchGuarded::Opaque => value.get(..at).unwrap_or_default(),
        _ => value,
    };
    let stem = memchr::memrchr(b'.', bare).filter(|at| *at > 0).and_then(|at| bare.get(..at)).unwrap_or(bare);
    let same = bare.eq_ignore_ascii_case(literal) || stem.eq_ignore_ascii_case(literal);
    if same && bare.len() != value.len() {
        return Err(Ambiguity::Semicolon);
    }
    Ok(same)
}

/// Whether a lenient upstream could read the value as the pattern: case folded, path parameters taken off.
fn could_match(parts: &[Part], value: &[u8], semicolon: SwitchGuarded) -> Result<bool, Ambiguity> {
    if !parts.iter().any(|part| matches!(part, Part::Literal(_))) {
        return Ok(false);
    }
    let bare = match memchr::memchr(b';', value) {
        Some(at) if semicolon != SwitchGuarded::Opaque => value.get(..at).unwrap_or_default(),
        _ => value,
    };
    let folded: Vec<Part> = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => Part::Literal(text.to_ascii_lowercase().into()),
            Part::Parameter => Part::Parameter,
        })
        .collect();
    let same = matches(&folded, &bare.to_ascii_lowercase());
    if same && bare.len() != value.len() {
        return Err(Ambiguity::Semicolon);
    }
    Ok(same)
}

/// Whether the segment is the parts in turn, each parameter with a non-empty value. The leftmost place of each inner
/// literal and the end for the last one are enough: no backtracking, so the cost stays linear.
fn matches(parts: &[Part], segment: &[u8]) -> bool {
    let (mut parts, mut segment) = (parts, segment);
    if let [Part::Literal(text), rest @ ..] = parts {
        let Some(tail) = segment.strip_prefix(text.as_ref()) else { return false };
        (parts, segment) = (rest, tail);
    }
    loop {
        match parts {
            [] => return segment.is_empty(),
            [Part::Parameter] => return !segment.is_empty(),
            [Part::Parameter, Part::Literal(text)] => {
                return segment.len() > text.len() && segment.ends_with(text);
            }
            [Part::Parameter, Part::Literal(text), rest @ ..] => {
                let inner = segment.get(1..).unwrap_or_default();
                let Some(at) = memchr::memmem::find(inner, text) else { return false };
                (parts, segment) = (rest, inner.get(at + text.len()..).unwrap_or_default());
            }
            // Neighbouring parts of one kind do not come out of a template.
            [Part::Literal(_) | Part::Parameter, ..] => return false,
        }
    }
}

/// More literal text first; then any fixed order, so that equal shapes are found again.
fn exactness(a: &[Part], b: &[Part]) -> Ordering {
    let literal = |parts: &[Part]| -> usize {
        parts.iter().map(|part| if let Part::Literal(text) = part { text.len() } else { 0 }).sum()
    };
    literal(b).cmp(&literal(a)).then_with(|| b.len().cmp(&a.len())).then_with(|| a.cmp(b))
}
