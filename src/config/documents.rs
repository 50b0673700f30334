//! OpenAPI documents that were imported, each once: ten thousand environments on one document share what it gave, and
//! a reload imports nothing that has not changed.

use super::Problem;
use super::reader::{At, Value};
use super::sheet::Sheet;
use super::sources::{ReadFault, read_bytes};
use crate::catalogue::openapi::{self, ImportError, Imported, MAX_DOCUMENT_BYTES};
use crate::model::{ImportNote, ImportReport, Upstream};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The OpenAPI document that was sent for an environment.
#[derive(Clone, Copy)]
pub struct GivenDocument<'d> {
    /// The SHA-256 of its text.
    pub digest: [u8; 32],
    /// Its text.
    pub text: &'d str,
}

/// What documents gave, by their content. It lives as long as the node, and forgets what nobody uses.
#[derive(Debug, Default)]
pub struct Documents(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How many times files were read.
    reading: u64,
    imported: HashMap<Key, Entry>,
}

/// The content's SHA-256, and the path put before its operations.
type Key = ([u8; 32], String);

#[derive(Debug)]
struct Entry {
    imported: Arc<Imported>,
    /// The reading that asked for it last.
    reading: u64,
}

/// Why a file gives no permissions. The file's name is the caller's to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no document that can be imported.
    #[error(transparent)]
    Import(ImportError),
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// The bytes of a document's file.
///
/// # Errors
///
/// Where it cannot be read, or is too large to be imported; then it is not read.
pub fn read_document(file: &Path) -> Result<Vec<u8>, DocumentError> {
    read_bytes(file, MAX_DOCUMENT_BYTES).map_err(|ReadFault { message, .. }| DocumentError::Unreadable(message))
}

impl Documents {
    /// What a document gives, with `prefix` (empty, or such as `/2.0`) before each path; the same `Arc` for the same
    /// content for as long as somebody uses it.
    ///
    /// # Errors
    ///
    /// Where it is no OpenAPI document that can be read whole, with the place.
    pub fn import(&self, document: &[u8], prefix: &str) -> Result<Arc<Imported>, ImportError> {
        self.import_digested(Sha256::digest(document).into(), document, prefix)
    }

    /// The same for a document whose digest is known.
    fn import_digested(&self, digest: [u8; 32], document: &[u8], prefix: &str) -> Result<Arc<Imported>, ImportError> {
        let key = (digest, prefix.to_owned());
        if let Some(imported) = self.find(&key) {
            return Ok(imported);
        }
        // Not under the lock: a large document takes a while. Whoever comes second takes what the first one left.
        let imported = Arc::new(openapi::import(document, prefix)?);
        let mut known = self.lock();
        let reading = known.reading;
        let entry = known.imported.entry(key).or_insert(Entry { imported, reading });
        Ok(Arc::clone(&entry.imported))
    }

    /// The same of a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read whole, and as [`import`](Self::import).
    pub fn import_file(&self, file: &Path, prefix: &str) -> Result<Arc<Imported>, DocumentError> {
        let bytes = read_document(file)?;
        self.import(&bytes, prefix).map_err(DocumentError::Import)
    }

    fn find(&self, key: &Key) -> Option<Arc<Imported>> {
        let mut known = self.lock();
        let reading = known.reading;
        let entry = known.imported.get_mut(key)?;
        entry.reading = reading;
        Some(Arc::clone(&entry.imported))
    }

    /// Begins a reading of files.
    pub(super) fn begin(&self) {
        self.lock().reading += 1;
    }

