//! Worlds: what a change keeps, what it loads, and what goes on meanwhile.

use super::*;
use crate::model::{Act, Actor, Holding, Operation, OperationPattern, Permission, PermissionIndex, Role};
use crate::store::{Feed, KeyStore, NewKey, SqliteStore};

fn permissions(names: &[&str]) -> Arc<[Permission]> {
    let permission = |name: &&str| Permission {
        name: PermissionName::parse(name).unwrap(),
        group: String::new(),
        summary: String::new(),
        operations: vec![Operation {
            id: (*name).into(),
            pattern: OperationPattern::parse(&format!("GET /{name}")).unwrap(),
        }],
    };
    names.iter().map(permission).collect()
}

fn with(names: &[&str], roles: &[(&str, &[&str])]) -> Environment {
    let role = |(name, held): &(&str, &[&str])| Role {
        name: (*name).into(),
        permissions: held.iter().map(|name| PermissionName::parse(name).unwrap()).collect(),
    };
    Environment { permissions: permissions(names), roles: roles.iter().map(role).collect(), ..environment(vec![]) }
}

fn named(name: &str, environment: Environment) -> Environment {
    let id = EnvironmentId { environment: Identifier::parse(name).unwrap(), ..id() };
    Environment { id, base_url: BaseUrl::parse(&format!("http://gate.test/{name}")).unwrap(), ..environment }
}

/// Tables over a real store.
struct Home {
    _folder: tempfile::TempDir,
    store: SqliteStore,
    tables: Tables,
}

impl Home {
    async fn with(environments: Vec<Environment>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db")).await.unwrap();
        let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
        let home = Self { _folder: folder, store, tables: Tables::new(Arc::new(signing)) };
        home.change(environments).await;
        home
    }

    async fn change(&self, environments: Vec<Environment>) -> WorldChanges {
        let turn = self.tables.change_world().await;
        let plan = turn.plan(vec![acme(environments)], vec![]).unwrap();
        turn.adopt(plan, &self.store).await.unwrap()
    }

    async fn key(&self, environment: &str, client_id: &str, kind: KeyKind) -> ApiKey {
        let new = NewKey {
            client_id: ClientId::parse(client_id).unwrap(),
            environment: EnvironmentId { environment: Identifier::parse(environment).unwrap(), ..id() },
            name: KeyName::parse(client_id).unwrap(),
            description: String::new(),
            kind,
            may_grant: vec![],
            allowlist: None,
            secret_digest: SecretDigest::of(b"s"),
            secret_last_four: String::new(),
            expires_at: None,
            policies: Revision(0),
            of_store: false,
        };
        let key = self.store.create_key(&new, &act()).await.unwrap();
        self.tables.apply(&key);
        key
    }

    /// The names that a key opens.
    fn held(&self, client_id: &str) -> Option<Vec<String>> {
        let snapshot = self.tables.load();
        snapshot.with_key(client_id, |key| {
            let environment = snapshot.environment_at(key?.environment)?;
            Some(environment.policy.held_by(key?).map(ToString::to_string).collect())
        })
    }
}

fn act() -> Act {
    Act { actor: Actor::Node, address: None, request_id: String::new(), at: Timestamp::from_unix(1), idempotency: None }
}

fn holding(names: &[&str]) -> KeyKind {
    KeyKind::FineGrained { permissions: names.iter().map(|name| PermissionName::parse(name).unwrap()).collect() }
}

fn changed(changes: &WorldChanges) -> [Vec<String>; 3] {
    let labels = |tables: &[Arc<EnvironmentTable>]| tables.iter().map(|table| table.label.clone()).collect();
    let changed = changes.changed.iter().map(|(_, after)| after.label.clone()).collect();
    [labels(&changes.added), changed, labels(&changes.removed)]
}

#[tokio::test]
async fn what_is_the_same_is_kept_and_keys_are_not_touched() {
    let home = Home::with(vec![with(&["a", "b"], &[]), named("staging", with(&["a"], &[]))]).await;
    home.key("production", "pcull_a", holding(&["a"])).await;
    let before = home.tables.load_full();
    let live = |snapshot: &Snapshot| snapshot.with_key("pcull_a", |key| std::ptr::from_ref(key.unwrap()).addr());
    let changes = home.change(vec![with(&["b", "c", "a"], &[]), named("staging", with(&["a"], &[]))]).await;
    let after = home.tables.load_full();
    assert_eq!(changed(&changes), [vec![], vec!["acme/production".to_owned()], vec![]]);
    assert!(Arc::ptr_eq(&before.environments()[1], &after.environments()[1]));
    assert_eq!(live(&before), live(&after));
    assert_eq!(home.held("pcull_a").unwrap(), ["a"]);
    assert!(before.environment(&id()).unwrap().catalogue.permission("c").is_none());
}

