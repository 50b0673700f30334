//! Copies of a store: one taken while others write, and one put in its place while nobody does.

use super::SqliteStore;
use super::fault::{code, fault, primary_code};
use super::open;
use crate::model::{Revision, Timestamp};
use crate::store::{Feed, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the length of a growing copy is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// So much is copied at a time.
const CHUNK: usize = 1 << 20;

/// A finished copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFile {
    /// Its length.
    pub bytes: u64,
    /// The last change that is in it.
    pub revision: Revision,
}

/// Told how many bytes are done, of how many.
pub type CopyProgress<'p> = &'p mut (dyn FnMut(u64, u64) + Send);

/// Copies the store in `from`, which others may go on writing to, to the file `to`: whole or not at all, mode 0600. A
/// file that is there is replaced. The copy is one instant of the store.
/// Errors: [`StoreError::Open`], [`StoreError::Unavailable`].
pub async fn backup(from: &Path, to: &Path, progress: CopyProgress<'_>) -> Result<StoreFile, StoreError> {
    let place = open_error(from);
    if !from.is_file() {
        return Err(place("there is no such file"));
    }
    let mut source = connect(from).await.map_err(|error| place(&open::sql_reason(&error)))?;
    open::check_owner(&mut source).await.map_err(|reason| place(&reason))?;
    let all = length(&mut source).await?;
    let temporary = temporary_beside(to).map_err(|error| failed(to, &error))?;
    let target = temporary.path().to_owned();
    // `VACUUM INTO` writes to a new or an empty file.
    let copying = sqlx::query("VACUUM INTO ?1").bind(target.display().to_string()).execute(&mut source);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            done = &mut copying => {
                done.map_err(|error| StoreError::Unavailable(format!("`{}`: {error}", to.display())))?;
                break;
            }
            () = tokio::time::sleep(LOOK) => {
                progress(std::fs::metadata(&target).map_or(0, |facts| facts.len()).min(all), all);
            }
        }
    }
    let revision = revision_of(&target).await?;
    let bytes = settle(temporary, to).map_err(|error| failed(to, &error))?;
    progress(all, all);
    Ok(StoreFile { bytes, revision })
}

/// Puts the copy `from` in the place of the store in `to`. The store that was there stays beside it under the name that
/// is returned. Sessions and invitations of the copy end: some had ended since it was made. Errors:
/// [`StoreError::Open`] where `from` is no sound store, where a process uses the store in `to`, and where files cannot
/// be written; nothing is changed then.
pub async fn restore(
    from: &Path,
    to: &Path,
    now: Timestamp,
    progress: CopyProgress<'_>,
) -> Result<(StoreFile, Option<PathBuf>), StoreError> {
    let temporary = temporary_beside(to).map_err(|error| failed(to, &error))?;
    copy_bytes(from, temporary.path(), progress).map_err(|error| failed(from, &error))?;
    let revision = prove(temporary.path(), from).await?;
    end_what_may_have_ended(temporary.path()).await?;
    let before = match to.exists() {
        true => Some(set_aside(to, now).await?),
        false => None,
    };
    let bytes = settle(temporary, to).map_err(|error| failed(to, &error))?;
    Ok((StoreFile { bytes, revision }, before))
}

/// Opens the copy as a node would, every page of it checked, and brings its schema up to date.
async fn prove(copy: &Path, named: &Path) -> Result<Revision, StoreError> {
    let renamed = |error: StoreError| match error {
        StoreError::Open { reason, .. } => StoreError::Open { place: named.display().to_string(), reason },
        other => other,
    };
    let mut connection = connect(copy).await.map_err(|error| open_error(named)(&open::sql_reason(&error)))?;
    let sound: Result<String, sqlx::Error> =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    let owner: Result<i64, sqlx::Error> = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await;
    let _ = connection.close().await;
    if sound.as_deref().ok() != Some("ok") {
        return Err(open_error(named)("it is not a database or is damaged"));
    }
    // An empty file is a sound database, and would be made into an empty store.
    if owner.ok() != Some(open::APPLICATION_ID) {
        return Err(open_error(named)("it is no store of Portcullis"));
    }
    let store = SqliteStore::open(copy).await.map_err(renamed)?;
    let revision = store.revision().await;
    // Folds the write-ahead log into the file.
    store.close().await;
    revision
}

