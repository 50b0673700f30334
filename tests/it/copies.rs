//! Backups of a live store, and what it takes to put one back.

use crate::process::{Folder, Node, Wire, portcullis};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;

fn folder() -> Folder {
    Folder::new("http://127.0.0.1:9", PERMISSIONS)
}

fn run(folder: &Folder, command: &str, file: &Path, more: &[&str]) -> Output {
    let config = folder.path("portcullis.toml");
    let mut command = portcullis(&[command, file.to_str().unwrap(), "--config", config.to_str().unwrap(), "--json"]);
    command.args(more).output().unwrap()
}

#[track_caller]
fn good(output: Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(words), "{stderr}");
    assert!(output.stdout.is_empty());
}

fn names(node: &Node) -> Vec<String> {
    let mut names: Vec<String> =
        node.control().every_key().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_of_a_live_store_is_one_instant_of_it_and_comes_back() {
    let folder = folder();
    let mut node = folder.start();
    for name in ["one", "two"] {
        node.control().create(name, &["cards:read"]).unwrap();
    }
    let file = folder.path("copy.db");
    // While somebody goes on making keys.
    let copy = std::thread::scope(|scope| {
        let mut control = node.control();
        let making = scope.spawn(move || {
            for number in 0..50 {
                control.create(&format!("later {number}"), &["cards:read"]).unwrap();
            }
        });
        let copy = good(run(&folder, "backup", &file, &[]));
        making.join().unwrap();
        copy
    });
    assert!(copy["bytes"].as_u64().unwrap() > 0 && copy["revision"].as_u64().unwrap() >= 2, "{copy}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names(&node).len(), 52);
    refused(&run(&folder, "backup", &file, &[]), "--force");
    refused(&run(&folder, "restore", &file, &["--yes"]), "a process uses it");
    assert_eq!(names(&node).len(), 52);
    node.process.kill();

    refused(&run(&folder, "restore", &file, &[]), "--yes");
    let restored = good(run(&folder, "restore", &file, &["--yes"]));
    assert_eq!(restored["revision"], copy["revision"]);
    assert!(Path::new(restored["before"].as_str().unwrap()).exists(), "{restored}");
    let node = folder.start();
    let after = names(&node);
    assert!(after.len() < 52 && after.contains(&"one".to_owned()) && after.contains(&"two".to_owned()), "{after:?}");
    let ask = |target: &str| node.control().get(target).unwrap().expect(200).json();
    assert_eq!(ask("/v1/audit?action=store.restore")["data"].as_array().unwrap().len(), 1);
    for chain in ["/v1/audit/verify", "/v1/organizations/acme/audit/verify"] {
        assert_eq!(ask(chain)["ok"], true, "{chain}");
    }
}

#[test]
fn sessions_and_invitations_of_a_copy_do_not_come_back() {
    const MEMBERS: &str = "/v1/organizations/acme/members";
    const PASSWORD: &str = "correct horse battery staple";
    let folder = folder();
    let mut node = folder.start();
    let add = |email: &str| {
        let body = json!({"email": email, "role": "viewer"});
        node.control().post(MEMBERS, &body).unwrap().expect(201).json()
    };
    let sign_in = |node: &Node, body: Value| node.control().post("/v1/sessions", &body).unwrap();
    let (ada, bob) = (add("ada@acme.example"), add("bob@acme.example"));
    let taken_up = json!({"invitation": ada["invitation"], "password": PASSWORD});
    let session = sign_in(&node, taken_up).expect(201).json()["token"].as_str().unwrap().to_owned();
    let current = |node: &Node| {
        let mut wire = Wire::new(node.control, &node.control.to_string());
        wire.get("/v1/sessions/current", &session).status
    };
    assert_eq!(current(&node), 200);
    let file = folder.path("copy.db");
    good(run(&folder, "backup", &file, &[]));
    node.process.kill();
    let output = run(&folder, "restore", &file, &["--yes"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in ["every session", "revoked", "rotated"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    good(output);
    let node = folder.start();
    assert_eq!(current(&node), 401);
    sign_in(&node, json!({"invitation": bob["invitation"], "password": PASSWORD})).expect(401);
    sign_in(&node, json!({"email": "ada@acme.example", "password": PASSWORD})).expect(201);
    let members = node.control().get(MEMBERS).unwrap().expect(200).json();
    assert_eq!(members["data"].as_array().unwrap().len(), 2, "{members}");
}

#[test]
fn what_is_no_sound_copy_is_refused_and_the_store_stays() {
    let folder = folder();
    let mut node = folder.start();
    for number in 0..200 {
        node.control().create(&format!("key {number}"), &["cards:read"]).unwrap();
    }
    let file = folder.path("copy.db");
    good(run(&folder, "backup", &file, &[]));
    node.process.kill();
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 4096].fill(0xa5);
    for (name, bytes) in
        [("empty", &b""[..]), ("text", b"not a database"), ("short", &whole[..whole.len() / 2]), ("torn", &torn)]
    {
        std::fs::write(&file, bytes).unwrap();
        let output = run(&folder, "restore", &file, &["--yes"]);
        assert!(!output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run(&folder, "restore", &file, &["--yes"]).status.code(), Some(3));
    let nowhere = folder.path("no/such/folder/copy.db");
    assert!(!run(&folder, "backup", &nowhere, &[]).status.success());
    let left = std::fs::read_dir(folder.path("data")).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("copy")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(names(&folder.start()).len(), 200);
}
