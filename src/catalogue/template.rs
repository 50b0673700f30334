//! Path templates: `/cards/{id}`, `/Calls/{Sid}.json`, `/files/{path...}`.

use super::pattern::Pattern;
use super::reading::ENCODED_SLASH;
use crate::model::percent_decode;

/// The most segments of a template; more than any path that people write, and few enough to walk in a recursion.
const MOST_SEGMENTS: usize = 128;

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    pub(super) segments: Vec<Segment>,
    pub(super) rest: bool,
}

/// Text that is not a path template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without `}`, `}` without `{`, or one within the other.
    #[error("the braces of a path template do not pair up")]
    Braces,
    /// `{}`.
    #[error("a path parameter needs a name")]
    EmptyName,
    /// More segments than a template may have.
    #[error("a path template has at most {MOST_SEGMENTS} segments")]
    TooLong,
    /// `{a}{b}`: nothing tells where one ends and the next begins.
    #[error("two path parameters touch; nothing tells them apart")]
    Touching,
    /// `{path...}` anywhere but as the whole last segment.
    #[error("`{{name...}}` stands for the rest of the path and must be the whole last segment")]
    RestNotLast,
    /// A template that does not start with `/`, or holds `//`, a dot segment, `?`, `#`, `%2f` or `%00`.
    #[error("a path template starts with `/` and holds no empty or dot segment, query, fragment, encoded slash or NUL")]
    Unsound,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Decoded text.
    Literal(Box<[u8]>),
    /// Text and parameters.
    Pattern(Pattern),
}

impl Template {
    /// Parses a template. Parameter names do not matter for matching: templates of the same shape are equal.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let body = text.strip_prefix('/').ok_or(TemplateError::Unsound)?;
        if text.contains(['?', '#', '\\']) || text.to_ascii_lowercase().contains("%2f") {
            return Err(TemplateError::Unsound);
        }
        let mut segments = Vec::new();
        let mut pieces = body.split('/').peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            if is_rest(piece) {
                return if last { Ok(Self { segments, rest: true }) } else { Err(TemplateError::RestNotLast) };
            }
            if (piece.is_empty() && !last) || piece == "." || piece == ".." {
                return Err(TemplateError::Unsound);
            }
            if segments.len() == MOST_SEGMENTS {
                return Err(TemplateError::TooLong);
            }
            segments.push(parse_segment(piece)?);
        }
        Ok(Self { segments, rest: false })
    }
}

fn is_rest(piece: &str) -> bool {
    piece
        .strip_prefix('{')
        .and_then(|p| p.strip_suffix("...}"))
        .is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
}

fn parse_segment(piece: &str) -> Result<Segment, TemplateError> {
    let (mut texts, mut rest) = (Vec::new(), piece);
    while let Some(open) = rest.find('{') {
        let (text, tail) = rest.split_at(open);
        if text.is_empty() && !texts.is_empty() {
            return Err(TemplateError::Touching);
        }
        texts.push(literal(text)?);
        let close = tail.find('}').ok_or(TemplateError::Braces)?;
        check_name(tail.get(1..close).unwrap_or_default())?;
        rest = tail.get(close + 1..).unwrap_or_default();
    }
    let last = literal(rest)?;
    let mut texts = texts.into_iter();
    Ok(match texts.next() {
        None => Segment::Literal(last),
        Some(prefix) => Segment::Pattern(Pattern { prefix, inner: texts.collect(), suffix: last }),
    })
}

fn check_name(name: &str) -> Result<(), TemplateError> {
    if name.contains('{') {
        return Err(TemplateError::Braces);
    }
    if name.is_empty() {
        return Err(TemplateError::EmptyName);
    }
    if name.ends_with("...") {
        return Err(TemplateError::RestNotLast);
    }
    Ok(())
}

fn literal(text: &str) -> Result<Box<[u8]>, TemplateError> {
    if text.contains('}') {
        return Err(TemplateError::Braces);
    }
    let text = percent_decode(text.as_bytes());
    if text.contains(&ENCODED_SLASH) { Err(TemplateError::Unsound) } else { Ok(text.into()) }
}
