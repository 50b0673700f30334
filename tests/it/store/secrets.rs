//! Signing keys and the bootstrap token.

use super::*;
use portcullis::model::Revision;
use portcullis::store::{StoreError, StoredSigningKey, Subject};

fn signing_key(id: &str, seconds: i64) -> StoredSigningKey {
    StoredSigningKey {
        id: id.to_owned(),
        algorithm: "ES256".to_owned(),
        sealed: id.bytes().chain([0, 255, 128]).collect(),
        created_at: NOON.plus_seconds(seconds),
        signs_from: NOON.plus_seconds(seconds),
        ends_at: None,
    }
}

pub(super) async fn signing_keys_come_oldest_first(home: &dyn Home) {
    let store = home.open().await;
    for (id, seconds) in [("late", 10), ("b, first of its second", 0), ("a, second of its second", 0), ("early", -10)] {
        store.add_signing_key(&signing_key(id, seconds), None, &act()).await.unwrap();
    }
    let keys = store.signing_keys().await.unwrap();
    let ids: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["early", "b, first of its second", "a, second of its second", "late"]);
    let early = signing_key("early", -10);
    assert_eq!(
        (&keys[0].algorithm, &keys[0].sealed, keys[0].created_at),
        (&early.algorithm, &early.sealed, early.created_at)
    );
    let feed = store.changes(Revision(0), 100).await.unwrap();
    assert_eq!(feed.len(), 4);
    assert!(feed.iter().all(|change| change.subject == Subject::SigningKeys));
}

pub(super) async fn a_signing_key_is_added_once(home: &dyn Home) {
    let store = home.open().await;
    store.add_signing_key(&signing_key("same", 0), None, &act()).await.unwrap();
    let revision = store.revision().await.unwrap();
    let refused = store.add_signing_key(&signing_key("same", 5), None, &act()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.signing_keys().await.unwrap()[0].created_at, NOON);
}

pub(super) async fn the_bootstrap_digest_is_set_and_ended(home: &dyn Home) {
    let store = home.open().await;
    for given in [Some(digest("first")), Some(digest("second")), None, None, Some(digest("third"))] {
        store.set_bootstrap_digest(given.as_ref(), &act()).await.unwrap();
        assert_eq!(store.bootstrap_digest().await.unwrap(), given);
    }
    assert_eq!(store.revision().await.unwrap(), Revision(0));
}
