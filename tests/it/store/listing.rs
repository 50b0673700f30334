//! Pages, filters and batches.

use super::*;
use portcullis::model::{ApiKey, KeyStatus};
use portcullis::store::{KeyPlace, KeySort, KeyUse};

/// Every page of a listing, one after another.
async fn walk(store: &dyn Store, filter: &KeyFilter, limit: u32) -> Vec<ApiKey> {
    walk_sorted(store, filter, &page(limit)).await
}

/// The same in the order of a page.
async fn walk_sorted(store: &dyn Store, filter: &KeyFilter, first: &Page) -> Vec<ApiKey> {
    let (mut keys, limit): (Vec<ApiKey>, u32) = (Vec::new(), first.limit);
    loop {
        let after = keys.last().map(|key| first.sort.place(key));
        let page = store.list_keys(&production(), filter, &Page { after, ..first.clone() }).await.unwrap();
        assert!(page.keys.len() <= limit as usize);
        assert!(!page.more || page.keys.len() == limit as usize, "only a full page has a next one");
        keys.extend(page.keys);
        if !page.more {
            return keys;
        }
    }
}

/// Keys of a few instants each, so that pages break within an instant.
async fn make(store: &dyn Store, count: i64) -> Vec<ApiKey> {
    let mut keys = Vec::new();
    for number in 0..count {
        let created_at = NOON.plus_seconds(number * 7 % 5);
        keys.push(store.create_key(&new_key(&format!("key {number}")), &act_at(created_at)).await.unwrap());
    }
    keys
}

/// The order that a listing promises.
fn in_order(mut keys: Vec<ApiKey>) -> Vec<ApiKey> {
    keys.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.client_id.cmp(&b.client_id)));
    keys
}

fn names(keys: &[ApiKey]) -> Vec<&str> {
    let mut names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    names
}

pub(super) async fn pages_lose_and_repeat_nothing(home: &dyn Home) {
    let store = home.open().await;
    let keys = in_order(make(&*store, 57).await);
    store
        .create_key(&NewKey { environment: environment("acme", "staging"), ..new_key("elsewhere") }, &act())
        .await
        .unwrap();
    for limit in [10, 1, 56, 57, 58, 1000] {
        assert_eq!(walk(&*store, &everything(), limit).await, keys, "pages of {limit}");
    }
}

pub(super) async fn pages_hold_while_keys_are_made(home: &dyn Home) {
    let store = home.open().await;
    let keys = in_order(make(&*store, 12).await);
    let first = store.list_keys(&production(), &everything(), &page(5)).await.unwrap();
    store.create_key(&new_key("newer"), &act_at(NOON.plus_seconds(99))).await.unwrap();
    // The key that the next page goes on after may itself have changed, or be over.
    let last = &first.keys[4].client_id;
    store.rotate_key(&production(), last, &rotation("new"), None, &act_at(NOON.plus_seconds(60))).await.unwrap();
    store.revoke_key(&production(), last, None, &act()).await.unwrap();
    let active = KeyFilter { status: Some(KeyStatus::Active), ..everything() };
    let after = Some(KeySort::Created.place(&first.keys[4]));
    let rest = store.list_keys(&production(), &active, &Page { after, ..page(100) }).await.unwrap();
    assert_eq!(rest.keys, keys[5..]);
    assert!(!rest.more);
}

pub(super) async fn a_limit_is_held_to_its_range(home: &dyn Home) {
    let store = home.open().await;
    make(&*store, 3).await;
    let least = store.list_keys(&production(), &everything(), &page(0)).await.unwrap();
    assert_eq!((least.keys.len(), least.more), (1, true));
    let most = store.list_keys(&production(), &everything(), &page(u32::MAX)).await.unwrap();
    assert_eq!((most.keys.len(), most.more), (3, false));
}

pub(super) async fn a_place_need_not_be_there(home: &dyn Home) {
    let store = home.open().await;
    let keys = in_order(make(&*store, 9).await);
    for key in &keys {
        let ClientIds { before, after } = ClientIds::around(key);
        for (client_id, left) in [(before, true), (after, false)] {
            let place = KeyPlace { client_id, ..KeySort::Created.place(key) };
            let rest = store.list_keys(&production(), &everything(), &Page { after: Some(place), ..page(100) }).await;
            assert_eq!(rest.unwrap().keys.contains(key), left);
        }
    }
}

/// Ids that stand right before and right after a key's.
struct ClientIds {
    before: ClientId,
    after: ClientId,
}

impl ClientIds {
    fn around(key: &ApiKey) -> Self {
        let id = key.client_id.as_str();
        let parse = |text: &str| ClientId::parse(text).unwrap();
        Self { before: parse(&id[..id.len() - 1]), after: parse(&format!("{id}0")) }
    }
}

