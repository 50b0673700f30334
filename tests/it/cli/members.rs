//! `members`: people, invitations and tokens for scripts.

use super::{Ran, Stub};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const MEMBERS: &str = "/v1/organizations/acme/members";

fn ada() -> Value {
    json!({"id": "mbr_a", "email": "ada@example.com", "name": "Ada", "role": "admin", "operator": false,
        "has_password": true, "created_at": "2026-01-01T00:00:00Z", "last_sign_in_at": null, "revision": 4})
}

fn invited() -> Value {
    let mut member = ada();
    member["invitation"] = "pculli_x".into();
    member["invitation_expires_at"] = "2026-01-08T00:00:00Z".into();
    member
}

fn token() -> Value {
    json!({"id": "tok1", "name": "nightly", "expires_at": "2026-04-01T00:00:00Z",
        "created_at": "2026-01-01T00:00:00Z", "last_used_at": null})
}

fn stub() -> Stub {
    let mut made = token();
    made["token"] = "pcullm_x".into();
    Stub::routes([
        ("GET /v1/organizations/acme/members", 200, json!({"data": [ada()], "next_cursor": null})),
        ("POST /v1/organizations/acme/members", 201, invited()),
        ("GET /v1/organizations/acme/members/mbr_a", 200, ada()),
        ("PATCH /v1/organizations/acme/members/mbr_a", 200, ada()),
        ("DELETE /v1/organizations/acme/members/mbr_a", 204, Value::Null),
        ("POST /v1/organizations/acme/members/mbr_a/invitation", 201, invited()),
        ("GET /v1/organizations/acme/members/mbr_a/tokens", 200, json!({"data": [token()], "next_cursor": null})),
        ("POST /v1/organizations/acme/members/mbr_a/tokens", 201, made),
        ("DELETE /v1/organizations/acme/members/mbr_a/tokens/tok1", 204, Value::Null),
        ("GET /v1/sessions/current", 200, json!({"actor": {"type": "member", "id": "mbr_a", "name": "Ada"}})),
    ])
}

fn run(stub: &Stub, args: &[&str]) -> Ran {
    stub.run(&[&["members", "--org=acme"], args].concat())
}

#[test]
fn members_are_listed_and_shown_by_id_or_address() {
    let stub = stub();
    let ran = run(&stub, &["list"]).exited(0);
    assert_eq!(
        ran.stdout,
        "ID     EMAIL            NAME  ROLE   HAS A PASSWORD  LAST SIGN-IN\n\
         mbr_a  ada@example.com  Ada   admin  true            -\n"
    );
    for name in ["mbr_a", "ada@example.com", "ADA@example.com"] {
        assert_eq!(run(&stub, &["show", name, "--json"]).exited(0).json(), ada());
        run(&stub, &["show", name]).exited(0).shows("role            admin");
    }
    run(&stub, &["show", "bob@example.com"]).exited(3).says("bob@example.com");
}

#[test]
fn an_invitation_is_printed_once_with_a_warning() {
    let invites: [&[&str]; 2] =
        [&["add", "ada@example.com", "--role=admin", "--name=Ada"], &["invite", "ada@example.com"]];
    for args in invites {
        let stub = stub();
        let ran = run(&stub, args).exited(0).says("shown this once").shows("invitation      pculli_x");
        assert!(ran.stdout.matches("pculli_x").count() == 1 && !ran.stderr.contains("pculli_x"));
        assert_eq!(run(&stub, &[args, &["--json"]].concat()).exited(0).json(), invited());
    }
    let stub = stub();
    run(&stub, invites[0]);
    let sent = stub.only(&format!("POST {MEMBERS}")).json();
    assert_eq!(sent, json!({"email": "ada@example.com", "role": "admin", "name": "Ada"}));
}

