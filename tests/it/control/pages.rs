//! What pages ask of the control plane beyond what the API shows: overview, decisions, health, pasted requests, and a
//! password that its owner changes.

use super::people::PASSWORD;
use super::*;
use portcullis::access::Denial;
use portcullis::control::{Asking, Caller, ControlProblem, HourTraffic, MemberCaller, PickedRequest};
use portcullis::model::{EnvironmentIndex, MemberId, MemberRole, Method, TokenKind};
use portcullis::store::{HOUR_SECONDS, KeyCounts, KeyUse, TrafficHour, UsageStore, hour_of};
use portcullis::telemetry::{Decided, Outcome, Told};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// Somebody of an organization, in a session.
fn asking(organization: &str, role: MemberRole) -> Asking {
    let caller = Caller::Member(MemberCaller {
        id: MemberId::from_entropy([1; 16]),
        email: "ada@acme.example".to_owned(),
        operator: false,
        roles: vec![(id(organization), role)],
        until: None,
    });
    Asking { act: Act::of(caller.actor(), NOON), caller }
}

fn viewer() -> Asking {
    asking("acme", MemberRole::Viewer)
}

/// Checks what each kind of member is told: `least` and those above it may, those below are refused, and those of
/// elsewhere find nothing.
#[track_caller]
fn who_may<T: std::fmt::Debug>(least: MemberRole, ask: impl Fn(&Asking) -> Result<T, ControlProblem>) {
    for role in [MemberRole::None, MemberRole::Viewer, MemberRole::Editor, MemberRole::Admin, MemberRole::Owner] {
        match ask(&asking("acme", role)) {
            Ok(_) => assert!(role >= least, "{role:?}"),
            Err(ControlProblem::NotAllowed(_)) => assert!(role < least, "{role:?}"),
            other => panic!("{other:?}"),
        }
    }
    let elsewhere = ask(&asking("other", MemberRole::Owner));
    assert!(matches!(elsewhere, Err(ControlProblem::NotFound)), "{elsewhere:?}");
}

#[test]
fn rights_to_each_of_them() {
    let node = Node::start();
    let key = ClientId::parse(&node.key("a")).unwrap();
    let (run, here) = (&node.runtime, &production());
    who_may(MemberRole::Viewer, |asking| run.block_on(node.control.overview(asking, here)));
    who_may(MemberRole::Viewer, |asking| run.block_on(node.control.key_hours(asking, here, &[])));
    who_may(MemberRole::Viewer, |asking| run.block_on(node.control.match_requests(asking, here, "GET /cards")));
    who_may(MemberRole::Viewer, |asking| node.control.recent_decisions(asking, here, &key));
    who_may(MemberRole::Viewer, |asking| node.control.find_decision(asking, here, "x"));
    who_may(MemberRole::Admin, |asking| run.block_on(node.control.upstream_health(asking, here)));
    let nowhere = EnvironmentId { organization: id("acme"), environment: id("nowhere") };
    let unknown = run.block_on(node.control.overview(&viewer(), &nowhere));
    assert!(matches!(unknown, Err(ControlProblem::NotFound)), "{unknown:?}");
    let unknown = node.control.recent_decisions(&viewer(), here, &ClientId::parse("pcull_nobody").unwrap());
    assert!(matches!(unknown, Err(ControlProblem::NotFound)), "{unknown:?}");
}

#[test]
fn an_overview_counts_keys_and_requests() {
    let mut organization = acme();
    organization.environments[0].keys = vec![declared("pcull_file", "of a file")];
    let node = Node::with(organization);
    node.key("a");
    node.create(json!({"name": "ends", "expires_at": "2030-03-20T00:00:00Z"})).expect(201);
    let gone = node.key("gone");
    node.post(&format!("{KEYS}/{gone}/revoke"), &json!({})).expect(200);
    let ago = |hours: i64| hour_of(NOON.plus_seconds(-hours * HOUR_SECONDS));
    let counted =
        |hours, code: &str, count| (production(), TrafficHour { hour: ago(hours), code: code.to_owned(), count });
    let counts = [
        counted(0, "", 10),
        counted(0, "token_missing", 2),
        counted(1, "ip_not_allowed", 3),
        counted(23, "token_missing", 2),
        counted(24, "token_missing", 100),
        counted(2, "downstream_closed", 7),
    ];
    node.runtime.block_on(node.store.record_traffic(&counts)).unwrap();
    let overview = node.runtime.block_on(node.control.overview(&viewer(), &production())).unwrap();
    let keys = KeyCounts { total: 4, active: 3, expiring: 1, unused: 1, legacy: 0, expired: 0, revoked: 1 };
    assert_eq!((overview.keys, overview.now), (keys, NOON));
    assert_eq!(overview.refusals, [("token_missing".to_owned(), 4), ("ip_not_allowed".to_owned(), 3)]);
    let hours: Vec<(i64, u64, u64)> = (0..)
        .zip(overview.hours.iter().rev())
        .map(|(back, hour): (i64, &HourTraffic)| {
            assert_eq!(hour.hour, ago(back));
            (back, hour.allowed, hour.refused)
        })
        .filter(|(_, allowed, refused)| allowed + refused > 0)
        .collect();
    assert_eq!((overview.hours.len(), hours), (24, vec![(0, 10, 2), (1, 0, 3), (23, 0, 2)]));
    node.store.away.store(true, Ordering::SeqCst);
    let away = node.runtime.block_on(node.control.overview(&viewer(), &production()));
    assert!(matches!(away, Err(ControlProblem::Unavailable)), "{away:?}");
}

