//! Paths to operations: a tree of segments, literals before patterns before the rest, with backtracking.
//!
//! A second, lenient walk finds the operations that an upstream which folds case, takes off extensions, path
//! parameters (`;x`) or a trailing slash could run instead. It runs only where a parameter had literal siblings. What a
//! second decoding changes is read a second time by both walks, as upstreams that decode twice do; so is what is left
//! where an encoded `?` or `#`, or white space at the ends, does not count, and where the path ends at the `?` or `#`.
//!
//! A lookup takes no memory and its cost depends on the path, not on how many operations or siblings there are. Only a
//! document whose templates overlap on purpose could make backtracking walk much of the tree; [`MOST_STEPS`] ends that.

use super::Leniency;
use super::literals::Literals;
use super::pattern::{Pattern, Patterns};
use super::reading::{decoded, ended, folded, trimmed};
use super::template::{Segment, Template};
use crate::model::{CoveredOperation, Method, SwitchGuarded};
use std::collections::HashMap;

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

/// The most steps of a lookup: nodes that are visited and patterns that are tried, all walks together. A document that
/// was not made to overlap needs a few dozen. Beyond it the path counts as ambiguous, which refuses it.
const MOST_STEPS: u32 = 16_384;

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

    /// These, and those of another reading of the same path.
    fn beside(mut self, other: Lookup<'a>) -> Lookup<'a> {
        match other {
            Lookup::Ambiguous(_) => other,
            Lookup::Found(others) if others.operations().iter().all(|operation| self.add(operation)) => {
                Lookup::Found(self)
            }
            Lookup::Found(_) => Lookup::Ambiguous(Ambiguity::Siblings),
            Lookup::Unknown => Lookup::Found(self),
        }
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

/// A tree of path segments in the making.
#[derive(Debug)]
pub(super) struct Growing {
    nodes: Vec<Ends>,
    children: HashMap<(u32, Segment), u32>,
}

impl Default for Growing {
    fn default() -> Self {
        Self { nodes: vec![Ends::default()], children: HashMap::new() }
    }
}

impl Growing {
    /// Adds an operation; the number of the one that has the same shape and method already, or `at`.
    pub(super) fn insert(&mut self, template: Template, method: Option<&Method>, at: usize, listed: bool) -> usize {
        let mut node = 0;
        for segment in template.segments {
            let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            node = *self.children.entry((node, segment)).or_insert(new);
            if node == new {
                self.nodes.push(Ends::default());
            }
        }
        let Some(ends) = self.nodes.get_mut(node as usize) else { return at };
        let methods = if template.rest { &mut ends.rest } else { &mut ends.end };
        let methods = methods.get_or_insert_default();
        methods.listed |= listed;
        methods.insert(method, at)
    }

    /// The finished tree.
    pub(super) fn finish(self) -> Matcher {
        let mut steps: Vec<_> = self.children.into_iter().collect();
        steps.sort_unstable_by_key(|(_, child)| *child);
        let mut literals = Vec::new();
        let mut patterns: HashMap<u32, Vec<(Pattern, u32)>> = HashMap::new();
        let mut nodes: Vec<Node> = self.nodes.into_iter().map(Node::new).collect();
        for ((parent, segment), child) in steps {
            match segment {
                Segment::Literal(text) => {
                    if let Some(node) = nodes.get_mut(parent as usize) {
                        node.has_literals = true;
                    }
                    literals.push((parent, text, child));
                }
                Segment::Pattern(pattern) => patterns.entry(parent).or_default().push((pattern, child)),
            }
        }
        for (parent, patterns) in patterns {
            if let Some(node) = nodes.get_mut(parent as usize) {
                node.patterns = Patterns::new(patterns);
            }
        }
        Matcher { nodes: nodes.into(), literals: Literals::new(literals) }
    }
}

/// What a path that ends at a node, or anywhere below it, stands for.
#[derive(Debug, Default)]
struct Ends {
    end: Option<Methods>,
    rest: Option<Methods>,
}

/// A tree of path segments.
#[derive(Debug)]
pub(super) struct Matcher {
    nodes: Box<[Node]>,
    literals: Literals,
}

#[derive(Debug)]
struct Node {
    has_literals: bool,
    patterns: Patterns,
    ends: Ends,
}

impl Node {
    fn new(ends: Ends) -> Self {
        Self { has_literals: false, patterns: Patterns::default(), ends }
    }
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
        exact(method).or_else(|| self.any.filter(|_| !self.is_folded(method)))
    }

    /// Whether a lax upstream that folds case would run one of the exact methods: then any other method does not cover it.
    fn is_folded(&self, method: &Method) -> bool {
        let is = |known: &Method| known.as_str().eq_ignore_ascii_case(method.as_str());
        self.exact.iter().any(|(known, _)| is(known) || (*known == Method::GET && is(&Method::HEAD)))
    }
}

impl Matcher {
    /// `path` starts with `/`, or is empty (the base URL itself, which is decided, and forwarded, as `/`).
    pub(super) fn lookup<'a>(
        &self,
        method: &Method,
        path: &[u8],
        operations: &'a [CoveredOperation],
        leniency: Leniency,
    ) -> Lookup<'a> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut asked = Asked { matcher: self, method, operations, semicolon: leniency.semicolon, steps: MOST_STEPS };
        decoded(path, |once| {
            let lookup = asked.read(once);
            // Only what was encoded at all has other readings.
            if once.len() == path.len() {
                return lookup;
            }
            let lookup = asked.read_lax(lookup, once);
            if leniency.double_encoding == SwitchGuarded::Opaque {
                return lookup;
            }
            let lookup = match ended(once) {
                // One reader ends the path, and the next one decodes what it was sent.
                Some(end) => decoded(end, |twice| asked.read_end(lookup, end, twice)),
                None => lookup,
            };
            decoded(once, |twice| {
                if twice.len() == once.len() {
                    return lookup;
                }
                let lookup = asked.read_beside(lookup, once, twice);
                asked.read_lax(lookup, twice)
            })
        })
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }
}

