//! Path templates: `/cards/{id}`, `/Calls/{Sid}.json`, `/files/{path...}`.

use crate::model::percent_decode;

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
    /// `{a}{b}`: nothing tells where one ends and the next begins.
    #[error("two path parameters touch; nothing tells them apart")]
    Touching,
    /// `{path...}` anywhere but as the whole last segment.
    #[error("`{{name...}}` stands for the rest of the path and must be the whole last segment")]
    RestNotLast,
    /// A template that does not start with `/`, or holds `//`, a dot segment, `?`, `#` or `%2f`.
    #[error("a path template starts with `/` and holds no empty or dot segment, query, fragment or encoded slash")]
    Unsound,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Decoded text.
    Literal(Box<[u8]>),
    /// Literals and parameters in turn.
    Pattern(Box<[Part]>),
}

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// Decoded text.
    Literal(Box<[u8]>),
    /// A non-empty value.
    Parameter,
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
    let mut parts = Vec::new();
    let mut rest = piece;
    while let Some(open) = rest.find('{') {
        let (literal, tail) = rest.split_at(open);
        push_literal(&mut parts, literal)?;
        let close = tail.find('}').ok_or(TemplateError::Braces)?;
        let name = tail.get(1..close).unwrap_or_default();
        if name.contains('{') {
            return Err(TemplateError::Braces);
        }
        if name.is_empty() {
            return Err(TemplateError::EmptyName);
        }
        if name.ends_with("...") {
            return Err(TemplateError::RestNotLast);
        }
        if parts.last() == Some(&Part::Parameter) {
            return Err(TemplateError::Touching);
        }
        parts.push(Part::Parameter);
        rest = tail.get(close + 1..).unwrap_or_default();
    }
    push_literal(&mut parts, rest)?;
    Ok(match parts.as_slice() {
        [] => Segment::Literal(Box::new([])),
        [Part::Literal(text)] => Segment::Literal(text.clone()),
        _ => Segment::Pattern(parts.into_boxed_slice()),
    })
}

fn push_literal(parts: &mut Vec<Part>, text: &str) -> Result<(), TemplateError> {
    if text.contains('}') {
        return Err(TemplateError::Braces);
    }
    if !text.is_empty() {
        parts.push(Part::Literal(percent_decode(text.as_bytes()).into_boxed_slice()));
    }
    Ok(())
}