#[test]
fn hours_of_keys_come_in_the_order_asked_for() {
    let mut organization = acme();
    let staging = EnvironmentId { organization: id("acme"), environment: id("staging") };
    let other =
        Environment { id: staging.clone(), base_url: BaseUrl::parse("http://gate.test/v2").unwrap(), ..environment() };
    organization.environments.push(other);
    let node = Node::with(organization);
    let (a, b) = (ClientId::parse(&node.key("a")).unwrap(), ClientId::parse(&node.key("b")).unwrap());
    let used = |key: &ClientId, hours: i64, count| KeyUse {
        client_id: key.clone(),
        last_used_at: NOON.plus_seconds(-hours * HOUR_SECONDS),
        last_address: None,
        operations: vec![("cards:read".to_owned(), count)],
    };
    for batch in [used(&a, 0, 5), used(&a, 23, 1), used(&a, 24, 9), used(&b, 2, 7)] {
        node.runtime.block_on(node.store.record_usage(&[batch])).unwrap();
    }
    let asked = [b.clone(), ClientId::parse("pcull_nobody").unwrap(), a.clone()];
    let hours = node.runtime.block_on(node.control.key_hours(&viewer(), &production(), &asked)).unwrap();
    assert_eq!((hours[0][21], hours[2][0], hours[2][23]), (7, 1, 5));
    assert_eq!(hours.iter().flatten().sum::<u64>(), 13);
    let elsewhere = node.runtime.block_on(node.control.key_hours(&viewer(), &staging, &asked)).unwrap();
    assert_eq!(elsewhere, [[0; 24]; 3], "a key counts where it works");
}

#[test]
fn decisions_are_found_in_their_environment() {
    let node = Node::start();
    let key = ClientId::parse(&node.key("a")).unwrap();
    let (request, other) = (format!("{:032x}", 7), format!("{:032x}", 8));
    let record = |place, whose: Option<&ClientId>, request_id: &str| {
        let decided = Decided {
            request_id,
            at: NOON,
            method: &Method::GET,
            path: b"/v1/cards",
            address: None,
            operation: None,
            status: 403,
            outcome: Outcome::Denied,
            told: Some(Told::Denial(Denial::OperationUnknown)),
        };
        node.decisions.record(place, whose, decided);
    };
    let here = node.tables.load().environment(&production()).unwrap().policy.index;
    record(here, Some(&key), &request);
    record(EnvironmentIndex(999), Some(&key), &other);
    let recent = node.control.recent_decisions(&viewer(), &production(), &key).unwrap();
    assert_eq!(recent.len(), 1);
    assert_eq!((recent[0].code, recent[0].client_id.as_ref()), (Some("operation_unknown"), Some(&key)));
    let find = |id: &str| node.control.find_decision(&viewer(), &production(), id).unwrap();
    assert_eq!(find(&format!(" {request} ")).as_ref(), recent.first());
    assert_eq!((find(&other), find("nonsense")), (None, None));
}

