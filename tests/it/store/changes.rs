//! Revisions and the feed.

use super::*;
use portcullis::model::Revision;
use portcullis::store::{Change, StoreError, StoredSigningKey, Subject};

pub(super) async fn a_new_store_is_empty(home: &dyn Home) {
    let store = home.open().await;
    assert_eq!(store.revision().await.unwrap(), Revision(0));
    assert_eq!(store.changes(Revision(0), 10).await.unwrap(), []);
    assert_eq!(store.all_keys(None, 10).await.unwrap(), []);
    assert!(store.signing_keys().await.unwrap().is_empty());
    assert_eq!(store.bootstrap_digest().await.unwrap(), None);
    let listing = store.list_keys(&production(), &everything(), &page(10)).await.unwrap();
    assert!(listing.keys.is_empty() && !listing.more);
}

pub(super) async fn revisions_grow_and_stamp(home: &dyn Home) {
    let store = home.open().await;
    let made = store.create_key(&new_key("one"), &act()).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), made.revision);
    assert!(made.revision > Revision(0));

    let other = store.create_key(&new_key("two"), &act()).await.unwrap();
    assert!(other.revision > made.revision);

    let rotated = store
        .rotate_key(&production(), &made.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    assert!(rotated.revision > other.revision);

    let revoked = store.revoke_key(&production(), &made.client_id, None, &act()).await.unwrap();
    assert!(revoked.revision > rotated.revision);
    assert_eq!(store.revision().await.unwrap(), revoked.revision);

    let untouched = store.key(&production(), &other.client_id).await.unwrap();
    assert_eq!(untouched.revision, other.revision);
}

pub(super) async fn the_feed_is_ordered_and_bounded(home: &dyn Home) {
    let store = home.open().await;
    let one = store.create_key(&new_key("one"), &act()).await.unwrap();
    let signing = StoredSigningKey {
        id: "k1".to_owned(),
        algorithm: "EdDSA".to_owned(),
        sealed: vec![1],
        created_at: NOON,
        signs_from: NOON,
        ends_at: None,
    };
    store.add_signing_key(&signing, None, &act()).await.unwrap();
    let two = store.create_key(&new_key("two"), &act()).await.unwrap();
    let revoked = store.revoke_key(&production(), &one.client_id, None, &act()).await.unwrap();

    let all = store.changes(Revision(0), 100).await.unwrap();
    let subjects: Vec<_> = all.iter().map(|change| change.subject.clone()).collect();
    let (first, second) = (Subject::ApiKey(one.client_id.clone()), Subject::ApiKey(two.client_id));
    assert_eq!(subjects, [first.clone(), Subject::SigningKeys, second, first.clone()]);
    assert!(all.is_sorted_by(|a, b| a.revision < b.revision));

    assert_eq!(store.changes(Revision(0), 2).await.unwrap(), all[..2]);
    assert_eq!(store.changes(all[1].revision, 100).await.unwrap(), all[2..]);
    assert_eq!(store.changes(two.revision, 1).await.unwrap(), [Change { revision: revoked.revision, subject: first }]);
    assert_eq!(store.changes(revoked.revision, 100).await.unwrap(), []);
    assert_eq!(store.changes(Revision(u64::MAX), 100).await.unwrap(), []);
}

pub(super) async fn refused_changes_leave_no_trace(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let stale = Some(Revision(key.revision.0 + 1));

    let taken = store.create_key(&new_key("ONE"), &act()).await.unwrap_err();
    assert!(matches!(taken, StoreError::NameTaken), "{taken}");
    store
        .rotate_key(&production(), &key.client_id, &rotation("new"), stale, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap_err();
    store.revoke_key(&production(), &key.client_id, stale, &act()).await.unwrap_err();
    store
        .rotate_key(&production(), &fresh_id(), &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap_err();

    assert_eq!(store.revision().await.unwrap(), key.revision);
    assert_eq!(store.changes(Revision(0), 100).await.unwrap().len(), 1);
    assert_eq!(store.all_keys(None, 100).await.unwrap(), [key]);
}
