//! Commands that ask no server: completions, man pages, copies of the store, `--json` of the rest.

use super::{Run, portcullis};
use serde_json::json;

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = portcullis(&["completions", shell]).ran().exited(0);
        assert!(ran.stdout.contains("signing-keys") && ran.stderr.is_empty(), "{shell}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man/man1");
    let ran = portcullis(&["man", dir.to_str().unwrap()]).ran().exited(0);
    let mut names = vec!["portcullis".to_owned()];
    collect(&portcullis::cli::command(), "portcullis", &mut names);
    assert!(names.len() > 40, "{names:?}");
    for name in &names {
        let page =
            std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert_eq!(ran.stdout.lines().count(), names.len());
}

fn collect(command: &clap::Command, above: &str, names: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let name = format!("{above}-{}", below.get_name());
        collect(below, &name, names);
        names.push(name);
    }
}

#[test]
fn every_command_says_what_it_does() {
    fn judge(command: &clap::Command, path: &str) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10 && !about.ends_with('.'), "`{path}`: {about}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "`{path}`: `{}` has no help", argument.get_id());
        }
        command.get_subcommands().for_each(|below| judge(below, &format!("{path} {}", below.get_name())));
    }
    portcullis::cli::command().get_subcommands().for_each(|command| judge(command, command.get_name()));
}

#[test]
fn a_backup_does_not_overwrite() {
    let there = super::file_with("precious");
    let path = there.path().to_str().unwrap();
    portcullis(&["backup", path, "--config", "absent.toml"]).ran().exited(6).says("--force");
    assert_eq!(std::fs::read_to_string(there.path()).unwrap(), "precious");
    portcullis(&["backup", path, "--force", "--config", "absent.toml"]).ran().exited(1);
    assert_eq!(std::fs::read_to_string(there.path()).unwrap(), "precious");
}

#[test]
fn a_restore_is_asked_about_and_needs_its_file() {
    let there = super::file_with("x");
    let path = there.path().to_str().unwrap();
    portcullis(&["restore", path, "--config", "absent.toml"]).ran().exited(2).says("--yes");
    portcullis(&["restore", "absent.db", "--config", "absent.toml", "--yes"]).ran().exited(3).says("absent.db");
}

#[test]
fn the_offline_commands_have_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("gate");
    let dir = dir.to_str().unwrap();
    let version = portcullis(&["version", "--json"]).ran().exited(0).json();
    assert_eq!(version, json!({"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}));
    let made = portcullis(&["init", "--upstream", "http://127.0.0.1:9000", dir, "--json"]).ran().exited(0).json();
    let config = made["files"][0].as_str().unwrap().to_owned();
    let checked = portcullis(&["check", "--config", &config, "--json"]).ran().exited(0).json();
    assert_eq!(checked, json!({"problems": []}));
    std::fs::write(&config, "odd = 1\n").unwrap();
    let checked = portcullis(&["check", "--config", &config, "--json"]).ran().exited(9).json();
    assert!(checked["problems"][0].as_str().unwrap().contains("portcullis.toml:1: "), "{checked}");
}

#[test]
fn the_document_of_the_control_api_is_printed() {
    let ran = portcullis(&["openapi"]).ran().exited(0);
    assert!(ran.json()["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(ran.stdout.trim_end(), portcullis::control::openapi_document().trim_end());
}
