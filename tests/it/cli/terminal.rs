//! Commands on a terminal (a pseudoterminal, by python3): prompts, questions and progress.

use super::{Ran, Stub, file_with, happy, portcullis, read_request};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

const DRIVER: &str = include_str!("terminal.py");
const ROW: &str = "{\"number\": 1}\n";
const PASSWORD: &str = "correct horse battery staple";

/// What is asked, what is answered, and whether the answer must not be seen.
type Answer<'a> = (&'a str, &'a str, bool);

/// The command on a terminal, which is its stdin, stdout and stderr.
fn on_terminal(command: &Command, answers: &[Answer<'_>]) -> Ran {
    let mut driver = Command::new("python3");
    driver.args(["-c", DRIVER]).arg(json!(answers).to_string()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => driver.env(name, value),
            None => driver.env_remove(name),
        };
    }
    let output = driver.env("TERM", "xterm").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ended: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = ended["shown"].as_str().unwrap().replace("\r\n", "\n");
    Ran { code: i32::try_from(ended["code"].as_i64().unwrap()).unwrap(), stdout: shown, stderr: String::new() }
}

fn session() -> Stub {
    Stub::routes([(
        "POST /v1/sessions",
        201,
        json!({"token": "pcullse_x", "expires_at": "2026-01-01T12:00:00Z", "operator": false, "member": null,
            "organizations": []}),
    )])
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let stub = session();
    let command = stub.command(&["login", "--email=ada@example.com"]);
    let ran = on_terminal(&command, &[("Password: ", PASSWORD, true)]).exited(0).shows("pcullse_x");
    assert!(!ran.stdout.contains(PASSWORD), "{}", ran.stdout);
    let sent = stub.only("POST /v1/sessions").json();
    assert_eq!(sent, json!({"email": "ada@example.com", "password": PASSWORD}));
}

#[test]
fn a_new_password_is_asked_for_twice() {
    let invitation = file_with("pculli_x");
    let args = ["login", "--invitation-file", invitation.path().to_str().unwrap()];
    let stub = session();
    let twice = [("New password: ", PASSWORD, true), ("The same again: ", PASSWORD, true)];
    on_terminal(&stub.command(&args), &twice).exited(0);
    assert_eq!(stub.only("POST /v1/sessions").json()["password"], PASSWORD);
    let stub = session();
    let other = [twice[0], ("The same again: ", "another one", true)];
    on_terminal(&stub.command(&args), &other)
        .exited(2)
        .shows("error: the two passwords are not the same; nothing was changed");
    assert!(stub.asked().is_empty());
}

#[test]
fn only_a_yes_is_a_yes() {
    let args = ["keys", "revoke", "pcull_a"];
    for (answer, code) in [("", 1), ("n", 1), ("yes please", 1), ("y", 0), ("YES", 0)] {
        let stub = Stub::answering(happy);
        let ran = on_terminal(&stub.command(&args), &[("cannot be undone. [y/N] ", answer, false)]).exited(code);
        let sent = stub.asked().iter().filter(|asked| asked.method == "POST").count();
        assert_eq!(sent, usize::from(code == 0), "`{answer}`: {}", ran.stdout);
    }
}

/// A log of one row that takes its time, so that there is something to wait for.
fn slow_log() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&stream).unwrap();
        write!(stream, "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", ROW.len()).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        stream.write_all(ROW.as_bytes()).unwrap();
    });
    format!("http://{address}")
}

#[test]
fn progress_is_shown_beside_data_and_not_among_it() {
    let file = file_with("");
    let server = slow_log();
    let args = ["audit", "export", "--node", "--server"];
    let mut aside = Command::new("sh");
    aside.args(["-c", "file=$1; shift; exec \"$@\" > \"$file\"", "sh"]).arg(file.path());
    aside.arg(env!("CARGO_BIN_EXE_portcullis")).args(args).arg(&server);
    let ran = on_terminal(&aside, &[]).exited(0);
    assert!(ran.stdout.contains("0 rows "), "{:?}", ran.stdout);
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), ROW);
    let ran = on_terminal(&portcullis(&[&args[..], &[&slow_log()]].concat()), &[]).exited(0);
    assert_eq!(ran.stdout, ROW);
}
