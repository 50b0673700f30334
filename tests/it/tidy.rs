//! The borders of the house, held by a test: who may import whom, where time, SQL and pingora may appear, how long a
//! function may get. Each failure names the place and what to do about it.
//!
//! Reading is by text, not by a parser: `source` blanks comments and literals first, so that words there do not count.

mod source;

use source::{Source, sources};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms without clock, runtime, network or environment: all their inputs are arguments.
const PURE: &[&str] = &["access", "catalogue", "model", "oauth", "token"];

/// Who may import whom, beside itself: a whole room, or one item of it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("access", &["model"]),
    ("catalogue", &["model"]),
    ("cli", &["app", "clock", "model"]),
    ("clock", &["model"]),
    ("config", &["catalogue", "model", "tls"]),
    (
        "control",
        &[
            "access",
            "catalogue",
            "config::DefinitionProblem",
            "config::Documents",
            "config::EnvironmentDefinition",
            "config::GivenDocument",
            "model",
            "oauth",
            "store",
            "tables",
            "telemetry",
        ],
    ),
    (
        "edge",
        &[
            "access",
            "catalogue",
            "config::BODY_GRACE",
            "config::BodyLimits",
            "config::ConnectionLimits",
            "config::DrainTimes",
            "config::EdgeLimits",
            "config::HeadLimits",
            "model",
            "oauth",
            "tables",
            "telemetry",
            "tls",
            "token",
        ],
    ),
    ("model", &[]),
    ("oauth", &["model"]),
    ("sample", &[]),
    ("store", &["model"]),
    ("tables", &["access", "catalogue", "model", "store", "token"]),
    ("telemetry", &["access", "model"]),
    ("tls", &["model"]),
    ("token", &["model"]),
];

/// They hold the rooms together and may import any.
const FREE: &[&str] = &["app", "lib", "main"];

const LONGEST_FUNCTION: usize = 70;
const LONGEST_MAIN: usize = 60;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}

/// Everything that breaks a rule, at once.
#[track_caller]
fn none(broken: &[String], what_to_do: &str) {
    assert!(broken.is_empty(), "\n{}\n\nWhat to do: {what_to_do}\n", broken.join("\n"));
}

/// Every place in `src/` where one of `words` stands in code (tests aside), unless `allowed` says it may.
fn places(words: &[&str], allowed: impl Fn(&Source) -> bool) -> Vec<String> {
    let sources = sources("src");
    let elsewhere = sources.iter().filter(|source| !allowed(source));
    elsewhere.flat_map(|source| words.iter().flat_map(|word| source.places(word))).collect()
}

#[test]
fn rooms_import_only_whom_they_may() {
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| !FREE.contains(&source.room())) {
        let room = source.room();
        let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, allowed)| *allowed);
        for (line, import) in source.imports() {
            let of = import.split(':').next().unwrap_or_default();
            if of != room && !allowed.iter().any(|allowed| *allowed == of || *allowed == import) {
                broken.push(format!("{}:{line}: `{room}` imports `{import}`", source.path));
            }
        }
    }
    none(
        &broken,
        "take the value as an argument, or move the type to the room that both may import (mostly `model`). A new \
         arrow is a decision: MAY_IMPORT in tests/it/tidy.rs and \"Rooms\" in ARCHITECTURE.md, with the reason.",
    );
}

#[test]
fn every_room_is_in_the_import_table() {
    let known = |room: &str| FREE.contains(&room) || MAY_IMPORT.iter().any(|(name, _)| *name == room);
    let broken: Vec<String> =
        sources("src").iter().filter(|source| !known(source.room())).map(|source| source.path.clone()).collect();
    none(&broken, "a new room: say in MAY_IMPORT (tests/it/tidy.rs) and in ARCHITECTURE.md whom it may import.");
}

#[test]
fn pure_rooms_are_pure() {
    let words = [
        "tokio",
        "tracing",
        "log::",
        "async",
        "await",
        "std::env",
        "env::var",
        "std::fs",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "axum",
        "sqlx",
        "prometheus",
    ];
    let broken = places(&words, |source| !PURE.contains(&source.room()));
    none(&broken, "pure rooms get time, settings and bytes as arguments; do the I/O in the room that calls them.");
}

