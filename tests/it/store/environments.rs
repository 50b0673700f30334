//! Environments that the control API makes, and the documents they use.

use super::*;
use portcullis::model::{AuditEntry, AuditTarget};
use portcullis::store::{
    AuditFilter, DocumentChange, DocumentText, EnvironmentWrite, Judged, OrganizationChange, StoreError,
    StoredEnvironment, Subject,
};
use serde_json::{Value, json};

fn entry(id: &EnvironmentId, action: &'static str) -> AuditEntry {
    AuditEntry {
        organization: Some(id.organization.clone()),
        environment: Some(id.environment.clone()),
        action,
        target: Some(AuditTarget { kind: "environment", id: id.to_string(), name: String::new() }),
        before: None,
        after: Some(json!({"base_url": "http://gate.test"})),
        code: None,
        count: 1,
    }
}

fn write(id: &EnvironmentId, definition: &str) -> EnvironmentWrite {
    EnvironmentWrite {
        id: id.clone(),
        definition: definition.to_owned(),
        document: DocumentChange::Keep,
        of_store: false,
        roles_gone: vec![],
        entry: entry(id, "environment.create"),
    }
}

fn with_document(id: &EnvironmentId, text: &str) -> EnvironmentWrite {
    EnvironmentWrite { document: DocumentChange::Set(document(text)), ..write(id, "{}") }
}

fn document(text: &str) -> DocumentText {
    DocumentText::new(text.to_owned())
}

async fn made(store: &dyn Store, id: &EnvironmentId) -> StoredEnvironment {
    store.write_environment(&write(id, "{}"), Judged::Absent, &act()).await.unwrap()
}

async fn is_kept(store: &dyn Store, text: &str) -> bool {
    store.document(document(text).digest()).await.unwrap().is_some_and(|kept| kept.text() == text)
}

pub(super) async fn an_environment_comes_back_as_it_was_written(home: &dyn Home) {
    let store = home.open().await;
    assert_eq!(store.environment(&production()).await.unwrap(), None);
    let wanted = EnvironmentWrite {
        document: DocumentChange::Set(document("openapi: 3.1.0")),
        ..write(&production(), "{\"a\":1}")
    };
    let made = store.write_environment(&wanted, Judged::Absent, &act()).await.unwrap();
    assert_eq!((made.definition.as_str(), made.id.clone()), ("{\"a\":1}", production()));
    assert_eq!(made.document.as_deref(), Some(document("openapi: 3.1.0").digest()));
    assert_eq!((made.created_at, made.created_by.as_str()), (NOON, "ada@acme.example"));
    assert_eq!(store.environment(&production()).await.unwrap(), Some(made.clone()));

    let later = act_at(NOON.plus_seconds(60));
    let changed = store.write_environment(&write(&production(), "{}"), Judged::At(made.revision), &later).await;
    let changed = changed.unwrap();
    assert!(changed.revision > made.revision);
    assert_eq!((changed.created_at, &changed.document), (NOON, &made.document));
    drop(store);
    assert_eq!(home.open().await.environment(&production()).await.unwrap(), Some(changed));
}

pub(super) async fn a_change_is_made_of_what_was_judged(home: &dyn Home) {
    let store = home.open().await;
    let made = made(store.as_ref(), &production()).await;
    let again = store.write_environment(&write(&production(), "{}"), Judged::Absent, &act()).await;
    assert!(matches!(&again, Err(StoreError::RevisionMismatch { current }) if *current == made.revision), "{again:?}");
    let other = Judged::At(Revision(made.revision.0 + 1));
    let stale = store.write_environment(&write(&production(), "{}"), other, &act()).await;
    assert!(matches!(stale, Err(StoreError::RevisionMismatch { .. })), "{stale:?}");
    let absent = environment("acme", "staging");
    let gone = store.write_environment(&write(&absent, "{}"), Judged::At(Revision(1)), &act()).await;
    assert!(matches!(gone, Err(StoreError::RevisionMismatch { current: Revision(0) })), "{gone:?}");
    let remove = entry(&production(), "environment.delete");
    let stale = store.remove_environment(&production(), Some(Revision(77)), &remove, &act()).await;
    assert!(matches!(stale, Err(StoreError::RevisionMismatch { .. })), "{stale:?}");
    store.remove_environment(&production(), Some(made.revision), &remove, &act()).await.unwrap();
    let gone = store.remove_environment(&production(), None, &remove, &act()).await;
    assert!(matches!(gone, Err(StoreError::EnvironmentNotFound)), "{gone:?}");
}