pub(super) async fn lists_are_sorted_both_ways(home: &dyn Home) {
    let store = home.open().await;
    let mut keys = Vec::new();
    for (number, (named, expires, used)) in [
        ("b", None, Some(5)),
        ("Ä", Some(20), None),
        ("a", Some(10), Some(5)),
        ("C", Some(10), Some(-7)),
        ("é", None, None),
    ]
    .into_iter()
    .enumerate()
    {
        let expires_at = expires.map(|seconds| NOON.plus_seconds(seconds));
        let made = NOON.plus_seconds(i64::try_from(number).unwrap() / 2);
        let key = store.create_key(&NewKey { expires_at, ..new_key(named) }, &act_at(made)).await.unwrap();
        let last_used_at = used.map(|seconds| NOON.plus_seconds(seconds));
        if let Some(last_used_at) = last_used_at {
            let client_id = key.client_id.clone();
            let used = KeyUse { client_id, last_used_at, last_address: None, operations: vec![] };
            store.record_usage(&[used]).await.unwrap();
        }
        keys.push(ApiKey { last_used_at, ..key });
    }
    // Two of one name: the one that was revoked made room.
    let again = store.create_key(&NewKey { name: name("B"), ..new_key("z") }, &act()).await;
    assert!(again.is_err());
    keys[0] = store.revoke_key(&production(), &keys[0].client_id, None, &act()).await.unwrap();
    keys.push(store.create_key(&new_key("B"), &act()).await.unwrap());
    for sort in KeySort::ALL {
        for descending in [false, true] {
            let mut sorted = keys.clone();
            sorted.sort_by_key(|key| sort.place(key));
            if !sort.places_grow(descending) {
                sorted.reverse();
            }
            for limit in [1, 2, 3, 100] {
                let asked = Page { limit, sort, descending, after: None };
                assert_eq!(walk_sorted(&*store, &everything(), &asked).await, sorted, "{asked:?}");
            }
            // No client id holds this letter.
            let searched = KeyFilter { query: Some("É".to_owned()), ..everything() };
            let unused = KeyFilter { unused_since: Some(NOON), ..everything() };
            let asked = Page { limit: 1, sort, descending, after: None };
            assert_eq!(names(&walk_sorted(&*store, &searched, &asked).await), ["é"], "{asked:?}");
            sorted.retain(|key| key.last_used_at.is_none_or(|used| used < NOON));
            assert_eq!(walk_sorted(&*store, &unused, &asked).await, sorted, "{asked:?}");
        }
    }
    let by_name = Page { limit: 10, sort: KeySort::Name, descending: false, after: None };
    let found: Vec<_> = walk_sorted(&*store, &everything(), &by_name).await;
    let found: Vec<&str> = found.iter().map(|key| key.name.as_str()).collect();
    assert_eq!((&found[..1], &found[3..]), (&["a"][..], &["C", "Ä", "é"][..]));
}

pub(super) async fn newest_first_then_client_id(home: &dyn Home) {
    let store = home.open().await;
    for (id, seconds) in [("b", 0), ("a", 0), ("Z", 0), ("_", 0), ("c", 10), ("d", -10)] {
        let client_id = ClientId::parse(id).unwrap();
        let created_at = NOON.plus_seconds(seconds);
        store.create_key(&NewKey { client_id, ..new_key(&format!("key {id}")) }, &act_at(created_at)).await.unwrap();
    }
    // Ids compare by byte, whatever the locale of the store.
    let ids: Vec<_> = walk(&*store, &everything(), 2).await.iter().map(|key| key.client_id.to_string()).collect();
    assert_eq!(ids, ["c", "Z", "_", "a", "b", "d"]);
}

pub(super) async fn status_is_judged_at_now(home: &dyn Home) {
    let store = home.open().await;
    let expiring = |at: i64| Some(NOON.plus_seconds(at));
    for (named, expires_at) in
        [("forever", None), ("ended", expiring(-1)), ("ends", expiring(0)), ("later", expiring(1))]
    {
        store.create_key(&NewKey { expires_at, ..new_key(named) }, &act()).await.unwrap();
    }
    for (named, expires_at) in [("revoked", None), ("revoked and ended", expiring(-1))] {
        let key = store.create_key(&NewKey { expires_at, ..new_key(named) }, &act()).await.unwrap();
        store.revoke_key(&production(), &key.client_id, None, &act()).await.unwrap();
    }
    for (status, named) in [
        (KeyStatus::Active, vec!["forever", "later"]),
        (KeyStatus::Expired, vec!["ended", "ends"]),
        (KeyStatus::Revoked, vec!["revoked", "revoked and ended"]),
    ] {
        let keys = walk(&*store, &KeyFilter { status: Some(status), ..everything() }, 1).await;
        assert_eq!(names(&keys), named);
        assert!(keys.iter().all(|key| key.status(NOON) == status));
    }
    let later = KeyFilter { status: Some(KeyStatus::Active), now: NOON.plus_seconds(1), ..everything() };
    assert_eq!(names(&walk(&*store, &later, 10).await), ["forever"]);
}

