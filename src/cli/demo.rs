//! `portcullis demo`: everything in one process, to be tried in a minute.

use super::failure::Failure;
use crate::app::DemoOptions;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Try it: a gateway with an embedded store, a sample API behind it and one key
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where the control API and the workbench listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    control: SocketAddr,

    /// Where metrics and probes listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    metrics: SocketAddr,

    /// Keep keys and tokens here [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Stand in front of this API instead of the sample
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// That API's OpenAPI document: its operations become permissions
    #[arg(long, value_name = "FILE", requires = "upstream")]
    openapi: Option<PathBuf>,

    /// Print the facts as one JSON object
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { listen, control, metrics, data_dir, upstream, openapi, json } = self;
        Ok(crate::app::demo(&DemoOptions { listen, control, metrics, data_dir, upstream, openapi, json })?)
    }
}
