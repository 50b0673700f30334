//! What `keys` has beyond list, show, create, rotate and revoke.

use super::{KEYS, Stub, key, portcullis};
use portcullis::model::{ClientSecret, SecretDigest};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

#[test]
fn edit_sends_what_was_said_under_the_revision_it_saw() {
    let adjusted = ["--add-permission=a", "--add-permission=cards.list", "--remove-permission=cards.show"];
    let cases: [(&[&str], Value); 6] = [
        (&adjusted, json!({"permissions": ["cards.list", "a"]})),
        (&["--name", "y", "--description", ""], json!({"name": "y", "description": ""})),
        (&["--permission", "a", "--permission", "b"], json!({"permissions": ["a", "b"]})),
        (&["--allow", "10.0.0.1/8"], json!({"allowlist": {"networks": ["10.0.0.1/8"], "platform": false}})),
        (&["--allow-any", "--may-grant", "a"], json!({"allowlist": null, "may_grant": ["a"]})),
        (&["--no-may-grant"], json!({"may_grant": null})),
    ];
    for (flags, body) in cases {
        let stub = Stub::content();
        let ran = stub.run(&[&["keys", "edit", "pcull_a", "--json"], flags].concat()).exited(0);
        assert_eq!(ran.json(), key());
        let sent = stub.only(&format!("PATCH {KEYS}/pcull_a"));
        assert_eq!(sent.json(), body);
        sent.has_header("if-match: \"7\"");
        stub.only(&format!("GET {KEYS}/pcull_a"));
    }
}

