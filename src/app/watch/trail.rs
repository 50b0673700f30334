//! Which names decide what a path means: its own, those of the folders above it, and those of every symbolic link on
//! the way and of what it points to.
//!
//! A path such as `tenants/acme.toml -> ..data/acme.toml` with `..data -> ..2026_11_24` changes its meaning when any
//! one of those names does, so each of them is watched, in the folder that holds it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// As many links in a row as the system follows; more are a loop.
const MAX_LINKS: usize = 40;

/// Names gathered from several paths.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Each as a folder without links in its path, and the name in it.
    names: BTreeSet<PathBuf>,
    /// Folders of which every file is news, without links in their paths.
    folders: BTreeSet<PathBuf>,
    /// What is known of paths walked before.
    real: HashMap<PathBuf, Option<PathBuf>>,
}

impl Trail {
    /// Adds a file or folder. One that is not there yet is told by the names that lead to it, as far as they lead.
    pub(super) fn add(&mut self, path: &Path) {
        if let Ok(path) = std::path::absolute(path) {
            self.walk(&path, MAX_LINKS);
        }
    }

    /// Adds a folder of which every file is news.
    pub(super) fn add_folder(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        if let Some(real) = self.walk(&path, MAX_LINKS) {
            self.folders.insert(real);
        }
    }

    /// The folders to watch, those that are not there too.
    pub(super) fn folders_to_watch(&self) -> BTreeSet<PathBuf> {
        let parents = self.names.iter().filter_map(|name| name.parent()).map(Path::to_owned);
        parents.chain(self.folders.iter().cloned()).collect()
    }

    /// Whether what happened at `path`, a name in one of those folders, may matter.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|folder| self.folders.contains(folder))
    }

    /// The path without links, as far as that can be told. Each name on the way is noted.
    fn walk(&mut self, path: &Path, links: usize) -> Option<PathBuf> {
        if let Some(known) = self.real.get(path) {
            return known.clone();
        }
        let real = self.walk_anew(path, links);
        self.real.insert(path.to_owned(), real.clone());
        real
    }

    fn walk_anew(&mut self, path: &Path, links: usize) -> Option<PathBuf> {
        let Some(parent) = path.parent() else { return Some(path.to_owned()) };
        let folder = self.walk(parent, links)?;
        // Only `..` is no name here.
        let Some(name) = path.file_name() else { return folder.parent().map(Path::to_owned).or(Some(folder)) };
        let here = folder.join(name);
        self.names.insert(here.clone());
        match std::fs::read_link(&here) {
            Ok(target) => self.walk(&folder.join(target), links.checked_sub(1)?),
            Err(_) => Some(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder without links in its path.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    fn names(trail: &Trail, top: &Path) -> Vec<String> {
        let below = trail.names.iter().filter_map(|name| name.strip_prefix(top).ok());
        below.filter(|name| !name.as_os_str().is_empty()).map(|name| name.display().to_string()).collect()
    }

    #[test]
    fn every_link_on_the_way_leaves_its_names() {
        let (_kept, top) = folder();
        std::fs::create_dir_all(top.join("tenants/..2026_1")).unwrap();
        std::fs::write(top.join("tenants/..2026_1/acme.toml"), "").unwrap();
        symlink("..2026_1", top.join("tenants/..data")).unwrap();
        symlink("..data/acme.toml", top.join("tenants/acme.toml")).unwrap();
        let mut trail = Trail::default();
        trail.add(&top.join("tenants/acme.toml"));
        let expected =
            ["tenants", "tenants/..2026_1", "tenants/..2026_1/acme.toml", "tenants/..data", "tenants/acme.toml"];
        assert_eq!(names(&trail, &top), expected);
        assert!(trail.concerns(&top.join("tenants/..data")) && !trail.concerns(&top.join("tenants/..other")));
        let watched = trail.folders_to_watch();
        assert!([top.join("tenants"), top.join("tenants/..2026_1"), top.clone()].iter().all(|f| watched.contains(f)));
    }

    #[test]
    fn a_folder_behind_links_is_watched_where_it_is() {
        let (_kept, top) = folder();
        std::fs::create_dir_all(top.join("releases/1/tenants")).unwrap();
        symlink("releases/1", top.join("current")).unwrap();
        symlink(top.join("current/tenants"), top.join("tenants")).unwrap();
        let mut trail = Trail::default();
        trail.add_folder(&top.join("tenants"));
        assert!(trail.folders_to_watch().contains(&top.join("releases/1/tenants")));
        assert!(trail.concerns(&top.join("releases/1/tenants/new.toml")));
        assert!(trail.concerns(&top.join("current")) && trail.concerns(&top.join("tenants")));
    }

    #[test]
    fn loops_end_and_what_is_missing_is_told_by_its_name() {
        let (_kept, top) = folder();
        symlink("two", top.join("one")).unwrap();
        symlink("one", top.join("two")).unwrap();
        let mut trail = Trail::default();
        trail.add(&top.join("one/file"));
        trail.add(&top.join("gone/deeper/../file"));
        assert_eq!(names(&trail, &top), ["gone", "gone/deeper", "gone/file", "one", "two"]);
    }
}
