//! Bad configurations: the texts of `tests/data/bad-config/` (its README says how they are written), and what no text
//! can hold: links, pipes, folders in the place of files.

use super::{ENVIRONMENT, digest, repository};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// A configuration that is refused.
pub(crate) struct Case {
    pub(crate) title: String,
    /// Path and content; written in this order.
    files: Vec<(String, Content)>,
    /// File, line, and a part of what is said.
    pub(crate) expected: Vec<(String, usize, String)>,
}

/// What stands in a file's place.
enum Content {
    Bytes(Vec<u8>),
    Folder,
    Link(&'static str),
    Pipe,
    Socket,
}

impl Case {
    /// Writes it into a folder that holds a sound configuration, or nothing.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, content) in &self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).unwrap();
            }
            clear(&path);
            match content {
                Content::Bytes(bytes) => std::fs::write(&path, bytes).unwrap(),
                Content::Folder => std::fs::create_dir(&path).unwrap(),
                Content::Link(target) => symlink(target, &path).unwrap(),
                Content::Pipe => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                Content::Socket => drop(UnixListener::bind(&path).unwrap()),
            }
        }
    }

    /// Checks that these problems, as `file:line: message`, are those that were promised, and no others.
    pub(crate) fn judge(&self, problems: &[(String, usize, String)]) -> Result<(), String> {
        let Self { title, expected, .. } = self;
        let mut expected: Vec<_> = expected.iter().collect();
        let shown: Vec<String> =
            problems.iter().map(|(file, line, message)| format!("{file}:{line}: {message}")).collect();
        for (problem, shown) in problems.iter().zip(&shown) {
            let place = expected.iter().position(|expected| promises(expected, problem));
            let place = place.ok_or_else(|| format!("`{title}`: unexpected {shown}\nstill expected: {expected:?}"))?;
            expected.remove(place);
        }
        let shown = shown.join("\n");
        if !expected.is_empty() || shown.contains("hunter2") || shown.contains("verysecret") {
            return Err(format!("`{title}`: missing {expected:?}, or a secret shown, in\n{shown}"));
        }
        Ok(())
    }
}

/// Whether a problem is the one that was promised.
pub(crate) fn promises(expected: &(String, usize, String), problem: &(String, usize, String)) -> bool {
    let (file, line, fragment) = expected;
    problem.0.ends_with(file.as_str()) && problem.1 == *line && problem.2.contains(fragment.as_str())
}

/// Takes away whatever is there.
pub(crate) fn clear(path: &Path) {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path).unwrap(),
        Ok(_) => std::fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["node", "tenants", "keys", "documents"] {
        let file = repository().join("tests/data/bad-config").join(name).with_extension("txt");
        let text = std::fs::read_to_string(&file).unwrap();
        cases.extend(text.split("=== ").skip(1).map(parse));
    }
    cases.extend(odd_cases());
    cases
}

/// One case of `tests/data/bad-config/*.txt`.
fn parse(case: &str) -> Case {
    let (title, body) = case.split_once('\n').unwrap();
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for part in body.split("--- ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        let (name, text) = expand(name, text);
        expected.extend(marked(&name, &text));
        files.push((name, Content::Bytes(text.into_bytes())));
    }
    Case { title: title.to_owned(), files, expected }
}

/// `env`, `upstream` and `key` stand behind the head of a sound tenant.
fn expand(name: &str, text: &str) -> (String, String) {
    let upstream = "upstream = \"http://127.0.0.1:9000\"\n";
    let head = match name {
        "env" => format!("{ENVIRONMENT}{upstream}"),
        "upstream" => format!("{ENVIRONMENT}[environments.production.upstream]\n"),
        "key" => format!(
            "{ENVIRONMENT}{upstream}permissions = {{ \"cards:read\" = \"GET /cards\" }}\n\
             roles = {{ events = [\"cards:read\"] }}\n[[environments.production.keys]]\nclient_id = \"one\"\n\
             name = \"data-pipeline\"\nsecret_digest = \"{}\"\n",
            digest(1)
        ),
        file => return (file.to_owned(), text.to_owned()),
    };
    ("tenants/acme.toml".to_owned(), format!("{head}{text}"))
}

