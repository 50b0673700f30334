//! What must hold when several act at once, when a caller goes away, and when the store is opened again.

use super::*;
use futures_util::future::join_all;
use portcullis::model::{Revision, SecretVersion};
use portcullis::store::{StoreError, StoredSigningKey, Subject};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub(super) async fn reopening_keeps_everything(home: &dyn Home) {
    let store = home.open().await;
    let one = store
        .create_key(&NewKey { allowlist: allowlist(&["10.0.0.0/8"], true), ..new_key("one") }, &act())
        .await
        .unwrap();
    let two = store.create_key(&new_key("two"), &act()).await.unwrap();
    let one = store
        .rotate_key(&production(), &one.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    let two = store.revoke_key(&production(), &two.client_id, None, &act()).await.unwrap();
    let signing = StoredSigningKey {
        id: "k1".to_owned(),
        algorithm: "EdDSA".to_owned(),
        sealed: vec![7; 60],
        created_at: NOON,
        signs_from: NOON,
        ends_at: None,
    };
    store.add_signing_key(&signing, None, &act()).await.unwrap();
    store.set_bootstrap_digest(Some(&digest("bootstrap")), &act()).await.unwrap();
    let revision = store.revision().await.unwrap();
    let feed = store.changes(Revision(0), 100).await.unwrap();
    drop(store);

    let store = home.open().await;
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.changes(Revision(0), 100).await.unwrap(), feed);
    assert_eq!(store.key_by_id(&one.client_id).await.unwrap(), Some(one.clone()));
    assert_eq!(store.key_by_id(&two.client_id).await.unwrap(), Some(two));
    assert_eq!(store.signing_keys().await.unwrap()[0].sealed, signing.sealed);
    assert_eq!(store.bootstrap_digest().await.unwrap(), Some(digest("bootstrap")));
    let later = store.create_key(&new_key("three"), &act()).await.unwrap();
    assert!(later.revision > revision);
}

pub(super) async fn one_of_many_creates_wins_a_name(home: &dyn Home) {
    let (store, beside) = (home.open().await, home.open().await);
    let attempts = (0..16).map(|number| {
        let store = if number % 2 == 0 { &store } else { &beside };
        async move { store.create_key(&new_key("wanted"), &act()).await }
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, StoreError::NameTaken), "{refused}");
    }
    assert_eq!(store.changes(Revision(0), 100).await.unwrap().len(), 1);
}

pub(super) async fn concurrent_rotations_follow_each_other(home: &dyn Home) {
    let (store, beside) = (home.open().await, home.open().await);
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let rotations = (0..12).map(|number| {
        let (store, id) = (if number % 2 == 0 { &store } else { &beside }, &key.client_id);
        async move {
            store
                .rotate_key(&production(), id, &rotation(&number.to_string()), None, &act_at(NOON.plus_seconds(60)))
                .await
                .unwrap()
        }
    });
    let mut rotated = join_all(rotations).await;
    rotated.sort_by_key(|key| key.revision);
    let versions: Vec<_> = rotated.iter().map(|key| key.secret_version).collect();
    assert_eq!(versions, (2..=13).map(SecretVersion).collect::<Vec<_>>());
    assert_eq!(store.key_by_id(&key.client_id).await.unwrap(), rotated.pop());
}

pub(super) async fn of_rotations_that_expect_one_revision_one_wins(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let rotations = (0..8).map(|number| {
        let (store, key) = (&store, &key);
        async move {
            let rotation = rotation(&number.to_string());
            store
                .rotate_key(
                    &production(),
                    &key.client_id,
                    &rotation,
                    Some(key.revision),
                    &act_at(NOON.plus_seconds(60)),
                )
                .await
        }
    });
    let outcomes = join_all(rotations).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let now = store.key_by_id(&key.client_id).await.unwrap().unwrap();
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, StoreError::RevisionMismatch { current } if current == now.revision), "{refused}");
    }
    assert_eq!(now.secret_version, SecretVersion(2));
}

pub(super) async fn two_openings_share_one_store(home: &dyn Home) {
    let (store, beside) = (home.open().await, home.open().await);
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    assert_eq!(beside.key_by_id(&key.client_id).await.unwrap(), Some(key.clone()));
    let revoked = beside.revoke_key(&production(), &key.client_id, None, &act()).await.unwrap();
    assert_eq!(store.key_by_id(&key.client_id).await.unwrap(), Some(revoked.clone()));
    let feed = store.changes(key.revision, 10).await.unwrap();
    assert_eq!(feed.iter().map(|change| change.revision).collect::<Vec<_>>(), [revoked.revision]);
}

pub(super) async fn a_dropped_change_is_whole_or_nothing(home: &dyn Home) {
    let store = home.open().await;
    let mut finished = 0;
    for polls in 0..40 {
        let new = new_key(&format!("key {polls}"));
        finished += usize::from(give_up_after(polls, store.create_key(&new, &act())).await);
    }
    assert!(finished > 0, "no change lived long enough");
    // The next change waits for what is being rolled back, and finds a connection that works.
    store.create_key(&new_key("last"), &act()).await.unwrap();

    let keys = store.all_keys(None, 1000).await.unwrap();
    let mut stamped: Vec<_> = keys.iter().map(|key| (key.revision, Subject::ApiKey(key.client_id.clone()))).collect();
    stamped.sort_by_key(|(revision, _)| *revision);
    let feed = store.changes(Revision(0), 1000).await.unwrap();
    let fed: Vec<_> = feed.into_iter().map(|change| (change.revision, change.subject)).collect();
    assert_eq!(fed, stamped, "every change has its key, and every key its change");
    assert!(keys.len() > finished);
}

/// Drives a future through some wake-ups, then drops it; whether it came to its end.
async fn give_up_after<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    let driven = std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    });
    // The wake-up that the last poll asked for does not come when the future waits for something slow.
    tokio::time::timeout(Duration::from_millis(50), driven).await.unwrap_or(false)
}
