//! Segments that hold parameters: `{Sid}.json`, `{base}...{head}`; and those of one parent, found by how they end.

use std::cmp::Ordering;

/// A segment with at least one parameter, each of which stands for a non-empty value. All text is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    /// What stands before the first parameter.
    pub(super) prefix: Box<[u8]>,
    /// What stands between parameters: one text less than there are parameters, none of them empty.
    pub(super) inner: Box<[Box<[u8]>]>,
    /// What stands after the last parameter.
    pub(super) suffix: Box<[u8]>,
}

impl Pattern {
    /// Whether the value has this shape. The leftmost place of each inner text and the ends for the outer ones are
    /// enough: no backtracking, so the cost stays linear in the value's length.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let Some(mut value) = self.between(value) else { return false };
        for text in &self.inner {
            // A parameter has at least one byte.
            let Some((_, tail)) = value.split_first() else { return false };
            let Some(at) = memchr::memmem::find(tail, text) else { return false };
            value = tail.get(at + text.len()..).unwrap_or_default();
        }
        !value.is_empty()
    }

    /// The value without prefix and suffix. An empty text is not compared: some processors take hundreds of cycles to
    /// compare no bytes at an address that holds nothing, which is what an empty box has.
    fn between<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let value = if self.prefix.is_empty() { value } else { value.strip_prefix(self.prefix.as_ref())? };
        if self.suffix.is_empty() { Some(value) } else { value.strip_suffix(self.suffix.as_ref()) }
    }

    /// Whether it is one parameter and nothing else.
    fn is_plain(&self) -> bool {
        self.prefix.is_empty() && self.inner.is_empty() && self.suffix.is_empty()
    }

    fn folded(&self) -> Self {
        Self {
            prefix: self.prefix.to_ascii_lowercase().into(),
            inner: self.inner.iter().map(|text| text.to_ascii_lowercase().into()).collect(),
            suffix: self.suffix.to_ascii_lowercase().into(),
        }
    }

    /// More literal text first; then any fixed order.
    fn exactness(&self, other: &Self) -> Ordering {
        let literal = |pattern: &Self| -> usize {
            pattern.prefix.len() + pattern.suffix.len() + pattern.inner.iter().map(|text| text.len()).sum::<usize>()
        };
        let parts = |pattern: &Self| {
            pattern.inner.len() * 2 + usize::from(!pattern.prefix.is_empty()) + usize::from(!pattern.suffix.is_empty())
        };
        (literal(other).cmp(&literal(self)))
            .then_with(|| parts(other).cmp(&parts(self)))
            .then_with(|| self.prefix.is_empty().cmp(&other.prefix.is_empty()))
            .then_with(|| (&self.prefix, &self.inner, &self.suffix).cmp(&(&other.prefix, &other.inner, &other.suffix)))
    }
}

/// A pattern of a parent, and where it leads.
#[derive(Debug)]
pub(super) struct PatternStep {
    pattern: Pattern,
    /// The pattern without case; `None` where there is no text to be read in another case.
    folded: Option<Pattern>,
    /// The node behind it.
    pub(super) child: u32,
}

impl PatternStep {
    /// Whether the value has the pattern's shape.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.pattern.matches(value)
    }

    /// Whether a lenient upstream could read the value, case folded, in the pattern's shape.
    pub(super) fn could_match(&self, folded: &[u8]) -> bool {
        self.folded.as_ref().is_some_and(|pattern| pattern.matches(folded))
    }

    /// What looking at it may cost, in steps of a lookup.
    pub(super) fn cost(&self, value: &[u8]) -> u32 {
        if self.pattern.inner.is_empty() { 1 } else { u32::try_from(value.len() / 64 + 1).unwrap_or(u32::MAX) }
    }
}

/// How many bytes at the end of a suffix patterns are found by.
const TAIL: usize = 4;

/// The patterns of one parent. Documents of some makers have a hundred beside each other (`{name}:cancel`), so those
/// that end in at least four bytes of text are found by these; the others are few and looked at in turn.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Most exact first.
    steps: Box<[PatternStep]>,
    /// Places in `steps` of those with a long suffix, by its end without case; most exact first among equals.
    by_tail: Box<[([u8; TAIL], usize)]>,
    /// Places of all others.
    others: Box<[usize]>,
}

impl Patterns {
    pub(super) fn new(steps: Vec<(Pattern, u32)>) -> Self {
        let mut steps: Vec<PatternStep> = steps
            .into_iter()
            .map(|(pattern, child)| {
                let folded = (!pattern.is_plain()).then(|| pattern.folded());
                PatternStep { pattern, folded, child }
            })
            .collect();
        steps.sort_by(|a, b| a.pattern.exactness(&b.pattern));
        let (mut by_tail, mut others) = (Vec::new(), Vec::new());
        for (at, step) in steps.iter().enumerate() {
            match tail(&step.pattern.suffix) {
                Some(tail) => by_tail.push((tail, at)),
                None => others.push(at),
            }
        }
        by_tail.sort_unstable();
        Self { steps: steps.into(), by_tail: by_tail.into(), others: others.into() }
    }

    pub(super) const fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Those that the value could have the shape of, whatever its case; most exact first.
    pub(super) fn candidates(&self, value: &[u8]) -> impl Iterator<Item = &PatternStep> {
        let (mut ending, mut others) = (self.ending_like(value), self.others.as_ref());
        std::iter::from_fn(move || {
            let at = match (ending, others) {
                ([(_, at), tail @ ..], rest) if rest.first().is_none_or(|other| at < other) => {
                    ending = tail;
                    *at
                }
                (_, [at, tail @ ..]) => {
                    others = tail;
                    *at
                }
                (_, []) => return None,
            };
            self.steps.get(at)
        })
    }

    fn ending_like(&self, value: &[u8]) -> &[([u8; TAIL], usize)] {
        if self.by_tail.is_empty() {
            return &[];
        }
        let Some(tail) = tail(value) else { return &[] };
        let from = self.by_tail.partition_point(|(known, _)| *known < tail);
        let found = self.by_tail.get(from..).unwrap_or_default();
        let len = found.iter().take_while(|(known, _)| *known == tail).count();
        found.get(..len).unwrap_or_default()
    }
}

/// The end of a text without case, if it is long enough.
fn tail(text: &[u8]) -> Option<[u8; TAIL]> {
    text.last_chunk::<TAIL>().map(|tail| tail.map(|byte| byte.to_ascii_lowercase()))
}