pub(super) async fn an_organization_has_to_be_there(home: &dyn Home) {
    let store = home.open().await;
    let wanted = EnvironmentWrite { of_store: true, ..write(&production(), "{}") };
    let refused = store.write_environment(&wanted, Judged::Absent, &act()).await;
    assert!(matches!(refused, Err(StoreError::OrganizationNotFound)), "{refused:?}");
    // Its policies were set here, and a file describes it no more.
    let acme = production().organization;
    let name = OrganizationChange { name: Some("Acme".to_owned()), ..OrganizationChange::default() };
    store.change_organization(&acme, &name, None, &act()).await.unwrap();
    let refused = store.write_environment(&wanted, Judged::Absent, &act()).await;
    assert!(matches!(refused, Err(StoreError::OrganizationNotFound)), "{refused:?}");
    let make = OrganizationChange { make: true, ..OrganizationChange::default() };
    store.change_organization(&acme, &make, None, &act()).await.unwrap();
    store.write_environment(&wanted, Judged::Absent, &act()).await.unwrap();
}

pub(super) async fn documents_are_kept_once_and_as_long_as_they_are_used(home: &dyn Home) {
    let store = home.open().await;
    let staging = environment("acme", "staging");
    let one = store.write_environment(&with_document(&production(), "a"), Judged::Absent, &act()).await.unwrap();
    let two = store.write_environment(&with_document(&staging, "a"), Judged::Absent, &act()).await.unwrap();
    assert_eq!(one.document, two.document);
    assert!(is_kept(store.as_ref(), "a").await);

    let one = store.write_environment(&with_document(&production(), "b"), Judged::At(one.revision), &act()).await;
    assert!(is_kept(store.as_ref(), "a").await && is_kept(store.as_ref(), "b").await);
    store.remove_environment(&staging, None, &entry(&staging, "environment.delete"), &act()).await.unwrap();
    assert!(!is_kept(store.as_ref(), "a").await && is_kept(store.as_ref(), "b").await);
    // The same once more is still used.
    let again = with_document(&production(), "b");
    let one = store.write_environment(&again, Judged::At(one.unwrap().revision), &act()).await.unwrap();
    assert!(is_kept(store.as_ref(), "b").await);
    let none = EnvironmentWrite { document: DocumentChange::Remove, ..write(&production(), "{}") };
    let one = store.write_environment(&none, Judged::At(one.revision), &act()).await.unwrap();
    assert_eq!(one.document, None);
    assert!(!is_kept(store.as_ref(), "b").await);
}

pub(super) async fn living_keys_hold_an_environment(home: &dyn Home) {
    let store = home.open().await;
    made(store.as_ref(), &production()).await;
    let gone = store.create_key(&new_key("revoked"), &act()).await.unwrap();
    store.revoke_key(&production(), &gone.client_id, None, &act()).await.unwrap();
    let ends = NewKey { expires_at: Some(NOON.plus_seconds(60)), ..new_key("ends") };
    store.create_key(&ends, &act()).await.unwrap();
    let elsewhere = NewKey { environment: environment("acme", "staging"), ..new_key("elsewhere") };
    store.create_key(&elsewhere, &act()).await.unwrap();
    let remove = entry(&production(), "environment.delete");
    let refused = store.remove_environment(&production(), None, &remove, &act_at(NOON.plus_seconds(59))).await;
    assert!(matches!(refused, Err(StoreError::EnvironmentInUse { keys: 1 })), "{refused:?}");
    store.remove_environment(&production(), None, &remove, &act_at(NOON.plus_seconds(60))).await.unwrap();
    assert_eq!(store.environment(&production()).await.unwrap(), None);
    assert!(store.key_by_id(&gone.client_id).await.unwrap().is_some(), "keys that ended stay for the log");
}

pub(super) async fn living_keys_hold_their_role(home: &dyn Home) {
    let store = home.open().await;
    let made = made(store.as_ref(), &production()).await;
    let legacy = NewKey { kind: KeyKind::Legacy { role: "events".to_owned() }, ..new_key("old") };
    let key = store.create_key(&legacy, &act()).await.unwrap();
    let without = |role: &str| EnvironmentWrite { roles_gone: vec![role.to_owned()], ..write(&production(), "{}") };
    let refused = store.write_environment(&without("events"), Judged::At(made.revision), &act()).await;
    assert!(matches!(&refused, Err(StoreError::RoleInUse { role, keys: 1 }) if role == "events"), "{refused:?}");
    let made = store.write_environment(&without("other"), Judged::At(made.revision), &act()).await.unwrap();
    store.revoke_key(&production(), &key.client_id, None, &act()).await.unwrap();
    store.write_environment(&without("events"), Judged::At(made.revision), &act()).await.unwrap();
}

