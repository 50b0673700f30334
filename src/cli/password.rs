//! Passwords: from a file, from stdin, or asked for on the terminal without echo.

use super::failure::{Exit, Failure};
use super::secret_file;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// `--password-file`
#[derive(clap::Args)]
pub(super) struct PasswordOption {
    /// A file that holds the password, `-` for stdin [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordOption {
    pub(super) fn is_stdin(&self) -> bool {
        self.password_file.as_deref() == Some(Path::new("-"))
    }

    /// The password of somebody who has one.
    pub(super) fn known(&self) -> Result<Zeroizing<String>, Failure> {
        match &self.password_file {
            Some(path) => secret_file::read_password("--password-file", path),
            None => prompt("Password: "),
        }
    }

    /// A password that is being chosen: on the terminal it is asked for twice.
    pub(super) fn chosen(&self) -> Result<Zeroizing<String>, Failure> {
        if self.password_file.is_some() {
            return self.known();
        }
        let first = prompt("New password: ")?;
        if prompt("The same again: ")? == first {
            return Ok(first);
        }
        Err(Failure::usage("the two passwords are not the same; nothing was changed"))
    }
}

fn prompt(words: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password on: use --password-file"));
    }
    let typed = rpassword::prompt_password(words).map(Zeroizing::new);
    typed.map_err(|error| Failure::new(Exit::Failure, format!("the password cannot be read: {error}")))
}
