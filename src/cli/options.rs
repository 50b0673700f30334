//! The flags that every client command shares: which server, who asks, and the form of the answer.

use super::failure::Failure;
use super::output::Form;
use super::secret_file;
use super::transport::Trust;
use crate::app::ControlAccess;
use crate::model::Identifier;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const DEFAULT_SERVER: &str = "http://127.0.0.1:9080";

/// The hidden argument that stands for the variable PORTCULLIS_TOKEN.
pub(super) const TOKEN_VARIABLE: &str = "portcullis-token";

/// Which control API, as whom, and in which form the answer is printed.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub(super) struct ClientOptions {
    /// The node's configuration: where its control API is, and its bootstrap token
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// The control API [default: http://127.0.0.1:9080]
    #[arg(long, value_name = "URL", env = "PORTCULLIS_SERVER", global = true)]
    server: Option<String>,

    /// A file that holds the token to sign in with, `-` for stdin [else: the variable PORTCULLIS_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,

    // An argument only because clap reads variables through arguments: it takes no value on the command line.
    #[arg(
        long = TOKEN_VARIABLE,
        env = "PORTCULLIS_TOKEN",
        num_args = 0,
        default_missing_value = "",
        hide = true,
        hide_env_values = true,
        global = true
    )]
    token: Option<String>,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM", global = true)]
    output: Form,

    /// Short for `--output json`
    #[arg(long, conflicts_with = "output", global = true)]
    json: bool,

    #[command(flatten)]
    pub(super) trust: Trust,
}

/// A control API and, where one was found, the token to sign in with.
pub(super) struct Access {
    pub(super) server: String,
    pub(super) token: Option<Zeroizing<String>>,
}

impl ClientOptions {
    pub(super) const fn is_json(&self) -> bool {
        self.json || matches!(self.output, Form::Json)
    }

    /// Flags win over variables, both over the configuration file. Its bootstrap token goes to its own server only.
    pub(super) fn access(&self) -> Result<Access, Failure> {
        let token = self.given_token()?;
        if let Some(server) = &self.server {
            return Ok(Access { server: server.clone(), token });
        }
        let Some(config) = &self.config else {
            return Ok(Access { server: DEFAULT_SERVER.to_owned(), token });
        };
        let ControlAccess { server, bootstrap_token } = crate::app::control_access(config)?;
        if token.is_some() || !bootstrap_token.exists() {
            return Ok(Access { server, token });
        }
        Ok(Access { server, token: Some(secret_file::read("bootstrap token", &bootstrap_token)?) })
    }

    /// The control API alone, by the same rules, for whoever has no token yet.
    pub(super) fn server(&self) -> Result<String, Failure> {
        match (&self.server, &self.config) {
            (Some(server), _) => Ok(server.clone()),
            (None, Some(config)) => Ok(crate::app::control_access(config)?.server),
            (None, None) => Ok(DEFAULT_SERVER.to_owned()),
        }
    }

    /// The node's configuration, for commands that work on its files.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn given_token(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(path) = &self.token_file {
            return secret_file::read("--token-file", path).map(Some);
        }
        let text = self.token.as_deref().unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let token = secret_file::one_line(text);
        token.map(Some).map_err(|problem| Failure::usage(format!("PORTCULLIS_TOKEN: {problem}")))
    }
}

/// Which organization. It may be left out where only one exists.
#[derive(clap::Args)]
#[command(next_help_heading = "Organization and environment")]
pub(super) struct OrganizationOptions {
    /// The organization [default: the only one]
    #[arg(long, value_name = "ID", global = true, value_parser = Identifier::parse)]
    pub(super) org: Option<Identifier>,
}

/// Which environment. Either may be left out where only one exists.
#[derive(clap::Args)]
#[command(next_help_heading = "Organization and environment")]
pub(super) struct ScopeOptions {
    #[command(flatten)]
    pub(super) organization: OrganizationOptions,

    /// The environment [default: the only one]
    #[arg(long, value_name = "ID", global = true, value_parser = Identifier::parse)]
    pub(super) env: Option<Identifier>,
}

/// `--json`, for commands that ask no server.
#[derive(clap::Args)]
pub(super) struct JsonOption {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
