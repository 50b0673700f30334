//! Opening the file: private, sound, ours, and of a schema this version knows. Every error says what to do.

use super::fault::{code, primary_code};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::fs::OpenOptions;
use std::io::{Error as IoError, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The schema, step by step. A released step never changes.
static STEPS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");
/// `PCLS`, set by the first step: this file is ours.
pub(super) const APPLICATION_ID: i64 = 0x5043_4c53;
/// Two more than long reads of all kinds take at once (`control`: two of audit logs, two of keys), for whoever has to be
/// proven meanwhile.
const READERS: u32 = 6;
/// How long a statement waits for the lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long a call waits for a connection of this process.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Up to this size the whole file is checked at opening (some tens of milliseconds).
const MAX_CHECKED_BYTES: u64 = 64 * 1024 * 1024;

const DAMAGED: &str = "it is not a database or is damaged; restore a backup or move the file away";

/// The writer and the readers.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    open_or_reason(path).await.map_err(|reason| StoreError::Open { place: path.display().to_string(), reason })
}

async fn open_or_reason(path: &Path) -> Result<(SqlitePool, SqlitePool), String> {
    // Absolute: a relative `:memory:` would mean something else to SQLite.
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    create_private(&path).map_err(|error| file_reason(&error))?;
    let options = options(&path);
    let writer = writer(options.clone().journal_mode(SqliteJournalMode::Wal)).await.map_err(|e| sql_reason(&e))?;
    if let Err(reason) = prepare(&writer, &path).await {
        writer.close().await;
        return Err(reason);
    }
    let readers = pool(READERS, options.pragma("query_only", "ON")).await.map_err(|e| sql_reason(&e))?;
    Ok((writer, readers))
}

/// Makes an empty file that only its owner reads; SQLite gives its two companions the same mode.
/// A file that exists is not touched: opening and closing it here would drop the POSIX locks that SQLite holds on it
/// for another store of this process.
fn create_private(path: &Path) -> Result<(), IoError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .log_statements(log::LevelFilter::Trace)
}

/// The connection that writes. SQLite does not wait for the lock that turns a new file to its write-ahead log, so the
/// waiting is done here: another process may be at it.
async fn writer(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    for _ in 0..BUSY_TIMEOUT.as_millis() / BUSY_PAUSE.as_millis() {
        match pool(1, options.clone()).await {
            Err(error) if primary_code(&error) == Some(code::BUSY) => tokio::time::sleep(BUSY_PAUSE).await,
            outcome => return outcome,
        }
    }
    pool(1, options).await
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A rollback that failed (SQLite may have done it by itself when the disk was full) leaves sqlx counting a
        // transaction that is not there, and every later BEGIN refused. Such a connection is made anew.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
}

async fn prepare(writer: &SqlitePool, path: &Path) -> Result<(), String> {
    let mut connection = writer.acquire().await.map_err(|e| sql_reason(&e))?;
    check_owner(&mut connection).await?;
    check_journal(&mut connection).await?;
    check_pages(&mut connection, path).await?;
    migrate(&mut connection).await
}

/// Refuses the database of another program.
pub(super) async fn check_owner(connection: &mut SqliteConnection) -> Result<(), String> {
    let (id, objects): (i64, i64) =
        sqlx::query_as("SELECT application_id, (SELECT COUNT(*) FROM sqlite_schema) FROM pragma_application_id")
            .fetch_one(connection)
            .await
            .map_err(|e| sql_reason(&e))?;
    if id == APPLICATION_ID || (id == 0 && objects == 0) {
        return Ok(());
    }
    Err("it is the database of another program; name another file or move this one away".to_owned())
}

/// Where the file system cannot share memory, SQLite quietly stays with another journal.
async fn check_journal(connection: &mut SqliteConnection) -> Result<(), String> {
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(connection).await.map_err(|e| sql_reason(&e))?;
    if mode == "wal" {
        return Ok(());
    }
    Err("its file system cannot hold a write-ahead log; put the file on a local disk".to_owned())
}

async fn check_pages(connection: &mut SqliteConnection, path: &Path) -> Result<(), String> {
    let bytes = std::fs::metadata(path).map_err(|error| file_reason(&error))?.len();
    if bytes > MAX_CHECKED_BYTES {
        return Ok(());
    }
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await.map_err(|e| sql_reason(&e))?;
    if verdict == "ok" { Ok(()) } else { Err(DAMAGED.to_owned()) }
}

/// Takes the missing steps, all or none. The lock is ours, since sqlx has none for SQLite: of two processes that
/// open a new file at once, the second finds the work done.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), String> {
    let mut change = connection.begin_with("BEGIN IMMEDIATE").await.map_err(|e| sql_reason(&e))?;
    // `run` would do, but the future of an `open` around it is not `Send` as far as rustc can tell.
    STEPS.run_direct(None, &mut *change, false).await.map_err(|error| schema_reason(&error))?;
    change.commit().await.map_err(|e| sql_reason(&e))
}

fn schema_reason(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => sql_reason(error),
        MigrateError::VersionMissing(version) => {
            let known = STEPS.iter().map(|step| step.version).max().unwrap_or_default();
            format!(
                "it was written by a newer version of Portcullis (schema {version}, this one knows up to {known}); \
                 run that version, or restore a backup that this one made"
            )
        }
        MigrateError::VersionMismatch(version) => format!(
            "its schema {version} is not the one that this build makes; run the build that wrote it, or restore a \
             backup that this one made"
        ),
        other => other.to_string(),
    }
}

fn file_reason(error: &IoError) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            format!("its folder does not exist; make the folder and let portcullis write to it: {error}")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("its folder cannot be written; let the user that runs portcullis write to it: {error}")
        }
        _ => error.to_string(),
    }
}

pub(super) fn sql_reason(error: &sqlx::Error) -> String {
    match primary_code(error) {
        Some(code::CORRUPT | code::NOTADB) => DAMAGED.to_owned(),
        Some(code::CANTOPEN | code::PERM | code::READONLY) => format!(
            "it cannot be written; the user that runs portcullis must own the file and be able to make others beside \
             it: {error}"
        ),
        Some(code::BUSY) => format!("another process holds it; stop that one or wait for it: {error}"),
        Some(code::FULL) => format!("the disk is full; make room: {error}"),
        _ => error.to_string(),
    }
}