/// Ends every session and every invitation in a copy that was proven, whole or not at all. Which of them had ended after
/// it was made nobody can say any more.
async fn end_what_may_have_ended(copy: &Path) -> Result<(), StoreError> {
    let mut connection = connect(copy).await.map_err(fault)?;
    // Without a write-ahead log all that is committed is in the one file that gets the store's name.
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await.map_err(fault)?;
    if mode != "delete" {
        return Err(StoreError::Unavailable(format!("`{}` is in use", copy.display())));
    }
    let mut change = connection.begin().await.map_err(fault)?;
    for statement in ["DELETE FROM sessions", "DELETE FROM invitations"] {
        sqlx::query(statement).execute(&mut *change).await.map_err(fault)?;
    }
    change.commit().await.map_err(fault)?;
    connection.close().await.map_err(fault)
}

/// Makes sure that nobody uses the store, and moves it out of the way.
async fn set_aside(store: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let place = open_error(store);
    let mut connection = connect(store).await.map_err(|error| place(&open::sql_reason(&error)))?;
    // Leaving the write-ahead log takes the whole file for oneself: it fails where another process has it open.
    let mode: Result<String, sqlx::Error> =
        sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
    let _ = connection.close().await;
    match mode {
        Ok(mode) if mode == "delete" => {}
        // A store that cannot even be read is no reason to keep a sound copy from its place.
        Err(error) if matches!(primary_code(&error), Some(code::CORRUPT | code::NOTADB)) => {}
        Ok(_) | Err(_) => return Err(place("a process uses it; stop the node first")),
    }
    let mut name = store.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-restore-{}", now.as_unix()));
    let aside = store.with_file_name(name);
    std::fs::rename(store, &aside).map_err(|error| failed(store, &error))?;
    for companion in ["-wal", "-shm"] {
        let mut name = store.as_os_str().to_owned();
        name.push(companion);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    Ok(aside)
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(1))
        .log_statements(log::LevelFilter::Trace)
        .connect()
        .await
}

async fn length(source: &mut SqliteConnection) -> Result<u64, StoreError> {
    let bytes: Result<i64, sqlx::Error> =
        sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            .fetch_one(source)
            .await;
    bytes.map(|bytes| u64::try_from(bytes).unwrap_or_default()).map_err(fault)
}

async fn revision_of(copy: &Path) -> Result<Revision, StoreError> {
    let mut connection = connect(copy).await.map_err(fault)?;
    let last: Result<i64, sqlx::Error> =
        sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM feed").fetch_one(&mut connection).await;
    let _ = connection.close().await;
    super::row::revision(last.map_err(fault)?)
}

fn copy_bytes(from: &Path, to: &Path, progress: CopyProgress<'_>) -> io::Result<()> {
    let mut source = File::open(from)?;
    let all = source.metadata()?.len();
    let mut target = File::create(to)?;
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return target.sync_all();
        }
        target.write_all(buffer.get(..read).unwrap_or_default())?;
        done += u64::try_from(read).unwrap_or_default();
        progress(done.min(all), all);
    }
}

/// An empty file of our own in the same folder, so that it can be renamed into place.
fn temporary_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".portcullis-copy-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
}

/// Syncs the file and gives it its name; its length.
fn settle(temporary: tempfile::NamedTempFile, to: &Path) -> io::Result<u64> {
    let file = File::open(temporary.path())?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    temporary.persist(to).map_err(|error| error.error)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(bytes)
}

fn open_error(path: &Path) -> impl Fn(&str) -> StoreError {
    let place = path.display().to_string();
    move |reason| StoreError::Open { place: place.clone(), reason: reason.to_owned() }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    open_error(path)(&error.to_string())
}
