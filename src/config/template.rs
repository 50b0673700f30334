//! `portcullis init`: a commented configuration to start from.
//!
//! The node's file is the reference itself, `conf/portcullis.toml`, so that there is one text to keep true.

use super::sheet::MAX_FILE_BYTES;
use super::sources::Reading;
use crate::catalogue::openapi::{ImportError, import};
use crate::model::{BaseUrlError, Timestamp, UpstreamUrl};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const NODE: &str = include_str!("../../conf/portcullis.toml");
const TENANT: &str = include_str!("tenant_template.toml");
const OPENAPI_FILE: &str = "main.openapi.json";

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is there already; nothing was written.
    #[error("`{}` exists already; nothing was written", .0.display())]
    Exists(PathBuf),
    /// The OpenAPI document gives no permissions; nothing was written.
    #[error("`{}`: {error}; nothing was written", .file.display())]
    OpenApi {
        /// The document.
        file: PathBuf,
        /// What is wrong with it.
        error: ImportError,
    },
    /// The OpenAPI document cannot be read; nothing was written.
    #[error("`{}`: {reason}; nothing was written", .file.display())]
    Unreadable {
        /// The document.
        file: PathBuf,
        /// Why.
        reason: String,
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
    let document = openapi.map(read_document).transpose()?;
    let tenants = dir.join("tenants");
    let mut files = vec![
        (dir.join("portcullis.toml"), NODE.to_owned()),
        (tenants.join("main.toml"), tenant_text(&upstream, document.is_some())),
    ];
    files.extend(document.map(|text| (tenants.join(OPENAPI_FILE), text)));
    if let Some((file, _)) = files.iter().find(|(file, _)| file.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(file.clone()));
    }
    std::fs::create_dir_all(&tenants).map_err(|error| InitError::Write { file: tenants.clone(), error })?;
    for (file, text) in &files {
        write_new(file, text)?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

fn read_document(file: &Path) -> Result<String, InitError> {
    let text = Reading::new(Timestamp::from_unix(0))
        .text(file, MAX_FILE_BYTES)
        .map_err(|fault| InitError::Unreadable { file: file.to_owned(), reason: fault.message })?;
    import(&text).map_err(|error| InitError::OpenApi { file: file.to_owned(), error })?;
    Ok(text)
}

fn tenant_text(upstream: &UpstreamUrl, has_openapi: bool) -> String {
    let openapi = if has_openapi { "openapi" } else { "# openapi" };
    TENANT.replace("@UPSTREAM@", &upstream.to_string()).replace("@OPENAPI@", openapi)
}

fn write_new(file: &Path, text: &str) -> Result<(), InitError> {
    let written =
        OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|error| InitError::Write { file: file.to_owned(), error })
}
