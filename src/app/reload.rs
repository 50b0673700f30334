//! Reloading: tenant files are read again, checked, built aside and swapped in whole; a failure keeps the old tables.
//!
//! A HUP, `POST /v1/reload`, `portcullis reload` and files that change all come here, one at a time.

use super::changes;
use super::node::Shared;
use super::stored::{Stored, StoredError, stored_environments};
use crate::config::{Config, Documents, Loaded, NodeConfig, Problems, Sources};
use crate::control::Reloaded;
use crate::{clock, config};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Reads the node's files again, one reload at a time.
pub(super) struct Reloader {
    shared: Shared,
    path: Option<PathBuf>,
    /// What the node was started with.
    started: NodeConfig,
    read: Arc<tokio::sync::Mutex<Read>>,
    attempted: Notify,
}

/// What was read last, whether it was good or not. Whoever holds it has the turn.
struct Read {
    sources: Sources,
    /// They are not served, though nothing is wrong with them: something else stood in the way, or still does.
    again: bool,
}

/// Whoever wanted a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The control API.
    Asked,
    /// A file changed.
    Change,
    /// A HUP.
    Hangup,
}

impl Cause {
    const fn words(self) -> &'static str {
        match self {
            Self::Asked => "asked for",
            Self::Change => "files changed",
            Self::Hangup => "HUP",
        }
    }
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The files have problems.
    #[error("{0}")]
    Files(Problems),
    /// There is nothing to read, or something else went wrong.
    #[error("{0:#}")]
    Other(anyhow::Error),
    /// The store's environments do not go with the files. One line each.
    #[error("{}", .0.join("\n"))]
    Stored(Vec<String>),
    /// One of these, where there are certificates.
    #[error("{0}\n{1}")]
    BesideCertificates(Box<ReloadError>, &'static str),
}

const TAKEN: &str = "certificates were taken over all the same";
const NOT_TAKEN: &str = "certificates were not taken over either";

impl ReloadError {
    /// What is wrong, one thing a line.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Files(Problems(problems)) => {
                let mut lines: Vec<String> = problems.iter().take(Problems::LISTED).map(ToString::to_string).collect();
                if let Some(next) = problems.get(Problems::LISTED) {
                    let more = problems.len() - Problems::LISTED;
                    lines.push(format!("{}:{}: here and below, {more} more", next.file.display(), next.line));
                }
                lines
            }
            Self::Other(error) => vec![format!("{error:#}")],
            Self::Stored(lines) => lines.clone(),
            Self::BesideCertificates(error, said) => {
                let mut lines = error.lines();
                lines.push((*said).to_owned());
                lines
            }
        }
    }
}

/// The paths that a configuration was read from.
pub(super) struct Paths {
    pub(super) files: Vec<PathBuf>,
    /// Those of which every file is news.
    pub(super) folders: Vec<PathBuf>,
}

impl Reloader {
    /// `path` is read again, `started` and `sources` are what it gave at the start.
    pub(super) fn new(shared: Shared, path: Option<PathBuf>, started: NodeConfig, sources: Sources) -> Self {
        let read = Arc::new(tokio::sync::Mutex::new(Read { sources, again: false }));
        Self { shared, path, started, read, attempted: Notify::new() }
    }

    /// Reloads, and says in log, metric and probe how it went.
    pub(super) async fn reload(&self, cause: Cause) -> Result<Reloaded, ReloadError> {
        let mut read = self.read.lock().await;
        self.reload_in_turn(&mut read, cause).await
    }

    /// Reloads if the files say something else than what was read last and, with `again`, where the last reload failed
    /// for another reason than the files. Answers whether they do.
    pub(super) async fn reload_if_changed(&self, cause: Cause, again: bool) -> bool {
        let mut read = Arc::clone(&self.read).lock_owned().await;
        let compared = tokio::task::spawn_blocking(move || {
            let changed = read.sources.have_changed(clock::now());
            (read, changed)
        });
        let Ok((mut read, changed)) = compared.await else { return false };
        if changed || (again && read.again) {
            // Log, metric and probe are told.
            let _ = self.reload_in_turn(&mut read, cause).await;
        }
        changed
    }

    /// From where something was read last.
    pub(super) async fn paths(&self) -> Paths {
        let read = self.read.lock().await;
        let owned = |path: &std::path::Path| path.to_owned();
        Paths { files: read.sources.paths().map(owned).collect(), folders: read.sources.folders().map(owned).collect() }
    }

    /// Waits until something was read again.
    pub(super) async fn attempted(&self) {
        self.attempted.notified().await;
    }