pub(super) async fn filters_by_kind_and_expiry(home: &dyn Home) {
    let store = home.open().await;
    let legacy = KeyKind::Legacy { role: "events".to_owned() };
    let soon = Some(NOON.plus_seconds(100));
    store.create_key(&new_key("fine"), &act()).await.unwrap();
    store.create_key(&NewKey { expires_at: soon, ..new_key("fine, ends") }, &act()).await.unwrap();
    store.create_key(&NewKey { kind: legacy.clone(), ..new_key("legacy") }, &act()).await.unwrap();
    store.create_key(&NewKey { kind: legacy, expires_at: soon, ..new_key("legacy, ends") }, &act()).await.unwrap();

    let of_kind = |legacy| KeyFilter { legacy: Some(legacy), ..everything() };
    assert_eq!(names(&walk(&*store, &of_kind(true), 1).await), ["legacy", "legacy, ends"]);
    assert_eq!(names(&walk(&*store, &of_kind(false), 1).await), ["fine", "fine, ends"]);

    let before = |seconds| KeyFilter { expires_before: Some(NOON.plus_seconds(seconds)), ..everything() };
    assert_eq!(names(&walk(&*store, &before(101), 1).await), ["fine, ends", "legacy, ends"]);
    assert!(walk(&*store, &before(100), 1).await.is_empty());
    let both = KeyFilter { legacy: Some(true), ..before(101) };
    assert_eq!(names(&walk(&*store, &both, 1).await), ["legacy, ends"]);
}

pub(super) async fn text_is_found_literally_and_without_case(home: &dyn Home) {
    let store = home.open().await;
    let client_id = ClientId::parse("pcull_AbC_42").unwrap();
    store.create_key(&NewKey { client_id, ..new_key("Ärger") }, &act()).await.unwrap();
    for named in ["100% of it", "100 of it", "a_b", "axb", r"back\slash", "it's \"quoted\""] {
        store.create_key(&new_key(named), &act()).await.unwrap();
    }
    for (query, found) in [
        ("ärg", vec!["Ärger"]),
        ("ÄRGER", vec!["Ärger"]),
        ("abc_42", vec!["Ärger"]),
        ("ULL_ABC", vec!["Ärger"]),
        ("a\u{308}rg", vec!["Ärger"]),
        ("_abc_4", vec!["Ärger"]),
        ("pcull_abc__2", vec![]),
        ("abc%42", vec![]),
        ("100%", vec!["100% of it"]),
        ("a_b", vec!["a_b"]),
        (r"\", vec![r"back\slash"]),
        ("'s \"Q", vec!["it's \"quoted\""]),
        ("%", vec!["100% of it"]),
        ("no such", vec![]),
        ("\0", vec![]),
    ] {
        let filter = KeyFilter { query: Some(query.to_owned()), ..everything() };
        assert_eq!(names(&walk(&*store, &filter, 3).await), found, "{query:?}");
    }
    for (query, count) in [(String::new(), 7), ("x".repeat(100_000), 0)] {
        let filter = KeyFilter { query: Some(query), ..everything() };
        assert_eq!(walk(&*store, &filter, 3).await.len(), count);
    }
}

pub(super) async fn all_keys_come_in_batches(home: &dyn Home) {
    let store = home.open().await;
    let mut keys = make(&*store, 11).await;
    for elsewhere in [environment("acme", "staging"), environment("other", "production")] {
        keys.push(store.create_key(&NewKey { environment: elsewhere, ..new_key("one") }, &act()).await.unwrap());
    }
    let ended = store.revoke_key(&production(), &keys[0].client_id, None, &act()).await.unwrap();
    keys[0] = ended;
    keys.sort_by(|a, b| a.client_id.cmp(&b.client_id));

    let mut loaded: Vec<ApiKey> = Vec::new();
    loop {
        let batch = store.all_keys(loaded.last().map(|key| &key.client_id), 4).await.unwrap();
        assert!(batch.len() <= 4);
        if batch.is_empty() {
            break;
        }
        loaded.extend(batch);
    }
    assert_eq!(loaded, keys);
    assert_eq!(store.all_keys(None, 1000).await.unwrap(), keys);
}
