//! Which living keys hold what.

use super::*;
use portcullis::store::{Beyond, Exceeding, Holders, RoleHolders};
use std::time::Duration;

fn named(names: &[&str]) -> Vec<PermissionName> {
    names.iter().map(|name| PermissionName::parse(name).unwrap()).collect()
}

/// `permission 3: newest, ...`
fn told(name: &str, count: u64, keys: &[(ClientId, KeyName)]) -> String {
    let keys: Vec<&str> = keys.iter().map(|(_, name)| name.as_str()).collect();
    format!("{name} {count}: {}", keys.join(", "))
}

fn shown(holders: &[Holders]) -> Vec<String> {
    holders.iter().map(|held| told(held.permission.as_str(), held.count, &held.keys)).collect()
}

fn roles_shown(holders: &[RoleHolders]) -> Vec<String> {
    holders.iter().map(|held| told(&held.role, held.count, &held.keys)).collect()
}

/// A key made `second` seconds past noon.
async fn make(store: &dyn Store, second: i64, named: &str, kind: KeyKind) -> NewKey {
    let new = NewKey { kind, ..new_key(named) };
    store.create_key(&new, &act_at(NOON.plus_seconds(second))).await.unwrap();
    new
}

pub(super) async fn living_keys_that_hold_a_permission_are_counted_and_named(home: &dyn Home) {
    let store = home.open().await;
    let oldest = make(&*store, 1, "oldest", permissions(&["a", "b"])).await;
    make(&*store, 2, "middle", permissions(&["b", "c"])).await;
    make(&*store, 3, "newest", permissions(&["ab", "b"])).await;
    make(&*store, 4, "role", KeyKind::Legacy { role: "b".to_owned() }).await;
    let revoked = make(&*store, 5, "revoked", permissions(&["a", "b"])).await;
    store.revoke_key(&production(), &revoked.client_id, None, &act()).await.unwrap();
    let ends = NewKey { expires_at: Some(NOON.plus_seconds(100)), kind: permissions(&["c"]), ..new_key("ends") };
    store.create_key(&ends, &act_at(NOON.plus_seconds(6))).await.unwrap();
    let elsewhere = NewKey { environment: environment("acme", "staging"), ..new_key("elsewhere") };
    store.create_key(&NewKey { kind: permissions(&["b"]), ..elsewhere }, &act()).await.unwrap();

    let now = NOON.plus_seconds(99);
    let found = store.keys_holding(&production(), &named(&["c", "b", "nobody's", "a"]), now, 2).await.unwrap();
    assert_eq!(shown(&found), ["a 1: oldest", "b 3: newest, middle", "c 2: ends, middle"]);
    assert_eq!(found[0].keys, [(oldest.client_id, oldest.name)]);
    // The first second at which a key is dead.
    let later = store.keys_holding(&production(), &named(&["c"]), NOON.plus_seconds(100), 20).await.unwrap();
    assert_eq!(shown(&later), ["c 1: middle"]);
    assert_eq!(shown(&store.keys_holding(&production(), &named(&["a"]), now, 0).await.unwrap()), ["a 1: "]);
    assert!(store.keys_holding(&production(), &[], now, 20).await.unwrap().is_empty());
    assert!(store.keys_holding(&environment("acme", "none"), &named(&["b"]), now, 20).await.unwrap().is_empty());
}

pub(super) async fn what_is_held_beyond_the_known_is_found(home: &dyn Home) {
    let store = home.open().await;
    make(&*store, 1, "one", permissions(&["a", "gone", "portcullis:keys:view"])).await;
    make(&*store, 2, "two", permissions(&["gone", "b"])).await;
    make(&*store, 3, "events", KeyKind::Legacy { role: "events".to_owned() }).await;
    make(&*store, 4, "old", KeyKind::Legacy { role: "lost".to_owned() }).await;
    let revoked = make(&*store, 5, "revoked", permissions(&["other"])).await;
    store.revoke_key(&production(), &revoked.client_id, None, &act()).await.unwrap();

    let beyond = store.keys_beyond(&production(), &named(&["a", "b"]), &["events"], NOON, 20).await.unwrap();
    assert_eq!(shown(&beyond.permissions), ["gone 2: two, one"]);
    assert_eq!(roles_shown(&beyond.roles), ["lost 1: old"]);
    let nothing_known = store.keys_beyond(&production(), &[], &[], NOON, 1).await.unwrap();
    assert_eq!(shown(&nothing_known.permissions), ["a 1: one", "b 1: two", "gone 2: two"]);
    assert_eq!(roles_shown(&nothing_known.roles), ["events 1: events", "lost 1: old"]);
    let all =
        store.keys_beyond(&production(), &named(&["a", "b", "gone"]), &["events", "lost"], NOON, 20).await.unwrap();
    assert_eq!(all, Beyond::default());
}

pub(super) async fn keys_that_outlive_a_policy_are_counted_for_each_life(home: &dyn Home) {
    let store = home.open().await;
    make(&*store, 0, "endless", permissions(&["a"])).await;
    make(&*store, 0, "legacy", KeyKind::Legacy { role: "events".to_owned() }).await;
    for (named, life) in [("an hour", 3600), ("two hours", 7200)] {
        let ends = NewKey { expires_at: Some(NOON.plus_seconds(life)), ..new_key(named) };
        store.create_key(&ends, &act()).await.unwrap();
    }
    let revoked = make(&*store, 0, "revoked", permissions(&["a"])).await;
    store.revoke_key(&production(), &revoked.client_id, None, &act()).await.unwrap();
    let elsewhere = NewKey { environment: environment("other", "production"), ..new_key("elsewhere") };
    store.create_key(&elsewhere, &act()).await.unwrap();

    let id = production().organization;
    let lives = [Some(3599), Some(3600), None, Some(7200)].map(|life| life.map(Duration::from_secs));
    let counted = |lifetime| Exceeding { legacy: 1, lifetime };
    let found = store.count_exceeding(&id, &lives, NOON.plus_seconds(60)).await.unwrap();
    assert_eq!(found, [4, 3, 0, 2].map(counted));
    let later = store.count_exceeding(&id, &lives[..1], NOON.plus_seconds(3600)).await.unwrap();
    assert_eq!(later, [counted(3)]);
    assert!(store.count_exceeding(&id, &[], NOON).await.unwrap().is_empty());
}
