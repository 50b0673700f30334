//! Wiring: configuration to store, tables, listeners and services.
//!
//! Store, control API and probes live on a runtime of our own that outlives everything else; the edge runs on
//! pingora's, started last and with loaded tables in hand.

mod actions;
mod certificates;
mod changes;
mod chores;
mod demo;
mod documents;
mod handover;
mod matching;
mod node;
mod offline;
mod panics;
mod probes;
mod reload;
mod revocations;
mod secrets;
mod serving;
mod signing;
mod stored;
mod supervisor;
mod watch;
mod words;

pub use demo::{DemoOptions, demo};
pub use documents::{DocumentReport, report_document};
pub use handover::{TakeOver, UpgradeOptions, upgrade};
pub use matching::{Matched, match_operation};
pub use offline::{Progress, StoreCopy, backup, make_operator_token, restore};

use crate::config::{self, Config, Documents, Problem, Problems};
use crate::{clock, tables::Tables, token};
use anyhow::Context;
use handover::Succession;
use node::{Ground, Node, Origin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervisor::Supervisor;

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
#[derive(Clone, Debug)]
pub struct ControlAccess {
    /// Its address, such as `http://127.0.0.1:9080`.
    pub server: String,
    /// The bootstrap token's file, whether it is there or not.
    pub bootstrap_token: PathBuf,
}

/// Runs a node until it is told to stop. Fails before it listens where the configuration has problems. With `take_over`
/// it goes on where the node that runs leaves off; where that fails, that one goes on.
pub fn serve(path: &Path, take_over: Option<TakeOver>) -> anyhow::Result<()> {
    if take_over.is_some_and(|it| it.detached) {
        // It was started by a shell, most likely, and leads a group already where this fails.
        let _ = rustix::process::setsid();
    }
    let ground = Ground::lay()?;
    let documents = Arc::new(Documents::default());
    let loaded = config::load_with_sources(path, clock::now(), &documents);
    let config = sound(path, loaded.config)?;
    words::start(config.node.log_format);
    let read = Some((path.to_owned(), loaded.sources));
    let told = config::environment_variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    let Some(take_over) = take_over else {
        let sockets = handover::passed(config::environment_variable("LISTEN_FDNAMES").as_deref())?;
        return Node::prepare(ground, config, documents, Origin::Given(sockets), read, Supervisor::new(told))?
            .run(None);
    };
    // Whoever started a detached one may be a service of its own: that one's manager has nothing to do with the node.
    let told = told.filter(|_| !take_over.detached);
    let (mut succession, sockets) = Succession::begin(&config.node.data_dir, take_over)?;
    if let Err(error) = succession.require_place(told.is_some()) {
        succession.fail(&error);
        return Err(error);
    }
    let supervisor = Supervisor::new(told.or_else(|| succession.notify_socket.take()));
    let node =
        Node::prepare(ground, config, documents, Origin::Succeeding(sockets), read, supervisor).and_then(|mut node| {
            node.stand_beside();
            succession.await_go()?;
            // Whoever ends it before its turn means it alone.
            anyhow::ensure!(!node.was_told_to_end(), "the process that was to take over was told to end");
            Ok(node)
        });
    match node {
        Ok(node) => node.run(Some(succession)),
        Err(error) => {
            succession.fail(&error);
            Err(error)
        }
    }
}

/// What a check of a configuration found, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// `file:line: message`; none means that a node would start.
    pub problems: Vec<String>,
    /// `file:line: note: message`: what the imports of OpenAPI documents have to tell. No problems.
    pub notes: Vec<String>,
}

/// Every problem of a configuration, and what is noted about its OpenAPI documents.
pub fn check(path: &Path) -> anyhow::Result<Checked> {
    let config = match config::load(path, clock::now(), &Documents::default()) {
        Ok(config) => config,
        Err(Problems(problems)) => {
            let problems = problems.iter().map(ToString::to_string).collect();
            return Ok(Checked { problems, notes: Vec::new() });
        }
    };
    let notes = config.notes.iter().map(Problem::to_note).collect();
    let key = token::SigningKey::generate(token::Algorithm::EdDsa)?;
    let built = Tables::of_files(config.organizations, Arc::new(token::SigningKeySet::new(key, [])));
    let problems = built.err().map(|error| format!("{}: {error}", config.node.tenants_dir.display()));
    Ok(Checked { problems: problems.into_iter().collect(), notes })
}

/// Writes a commented configuration to start from; returns the files it wrote.
pub fn init(options: &InitOptions) -> anyhow::Result<Vec<PathBuf>> {
    Ok(config::init(&options.dir, &options.upstream, options.openapi.as_deref())?)
}

/// Where the node of this configuration listens for control, and where it leaves its bootstrap token.
pub fn control_access(path: &Path) -> anyhow::Result<ControlAccess> {
    let config = load(path, &Documents::default())?;
    let address = config.node.control.bind.first().context("the configuration names no control listener")?;
    Ok(ControlAccess {
        server: config.node.control.url(*address),
        bootstrap_token: config.node.data_dir.join(crate::control::bootstrap::FILE),
    })
}

/// The document of the control API (OpenAPI 3.1), as every node serves it.
pub fn openapi_document() -> String {
    crate::control::openapi_document()
}

fn load(path: &Path, documents: &Documents) -> anyhow::Result<Config> {
    sound(path, config::load(path, clock::now(), documents))
}

fn sound(path: &Path, config: Result<Config, Problems>) -> anyhow::Result<Config> {
    config.map_err(|problems| {
        anyhow::anyhow!(
            "the configuration has problems\n{problems}\n`portcullis check --config {}` lists them as well",
            path.display()
        )
    })
}
