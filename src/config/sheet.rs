//! One file as it was read: its text, where its lines start, and what was found wrong with it.

use super::Problem;
use super::sources::{ReadFault, Reading};
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
    reading: Arc<Reading>,
    problems: RefCell<Vec<Problem>>,
    broken: RefCell<BTreeSet<usize>>,
}

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
        let (file, reading) = (file.to_owned(), Arc::clone(reading));
        Self { file, text, line_starts, reading, problems: RefCell::default(), broken: RefCell::default() }
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

    /// The line of a byte, from 1.
    pub(super) fn line(&self, byte: usize) -> usize {
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
            self.push(line, message.into());
        }
    }

    /// A value is wrong where it stands. On a line that is not TOML that is said already.
    pub(super) fn problem(&self, line: usize, message: impl Into<String>) {
        if !self.broken.borrow().contains(&line) {
            self.push(line, message.into());
        }
    }

    /// Something that is needed is not there; kept back in a broken file, where it may only have been swallowed.
    pub(super) fn missing(&self, line: usize, message: impl Into<String>) {
        if self.broken.borrow().is_empty() {
            self.push(line, message.into());
        }
    }

    /// Something is wrong in another file that this one names.
    pub(super) fn problem_in(&self, file: &Path, line: usize, message: impl Into<String>) {
        let mut message = message.into();
        // A name or value may be as long as its file.
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        self.problems.borrow_mut().push(Problem { file: file.to_owned(), line, message });
    }

    fn push(&self, line: usize, message: String) {
        self.problem_in(&self.file, line, message);
    }

    /// A result's value, or its error as a problem.
    pub(super) fn accept<T, E: std::fmt::Display>(&self, line: usize, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(line, error.to_string())).ok()
    }

    /// Whether nothing was found wrong so far.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// What was found wrong.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn bytes_have_lines() {
        let sheet =
            Sheet::new(Path::new("x"), "ab\ncd\n\nef".to_owned(), &Arc::new(Reading::new(Timestamp::from_unix(0))));
        let lines: Vec<usize> = (0..10).map(|byte| sheet.line(byte)).collect();
        assert_eq!(lines, [1, 1, 1, 2, 2, 2, 3, 4, 4, 4]);
    }
}