pub(super) async fn a_key_is_made_where_its_environment_and_role_are(home: &dyn Home) {
    let store = home.open().await;
    let of_store = |named: &str| NewKey { of_store: true, ..new_key(named) };
    let legacy = |role: &str| NewKey { kind: KeyKind::Legacy { role: role.to_owned() }, ..of_store(role) };
    let changed = |result: Result<_, StoreError>| matches!(result, Err(StoreError::EnvironmentChanged));
    assert!(changed(store.create_key(&of_store("early"), &act()).await));
    let odd = "every \"day\\é/x";
    let definition = json!({"roles": {"events": ["a"], odd: ["a"]}, "presets": {"other": ["a"]}}).to_string();
    let made = store.write_environment(&write(&production(), &definition), Judged::Absent, &act()).await.unwrap();
    let ends = NewKey { expires_at: Some(NOON.plus_seconds(60)), ..of_store("ends") };
    let mut keys = vec![];
    for key in [ends, legacy("events"), legacy(odd)] {
        keys.push(store.create_key(&key, &act()).await.unwrap().client_id);
    }
    assert!(changed(store.create_key(&legacy("other"), &act()).await));
    let renewal = Rotation { of_store: true, ..rotation("new") };
    store.rotate_key(&production(), &keys[1], &renewal, None, &act()).await.unwrap();
    for key in &keys[1..] {
        store.revoke_key(&production(), key, None, &act()).await.unwrap();
    }
    let later = act_at(NOON.plus_seconds(60));
    let remove = entry(&production(), "environment.delete");
    store.remove_environment(&production(), Some(made.revision), &remove, &later).await.unwrap();
    assert!(changed(store.create_key(&of_store("late"), &later).await));
    assert!(changed(store.rotate_key(&production(), &keys[0], &renewal, None, &later).await));
}

pub(super) async fn all_come_in_batches(home: &dyn Home) {
    let store = home.open().await;
    let ids: Vec<EnvironmentId> =
        [("acme", "a"), ("acme", "b"), ("acme-2", "a"), ("beta", "a")].map(|(o, e)| environment(o, e)).into();
    for id in ids.iter().rev() {
        made(store.as_ref(), id).await;
    }
    let mut seen = Vec::new();
    loop {
        let batch = store.environments(seen.last(), 3).await.unwrap();
        let full = batch.len() == 3;
        seen.extend(batch.into_iter().map(|stored| stored.id));
        if !full {
            break;
        }
    }
    assert_eq!(seen, ids);
}

pub(super) async fn changes_are_told_in_feed_and_log(home: &dyn Home) {
    let store = home.open().await;
    let made = made(store.as_ref(), &production()).await;
    let remove = entry(&production(), "environment.delete");
    let removed = store.remove_environment(&production(), None, &remove, &act()).await.unwrap();
    let changes = store.changes(Revision(0), 10).await.unwrap();
    let told: Vec<_> = changes.into_iter().map(|change| (change.revision, change.subject)).collect();
    let subject = Subject::Environment(production());
    assert_eq!(told, [(made.revision, subject.clone()), (removed, subject)]);
    let acme = production().organization;
    let log = store.audit_page(Some(&acme), &AuditFilter::default(), None, 10).await.unwrap();
    let actions: Vec<String> = log
        .rows
        .iter()
        .map(|(_, text)| serde_json::from_str::<Value>(text).unwrap()["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["environment.delete", "environment.create"]);
}

pub(super) async fn a_refused_change_of_one_leaves_no_trace(home: &dyn Home) {
    let store = home.open().await;
    let made = made(store.as_ref(), &production()).await;
    let head = store.audit_head(Some(&production().organization)).await.unwrap();
    let stale = with_document(&production(), "never");
    assert!(store.write_environment(&stale, Judged::Absent, &act()).await.is_err());
    store.create_key(&new_key("living"), &act()).await.unwrap();
    let before = store.revision().await.unwrap();
    let remove = entry(&production(), "environment.delete");
    assert!(store.remove_environment(&production(), None, &remove, &act()).await.is_err());
    assert_eq!(store.revision().await.unwrap(), before);
    assert_eq!(store.environment(&production()).await.unwrap(), Some(made));
    assert!(!is_kept(store.as_ref(), "never").await);
    let after = store.audit_head(Some(&production().organization)).await.unwrap();
    assert_eq!(after.number, head.number + 1, "the key alone");
}
