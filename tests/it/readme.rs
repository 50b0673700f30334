//! The README's shell blocks do what they say: each line is in the table below, and is run from the README's own text.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How a line of a shell block is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It is this target of the Makefile; `make demo` is the demo of `the_demo_does_what_its_banner_says`.
    Make(&'static str),
    /// Cargo's own; the package it names is the one under test.
    Cargo,
    /// Run to its end before the node starts.
    Prepare,
    /// Runs beside the rest.
    Serve,
    /// Run against the node, in one shell.
    Call,
    /// The same; it asks for a password, which comes from a file here.
    SignIn,
}

/// Every command in the README, by how it starts.
const KNOWN: &[(&str, Held)] = &[
    ("make demo", Held::Make("demo")),
    ("make test", Held::Make("test")),
    ("cargo install --locked --path .", Held::Cargo),
    ("portcullis init ", Held::Prepare),
    ("portcullis check ", Held::Prepare),
    ("portcullis serve ", Held::Serve),
    ("umask 077", Held::Call),
    ("portcullis keys create ", Held::Call),
    ("awk ", Held::Call),
    ("CLIENT_ID=$(awk ", Held::Call),
    ("TOKEN=$(portcullis token ", Held::Call),
    ("curl -i -H \"Authorization: Bearer $TOKEN\" ", Held::Call),
    ("portcullis keys revoke ", Held::Call),
    ("portcullis members add ", Held::Call),
    ("export PORTCULLIS_TOKEN=$(portcullis login ", Held::SignIn),
    ("portcullis orgs set ", Held::Call),
    ("portcullis members token ", Held::Call),
    ("portcullis audit ", Held::Call),
];

const PATIENCE: Duration = Duration::from_secs(30);

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// Each line of a ```sh block, and how it is held to.
fn commands() -> Vec<(String, Held)> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let mut found = Vec::new();
    let mut block = None;
    for line in readme.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(info), None) => block = Some(info == "sh"),
            (Some(_), Some(_)) => block = None,
            (None, Some(true)) if !line.is_empty() => found.push((line.to_owned(), held(line))),
            _ => {}
        }
    }
    found
}

fn held(line: &str) -> Held {
    let known = KNOWN.iter().find(|(start, _)| line.starts_with(start));
    known.unwrap_or_else(|| panic!("README.md: nothing runs `{line}`; add it to KNOWN in tests/it/readme.rs")).1
}

fn lines(wanted: Held) -> Vec<String> {
    commands().into_iter().filter(|(_, held)| *held == wanted).map(|(line, _)| line).collect()
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `line` in `folder`, the binary under test first in PATH. Nothing of the caller's own settings gets in.
fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", &format!("PATH=$BINARY_FOLDER:$PATH\n{line}")]).current_dir(folder).stdin(Stdio::null());
    command.env("BINARY_FOLDER", binary().parent().unwrap());
    for name in ["PORTCULLIS_SERVER", "PORTCULLIS_TOKEN"] {
        command.env_remove(name);
    }
    command
}

