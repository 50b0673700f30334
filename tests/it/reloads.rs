//! Reloads of a running node: none of hundreds of bad configurations touches it, and nobody notices the good ones.

use crate::config::cases::{self, Case};
use crate::config::many_networks;
use crate::harness::{BASE_PATH, Connection, Gateway, HOST, Key, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Asks for a reload and waits for it.
#[track_caller]
fn reload(gateway: &Gateway) -> (u16, Value) {
    gateway.control_request("POST", "/v1/reload", &Value::Null)
}

fn count(gateway: &Gateway, result: &str) -> u64 {
    let name = format!("portcullis_reloads_total{{result=\"{result}\"}} ");
    gateway.metrics().lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

#[test]
fn no_bad_configuration_touches_a_running_node() {
    let gateway = Gateway::builder().node("[tenants]\nwatch = false").start();
    let good = ["portcullis.toml", "tenants/acme.toml"].map(|name| {
        let text = fs::read_to_string(gateway.dir().join(name)).unwrap();
        (name, text)
    });
    let token = gateway.reader_token();
    let mut connection = gateway.connect();
    let cases = cases::cases();
    let failures: Vec<String> = (1..)
        .zip(&cases)
        .filter_map(|(number, case)| {
            empty(gateway.dir());
            case.write(gateway.dir());
            let refused = refused(&gateway, case).err();
            assert_eq!(count(&gateway, "failure"), number, "`{}` is counted", case.title);
            let served = gateway.get("/cards").bearer(&token).send_on(&mut connection);
            assert_eq!(served.status, 200, "after `{}`: {}", case.title, served.text());
            refused
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(cases.len() >= 200, "{} cases", cases.len());
    assert!(gateway.metrics().contains("\nportcullis_last_reload_successful 0\n"));

    empty(gateway.dir());
    for (name, text) in &good {
        fs::write(gateway.dir().join(name), text).unwrap();
    }
    gateway.edit_tenant(|text| text.to_owned() + &Key::new("late", &["cards:read"]).stanza("production"));
    assert_eq!(reload(&gateway).0, 200);
    let late = Key::new("late", &[]);
    let token = crate::harness::token(&gateway, &late.id, &late.secret);
    assert_eq!(gateway.get("/cards").bearer(&token).send_on(&mut connection).status, 200, "a good one loads");
    assert!(gateway.metrics().contains("\nportcullis_last_reload_successful 1\n"));
    assert!(gateway.probe("/readyz?verbose").text().contains("\nlast reload: ok"));
}

/// Leaves nothing of the configuration but an empty node's file and no tenants.
fn empty(folder: &Path) {
    for name in ["portcullis.toml", "tenants"] {
        cases::clear(&folder.join(name));
    }
    fs::create_dir(folder.join("tenants")).unwrap();
    fs::write(folder.join("portcullis.toml"), "").unwrap();
}

/// Checks that the reload is refused, at the places that the case promises, in the answer, the probe and the status.
fn refused(gateway: &Gateway, case: &Case) -> Result<(), String> {
    let title = &case.title;
    let (status, answer) = reload(gateway);
    if (status, &answer["code"]) != (422, &json!("configuration_invalid")) {
        return Err(format!("`{title}`: {status} {answer}"));
    }
    let told: Vec<String> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["message"].as_str().unwrap().to_owned())
        .collect();
    let problems: Option<Vec<_>> = told.iter().map(|line| split(line)).collect();
    let problems = problems.ok_or_else(|| format!("`{title}`: not all with file and line: {told:?}"))?;
    // Expiries count from now, so not all promises hold at any time; one does.
    if !problems.iter().any(|problem| case.expected.iter().any(|expected| cases::promises(expected, problem))) {
        return Err(format!("`{title}`: {told:?}"));
    }
    let probe = gateway.probe("/readyz?verbose").expect(200).text();
    if !probe.contains("last reload: failed") || !probe.contains(&told[0]) {
        return Err(format!("`{title}`: {probe}"));
    }
    let status = gateway.control_request("GET", "/v1/status", &Value::Null).1;
    if status["last_reload"]["successful"] != json!(false) || status["last_reload"]["problems"][0] != json!(told[0]) {
        return Err(format!("`{title}`: {status}"));
    }
    Ok(())
}

/// `file:line: message` in its parts.
fn split(line: &str) -> Option<(String, usize, String)> {
    let (place, message) = line.split_once(": ")?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?, message.to_owned()))
}

#[test]
fn a_reload_tells_what_it_changed() {
    let gateway = Gateway::builder().node("[tenants]\nwatch = false").start();
    let (id, _) = gateway.create_key("filer", &["files:read", "cards:read"]);
    gateway.edit_tenant(|text| {
        let other = "[environments.test]\nbase_url = \"http://gate.test/v1/test\"\nupstream = \"http://127.0.0.1:9\"\n";
        let text =
            text.replace("\"files:read\" = \"GET /files/{path...}\"\n", "\"cards:count\" = \"GET /cards/count\"\n");
        // The declared keys hold it too.
        text.replace(", \"files:read\"", "") + other
    });
    let (status, answer) = reload(&gateway);
    let changed = json!({
        "environment": "acme/production", "change": "changed",
        "permissions_added": ["cards:count"],
        "permissions_removed": [
            {"permission": "files:read", "key_count": 1, "keys": [{"client_id": id, "name": "filer"}]},
        ],
        "operations_added": ["GET /cards/count"], "operations_removed": ["GET /files/{path...}"],
    });
    let added = json!({
        "environment": "acme/test", "change": "added", "permissions_added": [], "permissions_removed": [],
        "operations_added": [], "operations_removed": [],
    });
    let expected = json!({
        "reloaded": true, "problems": [], "needs_restart": [], "warnings": [], "changes": [changed, added],
    });
    assert_eq!((status, answer), (200, expected));
    let (_, again) = reload(&gateway);
    assert_eq!(again["changes"], json!([]), "nothing is different");
}

#[test]
fn the_platforms_addresses_come_from_a_file_and_follow_it() {
    let Some(text) = many_networks() else { return };
    let key = Key::new("platform", &["cards:read"]).allowed_from_platform();
    let gateway = Gateway::builder().node("[edge]\ntrusted_proxies = [\"127.0.0.1\"]").key(&key).start();
    let asks = |address: &str| {
        let form = crate::harness::token_form(&key.id, &key.secret);
        gateway.post("/oauth2/token").form(&form).header("X-Forwarded-For", address).send().status
    };
    assert_eq!(asks("3.5.140.1"), 401, "the list is empty");
    let list = gateway.dir().join("tenants/aws.txt");
    fs::write(&list, &text).unwrap();
    gateway.edit_tenant(|text| {
        text.to_owned() + "[environments.production.platform_addresses]\nlabel = \"AWS\"\nnetworks_file = \"aws.txt\"\n"
    });
    eventually("an address of the list is let in", || (asks("3.5.140.1") == 200).then_some(()));
    assert_eq!((asks("203.0.113.1"), asks("2600:9000::1")), (401, asks("2600:9000::1")));
    // Their next list.
    fs::write(&list, "# moved\n203.0.113.0/24\n").unwrap();
    eventually("the changed list applies", || (asks("203.0.113.1") == 200).then_some(()));
    assert_eq!(asks("3.5.140.1"), 401);
    // Half a list is no list: what was there before applies.
    fs::write(&list, "203.0.113.0/24\n198.51.").unwrap();
    eventually("the broken list is refused", || (count(&gateway, "failure") == 1).then_some(()));
    assert_eq!((asks("203.0.113.1"), asks("198.51.100.1")), (200, 401));
    let probe = gateway.probe("/readyz?verbose").text();
    assert!(probe.contains("tenants/aws.txt:2: is not an IP address or CIDR network"), "{probe}");
}

/// What the process has in memory, in bytes.
fn resident(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn nobody_notices_reloads_under_load_hammer() {
    const RELOADS: u32 = 60;
    let gateway = Gateway::builder().node("[log]\naccess = \"off\"").start();
    let (edge, token) = (gateway.edge(), gateway.reader_token());
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let request = format!("GET {BASE_PATH}/cards HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n");
    // Whatever is not a whole 200 ends its thread with a panic.
    let ask = |connection: &mut Connection, rest: &str| {
        let answer = connection.exchange(format!("{request}{rest}\r\n").as_bytes());
        assert_eq!((answer.status, answer.truncated), (200, false), "{}", answer.head);
        answered.fetch_add(1, Ordering::Relaxed);
    };
    let grown = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut connection = Connection::open(edge);
                while !done.load(Ordering::Relaxed) {
                    ask(&mut connection, "");
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ask(&mut Connection::open(edge), "Connection: close\r\n");
            }
        });
        let grown = reload_often(&gateway, RELOADS);
        done.store(true, Ordering::Relaxed);
        grown
    });
    let (good, failed) = (count(&gateway, "success"), count(&gateway, "failure"));
    eprintln!("{} requests, {good} reloads, memory {grown:.3} of that after the tenth", answered.into_inner());
    assert!(good >= u64::from(RELOADS) && failed == 0, "{good} good and {failed} failed reloads");
    assert!(grown < 1.25, "memory grew to {grown} of what it was after the tenth");
}

/// Changes the tenant file and reloads, five times a second; the growth of the memory from the tenth to the last.
fn reload_often(gateway: &Gateway, times: u32) -> f64 {
    let file = gateway.dir().join("tenants/acme.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (began, mut tenth) = (Instant::now(), 0);
    for number in 0..times {
        let key = Key::new(&format!("key_{number}"), &["cards:read"]).stanza("production");
        let new = gateway.dir().join("new");
        fs::write(&new, text.clone() + &key).unwrap();
        fs::rename(new, &file).unwrap();
        let (status, answer) = reload(gateway);
        assert_eq!(status, 200, "{answer}");
        if number == 9 {
            tenth = resident(gateway);
        }
        std::thread::sleep((Duration::from_millis(200) * (number + 1)).saturating_sub(began.elapsed()));
    }
    resident(gateway) as f64 / tenth as f64
}
