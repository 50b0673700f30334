//! What SQLite and sqlx report, in the words of [`StoreError`]. Bound values never get into a message.

use crate::store::StoreError;
use sqlx::Error;
use sqlx::error::DatabaseError;

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>) that call for words of their own.
pub(super) mod code {
    pub(in crate::store::sqlite) const PERM: u32 = 3;
    pub(in crate::store::sqlite) const BUSY: u32 = 5;
    pub(in crate::store::sqlite) const READONLY: u32 = 8;
    pub(in crate::store::sqlite) const CORRUPT: u32 = 11;
    pub(in crate::store::sqlite) const FULL: u32 = 13;
    pub(in crate::store::sqlite) const CANTOPEN: u32 = 14;
    pub(in crate::store::sqlite) const NOTADB: u32 = 26;
}

/// The primary result code behind an error, if SQLite gave one.
pub(super) fn primary_code(error: &Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// An error of a statement.
pub(super) fn fault(error: Error) -> StoreError {
    match (&error, primary_code(&error)) {
        (Error::Database(cause), _) if is_name_taken(&**cause) => StoreError::NameTaken,
        (_, Some(code::CORRUPT | code::NOTADB)) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// SQLite names the columns of the index, not the index.
fn is_name_taken(cause: &dyn DatabaseError) -> bool {
    cause.is_unique_violation() && cause.message().contains("api_keys.name_folded")
}
