//! `docs/wire.md` names tests that exist, and every row names one.

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files that a test of this path may stand in: `edge::framing::host` is in `tests/it/edge/framing.rs`, and
/// `src::token::tests::x` in `src/token/tests.rs`; unit tests also stand at the end of the file they are about.
fn files(test: &str) -> Vec<PathBuf> {
    let (module, _) = test.rsplit_once("::").unwrap_or_default();
    let path = module.replace("::", "/");
    let path = if path.starts_with("src/") { path } else { format!("tests/it/{path}") };
    let around = path.strip_suffix("/tests").map(str::to_owned);
    let names = [Some(format!("{path}.rs")), around.as_ref().map(|path| format!("{path}.rs"))];
    names.into_iter().flatten().map(|name| repository().join(name)).filter(|file| file.exists()).collect()
}

fn is_test(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    text.split("#[test]").chain(text.split("#[tokio::test]")).skip(1).any(|rest| {
        let function = rest.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
        function == Some(name)
    })
}

#[test]
fn every_rule_of_the_wire_has_tests_that_exist() {
    let table = std::fs::read_to_string(repository().join("docs/wire.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule ")).collect();
    let named = |text: &str| -> Vec<String> {
        text.split('`').filter(|word| word.contains("::") && !word.contains(' ')).map(str::to_owned).collect()
    };
    let mut broken: Vec<String> = rows
        .iter()
        .filter(|row| row.rsplit(" | ").next().is_none_or(|cell| named(cell).is_empty()))
        .map(|row| format!("no test: {row}"))
        .collect();
    for test in rows.iter().filter_map(|row| row.rsplit(" | ").next()).flat_map(named) {
        let (_, name) = test.rsplit_once("::").unwrap();
        if !files(&test).iter().any(|file| is_test(file, name)) {
            broken.push(format!("no such test: {test}"));
        }
    }
    assert!(broken.is_empty(), "docs/wire.md:\n{}", broken.join("\n"));
    assert!(rows.len() > 70, "only {} rows are read", rows.len());
}