    /// Ends it: what was asked for neither since it began nor after the one before (the environments of the store are read
    /// then), and what no environment holds, is forgotten.
    pub(super) fn forget_unused(&self) {
        let mut known = self.lock();
        let reading = known.reading;
        known.imported.retain(|_, entry| {
            let held = Arc::strong_count(&entry.imported.permissions) > 1 || Arc::strong_count(&entry.imported) > 1;
            entry.reading + 1 >= reading || held
        });
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held, and what it holds is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document of an environment.
pub(super) enum Document {
    /// It has none.
    Absent,
    /// It gives nothing, which is a problem in the sheet.
    Broken,
    /// What it gave, and the line that names it.
    Read(At<Arc<Imported>>),
}

/// Where the documents of environments come from while they are read, and what is noted about them.
pub(super) struct Imports<'d> {
    documents: &'d Documents,
    /// Stands in place of files: the document of an environment that is no file's.
    given: Option<GivenDocument<'d>>,
    files: RefCell<HashMap<File, Result<Arc<Imported>, DocumentError>>>,
    settings: RefCell<HashMap<Setting, Together>>,
    /// The documents whose oddities were told, by the address of what they gave.
    told: RefCell<HashSet<usize>>,
    notes: RefCell<Vec<Problem>>,
}

/// A file, and the path put before its operations.
type File = (PathBuf, String);

/// What an environment's notes depend on: what the document gave, by its address, then the paths of the upstreams and
/// the prefix of the OAuth endpoints. INVARIANT: `files` holds what was read, so that no address is used again.
type Setting = (usize, Vec<String>, String);

/// What there is to tell of a document in an environment.
struct Together {
    /// The document's own report with what is odd about the two together.
    report: Arc<ImportReport>,
    /// The latter, in lines for people.
    lines: Vec<String>,
}

impl Together {
    fn new(imported: &Imported, upstream_paths: &[String], oauth_prefix: &str) -> Self {
        let paths: Vec<&str> = upstream_paths.iter().map(String::as_str).collect();
        let own = imported.notes_for(&paths, oauth_prefix);
        if own.is_empty() {
            return Self { report: Arc::clone(&imported.report), lines: Vec::new() };
        }
        let lines = ImportNote::summary(&own);
        let mut report = ImportReport::clone(&imported.report);
        report.notes.extend(own);
        Self { report: Arc::new(report), lines }
    }
}

impl<'d> Imports<'d> {
    /// Documents are files that environments name.
    pub(super) fn of_files(documents: &'d Documents) -> Self {
        Self {
            documents,
            given: None,
            files: RefCell::default(),
            settings: RefCell::default(),
            told: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// The document of one environment, which comes from no file.
    pub(super) fn of_given(documents: &'d Documents, given: Option<GivenDocument<'d>>) -> Self {
        Self { given, ..Self::of_files(documents) }
    }

    /// The document of an environment; `value` names its file.
    pub(super) fn document(&self, sheet: &Sheet, value: Option<&Value<'_>>, prefix: &str) -> Document {
        if let Some(GivenDocument { digest, text }) = self.given {
            return match self.documents.import_digested(digest, text.as_bytes(), prefix) {
                Ok(value) => Document::Read(At { value, line: 1 }),
                Err(error) => {
                    sheet.coded(1, "openapi_invalid", error.to_string());
                    Document::Broken
                }
            };
        }
        let Some(value) = value else { return Document::Absent };
        let Some(At { value: path, line }) = value.path() else { return Document::Broken };
        match self.of_file(sheet, &path, prefix) {
            Ok(value) => Document::Read(At { value, line }),
            Err(error) => {
                value.problem(format!("`{}`: {error}", path.display()));
                Document::Broken
            }
        }
    }

    /// Each file is read once, however many environments name it.
    fn of_file(&self, sheet: &Sheet, path: &Path, prefix: &str) -> Result<Arc<Imported>, DocumentError> {
        let import = || {
            let read = sheet.read_bytes(path, MAX_DOCUMENT_BYTES);
            let bytes = read.map_err(|ReadFault { message, .. }| DocumentError::Unreadable(message))?;
            self.documents.import(&bytes, prefix).map_err(DocumentError::Import)
        };
        let mut files = self.files.borrow_mut();
        files.entry((path.to_owned(), prefix.to_owned())).or_insert_with(import).clone()
    }

    /// The report of an environment: the document's own, and what is odd about the two together. What the document
    /// itself has to tell is noted where it is named first.
    pub(super) fn report(
        &self,
        sheet: &Sheet,
        document: &At<Arc<Imported>>,
        upstream: &Upstream,
        oauth_prefix: &str,
    ) -> Arc<ImportReport> {
        let At { value: imported, line } = document;
        let address = Arc::as_ptr(imported).addr();
        if self.told.borrow_mut().insert(address) {
            self.note(sheet, *line, &ImportNote::summary(&imported.report.notes));
        }
        let paths = upstream.urls.iter().map(|url| url.path().to_owned()).collect();
        let mut settings = self.settings.borrow_mut();
        let together = settings
            .entry((address, paths, oauth_prefix.to_owned()))
            .or_insert_with_key(|(_, paths, oauth_prefix)| Together::new(imported, paths, oauth_prefix));
        self.note(sheet, *line, &together.lines);
        Arc::clone(&together.report)
    }

    fn note(&self, sheet: &Sheet, line: usize, lines: &[String]) {
        let note = |message: &String| Problem { file: sheet.file().to_owned(), line, message: message.clone() };
        self.notes.borrow_mut().extend(lines.iter().map(note));
    }

    /// What was noted, by file and line.
    pub(super) fn into_notes(self) -> Vec<Problem> {
        self.notes.into_inner()
    }
}