/// What is looked up, and what looking may cost yet.
struct Asked<'m, 'a> {
    matcher: &'m Matcher,
    method: &'m Method,
    operations: &'a [CoveredOperation],
    semicolon: SwitchGuarded,
    /// What is left of [`MOST_STEPS`].
    steps: u32,
}

impl<'a> Asked<'_, 'a> {
    /// Adds what another reading stands for, if it is another one: all of them are shorter.
    fn read_beside(&mut self, lookup: Lookup<'a>, path: &[u8], other: &[u8]) -> Lookup<'a> {
        match lookup {
            Lookup::Found(found) if other.len() < path.len() => found.beside(self.read(other)),
            Lookup::Ambiguous(_) | Lookup::Found(_) | Lookup::Unknown => lookup,
        }
    }

    /// Adds what a lax reader makes of the path: trimmed, and ended at an encoded `?` or `#`.
    fn read_lax(&mut self, lookup: Lookup<'a>, path: &[u8]) -> Lookup<'a> {
        let lookup = trimmed(path, |lax| self.read_beside(lookup, path, lax));
        match ended(path) {
            Some(end) => self.read_end(lookup, path, end),
            None => lookup,
        }
    }

    /// Adds what the end of a path stands for, trimmed. Nothing may have that path as it is, for it is another one; what
    /// lenient readers make of it counts then as well.
    fn read_end(&mut self, lookup: Lookup<'a>, path: &[u8], end: &[u8]) -> Lookup<'a> {
        match lookup {
            Lookup::Found(found) if end.len() < path.len() => trimmed(end, |end| match self.read(end) {
                Lookup::Unknown => self.read_leniently(end, found),
                other => found.beside(other),
            }),
            Lookup::Ambiguous(_) | Lookup::Found(_) | Lookup::Unknown => lookup,
        }
    }

    /// What a path stands for that is not decoded any further.
    fn read(&mut self, path: &[u8]) -> Lookup<'a> {
        let Self { matcher, method, operations, steps, .. } = *self;
        let mut strict = Strict { matcher, method, siblings: false, steps };
        let methods = strict.walk(0, Some(path));
        self.steps = strict.steps;
        if strict.steps == 0 {
            return Lookup::Ambiguous(Ambiguity::Siblings);
        }
        let operation = methods.and_then(|methods| methods.select(method)).and_then(|at| operations.get(at));
        let Some(operation) = operation else { return Lookup::Unknown };
        let found = Found::new(operation);
        if strict.siblings { self.read_leniently(path, found) } else { Lookup::Found(found) }
    }

    /// Adds what lenient upstreams could run for a path.
    fn read_leniently(&mut self, path: &[u8], found: Found<'a>) -> Lookup<'a> {
        let Self { matcher, method, operations, semicolon, steps } = *self;
        let mut lenient = Lenient { matcher, method, operations, semicolon, found, steps };
        let walked = folded(path, |folded| lenient.walk(0, Some(Read { path, folded }), false));
        self.steps = lenient.steps;
        match walked {
            Ok(()) => Lookup::Found(lenient.found),
            Err(ambiguity) => Lookup::Ambiguous(ambiguity),
        }
    }
}

/// The walk that finds the operation.
struct Strict<'m> {
    matcher: &'m Matcher,
    method: &'m Method,
    /// A parameter of the route that was found has siblings.
    siblings: bool,
    /// What is left of [`MOST_STEPS`]; 0 once there was not enough.
    steps: u32,
}

impl<'m> Strict<'m> {
    /// The most exact template that has this path: path first, then method. `path` is what stands after a `/`;
    /// `None` is the end. Paths known only as public operations count for their own methods alone.
    fn walk(&mut self, at: u32, path: Option<&[u8]>) -> Option<&'m Methods> {
        let node = self.matcher.node(at)?;
        self.step(1)?;
        let Some(path) = path else { return self.known(node.ends.end.as_ref()) };
        let (segment, rest) = split(path);
        if node.has_literals
            && let Some(literal) = self.matcher.literals.exact(at, segment)
            && let Some(methods) = self.walk(literal.child, rest)
        {
            return Some(methods);
        }
        for pattern in node.patterns.candidates(segment) {
            self.step(pattern.cost(segment))?;
            if pattern.matches(segment)
                && let Some(methods) = self.walk(pattern.child, rest)
            {
                self.siblings |= node.has_literals || node.patterns.len() > 1;
                return Some(methods);
            }
        }
        let methods = self.known(node.ends.rest.as_ref())?;
        // Without its trailing slash the path may be another operation's.
        let may_end = path.is_empty() && node.ends.end.is_some();
        self.siblings |= node.has_literals || !node.patterns.is_empty() || may_end;
        Some(methods)
    }

    fn known(&self, methods: Option<&'m Methods>) -> Option<&'m Methods> {
        methods.filter(|methods| self.steps > 0 && (methods.listed || methods.select(self.method).is_some()))
    }

    fn step(&mut self, cost: u32) -> Option<()> {
        self.steps = self.steps.saturating_sub(cost);
        (self.steps > 0).then_some(())
    }
}

/// What stands after a `/`, as it is and without case.
#[derive(Clone, Copy)]
struct Read<'p> {
    path: &'p [u8],
    folded: &'p [u8],
}

