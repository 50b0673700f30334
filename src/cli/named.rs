//! What `portcullis presets` and `portcullis roles` have in common: named sets of permissions of an environment.

use super::client::{Client, environment_path};
use super::confirm::Confirmation;
use super::failure::Failure;
use super::listing::Listing;
use super::options::{ClientOptions, ScopeOptions};
use super::output::{cell, facts, note, print, print_json};
use clap::Subcommand;
use serde_json::{Value, json};

/// What is done with them.
#[derive(Subcommand)]
pub(super) enum Command {
    List(List),
    Set(Set),
    Delete(Delete),
}

/// List all of an environment, with the permissions of each
#[derive(clap::Args)]
pub(super) struct List {}

/// Make one, or say anew what it holds
///
/// For admins and owners. What a tenant file sets is changed there.
#[derive(clap::Args)]
pub(super) struct Set {
    /// Its name
    name: String,

    /// What it holds: every permission, each of them known to the environment
    #[arg(required = true, value_name = "PERMISSION")]
    permissions: Vec<String>,
}

/// Delete one that nobody needs any more
///
/// For admins and owners. A role that a living legacy key holds stays, and so do presets that are built in.
#[derive(clap::Args)]
pub(super) struct Delete {
    /// Its name
    name: String,

    #[command(flatten)]
    pub(super) confirmation: Confirmation,
}

/// Presets or roles, in the words of the command line and of the control API.
pub(super) struct Kind {
    /// Where they stand below an environment.
    pub(super) list: &'static str,
    /// One of them.
    pub(super) noun: &'static str,
}

/// Runs a command about sets of this kind.
pub(super) fn run(
    kind: &Kind,
    command: &Command,
    options: &ClientOptions,
    scope: &ScopeOptions,
) -> Result<(), Failure> {
    if let Command::Delete(delete) = command {
        delete.confirmation.require_possible()?;
    }
    let client = Client::new(options)?;
    let path = environment_path(&client.environment(scope)?, &format!("/{}", kind.list));
    match command {
        Command::List(_) => {
            let listing = Listing::whole(&client, &path)?;
            listing.show(options.is_json(), kind.list, ["NAME", "PERMISSIONS"], |row| {
                Ok(["name", "permissions"].map(|name| cell(row, name)))
            })
        }
        Command::Set(Set { name, permissions }) => {
            let path = format!("{path}/{}", segment(name));
            show(&client.put(&path, &json!({ "permissions": permissions }))?, options.is_json())
        }
        Command::Delete(Delete { name, confirmation }) => {
            let path = format!("{path}/{}", segment(name));
            let seen = client.get(&path, &[])?;
            confirmation.ask(&format!("Delete the {} `{name}`?", kind.noun))?;
            client.delete(&path)?;
            if options.is_json() {
                return print_json(&seen);
            }
            note(&format!("deleted the {} `{name}`", kind.noun));
            Ok(())
        }
    }
}

fn show(set: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(set);
    }
    print(&facts(&[("name", cell(set, "name")), ("permissions", cell(set, "permissions"))]))
}

/// A name as one segment of a path (RFC 3986 section 2.1).
fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_segment() {
        assert_eq!(segment("Read only"), "Read%20only");
        assert_eq!(segment("a/b?é"), "a%2Fb%3F%C3%A9");
    }
}
