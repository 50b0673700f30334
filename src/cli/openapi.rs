//! `portcullis openapi`: the document of the control API, from the very code that serves it.

use super::failure::Failure;
use super::output::print;

/// Print the control API's document (OpenAPI 3.1), as `/v1/openapi.json` serves it; asks no server
#[derive(clap::Args)]
pub(super) struct Openapi {}

impl Openapi {
    pub(super) fn run(&self) -> Result<(), Failure> {
        print(crate::app::openapi_document().trim_end())
    }
}
