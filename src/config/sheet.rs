//! One file as it was read: its text, where its lines start, and what was found wrong with it. Or one JSON document,
//! whose places are pointers instead of lines.

use super::Problem;
use super::json::Pointers;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A file under judgement. Problems gather in it, so that readers of its parts need nothing but a shared reference.
pub(super) struct Sheet {
    file: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    /// Of a JSON document: its places, whose numbers stand for lines.
    pointers: Option<Pointers>,
    problems: RefCell<Vec<Found>>,
    broken: RefCell<BTreeSet<usize>>,
}

/// A problem at its place.
pub(super) struct Found {
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
    pub(super) fn open(file: &Path) -> Self {
        match read_text(file) {
            Ok(text) => Self::new(file, text),
            Err(fault) => {
                let sheet = Self::new(file, String::new());
                sheet.syntax(fault.line, fault.message);
                sheet
            }
        }
    }

    fn new(file: &Path, text: String) -> Self {
        let line_starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect();
        Self {
            file: file.to_owned(),
            text,
            line_starts,
            pointers: None,
            problems: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// A JSON document with these places.
    pub(super) fn of_json(pointers: Pointers) -> Self {
        Self { pointers: Some(pointers), ..Self::new(Path::new(""), String::new()) }
    }

    /// Whether it is a JSON document: what came through the control API, not a file.
    pub(super) const fn is_json(&self) -> bool {
        self.pointers.is_some()
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

    fn push(&self, line: usize, missing: Option<&'static str>, code: &'static str, message: String) {
        self.problems.borrow_mut().push(Found { line, missing, code, message });
    }

    /// A result's value, or its error as a problem.
    pub(super) fn accept<T, E: std::fmt::Display>(&self, line: usize, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(line, error.to_string())).ok()
    }

    /// Whether nothing was found wrong so far.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// What was found wrong in a file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let Self { file, problems, .. } = self;
        let found = problems.into_inner().into_iter();
        found.map(|Found { line, message, .. }| Problem { file: file.clone(), line, message }).collect()
    }

    /// What was found wrong in a JSON document, in the order found, and its places.
    pub(super) fn into_found(self) -> (Vec<Found>, Pointers) {
        (self.problems.into_inner(), self.pointers.unwrap_or_default())
    }
}

/// Why a file gives no text.
pub(super) struct ReadFault {
    /// The line, from 1; 1 where the whole file is meant.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) message: String,
}

/// A whole text file of at most [`MAX_FILE_BYTES`].
pub(super) fn read_text(file: &Path) -> Result<String, ReadFault> {
    let bytes = read_bytes(file, MAX_FILE_BYTES)?;
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
        ReadFault { line, message: "is not UTF-8 text from this line on".to_owned() }
    })
}

/// A whole file of at most `limit` bytes, in MiB. One that says it is larger is not read at all.
pub(super) fn read_bytes(file: &Path, limit: u64) -> Result<Vec<u8>, ReadFault> {
    let fault = |message| ReadFault { line: 1, message };
    let unreadable = |error: std::io::Error| fault(format!("cannot be read: {error}"));
    let too_large = || fault(format!("is larger than {} MiB", limit >> 20));
    let opened = File::open(file).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // Its length may be another one by now, and pipes have none.
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_lines() {
        let sheet = Sheet::new(Path::new("x"), "ab\ncd\n\nef".to_owned());
        let lines: Vec<usize> = (0..10).map(|byte| sheet.line(byte)).collect();
        assert_eq!(lines, [1, 1, 1, 2, 2, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn files_of_the_limit_are_read_and_one_byte_more_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        let limit = usize::try_from(MAX_FILE_BYTES).unwrap();
        std::fs::write(&file, vec![b' '; limit]).unwrap();
        assert!(read_text(&file).is_ok());
        std::fs::write(&file, vec![b' '; limit + 1]).unwrap();
        assert_eq!(read_text(&file).err().unwrap().message, "is larger than 16 MiB");
    }

    #[test]
    fn text_that_is_not_utf8_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("latin1");
        std::fs::write(&file, b"a = 1\nb = 'caf\xe9'\n").unwrap();
        assert_eq!(read_text(&file).err().unwrap().line, 2);
    }
}
