//! What keys and environments did by the hour, and keys counted.

use super::*;
use portcullis::store::{CountedAt, HOUR_SECONDS, HourUse, KeyCounts, KeyUse, TrafficHour, hour_of};

fn used(client_id: &ClientId, at: Timestamp, counts: &[u64]) -> KeyUse {
    let operations = (0..).zip(counts).map(|(number, count)| (format!("operation {number}"), *count)).collect();
    KeyUse { client_id: client_id.clone(), last_used_at: at, last_address: None, operations }
}

fn hours_ago(hours: i64) -> Timestamp {
    NOON.plus_seconds(-hours * HOUR_SECONDS)
}

async fn hours(store: &dyn Store, ids: &[ClientId], since: Timestamp, hours: u32) -> Vec<HourUse> {
    let mut found = store.hours_used(ids, since, hours).await.unwrap();
    found.sort_by_key(|used| (used.hour, used.client_id.clone()));
    found
}

pub(super) async fn uses_are_counted_by_the_hour(home: &dyn Home) {
    let store = home.open().await;
    let (a, b) = (store.create_key(&new_key("a"), &act()).await.unwrap().client_id, fresh_id());
    store.record_usage(&[used(&a, NOON, &[3, 4]), used(&b, NOON, &[1])]).await.unwrap();
    store.record_usage(&[used(&a, NOON, &[2]), used(&b, NOON, &[])]).await.unwrap();
    store.record_usage(&[used(&a, hours_ago(3), &[5])]).await.unwrap();
    store.record_usage(&[used(&a, hours_ago(4), &[5])]).await.unwrap();
    let hour = |id: &ClientId, at, count| HourUse { client_id: id.clone(), hour: hour_of(at), count };
    let mut expected = vec![hour(&a, hours_ago(3), 5), hour(&a, NOON, 9), hour(&b, NOON, 1)];
    expected[1..].sort_by_key(|used| used.client_id.clone());
    // A key that is not there may be one of a file.
    assert_eq!(hours(&*store, &[a.clone(), b.clone(), fresh_id()], hours_ago(3), 4).await, expected);
    assert_eq!(hours(&*store, std::slice::from_ref(&a), hours_ago(3), 3).await, [hour(&a, hours_ago(3), 5)]);
    assert!(hours(&*store, &[], hours_ago(3), 4).await.is_empty());
    store.forget_ended(NOON.plus_seconds(46 * HOUR_SECONDS)).await.unwrap();
    assert_eq!(hours(&*store, std::slice::from_ref(&a), hours_ago(9), 10).await, [hour(&a, NOON, 9)]);
    assert_eq!(store.operations_used(&a).await.unwrap().len(), 2, "these are kept");
}

pub(super) async fn traffic_is_counted_by_the_hour(home: &dyn Home) {
    let store = home.open().await;
    let hour = |at, code: &str, count| TrafficHour { hour: hour_of(at), code: code.to_owned(), count };
    let staging = environment("acme", "staging");
    store
        .record_traffic(&[
            (production(), hour(NOON, "", 10)),
            (production(), hour(NOON, "token_missing", 2)),
            (production(), hour(hours_ago(23), "", 1)),
            (production(), hour(hours_ago(24), "", 7)),
            (staging.clone(), hour(NOON, "", 99)),
        ])
        .await
        .unwrap();
    store.record_traffic(&[(production(), hour(NOON, "", 5)), (production(), hour(NOON, "x", 0))]).await.unwrap();
    store.record_traffic(&[]).await.unwrap();
    let found = store.traffic(&production(), hours_ago(23), 24).await.unwrap();
    assert_eq!(found, [hour(hours_ago(23), "", 1), hour(NOON, "", 15), hour(NOON, "token_missing", 2)]);
    store.forget_ended(NOON.plus_seconds(48 * HOUR_SECONDS)).await.unwrap();
    assert_eq!(store.traffic(&staging, hours_ago(23), 24).await.unwrap(), [hour(NOON, "", 99)]);
    assert_eq!(store.traffic(&production(), hours_ago(30), 100).await.unwrap().len(), 2);
    store.forget_ended(NOON.plus_seconds(50 * HOUR_SECONDS)).await.unwrap();
    assert!(store.traffic(&staging, hours_ago(23), 24).await.unwrap().is_empty());
}

pub(super) async fn keys_are_counted(home: &dyn Home) {
    let store = home.open().await;
    const DAY: i64 = 86_400;
    let at = CountedAt {
        now: NOON,
        expiring_before: NOON.plus_seconds(14 * DAY),
        unused_since: NOON.plus_seconds(-90 * DAY),
    };
    assert_eq!(store.count_keys(&production(), &[], &at).await.unwrap(), KeyCounts::default());
    let ends = |seconds| Some(NOON.plus_seconds(seconds));
    let old = act_at(NOON.plus_seconds(-90 * DAY - 1));
    let legacy = KeyKind::Legacy { role: "events".to_owned() };
    let mut made = Vec::new();
    for (new, act) in [
        (NewKey { expires_at: ends(14 * DAY), ..new_key("lasts") }, act()),
        (NewKey { expires_at: ends(14 * DAY - 1), ..new_key("expiring") }, act()),
        (NewKey { expires_at: ends(0), ..new_key("expired") }, old.clone()),
        (NewKey { kind: legacy, ..new_key("legacy") }, act()),
        (new_key("old, never used"), old.clone()),
        (new_key("old, used long ago"), old.clone()),
        (new_key("old, used"), old.clone()),
        (new_key("revoked"), old),
        (NewKey { environment: environment("acme", "staging"), ..new_key("elsewhere") }, act()),
    ] {
        made.push(store.create_key(&new, &act).await.unwrap().client_id);
    }
    let long_ago = NOON.plus_seconds(-90 * DAY - 1);
    let uses = [used(&made[5], long_ago, &[]), used(&made[6], NOON.plus_seconds(-90 * DAY), &[])];
    store.record_usage(&uses).await.unwrap();
    store.revoke_key(&production(), &made[7], None, &act()).await.unwrap();
    let counts = KeyCounts { total: 8, active: 6, expiring: 1, unused: 2, legacy: 1, expired: 1, revoked: 1 };
    assert_eq!(store.count_keys(&production(), &[], &at).await.unwrap(), counts);
    let without = [made[3].clone(), made[4].clone(), made[7].clone(), fresh_id()];
    let counts = KeyCounts { total: 5, active: 4, unused: 1, legacy: 0, revoked: 0, ..counts };
    assert_eq!(store.count_keys(&production(), &without, &at).await.unwrap(), counts);
}
