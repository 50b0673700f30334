//! Making, finding, rotating and revoking keys.

use super::*;
use portcullis::model::{ApiKey, KeyStatus, ManagedBy, Revision, SecretVersion};
use portcullis::store::StoreError;

pub(super) async fn a_key_comes_back_as_it_was_made(home: &dyn Home) {
    let store = home.open().await;
    let fine = NewKey {
        description: "Line one\nline two – 100 % 'quoted' \u{1f511}".to_owned(),
        kind: permissions(&["cards:read", "GET:/v1/{id}", "portcullis:keys:view"]),
        allowlist: allowlist(&["203.0.113.42", "198.51.100.0/24", "2001:db8::/32"], true),
        expires_at: Some(NOON.plus_seconds(1)),
        ..new_key("Salesforce – Produktion")
    };
    let legacy = NewKey {
        kind: KeyKind::Legacy { role: "events".to_owned() },
        allowlist: allowlist(&[], true),
        secret_last_four: String::new(),
        ..new_key("old")
    };
    for new in [fine, legacy, new_key("plain")] {
        let made = store.create_key(&new, &act()).await.unwrap();
        assert_eq!(made, expected(&new, made.revision));
        assert_eq!(store.key(&production(), &new.client_id).await.unwrap(), made);
        assert_eq!(store.key_by_id(&new.client_id).await.unwrap(), Some(made));
    }
}

/// What the store makes of a new key.
fn expected(new: &NewKey, revision: Revision) -> ApiKey {
    let new = new.clone();
    ApiKey {
        client_id: new.client_id,
        environment: new.environment,
        name: new.name,
        description: new.description,
        kind: new.kind,
        may_grant: vec![],
        allowlist: new.allowlist,
        secret_digest: new.secret_digest,
        secret_last_four: new.secret_last_four,
        secret_version: SecretVersion(1),
        expires_at: new.expires_at,
        created_at: NOON,
        created_by: "ada@acme.example".to_owned(),
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        last_address: None,
        revision,
        managed_by: ManagedBy::Api,
    }
}

pub(super) async fn a_key_belongs_to_its_environment(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    for elsewhere in [environment("acme", "staging"), environment("other", "production")] {
        let found = store.key(&elsewhere, &key.client_id).await;
        assert!(matches!(found, Err(StoreError::KeyNotFound)), "{found:?}");
        let rotated =
            store.rotate_key(&elsewhere, &key.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60))).await;
        assert!(matches!(rotated, Err(StoreError::KeyNotFound)), "{rotated:?}");
        let revoked = store.revoke_key(&elsewhere, &key.client_id, None, &act()).await;
        assert!(matches!(revoked, Err(StoreError::KeyNotFound)), "{revoked:?}");
        assert!(store.list_keys(&elsewhere, &everything(), &page(10)).await.unwrap().keys.is_empty());
    }
    assert_eq!(store.key_by_id(&key.client_id).await.unwrap(), Some(key));
}

pub(super) async fn a_missing_key_is_not_found(home: &dyn Home) {
    let store = home.open().await;
    let id = fresh_id();
    assert!(matches!(store.key(&production(), &id).await, Err(StoreError::KeyNotFound)));
    assert_eq!(store.key_by_id(&id).await.unwrap(), None);
    let rotated =
        store.rotate_key(&production(), &id, &rotation("new"), Some(Revision(1)), &act_at(NOON.plus_seconds(60))).await;
    assert!(matches!(rotated, Err(StoreError::KeyNotFound)), "{rotated:?}");
    let revoked = store.revoke_key(&production(), &id, Some(Revision(1)), &act()).await;
    assert!(matches!(revoked, Err(StoreError::KeyNotFound)), "{revoked:?}");
}

pub(super) async fn a_name_is_taken_ignoring_case(home: &dyn Home) {
    let store = home.open().await;
    store.create_key(&new_key("Geschäft ÄÖÜ"), &act()).await.unwrap();
    for same in ["Geschäft ÄÖÜ", "geschäft äöü", "GESCHÄFT ÄÖÜ", "  Geschäft äöÜ "] {
        let refused = store.create_key(&new_key(same), &act()).await;
        assert!(matches!(refused, Err(StoreError::NameTaken)), "{same}: {refused:?}");
    }
    store.create_key(&new_key("Geschaft AOU"), &act()).await.unwrap();
}

pub(super) async fn a_name_is_free_in_another_environment(home: &dyn Home) {
    let store = home.open().await;
    for elsewhere in [production(), environment("acme", "staging"), environment("other", "production")] {
        store.create_key(&NewKey { environment: elsewhere, ..new_key("same") }, &act()).await.unwrap();
    }
}

pub(super) async fn revoking_frees_the_name(home: &dyn Home) {
    let store = home.open().await;
    let first = store.create_key(&new_key("same"), &act()).await.unwrap();
    let revoked = store.revoke_key(&production(), &first.client_id, None, &act_at(NOON.plus_seconds(5))).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(NOON.plus_seconds(5)));
    assert_eq!(revoked.status(NOON), KeyStatus::Revoked);
    assert_eq!(store.key(&production(), &first.client_id).await.unwrap(), revoked);

    let second = store.create_key(&new_key("Same"), &act()).await.unwrap();
    assert!(matches!(store.create_key(&new_key("sAME"), &act()).await, Err(StoreError::NameTaken)));
    store.revoke_key(&production(), &second.client_id, None, &act()).await.unwrap();
    store.create_key(&new_key("same"), &act()).await.unwrap();
}

