//! Reading files, and whether they still say what was read.
//!
//! What decides is content: a file that was touched, copied over itself or written anew with the same bytes says the
//! same. Its stamp (inode, size, times) only saves reading it again, and only once it is old enough that a later
//! write cannot carry the same one.

use crate::model::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, FileType, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A stamp is believed once it is so old: file systems tell times in steps of up to two seconds.
const SETTLED_SECONDS: i64 = 3;

/// Why a file gives no text.
#[derive(Clone, Debug)]
pub(super) struct ReadFault {
    /// The line, from 1; 1 where the whole file is meant.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) message: String,
}

/// Reads the files of one configuration and remembers what it found.
#[derive(Debug)]
pub(super) struct Reading {
    now: Timestamp,
    found: Mutex<BTreeMap<PathBuf, Source>>,
}

impl Reading {
    /// `now` is the second in which reading begins.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, found: Mutex::default() }
    }

    /// A whole text file of at most `limit` bytes.
    pub(super) fn text(&self, path: &Path, limit: u64) -> Result<String, ReadFault> {
        let bytes = self.bytes(path, limit)?;
        String::from_utf8(bytes).map_err(|error| {
            let sound = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
            ReadFault { line, message: "is not UTF-8 text from this line on".to_owned() }
        })
    }

    /// A whole file of at most `limit` bytes, in MiB.
    pub(super) fn bytes(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadFault> {
        let stamp = Stamp::of(path);
        let read = read_bytes(path, limit);
        self.remember(path, Kind::File(limit), stamp, Content::of_file(&read));
        read
    }

    /// The tenant files of a folder, sorted.
    pub(super) fn tenant_files(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
        let stamp = Stamp::of(folder);
        let files = tenant_files(folder);
        self.remember(folder, Kind::Folder, stamp, Content::of_folder(&files));
        files
    }

    fn remember(&self, path: &Path, kind: Kind, stamp: Option<Stamp>, content: Content) {
        let stamp = stamp.filter(|stamp| stamp.is_settled(self.now));
        let source = Source { kind, content, stamp };
        match self.found.lock().entry(path.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(source);
            }
            // Two name it, and it changed between the two: what was read last time is no state of it.
            Entry::Occupied(mut place) if place.get().content != source.content => {
                let content = Content::Unreadable("changed while it was read".to_owned());
                place.insert(Source { content, stamp: None, ..source });
            }
            Entry::Occupied(_) => {}
        }
    }

    /// What was found.
    pub(super) fn sources(&self) -> Sources {
        Sources { files: std::mem::take(&mut self.found.lock()) }
    }
}

/// Every file and folder that a configuration was read from, the missing ones too, and what was found there.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: BTreeMap<PathBuf, Source>,
}

impl Sources {
    /// Whether any of them says something else than was read. It reads files, unless their stamps tell enough.
    pub fn have_changed(&mut self, now: Timestamp) -> bool {
        self.files.iter_mut().any(|(path, source)| source.has_changed(path, now))
    }

    /// The paths, as they were reached from the path of the configuration, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Those of them that are folders: a file that is new in one of them is news.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(|(_, source)| source.kind == Kind::Folder).map(|(path, _)| path.as_path())
    }
}

/// One file or folder as it was read.
#[derive(Clone, Debug)]
struct Source {
    kind: Kind,
    content: Content,
    /// With this stamp it says the same; `None` while only reading can tell.
    stamp: Option<Stamp>,
}

impl Source {
    fn has_changed(&mut self, path: &Path, now: Timestamp) -> bool {
        let stamp = Stamp::of(path);
        if stamp.is_some() && stamp == self.stamp {
            return false;
        }
        let content = match self.kind {
            Kind::File(limit) => Content::of_file(&read_bytes(path, limit)),
            Kind::Folder => Content::of_folder(&tenant_files(path)),
        };
        if content != self.content {
            return true;
        }
        self.stamp = stamp.filter(|stamp| stamp.is_settled(now));
        false
    }
}

/// What was wanted of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file's bytes, so many at most.
    File(u64),
    /// A folder's tenant files.
    Folder,
}

/// What a path gave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// The digest of what was there.
    Read([u8; 32]),
    /// Why it gave nothing.
    Unreadable(String),
}

impl Content {
    fn of_file(read: &Result<Vec<u8>, ReadFault>) -> Self {
        match read {
            Ok(bytes) => Self::Read(Sha256::digest(bytes).into()),
            Err(fault) => Self::Unreadable(fault.message.clone()),
        }
    }

