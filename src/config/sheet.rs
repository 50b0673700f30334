//! One file as it was read: its text, where its lines start, and what was found wrong with it. Or one JSON document,
//! whose places are pointers instead of lines.

use super::Problem;
use super::json::Pointers;
use super::sources::{ReadFault, Reading};
use crate::model::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// So many characters of what is wrong are told.
const LONGEST_MESSAGE: usize = 1000;

/// A file under judgement. Problems gather in it, so that readers of its parts need nothing but a shared reference.
pub(super) struct Sheet {
    file: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    /// Of a JSON document: its places, whose numbers stand for lines.
    pointers: Option<Pointers>,
    reading: Arc<Reading>,
    problems: RefCell<Vec<Found>>,
    notes: RefCell<Vec<Problem>>,
    broken: RefCell<BTreeSet<usize>>,
}

/// A problem at its place.
pub(super) struct Found {
    /// Another file than the sheet's own, which this one names.
    pub(super) file: Option<PathBuf>,
    /// The line, or the number of a place in JSON.
    pub(super) line: usize,
    /// A member that is missing there.
    pub(super) missing: Option<&'static str>,
    /// The stable name of its kind.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
}

/// What a parser says of a value is told by this code.
const VALUE: &str = "value_invalid";

impl Sheet {
    /// Reads a file. One that cannot be read is an empty sheet with a problem.
    pub(super) fn open(file: &Path, reading: &Arc<Reading>) -> Self {
        match reading.text(file, MAX_FILE_BYTES) {
            Ok(text) => Self::new(file, text, reading),
            Err(fault) => {
                let sheet = Self::new(file, String::new(), reading);
                sheet.syntax(fault.line, fault.message);
                sheet
            }
        }
    }

    fn new(file: &Path, text: String, reading: &Arc<Reading>) -> Self {
        let line_starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect();
        Self {
            file: file.to_owned(),
            text,
            line_starts,
            pointers: None,
            reading: Arc::clone(reading),
            problems: RefCell::default(),
            notes: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// A JSON document with these places. It names no other file.
    pub(super) fn of_json(pointers: Pointers) -> Self {
        let reading = Arc::new(Reading::new(Timestamp::EPOCH));
        Self { pointers: Some(pointers), ..Self::new(Path::new(""), String::new(), &reading) }
    }

    /// Whether it is a JSON document: what came through the control API, not a file.
    pub(super) const fn is_json(&self) -> bool {
        self.pointers.is_some()
    }

    /// The text of another file that this one names, of at most [`MAX_FILE_BYTES`].
    pub(super) fn read_text(&self, file: &Path) -> Result<String, ReadFault> {
        self.reading.text(file, MAX_FILE_BYTES)
    }

    /// The bytes of another file that this one names, at most `limit`.
    pub(super) fn read_bytes(&self, file: &Path, limit: u64) -> Result<Vec<u8>, ReadFault> {
        self.reading.bytes(file, limit)
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Its text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte, from 1. Places in JSON are numbered as they stand.
    pub(super) fn line(&self, byte: usize) -> usize {
        if self.is_json() {
            return byte;
        }
        self.line_starts.partition_point(|start| *start <= byte) + 1
    }

    /// A path that the file names, resolved against the file's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Something is not TOML: from here on what is absent may only have been swallowed.
    pub(super) fn syntax(&self, line: usize, message: impl Into<String>) {
        // The parser's recovery stumbles again over the rest of a broken line.
        if self.broken.borrow_mut().insert(line) {
            self.push(line, None, VALUE, message.into());
        }
    }

    /// A value is wrong where it stands. On a line that is not TOML that is said already.
    pub(super) fn problem(&self, line: usize, message: impl Into<String>) {
        self.coded(line, VALUE, message);
    }

    /// The same, of a kind that has a name.
    pub(super) fn coded(&self, line: usize, code: &'static str, message: impl Into<String>) {
        if !self.broken.borrow().contains(&line) {
            self.push(line, None, code, message.into());
        }
    }

    /// A key that is needed is not in the table on this line; kept back in a broken file, where it may only have been
    /// swallowed.
    pub(super) fn missing_key(&self, line: usize, key: &'static str, message: impl Into<String>) {
        if self.broken.borrow().is_empty() {
            self.push(line, Some(key), "field_required", message.into());
        }
    }

    /// Something that is needed is not there; kept back in a broken file, where it may only have been swallowed.
    pub(super) fn missing(&self, line: usize, message: impl Into<String>) {
        self.missing_coded(line, VALUE, message);
    }

    /// The same, of a kind that has a name.
    pub(super) fn missing_coded(&self, line: usize, code: &'static str, message: impl Into<String>) {
        if self.broken.borrow().is_empty() {
            self.push(line, None, code, message.into());
        }
    }

    /// Something is wrong in another file that this one names.
    pub(super) fn problem_in(&self, file: &Path, line: usize, message: impl Into<String>) {
        self.found(Found { file: Some(file.to_owned()), line, missing: None, code: VALUE, message: message.into() });
    }

    /// Something to know, and no mistake.
    pub(super) fn note(&self, line: usize, message: impl Into<String>) {
        self.notes.borrow_mut().push(Problem { file: self.file.clone(), line, message: message.into() });
    }

    /// What there is to know of a file, in the order found.
    pub(super) fn take_notes(&self) -> Vec<Problem> {
        self.notes.take()
    }

    fn push(&self, line: usize, missing: Option<&'static str>, code: &'static str, message: String) {
        self.found(Found { file: None, line, missing, code, message });
    }

    fn found(&self, mut found: Found) {
        // A name or value may be as long as its file.
        if let Some((end, _)) = found.message.char_indices().nth(LONGEST_MESSAGE) {
            found.message.truncate(end);
            found.message.push('…');
        }
        self.problems.borrow_mut().push(found);
    }

    /// A result's value, or its error as a problem.
    pub(super) fn accept<T, E: std::fmt::Display>(&self, line: usize, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(line, error.to_string())).ok()
    }

    /// Whether nothing was found wrong so far.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// How much was found wrong so far.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// What was found wrong in a file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let Self { file, problems, .. } = self;
        let found = problems.into_inner().into_iter();
        let problem = |found: Found| Problem {
            file: found.file.unwrap_or_else(|| file.clone()),
            line: found.line,
            message: found.message,
        };
        found.map(problem).collect()
    }

    /// What was found wrong in a JSON document, in the order found, and its places.
    pub(super) fn into_found(self) -> (Vec<Found>, Pointers) {
        (self.problems.into_inner(), self.pointers.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_lines() {
        let sheet =
            Sheet::new(Path::new("x"), "ab\ncd\n\nef".to_owned(), &Arc::new(Reading::new(Timestamp::from_unix(0))));
        let lines: Vec<usize> = (0..10).map(|byte| sheet.line(byte)).collect();
        assert_eq!(lines, [1, 1, 1, 2, 2, 2, 3, 4, 4, 4]);
    }
}
