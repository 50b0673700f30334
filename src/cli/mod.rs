//! The command line: one file a subcommand, each a thin layer over `app` or over the control API.
//!
//! Data goes to stdout, words to stderr. Secrets are never arguments: they come from files, stdin or the
//! environment, and are printed once by the command that creates them. What it leaves to others: everything a
//! node does (`app`), and every judgement about a key (the control API; this room only shows its answers).

mod audit;
mod backup;
mod body;
mod catalogue;
mod check;
mod client;
mod completions;
mod confirm;
mod demo;
mod drain;
mod envs;
mod explain;
mod failure;
mod init;
mod keys;
mod listing;
mod login;
mod logout;
mod man;
mod members;
mod named;
mod openapi;
mod options;
mod orgs;
mod output;
mod password;
mod presets;
mod progress;
mod reload;
mod restore;
mod roles;
mod secret_file;
mod serve;
mod signing_keys;
mod status;
mod text_file;
mod token;
mod transport;
mod upgrade;
mod version;
mod when;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not signed in, 5 not allowed, 6 conflict, 7 invalid input, \
8 unavailable, 9 check found problems.";

/// Scoped, expiring, revocable API keys in front of an API that already exists.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Audit(audit::Audit),
    Backup(backup::Backup),
    Catalogue(catalogue::Catalogue),
    Check(check::Check),
    Completions(completions::Completions),
    Demo(demo::Demo),
    Drain(drain::Drain),
    Envs(envs::Envs),
    Explain(explain::Explain),
    Init(init::Init),
    Keys(keys::Keys),
    Login(login::Login),
    Logout(logout::Logout),
    Man(man::ManPages),
    Members(members::Members),
    Openapi(openapi::Openapi),
    Orgs(orgs::Orgs),
    Presets(presets::Presets),
    Reload(reload::Reload),
    Restore(restore::Restore),
    Roles(roles::Roles),
    Serve(serve::Serve),
    SigningKeys(signing_keys::SigningKeys),
    Status(status::Status),
    Token(token::Token),
    Upgrade(upgrade::Upgrade),
    Version(version::Version),
}

/// The whole command line, as completions, man pages and tests need it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command line `args` (the program's name first) and says how the process should end.
pub fn run<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version arrive here too, with exit code 0; a reader that went away is no reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::Exit::Usage.code()));
        }
    };
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to tell when stderr itself is gone.
            let _ = std::io::stderr().write_all(failure.report().as_bytes());
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Audit(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Catalogue(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Drain(command) => command.run(),
        Command::Envs(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Login(command) => command.run(),
        Command::Logout(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Members(command) => command.run(),
        Command::Openapi(command) => command.run(),
        Command::Orgs(command) => command.run(),
        Command::Presets(command) => command.run(),
        Command::Reload(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Roles(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::SigningKeys(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Upgrade(command) => command.run(),
        Command::Version(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    /// An argument of the name of a shared one would take its value, and clap says nothing.
    fn assert_apart(command: &clap::Command, shared: &[clap::Id]) {
        let named = command.get_arguments().map(clap::Arg::get_id);
        let clashes: Vec<_> = named.filter(|id| shared.contains(id)).collect();
        assert!(clashes.is_empty(), "`{}`: {clashes:?}", command.get_name());
        let own = command.get_arguments().filter(|argument| argument.is_global_set()).map(clap::Arg::get_id);
        let shared: Vec<_> = shared.iter().chain(own).cloned().collect();
        command.get_subcommands().for_each(|below| assert_apart(below, &shared));
    }

    #[test]
    fn no_argument_has_the_name_of_a_shared_one() {
        assert_apart(&Arguments::command(), &[]);
    }

    #[test]
    fn no_argument_takes_a_secret() {
        for text in [["portcullis", "status", "--portcullis-token=x"], ["portcullis", "status", "--token=x"]] {
            assert!(Arguments::try_parse_from(text).is_err(), "{text:?}");
        }
    }
}