    fn of_folder(files: &std::io::Result<Vec<PathBuf>>) -> Self {
        match files {
            Ok(files) => {
                let mut digest = Sha256::new();
                for name in files {
                    digest.update(name.as_os_str().as_encoded_bytes());
                    digest.update([0]);
                }
                Self::Read(digest.finalize().into())
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// By what a file system tells a file from the one that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether a write from `now` on gives another stamp.
    fn is_settled(&self, now: Timestamp) -> bool {
        self.modified.0.max(self.changed.0).saturating_add(SETTLED_SECONDS) <= now.as_unix()
    }
}

/// The bytes of a regular file of at most `limit` bytes, in MiB. One that says it is larger is not read at all, and what
/// is no file is not opened: a named pipe would wait for a writer, and a device may never end.
pub(super) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ReadFault> {
    let fault = |message| ReadFault { line: 1, message };
    let unreadable = |error: std::io::Error| fault(format!("cannot be read: {error}"));
    let too_large = || fault(format!("is larger than {} MiB", limit >> 20));
    regular(&std::fs::metadata(path).map_err(unreadable)?).map_err(fault)?;
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    regular(&metadata).map_err(fault)?;
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // Its length may be another one by now.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) { Err(too_large()) } else { Ok(bytes) }
}

fn regular(metadata: &Metadata) -> Result<(), String> {
    let kind = metadata.file_type();
    if kind.is_file() { Ok(()) } else { Err(format!("is {}, not a file", name_of(kind))) }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The tenant files, sorted. Hidden files are an editor's, not a tenant's.
fn tenant_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const LIMIT: u64 = 1024 * 1024;

    fn present() -> Timestamp {
        Timestamp::from_unix(std::fs::metadata("/proc/self").unwrap().mtime())
    }

    /// What was read of these files, at a moment at which their stamps prove nothing yet or, `later`, enough.
    fn reading(paths: &[&Path], later: i64) -> Sources {
        let reading = Reading::new(present().plus_seconds(later));
        for path in paths {
            let _ = reading.bytes(path, LIMIT);
        }
        reading.sources()
    }

    #[test]
    fn files_of_the_limit_are_read_and_one_byte_more_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        let limit = usize::try_from(LIMIT).unwrap();
        std::fs::write(&file, vec![b' '; limit]).unwrap();
        let reading = Reading::new(present());
        assert!(reading.text(&file, LIMIT).is_ok());
        std::fs::write(&file, vec![b' '; limit + 1]).unwrap();
        assert_eq!(reading.text(&file, LIMIT).err().unwrap().message, "is larger than 1 MiB");
    }

    #[test]
    fn text_that_is_not_utf8_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("latin1");
        std::fs::write(&file, b"a = 1\nb = 'caf\xe9'\n").unwrap();
        assert_eq!(Reading::new(present()).text(&file, LIMIT).err().unwrap().line, 2);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        for (path, name) in [("/dev/zero", "a device"), ("/proc", "a folder")] {
            let fault = Reading::new(present()).bytes(Path::new(path), LIMIT).err().unwrap();
            assert_eq!(fault.message, format!("is {name}, not a file"));
        }
    }

    #[test]
    fn content_decides_and_not_what_was_done_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        for later in [0, 60] {
            std::fs::write(&file, "one").unwrap();
            let mut sources = reading(&[&file], later);
            let now = present().plus_seconds(later);
            assert!(!sources.have_changed(now), "nothing happened");
            std::fs::write(&file, "one").unwrap();
            assert!(!sources.have_changed(now), "the same bytes");
            std::fs::write(&other, "one").unwrap();
            std::fs::rename(&other, &file).unwrap();
            assert!(!sources.have_changed(now), "the same bytes in another file");
            std::fs::write(&file, "two").unwrap();
            assert!(sources.have_changed(now), "other bytes of the same length");
        }
    }

    #[test]
    fn a_write_in_the_same_tick_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        for number in 0..200 {
            std::fs::write(&file, format!("{number:03}")).unwrap();
            let mut sources = reading(&[&file], 0);
            assert!(!sources.have_changed(present()));
            std::fs::write(&file, format!("{number:03}").replace(['0', '1'], "x")).unwrap();
            assert!(sources.have_changed(present()), "{number}");
        }
    }

    #[test]
    fn files_that_come_and_go_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("link"));
        let mut sources = reading(&[&file, &link], 0);
        assert!(!sources.have_changed(present()), "still missing");
        std::fs::write(&file, "").unwrap();
        assert!(sources.have_changed(present()), "it came, if empty");
        let mut sources = reading(&[&file, &link], 0);
        symlink("a", &link).unwrap();
        assert!(sources.have_changed(present()), "a link came");
        let mut sources = reading(&[&file, &link], 0);
        std::fs::remove_file(&file).unwrap();
        assert!(sources.have_changed(present()), "it went");
    }

    #[test]
    fn of_a_folder_only_tenant_files_count() {
        let folder = tempfile::tempdir().unwrap();
        let look = || {
            let reading = Reading::new(present());
            reading.tenant_files(folder.path()).unwrap();
            reading.sources()
        };
        let mut sources = look();
        assert_eq!(sources.folders().collect::<Vec<_>>(), [folder.path()]);
        for name in [".#a.toml", "a.toml~", "4913", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
            assert!(!sources.have_changed(present()), "{name}");
        }
        std::fs::write(folder.path().join("a.toml"), "x").unwrap();
        assert!(sources.have_changed(present()));
        let mut sources = look();
        std::fs::remove_file(folder.path().join("a.toml")).unwrap();
        assert!(sources.have_changed(present()));
    }
}