#[test]
fn an_invitation_may_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invitation");
    let path = file.to_str().unwrap();
    for args in [&["add", "ada@example.com", "--role=admin"][..], &["invite", "mbr_a"]] {
        for flags in [&[][..], &["--json"]] {
            let ran = run(&stub(), &[args, &["--save", path], flags].concat()).exited(0);
            let ran = ran.says(&format!("portcullis login --invitation-file {path}"));
            assert!(!ran.stdout.contains("pculli_x") && !ran.stderr.contains("pculli_x"));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "pculli_x\n");
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn somebody_who_has_a_password_is_not_invited() {
    let stub = Stub::routes([("POST /v1/organizations/acme/members", 201, ada())]);
    let ran = run(&stub, &["add", "ada@example.com", "--role=none", "--operator", "--link"]).exited(0);
    assert!(!ran.stdout.contains("invitation"), "{}", ran.stdout);
    ran.says("no invitation was made");
    let sent = stub.only(&format!("POST {MEMBERS}")).json();
    assert_eq!(sent, json!({"email": "ada@example.com", "role": "none", "operator": true, "link": true}));
}

#[test]
fn set_sends_what_was_said_under_the_revision_it_saw() {
    let cases: [(&[&str], Value); 2] = [
        (&["--role=owner"], json!({"role": "owner"})),
        (&["--name=A", "--operator=false"], json!({"name": "A", "operator": false})),
    ];
    for (flags, body) in cases {
        let stub = stub();
        run(&stub, &[&["set", "ada@example.com"], flags].concat()).exited(0);
        let sent = stub.only(&format!("PATCH {MEMBERS}/mbr_a"));
        assert_eq!(sent.json(), body);
        sent.has_header("if-match: \"4\"");
    }
}

#[test]
fn removing_shows_who_was_removed() {
    let stub = stub();
    let ran = run(&stub, &["remove", "mbr_a", "--yes"]).exited(0).says("removed ada@example.com (admin) from acme");
    assert!(ran.stdout.is_empty());
    assert_eq!(run(&stub, &["remove", "mbr_a", "--yes", "--json"]).exited(0).json(), ada());
    let last = Stub::answering(|asked| match asked.method.as_str() {
        "DELETE" => (409, json!({"detail": "an owner must remain", "code": "last_owner"})),
        _ => (200, ada()),
    });
    run(&last, &["remove", "mbr_a", "--yes"]).exited(6).says("(last_owner)");
}

#[test]
fn a_token_is_printed_alone_and_once() {
    let stub = stub();
    // Whose it is may be left out: then it is the asking member's own.
    for whose in [&[][..], &["mbr_a"], &["ada@example.com"]] {
        let args = [&["token", "--name=nightly", "--expires=2026-04-01T00:00:00Z"], whose].concat();
        let ran = run(&stub, &args).exited(0).says("shown this once");
        assert_eq!(ran.stdout, "pcullm_x\n");
        assert!(!ran.stderr.contains("pcullm_x"));
    }
    let sent: Vec<Value> = stub.asked().iter().filter(|asked| asked.method == "POST").map(super::Asked::json).collect();
    assert_eq!(sent, vec![json!({"name": "nightly", "expires_at": "2026-04-01T00:00:00Z"}); 3]);
    assert_eq!(run(&stub, &["token", "--name=x", "--json"]).exited(0).json()["token"], "pcullm_x");
}

#[test]
fn a_token_may_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let path = file.to_str().unwrap();
    for flags in [&[][..], &["--json"]] {
        let ran = run(&stub(), &[&["token", "--name=x", "--save", path], flags].concat()).exited(0);
        assert!(!ran.stdout.contains("pcullm_x") && !ran.stderr.contains("pcullm_x"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "pcullm_x\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn tokens_are_listed_and_ended() {
    let stub = stub();
    let ran = run(&stub, &["tokens"]).exited(0);
    ran.shows("tok1  nightly  2026-04-01T00:00:00Z  2026-01-01T00:00:00Z  -");
    run(&stub, &["token-remove", "tok1"]).exited(2).says("--yes");
    run(&stub, &["token-remove", "tok1", "--yes"]).exited(0).says("ended the token `nightly`");
    assert!(stub.asked().iter().all(|asked| asked.head.to_ascii_lowercase().contains("authorization: bearer sesame")));
    let ran = run(&stub, &["token-remove", "tok1", "--member=ada@example.com", "--yes", "--json"]).exited(0);
    assert_eq!(ran.json(), token());
    run(&stub, &["token-remove", "tok2", "--yes"]).exited(3).says("tok2");
}

#[test]
fn a_caller_that_is_no_member_has_no_tokens() {
    let stub = Stub::routes([("GET /v1/sessions/current", 200, json!({"actor": {"type": "operator"}}))]);
    run(&stub, &["token", "--name=x"]).exited(2).says("by id or address");
}

#[test]
fn an_id_from_the_server_stays_inside_its_path() {
    let mut odd = ada();
    odd["id"] = "../../status".into();
    let stub = Stub::routes([("GET /v1/organizations/acme/members", 200, json!({"data": [odd]}))]);
    run(&stub, &["remove", "ada@example.com", "--yes"]).exited(1).says("unexpected member");
}