#[test]
fn health_is_told_of_each_upstream() {
    let mut organization = acme();
    let urls = ["http://127.0.0.1:9/api", "http://127.0.0.1:10"].map(|url| UpstreamUrl::parse(url).unwrap());
    organization.environments[0].upstream.urls = urls.to_vec();
    let node = Node::with(organization);
    let environment = Arc::clone(&node.tables.load().environment(&production()).unwrap().policy.id);
    node.traffic.answered(&environment, NOON);
    node.traffic.failed(&environment, "upstream_timeout", NOON.plus_seconds(1));
    let counted = |hours: i64, code: &str, count| {
        let hour = hour_of(NOON.plus_seconds(-hours * HOUR_SECONDS));
        (production(), TrafficHour { hour, code: code.to_owned(), count })
    };
    let counts =
        [counted(0, "", 5), counted(5, "", 6), counted(1, "upstream_timeout", 2), counted(0, "token_missing", 9)];
    node.runtime.block_on(node.store.record_traffic(&counts)).unwrap();
    let admin = asking("acme", MemberRole::Admin);
    let health = node.runtime.block_on(node.control.upstream_health(&admin, &production())).unwrap();
    let told: Vec<_> = health.iter().map(|upstream| (upstream.url.as_str(), upstream.resolves)).collect();
    assert_eq!(told, [("http://127.0.0.1:9/api", true), ("http://127.0.0.1:10", false)]);
    for upstream in health {
        assert_eq!(upstream.last_answer, Some(NOON));
        assert_eq!(upstream.last_failure, Some((NOON.plus_seconds(1), "upstream_timeout")));
        assert_eq!((upstream.hour.answers, upstream.hour.failures), (5, 2));
        assert_eq!((upstream.day.answers, upstream.day.failures), (11, 2));
    }
}

/// Line, operation, permissions joined, problem or note.
fn told(picked: &PickedRequest) -> (usize, &str, String, &str) {
    let permissions: Vec<&str> = picked.permissions.iter().map(PermissionName::as_str).collect();
    let words = picked.problem.as_deref().or(picked.note.as_deref()).unwrap_or_default();
    (picked.line, picked.operation.as_deref().unwrap_or_default(), permissions.join(" "), words)
}