#[test]
fn an_allowlist_comes_from_a_file_or_from_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("office.txt");
    std::fs::write(&file, "# office\n203.0.113.42\n\n2001:db8::/32 # branch\n").unwrap();
    let from_file = format!("--allow-file={}", file.display());
    let networks = json!(["10.0.0.1", "203.0.113.42", "2001:db8::/32"]);
    for (command, sent) in [
        (&["keys", "create", "--name=x"][..], format!("POST {KEYS}")),
        (&["keys", "edit", "pcull_a"], format!("PATCH {KEYS}/pcull_a")),
        (&["keys", "rotate", "pcull_a", "--yes", "--no-expiry"], format!("POST {KEYS}/pcull_a/rotate")),
    ] {
        let stub = Stub::content();
        stub.run(&[command, &["--allow=10.0.0.1", &from_file, "--allow-platform"]].concat()).exited(0);
        assert_eq!(stub.only(&sent).json()["allowlist"], json!({"networks": networks, "platform": true}));
    }
    let stub = Stub::content();
    let mut command = stub.command(&["keys", "edit", "pcull_a", "--allow-file=-"]);
    command.env("PORTCULLIS_TOKEN", "sesame");
    super::fed(command, "::1\n").exited(0);
    let sent = stub.only(&format!("PATCH {KEYS}/pcull_a")).json();
    assert_eq!(sent, json!({"allowlist": {"networks": ["::1"], "platform": false}}));

    std::fs::write(&file, "::1\n198.51.100.7/24\nhere\n").unwrap();
    let stub = Stub::content();
    let ran = stub.run(&["keys", "rotate", "pcull_a", "--yes", "--no-expiry", &from_file]).exited(7);
    ran.says("2 lines are wrong").says("line 2: `198.51.100.7/24`").says("198.51.100.0/24").says("line 3: `here`");
    std::fs::write(&file, "# nobody\n").unwrap();
    stub.run(&["keys", "edit", "pcull_a", &from_file]).exited(7).says("no address");
    assert!(stub.asked().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_preset_is_adjusted_and_what_came_out_is_sent() {
    let sent = |flags: &[&str]| {
        let stub = Stub::content();
        stub.run(&[&["keys", "create", "--name=x", "--preset=Read only"], flags].concat()).exited(0);
        stub.only(&format!("POST {KEYS}")).json()
    };
    assert_eq!(sent(&[]), json!({"name": "x", "type": "fine_grained", "preset": "Read only"}));
    let adjusted = sent(&["--permission=cards:write", "--permission=cards:read", "--without=files:read"]);
    assert_eq!(adjusted["permissions"], json!(["cards:read", "cards:write"]));
    let stub = Stub::content();
    let create = |flags: &[&str]| stub.run(&[&["keys", "create", "--name=x"], flags].concat());
    create(&["--preset=Read only", "--without=a"]).exited(7).says("has no permission `a`");
    create(&["--preset=Write only", "--permission=a"]).exited(7).says("no preset `Write only`");
    stub.run(&["keys", "edit", "pcull_a", "--remove-permission=a"]).exited(7).says("the key has no permission `a`");
    assert!(stub.asked().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn an_edit_that_came_too_late_says_so() {
    let stub = Stub::answering(|asked| match asked.method.as_str() {
        "PATCH" => (412, json!({"detail": "it has revision 8", "code": "revision_mismatch"})),
        _ => super::happy(asked),
    });
    let ran = stub.run(&["keys", "edit", "pcull_a", "--name", "y"]).exited(6);
    ran.says("it has revision 8 (revision_mismatch)").says("changed meanwhile");
}

#[test]
fn create_sends_what_the_key_may_grant() {
    let stub = Stub::content();
    let args = ["keys", "create", "--name=x", "--permission=portcullis:keys:edit", "--may-grant=a", "--may-grant=b"];
    stub.run(&args).exited(0);
    assert_eq!(stub.only(&format!("POST {KEYS}")).json()["may_grant"], json!(["a", "b"]));
}

#[test]
fn filters_by_time_are_instants_or_distances() {
    let stub = Stub::content();
    let instants = ["--expires-before", "2027-01-31T01:00:00+01:00", "--unused-since", "2026-01-01T00:00:00Z"];
    stub.run(&[&["keys", "list"], &instants[..]].concat()).exited(0);
    stub.only(&format!(
        "GET {KEYS}?limit=100&expires_before=2027-01-31T00%3A00%3A00Z&unused_since=2026-01-01T00%3A00%3A00Z"
    ));
    let stub = Stub::content();
    stub.run(&["keys", "list", "--expires-before", "14d", "--unused-since", "90d"]).exited(0);
    let asked = stub.asked().pop().unwrap().target;
    let now = portcullis::clock::now();
    let instant = |name: &str| {
        let (_, after) = asked.split_once(&format!("{name}=")).unwrap();
        portcullis::model::Timestamp::parse(&after.split('&').next().unwrap().replace("%3A", ":")).unwrap()
    };
    let minute = |from| now.plus_seconds(from - 60)..=now.plus_seconds(from);
    assert!(minute(14 * 86_400).contains(&instant("expires_before")), "{asked}");
    assert!(minute(-90 * 86_400).contains(&instant("unused_since")), "{asked}");
}

#[test]
fn usage_is_a_table() {
    let used = json!({"data": [{"operation": "cards.list", "count": 12, "last_used_at": "2026-01-01T00:00:00Z"}]});
    let stub = Stub::answering(move |asked| match asked.target.ends_with("/usage") {
        true => (200, used.clone()),
        false => super::happy(asked),
    });
    let ran = stub.run(&["keys", "usage", "pcull_a"]).exited(0);
    assert_eq!(ran.stdout, "OPERATION   COUNT  LAST USED\ncards.list  12     2026-01-01T00:00:00Z\n");
    stub.run(&["keys", "usage", "pcull_a", "--json"]).exited(0);
}

/// The reference tenant with these lines below it, as `check` judges it.
fn checked(stanza: &str) -> super::Ran {
    let folder = tempfile::tempdir().unwrap();
    let conf = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    std::fs::copy(conf.join("portcullis.toml"), folder.path().join("portcullis.toml")).unwrap();
    let tenant = std::fs::read_to_string(conf.join("tenants/acme.toml")).unwrap();
    std::fs::write(folder.path().join("tenants/acme.toml"), format!("{tenant}\n{stanza}")).unwrap();
    super::Run::ran(&mut portcullis(&["check", "--config", folder.path().join("portcullis.toml").to_str().unwrap()]))
}

#[test]
fn a_digest_is_made_offline_and_accepted_by_check() {
    let holdings: [&[&str]; 2] = [&["--permission=cards:read", "--permission=cards:write"], &["--role=events"]];
    for held in holdings {
        let args = ["keys", "digest", "--name=a \"b\" é", "--json", "--allow=10.0.0.0/8", "--allow-platform"];
        let mut command = portcullis(&[&args[..], held, &["--expires-at=2099-01-31T00:00:00Z"]].concat());
        let ran = super::Run::ran(&mut command).exited(0).says("shown this once").says("[environments.production]");
        let made = ran.json();
        let member = |name: &str| made[name].as_str().unwrap();
        assert!(ClientSecret::is_well_formed(member("client_secret")));
        let digest = SecretDigest::parse(member("secret_digest")).unwrap();
        assert!(digest.matches(member("client_secret").as_bytes()));
        let stanza = member("stanza");
        assert!(stanza.contains(member("client_id")) && stanza.contains(member("secret_digest")));
        assert!(!stanza.contains(member("client_secret")) && !ran.stderr.contains("pculls_"));
        checked(stanza).exited(0);
    }
}

#[test]
fn a_digest_may_keep_its_secret_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("batch.secret");
    let args = ["keys", "digest", "--name=batch", "--permission=cards:read", "--secret-file", file.to_str().unwrap()];
    let ran = super::Run::ran(&mut portcullis(&args)).exited(0);
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(ClientSecret::is_well_formed(secret.trim_end()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!ran.stdout.contains("pculls_") && !ran.stderr.contains("pculls_"));
    checked(&ran.stdout).exited(0);
    // A secret that is there is not lost.
    let again = super::Run::ran(&mut portcullis(&args)).exited(1);
    assert!(again.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
}

#[test]
fn a_digest_is_not_made_where_check_would_refuse_it() {
    let made = |flags: &[&str]| super::Run::ran(&mut portcullis(&[&["keys", "digest"], flags].concat()));
    let ran = made(&["--name=x", "--permission=a", "--allow=10.0.0.1/8"]).exited(7).says("10.0.0.0/8");
    assert!(ran.stdout.is_empty());
    made(&["--name=a\nb", "--permission=a"]).exited(2);
    made(&["--name=x", "--permission=a b"]).exited(2);
}
