//! What only a file can do: be missing, unwritable, damaged, someone else's, or from the future.

use super::*;
use portcullis::store::{AuditStore, Feed, KeyStore, NodeStore, SqliteStore, StoreError, Subject};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file in a folder of its own.
pub(super) struct SqliteHome(TempDir);

impl SqliteHome {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("portcullis.db")
    }

    /// A store with some keys, closed.
    async fn filled(&self) -> Vec<ClientId> {
        let store = SqliteStore::open(&self.file()).await.unwrap();
        let mut ids = Vec::new();
        for number in 0..40 {
            ids.push(store.create_key(&new_key(&format!("key {number}")), &act()).await.unwrap().client_id);
        }
        store.close().await;
        ids
    }

    /// The file as another program sees it.
    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.file()).create_if_missing(true).connect().await.unwrap()
    }

    async fn execute(&self, statement: &'static str) {
        let mut raw = self.raw().await;
        sqlx::query(statement).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
    }
}

#[async_trait::async_trait]
impl Home for SqliteHome {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.file()).await.unwrap())
    }
}

/// Opening fails, names the file, and says this.
async fn assert_refused(path: &Path, advice: &str) {
    let error = SqliteStore::open(path).await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, StoreError::Open { .. }), "{message}");
    assert!(message.contains(&format!("`{}`", path.display())), "{message}");
    assert!(message.contains(advice), "{message}");
}

#[tokio::test]
async fn the_files_are_private() {
    let home = SqliteHome::new();
    let store = home.open().await;
    store.create_key(&new_key("one"), &act()).await.unwrap();
    for entry in fs::read_dir(home.0.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn changes_are_logged_ahead() {
    let home = SqliteHome::new();
    home.filled().await;
    let mut raw = home.raw().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut raw).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn closing_folds_the_log_and_ends_the_store() {
    let home = SqliteHome::new();
    let store = SqliteStore::open(&home.file()).await.unwrap();
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    store.close().await;
    let refused = store.revision().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1, "the log and its index are gone");
    assert_eq!(home.open().await.key_by_id(&key.client_id).await.unwrap(), Some(key));
}

#[tokio::test]
async fn a_copy_of_the_files_is_a_store() {
    let (home, copy) = (SqliteHome::new(), SqliteHome::new());
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    // As after `kill -9`: nothing was closed, the log was not folded into the file.
    for entry in fs::read_dir(home.0.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.0.path().join(entry.file_name())).unwrap();
    }
    assert_eq!(copy.open().await.key_by_id(&key.client_id).await.unwrap(), Some(key));
}

#[tokio::test]
async fn a_folder_must_exist() {
    let home = SqliteHome::new();
    assert_refused(&home.0.path().join("missing/portcullis.db"), "make the folder").await;
    fs::write(home.0.path().join("file"), "").unwrap();
    assert_refused(&home.0.path().join("file/portcullis.db"), "make the folder").await;
}

#[tokio::test]
async fn a_folder_must_be_writable() {
    let home = SqliteHome::new();
    fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(home.0.path().join("probe"), "").is_ok() {
        println!("skipped: this user (root?) writes to folders of mode 0500");
        return;
    }
    assert_refused(&home.file(), "let the user that runs portcullis write to it").await;
}

#[tokio::test]
async fn a_folder_is_not_a_database() {
    let home = SqliteHome::new();
    fs::create_dir(home.file()).unwrap();
    assert_refused(&home.file(), "it cannot be written").await;
}