#[test]
fn pingora_stays_in_the_edge() {
    let broken = places(&["pingora", "pingora_core", "pingora_http", "pingora_proxy"], |source| {
        ["edge", "app"].contains(&source.room())
    });
    none(&broken, "only `edge` and `app` know pingora; hand over plain values (`http` types, bytes, addresses).");
}

#[test]
fn sql_stays_in_the_store() {
    let mut broken = places(&["sqlx", "rusqlite"], |source| source.room() == "store");
    let words = ["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ", "ORDER BY "];
    for source in sources("src").iter().filter(|source| source.room() != "store") {
        broken.extend(words.iter().flat_map(|word| source.places_in_text(word)));
    }
    none(&broken, "add a method to `store::Store` and a case to its conformance suite (tests/it/store.rs).");
}

#[test]
fn time_is_read_in_one_place() {
    let wall = places(&["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"], |source| {
        source.path == "src/clock.rs"
    });
    none(&wall, "take `now: Timestamp` as an argument; `app` and `cli` get it from `clock::now`.");
    let measured = ["app", "control", "edge", "main", "sample", "telemetry"];
    let monotonic = places(&["Instant::now"], |source| measured.contains(&source.room()));
    none(&monotonic, "durations are measured at the borders only (app, edge, control, telemetry).");
}

#[test]
fn the_environment_is_read_in_config_only() {
    let broken = places(&["env::var", "env::var_os", "env::vars", "env::vars_os", "env::set_var"], |source| {
        source.room() == "config"
    });
    none(&broken, "use `config::environment_variable`, or `env = \"PORTCULLIS_...\"` of a clap argument in `cli`.");
}

#[test]
fn nothing_is_global_and_mutable() {
    let mut broken = places(&["static mut", "LazyLock", "lazy_static!", "thread_local!", "OnceLock"], |_| false);
    for source in sources("src") {
        let cells = ["Cell<", "Lock<", "Mutex<", "Atomic", "ArcSwap", "Once"];
        let lines = source.lines().filter(|(_, line)| {
            let item = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
            item.starts_with("static ") && cells.iter().any(|cell| line.contains(cell))
        });
        broken.extend(lines.map(|(number, line)| format!("{}:{number}: `{}`", source.path, line.trim())));
    }
    none(&broken, "make it once in `app` and hand it to whoever needs it.");
}

#[test]
fn nothing_is_left_undone_or_skipped() {
    let mut broken = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        for word in ["todo!", "unimplemented!", "dbg!", "#[ignore"] {
            broken.extend(source.places_anywhere(word));
        }
    }
    none(&broken, "finish it, or take it out: a skipped test is a promise that nobody keeps.");
}

#[test]
fn every_file_says_what_it_is_for() {
    let roots = ["src", "tests", "benches"].map(sources);
    let unsaid = roots.iter().flatten().filter(|source| !source.text.starts_with("//!"));
    let broken: Vec<String> = unsaid.map(|source| source.path.clone()).collect();
    none(&broken, "open the file with `//!`: what it is for and what it leaves to others.");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let long = source.functions().into_iter().filter(|function| function.lines > LONGEST_FUNCTION);
        broken.extend(long.map(|f| format!("{}:{}: `{}` has {} lines", source.path, f.line, f.name, f.lines)));
    }
    none(&broken, "split it where a comment would say \"now ...\": at most 70 lines a function.");
    let main = read("src/main.rs").lines().count();
    assert!(main < LONGEST_MAIN, "src/main.rs has {main} lines: move what it does to `cli` or `app`");
}

#[test]
fn no_tracked_file_names_a_machine() {
    // In two parts, or this file would name them too.
    let marks = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "wt")];
    let mut broken = Vec::new();
    for path in tracked() {
        let Ok(text) = std::fs::read(repository().join(&path)) else { continue };
        let text = String::from_utf8_lossy(&text);
        for (number, line) in (1..).zip(text.lines()) {
            if marks.iter().any(|mark| line.contains(mark)) {
                broken.push(format!("{}:{number}: `{}`", path.display(), line.trim()));
            }
        }
    }
    none(&broken, "paths are relative to the repository, or come from the environment.");
}

