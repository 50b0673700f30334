//! `docs/cli.md` does what it says: its examples run from top to bottom against a real node, and print what it shows.
//!
//! Ids and secrets on the page stand for those that are really made: where an example shows one in its output, later
//! scripts get the real one in its place.

mod page;
mod shape;

use crate::harness::{PATIENCE, RecordingUpstream};
use page::{Example, Output, examples};
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Commands without an example, and why.
const WITHOUT_EXAMPLE: &[(&str, &str)] = &[
    ("demo", "runs until it is told to stop; tests/it/readme.rs runs it with --json"),
    ("serve", "runs until it is told to stop; it is what all examples talk to"),
    ("upgrade", "puts another process in the place of that one; tests/it/upgrade.rs runs it"),
];

/// The path of every command that has none below it, such as `keys list`.
fn leaves<'c>(command: &'c clap::Command, above: &str, found: &mut Vec<(String, &'c clap::Command)>) {
    for below in command.get_subcommands() {
        let path = format!("{above} {}", below.get_name()).trim().to_owned();
        if below.has_subcommands() { leaves(below, &path, found) } else { found.push((path, below)) }
    }
}

fn call_is_of(call: &[String], path: &str) -> bool {
    let names: Vec<&str> = path.split(' ').collect();
    call.len() >= names.len() && call.iter().zip(&names).all(|(word, name)| word == name)
}