#[tokio::test]
async fn text_is_not_a_database() {
    let home = SqliteHome::new();
    fs::write(home.file(), "listen = \"0.0.0.0:443\"\n".repeat(1000)).unwrap();
    assert_refused(&home.file(), "restore a backup or move the file away").await;
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let home = SqliteHome::new();
    home.filled().await;
    let mut bytes = fs::read(home.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(home.file(), bytes).unwrap();
    assert_refused(&home.file(), "restore a backup or move the file away").await;
}

#[tokio::test]
async fn a_file_cut_short_is_refused() {
    let home = SqliteHome::new();
    home.filled().await;
    let bytes = fs::read(home.file()).unwrap();
    fs::write(home.file(), &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&home.file(), "restore a backup or move the file away").await;
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let home = SqliteHome::new();
    home.execute("CREATE TABLE bookmarks (url TEXT)").await;
    assert_refused(&home.file(), "the database of another program").await;
    let mut raw = home.raw().await;
    let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema").fetch_one(&mut raw).await.unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let home = SqliteHome::new();
    home.filled().await;
    home.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    assert_refused(&home.file(), "a newer version of Portcullis (schema 9999, this one knows up to ").await;
}

#[tokio::test]
async fn a_changed_schema_is_refused() {
    let home = SqliteHome::new();
    home.filled().await;
    home.execute("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    assert_refused(&home.file(), "its schema 1 is not the one that this build makes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_openings_of_a_new_file_make_one_schema() {
    for _ in 0..5 {
        let home = Arc::new(SqliteHome::new());
        let openings: Vec<_> = (0..4)
            .map(|_| {
                let home = Arc::clone(&home);
                tokio::spawn(async move { home.open().await })
            })
            .collect();
        for (number, opening) in openings.into_iter().enumerate() {
            let store = opening.await.unwrap();
            let key = store.create_key(&new_key(&format!("key {number}")), &act()).await.unwrap();
            assert_eq!(home.open().await.key_by_id(&key.client_id).await.unwrap(), Some(key));
        }
    }
}

/// Each of these is what an unlucky edit of the file can leave behind.
#[tokio::test]
async fn a_row_that_does_not_parse_is_named_without_its_secret() {
    for (statement, column) in [
        ("UPDATE api_keys SET permissions = 'nonsense'", "permissions"),
        ("UPDATE api_keys SET permissions = '[]'", "permissions"),
        ("UPDATE api_keys SET permissions = '[\"a b\"]'", "permissions"),
        ("UPDATE api_keys SET networks = '[\"10.0.0.1/8\"]'", "networks"),
        ("UPDATE api_keys SET networks = '[]'", "networks"),
        ("UPDATE api_keys SET name = ''", "name"),
        ("UPDATE api_keys SET organization = '../x'", "organization"),
        ("UPDATE api_keys SET secret_digest = 'sha256:5ec2e7'", "secret_digest"),
        ("UPDATE api_keys SET expires_at = 9223372036854775807", "expires_at"),
        ("UPDATE api_keys SET revision = -1", "revision"),
    ] {
        let home = SqliteHome::new();
        let store = home.open().await;
        let key = store.create_key(&new_key("one"), &act()).await.unwrap();
        home.execute(statement).await;
        let error = store.key_by_id(&key.client_id).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the store is damaged: key `{}` has no readable {column}", key.client_id),
            "{statement}"
        );
        assert!(matches!(store.all_keys(None, 10).await, Err(StoreError::Corrupt(_))), "{statement}");
    }
}

#[tokio::test]
async fn a_key_without_permissions_is_never_acknowledged() {
    let home = SqliteHome::new();
    let store = home.open().await;
    let refused = store.create_key(&NewKey { kind: permissions(&[]), ..new_key("one") }, &act()).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(store.revision().await.unwrap().0, 0);
}

/// A store as the first step of the schema made it, with a key, a signing key and a gap in the feed.
#[tokio::test]
async fn a_store_of_the_first_schema_is_taken_over_with_all_that_is_in_it() {
    let home = SqliteHome::new();
    let mut raw = home.raw().await;
    let first = Migrator::new(Path::new("src/store/migrations/sqlite")).await.unwrap();
    let ground = Migrator::with_migrations(first.iter().take(1).cloned().collect());
    ground.run_direct(None, &mut raw, false).await.unwrap();
    for statement in [
        "INSERT INTO feed (revision, subject, client_id) VALUES (7, 'api_key', 'pcull_old'), (9, 'signing_keys', NULL)",
        "DELETE FROM feed WHERE revision = 9",
        "INSERT INTO api_keys (client_id, organization, environment, name, name_folded, description, permissions, platform,
             secret_digest, secret_last_four, secret_version, created_at, created_by, revision)
         VALUES ('pcull_old', 'acme', 'production', 'Old', 'old', '', '[\"cards:read\"]', 0,
             'sha256:0000000000000000000000000000000000000000000000000000000000000000', 'abcd', 3, 1, 'operator', 7)",
        "INSERT INTO signing_keys (id, algorithm, sealed, created_at, revision) VALUES ('k', 'EdDSA', x'00', 5, 8)",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    raw.close().await.unwrap();
    let store = SqliteStore::open(&home.file()).await.unwrap();
    let key = store.key(&production(), &ClientId::parse("pcull_old").unwrap()).await.unwrap();
    assert_eq!((key.name.as_str(), key.secret_version.0, key.revision), ("Old", 3, Revision(7)));
    assert!(key.may_grant.is_empty() && key.last_address.is_none());
    let signing = store.signing_keys().await.unwrap();
    assert_eq!((signing[0].signs_from, signing[0].ends_at), (Timestamp::from_unix(5), None));
    let changes = store.changes(Revision(0), 10).await.unwrap();
    assert_eq!(changes.iter().map(|change| &change.subject).collect::<Vec<_>>(), [&Subject::ApiKey(key.client_id)]);
    // No number is given twice, not even one that was taken off the end.
    assert_eq!(store.create_key(&new_key("new"), &act()).await.unwrap().revision, Revision(10));
    assert!(store.create_key(&new_key("old"), &act()).await.is_err());
    assert_eq!(store.audit_head(Some(&production().organization)).await.unwrap().number, 1);
}