#[tokio::test]
async fn a_permission_that_is_gone_opens_nothing_until_it_is_back() {
    let home = Home::with(vec![with(&["a", "b"], &[])]).await;
    home.key("production", "pcull_a", holding(&["a", "b"])).await;
    home.change(vec![with(&["b", "c"], &[])]).await;
    assert_eq!(home.held("pcull_a").unwrap(), ["b"]);
    home.change(vec![with(&["c", "a"], &[])]).await;
    assert_eq!(home.held("pcull_a").unwrap(), ["a"]);
    home.change(vec![with(&["c"], &[])]).await;
    assert_eq!(home.held("pcull_a").unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_becomes_known_reaches_the_keys_that_hold_it() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    home.key("production", "pcull_a", holding(&["a", "later"])).await;
    home.key("production", "pcull_r", KeyKind::Legacy { role: "events".into() }).await;
    assert_eq!(home.held("pcull_a").unwrap(), ["a"]);
    assert_eq!(home.held("pcull_r").unwrap(), Vec::<String>::new());
    home.change(vec![with(&["a", "new", "later"], &[("events", &["new"])])]).await;
    assert_eq!(home.held("pcull_a").unwrap(), ["a", "later"]);
    assert_eq!(home.held("pcull_r").unwrap(), ["new"]);
    home.tables.load().with_key("pcull_a", |key| assert!(!key.unwrap().is_incomplete));
}

#[tokio::test]
async fn roles_keep_their_places() {
    let held: &[&str] = &["a"];
    let home = Home::with(vec![with(&["a", "b"], &[("one", held), ("two", &["b"])])]).await;
    home.key("production", "pcull_1", KeyKind::Legacy { role: "one".into() }).await;
    home.key("production", "pcull_2", KeyKind::Legacy { role: "two".into() }).await;
    home.change(vec![with(&["a", "b"], &[("two", &["b"])])]).await;
    assert_eq!((home.held("pcull_1"), home.held("pcull_2")), (Some(vec![]), Some(vec!["b".to_owned()])));
    home.change(vec![with(&["a", "b"], &[("three", &["a", "b"]), ("two", &["a"]), ("one", &["b"])])]).await;
    assert_eq!((home.held("pcull_1"), home.held("pcull_2")), (Some(vec!["b".to_owned()]), Some(vec!["a".to_owned()])));
}

#[tokio::test]
async fn environments_come_with_their_keys_and_go_with_them() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    home.key("production", "pcull_a", holding(&["a"])).await;
    home.key("staging", "pcull_s", holding(&["a"])).await;
    assert_eq!(home.held("pcull_s"), None);
    let staging = || named("staging", with(&["z", "a"], &[]));
    let changes = home.change(vec![with(&["a"], &[]), staging()]).await;
    assert_eq!(changed(&changes), [vec!["acme/staging".to_owned()], vec![], vec![]]);
    assert_eq!(home.held("pcull_s").unwrap(), ["a"]);
    let changes = home.change(vec![with(&["a"], &[])]).await;
    assert_eq!(changed(&changes), [vec![], vec![], vec!["acme/staging".to_owned()]]);
    assert_eq!((home.held("pcull_s"), home.tables.load().world.keys.len()), (None, 1));
    // Back again it is at another place: what a key meant at the first one means nothing.
    home.change(vec![staging(), with(&["a"], &[])]).await;
    assert_eq!(home.held("pcull_s").unwrap(), ["a"]);
    assert_eq!(home.tables.load().environments()[0].policy.index, EnvironmentIndex(2));
    assert_eq!(home.held("pcull_a").unwrap(), ["a"]);
}

