//! Wiring: configuration to store, tables, listeners and services.
//!
//! PLACEHOLDER: `cli` already calls these; the rooms behind them arrive with their own branches.

use anyhow::bail;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `portcullis demo` was asked for.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where the control API and the workbench listen.
    pub control: SocketAddr,
    /// Where metrics and probes listen.
    pub metrics: SocketAddr,
    /// Where its state is kept; `None` is a folder that goes away with the process.
    pub data_dir: Option<PathBuf>,
    /// The API to stand in front of; `None` is the built-in sample.
    pub upstream: Option<String>,
    /// That API's OpenAPI document.
    pub openapi: Option<PathBuf>,
    /// Whether facts are printed as one JSON object instead of prose.
    pub json: bool,
}

/// What `portcullis init` was asked for.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The API to stand in front of.
    pub upstream: String,
    /// That API's OpenAPI document.
    pub openapi: Option<PathBuf>,
    /// The folder that the configuration is written to.
    pub dir: PathBuf,
}

/// How a client command on the node's own machine reaches its control API.
#[derive(Clone)]
pub struct ControlAccess {
    /// Its address, such as `http://127.0.0.1:9080`.
    pub server: String,
    /// The bootstrap token's file, whether it is there or not.
    pub bootstrap_token: PathBuf,
}

/// Runs a node until it is told to stop.
pub fn serve(_config: &Path) -> anyhow::Result<()> {
    bail!("`serve` is not wired yet")
}

/// Runs gateway, store and sample API until told to stop.
pub fn demo(_options: &DemoOptions) -> anyhow::Result<()> {
    bail!("`demo` is not wired yet")
}

/// Every problem of a configuration, one line each (`file:line: message`); none means that a node would start.
pub fn check(_config: &Path) -> anyhow::Result<Vec<String>> {
    bail!("`check` is not wired yet")
}

/// Writes a commented configuration to start from; returns the files it wrote.
pub fn init(_options: &InitOptions) -> anyhow::Result<Vec<PathBuf>> {
    bail!("`init` is not wired yet")
}

/// Where the node of this configuration listens for control, and where it leaves its bootstrap token.
pub fn control_access(_config: &Path) -> anyhow::Result<ControlAccess> {
    bail!("reading the control address from a configuration file is not wired yet; use --server")
}
