//! What an OpenAPI document would give an environment, told without any node.

use crate::catalogue::AccessClass;
use crate::config::Documents;
use crate::model::ImportReport;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;

/// What a document gives.
#[derive(Clone, Debug)]
pub struct DocumentReport {
    /// How much there is, and what is odd.
    pub report: Arc<ImportReport>,
    /// Permissions that only read.
    pub read: usize,
    /// Permissions that write.
    pub write: usize,
    /// Permissions that only delete.
    pub delete: usize,
}

/// Imports a document and tells of it. Fails where the file cannot be read, or is no document that can be imported.
pub fn report_document(file: &Path) -> anyhow::Result<DocumentReport> {
    let imported = Documents::default().import_file(file, "").with_context(|| format!("`{}`", file.display()))?;
    let count = |class| imported.permissions.iter().filter(|permission| AccessClass::of(permission) == class).count();
    Ok(DocumentReport {
        report: Arc::clone(&imported.report),
        read: count(AccessClass::Read),
        write: count(AccessClass::Write),
        delete: count(AccessClass::Delete),
    })
}
