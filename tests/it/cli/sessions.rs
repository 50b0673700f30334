//! `login` and `logout`.

use super::{Run, Stub, fed, file_with};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const PASSWORD: &str = "correct horse, battery stäple";

fn session() -> Value {
    json!({"token": "pcullse_x", "expires_at": "2026-01-01T12:00:00Z", "operator": false,
        "member": {"id": "mbr_a", "email": "ada@example.com"}, "organizations": [{"id": "acme", "role": "owner"}]})
}

fn stub() -> Stub {
    Stub::routes([("POST /v1/sessions", 201, session()), ("DELETE /v1/sessions/current", 204, Value::Null)])
}

#[test]
fn a_password_buys_a_token() {
    let stub = stub();
    let file = file_with(&format!("{PASSWORD}\n"));
    let path = file.path().to_str().unwrap();
    // An old token must not stand in the way: none is shown.
    let ran = stub.run(&["login", "--email=ada@example.com", "--password-file", path]).exited(0);
    assert_eq!(ran.stdout, "pcullse_x\n");
    let ran = ran.says("signed in until 2026-01-01T12:00:00Z");
    assert!(!ran.stderr.contains("pcullse_x") && !ran.stderr.contains(PASSWORD));
    let sent = stub.only("POST /v1/sessions");
    assert_eq!(sent.json(), json!({"email": "ada@example.com", "password": PASSWORD}));
    assert!(!sent.head.to_ascii_lowercase().contains("authorization"));
}

#[test]
fn a_password_may_come_through_stdin() {
    let stub = stub();
    let ran = fed(stub.command(&["login", "--email=a@b", "--password-file=-", "--json"]), &format!("{PASSWORD}\r\n"));
    assert_eq!(ran.exited(0).json(), session());
    assert_eq!(stub.only("POST /v1/sessions").json()["password"], PASSWORD);
}

#[test]
fn an_invitation_sets_the_password() {
    let stub = stub();
    let invitation = file_with("pculli_x\n");
    let path = invitation.path().to_str().unwrap();
    let ran = fed(stub.command(&["login", "--invitation-file", path, "--password-file=-"]), PASSWORD).exited(0);
    assert_eq!(ran.stdout, "pcullse_x\n");
    let sent = stub.only("POST /v1/sessions").json();
    assert_eq!(sent, json!({"invitation": "pculli_x", "password": PASSWORD}));
}

#[test]
fn a_saved_token_is_its_owners_alone_and_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, password) = (folder.path().join("session"), file_with(PASSWORD));
    let (path, password) = (file.to_str().unwrap(), password.path().to_str().unwrap());
    let args = ["login", "--email=ada@example.com", "--password-file", password, "--save", path];
    for flags in [&[][..], &["--json"]] {
        let ran = stub().run(&[&args[..], flags].concat()).exited(0);
        assert!(!ran.stdout.contains("pcullse_x") && !ran.stderr.contains("pcullse_x"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    stub().run(&args).exited(0).shows("organizations  acme (owner)");
    // The file serves as it is.
    let stub = stub();
    stub.command(&["logout", "--token-file", path]).ran().exited(0).says("signed out");
    stub.only("DELETE /v1/sessions/current").has_header("authorization: bearer pcullse_x");
}

#[test]
fn logging_out_needs_a_token_that_counts() {
    let stub = Stub::refusing(401, json!({"detail": "sign in", "code": "not_authenticated"}));
    stub.run(&["logout"]).exited(4);
    let ok = self::stub();
    assert_eq!(ok.run(&["logout", "--json"]).exited(0).json(), json!({"signed_out": true}));
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let stub = Stub::refusing(401, json!({"detail": "email or password is wrong", "code": "not_authenticated"}));
    let ran = fed(stub.command(&["login", "--email=a@b", "--password-file=-"]), PASSWORD).exited(4);
    let ran = ran.says("email or password is wrong");
    assert!(!ran.stderr.contains(PASSWORD) && ran.stdout.is_empty());
    assert!(!ran.stderr.contains("PORTCULLIS_TOKEN"), "no word about tokens to whoever signs in: {}", ran.stderr);
}
