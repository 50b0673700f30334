//! Style, script and sign, embedded and named by what is in them: a browser keeps them for good.

use super::Bench;
use crate::model::hex;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// One file.
pub(super) struct Asset {
    /// Its path, such as `/assets/0123456789abcdef.css`.
    pub(super) path: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

/// All of them.
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) htmx: Asset,
    pub(super) icon: Asset,
}

impl Asset {
    fn new(ending: &str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        let digest = hex(&Sha256::digest(bytes));
        let name = digest.get(..16).unwrap_or_default();
        Self { path: format!("/assets/{name}.{ending}"), media_type, bytes }
    }
}

impl Assets {
    pub(super) fn new() -> Self {
        const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
        Self {
            style: Asset::new("css", "text/css; charset=utf-8", include_bytes!("assets/workbench.css")),
            script: Asset::new("js", JAVASCRIPT, include_bytes!("assets/workbench.js")),
            htmx: Asset::new("js", JAVASCRIPT, include_bytes!("assets/htmx.min.js")),
            icon: Asset::new("svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
        }
    }

    fn of_path(&self, name: &str) -> Option<&Asset> {
        let all = [&self.style, &self.script, &self.htmx, &self.icon];
        all.into_iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(name))
    }
}

/// Serves one of them, to anybody.
pub(super) async fn show(State(bench): State<Bench>, Path(name): Path<String>) -> Response {
    let Some(asset) = bench.assets.of_path(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A picture that is opened by itself runs nothing.
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ),
    ];
    (headers, asset.bytes).into_response()
}

/// What browsers ask for by themselves, where a page has not said where its sign is.
pub(super) async fn favicon(State(bench): State<Bench>) -> Response {
    axum::response::Redirect::permanent(&bench.assets.icon.path).into_response()
}