#[tokio::test]
async fn what_changes_while_an_environment_is_loaded_is_in_it() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    let key = home.key("staging", "pcull_s", holding(&["a"])).await;
    let turn = home.tables.change_world().await;
    let plan = turn.plan(vec![acme(vec![with(&["a"], &[]), named("staging", with(&["a"], &[]))])], vec![]).unwrap();
    // What the store answered just before somebody revoked the key arrives after the revocation.
    let (world, from) = (Arc::new(plan.world), plan.from);
    home.tables.writers.lock().expected = Some((Arc::clone(&world), from));
    let revoked = home.store.revoke_key(&key.environment, &key.client_id, None, &act()).await.unwrap();
    home.tables.apply(&revoked);
    world.apply(&key, from);
    assert!(world.with_key("pcull_s", |key| key.unwrap().revoked));
    // The world that is knows nothing of it.
    assert!(home.tables.load().environment(&key.environment).is_none());
}

#[tokio::test]
async fn a_plan_that_is_dropped_leaves_nothing_behind() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    home.key("production", "pcull_a", holding(&["a", "b"])).await;
    {
        let turn = home.tables.change_world().await;
        turn.plan(vec![acme(vec![with(&["a", "b"], &[]), named("x", with(&["a"], &[]))])], vec![]).unwrap();
    }
    // The place that `b` would have had is another one's now.
    home.change(vec![with(&["a", "c"], &[])]).await;
    assert_eq!(home.held("pcull_a").unwrap(), ["a"]);
    let changes = home.change(vec![with(&["a", "c"], &[]), named("y", with(&["a"], &[]))]).await;
    assert_eq!(changes.added[0].policy.index, EnvironmentIndex(2));
    assert!(home.tables.writers.lock().expected.is_none());
}

