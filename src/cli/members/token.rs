//! `portcullis members token`: a token for scripts, or a fresh bootstrap token where the first one is lost.

use super::Context;
use super::object::{MemberName, own_path};
use crate::cli::body::said;
use crate::cli::failure::Failure;
use crate::cli::options::ClientOptions;
use crate::cli::output::{facts, note, print, print_json};
use crate::cli::secret_file;
use crate::cli::when::Ahead;
use crate::model::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Make a token for scripts and print it, once
///
/// It carries the member's role in this organization, as it is when the token is used. Only the token goes to stdout,
/// so that it can be kept: TOKEN=$(portcullis members token --name nightly). With --operator and --config it makes a
/// new operator token where the bootstrap token is lost: that needs no sign-in, but the right to write the node's data.
#[derive(clap::Args)]
pub(super) struct Token {
    /// Whose: id or email address [default: your own]
    #[arg(value_name = "MEMBER", value_parser = MemberName::parse)]
    member: Option<MemberName>,

    /// What it is for
    #[arg(long, required_unless_present = "operator")]
    name: Option<String>,

    /// When it ends: an instant, or its distance from now [default: 90d]
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = Ahead::parse)]
    expires: Option<Ahead>,

    /// Write the token to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// A new operator token, from the node's own files; needs --config
    #[arg(long, conflicts_with_all = ["member", "name", "expires"])]
    operator: bool,
}

impl Token {
    pub(super) const fn is_for_operator(&self) -> bool {
        self.operator
    }

    pub(super) fn run(&self, context: &Context, now: Timestamp) -> Result<(), Failure> {
        let member = match &self.member {
            Some(member) => member.path(context)?,
            None => own_path(context)?,
        };
        let expires = self.expires.map(|when| json!(when.instant(now)));
        let body = said([("name", self.name.as_deref().map(|name| json!(name))), ("expires_at", expires)]);
        let made = context.client.post(&format!("{member}/tokens"), &body)?;
        self.show(made, context.json)
    }

    /// The token alone, the whole object, or neither where it goes to a file.
    fn show(&self, mut made: Value, json: bool) -> Result<(), Failure> {
        let token = made.get("token").and_then(Value::as_str).map(str::to_owned);
        let Some(token) = token else {
            note("warning: the answer holds no token; make another one");
            return print_json(&made);
        };
        if let Some(path) = &self.save {
            secret_file::replace("--save", path, &token)?;
            if let Some(fields) = made.as_object_mut() {
                fields.remove("token");
            }
        }
        match (json, &self.save) {
            (true, _) => print_json(&made)?,
            (false, None) => print(&token)?,
            (false, Some(path)) => print(&facts(&[("token", path.display().to_string())]))?,
        }
        match made.get("expires_at").and_then(Value::as_str) {
            Some(expires) => note(&format!("it ends {expires}; a script shows it by PORTCULLIS_TOKEN or --token-file")),
            None => note("the operator token before it has ended; this one ends when an owner signs in"),
        }
        if self.save.is_none() {
            note("warning: the token is shown this once and never again; store it now");
        }
        Ok(())
    }

    /// Where the bootstrap token is lost: works on the node's files, and asks no server.
    pub(super) fn run_offline(&self, options: &ClientOptions) -> Result<(), Failure> {
        let config = options.config_file().ok_or_else(|| Failure::usage("--operator needs --config FILE"))?;
        let made = crate::app::make_operator_token(config)?;
        self.show(json!({"token": made.as_str()}), options.is_json())
    }
}