#[test]
fn every_command_has_an_example_or_a_reason() {
    let mut tree = portcullis::cli::command();
    tree.build();
    let mut commands = Vec::new();
    leaves(&tree, "", &mut commands);
    commands.retain(|(path, _)| !path.split(' ').any(|name| name == "help"));
    let examples = examples();
    let mut broken = Vec::new();
    for (path, command) in &commands {
        let excused = WITHOUT_EXAMPLE.iter().any(|(known, _)| known == path);
        let takes_json = command.get_arguments().any(|argument| argument.get_id() == "json");
        let of_it = |example: &&Example| example.calls().iter().any(|call| call_is_of(call, path));
        let shows = examples.iter().filter(of_it).any(|example| !takes_json || example.output.is_some());
        match (shows, excused) {
            (true, true) => broken.push(format!("`{path}` has an example and needs no reason")),
            (false, false) => broken.push(format!("`{path}`: no example of its output in docs/cli.md")),
            (true, false) | (false, true) => {}
        }
    }
    for (path, _) in WITHOUT_EXAMPLE {
        assert!(commands.iter().any(|(known, _)| known == path), "`{path}` is no command");
    }
    assert!(commands.len() > 40 && broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_example_is_a_sound_command_line() {
    for example in examples() {
        for call in example.calls() {
            let words = std::iter::once("portcullis").chain(call.iter().map(String::as_str));
            let parsed = portcullis::cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{}: {call:?}: {}", example.place, parsed.unwrap_err());
        }
    }
}

#[test]
fn every_output_is_json() {
    for example in examples() {
        match &example.output {
            Some(Output::Json(text)) => drop(json(text, &example.place)),
            Some(Output::JsonLines(text)) => text.lines().for_each(|line| drop(json(line, &example.place))),
            None => {}
        }
    }
}

#[test]
fn the_examples_print_what_the_page_shows() {
    let mut stage = Stage::set();
    for example in examples() {
        if example.script.contains("PORTCULLIS_SERVER=") {
            stage.start_node();
        }
        stage.play(&example);
    }
}

#[track_caller]
fn json(text: &str, place: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}:\n{text}"))
}

/// A folder to work in, with a copy of `conf/`, and the node when it is there.
struct Stage {
    folder: tempfile::TempDir,
    /// The page's addresses, ids and secrets, and what stands for them here.
    here: Vec<(String, String)>,
    node: Option<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            // It may have been drained.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

impl Stage {
    fn set() -> Self {
        let upstream = RecordingUpstream::start();
        let mut here = vec![("http://127.0.0.1:9000".to_owned(), upstream.url())];
        here.extend(
            ["127.0.0.1:8080", "127.0.0.1:9080", "127.0.0.1:9464"].map(|port| (port.to_owned(), free_address())),
        );
        let stage = Self { folder: tempfile::tempdir().unwrap(), here, node: None };
        let conf = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf");
        std::fs::create_dir_all(stage.folder.path().join("gate/tenants")).unwrap();
        for file in ["portcullis.toml", "tenants/acme.toml"] {
            let text = std::fs::read_to_string(conf.join(file)).unwrap();
            std::fs::write(stage.folder.path().join("gate").join(file), stage.translated(&text)).unwrap();
        }
        stage
    }

    fn translated(&self, text: &str) -> String {
        self.here.iter().fold(text.to_owned(), |text, (page, real)| text.replace(page, real))
    }

    #[track_caller]
    fn start_node(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("node.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["serve", "--config", "gate/portcullis.toml"]).current_dir(self.folder.path());
        let node = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let node = self.node.insert(node);
        for (_, address) in self.here.iter().filter(|(page, _)| page.starts_with("127.0.0.1:")) {
            let began = Instant::now();
            while TcpStream::connect(address).is_err() {
                let ended = node.try_wait().unwrap();
                let log = std::fs::read_to_string(self.folder.path().join("node.log")).unwrap_or_default();
                assert!(ended.is_none() && began.elapsed() < PATIENCE, "no node on {address}: {ended:?}\n{log}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Runs an example and compares; one that comes about in the background is tried for a while.
    #[track_caller]
    fn play(&mut self, example: &Example) {
        let began = Instant::now();
        loop {
            match self.attempt(example) {
                Ok(pairs) => {
                    // The newest stands for the page's value from here on.
                    self.here.retain(|(known, _)| pairs.iter().all(|(page, _)| page != known));
                    self.here.extend(pairs);
                    return;
                }
                Err(_) if example.eventually && began.elapsed() < 2 * PATIENCE => {
                    std::thread::sleep(Duration::from_millis(250));
                }
                Err(problem) => panic!("{}:\n{}\n{problem}", example.place, example.script),
            }
        }
    }

    /// The ids and secrets that it made, or what is wrong.
    fn attempt(&self, example: &Example) -> Result<Vec<(String, String)>, String> {
        let output = shell(self.folder.path(), &self.translated(&example.script)).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() != Some(example.exit) {
            return Err(format!("{}, not {}\nstdout: {out}\nstderr: {err}", output.status, example.exit));
        }
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("{error}:\n{text}"));
        let (differences, pairs) = match &example.output {
            None => return Ok(Vec::new()),
            Some(Output::Json(shown)) => {
                let (shown, printed) = (read(shown)?, read(&out)?);
                (shape::differences(&shown, &printed, ""), shape::pairs(&shown, &printed))
            }
            Some(Output::JsonLines(shown)) => {
                let shown = shown.lines().map(read).collect::<Result<Vec<_>, _>>()?;
                let printed = out.lines().map(read).collect::<Result<Vec<_>, _>>()?;
                let lines = (1..).zip(&printed);
                (lines.flat_map(|(line, row)| shape::closest(&shown, row, &format!("line {line}"))).collect(), vec![])
            }
        };
        if differences.is_empty() { Ok(pairs) } else { Err(format!("{differences:#?}\nprinted: {out}")) }
    }
}

/// A script in `folder`, the binary under test first in PATH. What it exports is there for the next one, and nothing of
/// the caller's own settings is.
fn shell(folder: &Path, script: &str) -> Command {
    let kept = "trap 'export -p > .exported' EXIT\n[ ! -f .exported ] || . ./.exported";
    let mut command = Command::new("sh");
    command.args(["-euc", &format!("{kept}\nPATH=$BINARY_FOLDER:$PATH\n{script}")]).current_dir(folder);
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env("BINARY_FOLDER", binary.parent().unwrap()).stdin(Stdio::null());
    for name in ["PORTCULLIS_SERVER", "PORTCULLIS_TOKEN", "PORTCULLIS_CA_FILE"] {
        command.env_remove(name);
    }
    command
}

/// An address that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