#[test]
fn pasted_requests_are_matched_as_requests_are() {
    let mut organization = acme();
    let more = [
        permission("cards:all", "GET /cards"),
        permission("cards:one", "GET /cards/{id}"),
        permission("cards:blocked", "GET /cards/blocked"),
    ];
    let permissions = [&organization.environments[0].permissions[..], &more[..]].concat();
    organization.environments[0].permissions = permissions.into();
    organization.environments[0].public = vec![OperationPattern::parse("GET /health").unwrap()];
    let node = Node::with(organization);
    let text = "GET /cards?x=1\n\
                # a comment\n\
                \n\
                https://gate.test/v1/cards/42\n\
                curl -X POST \\\n  http://gate.test/v1/cards \\\n  -d '{\n\"a\": 1}'\n\
                get /v1/cards\n\
                GET https://other.test/v1/cards#x\n\
                GET http://gate.test/cards\n\
                GET /cards/Blocked\n\
                GET /health\n\
                GET /oauth2/token\n\
                GET /cards//1\n\
                DELETE /cards\n\
                TRACE /cards\n\
                what is this\n\
                curl 'http://gate.test/v1/cards";
    let picked = node.runtime.block_on(node.control.match_requests(&viewer(), &production(), text)).unwrap();
    let told: Vec<_> = picked.iter().map(told).collect();
    let expected = [
        (1, "GET /cards", "cards:read", ""),
        (4, "GET /cards/{id}", "cards:one", ""),
        (5, "POST /cards", "cards:write", ""),
        (9, "GET /cards", "cards:read", ""),
        (10, "GET /cards", "cards:read", "the path was taken; its host is `other.test`"),
        (11, "", "", "this is not below the base URL `http://gate.test/v1`"),
        (12, "GET /cards/{id}", "cards:one cards:blocked", "the API could take this path for another operation"),
        (13, "GET /health", "", "this operation is public"),
        (14, "", "", "Portcullis answers this path itself"),
        (15, "", "", "the path holds an empty segment"),
        (16, "", "", "no operation of this environment"),
        (17, "", "", "`TRACE` is no method that is served"),
        (18, "", "", "write a method and a path"),
        (19, "", "", "a quote is not closed"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!((told.0, told.1, told.2.as_str()), (expected.0, expected.1, expected.2), "{told:?}");
        assert!(told.3.starts_with(expected.3) && told.3.is_empty() == expected.3.is_empty(), "{told:?} {expected:?}");
    }
}

/// Changes ada's password in the session of a token.
fn change(node: &Node, member: &str, session: &str, current: &str, new: &str) -> Result<(), ControlProblem> {
    let caller = Caller::Member(MemberCaller {
        id: MemberId::parse(member).unwrap(),
        email: "ada@acme.example".to_owned(),
        operator: false,
        roles: vec![(id("acme"), MemberRole::Editor)],
        until: None,
    });
    let asking = Asking { act: Act::of(caller.actor(), NOON), caller };
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let session = SecretDigest::of(session.as_bytes());
    node.runtime.block_on(node.control.change_password(&asking, &session, secret(current), secret(new)))
}

/// Where the errors of a change point to.
#[track_caller]
fn pointer(refused: Result<(), ControlProblem>) -> String {
    match refused {
        Err(ControlProblem::Invalid(errors)) => errors.into_vec().remove(0).pointer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_is_changed_by_its_owner() {
    const NEW: &str = "another horse battery";
    let node = Node::start();
    let (member, session) = node.member("acme", "ada", "editor");
    let other = node.sign_in(&json!({"email": "ada@acme.example", "password": PASSWORD}));
    let (_, eves) = node.member("acme", "eve", "editor");
    assert_eq!(pointer(change(&node, &member, &session, "wrong password", NEW)), "/current_password");
    assert_eq!(pointer(change(&node, &member, &session, PASSWORD, "short")), "/new_password");
    assert_eq!(pointer(change(&node, &member, &session, PASSWORD, "ada@acme.example")), "/new_password");
    assert_eq!(pointer(change(&node, &member, &session, PASSWORD, PASSWORD)), "/new_password");
    let of_another = change(&node, &member, &eves, PASSWORD, NEW);
    assert!(matches!(of_another, Err(ControlProblem::NotAuthenticated(_))), "{of_another:?}");
    let script = node.member_token("acme", &member)["token"].as_str().unwrap().to_owned();
    assert_eq!(TokenKind::of(&script), Some(TokenKind::Member));
    let by_script = change(&node, &member, &script, PASSWORD, NEW);
    assert!(matches!(by_script, Err(ControlProblem::NotAuthenticated(_))), "{by_script:?}");
    change(&node, &member, &session, PASSWORD, NEW).unwrap();
    node.send_as(&other, "GET", "/v1/sessions/current", "").problem(401, "not_authenticated");
    node.send_as(&session, "GET", "/v1/sessions/current", "").expect(200);
    node.try_sign_in(&json!({"email": "ada@acme.example", "password": PASSWORD})).problem(401, "not_authenticated");
    node.sign_in(&json!({"email": "ada@acme.example", "password": NEW}));
}

#[test]
fn whoever_guesses_in_a_session_waits_as_at_the_door() {
    let node = Node::start();
    let (member, session) = node.member("acme", "ada", "editor");
    let refused = (0..20).map(|_| change(&node, &member, &session, "wrong password", "another horse battery"));
    let waits = refused.filter(|refused| matches!(refused, Err(ControlProblem::RateLimited { .. }))).count();
    assert!(waits > 0);
    node.try_sign_in(&json!({"email": "ada@acme.example", "password": PASSWORD}));
}

#[test]
fn an_operator_without_a_person_has_no_password() {
    let node = Node::start();
    let asking = Asking { caller: Caller::Operator, act: act() };
    let session = SecretDigest::of(node.token.as_bytes());
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let refused = node.runtime.block_on(node.control.change_password(&asking, &session, secret("a"), secret("b")));
    assert!(matches!(refused, Err(ControlProblem::NotAllowed(_))), "{refused:?}");
}

/// A page of the workbench, with a session.
fn page(node: &Node, session: &str, path: &str) -> Answer {
    node.send_bare("GET", path, &[("cookie", &format!("portcullis_session={session}"))], "")
}

#[test]
fn a_store_that_fails_is_told_on_the_page() {
    let node = Node::start();
    let (_, session) = node.member("acme", "ada", "owner");
    let keys = "/o/acme/e/production/keys";
    assert_eq!(page(&node, &session, keys).status, 200);
    node.store.no_lists.store(true, Ordering::SeqCst);
    let told = page(&node, &session, &format!("{keys}?q=a&status=active"));
    assert_eq!(told.status, 503, "{}", told.text);
    assert!(told.text.contains("The keys cannot be read just now"), "{}", told.text);
    assert!(told.text.contains(&format!("href=\"{keys}?q=a&#38;status=active\">Try again")), "{}", told.text);
    assert!(!told.text.contains("secret place"), "{}", told.text);
    node.store.away.store(true, Ordering::SeqCst);
    for path in [keys, "/o/acme/settings", "/account", "/"] {
        let told = page(&node, &session, path);
        assert_eq!(told.status, 503, "{path}: {}", told.text);
        assert!(told.text.contains("Nothing was changed. Try again in a moment"), "{path}: {}", told.text);
        assert!(!told.text.contains("secret place"), "{path}: {}", told.text);
    }
}