pub(super) async fn revoking_again_changes_nothing(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let known = Some(key.revision);
    let revoked = store.revoke_key(&production(), &key.client_id, known, &act()).await.unwrap();
    for expected in [None, Some(revoked.revision), known] {
        let again =
            store.revoke_key(&production(), &key.client_id, expected, &act_at(NOON.plus_seconds(9))).await.unwrap();
        assert_eq!(again, revoked);
    }
    assert_eq!(store.revision().await.unwrap(), revoked.revision);
}

pub(super) async fn revoking_checks_the_expected_revision(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let rotated = store
        .rotate_key(&production(), &key.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    let refused = store.revoke_key(&production(), &key.client_id, Some(key.revision), &act()).await;
    assert!(
        matches!(refused, Err(StoreError::RevisionMismatch { current }) if current == rotated.revision),
        "{refused:?}"
    );
    assert_eq!(store.key(&production(), &key.client_id).await.unwrap(), rotated);
    store.revoke_key(&production(), &key.client_id, Some(rotated.revision), &act()).await.unwrap();
}

pub(super) async fn rotation_replaces_the_secret_and_the_expiry(home: &dyn Home) {
    let store = home.open().await;
    let new = NewKey { expires_at: Some(NOON.plus_seconds(3600)), ..new_key("one") };
    let key = store.create_key(&new, &act()).await.unwrap();
    let rotation = Rotation { expires_at: Some(NOON.plus_seconds(7200)), ..rotation("new") };
    let rotated =
        store.rotate_key(&production(), &key.client_id, &rotation, None, &act_at(NOON.plus_seconds(60))).await.unwrap();
    let expected = ApiKey {
        secret_digest: digest("new"),
        secret_last_four: "abcd".to_owned(),
        secret_version: SecretVersion(2),
        expires_at: Some(NOON.plus_seconds(7200)),
        rotated_at: Some(NOON.plus_seconds(60)),
        revision: rotated.revision,
        ..key
    };
    assert_eq!(rotated, expected);
    assert_eq!(store.key_by_id(&rotated.client_id).await.unwrap(), Some(rotated.clone()));

    let forever = Rotation { expires_at: None, ..rotation };
    let rotated = store
        .rotate_key(&production(), &rotated.client_id, &forever, None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    assert_eq!((rotated.expires_at, rotated.secret_version), (None, SecretVersion(3)));
}

pub(super) async fn rotation_keeps_replaces_or_opens_the_allowlist(home: &dyn Home) {
    let store = home.open().await;
    let first = allowlist(&["203.0.113.42"], true);
    let second = allowlist(&["2001:db8::/32"], false);
    let key = store.create_key(&NewKey { allowlist: first.clone(), ..new_key("one") }, &act()).await.unwrap();
    for (given, then) in [
        (None, &first),
        (Some(second.clone()), &second),
        (None, &second),
        (Some(None), &None),
        (None, &None),
        (Some(first.clone()), &first),
    ] {
        let rotation = Rotation { allowlist: given, ..rotation("new") };
        let rotated = store
            .rotate_key(&production(), &key.client_id, &rotation, None, &act_at(NOON.plus_seconds(60)))
            .await
            .unwrap();
        assert_eq!(&rotated.allowlist, then);
        assert_eq!(&store.key(&production(), &key.client_id).await.unwrap().allowlist, then);
    }
}

pub(super) async fn rotation_revives_an_expired_key(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&NewKey { expires_at: Some(NOON), ..new_key("one") }, &act()).await.unwrap();
    assert_eq!(key.status(NOON), KeyStatus::Expired);
    let rotated = store
        .rotate_key(&production(), &key.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    assert_eq!(rotated.status(NOON), KeyStatus::Active);
}

pub(super) async fn a_revoked_key_does_not_rotate(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let revoked = store.revoke_key(&production(), &key.client_id, None, &act()).await.unwrap();
    for expected in [None, Some(revoked.revision), Some(key.revision)] {
        let refused = store
            .rotate_key(&production(), &key.client_id, &rotation("new"), expected, &act_at(NOON.plus_seconds(60)))
            .await;
        assert!(matches!(refused, Err(StoreError::Revoked)), "{refused:?}");
    }
    assert_eq!(store.key(&production(), &key.client_id).await.unwrap(), revoked);
}

pub(super) async fn rotation_checks_the_expected_revision(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let known = Some(key.revision);
    let rotated = store
        .rotate_key(&production(), &key.client_id, &rotation("new"), known, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    let refused = store
        .rotate_key(&production(), &key.client_id, &rotation("newer"), known, &act_at(NOON.plus_seconds(60)))
        .await;
    assert!(
        matches!(refused, Err(StoreError::RevisionMismatch { current }) if current == rotated.revision),
        "{refused:?}"
    );
    assert_eq!(store.key(&production(), &key.client_id).await.unwrap(), rotated);
}

pub(super) async fn only_rotation_bumps_the_secret_version(home: &dyn Home) {
    let store = home.open().await;
    let key = store.create_key(&new_key("one"), &act()).await.unwrap();
    let other = store.create_key(&new_key("two"), &act()).await.unwrap();
    let rotated = store
        .rotate_key(&production(), &key.client_id, &rotation("new"), None, &act_at(NOON.plus_seconds(60)))
        .await
        .unwrap();
    assert_eq!(rotated.secret_version, SecretVersion(2));
    let revoked = store.revoke_key(&production(), &key.client_id, None, &act()).await.unwrap();
    assert_eq!(revoked.secret_version, SecretVersion(2));
    assert_eq!((revoked.secret_digest, revoked.rotated_at), (rotated.secret_digest, rotated.rotated_at));
    assert_eq!(store.key(&production(), &other.client_id).await.unwrap().secret_version, SecretVersion(1));
}