/// The problems that a file's `#!` marks promise.
fn marked(name: &str, text: &str) -> Vec<(String, usize, String)> {
    let marks = |(index, line): (usize, &str)| {
        line.split("#! ").skip(1).map(|mark| (name.to_owned(), index + 1, mark.trim().to_owned())).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(marks).collect()
}

const TENANT: &str = "tenants/acme.toml";

/// What no text can hold.
fn odd_cases() -> Vec<Case> {
    let mut cases = odd_files("portcullis.toml", "portcullis.toml", "");
    cases.extend(odd_files(TENANT, TENANT, ""));
    let environment = format!("{ENVIRONMENT}upstream = \"http://127.0.0.1:9000\"\n");
    let document = |text: &str| vec![(TENANT.to_owned(), Content::Bytes(format!("{environment}{text}").into_bytes()))];
    let named = "openapi = \"named\"\n";
    let list = "platform_addresses = { networks_file = \"named\" }\n";
    for (setting, what) in [(named, "OpenAPI document"), (list, "networks file")] {
        for mut case in odd_files("tenants/named", TENANT, what) {
            case.expected = case.expected.into_iter().map(|(file, _, said)| (file, 6, said)).collect();
            case.files.extend(document(setting));
            cases.push(case);
        }
    }
    cases.extend(odd_folders());
    cases.extend(deep_texts());
    cases
}

/// Everything that can stand in the place of a file.
fn odd_files(path: &str, told_in: &str, what: &str) -> Vec<Case> {
    let what = if what.is_empty() { path } else { what };
    let mut wide = vec![0xff, 0xfe];
    wide.extend("[organization]\nid = 'acme'\n".encode_utf16().flat_map(u16::to_le_bytes));
    let contents = [
        ("a folder", Content::Folder, 1, "is a folder, not a file"),
        ("a named pipe", Content::Pipe, 1, "is a named pipe, not a file"),
        ("a socket", Content::Socket, 1, "is a socket, not a file"),
        ("a device", Content::Link("/dev/zero"), 1, "is a device, not a file"),
        ("a link to nowhere", Content::Link("nowhere"), 1, "cannot be read: No such file"),
        (
            "a link to itself",
            Content::Link(path.rsplit('/').next().map_or("", leak)),
            1,
            "cannot be read: Too many levels",
        ),
        (
            "a file that the system will not read",
            Content::Link("/proc/self/mem"),
            1,
            "cannot be read: Input/output error",
        ),
        ("a file past the limit", Content::Bytes(vec![b'\n'; 33 * 1024 * 1024]), 1, "is larger than"),
        ("text of another encoding", Content::Bytes(b"# one\n# caf\xe9\n".to_vec()), 2, "is not UTF-8 text from"),
        ("text that ends in half a character", Content::Bytes(b"# one\n# caf\xc3".to_vec()), 2, "is not UTF-8 text"),
        ("wide text", Content::Bytes(wide), 1, "is not UTF-8 text"),
        ("compressed data", Content::Bytes(b"\x1f\x8b\x08\x00\xff\xff\n\n".to_vec()), 1, "is not UTF-8 text"),
    ];
    let case = |(title, content, line, said): (&str, Content, usize, &str)| Case {
        title: format!("{title} as {what}"),
        files: vec![(path.to_owned(), content)],
        expected: vec![(told_in.to_owned(), line, said.to_owned())],
    };
    contents.map(case).into()
}

/// The names of paths are few, and the tests short.
fn leak(name: &str) -> &'static str {
    String::leak(name.to_owned())
}

fn odd_folders() -> Vec<Case> {
    let told = |said: &str| vec![("portcullis.toml".to_owned(), 1, said.to_owned())];
    let contents = [
        ("a file", Content::Bytes(Vec::new()), "cannot be read: Not a directory"),
        ("a named pipe", Content::Pipe, "cannot be read: Not a directory"),
        ("a link to nowhere", Content::Link("nowhere"), "cannot be read: No such file"),
        ("a link to itself", Content::Link("tenants"), "cannot be read: Too many levels"),
    ];
    let case = |(title, content, said): (&str, Content, &str)| Case {
        title: format!("{title} as the tenants folder"),
        files: vec![("tenants".to_owned(), content)],
        expected: told(said),
    };
    contents.map(case).into()
}

/// Texts that would be long to write down.
fn deep_texts() -> Vec<Case> {
    let deep = 100_000;
    let head = "[organization]\nid = \"acme\"\n";
    let texts = [
        ("lists in lists without end", format!("{head}deep = {}", "[".repeat(deep)), 3, "is not TOML"),
        ("tables in tables without end", format!("{head}deep = {}", "{a=".repeat(deep)), 3, "is not TOML"),
        ("dots without end", format!("{head}{}a = 1\n", "a.".repeat(deep)), 1, "is not TOML"),
        ("a header of dots without end", format!("{head}[{}a]\n", "a.".repeat(deep)), 1, "is not TOML"),
        ("a NUL byte", format!("{head}name = \"a\0b\"\n"), 3, "is not TOML"),
        ("a key of a million letters", format!("{head}{} = 1\n", "k".repeat(1_000_000)), 3, "unknown key `kkkk"),
    ];
    let case = |(title, text, line, said): (&str, String, usize, &str)| Case {
        title: title.to_owned(),
        files: vec![(TENANT.to_owned(), Content::Bytes(text.into_bytes()))],
        expected: vec![(TENANT.to_owned(), line, said.to_owned())],
    };
    texts.map(case).into()
}
