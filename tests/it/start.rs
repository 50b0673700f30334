//! Starting and stopping: an error says what is wrong and what to do, and signals do what they promise.

use crate::process::{Api, Folder, Process, Wire, portcullis};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

const PERMISSIONS: &str = r#""cards:read" = ["GET /cards"]"#;
/// Within which a start fails or a stop ends.
const SOON: Duration = Duration::from_secs(10);

fn folder() -> Folder {
    // Nothing is ever asked of this upstream.
    Folder::new("http://127.0.0.1:9", PERMISSIONS)
}

/// Starts a node that must not start; its words.
#[track_caller]
fn refused_start(folder: &Folder) -> String {
    let mut process = Process::spawn(folder.command("serve").stdout(Stdio::null()));
    let status = process.ended(SOON);
    let words = process.all_of_stderr();
    eprintln!("{words}");
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {words}");
    assert!(words.contains("error"), "{words}");
    assert!(!words.contains("panicked") && !words.contains("listening edge="), "{words}");
    words
}

#[track_caller]
fn assert_says(words: &str, expected: &[&str]) {
    for text in expected {
        assert!(words.contains(text), "no `{text}` in:\n{words}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    for listener in ["edge", "control", "metrics"] {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let folder = folder();
        let section = format!("[listeners.{listener}]\nbind = [\"");
        folder.edit("portcullis.toml", &format!("{section}127.0.0.1:0"), &format!("{section}{address}"));
        let words = refused_start(&folder);
        assert_says(&words, &[&address, "in use", listener]);
        assert_eq!(words.matches("in use").count(), 1, "said twice: {words}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = folder();
    folder.write("file", "");
    folder.edit("portcullis.toml", "[log]", "[node]\ndata_dir = \"file/data\"\n[log]");
    let words = refused_start(&folder);
    assert_says(&words, &[folder.path("file/data").to_str().unwrap()]);
}

#[test]
fn a_damaged_database_is_named_with_the_way_out() {
    let folder = folder();
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.write("data/portcullis.db", &"this is no database. ".repeat(1000));
    let words = refused_start(&folder);
    assert_says(&words, &[folder.path("data/portcullis.db").to_str().unwrap(), "restore a backup"]);
}

#[test]
fn a_secret_key_that_is_not_the_one_is_named() {
    let (folder, other) = (folder(), self::folder());
    for folder in [&folder, &other] {
        folder.start().process.kill();
    }
    std::fs::copy(other.path("data/secret.key"), folder.path("data/secret.key")).unwrap();
    let words = refused_start(&folder);
    assert_says(&words, &["signing key", folder.path("data/secret.key").to_str().unwrap()]);
}

#[test]
fn a_secret_key_that_is_lost_is_not_made_anew() {
    let folder = folder();
    folder.start().process.kill();
    std::fs::remove_file(folder.path("data/secret.key")).unwrap();
    let words = refused_start(&folder);
    assert_says(&words, &["signing key", folder.path("data/secret.key").to_str().unwrap()]);
    // Another key in its place would only hide that it is gone.
    assert!(!folder.path("data/secret.key").exists());
}

#[test]
fn problems_of_a_configuration_are_all_listed_and_nothing_starts() {
    let folder = folder();
    folder.edit("portcullis.toml", "[log]", "[node]\ndatadir = \"data\"\n[log]");
    folder.edit("tenants/acme.toml", "GET /cards", "FETCH cards");
    let places = [
        format!("{}:8", folder.path("portcullis.toml").display()),
        format!("{}:8", folder.path("tenants/acme.toml").display()),
    ];
    let places = places.each_ref().map(String::as_str);
    let output = folder.command("check").output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    assert_says(&String::from_utf8(output.stdout).unwrap(), &places);
    let words = refused_start(&folder);
    for place in places {
        assert!(
            words.lines().any(|line| line.contains(place) && !line.contains("\\n")),
            "no line for {place}:\n{words}"
        );
    }
    assert!(!folder.path("data").exists());
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    for command in ["check", "serve"] {
        let output = portcullis(&[command, "--config", "/nonexistent/portcullis.toml"]).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_says(&words, &["/nonexistent/portcullis.toml"]);
    }
}

#[test]
fn the_example_configuration_has_no_problems() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/portcullis.toml");
    let output = portcullis(&["check", "--config", example]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{output:?}");
}

#[test]
fn term_and_int_end_an_idle_node_with_0() {
    for signal in ["TERM", "INT"] {
        let folder = folder();
        let mut node = folder.start();
        // A connection that is kept open holds nothing up.
        let mut idle = node.edge();
        idle.get("/v1/cards", "none").refused(401, "token_invalid");
        node.process.signal(signal);
        let status = node.process.ended(SOON);
        assert_eq!(status.code(), Some(0), "{signal}: {status}\n{}", node.process.stderr());
    }
}

/// Whoever waits for the line that tells the addresses may send signals from then on: a supervisor, a test, a script.
#[test]
fn signals_count_from_the_first_line_on() {
    let folder = folder();
    for signal in ["HUP", "QUIT", "USR1", "USR2", "TERM", "INT"].repeat(2) {
        let mut node = folder.start();
        node.process.signal(signal);
        if !matches!(signal, "TERM" | "INT") {
            // The first answer shows that it runs, whatever was done before.
            let answer = node.edge().send("GET", "/v1/cards", &[], b"");
            let answer = answer.unwrap_or_else(|why| panic!("{signal}: {why}:\n{}", node.process.stderr()));
            answer.refused(401, "token_missing");
            node.process.signal("TERM");
        }
        let status = node.process.ended(SOON);
        assert_eq!(status.code(), Some(0), "{signal}: {status}\n{}", node.process.stderr());
    }
}

#[test]
fn a_second_term_ends_a_drain_at_once() {
    let api = Api::silent();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let mut node = folder.start();
    let mut edge = node.edge();
    let key = node.control().create("patient", &["cards:read"]).unwrap();
    let token = edge.token(&key);
    // A request that never gets its answer keeps the drain waiting.
    let waiting = std::thread::spawn(move || {
        edge.send("GET", "/v1/cards", &[("Authorization", &format!("Bearer {token}"))], b"").is_ok()
    });
    api.wait_for_a_request();
    node.process.signal("TERM");
    // Nothing tells that a drain goes on, so this is the one place that waits for nothing to happen.
    std::thread::sleep(Duration::from_millis(500));
    assert!(node.process.is_running(), "the drain did not wait for a request:\n{}", node.process.stderr());
    node.process.signal("TERM");
    let status = node.process.ended(Duration::from_secs(3));
    assert_eq!(status.code(), Some(0), "{status}\n{}", node.process.stderr());
    // What became of the request is not promised.
    let _ = waiting.join();
}

#[test]
fn quit_hup_usr1_and_usr2_do_not_end_a_node() {
    let api = Api::start();
    let folder = Folder::new(&api.url(), PERMISSIONS);
    let mut node = folder.start();
    let mut edge = node.edge();
    let key = node.control().create("steady", &["cards:read"]).unwrap();
    let token = edge.token(&key);
    for signal in ["QUIT", "HUP", "USR1", "HUP", "USR2", "QUIT"] {
        node.process.signal(signal);
        std::thread::sleep(Duration::from_millis(100));
        edge.get("/v1/cards", &token).expect(200);
    }
    Wire::new(node.metrics, "localhost").send("GET", "/livez", &[], b"").unwrap().expect(200);
    assert!(node.process.is_running());
    assert_eq!(edge.connections, 1, "a signal cost a connection");
    // They did not break what TERM does either.
    node.process.signal("TERM");
    assert_eq!(node.process.ended(SOON).code(), Some(0));
}