fn succeeds(output: &Output, what: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{what}`: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[test]
fn every_command_is_held_to() {
    let commands = commands();
    for (start, held) in KNOWN {
        assert!(commands.iter().any(|(line, _)| line.starts_with(start)), "README.md has lost `{start}` ({held:?})");
    }
}

#[test]
fn the_makefile_has_the_targets_that_are_named() {
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    for (line, held) in commands() {
        if let Held::Make(target) = held {
            assert_eq!(line, format!("make {target}"));
            assert!(makefile.contains(&format!("\n{target}:")), "no target `{target}`");
        }
    }
    assert!(makefile.contains("/demo/portcullis\" demo $(DEMO_ARGS)"), "`make demo` runs `portcullis demo`");
}

#[test]
fn init_and_check_work_as_written() {
    let folder = tempfile::tempdir().unwrap();
    for line in lines(Held::Prepare) {
        succeeds(&shell(folder.path(), &line).output().unwrap(), &line);
    }
    assert!(folder.path().join("gate/portcullis.toml").is_file());
}

#[test]
fn the_own_api_walk_works_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = answering_upstream();
    // The README's ports may be in use here: each gives way to a free one, in commands and files alike.
    let mut ports = vec![("127.0.0.1:9000".to_owned(), upstream.to_string())];
    ports.extend(["127.0.0.1:8080", "127.0.0.1:9080", "127.0.0.1:9464"].map(|port| (port.to_owned(), free_address())));
    let here = |text: &str| ports.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    for line in lines(Held::Prepare) {
        succeeds(&shell(folder.path(), &here(&line)).output().unwrap(), &line);
        for file in ["gate/portcullis.toml", "gate/tenants/main.toml"].map(|file| folder.path().join(file)) {
            std::fs::write(&file, here(&std::fs::read_to_string(&file).unwrap())).unwrap();
        }
    }
    let serve = lines(Held::Serve).concat();
    let mut node = Running(shell(folder.path(), &format!("exec {}", here(&serve))).spawn().unwrap());
    for (_, address) in &ports {
        wait_for(address.parse().unwrap(), &mut node.0);
    }
    // What `curl -i` shows ends without a line end: one of our own between two answers.
    std::fs::write(folder.path().join("password"), "correct horse battery staple\n").unwrap();
    let calls = commands().into_iter().filter_map(|(line, held)| match held {
        Held::Call => Some(line),
        Held::SignIn => Some(line.replacen("login ", "login --password-file password ", 1)),
        Held::Make(_) | Held::Cargo | Held::Prepare | Held::Serve => None,
    });
    let script = here(&calls.collect::<Vec<_>>().join("\necho\n"));
    let mut shell = shell(folder.path(), &script);
    // Where commands ask when nothing is said.
    let shown = succeeds(&shell.env("PORTCULLIS_SERVER", here("http://127.0.0.1:9080")).output().unwrap(), &script);
    let statuses: Vec<&str> = shown.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert!(statuses[0].contains(" 200") && statuses[1].contains(" 401") && statuses.len() == 2, "{shown}");
    assert!(shown.contains("hello from upstream") && shown.contains("key_revoked"), "{shown}");
    assert!(shown.contains("max key lifetime   90d") && shown.contains("member ada@example.com"), "{shown}");
    for file in ["ada.invitation", "bob.invitation", "nightly.token"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

#[test]
fn the_demo_does_what_its_banner_says() {
    let anywhere = "127.0.0.1:0";
    let mut demo = Command::new(binary())
        .args(["demo", "--json", "--listen", anywhere, "--control", anywhere, "--metrics", anywhere])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = demo.stdout.take().unwrap();
    let _demo = Running(demo);
    let facts: Value = serde_json::Deserializer::from_reader(stdout).into_iter().next().unwrap().unwrap();
    let fact = |name: &str| facts[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {facts}")).to_owned();
    let base = fact("base_url");
    assert!(base.ends_with("/sandbox"), "{base}");

    let credentials = format!("{}:{}", fact("client_id"), fact("client_secret"));
    let grant = "grant_type=client_credentials";
    let token = curl(&["-s", "-u", &credentials, "-d", grant, &format!("{base}/oauth2/token")]);
    let token: Value = serde_json::from_str(&token).unwrap();
    let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());

    let allowed = curl(&["-si", "-H", &bearer, &format!("{base}/accounts")]);
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
    let denied = curl(&["-si", "-X", "POST", "-H", &bearer, &format!("{base}/cards")]);
    assert!(denied.starts_with("HTTP/1.1 403"), "{denied}");
    assert!(denied.to_lowercase().contains("portcullis-error: permission_missing"), "{denied}");
    assert!(denied.contains("cards.create"), "{denied}");
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["--max-time", "20"]).args(arguments).output();
    succeeds(&output.expect("curl is installed (`make setup`)"), &format!("curl {arguments:?}"))
}

/// An address that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait_for(address: SocketAddr, node: &mut Child) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = node.try_wait().unwrap() {
            panic!("the node has ended: {status}");
        }
        assert!(began.elapsed() < PATIENCE, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The reader's own API: the same answer to every request, until the test binary ends.
fn answering_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\nconnection: close\r\n\r\nhello from upstream\n";
                // The gateway may have gone.
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}