    async fn reload_in_turn(&self, read: &mut Read, cause: Cause) -> Result<Reloaded, ReloadError> {
        let mut certificates = NOT_TAKEN;
        let result = self.attempt(read, &mut certificates).await.map_err(|error| match self.shared.tls.is_empty() {
            true => error,
            false => ReloadError::BesideCertificates(Box::new(error), certificates),
        });
        self.shared.metrics.count_reload(result.is_ok());
        match &result {
            Ok(reloaded) => {
                self.shared.probes.reloaded(clock::now(), reloaded);
                tell(reloaded, cause);
            }
            Err(error) => {
                self.shared.probes.reload_failed(clock::now(), error.lines());
                tracing::error!("reload ({}) failed, the tables before it serve: {error}", cause.words());
            }
        }
        if cause != Cause::Change {
            self.attempted.notify_one();
        }
        result
    }

    async fn attempt(&self, read: &mut Read, certificates: &mut &'static str) -> Result<Reloaded, ReloadError> {
        let other = |error: anyhow::Error| ReloadError::Other(error);
        let path = self.path.clone().ok_or_else(|| other(anyhow::anyhow!("there is no file to read")))?;
        let documents = Arc::clone(&self.shared.documents);
        let loading = tokio::task::spawn_blocking(move || load_whole(&path, &documents));
        let (loaded, whole) = loading.await.map_err(|error| other(error.into()))?;
        // Until all of it is served this is not over: files that are good are tried again.
        *read = Read { sources: loaded.sources, again: loaded.config.is_ok() || !whole };
        if !whole {
            return Err(other(anyhow::anyhow!("files go on changing while they are read")));
        }
        let shared = &self.shared;
        // First: a new certificate must not wait for a store that is away, nor for what a tenant's file says.
        if let Some(node) = &loaded.node {
            shared.tls.swap(node).map_err(|error| other(error.into()))?;
            *certificates = TAKEN;
        }
        let Config { node, organizations, notes: _ } = loaded.config.map_err(ReloadError::Files)?;
        let turn = shared.tables.change_world().await;
        let stored = stored_environments(shared.store.as_ref(), &shared.documents, &organizations).await;
        let Stored { environments, mut warnings } = stored.map_err(|error| match error {
            StoredError::Problems(lines) => ReloadError::Stored(lines),
            StoredError::Store(error) => other(error.into()),
        })?;
        let plan = turn.plan(organizations, environments).map_err(|error| other(error.into()))?;
        // Before the swap: the first request to a new upstream must find its address.
        shared.upstreams.learn(&plan.changes().fresh()).await;
        let adopted = turn.adopt(plan, shared.store.as_ref()).await;
        let changes = adopted.map_err(|error| other(error.into()))?;
        read.again = false;
        let changes = changes::told(&changes, shared.store.as_ref(), clock::now()).await;
        warnings.extend(node.control.namelessness());
        let needs_restart = self.started.needs_restart(&node).into_iter().map(str::to_owned).collect();
        Ok(Reloaded { needs_restart, warnings, changes })
    }
}

/// So often files are read that change meanwhile.
const READINGS: usize = 3;
/// What a writer gets to finish.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Reads the files until they are the same after the reading as before it, or too often: one file of yesterday beside
/// one of today is a state that nobody wrote. Whether they were the same.
fn load_whole(path: &std::path::Path, documents: &Documents) -> (Loaded, bool) {
    let mut readings = 1;
    loop {
        let mut loaded = config::load_with_sources(path, clock::now(), documents);
        if !loaded.sources.have_changed(clock::now()) {
            return (loaded, true);
        }
        if readings == READINGS {
            return (loaded, false);
        }
        readings += 1;
        std::thread::sleep(PAUSE);
    }
}

fn tell(reloaded: &Reloaded, cause: Cause) {
    tracing::info!("reloaded ({})", cause.words());
    if !reloaded.needs_restart.is_empty() {
        tracing::warn!(
            "changed in the node's file, and taken over by a restart only: {}",
            reloaded.needs_restart.join(", ")
        );
    }
    for warning in &reloaded.warnings {
        tracing::warn!("{warning}");
    }
}

/// What the edge calls at a HUP. Those that come while one is waiting for its turn are one with it.
pub(super) fn on_hangup(runtime: &Handle, reloader: Arc<Reloader>) -> Box<dyn Fn() + Send + Sync> {
    let asked = Arc::new(Notify::new());
    let asking = Arc::clone(&asked);
    runtime.spawn(async move {
        loop {
            asked.notified().await;
            // Log, metric and probe have been told.
            let _ = reloader.reload(Cause::Hangup).await;
        }
    });
    Box::new(move || asking.notify_one())
}
