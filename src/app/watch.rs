//! Files that change are read again by themselves.
//!
//! What the system tells of files ([`notify`]) is only a wake-up, once it has become quiet; what decides is whether the
//! files say something else than what was read last ([`Reloader::reload_if_changed`]). So reading, touching or copying
//! a file over itself reloads nothing, and neither a lost event nor one too many does harm: files are compared every
//! [`POLL`] as well, for file systems that tell nothing.
//!
//! Watched are the folders that hold the names which decide what each path means ([`Trail`]), never the files: editors
//! and Kubernetes put new files in their places. The set is renewed after each reload and each wake-up.

mod trail;

use super::reload::{Cause, Paths, Reloader};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;
use trail::Trail;

/// How often files are compared where no event asks for it.
const POLL: Duration = Duration::from_secs(10);
/// Nothing was heard for so long: whoever writes has finished.
const QUIET: Duration = Duration::from_millis(200);
/// So long is waited for quiet at most.
const BURST: Duration = Duration::from_secs(2);
/// So long at most where a file is known to be open and written to: it is not whole yet.
const WRITING: Duration = Duration::from_secs(10);

/// Somebody who listens, from before the node says that it is there.
pub(super) struct Watch {
    reloader: Arc<Reloader>,
    news: Arc<News>,
    ears: Ears,
}

impl Watch {
    /// Starts to listen to the files that were read at the start.
    pub(super) fn open(reloader: Arc<Reloader>, paths: &Paths) -> Self {
        let news = Arc::new(News::default());
        let mut ears = Ears::open(&news);
        ears.listen_to(&news, paths);
        Self { reloader, news, ears }
    }

    /// Reloads whenever the files change, for as long as the runtime lives.
    pub(super) async fn run(self) {
        let Self { reloader, news, mut ears } = self;
        let mut polled = false;
        loop {
            if !polled {
                // What happened before the ears were open, or is still going on, is found once it is over.
                news.settled().await;
            }
            if reloader.reload_if_changed(Cause::Change, polled).await {
                polled = false;
            } else {
                polled = tokio::select! {
                    () = news.wake.notified() => false,
                    () = reloader.attempted() => false,
                    () = tokio::time::sleep(POLL) => true,
                };
            }
            if !polled {
                let (paths, news) = (reloader.paths().await, Arc::clone(&news));
                let renewed = tokio::task::spawn_blocking(move || {
                    ears.listen_to(&news, &paths);
                    ears
                });
                // It ends early with its runtime alone.
                let Ok(renewed) = renewed.await else { return };
                ears = renewed;
            }
        }
    }
}

/// What was heard, between notify's thread and the node's runtime.
#[derive(Default)]
struct News {
    wake: Notify,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    trail: Trail,
    /// Files that were written to and not closed since.
    being_written: BTreeSet<PathBuf>,
}

impl News {
    /// Called on notify's own thread.
    fn hear(&self, event: notify::Result<Event>) {
        let matters = match event {
            Ok(event) if event.need_rescan() => {
                // Events were lost, ends of writing among them.
                self.heard.lock().being_written.clear();
                true
            }
            Ok(event) => self.heard.lock().note(&event),
            Err(_) => true,
        };
        if matters {
            self.wake.notify_one();
        }
    }

    /// Waits until nothing is heard any more, and no file is being written.
    async fn settled(&self) {
        let began = Instant::now();
        loop {
            let quiet = tokio::time::timeout(QUIET, self.wake.notified()).await.is_err();
            let writing = !self.heard.lock().being_written.is_empty();
            let longest = if writing { WRITING } else { BURST };
            if (quiet && !writing) || began.elapsed() >= longest {
                self.heard.lock().being_written.clear();
                return;
            }
        }
    }
}

impl Heard {
    /// Whether an event may mean that a file says something else.
    fn note(&mut self, event: &Event) -> bool {
        let Self { trail, being_written } = self;
        let mut paths = event.paths.iter().filter(|path| trail.concerns(path)).peekable();
        if paths.peek().is_none() {
            return false;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => {
                paths.for_each(|path| {
                    being_written.remove(path);
                });
                true
            }
            EventKind::Modify(ModifyKind::Data(_)) => {
                being_written.extend(paths.cloned());
                true
            }
            EventKind::Modify(ModifyKind::Name(_)) => {
                // What was written under this name is another file now.
                paths.for_each(|path| {
                    being_written.remove(path);
                });
                true
            }
            EventKind::Access(_) => false,
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => true,
        }
    }
}

/// The system's watcher, and what it watches.
struct Ears {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    complained: bool,
}

/// By what a folder is told from another one in its place.
type Identity = (u64, u64, Option<SystemTime>);

impl Ears {
    fn open(news: &Arc<News>) -> Self {
        let mut ears = Self { watcher: None, watched: BTreeMap::new(), complained: false };
        let news = Arc::clone(news);
        match notify::recommended_watcher(move |event| news.hear(event)) {
            Ok(watcher) => ears.watcher = Some(watcher),
            Err(error) => ears.complain(&error),
        }
        ears
    }

    /// Watches what these paths depend on, and nothing else.
    fn listen_to(&mut self, news: &News, paths: &Paths) {
        let mut trail = Trail::default();
        paths.files.iter().for_each(|path| trail.add(path));
        paths.folders.iter().for_each(|path| trail.add_folder(path));
        let wanted = trail.folders_to_watch();
        // Before anything is watched, or its first events would be taken for a stranger's.
        news.heard.lock().trail = trail;
        let there: BTreeMap<PathBuf, Identity> =
            wanted.into_iter().filter_map(|folder| identity(&folder).map(|identity| (folder, identity))).collect();
        let gone: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, it)| there.get(*path) != Some(it))
            .map(|(path, _)| path.clone())
            .collect();
        for folder in gone {
            self.unwatch(&folder);
        }
        for (folder, identity) in there {
            self.watch(folder, identity);
        }
    }

    fn unwatch(&mut self, folder: &Path) {
        self.watched.remove(folder);
        if let Some(watcher) = &mut self.watcher {
            // The system may have forgotten a folder that is gone.
            let _ = watcher.unwatch(folder);
        }
    }

    fn watch(&mut self, folder: PathBuf, identity: Identity) {
        if self.watched.contains_key(&folder) {
            return;
        }
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder, identity);
            }
            // It went meanwhile, or it is far above and not ours to read: the poll is enough for either.
            Err(error) if is_of_folder(&error) => {}
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("files cannot be watched; they are compared every {} s instead: {error}", POLL.as_secs());
        }
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// Whether an error is about one folder, and not about watching as such.
fn is_of_folder(error: &notify::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(error.kind(), NotADirectory | NotFound | PermissionDenied),
        ErrorKind::Generic(_) | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch | ErrorKind::WatchNotFound => {
            false
        }
    }
}
