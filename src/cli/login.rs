//! `portcullis login`: a session, by password or by invitation.

use super::client::Client;
use super::failure::{Exit, Failure};
use super::options::ClientOptions;
use super::output::{cell, facts, note, print, print_json};
use super::password::PasswordOption;
use super::secret_file;
use clap::ArgGroup;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Sign in, by email and password or by an invitation
///
/// Only the session's token goes to stdout: export PORTCULLIS_TOKEN=$(portcullis login --email ada@example.com), or
/// use --save FILE here and --token-file FILE afterwards. A session ends 30 minutes after its last use, 12 hours after
/// its start at the latest, or with `portcullis logout`. An invitation sets the password on the way.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("who").args(["email", "invitation_file"]).required(true))]
pub(super) struct Login {
    /// The email address of a member
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,

    /// A file that holds an invitation, `-` for stdin: choose a password and sign in
    #[arg(long, value_name = "FILE")]
    invitation_file: Option<PathBuf>,

    #[command(flatten)]
    password: PasswordOption,

    /// Write the session's token to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    options: ClientOptions,
}

impl Login {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = Client::anonymous(&self.options)?;
        let mut session = client.post("/v1/sessions", &self.credentials()?)?;
        let token = session.get("token").and_then(Value::as_str).map(str::to_owned);
        let token = token.ok_or_else(|| Failure::new(Exit::Failure, "the answer holds no token"))?;
        if let Some(path) = &self.save {
            secret_file::replace("--save", path, &token)?;
            if let Some(fields) = session.as_object_mut() {
                fields.remove("token");
            }
        }
        match (self.options.is_json(), &self.save) {
            (true, _) => print_json(&session)?,
            (false, None) => print(&token)?,
            (false, Some(path)) => print(&for_people(&session, path))?,
        }
        note(&format!("signed in until {} at the latest; `portcullis logout` ends it", cell(&session, "expires_at")));
        Ok(())
    }

    /// What is sent. The text is wiped with the request, not here: JSON values are not wiped.
    fn credentials(&self) -> Result<Value, Failure> {
        if let Some(email) = &self.email {
            return Ok(json!({"email": email, "password": self.password.known()?.as_str()}));
        }
        let Some(path) = &self.invitation_file else {
            return Err(Failure::usage("say who signs in: --email or --invitation-file"));
        };
        if path == Path::new("-") && self.password.is_stdin() {
            return Err(Failure::usage("invitation and password cannot both come from stdin"));
        }
        let invitation = secret_file::read("--invitation-file", path)?;
        Ok(json!({"invitation": invitation.as_str(), "password": self.password.chosen()?.as_str()}))
    }
}

/// Who signed in, where they belong, and where the token is.
fn for_people(session: &Value, path: &Path) -> String {
    let member = session.get("member").map_or_else(String::new, |member| cell(member, "email"));
    let organizations = session.get("organizations").and_then(Value::as_array);
    let roles = organizations.into_iter().flatten().map(|one| format!("{} ({})", cell(one, "id"), cell(one, "role")));
    facts(&[
        ("member", member),
        ("organizations", roles.collect::<Vec<_>>().join(", ")),
        ("operator", cell(session, "operator")),
        ("expires", cell(session, "expires_at")),
        ("token", path.display().to_string()),
    ])
}
