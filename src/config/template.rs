//! `portcullis init`: a commented configuration to start from.
//!
//! The node's file is the reference itself, `conf/portcullis.toml`, so that there is one text to keep true.

use super::documents::{DocumentError, Documents, read_document};
use crate::model::{BaseUrlError, UpstreamUrl};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const NODE: &str = include_str!("../../conf/portcullis.toml");
const TENANT: &str = include_str!("tenant_template.toml");

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is there already; nothing was written.
    #[error("`{}` exists already; nothing was written", .0.display())]
    Exists(PathBuf),
    /// The OpenAPI document cannot be read or gives no permissions; nothing was written.
    #[error("`{}`: {error}; nothing was written", .file.display())]
    OpenApi {
        /// The document.
        file: PathBuf,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// The upstream is not a URL; nothing was written.
    #[error("upstream {0}; nothing was written")]
    Upstream(#[from] BaseUrlError),
    /// A file or folder cannot be written.
    #[error("`{}` cannot be written: {error}", .file.display())]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Writes `portcullis.toml`, `tenants/main.toml` and, where a document is given, a copy of it beside the latter.
/// Answers the files it wrote. [`load`](super::load) accepts them as they are.
///
/// # Errors
///
/// Everything that can be known beforehand is checked before the first file is written; no file is overwritten.
pub fn init(dir: &Path, upstream: &str, openapi: Option<&Path>) -> Result<Vec<PathBuf>, InitError> {
    let upstream = UpstreamUrl::parse(upstream)?;
    let document = openapi.map(document).transpose()?;
    let tenants = dir.join("tenants");
    let name = document.as_ref().map(|(name, _)| name.as_str());
    let mut files = vec![
        (dir.join("portcullis.toml"), NODE.as_bytes().to_vec()),
        (tenants.join("main.toml"), tenant_text(&upstream, name).into_bytes()),
    ];
    files.extend(document.map(|(name, bytes)| (tenants.join(name), bytes)));
    if let Some((file, _)) = files.iter().find(|(file, _)| file.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(file.clone()));
    }
    std::fs::create_dir_all(&tenants).map_err(|error| InitError::Write { file: tenants.clone(), error })?;
    for (file, bytes) in &files {
        write_new(file, bytes)?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

/// What a copy of a document is called in a tenants folder: `stem`, then what it is. It keeps its own extension; one
/// without a known extension is told by how it begins.
pub fn document_name(stem: &str, file: &Path, document: &[u8]) -> String {
    let own = file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let begins = document.trim_ascii_start().first();
    let extension = match own.as_deref() {
        Some(known @ ("json" | "yaml" | "yml")) => known,
        Some(_) | None if begins == Some(&b'{') => "json",
        Some(_) | None => "yaml",
    };
    format!("{stem}.openapi.{extension}")
}

/// A sound document, and what its copy is called.
fn document(file: &Path) -> Result<(String, Vec<u8>), InitError> {
    let error = |error| InitError::OpenApi { file: file.to_owned(), error };
    let bytes = read_document(file).map_err(error)?;
    Documents::default().import(&bytes, "").map_err(|invalid| error(DocumentError::Import(invalid)))?;
    Ok((document_name("main", file, &bytes), bytes))
}

fn tenant_text(upstream: &UpstreamUrl, document: Option<&str>) -> String {
    let openapi = if document.is_some() { "openapi" } else { "# openapi" };
    let name = document.unwrap_or("main.openapi.json");
    TENANT.replace("@UPSTREAM@", &upstream.to_string()).replace("@OPENAPI@", openapi).replace("@DOCUMENT@", name)
}

fn write_new(file: &Path, bytes: &[u8]) -> Result<(), InitError> {
    let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut f| f.write_all(bytes));
    written.map_err(|error| InitError::Write { file: file.to_owned(), error })
}
