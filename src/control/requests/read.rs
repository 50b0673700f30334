//! Reads requests as people write them down: one a line, or a `curl` command.

use super::curl;
use crate::model::quoted;

/// So many lines are read.
const MOST_LINES: usize = 1000;
/// The longest line, in bytes.
const LONGEST_LINE: usize = 8000;
/// So much of what was read is shown, in characters.
const SHOWN: usize = 120;

/// A request as it was written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) line: usize,
    pub(super) text: String,
    /// The method in capitals, and where to; or why it is no request.
    pub(super) request: Result<(String, Target), &'static str>,
}

/// Where a request goes, without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Path(String),
    Url { authority: String, path: String },
}

impl Target {
    /// A path, or a URL. Without scheme it is a URL where something stands before the first `/`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.split(['?', '#']).next().unwrap_or_default();
        if text.starts_with('/') {
            return Ok(Self::Path(text.to_owned()));
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) => rest,
            Some(_) => return Err("this is no http or https URL"),
            None => text,
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() {
            return Err("there is no host in this URL");
        }
        Ok(Self::Url { authority: host.to_owned(), path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &str {
        match self {
            Self::Path(path) | Self::Url { path, .. } => path,
        }
    }
}

/// Every request of a text. Empty lines and those that begin with `#` are passed over.
pub(super) fn read(text: &str) -> Vec<Written> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let (first, _) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim().trim_start_matches("$ ").trim_start();
        let mut taken = first.len() + 1;
        if line > MOST_LINES {
            found.push(Written { line, text: shown(trimmed), request: Err("only the first 1000 lines are read") });
            return found;
        }
        if first.len() > LONGEST_LINE {
            found.push(Written { line, text: shown(trimmed), request: Err("this line is longer than 8000 bytes") });
        } else if curl::is_command(trimmed) {
            let begin = rest.find("curl").unwrap_or_default();
            let (request, bytes) = curl::read(rest.get(begin..).unwrap_or_default());
            // A command that has no end takes its first line along and nothing else.
            taken = bytes.map_or(taken, |bytes| begin + bytes);
            let text = rest.get(begin..taken.min(rest.len())).unwrap_or(first);
            found.push(Written { line, text: shown(text), request });
        } else if !trimmed.is_empty() && !trimmed.starts_with('#') {
            found.push(Written { line, text: shown(trimmed), request: one_line(trimmed) });
        }
        line += rest.get(..taken.min(rest.len())).unwrap_or_default().matches('\n').count();
        rest = rest.get(taken..).unwrap_or_default();
    }
    found
}

/// `GET /cards/42`, with or without `HTTP/1.1` behind; a path or URL alone is read.
fn one_line(line: &str) -> Result<(String, Target), &'static str> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some(target), None) if target.contains('/') => Ok(("GET".to_owned(), Target::parse(target)?)),
        (Some(method), Some(target))
            if target.contains('/') && method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') =>
        {
            Ok((method.to_ascii_uppercase(), Target::parse(target)?))
        }
        _ => Err("write a method and a path, such as `GET /cards/42`, or a curl command"),
    }
}

/// The beginning of what was read, fit for a page.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(SHOWN).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    quoted(&short)
}
