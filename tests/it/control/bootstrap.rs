//! The first operator token: made once, private, and never lost to a crash.

use super::*;
use portcullis::control::BootstrapError;
use portcullis::store::NodeStore;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

async fn home() -> (TempDir, SqliteStore, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
    let file = folder.path().join("bootstrap-token");
    (folder, store, file)
}

/// Whether the file holds the token whose digest is stored.
async fn agrees(store: &SqliteStore, file: &PathBuf) -> bool {
    let text = fs::read_to_string(file).unwrap();
    store.bootstrap_digest().await.unwrap().unwrap().matches(text.strip_suffix('\n').unwrap().as_bytes())
}

#[tokio::test]
async fn the_first_start_makes_a_private_token_and_the_second_none() {
    let (folder, store, file) = home().await;
    assert_eq!(ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap(), Some(file.clone()));
    let text = fs::read_to_string(&file).unwrap();
    let body = text.trim_end().strip_prefix("pcullo_").unwrap();
    assert!(body.len() == 43 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{body}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(agrees(&store, &file).await);
    assert_eq!(ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap(), None);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_again() {
    let (folder, store, file) = home().await;
    ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap(), None);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_crash_before_the_digest_was_stored_loses_nothing() {
    let (folder, store, file) = home().await;
    ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    store.set_bootstrap_digest(None, &act()).await.unwrap();
    assert_eq!(ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap(), Some(file.clone()));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(agrees(&store, &file).await);
}

#[tokio::test]
async fn what_is_no_private_token_is_replaced() {
    let sound = format!("pcullo_{}\n", "a".repeat(43));
    for (text, mode) in [("", 0o600), ("pcullo_short\n", 0o600), (sound.as_str(), 0o644)] {
        let (folder, store, file) = home().await;
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        ensure_bootstrap_token(&store, folder.path(), NOON).await.unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), text);
        assert!(agrees(&store, &file).await);
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let (folder, store, _) = home().await;
    let refused = ensure_bootstrap_token(&store, &folder.path().join("none"), NOON).await;
    assert!(matches!(&refused, Err(BootstrapError::File { .. })), "{refused:?}");
    assert_eq!(store.bootstrap_digest().await.unwrap(), None);
}