/// What git tracks; without git (a source archive) every file outside of `target`.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(repository()).output();
    if let Some(output) = listed.ok().filter(|output| output.status.success()) {
        return String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(PathBuf::from).collect();
    }
    let mut files = Vec::new();
    let top = std::fs::read_dir(repository()).expect("the repository can be read");
    for path in top.map(|entry| entry.unwrap().path()) {
        if path.file_name().is_some_and(|name| name != "target" && name != ".git") {
            source::walk(&path, &mut files);
        }
    }
    files.iter().map(|path| path.strip_prefix(repository()).unwrap_or(path).to_owned()).collect()
}

/// The codes of `Denial::code`, as its source lists them.
fn denial_codes() -> Vec<String> {
    let text = read("src/access/denial.rs");
    let body = text.split_once("fn code(").expect("`Denial::code` is there").1;
    let body = body.split_once("\n    }\n").expect("`Denial::code` ends").0;
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_refusal_is_documented_and_none_besides() {
    let codes = denial_codes();
    assert!(codes.len() > 10, "`Denial::code` is read wrongly: {codes:?}");
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1)?.strip_prefix('`'));
    let documented: Vec<&str> = rows.filter_map(|cell| cell.split('`').next()).collect();
    let unsaid = codes.iter().filter(|code| !documented.contains(&code.as_str()));
    let broken: Vec<String> = unsaid.map(|code| format!("README.md: no row for `{code}`")).collect();
    none(&broken, "add a row to \"What a refusal means\" in README.md: status, `code`, what it means, what to do.");
    let invented = documented.iter().filter(|code| !codes.iter().any(|known| known == *code));
    let broken: Vec<String> = invented.map(|code| format!("README.md: `{code}` is no code of `Denial`")).collect();
    none(&broken, "take the row out, or name the code as `Denial::code` does.");
}

#[test]
fn the_papers_name_files_that_exist() {
    let mut broken = Vec::new();
    for paper in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = read(paper);
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "conf/", "benches/", "scripts/"].iter().any(|top| word.starts_with(top));
            let whole = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && whole && !Path::new(&repository()).join(word).exists() {
                broken.push(format!("{paper}: `{word}` does not exist"));
            }
        }
    }
    none(&broken, "papers follow the tree: name the file where it is now.");
}

/// The tests in `tests/it/rules/`, as `docs/rules.md` names them.
fn rule_tests() -> Vec<String> {
    let mut tests = Vec::new();
    for file in ["stated", "decided"] {
        let text = read(&format!("tests/it/rules/{file}.rs"));
        let functions = text.split("#[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next());
        tests.extend(functions.map(|name| format!("rules::{file}::{name}")));
    }
    tests
}

#[test]
fn every_rule_has_its_test_and_the_table_names_it() {
    let (table, tests) = (read("docs/rules.md"), rule_tests());
    let rows: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| ")).collect();
    let rules = (1..=17).map(|number| format!("S{number}")).chain((1..=12).map(|number| number.to_string()));
    let mut broken: Vec<String> = rules
        .filter(|rule| !rows.iter().any(|row| row.split(" | ").next() == Some(rule) && row.contains("`rules::")))
        .map(|rule| format!("docs/rules.md: no row with a test for {rule}"))
        .collect();
    let named: Vec<&str> = table.split('`').filter(|word| word.starts_with("rules::")).collect();
    let missing = named.iter().filter(|name| !tests.iter().any(|test| test == *name));
    broken.extend(missing.map(|name| format!("docs/rules.md: `{name}` is no test")));
    let untold = tests.iter().filter(|test| !named.contains(&test.as_str()));
    broken.extend(untold.map(|test| format!("docs/rules.md does not name `{test}`")));
    none(&broken, "each rule has a row in docs/rules.md and a test in tests/it/rules/; keep the two together.");
}