/// The walk that collects the operations of every route on which at least one literal matches only leniently.
struct Lenient<'m, 'a> {
    matcher: &'m Matcher,
    method: &'m Method,
    operations: &'a [CoveredOperation],
    semicolon: SwitchGuarded,
    found: Found<'a>,
    steps: u32,
}

impl Lenient<'_, '_> {
    /// `used`: something on the way here matched only leniently.
    fn walk(&mut self, at: u32, read: Option<Read<'_>>, used: bool) -> Result<(), Ambiguity> {
        let matcher = self.matcher;
        let Some(node) = matcher.node(at) else { return Ok(()) };
        self.step(1)?;
        // A trailing slash that a lenient upstream takes off counts as the end, beside an empty rest as well.
        let is_slash = read.is_some_and(|read| read.path.is_empty());
        if (used && (read.is_none() || is_slash)) || (is_slash && node.ends.rest.is_some()) {
            self.add(node.ends.end.as_ref())?;
        }
        let Some(read) = read else { return Ok(()) };
        if used {
            self.add(node.ends.rest.as_ref())?;
        }
        let ((segment, rest), (folded, folded_rest)) = (split(read.path), split(read.folded));
        let rest = rest.zip(folded_rest).map(|(path, folded)| Read { path, folded });
        let bare = bare(segment, self.semicolon);
        if node.has_literals {
            self.literals(at, segment, bare, rest, used)?;
        }
        let cut = bare.len() != segment.len();
        for pattern in node.patterns.candidates(segment) {
            self.step(pattern.cost(segment))?;
            if pattern.matches(segment) {
                self.walk(pattern.child, rest, used)?;
            } else if !cut && pattern.could_match(folded) {
                self.walk(pattern.child, rest, true)?;
            }
        }
        if cut {
            self.check_semicolon(node, segment, folded.get(..bare.len()).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Every literal that is the segment, or that it could be read as: case folded, an extension or path parameters
    /// taken off.
    fn literals(
        &mut self,
        at: u32,
        segment: &[u8],
        bare: &[u8],
        rest: Option<Read<'_>>,
        used: bool,
    ) -> Result<(), Ambiguity> {
        let matcher = self.matcher;
        let cut = bare.len() != segment.len();
        if cut && let Some(literal) = matcher.literals.exact(at, segment) {
            self.walk(literal.child, rest, used || is_slash(rest))?;
        }
        let stem = stem(bare);
        let stems = (stem.len() != bare.len()).then(|| matcher.literals.alike(at, stem));
        for literal in matcher.literals.alike(at, bare).chain(stems.into_iter().flatten()) {
            if cut {
                return Err(Ambiguity::Semicolon);
            }
            // The trailing slash after it may be taken off.
            let used = used || !literal.is(segment) || is_slash(rest);
            self.walk(literal.child, rest, used)?;
        }
        Ok(())
    }

    /// Whether what stands before the `;` could be read as a pattern that the whole is not.
    fn check_semicolon(&mut self, node: &Node, segment: &[u8], bare: &[u8]) -> Result<(), Ambiguity> {
        for pattern in node.patterns.candidates(bare) {
            self.step(pattern.cost(bare))?;
            if !pattern.matches(segment) && pattern.could_match(bare) {
                return Err(Ambiguity::Semicolon);
            }
        }
        Ok(())
    }

    fn add(&mut self, methods: Option<&Methods>) -> Result<(), Ambiguity> {
        let operation = methods.and_then(|methods| methods.select(self.method)).and_then(|at| self.operations.get(at));
        match operation {
            Some(operation) if !self.found.add(operation) => Err(Ambiguity::Siblings),
            Some(_) | None => Ok(()),
        }
    }

    fn step(&mut self, cost: u32) -> Result<(), Ambiguity> {
        self.steps = self.steps.saturating_sub(cost);
        if self.steps > 0 { Ok(()) } else { Err(Ambiguity::Siblings) }
    }
}

fn is_slash(rest: Option<Read<'_>>) -> bool {
    rest.is_some_and(|rest| rest.path.is_empty())
}

/// The first segment, and what stands after the `/` behind it.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', path) {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
        None => (path, None),
    }
}

/// The value without path parameters.
fn bare(value: &[u8], semicolon: SwitchGuarded) -> &[u8] {
    match memchr::memchr(b';', value) {
        Some(at) if semicolon != SwitchGuarded::Opaque => value.get(..at).unwrap_or_default(),
        Some(_) | None => value,
    }
}

/// The value without an extension, and without dots at the end, which file systems of Windows take off.
fn stem(value: &[u8]) -> &[u8] {
    let cut = memchr::memrchr(b'.', value).and_then(|at| value.get(..at)).unwrap_or(value);
    let end = cut.iter().rposition(|byte| *byte != b'.').map_or(0, |last| last + 1);
    if end == 0 { value } else { cut.get(..end).unwrap_or_default() }
}
