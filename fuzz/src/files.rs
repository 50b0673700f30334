//! A configuration, in files as `tests/data/bad-config` has them (`--- file` before each): loaded whole or refused with
//! places that exist, the same each time, and never with a key that nobody knows.

use crate::config::{Config, Documents, Loaded, load_with_sources};
use crate::model::Timestamp;
use std::collections::HashSet;
use std::path::Path;
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;
/// What is there besides: documents, and lists of networks.
const NAMES: [&str; 6] =
    ["portcullis.toml", "tenants/a.toml", "tenants/acme.toml", "tenants/spec.json", "tenants/networks.txt", "tls.pem"];

pub fn check(bytes: &[u8]) {
    let Some(text) = crate::text(bytes) else { return };
    // What would have the machine's own files read.
    if text.contains("/dev") || text.contains("/proc") || text.contains("/sys") || text.contains("..") {
        return;
    }
    let folder = folder();
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    let mut files = vec![("portcullis.toml", String::new())];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("--- ").and_then(|name| NAMES.iter().find(|known| **known == name.trim_end())) {
            Some(name) => files.push((*name, String::new())),
            None => files.last_mut().unwrap().1.push_str(line),
        }
    }
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    files.iter().for_each(|(name, text)| write(name, text));
    let first = load(folder.path());
    let second = load(folder.path());
    assert_eq!(first.config.as_ref().err(), second.config.as_ref().err(), "another verdict");
    match &first.config {
        Ok(config) => {
            sound(config);
            write("tenants/zz.toml", "unknown = 1\n");
            assert!(load(folder.path()).config.is_err(), "an unknown key is taken");
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                let lines = std::fs::read_to_string(&problem.file).map_or(1, |text| text.split('\n').count());
                assert!((1..=lines.max(1)).contains(&problem.line), "{problem:?}");
                assert!(!problem.to_string().contains('\n'), "{problem:?}");
            }
        }
    }
}

fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn load(folder: &Path) -> Loaded {
    load_with_sources(&folder.join("portcullis.toml"), Timestamp::from_unix(NOW), &Documents::default())
}

/// What must be unique is, and keys hold only what there is.
fn sound(config: &Config) {
    let (mut urls, mut ids) = (HashSet::new(), HashSet::new());
    for organization in &config.organizations {
        for environment in &organization.environments {
            let url = &environment.base_url;
            assert!(urls.insert((url.host().to_owned(), url.port(), url.path().to_owned())), "a base URL twice");
            for key in &environment.keys {
                assert!(ids.insert(key.client_id.as_str().to_owned()), "a client id twice");
            }
        }
    }
}
