//! OpenAPI 3.0 and 3.1 and Swagger 2.0 documents, JSON or YAML, to permissions: each operation becomes one, named by
//! its `operationId`, else by method and path.
//!
//! [`import`] streams a document once and keeps what it needs (`sift`), finds the operations (`document`), writes
//! their paths as requests have them (`path`), makes one of those that are one on the wire (`operation`) and names
//! them (`naming`). Nothing is left out to get around a fault, and what is merged or odd is in the [`ImportReport`].
//! Parameters, schemas and security are left to others; servers are compared with the upstream, no more.

mod document;
mod error;
mod naming;
mod notes;
mod operation;
mod path;
mod pointer;
mod server;
mod sift;
mod syntax;

pub use error::ImportError;

use crate::model::{ImportNote, ImportReport, Method, NoteKind, OperationPattern, Permission, PermissionName};
use notes::Notes;
use server::Server;
use std::collections::HashSet;
use std::sync::Arc;

/// The largest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: u64 = 32 * 1024 * 1024;

/// The most paths, and the most operations, of one document.
pub const MAX_OPERATIONS: usize = 50_000;

/// What a document gave.
#[derive(Debug)]
pub struct Imported {
    /// The permissions that it declares, in the document's order.
    pub permissions: Arc<[Permission]>,
    /// How much there was, and what was odd.
    pub report: Arc<ImportReport>,
    names: HashSet<PermissionName>,
    servers: Vec<Server>,
    prefix: String,
}

impl Imported {
    /// Whether the document declares a permission of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// What is odd about the document in an environment whose upstreams have these base paths (empty, or such as
    /// `/api`), and whose OAuth endpoints are below this prefix.
    pub fn notes_for(&self, upstream_paths: &[&str], oauth_prefix: &str) -> Vec<ImportNote> {
        let server = upstream_paths.iter().find_map(|path| server::base_path_note(&self.servers, path, &self.prefix));
        let mut notes = Notes::default();
        let reserved = self.permissions.iter().flat_map(|permission| &permission.operations).filter(|operation| {
            let path = operation.pattern.path();
            let below = path.strip_prefix(oauth_prefix);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || path == "/.well-known/openid-configuration"
        });
        for operation in reserved {
            notes.add(NoteKind::ReservedPath, &self.place(&operation.pattern), || {
                format!(
                    "`{}` is answered by Portcullis itself, as all below `{oauth_prefix}` and the metadata: say \
                     another `oauth_prefix` if callers need the API's own",
                    operation.pattern
                )
            });
        }
        server.into_iter().chain(notes.done()).collect()
    }

    /// Where an operation stands, as far as its pattern tells.
    fn place(&self, pattern: &OperationPattern) -> String {
        let path = pattern.path().strip_prefix(&self.prefix).unwrap_or_default();
        let method = pattern.method().map_or("", Method::as_str).to_ascii_lowercase();
        pointer::below(&pointer::below("/paths", path), &method)
    }
}

/// The permissions that a document declares, with `prefix` (empty, or such as `/2.0`) before each path.
///
/// # Errors
///
/// The first thing that makes the document unusable, with its place. Nothing is left out to get around one: an
/// operation that is skipped would be one that nobody can be given.
pub fn import(document: &[u8], prefix: &str) -> Result<Imported, ImportError> {
    let document = document::read(&syntax::Source::new(document)?)?;
    let mut notes = document.notes;
    let found = operation::all(document.paths, prefix, &mut notes)?;
    let operations = found.len();
    if operations == 0 {
        return Err(ImportError::NoOperation);
    }
    let permissions = naming::permissions(found, &mut notes);
    let report = ImportReport {
        title: document.title,
        version: document.version,
        prefix: prefix.to_owned(),
        operations,
        permissions: permissions.len(),
        notes: notes.done(),
    };
    Ok(Imported {
        names: permissions.iter().map(|permission| permission.name.clone()).collect(),
        permissions: permissions.into(),
        report: Arc::new(report),
        servers: document.servers,
        prefix: prefix.to_owned(),
    })
}
