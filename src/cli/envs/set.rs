//! `portcullis envs set`.

use super::Context;
use super::show::print_environment;
use crate::cli::client::environment_path;
use crate::cli::failure::Failure;
use crate::cli::text_file;
use crate::model::Identifier;
use std::path::PathBuf;

/// Make an environment, or define it anew
///
/// For operators. The definition is the JSON form of `[environments.NAME]` in a tenant file, without `openapi` and `keys`;
/// presets and roles are part of it, the OpenAPI document (`catalogue set`) is not and stays. Environments that a tenant
/// file sets are changed there. A header of `set_headers` whose value is null keeps the value it has.
#[derive(clap::Args)]
pub(super) struct Set {
    /// The environment
    #[arg(value_name = "ID", value_parser = Identifier::parse)]
    id: Identifier,

    /// The definition, `-` for stdin
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

impl Set {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let definition = text_file::read_json("--file", &self.file)?;
        let environment = context.named(Some(&self.id))?;
        print_environment(&context.client.put(&environment_path(&environment, ""), &definition)?, context.json)
    }
}
