//! `portcullis init`: a commented configuration to start from.

use super::failure::Failure;
use super::options::JsonOption;
use super::output::{note, print, print_json};
use crate::app::InitOptions;
use serde_json::json;
use std::path::PathBuf;

/// Write a commented configuration to start from
#[derive(clap::Args)]
pub(super) struct Init {
    /// The API to stand in front of
    #[arg(long, value_name = "URL")]
    upstream: String,

    /// That API's OpenAPI document: its operations become permissions
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,

    /// The folder to write to
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    #[command(flatten)]
    json: JsonOption,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { upstream, openapi, dir, json } = self;
        let written = crate::app::init(&InitOptions { upstream, openapi, dir })?;
        if json.json {
            print_json(&json!({"files": written}))?;
        } else {
            written.iter().try_for_each(|path| print(&path.display().to_string()))?;
        }
        if let Some(config) = written.first() {
            note(&format!("next: portcullis check --config {0} && portcullis serve --config {0}", config.display()));
        }
        Ok(())
    }
}
