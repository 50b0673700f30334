//! Programs of other ecosystems that `scripts/install-test-tools` puts under the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of one of them, installed by now. `None`, with the reason printed, where its registry does not answer,
/// and only there.
#[track_caller]
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    // `target/debug/portcullis`.
    let target = Path::new(env!("CARGO_BIN_EXE_portcullis")).ancestors().nth(2).unwrap();
    let folder = target.join("test-tools");
    let mut install = Command::new("sh");
    install.arg(file("scripts/install-test-tools")).arg("--into").arg(&folder).arg(name);
    let output = install.stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Some(folder.join(name)),
        Some(3) => {
            eprintln!("skipped: {}", words.trim());
            None
        }
        _ => panic!("`scripts/install-test-tools {name}` failed, {}:\n{words}", output.status),
    }
}

/// A file of this repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Python with these packages and nothing of the caller's own.
pub(crate) fn python(packages: &Path) -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    without_proxy(&mut python);
    python
}

/// Nothing on loopback goes through the proxy of the machine.
pub(crate) fn without_proxy(command: &mut Command) {
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
}