#[tokio::test]
async fn too_many_names_that_are_gone_make_everything_anew() {
    let home = Home::with(vec![with(&["a"], &[]), named("staging", with(&["s"], &[]))]).await;
    home.key("production", "pcull_a", holding(&["a"])).await;
    home.key("staging", "pcull_s", holding(&["s"])).await;
    let many: Vec<String> = (0..1100).map(|at| format!("x{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let staging = || named("staging", with(&["s"], &[]));
    home.change(vec![with(&many, &[]), staging()]).await;
    home.change(vec![with(&["b", "a"], &[]), staging()]).await;
    assert!(home.tables.load().environment(&id()).unwrap().catalogue.is_sparse());
    let old = home.tables.load_full();
    let changes = home.change(vec![with(&["b", "a"], &[]), staging()]).await;
    assert_eq!(changed(&changes), [vec![], vec![], Vec::<String>::new()]);
    assert!(!home.tables.load().environment(&id()).unwrap().catalogue.is_sparse());
    assert_eq!((home.held("pcull_a").unwrap(), home.held("pcull_s").unwrap()), (vec!["a".into()], vec!["s".into()]));
    // Requests that are under way in the old world go on finding their keys.
    let place = old.environment(&id()).unwrap().policy.index;
    old.with_key("pcull_a", |key| assert_eq!(key.unwrap().environment, place));
    assert_eq!(home.tables.revision(), home.store.revision().await.unwrap());
}

#[tokio::test]
async fn too_many_roles_that_are_gone_make_everything_anew() {
    let home = Home::with(vec![with(&["a"], &[("stays", &["a"])])]).await;
    home.key("production", "pcull_r", KeyKind::Legacy { role: "stays".into() }).await;
    let held: &[&str] = &["a"];
    for round in 0..2 {
        let many: Vec<String> = (0..600).map(|at| format!("x{round}.{at}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), held)).collect();
        home.change(vec![with(&["a"], &many)]).await;
    }
    let last = || vec![with(&["a"], &[("stays", held)])];
    home.change(last()).await;
    assert_eq!(home.tables.load().environment(&id()).unwrap().role_places.len(), 1201);
    home.change(last()).await;
    assert_eq!(home.tables.load().environment(&id()).unwrap().role_places.len(), 1);
    assert_eq!(home.held("pcull_r").unwrap(), ["a"]);
}

#[tokio::test]
async fn one_environment_of_the_store_is_made_replaced_and_taken_away() {
    let home = Home::with(vec![Environment {
        keys: vec![ApiKey { managed_by: ManagedBy::File, ..key(9, 0) }],
        ..with(&["a"], &[])
    }])
    .await;
    home.key("made", "pcull_m", holding(&["m"])).await;
    let turn = home.tables.change_world().await;
    let plan = turn.plan_environment(named("made", with(&["m"], &[]))).unwrap();
    turn.adopt(plan, &home.store).await.unwrap();
    assert_eq!(home.held("pcull_m").unwrap(), ["m"]);
    let made = home.tables.load_full();
    let organization = Identifier::parse("acme").unwrap();
    let labels: Vec<_> =
        made.environments_of(&organization).map(|table| (table.label.as_str(), table.managed_by)).collect();
    assert_eq!(labels, [("acme/production", ManagedBy::File), ("acme/made", ManagedBy::Api)]);
    let turn = home.tables.change_world().await;
    let plan = turn.plan_environment(named("made", with(&["n"], &[]))).unwrap();
    assert_eq!(changed(plan.changes()), [vec![], vec!["acme/made".to_owned()], vec![]]);
    turn.adopt(plan, &home.store).await.unwrap();
    assert_eq!(home.held("pcull_m").unwrap(), Vec::<String>::new());
    assert_eq!(version(&home.tables), Some(9));
    let turn = home.tables.change_world().await;
    let plan = turn.plan_removal(&EnvironmentId { environment: Identifier::parse("made").unwrap(), ..id() }).unwrap();
    assert_eq!(changed(plan.changes()), [vec![], vec![], vec!["acme/made".to_owned()]]);
    turn.adopt(plan, &home.store).await.unwrap();
    assert_eq!((home.held("pcull_m"), home.tables.load().environments().len()), (None, 1));
}

#[tokio::test]
async fn two_environments_of_one_base_url_are_no_world() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    let turn = home.tables.change_world().await;
    let other = Environment { id: named("other", with(&[], &[])).id, ..with(&["a"], &[]) };
    let error = turn.plan_environment(other).unwrap_err().to_string();
    assert_eq!(error, "`acme/production` and `acme/other` have the same base URL `http://gate.test/v1`");
}

#[tokio::test]
async fn declared_keys_change_with_the_world_and_the_store_shows_behind_them() {
    let declared = |version| ApiKey { managed_by: ManagedBy::File, ..key(version, 0) };
    let home = Home::with(vec![environment(vec![declared(9)])]).await;
    home.key("production", "pcull_a", holding(&["api:read"])).await;
    assert_eq!(version(&home.tables), Some(9));
    let old = home.tables.load_full();
    home.change(vec![environment(vec![declared(10)])]).await;
    assert_eq!(version(&home.tables), Some(10));
    old.with_key("pcull_a", |key| assert_eq!(key.unwrap().secret_version.0, 9));
    home.change(vec![environment(vec![])]).await;
    assert_eq!(version(&home.tables), Some(1));
}

#[tokio::test]
async fn a_change_keeps_signing_keys_and_revoked_tokens() {
    let home = Home::with(vec![with(&["a"], &[])]).await;
    let signing = Arc::clone(home.tables.load().signing());
    home.tables.revoked().insert("t".into(), &key(1, 1).client_id, Timestamp::from_unix(100));
    home.change(vec![with(&["b"], &[])]).await;
    let snapshot = home.tables.load();
    assert!(snapshot.is_revoked("t") && !snapshot.is_revoked("u"));
    assert!(Arc::ptr_eq(snapshot.signing(), &signing));
}

#[test]
fn environments_that_say_the_same_share_a_catalogue() {
    // Each writes them down by itself.
    let environment =
        |name: &str| Environment { permissions: permissions(&["a", "b"]), ..named(name, environment(vec![])) };
    let other = Environment { public: vec![OperationPattern::parse("GET /a").unwrap()], ..environment("three") };
    let signing = SigningKeySet::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), []);
    let all = vec![
        environment("one"),
        environment("two"),
        other,
        named("four", super::environment(vec![])),
        named("five", super::environment(vec![])),
    ];
    let tables = Tables::of_files(vec![acme(all)], Arc::new(signing)).unwrap();
    let snapshot = tables.load();
    let same = |one: usize, other: usize| {
        Arc::ptr_eq(&snapshot.environments()[one].catalogue, &snapshot.environments()[other].catalogue)
    };
    assert!(same(0, 1) && !same(1, 2) && !same(0, 3) && same(3, 4));
    assert_eq!(snapshot.environments()[0].catalogue.permission("b"), Some(PermissionIndex(1)));
    assert!(matches!(snapshot.environments()[0].live_key(&key(1, 1)).holding, Holding::Permissions(_)));
}
