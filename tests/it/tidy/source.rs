//! Rust text as the tidy tests read it: comments and literals blanked, tests told from code.

use super::repository;
use std::path::{Path, PathBuf};

/// One file.
pub(super) struct Source {
    /// Relative to the repository, with `/`.
    pub(super) path: String,
    /// As it stands in the file.
    pub(super) text: String,
    /// The same lines with comments and the insides of literals blanked.
    code: String,
    /// The first line of `mod tests {`, or one past the last line.
    tests_from: usize,
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// Every `.rs` file below `top`, sorted.
pub(super) fn sources(top: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&repository().join(top), &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    assert!(!files.is_empty(), "no Rust files below `{top}`");
    files.iter().map(|path| Source::read(path)).collect()
}

/// Every file below `path`.
pub(super) fn walk(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display())) {
        walk(&entry.unwrap().path(), files);
    }
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let relative = path.strip_prefix(repository()).unwrap().to_string_lossy().replace('\\', "/");
        Self::new(relative, text)
    }

    fn new(path: String, text: String) -> Self {
        let code = blank(&text);
        let marked = code.lines().position(|line| line.starts_with("mod tests {"));
        let all_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let tests_from = if all_tests { 1 } else { marked.map_or(usize::MAX, |index| index + 1) };
        Self { path, text, code, tests_from }
    }

    /// `edge` for `src/edge/gate.rs`, `app` for `src/app.rs`.
    pub(super) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or_default()
    }

    /// Numbered lines of code, tests aside.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines()).take_while(|(number, _)| *number < self.tests_from)
    }

    /// Where a word stands in code, tests aside.
    pub(super) fn places(&self, word: &str) -> Vec<String> {
        self.lines().filter(|(_, line)| has_word(line, word)).map(|(number, _)| self.place(number, word)).collect()
    }

    /// Where a word stands in code, tests included.
    pub(super) fn places_anywhere(&self, word: &str) -> Vec<String> {
        let lines = (1..).zip(self.code.lines()).filter(|(_, line)| has_word(line, word));
        lines.map(|(number, _)| self.place(number, word)).collect()
    }

    /// Where a text stands outside of comment lines, literals included, tests aside.
    pub(super) fn places_in_text(&self, text: &str) -> Vec<String> {
        let lines = (1..).zip(self.text.lines()).take_while(|(number, _)| *number < self.tests_from);
        let spoken = lines.filter(|(_, line)| !line.trim_start().starts_with("//") && line.contains(text));
        spoken.map(|(number, _)| self.place(number, text)).collect()
    }

    fn place(&self, number: usize, word: &str) -> String {
        format!("{}:{number}: `{}`", self.path, word.trim())
    }

    /// What `crate::...` paths name (`store`, `model::A`), with their lines, tests aside.
    pub(super) fn imports(&self) -> Vec<(usize, String)> {
        let code: String = self.lines().flat_map(|(_, line)| [line, "\n"]).collect();
        let mut found = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            // `$crate::` of a macro and `my_crate::` are something else.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            found.extend(paths(&code[at + "crate::".len()..]).into_iter().map(|path| (line, path)));
        }
        found
    }

    /// Every function with a body, tests included.
    pub(super) fn functions(&self) -> Vec<Function> {
        let starts = self.code.match_indices("fn ").filter(|(at, _)| !self.code[..*at].ends_with(is_word));
        starts.filter_map(|(at, _)| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let rest = &self.code[at + 3..];
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            return None;
        }
        let line = self.code[..at].matches('\n').count() + 1;
        let length = body_end(rest)?;
        Some(Function { name, line, lines: rest[..length].matches('\n').count() + 1 })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `line` on its own, not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = word.starts_with(is_word) && line[..at].ends_with(is_word);
        let after = word.ends_with(is_word) && line[at + word.len()..].starts_with(is_word);
        !before && !after
    })
}

/// `a::b` of `a::b`, `a::b` and `c` of `{a::b, c}`; a group further in ends a path: `a::` of `a::{b, c}`.
fn paths(path: &str) -> Vec<String> {
    let segment = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c) || *c == ':').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![segment(path)] };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.into_iter().map(segment).filter(|part| !part.is_empty()).collect()
}

/// Where the body after `fn ` ends; `None` for a declaration without one.
fn body_end(rest: &str) -> Option<usize> {
    let (mut braces, mut others) = (0usize, 0usize);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            ';' if braces == 0 && others == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Comments and the insides of literals as spaces; line ends stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        for c in &chars[at..end.unwrap_or(at + 1)] {
            code.push(if end.is_none() || *c == '\n' { *c } else { ' ' });
        }
        at = end.unwrap_or(at + 1);
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `None` where none begins.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let word_before = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if chars.get(at + 1) == Some(&'/') => Some(find(chars, at, |rest| rest[0] == '\n')),
        '/' if chars.get(at + 1) == Some(&'*') => Some(find(chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2),
        'r' if !word_before || chars[at - 1] == 'b' => raw_end(chars, at),
        '"' => Some(quoted_end(chars, at, '"')),
        // A lifetime has no closing quote two or more places on.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            Some(quoted_end(chars, at, '\''))
        }
        _ => None,
    }
    .map(|end| end.min(chars.len()))
}

fn find(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| found(&chars[*at..])).unwrap_or(chars.len())
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut at = at + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"..."`, `r#"..."#` and so on.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    Some(find(chars, at + 2 + hashes, |rest| rest.starts_with(&close)) + close.len())
}

#[test]
fn words_in_comments_and_literals_do_not_count() {
    let text = "//! tokio\nfn a<'x>(b: &'x str) -> char { /* tokio */ let _ = (\"tokio\\\"\", r#\"tokio\"#); '{' }\nuse tokio;\n";
    let source = Source::new("src/access/a.rs".to_owned(), text.to_owned());
    assert_eq!(source.places("tokio"), ["src/access/a.rs:3: `tokio`"]);
    let functions = source.functions();
    assert_eq!((functions.len(), functions[0].name.as_str(), functions[0].line, functions[0].lines), (1, "a", 2, 1));
}

#[test]
fn imports_are_seen_in_every_form() {
    let text = "use crate::{\n    model::{A, B},\n    store,\n};\nfn f() -> [u8; 2] { crate::edge::g() }\n\
                #[cfg(test)]\nmod tests {\n    use crate::app;\n}\n";
    let source = Source::new("src/access/a.rs".to_owned(), text.to_owned());
    let imports = source.imports();
    let seen: Vec<(usize, &str)> = imports.iter().map(|(line, room)| (*line, room.as_str())).collect();
    assert_eq!(seen, [(1, "model::"), (1, "store"), (5, "edge::g")]);
    assert_eq!(source.room(), "access");
}
